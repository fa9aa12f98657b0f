"""Parts of a picture from the last feature map: found where a network pools it, and equal to what the network would say of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import handful
from handful.config import load_recipe
from handful.features.image import ImageFrontend
from handful.graph import Graph, session
from handful.training._parts import SIDE, Parts, windows

SIZE = 64


COLOURS, MIXED = (np.random.default_rng(0).normal(size=shape) for shape in ((3, 4), (4, 5)))


def network(pool: Callable[[Graph, str], str]) -> bytes:
    """A feature map of 8 x 8 places and 4 channels, pooled, with something after it that is not linear."""
    g = Graph()
    x = ImageFrontend(size=SIZE).input(g)
    places = g.op("AveragePool", x, kernel_shape=[8, 8], strides=[8, 8])
    features = g.op("Relu", g.op("Conv", places, COLOURS.T.reshape(4, 3, 1, 1)))
    mixed = g.op("Tanh", g.op("Gemm", g.op("Flatten", pool(g, features), axis=1), MIXED))
    g.output(g.op("Concat", mixed, axis=1), "embedding", ["N", 5])
    return g.build()


def by_hand(places: np.ndarray) -> np.ndarray:
    """`network(mean)` of places [n, rows, columns, 3] in 0..1, by numpy."""
    return np.asarray(np.tanh(np.maximum(places @ COLOURS, 0).mean(axis=(1, 2)) @ MIXED))


def mean(g: Graph, x: str) -> str:
    return str(g.op("GlobalAveragePool", x))


def test_a_part_is_embedded_as_if_the_network_had_seen_no_more() -> None:
    """Where no place of the map looks beyond its own pixels, cutting the picture says the same as cutting the map."""
    content = network(mean)
    parts = Parts(content)
    assert parts.found
    items = np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    plain, pieces = parts(items)
    np.testing.assert_array_equal(plain, session(content).run(["embedding"], {"input": items})[0])
    places = items.reshape(3, 8, 8, 8, 8, 3).mean(axis=(2, 4)) / 255  # the pixels of each place of the map
    side = round(SIDE * 8)
    left, right, top, bottom = (1, 0), (1, 2), (0, 1), (2, 1)
    assert pieces.shape == (3, 4, 5) and side == 6
    for number, (y, x) in enumerate((left, right, top, bottom)):
        expected = by_hand(places[:, y : y + side, x : x + side])
        np.testing.assert_allclose(pieces[:, number], expected, atol=1e-5)
    np.testing.assert_allclose(plain, by_hand(places), atol=1e-5)


def test_the_share_of_every_window_is_one() -> None:
    for rows, columns in ((13, 13), (7, 7), (4, 9), (1, 1)):
        shares = windows(rows, columns)
        assert shares.shape == (rows * columns, 5)
        np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)
        assert (shares[:, 0] > 0).all()


def test_no_parts_where_the_map_is_not_averaged() -> None:
    assert not Parts(network(lambda g, x: str(g.op("GlobalMaxPool", x)))).found

    def twice(g: Graph, x: str) -> str:
        return str(g.op("Add", g.op("GlobalAveragePool", x), g.op("GlobalMaxPool", x)))

    assert not Parts(network(twice)).found


def test_no_parts_where_the_number_of_pictures_is_written_into_the_graph() -> None:
    def counted(g: Graph, x: str) -> str:
        return str(g.op("Reshape", g.op("GlobalAveragePool", x), np.array([2, 4])))

    assert not Parts(network(counted)).found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("mobilenet_v3_small", True),
        pytest.param("squeezenet1_1", True, marks=pytest.mark.slow),
        pytest.param("timm/test_convnext", True, marks=pytest.mark.slow),
        pytest.param("timm/test_vit", False, marks=pytest.mark.slow),
        pytest.param("resnet18", True, marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", True, marks=pytest.mark.slow),
        pytest.param("densenet121", True, marks=pytest.mark.slow),
        pytest.param("vgg11", False, marks=pytest.mark.slow),  # its head looks at 7 x 7 places one by one
    ],
)
def test_networks_that_average_their_map_have_parts(name: str, found: bool) -> None:
    torch = pytest.importorskip("torch")
    import onnx

    from handful.models import find
    from handful.models._convert import to_onnx

    if name.startswith("timm/"):
        pytest.importorskip("timm")
    model = find(name).network
    assert model is not None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = model.create(5).eval()
    frontend = ImageFrontend(size=model.input_size)
    g = Graph()
    proto = onnx.load_from_string(to_onnx(model.body(module).eval(), model.input_size, "embedding"))
    (value,) = g.merge(proto, {proto.graph.input[0].name: model.prepare(g, frontend.input(g), frontend)})
    g.output(g.op("Concat", value, axis=1), "embedding", ["N", "width"])
    content = g.build()
    parts = Parts(content)
    assert parts.found == found
    if found:
        items = np.random.default_rng(0).integers(0, 256, (2, model.input_size, model.input_size, 3), dtype=np.uint8)
        plain, pieces = parts(items)
        np.testing.assert_array_equal(plain, session(content).run(["embedding"], {"input": items})[0])
        assert np.isfinite(pieces).all() and pieces.shape[1:] == (4, plain.shape[1])


# -- in a training -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that nothing tells apart."""
    data, rng = tmp_path_factory.mktemp("alike"), np.random.default_rng(0)
    for index in range(16):
        (data / "ab"[index % 2]).mkdir(exist_ok=True)
        picture = Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
        picture.save(data / "ab"[index % 2] / f"{index}.png")
    return data


def trained(name: str, data: Path, place: Path) -> Any:
    """A probe on a network with random weights."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from handful.models import find

    network = find(name).network
    assert network is not None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(network.create(1000).state_dict(), place / "random.safetensors")
    settings: dict[str, Any] = {"model": name, "weights": str(place / "random.safetensors"), "strategy": "probe"}
    return handful.train(data, run=place / "run", repeats=1, folds=3, **settings)


def test_where_classes_are_hard_to_tell_parts_are_offered_and_whole_files_scored(
    alike: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained("squeezenet1_1", alike, tmp_path)
    candidates = {row["name"]: row["chosen"] for row in run.result["candidates"]}
    assert list(candidates) == ["logistic", "lda", "lda, 1 augmented view and parts of the picture"]
    assert sum(candidates.values()) == 3
    assert len((run.path / "out_of_fold.jsonl").read_text(encoding="utf-8").splitlines()) == 16

    again = handful.train(layers=[load_recipe(run.path / "recipe.yaml")], run=tmp_path / "again")
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "home"))  # nothing is cached there
    anew = handful.train(layers=[load_recipe(run.path / "recipe.yaml")], run=tmp_path / "anew")
    for file in ("out_of_fold.jsonl", "model.safetensors"):
        assert (run.path / file).read_bytes() == (again.path / file).read_bytes() == (anew.path / file).read_bytes()


def test_a_network_without_a_map_is_offered_more_views(alike: Path, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    run = trained("timm/test_vit", alike, tmp_path)
    assert run.result["candidates"][-1]["name"] == "lda, 8 augmented views"
