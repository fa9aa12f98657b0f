"""The Audio Spectrogram Transformer behind its extra: what it hears, offline, trained and exported with random weights."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.errors import UsageError
from handful.features.audio import AudioFrontend
from handful.features.banks import kaldi_log_mel
from handful.graph import Graph, session
from handful.models import Network, Weights, facts, models
from handful.models.ast import BANK, RENAMED, SpectrogramTransformer, adopt


@pytest.fixture
def network() -> Network:
    """With one layer instead of twelve."""
    pytest.importorskip("transformers", reason="the extra ast is not installed")
    return shallow()


def shallow() -> Network:
    whole = models.get("ast")
    assert isinstance(whole, SpectrogramTransformer)
    return replace(whole, create=partial(whole.create, layers=1))


def waves(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0.01, 0.1, (2, round(16_000 * seconds))).astype(np.float32)


def test_its_size_is_known_without_the_library() -> None:
    assert facts("ast")["parameters"] / 1e6 == pytest.approx(86.6, abs=0.05)
    assert (models.get("ast").extra, models.get("ast").licence) == ("ast", "BSD-3-Clause")


def test_the_bands_are_kaldis() -> None:
    torch = pytest.importorskip("torch")
    kaldi = pytest.importorskip("torchaudio").compliance.kaldi
    expected = [
        kaldi.fbank(
            torch.from_numpy(wave)[None], htk_compat=True, sample_frequency=16_000, use_energy=False, window_type="hanning",
            num_mel_bins=128, dither=0.0, frame_shift=10,
        )
        for wave in waves(1.0)
    ]  # fmt: skip
    g = Graph()
    g.output(kaldi_log_mel(g, g.input("x", "float32", ["N", 16_000]), BANK), "y", ["N", 128, 98])
    (found,) = session(g.build(), 1).run(None, {"x": waves(1.0)})
    np.testing.assert_allclose(found.transpose(0, 2, 1), torch.stack(expected).numpy(), atol=2e-3)


@pytest.mark.parametrize("seconds", [1.0, 5.0, 10.24])
def test_it_sees_ten_seconds_whatever_the_window(seconds: float) -> None:
    network = shallow()
    frontend: Any = network.suited(AudioFrontend(sample_rate_hz=8_000, seconds=seconds), None, None)
    assert frontend.sample_rate_hz == 16_000
    g = Graph()
    g.output(network.prepare(g, frontend.input(g), frontend), "seen", ["N", *network.shape])
    (found,) = session(g.build(), 1).run(None, {"input": waves(seconds)})
    assert found.shape == (2, 1, 1024, 128)
    heard = BANK.frames(frontend.samples)
    np.testing.assert_allclose(found[:, :, heard:], 4.2677393 / (2 * 4.5689974), rtol=1e-5)
    assert abs(found[:, :, :heard].mean()) < 0.5 and found[:, :, :heard].std() > 0.02


@pytest.mark.parametrize("wish", [("mfcc", None, 5.0), (None, 64, 5.0), (None, None, 12.0)])
def test_what_it_cannot_hear_is_refused(wish: Any) -> None:
    with pytest.raises(UsageError, match="ast cannot") as error:
        shallow().suited(AudioFrontend(seconds=wish[2]), *wish[:2])
    assert error.value.hint


def test_without_the_library_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['transformers'] = None\n"
        "from handful.models import models\n"
        "try: models.get('ast').create(2)\n"
        "except Exception as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'handful[ast]'" in said


def test_the_names_of_the_published_file_become_ours() -> None:
    old = "audio_spectrogram_transformer.encoder.layer.3."
    new = "audio_spectrogram_transformer.layers.3."
    names = {
        "attention.attention.query.weight": "attention.q_proj.weight", "attention.attention.key.bias": "attention.k_proj.bias",
        "attention.attention.value.weight": "attention.v_proj.weight", "attention.output.dense.bias": "attention.o_proj.bias",
        "intermediate.dense.weight": "mlp.fc1.weight", "output.dense.weight": "mlp.fc2.weight",
        "layernorm_before.weight": "layernorm_before.weight",
    }  # fmt: skip
    value = np.zeros(1)
    assert set(adopt({old + name: value for name in names})) == {new + name for name in names.values()}
    assert len(RENAMED) == len(names)


@pytest.mark.slow
def test_it_is_built_offline_takes_its_file_and_is_exported(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    import torch
    from safetensors.numpy import save_file

    from handful.models import _convert, _state

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    torch.manual_seed(1)
    module = network.create(527).eval()
    save_file({key: value.numpy() for key, value in module.state_dict().items()}, tmp_path / "ast.safetensors")
    sha256 = hashlib.sha256((tmp_path / "ast.safetensors").read_bytes()).hexdigest()
    loaded = _state.build(network, Weights(tmp_path / "ast.safetensors", "ast", sha256))
    pictures = torch.rand(2, *network.shape)
    with torch.no_grad():
        expected = network.body(module)(pictures)
        torch.testing.assert_close(network.body(loaded)(pictures), expected)
    content = _convert.to_onnx(network.body(loaded).eval(), network.shape, "embedding")
    (found,) = session(content, 1).run(None, {"pictures": pictures.numpy()})
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4 * float(expected.abs().max()))
    head = network.replace_head(loaded, 2)
    loss = torch.nn.functional.cross_entropy(loaded.train()(pictures), torch.tensor([0, 1]))
    loss.backward()
    assert head.weight.grad is not None and loaded.state_dict()["classifier.dense.weight"].shape == (2, 768)
