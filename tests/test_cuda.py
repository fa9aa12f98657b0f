"""Training and predicting on a GPU, where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from safetensors.torch import save_file

    from handful.models import Network, models

    torch.manual_seed(0)
    network = models.get("mobilenet_v3_small")
    assert isinstance(network, Network)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(network.create(1000).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for label, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
        (folder / label).mkdir()
        for number in range(12):
            pixels = np.clip(rng.normal(colour, 40, (96, 96, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def trained(photos: Path, weights: Path, run: Path, **settings: Any) -> Any:
    given: dict[str, Any] = {
        "model": "mobilenet_v3_small",
        "strategy": "finetune",
        "epochs": 4,
        "folds": 2,
        "repeats": 1,
    }
    return handful.train(photos, run=run, weights=weights, device="cuda", **given | settings)


@pytest.mark.parametrize("precision", ["auto", "float16", "float32"])
def test_it_learns_and_its_export_agrees(photos: Path, weights: Path, tmp_path: Path, precision: str) -> None:
    run = trained(photos, weights, tmp_path / "run", precision=precision)
    assert run.score["value"] > 0.9
    assert run.result["peak_gpu_bytes"] > 0
    (exported,) = handful.export(run, "onnx")["files"]
    assert exported["agree"] == exported["n"]
    assert run.model.predict(photos / "red" / "0.png").label == "red"


def test_the_batch_size_is_found_on_the_device(photos: Path, weights: Path, tmp_path: Path) -> None:
    run = trained(photos, weights, tmp_path / "run", batch_size=0)
    assert run.score["value"] > 0.9


def test_a_batch_too_large_is_computed_in_parts() -> None:
    from handful.models import Network, models
    from handful.training._loop import fit_network
    from handful.training._steps import LoopSettings

    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(2e9 / total)
    network = models.get("mobilenet_v3_small")
    assert isinstance(network, Network)
    x = np.random.default_rng(0).normal(size=(256, 3, 224, 224)).astype(np.float32)
    y = np.arange(256) % 2
    try:
        settings = LoopSettings(epochs=1, batch_size=256, device="cuda", precision="float32")
        fitted = fit_network(network, None, lambda rows, epoch: x[rows], y, 2, settings)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert "out of memory" in fitted.note
    assert np.isfinite(fitted.history[0]["train_loss"])


def test_a_loss_that_is_not_finite_stops_it() -> None:
    from handful.errors import HandfulError
    from handful.models import Network, models
    from handful.training._loop import fit_network
    from handful.training._steps import LoopSettings

    network = models.get("mobilenet_v3_small")
    assert isinstance(network, Network)
    x = np.full((40, 3, 64, 64), np.inf, np.float32)
    settings = LoopSettings(epochs=1, batch_size=2, device="cuda")
    with pytest.raises(HandfulError, match="not finite"):
        fit_network(network, None, lambda rows, epoch: x[rows], np.arange(40) % 2, 2, settings)


def test_predictions_on_the_gpu_are_those_of_the_cpu(photos: Path, weights: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime-gpu is not installed")
    run = trained(photos, weights, tmp_path / "run")
    files = sorted(photos.rglob("*.png"))
    slow, fast = (handful.load(run.path, device=device) for device in ("cpu", "cuda"))
    for file in files:
        assert np.allclose(fast.file_logits(file), slow.file_logits(file), atol=1e-3)
    assert handful.load(run.path).predict(files[0]).scores == fast.predict(files[0]).scores, "a GPU is taken unasked"
