"""PANNs: published sizes, what they hear, and that checkpoints as they are published go in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful
from handful.errors import UsageError, WeightsError
from handful.features.audio import AudioFrontend
from handful.features.banks import slaney_filters, slaney_log_mel, windowed_fourier
from handful.graph import Graph, session
from handful.models import Network, Weights, facts, find, models
from handful.models.panns import BANK, FILTERS, MEL, PannsNetwork, adopt

# arXiv:1912.10211, table XII: parameters and "multi-adds" of 10 s, where a multiply-add counts as two.
PUBLISHED = {
    "panns_cnn14": (80_753_615, 42.220e9),
    "panns_mobilenetv1": (4_796_303, 3.614e9),
    "panns_mobilenetv2": (4_075_343, 2.810e9),
}
SMALL = "panns_mobilenetv1"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "home"))
    return tmp_path


def panns(name: str) -> PannsNetwork:
    network = models.get(name)
    assert isinstance(network, PannsNetwork)
    return network


def waves(seconds: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (3, round(32_000 * seconds))).astype(np.float32)


def seen(network: Network, frontend: Any, heard: np.ndarray) -> np.ndarray:
    """What the network sees of waves [N, samples], by the graph."""
    g = Graph()
    g.output(network.prepare(g, frontend.input(g), frontend), "seen", ["N", *network.shape])
    found: np.ndarray = session(g.build(), 1).run(None, {"input": heard.astype(np.float32)})[0]
    return found


def published(network: Network, path: Path, heard: bool = False, **extra: Any) -> Weights:
    """A checkpoint such as Zenodo has: a pickle of {"iteration", "model"} with the filter banks among the tensors.

    `heard`: its batch norms know the levels of some sound, as trained ones do.
    """
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    module = network.create(527)
    if heard:
        time, pitches = np.arange(16_000) / 32_000, np.geomspace(150, 3_000, 12)[:, None]
        tones = 0.3 * np.sin(2 * np.pi * pitches * time) + np.random.default_rng(0).normal(0, 0.02, (12, 16_000))
        frontend = network.suited(AudioFrontend(seconds=0.5), None, None)
        pictures = torch.from_numpy(seen(network.on(frontend), frontend, tones))
        for layer in module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0
        module.train()(pictures)
    state = module.state_dict()
    real, imaginary = windowed_fourier(BANK)
    filters = {FILTERS[0]: real, FILTERS[1]: imaginary, MEL: slaney_filters(BANK).T.astype(np.float32)}
    state |= {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in filters.items()} | extra
    torch.save({"iteration": 600_000, "model": state}, path, _use_new_zipfile_serialization=False)
    return Weights(path, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_operations_are_the_published_ones(name: str) -> None:
    pytest.importorskip("torch")
    from handful.models._facts import compute

    parameters, operations = PUBLISHED[name]
    found = compute(replace(panns(name), frames=1001))["macs"]
    filters = 1001 * 513 * (2 * 1024 + 64)
    assert 2 * (found + filters) == pytest.approx(operations, rel=0.02)
    assert facts(name)["parameters"] == parameters
    # The file holds batch statistics and filter banks as well: 513 x 1024 twice, 513 x 64.
    assert panns(name).weights_bytes == pytest.approx(4 * (parameters + 513 * (2048 + 64)), rel=0.01)


def test_the_mel_bands_are_those_of_librosa() -> None:
    torchaudio = pytest.importorskip("torchaudio")
    expected = torchaudio.functional.melscale_fbanks(513, 50.0, 14_000.0, 64, 32_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(slaney_filters(BANK).T, expected.numpy(), atol=1e-6)


def test_the_spectrogram_is_that_of_torchlibrosa() -> None:
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(waves())
    spectrum = torch.stft(
        x, 1024, 320, window=torch.hann_window(1024), center=True, pad_mode="reflect", return_complex=True
    )
    power = torch.from_numpy(slaney_filters(BANK)).float() @ spectrum.abs().square()
    expected = 10 * torch.log10(power.clamp(min=1e-10))
    g = Graph()
    g.output(slaney_log_mel(g, g.input("x", "float32", ["N", 32_000]), BANK), "y", ["N", 64, 101])
    (found,) = session(g.build(), 1).run(None, {"x": waves()})
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-3)


@pytest.mark.parametrize("seconds", [0.1, 0.3, 1.0, 5.0])
def test_they_hear_32_khz_whatever_is_asked(seconds: float) -> None:
    network = panns(SMALL)
    frontend = network.suited(AudioFrontend(sample_rate_hz=16_000, seconds=seconds), None, None)
    assert isinstance(frontend, AudioFrontend) and frontend.sample_rate_hz == 32_000
    built = network.on(frontend)
    assert built.shape == (1, max(32, round(seconds * 100) + 1), 64)
    found = seen(built, frontend, waves(seconds))
    assert found.shape == (3, *built.shape) and np.isfinite(found).all()
    assert (found.min() == -100.0) == (seconds == 0.1), "silence at the end of a short window"


def test_other_features_are_refused() -> None:
    for wish in ({"features": "mfcc", "n_mels": None}, {"features": "mel", "n_mels": 40}):
        with pytest.raises(UsageError, match=f"{SMALL} cannot see --") as error:
            panns(SMALL).suited(AudioFrontend(), **wish)  # type: ignore[arg-type]
        assert "64 mel bands" in error.value.hint


def test_a_joined_network_hears_what_it_needs() -> None:
    frontend = find(f"{SMALL}+statistics").suited(AudioFrontend(), None, None)
    assert isinstance(frontend, AudioFrontend) and frontend.sample_rate_hz == 32_000


@pytest.mark.parametrize("name", [SMALL, "panns_mobilenetv2", pytest.param("panns_cnn14", marks=pytest.mark.slow)])
def test_a_published_checkpoint_goes_in_and_its_pickle_is_opened_once(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from handful.models import _state

    network = panns(name)
    weights = published(network, place / "net.pth")
    module = _state.build(network, weights)
    torch.manual_seed(1)
    expected = network.create(527).state_dict()
    assert set(module.state_dict()) == set(expected)
    for key, value in module.state_dict().items():
        torch.testing.assert_close(value, expected[key])
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("the pickle was opened again"))
    torch.testing.assert_close(_state.build(network, weights).state_dict()["fc1.weight"], expected["fc1.weight"])


def test_a_checkpoint_tells_what_it_is(place: Path) -> None:
    pytest.importorskip("torch")
    from handful.models._state import read_state, recognise

    assert recognise(read_state(published(panns(SMALL), place / "net.pth").path)) == SMALL


def test_a_checkpoint_for_other_sound_is_refused() -> None:
    real, _ = windowed_fourier(BANK)
    low = slaney_filters(BANK).T * 0.5
    for state in ({FILTERS[0]: real[:257, :, :512]}, {MEL: low}):
        with pytest.raises(WeightsError, match="made for other sound") as error:
            adopt(state)
        assert "32 kHz" in error.value.hint


def test_a_checkpoint_with_other_keys_is_refused(place: Path) -> None:
    torch = pytest.importorskip("torch")
    from handful.models._state import build

    with pytest.raises(WeightsError, match=r"1 unexpected \(extra\)"):
        build(panns(SMALL), published(panns(SMALL), place / "net.pth", extra=torch.ones(3)))


def test_trained_on_its_embeddings_it_predicts(sounds: Path, place: Path) -> None:
    pytest.importorskip("torch")
    weights = published(panns(SMALL), place / "net.pth", heard=True)
    handful.train(sounds, run=place / "run", model=SMALL, weights=str(weights.path), repeats=1, views=0, seconds=0.5)
    found = json.loads((place / "run" / "run.json").read_text(encoding="utf-8"))
    assert (found["model"], found["strategy"]) == (SMALL, "probe")
    predictor = handful.Predictor.load(str(place / "run"))
    right = [predictor.predict(file).label == file.parent.name for file in sorted(sounds.rglob("*.wav"))]
    assert sum(right) >= 0.8 * len(right), "even random features fit what was trained on"


@pytest.mark.parametrize("name", [SMALL, "panns_mobilenetv2", pytest.param("panns_cnn14", marks=pytest.mark.slow)])
def test_onnx_computes_what_torch_computes(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from handful.models import _convert, _state

    monkeypatch.setattr(_convert, "_dynamo", lambda *_: pytest.fail("the fast writer does not know an operation"))
    network = replace(panns(name), frames=64)
    proto, width = _convert.backbone(network, None)
    pictures = np.random.default_rng(1).normal(-30, 15, (3, *network.shape)).astype(np.float32)
    (found,) = session(proto.SerializeToString(), 1).run(None, {"pictures": pictures})
    with torch.no_grad():
        expected = network.body(_state.build(network, None)).eval()(torch.from_numpy(pictures)).numpy()
    assert found.shape == (3, width) and width == (2048 if name == "panns_cnn14" else 1024)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_auto_takes_a_network_for_sounds_before_one_for_pictures(place: Path) -> None:
    import soundfile

    from handful.workflow.catalogue import recommend

    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for number in range(8):
        folder = place / "clips" / ("quiet" if number % 2 else "loud")
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{number}.wav", rng.normal(0, 0.02 + 0.1 * (number % 2), 24_000), 8_000)
    unaided = recommend(str(place / "clips"))
    assert (unaided["model"], unaided["weights"]) == ("statistics", None)
    network = models.get("panns_mobilenetv2")
    assert isinstance(network, Network)
    cached = place / "home" / "cache" / "weights" / "MobileNetV2_mAP=0.383.pth"
    cached.parent.mkdir(parents=True)
    published(network, cached)
    found = recommend(str(place / "clips"))
    assert (found["model"], found["strategy"], found["weights"]) == ("panns_mobilenetv2", "probe", cached.name)
