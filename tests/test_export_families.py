"""Every network of the catalogue leaves as ONNX and is proven on twenty raw files; an export that is spoilt is caught.

Weights are random, so that nothing is fetched; what is compared with is torch, not another graph. Pictures are small where
a network allows that: every layer is there, and all of them together take minutes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.exporting import CARRIED, MAX_ERROR, disagreement, export, exporters
from handful.features import Frontend
from handful.features.audio import AudioFrontend
from handful.features.image import ImageFrontend
from handful.files import copy_file, sha256_file
from handful.graph import Graph, session
from handful.inference import Predictor
from handful.models import Network, models
from handful.runs import Run
from tests.conftest import write_sounds
from tests.test_models import LIBRARIES, PUBLISHED

torch = pytest.importorskip("torch")

SIDE = 64
FILES, CLASSES = 20, 3
FEW = slice(None, None, 7)
QUICK = {
    "resnet18", "resnext50_32x4d", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "efficientnet_b0",
    "efficientnet_v2_s", "mini", "conv1d_mel_g16",
}  # fmt: skip
NETWORKS = [model for model in models if isinstance(model, Network)]
SOUND = [network.name for network in NETWORKS if network.modalities == ("audio",)]
FIRST = {network.family: network.name for network in reversed(NETWORKS)}
NAMES = list(dict.fromkeys([*PUBLISHED, "ghost_efficientnet_v2_s", *SOUND, *FIRST.values()]))
PARAMETERS = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES]


def write_patterns(folder: Path) -> Path:
    """Pictures as different as pictures can be: coloured tiles. Of such that are nearly alike a deep random network says the same."""
    from PIL import Image

    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(FILES):
        tiles = rng.integers(0, 256, (2 + number % 5, 2 + number % 7, 3), dtype=np.uint8)
        Image.fromarray(tiles).resize((72, 48), Image.Resampling.NEAREST).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("media")
    found = {
        "image": write_patterns(folder / "patterns"),
        "audio": write_sounds(folder / "sounds", per_class=FILES // 2),
    }
    return {kind: sorted(path for path in place.rglob("*") if path.is_file()) for kind, place in found.items()}


def prepared(name: str) -> tuple[Network, Frontend]:
    """The network for small pictures, or for half a second of sound."""
    network = models.get(name)
    assert isinstance(network, Network)
    if network.extra:
        pytest.importorskip(LIBRARIES[network.extra], reason=f"the extra {network.extra} is not installed")
    if network.modalities == ("audio",):
        frontend = network.suited(AudioFrontend(seconds=0.5), None, None)
        return network.on(frontend), frontend
    side = network.input_size if not network.any_size else 96 if network.family == "inception" else SIDE
    return network.sized(side), ImageFrontend(size=side)


def settled(network: Network, seen: Any, classes: int = CLASSES) -> Any:
    """A random module whose batch norms have seen data and noise: without that a deep one says the same of everything."""
    torch.manual_seed(0)
    module = network.create(classes).train()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            part.momentum = 1.0
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        if hasattr(part, "downsample"):  # a hundred random residual blocks would multiply the last bit of a number
            torch.nn.init.constant_((getattr(part, "bn3", None) or part.bn2).weight, 0.25)
        if hasattr(part, "layer_scale"):  # begins at a millionth, where what a block does can hardly be seen
            torch.nn.init.constant_(part.layer_scale, 0.25)
    if any(isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) for part in module.modules()):
        noise = torch.rand(len(seen) // 2, *network.shape, generator=torch.Generator().manual_seed(0)) * 4 - 2
        with torch.no_grad():
            module(torch.cat([seen[::2], noise]))
    return module.eval()


def what_it_sees(network: Network, frontend: Frontend, items: np.ndarray) -> np.ndarray:
    """Pictures normalised here, by hand; of sounds what the front-end's graph says."""
    if isinstance(frontend, ImageFrontend) and network.shape[0] == 3:
        pixels = items.transpose(0, 3, 1, 2).astype(np.float32) / 255
        shape = 1, 3, 1, 1
        return (pixels - np.array(network.mean, "f4").reshape(shape)) / np.array(network.std, "f4").reshape(shape)
    g = Graph()
    g.output(network.prepare(g, frontend.input(g), frontend), "seen", ["N", *network.shape])
    return np.asarray(session(g.build(), 1).run(["seen"], {"input": items})[0])


