"""Explanations point at what the model used: planted evidence, exact gradients, the deletion test, and what goes wrong."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import handful
from handful.cli import app
from handful.errors import UsageError
from handful.explaining import Explainer, Explanation
from handful.explaining._deletion import deletion, most_salient
from handful.explaining._network import OpenNetwork, log_odds
from handful.features.image import ImageFrontend
from handful.graph import Graph, session

PATCH = 28
RATE = 8000


# -- planted evidence ------------------------------------------------------------------------------------------------


def write_patches(folder: Path, per_class: int = 10, size: int = 96) -> dict[str, tuple[int, int]]:
    """Noise, in two classes with a blue or an orange square; returns its upper left corner by file."""
    from PIL import Image

    rng = np.random.default_rng(0)
    corners = {}
    for label, colour in (("blue", (40, 60, 230)), ("orange", (240, 140, 30)), ("plain", None)):
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = rng.integers(60, 190, (size, size, 3), dtype=np.uint8)
            y, x = (int(v) for v in rng.integers(0, size - PATCH, 2))
            file = folder / label / f"{number:02d}.png"
            if colour:
                pixels[y : y + PATCH, x : x + PATCH] = colour
                corners[str(file)] = (y, x)
            Image.fromarray(pixels).save(file)
    return corners


def write_beeps(folder: Path, per_class: int = 10) -> dict[str, tuple[float, float]]:
    """Two seconds of noise, in two classes with a beep of a quarter of a second; returns its start in seconds and its pitch."""
    import soundfile

    rng = np.random.default_rng(0)
    t = np.arange(RATE // 4) / RATE
    beeps = {}
    for label, hz in (("high", 2200.0), ("low", 500.0), ("plain", 0.0)):
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            wave = rng.normal(0, 0.01, 2 * RATE)
            start = float(rng.uniform(0.2, 1.5))
            file = folder / label / f"{number:02d}.wav"
            if hz:
                wave[int(start * RATE) :][: len(t)] += 0.4 * np.hanning(len(t)) * np.sin(2 * np.pi * hz * t)
                beeps[str(file)] = (start, hz)
            soundfile.write(file, wave, RATE)
    return beeps


def mass_inside(saliency: np.ndarray, top: float, left: float, side: float) -> float:
    """Share of what speaks for the class that lies in a square; all lengths as shares of the picture."""
    rows, columns = saliency.shape
    positive = np.maximum(saliency, 0)
    inside = positive[
        round(top * rows) : round((top + side) * rows), round(left * columns) : round((left + side) * columns)
    ]
    return float(inside.sum() / positive.sum())


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, tuple[int, int]]]:
    folder = tmp_path_factory.mktemp("patches")
    corners = write_patches(folder / "data")
    run = handful.train(folder / "data", model="statistics+random_convolutions", weights="none", run=folder / "run")
    return run, corners


@pytest.fixture(scope="module")
def beeps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, tuple[float, float]]]:
    folder = tmp_path_factory.mktemp("beeps")
    planted = write_beeps(folder / "data")
    return handful.train(folder / "data", model="statistics", weights="none", run=folder / "run"), planted


def explained(run: Any, files: list[str]) -> list[Explanation]:
    explainer = Explainer((run.path / "model.onnx").read_bytes())
    return [explainer.explain(file) for file in files]


def test_occlusion_finds_the_patch_that_makes_the_class(patches: tuple[Any, dict[str, tuple[int, int]]]) -> None:
    run, corners = patches
    files = list(corners)[::5]
    shares = []
    for file, answer in zip(files, explained(run, files), strict=True):
        assert answer.method == "occlusion"
        y, x = corners[file]
        shares.append(mass_inside(answer.saliency, y / 96, x / 96, PATCH / 96))
    area = (PATCH / 96) ** 2
    assert np.mean(shares) > 4 * area, f"{np.mean(shares):.2f} of the evidence on {area:.2f} of the picture"


def test_sound_map_and_filtered_clip_keep_the_beep(beeps: tuple[Any, dict[str, tuple[float, float]]]) -> None:
    import soundfile

    run, planted = beeps
    files = [list(planted)[i] for i in (0, 5, 10, 15)]
    kept_beep, kept_rest = [], []
    for file, answer in zip(files, explained(run, files), strict=True):
        start, hz = planted[file]
        heard, rate = soundfile.read(io.BytesIO(answer.artefacts["filtered"][0]))
        before, _ = soundfile.read(io.BytesIO(answer.artefacts["sound"][0]))
        assert rate == RATE and len(heard) == len(before)
        beep, rest = energies(before, start, hz)
        beep_left, rest_left = energies(heard, start, hz)
        kept_beep.append(beep_left / beep)
        kept_rest.append(rest_left / rest)
    assert min(kept_beep) > 0.5, f"of the beep {kept_beep} is left"
    assert max(kept_rest) < 0.5 and np.mean(kept_rest) < 0.35, f"of the noise {kept_rest} is left"


def test_a_long_sound_is_explained_by_one_window(
    beeps: tuple[Any, dict[str, tuple[float, float]]], tmp_path: Path
) -> None:
    import soundfile

    run, planted = beeps
    file = next(name for name, (_, hz) in planted.items() if hz == 2200.0)
    quiet = soundfile.read(Path(file).parents[1] / "plain" / "00.wav")[0]
    long = tmp_path / "long.wav"
    soundfile.write(long, np.concatenate([quiet, soundfile.read(file)[0], quiet]), RATE)
    (answer,) = explained(run, [str(long)])
    assert answer.windows == 3
    assert answer.predicted == "plain" and answer.window != 1, "two of three windows hold nothing"
    assert soundfile.info(io.BytesIO(answer.artefacts["sound"][0])).frames == 2 * RATE


def energies(wave: np.ndarray, start: float, hz: float) -> tuple[float, float]:
    """Energy around the beep in time and frequency, and that of everything else."""
    frames = wave[: len(wave) // 256 * 256].reshape(-1, 256)
    power = np.abs(np.fft.rfft(frames * np.hanning(256), axis=1)) ** 2
    times, pitches = (np.arange(len(frames)) + 0.5) * 256 / RATE, np.arange(129) * RATE / 256
    inside = ((times > start - 0.02) & (times < start + 0.27))[:, None] & (np.abs(pitches - hz) < 150)[None]
    return float(power[inside].sum()), float(power[~inside].sum())


# -- Grad-CAM ----------------------------------------------------------------------------------------------------------


def colour_network(extra: Callable[[Graph, str, str], str] = lambda g, x, y: y) -> bytes:
    """Two channels that see blue and orange, pooled; class 1 is orange. `extra` puts operators before the logits."""
    g = Graph()
    x = ImageFrontend(size=64).input(g)
    weight = np.array([[-0.5, -0.5, 1.0], [1.0, 0.0, -1.0]], np.float32).reshape(2, 3, 1, 1)
    features = g.op("Relu", g.op("Conv", g.op("AveragePool", x, kernel_shape=[8, 8], strides=[8, 8]), weight))
    pooled = g.op("Flatten", g.op("GlobalAveragePool", features), axis=1)
    logits = g.op("Gemm", extra(g, x, pooled), np.array([[9.0, -9.0], [-9.0, 9.0]], np.float32))
    g.output(logits, "logits", ["N", 2])
    return g.build()


def square(y: int, x: int) -> np.ndarray:
    item = np.full((1, 64, 64, 3), 110, np.uint8)
    item[0, y : y + 16, x : x + 16] = (240, 140, 30)
    return item


def test_grad_cam_lies_on_the_evidence() -> None:
    network, item = OpenNetwork(colour_network()), square(16, 40)
    assert network.find_map(item)
    found = network.grad_cam(item, 1)
    assert found.shape == (8, 8)
    assert mass_inside(found, 16 / 64, 40 / 64, 16 / 64) > 0.999
    # What speaks for one of two classes speaks against the other.
    np.testing.assert_allclose(network.grad_cam(item, 0), -found, rtol=1e-3, atol=1e-6)


def test_grad_cam_passes_shapes_that_the_head_asks_for() -> None:
    """An exporter may write the batch size of a reshape as the shape of something before the pooling."""

    def reshaped(g: Graph, x: str, pooled: str) -> str:
        for asked in (x, pooled):
            batch = g.op("Slice", g.op("Shape", asked), np.array([0]), np.array([1]))
            pooled = g.op("Reshape", pooled, g.op("Concat", batch, np.array([2]), axis=0))
        return pooled

    item = square(0, 0)
    plain, asking = OpenNetwork(colour_network()), OpenNetwork(colour_network(reshaped))
    assert plain.find_map(item) and asking.find_map(item)
    np.testing.assert_allclose(asking.grad_cam(item, 1), plain.grad_cam(item, 1), rtol=1e-6)


def test_no_grad_cam_where_the_map_is_not_all() -> None:
    """A model that is only in part a network is asked, not opened."""

    def beside(g: Graph, x: str, pooled: str) -> str:
        mean = g.op("Unsqueeze", g.op("ReduceMean", x, np.array([1, 2, 3]), keepdims=0), np.array([1]))
        return str(g.op("Add", pooled, mean))

    network = OpenNetwork(colour_network(beside))
    assert not network.find_map(square(0, 0))
    assert not network.find_attention(square(0, 0))


@pytest.mark.parametrize(
    "name",
    [
        "small_cnn",
        "squeezenet1_1",
        "mobilenet_v3_small",
        pytest.param("efficientnet_b0", marks=pytest.mark.slow),
        pytest.param("resnet18", marks=pytest.mark.slow),
        pytest.param("shufflenet_v2_x0_5", marks=pytest.mark.slow),
        pytest.param("timm/test_convnext", marks=pytest.mark.slow),
    ],
)
def test_grad_cam_is_the_gradient_that_torch_computes(name: str) -> None:
    torch = pytest.importorskip("torch")
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    module, item, picture, content = random_network(name)
    network = OpenNetwork(content)
    assert network.find_map(item)
    found = network.grad_cam(item, 2)

    seen: list[Any] = []
    pools = [m for m in module.modules() if type(m).__name__ in ("AdaptiveAvgPool2d", "SelectAdaptivePool2d")]
    for pool in pools:
        pool.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    logits = module(picture)
    if not seen:  # shufflenet pools without a module
        assert np.isfinite(found).all() and np.ptp(found) > 0
        return
    others = [c for c in range(logits.shape[1]) if c != 2]
    (gradient,) = torch.autograd.grad(logits[0, 2] - torch.logsumexp(logits[0, others], 0), seen[-1])
    expected = (seen[-1] * gradient.sum((2, 3), keepdim=True)).sum(1)[0].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def random_network(name: str) -> tuple[Any, np.ndarray, Any, bytes]:
    """An untrained network with five classes, a picture as item and as torch sees it, and the whole graph."""
    import onnx
    import torch

    from handful.models import find
    from handful.models._convert import to_onnx

    network = find(name).network
    assert network is not None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = network.create(5)
        network.replace_head(module, 5)
        for part in module.modules():  # as trained: nothing fades away on its way through the layers
            if isinstance(part, torch.nn.BatchNorm2d) and part.running_mean is not None:
                part.running_mean.uniform_(-0.1, 0.1)
                part.running_var.uniform_(0.5, 1.5)
    module.eval()
    size = network.input_size
    g = Graph()
    frontend = ImageFrontend(size=size)
    proto = onnx.load_from_string(to_onnx(module, size, "logits"))
    (logits,) = g.merge(proto, {proto.graph.input[0].name: network.prepare(g, frontend.input(g), frontend)})
    g.output(logits, "logits", ["N", 5])
    item = np.random.default_rng(0).integers(0, 255, (1, size, size, 3), dtype=np.uint8)
    scale = [torch.tensor(values).view(1, 3, 1, 1) for values in (network.mean, network.std)]
    return module, item, (torch.tensor(item).permute(0, 3, 1, 2) / 255 - scale[0]) / scale[1], g.build()


# -- attention roll-out ------------------------------------------------------------------------------------------------


def test_roll_out_is_what_the_attention_of_a_transformer_multiplies_to() -> None:
    pytest.importorskip("timm")
    module, item, picture, content = random_network("timm/test_vit")
    network = OpenNetwork(content)
    assert not network.find_map(item) and network.find_attention(item)
    found = network.roll_out(item)

    layers: list[np.ndarray] = []
    for block in module.blocks:
        block.attn.fused_attn = False  # so that the maps are there to be seen
        block.attn.attn_drop.register_forward_pre_hook(lambda _, given: layers.append(given[0].detach().numpy()[0]))
    module(picture)
    total = np.eye(layers[0].shape[1])
    for layer in layers:
        total = (0.5 * layer.mean(axis=0) + 0.5 * np.eye(len(total))) @ total
    side = module.patch_embed.grid_size[0]
    expected = total[0, 1:].reshape(side, side)
    assert found.shape == (side, side) and len(layers) > 1
    np.testing.assert_allclose(found, expected - expected.mean(), atol=1e-6)


# -- the deletion test -------------------------------------------------------------------------------------------------


def test_deletion_test_passes_a_true_map_and_fails_its_opposite() -> None:
    evidence = np.zeros((20, 20))
    evidence[4:10, 6:14] = 1.0

    def probability(keep: np.ndarray) -> np.ndarray:
        return 0.2 + 0.7 * (keep * evidence).sum(axis=(1, 2)) / evidence.sum()

    true, false = deletion(probability, evidence), deletion(probability, -evidence)
    assert true.passed and true.salient == pytest.approx(0.7)
    assert 0 < true.random < 0.4
    assert not false.passed and false.salient == pytest.approx(0.0)
    assert deletion(probability, evidence) == true, "the controls are seeded"


def test_most_salient_is_exactly_a_fifth() -> None:
    chosen = most_salient(np.random.default_rng(0).random((17, 23)))
    assert chosen.sum() == round(0.2 * 17 * 23)
    assert most_salient(np.zeros((10, 10))).sum() == 20


def test_log_odds_survive_certainty() -> None:
    found = log_odds(np.array([[0.0, 200.0, -5.0], [1.0, 1.0, 1.0]], np.float32), 1)
    np.testing.assert_allclose(found, [200 - np.log(1 + np.exp(-5)), -np.log(2)])


# -- the use case ------------------------------------------------------------------------------------------------------


def test_explain_writes_pictures_rows_and_the_report(patches: tuple[Any, dict[str, tuple[int, int]]]) -> None:
    from PIL import Image

    run, _ = patches
    result = handful.explain(run.path, limit=3)
    assert result["schema"] == 1 and len(result["files"]) == 3
    assert json.loads((run.path / "explanations.json").read_text()) == result["files"]
    for row in result["files"]:
        assert list(row) == [
            "file", "label", "predicted", "confidence", "method", "before", "overlay", "sound", "filtered", "deletion",
        ]  # fmt: skip
        assert row["label"] in ("blue", "orange", "plain") and row["sound"] is None
        assert set(row["deletion"]) == {"salient", "random", "passed"}
        for name in (row["before"], row["overlay"]):
            with Image.open(run.path / name) as picture:
                assert picture.size == (400, 400)
    assert "explanations/" not in (run.path / "report.html").read_text(), "the report carries its pictures in itself"
    assert result["files"][0]["file"] in (run.path / "report.html").read_text()
    assert handful.explain(run.path, limit=3) == result, "the same again"
    # Called a second time: the package that explains must not take the place of the function.
    assert callable(handful.explain)
    handful.explain(run.path, limit=1)
    named = {
        Path(row[key]).name
        for row in json.loads((run.path / "explanations.json").read_text())
        for key in ("before", "overlay")
    }
    assert {path.name for path in (run.path / "explanations").iterdir()} == named, "pictures of earlier rows are gone"


def test_sounds_get_something_to_play(beeps: tuple[Any, dict[str, tuple[float, float]]], tmp_path: Path) -> None:
    import soundfile

    run, planted = beeps
    file = next(iter(planted))
    (row,) = handful.explain(run.path, [file], out=tmp_path / "why")["files"]
    assert row["label"] == row["predicted"] == "high", "the class of a training sample is known by its content"
    for key in ("sound", "filtered"):
        assert soundfile.info(tmp_path / "why" / row[key]).subtype == "VORBIS"
    assert (tmp_path / "why" / "explanations.json").is_file()
    assert not (run.path / "explanations").exists(), "the run itself is left alone"


def test_files_that_cannot_be_read_are_named_and_the_rest_goes_on(
    patches: tuple[Any, dict[str, tuple[int, int]]], tmp_path: Path
) -> None:
    run, corners = patches
    broken, good = tmp_path / "broken.png", next(iter(corners))
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    command = ["explain", str(run.path), str(broken), str(tmp_path / "none.png"), good, "--out", str(tmp_path / "why")]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 1
    assert "not a picture that can be read" in answer.stderr and "cannot be opened" in answer.stderr
    (line,) = answer.stdout.splitlines()
    assert line.startswith(good) and "hiding the highlighted fifth" in line
    rows = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)["files"]
    assert ["error" in row for row in rows] == [True, True, False]
    assert len(json.loads((tmp_path / "why" / "explanations.json").read_text())) == 1


def test_samples_that_are_gone_are_counted(patches: tuple[Any, dict[str, tuple[int, int]]], tmp_path: Path) -> None:
    import shutil

    run, _ = patches
    copied = tmp_path / "copied"
    shutil.copytree(run.path, copied)
    result = json.loads((copied / "run.json").read_text())
    result["data"]["path"] = str(tmp_path / "gone")
    (copied / "run.json").write_text(json.dumps(result))
    answer = CliRunner().invoke(app, ["explain", str(copied), "--limit", "2"])
    assert answer.exit_code == 0
    assert "30 of 30 samples are no longer at" in answer.stderr and "kept in the run" in answer.stderr
    assert len(answer.stdout.splitlines()) == 2
    with pytest.raises(UsageError, match="limit"):
        handful.explain(copied, limit=0)


@pytest.mark.parametrize("features", ["mel", "spectrogram", "mfcc"])
def test_a_picture_of_a_sound_lands_on_its_bands(features: str) -> None:
    from handful.explaining.audio import Clip
    from handful.features.audio import AudioFrontend

    frontend = AudioFrontend(sample_rate_hz=RATE, seconds=2.0, features=features, n_mels=64)  # type: ignore[arg-type]
    t = np.arange(2 * RATE) / RATE
    wave = (0.3 * np.sin(2 * np.pi * 2200 * t) * (t > 1.2) * (t < 1.6)).astype(np.float32)
    g = Graph()
    g.output(frontend.picture(g, frontend.input(g), 64), "picture", ["N", 3, 64, 64])
    clip = Clip(frontend, wave)
    picture = session(g.build()).run(None, {"input": wave[None]})[0][0, 0]
    np.testing.assert_allclose(clip.hide(np.ones((1, *clip.shape)))[0], wave, atol=1e-5)
    if features == "mfcc":
        picture = np.zeros((64, 64))
        picture[:, 38:51] = 1.0
    found = clip.from_picture(picture)
    assert found.shape == clip.shape
    moments = np.flatnonzero(found.max(axis=0) > 0.5 * found.max()) / clip.shape[1] * 2
    assert 1.1 < moments.min() and moments.max() < 1.7
    if features != "mfcc":
        without = clip.hide(1.0 - most_salient(found)[None])[0]
        assert np.square(without).sum() < 0.05 * np.square(wave).sum(), "hiding the salient part hides the tone"


# -- real data ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_maps_of_real_photos_pass_the_deletion_test_on_average(shared: Path, tmp_path: Path) -> None:
    weights = shared / "weights" / "squeezenet1_0_imagenet.safetensors"
    run = handful.train(
        shared / "catsdogs" / "train",
        model="squeezenet1_0",
        strategy="probe",
        weights=str(weights),
        run=tmp_path / "run",
    )
    files = [str(path) for path in sorted((shared / "catsdogs" / "test").rglob("*.jpg"))[::5]]
    answers = explained(run, files)
    salient, random = (np.mean([getattr(a.deletion, key) for a in answers]) for key in ("salient", "random"))
    assert len(answers) == 40 and {a.method for a in answers} == {"Grad-CAM"}
    assert salient > random + 0.1, f"{salient:.3f} against {random:.3f}"
