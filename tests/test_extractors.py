"""Promises of every extractor: finite, the same on every run, and independent of what else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest

from handful.features import Frontend
from handful.features.audio import AudioFrontend
from handful.features.image import ImageFrontend, scaled
from handful.graph import Graph, session
from handful.models import Extractor, find, models

FRONTENDS: dict[str, list[Frontend]] = {
    "audio": [AudioFrontend(seconds=1.0), AudioFrontend(sample_rate_hz=8000, seconds=0.25, n_mels=40)],
    "image": [ImageFrontend(size=64), ImageFrontend(size=224)],
}
CASES = [
    pytest.param(model, frontend, id=f"{model.name}-{modality}-{index}")
    for model in models
    if isinstance(model, Extractor)
    for modality in model.modalities
    for index, frontend in enumerate(FRONTENDS[modality])
]


def items_for(frontend: Frontend) -> np.ndarray:
    rng = np.random.default_rng(0)
    if isinstance(frontend, AudioFrontend):
        time = np.arange(frontend.samples) / frontend.sample_rate_hz
        waves = [np.zeros_like(time), np.full_like(time, 0.5), np.eye(1, len(time), len(time) // 2)[0]]
        waves += [np.sin(2 * np.pi * 440 * time), rng.standard_normal(len(time)) * 0.1, rng.uniform(-1, 1, len(time))]
        return np.stack(waves).astype(np.float32)
    assert isinstance(frontend, ImageFrontend)
    side = frontend.size
    pictures = [np.zeros((side, side, 3)), np.full((side, side, 3), 255), rng.uniform(0, 255, (side, side, 3))]
    pictures.append(np.broadcast_to(np.linspace(0, 255, side)[None, :, None], (side, side, 3)))
    return np.stack(pictures).astype(np.uint8)


def build(model: Extractor, frontend: Frontend) -> tuple[bytes, int]:
    g = Graph()
    value, width = model.embed(g, frontend.input(g), frontend, None)
    g.output(value, "embedding", ["N", width])
    return g.build(), width


def run(graph: bytes, items: np.ndarray) -> np.ndarray:
    return np.asarray(session(graph, 1).run(None, {"input": items})[0])


@pytest.mark.parametrize(("model", "frontend"), CASES)
def test_embeddings_are_finite_repeatable_and_alone(model: Extractor, frontend: Frontend) -> None:
    items = items_for(frontend)
    graph, width = build(model, frontend)
    assert build(model, frontend)[0] == graph  # the same kernels every time
    together = run(graph, items)
    assert together.shape == (len(items), width) and together.dtype == np.float32
    assert np.isfinite(together).all() and np.abs(together).max() < 1e4
    alone = np.concatenate([run(graph, item[None]) for item in items])
    assert np.abs(alone - together).max() < 1e-3 * max(1.0, np.abs(together).max())
    assert np.abs(together[-1] - together[-2]).max() > 1e-3


@pytest.mark.parametrize(("side", "size"), [(224, 96), (97, 64), (64, 96), (5, 3), (1, 4)])
def test_pictures_are_scaled_as_onnx_says(side: int, size: int) -> None:
    noise = np.random.default_rng(0).uniform(0, 1, (2, 3, side, side)).astype(np.float32)
    shape, sizes = ["N", 3, size, size], np.array([size, size], np.int64)
    g, operator = Graph(), Graph()
    g.output(scaled(g, g.input("input", "float32", ["N", 3, side, side]), side, size), "y", shape)
    x = operator.input("input", "float32", ["N", 3, side, side])
    resized = operator.op("Resize", x, None, None, sizes, axes=[2, 3], mode="linear", antialias=1)
    operator.output(resized, "y", shape)
    np.testing.assert_allclose(run(g.build(), noise), run(operator.build(), noise), atol=1e-5)


@pytest.mark.parametrize("name", ["statistics", "random_convolutions"])
def test_another_engine_says_the_same_of_noise(name: str) -> None:
    openvino = pytest.importorskip("openvino")
    model, frontend = find(name), ImageFrontend(size=224)
    assert isinstance(model, Extractor)
    graph, _ = build(model, frontend)
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected, found = run(graph, items_for(frontend)), np.array(compiled({"input": items_for(frontend)})["embedding"])
    assert np.abs(expected - found).max() < 1e-3 * np.abs(expected).max()


def test_level_does_not_change_what_is_heard() -> None:
    frontend = AudioFrontend(seconds=1.0)
    wave = np.random.default_rng(0).standard_normal((1, frontend.samples)).astype(np.float32) * 0.3
    for name in ("statistics", "random_convolutions", "word_convolutions"):
        model = find(name)
        assert isinstance(model, Extractor)
        graph, _ = build(model, frontend)
        loud, quiet = run(graph, wave), run(graph, wave / 16)
        assert np.abs(loud - quiet).mean() < 0.01 * np.abs(loud).mean()


def test_a_word_is_found_wherever_it_lies() -> None:
    frontend = AudioFrontend(seconds=1.0)
    rng = np.random.default_rng(0)
    word, other = (np.repeat(rng.uniform(-1, 1, 1600), 3) * np.hanning(4800) for _ in range(2))
    waves = np.zeros((3, frontend.samples), np.float32)
    waves[0, 800:5600], waves[1, 10400:15200], waves[2, 800:5600] = word, word, other
    model = find("word_convolutions")
    assert isinstance(model, Extractor)
    first, moved, different = run(build(model, frontend)[0], waves)
    assert np.linalg.norm(first - moved) < 0.2 * np.linalg.norm(first - different)


def test_parts_are_joined_side_by_side() -> None:
    frontend = AudioFrontend(seconds=1.0)
    g = Graph()
    value, width = find("statistics+random_convolutions").embed(g, frontend.input(g), frontend, None)
    g.output(value, "embedding", ["N", width])
    items = items_for(frontend)
    parts = [run(build(find(name), frontend)[0], items) for name in ("statistics", "random_convolutions")]  # type: ignore[arg-type]
    assert np.abs(run(g.build(), items) - np.concatenate(parts, axis=1)).max() < 1e-3