def exported_run(name: str, files: list[Path], place: Path) -> Run:
    """A run directory as training leaves it: the whole graph, and what torch says of twenty files."""
    from handful.models._convert import to_onnx

    onnx = pytest.importorskip("onnx")
    network, frontend = prepared(name)
    items = np.concatenate([frontend.read(file)[0] for file in files])
    seen = torch.from_numpy(what_it_sees(network, frontend, items))
    body = network.body(settled(network, seen)).eval()
    with torch.no_grad():
        embedding = np.concatenate([body(part).numpy() for part in seen.split(5)])
    middle, scale = embedding.mean(axis=0), np.float32(embedding.std() + 1e-9)
    head = np.random.default_rng(0).normal(0, 1, (embedding.shape[1], CLASSES)).astype("f4")
    logits = (embedding - middle) / scale @ head

    g = Graph()
    backbone = onnx.load_from_string(to_onnx(body, network.shape, "embedding"))
    x = network.prepare(g, frontend.input(g), frontend)
    (value,) = g.merge(backbone, {backbone.graph.input[0].name: x})
    value = g.op("MatMul", g.op("Div", g.op("Sub", value, middle), scale), head)
    g.output(value, "logits", ["N", CLASSES])
    g.output(g.op("Softmax", value, axis=1), "probabilities", ["N", CLASSES])
    metadata = dict.fromkeys(CARRIED, 0.5) | {
        "format": 1, "frontend": frontend.spec(), "classes": ["a", "b", "c"], "licence": network.licence, "data": "0" * 64,
    }  # fmt: skip
    run = Run(place)
    place.mkdir()
    run.write("model.onnx", g.build({"handful": json.dumps(metadata)}))
    rows = []
    for number, (file, row) in enumerate(zip(files, logits, strict=True)):
        copied = f"vectors/{number:02d}{file.suffix}"
        copy_file(file, run.file(copied))
        rows.append({"file": copied, "sha256": sha256_file(file), "label": "a", "logits": row.tolist()})
    run.write_json("vectors.json", rows)
    run.write_json("run.json", {"format": 1, "model": name, "classes": metadata["classes"]})
    return Run.open(place)


# -- mutations: what people get wrong when they run a model by hand ----------------------------------------------------


def tensors(proto: Any) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in proto.graph.initializer}


def rewrite(tensor: Any, change: Callable[[np.ndarray], np.ndarray]) -> None:
    from onnx import numpy_helper

    array = numpy_helper.to_array(tensor)
    changed = np.ascontiguousarray(change(array)).astype(array.dtype)
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))


def channel_order(proto: Any, metadata: dict[str, Any]) -> None:
    """Blue, green, red, as OpenCV reads files."""
    from onnx import helper, numpy_helper

    for node in proto.graph.node:
        for place, name in enumerate(node.input):
            if name == "input":
                node.input[place] = "bgr"
    proto.graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0], np.int64), "order"))
    proto.graph.node.insert(0, helper.make_node("Gather", ["input", "order"], ["bgr"], axis=3))


def mean(proto: Any, metadata: dict[str, Any]) -> None:
    """Means that are a tenth too small, or not zero where they should be."""
    known = tensors(proto)
    node = next(node for node in proto.graph.node if node.op_type == "Sub" and node.input[1] in known)
    rewrite(known[node.input[1]], lambda array: np.where(array == 0, 0.05, array * 0.9))


def resize(proto: Any, metadata: dict[str, Any]) -> None:
    metadata["frontend"]["fit"] = "crop"


def padding(proto: Any, metadata: dict[str, Any]) -> None:
    """One pixel more before, one less behind: the size stays, and everything is shifted."""
    pads = next(a for node in proto.graph.node for a in node.attribute if a.name == "pads" and any(a.ints))
    half = len(pads.ints) // 2
    pads.ints[:] = [n + 1 for n in pads.ints[:half]] + [n - 1 for n in pads.ints[half:]]


def fourier(proto: Any) -> tuple[Any, Any]:
    """(convolution, kernels [2 bins, 1, points]) that make the spectrogram."""
    known = tensors(proto)
    node = next(n for n in proto.graph.node if n.op_type == "Conv" and len(known[n.input[1]].dims) == 3)
    return node, known[node.input[1]]


def filter_bank(proto: Any, metadata: dict[str, Any]) -> None:
    """Each band one bin higher."""
    bins = fourier(proto)[1].dims[0] // 2
    found = [tensor for tensor in tensors(proto).values() if len(tensor.dims) == 2 and tensor.dims[1] == bins]
    assert found, "the graph has no filter bank"
    rewrite(found[0], lambda array: np.roll(array, 1, axis=1))


def window(proto: Any, metadata: dict[str, Any]) -> None:
    """A rectangle in the place of Hann's."""

    def change(kernels: np.ndarray) -> np.ndarray:
        hann = np.hanning(kernels.shape[-1] + 1)[:-1]
        return kernels / np.maximum(hann, 1e-2) * hann.mean()

    rewrite(fourier(proto)[1], change)


def centring(proto: Any, metadata: dict[str, Any]) -> None:
    """Frames that begin 5 ms later."""
    shift = metadata["frontend"]["sample_rate_hz"] // 200
    pads = next((a for a in fourier(proto)[0].attribute if a.name == "pads" and any(a.ints)), None)
    if pads is not None:
        pads.ints[:] = [pads.ints[0] - shift, pads.ints[1] + shift]
        return
    reflecting = [n for n in proto.graph.node if n.op_type == "Pad" and any(a.s == b"reflect" for a in n.attribute)]
    if reflecting:
        rewrite(tensors(proto)[reflecting[0].input[1]], lambda array: array + np.sign(array) * [0, -shift, 0, shift])
    else:  # frames that are never centred: the sound itself is cut
        cut(proto, shift)


def cut(proto: Any, samples: int) -> None:
    from onnx import helper, numpy_helper

    for node in proto.graph.node:
        node.input[:] = ["cut" if name == "input" else name for name in node.input]
    proto.graph.initializer.append(numpy_helper.from_array(np.array([0, -samples, 0, samples], np.int64), "by"))
    proto.graph.node.insert(0, helper.make_node("Pad", ["input", "by"], ["cut"]))


MUTATIONS = {"image": [resize, channel_order, mean, padding], "audio": [filter_bank, window, centring]}


def spoilt(run: Run, change: Callable[[Any, dict[str, Any]], None], path: Path) -> Path:
    import onnx

    proto = onnx.load_model(run.file("model.onnx"))
    metadata = json.loads(next(p.value for p in proto.metadata_props if p.key == "handful"))
    change(proto, metadata)
    onnx.helper.set_model_props(proto, {"handful": json.dumps(metadata)})
    onnx.save_model(proto, path)
    return path


def missed(run: Run, modality: str, place: Path) -> Iterator[str]:
    """Names of mutations that the proof does not catch."""
    import onnx

    from handful.exporting import vectors

    files, expected = vectors(run.path)
    graph = onnx.load_model(run.file("model.onnx")).graph
    pads = [a for node in graph.node for a in node.attribute if a.name == "pads" and any(a.ints)]
    for change in MUTATIONS[modality]:
        if change is padding and not pads:  # transformers that see patches pad nothing
            continue
        opened = exporters.get("onnx").open(spoilt(run, change, place / "spoilt.onnx"))
        # Of what it carries, only the answers are compared here: losing metadata is caught anyway.
        if np.abs(opened.answers(files[FEW]) - expected[FEW]).max() > MAX_ERROR * np.ptp(expected, axis=0).max():
            continue  # the largest difference over all files is this one at least
        error, _, why = disagreement(opened, opened.metadata, files, expected, MAX_ERROR)
        if not why or error <= MAX_ERROR:
            yield change.__name__


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_is_proven_on_twenty_files_and_mistakes_are_caught(
    name: str, media: dict[str, list[Path]], tmp_path: Path
) -> None:
    modality = "audio" if name in SOUND else "image"
    run = exported_run(name, media[modality], tmp_path / "run")
    proof = export(run, "onnx", tmp_path / "out")
    assert (proof.n, proof.agree) == (FILES, FILES) and proof.max_error <= MAX_ERROR
    assert list(missed(run, modality, tmp_path)) == []


def test_the_list_holds_what_was_promised() -> None:
    assert len(PUBLISHED) == 28 and set(PUBLISHED) <= set(NAMES)
    assert {"panns_cnn14", "ghost_efficientnet_v2_s", "mini", "transformer", "conv1d_mel"} <= set(NAMES)
    families = {models.get(name).family for name in PUBLISHED}
    assert families <= {models.get(name).family for name in QUICK}, "one variant of each family runs with `make test`"


def test_a_network_that_says_the_same_of_everything_is_no_proof(media: dict[str, list[Path]], tmp_path: Path) -> None:
    """An export that equals the trained model, both constant: agreement would mean nothing."""
    run = exported_run("squeezenet1_1", media["image"], tmp_path / "run")
    rows = json.loads(run.file("vectors.json").read_text())
    content = spoilt(run, lambda p, m: [rewrite(t, np.zeros_like) for t in p.graph.initializer if tuple(t.dims) == (512, 3)], tmp_path / "c.onnx")  # type: ignore[func-returns-value]  # fmt: skip
    constant = Predictor.load(content)
    files = [run.file(row["file"]) for row in rows]
    expected = np.stack([constant.file_logits(file) for file in files])
    opened = replace(exporters.get("onnx").open(content))
    assert disagreement(opened, opened.metadata, files, expected, MAX_ERROR)[2]
