"""The networks of the catalogue: one test a promise, over every name in the registry."""

from __future__ import annotations

import copy
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.errors import UsageError, WeightsError
from handful.graph import Graph, session
from handful.models import Network, Weights, facts, models

NETWORKS = [model for model in models if isinstance(model, Network)]
ONE_A_FAMILY = [
    "resnet18",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "efficientnet_b0",
    "small_cnn",
    "mini",
]

# Millions of parameters and input sizes as published with the architectures.
PUBLISHED = {
    "resnet18": (11.7, 224),
    "resnet34": (21.8, 224),
    "resnet50": (25.6, 224),
    "resnet101": (44.5, 224),
    "resnet152": (60.2, 224),
    "resnext50_32x4d": (25.0, 224),
    "resnext101_32x8d": (88.8, 224),
    "resnext101_64x4d": (83.5, 224),
    "mobilenet_v2": (3.5, 224),
    "mobilenet_v3_small": (2.5, 224),
    "mobilenet_v3_large": (5.5, 224),
    "shufflenet_v2_x0_5": (1.4, 224),
    "shufflenet_v2_x1_0": (2.3, 224),
    "shufflenet_v2_x1_5": (3.5, 224),
    "shufflenet_v2_x2_0": (7.4, 224),
    "squeezenet1_0": (1.2, 224),
    "squeezenet1_1": (1.2, 224),
    "efficientnet_b0": (5.3, 224),
    "efficientnet_b1": (7.8, 240),
    "efficientnet_b2": (9.1, 260),
    "efficientnet_b3": (12.2, 300),
    "efficientnet_b4": (19.3, 380),
    "efficientnet_b5": (30.4, 456),
    "efficientnet_b6": (43.0, 528),
    "efficientnet_b7": (66.3, 600),
    "efficientnet_v2_s": (21.5, 384),
    "efficientnet_v2_m": (54.1, 480),
    "efficientnet_v2_l": (118.5, 480),
}


# The weights of another network are where these begin; nobody publishes an accuracy.
RETRAINED = ("resnet18_mel", "efficientnet_v2_s_relu")
LIBRARIES = {"yolo": "ultralytics", "ast": "transformers"}
# Auxiliary classifiers lie in these files, filter banks in those of the PANNs (test_panns.py), half precision in YOLO's.
FILE_BYTES = {"googlenet": 52_146_733, "inception_v3": 108_950_192}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path))
    return tmp_path


# Building the deepest ones takes a second each, even without weights; RegNets and Swins take as long.
DEEP = [n.name for n in NETWORKS if facts(n.name)["blocks"] > 20 or n.family in ("regnet", "swin")]


@pytest.fixture(
    params=[pytest.param(network, marks=pytest.mark.slow if network.name in DEEP else ()) for network in NETWORKS],
    ids=lambda model: model.name,
)
def network(request: pytest.FixtureRequest) -> Network:
    if request.param.extra:
        pytest.importorskip(LIBRARIES[request.param.extra], reason=f"the extra {request.param.extra} is not installed")
    return request.param  # type: ignore[no-any-return]


@cache
def meta(network: Network) -> Any:
    torch = pytest.importorskip("torch")
    with torch.device("meta"):
        return network.create(1000).eval()


def test_reading_the_catalogue_imports_no_torch() -> None:
    code = (
        "import sys; from handful.models import models, facts; facts('resnet18'); models.names(); print(*sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "torchvision", "timm", "onnx", "sklearn"} & set(answer.stdout.split())


def test_the_28_published_variants_are_there() -> None:
    assert set(PUBLISHED) <= {network.name for network in NETWORKS if network.pretrained}


def test_parameters_and_input_are_the_published_ones() -> None:
    for name, (millions, side) in PUBLISHED.items():
        assert facts(name)["parameters"] / 1e6 == pytest.approx(millions, abs=0.05), name
        assert models.get(name).input_size == side


@pytest.mark.parametrize("network", [n for n in NETWORKS if n.pretrained], ids=lambda n: n.name)
def test_published_weights_are_named_completely(network: Network) -> None:
    assert network.url.startswith("https://") and network.licence
    if network.extra or network.family == "panns":  # see their own tests
        return
    assert len(network.weights_sha256) >= 8 and int(network.weights_sha256, 16) >= 0
    expected = FILE_BYTES.get(network.name, 4 * facts(network.name)["parameters"])
    assert network.weights_bytes == pytest.approx(expected, rel=0.06)
    assert network.licence == "BSD-3-Clause"
    if network.name not in RETRAINED:
        assert network.top1 and network.top5 and 50 < network.top1 < network.top5 < 100


def test_facts_are_what_the_module_has(network: Network) -> None:
    pytest.importorskip("torch")
    from handful.models._facts import compute

    assert facts(network.name) == compute(network), "run python -m handful.models._facts"


# Millions of parameters in the papers and in torchvision's table, one of each further family.
FAMILIES = {
    "alexnet": 61.1, "vgg11": 132.9, "vgg19_bn": 143.7, "densenet121": 8.0, "googlenet": 6.6, "inception_v3": 23.8,
    "convnext_tiny": 28.6, "swin_t": 28.3, "swin_v2_t": 28.4, "vit_b_16": 86.6, "regnet_y_400mf": 4.3, "mobilenet_v1": 4.2,
}  # fmt: skip


def test_the_other_families_have_their_published_sizes() -> None:
    for name, millions in FAMILIES.items():
        assert facts(name)["parameters"] / 1e6 == pytest.approx(millions, abs=0.05), name
    assert facts("mobilenet_v1")["macs"] / 1e6 == pytest.approx(569, abs=1)  # arXiv:1704.04861, table 8


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["alexnet", *(n for n in FAMILIES if n not in ("vgg11", "vgg19_bn", "vit_b_16", "alexnet"))]
)
def test_a_body_and_its_head_are_the_network(name: str) -> None:
    torch = pytest.importorskip("torch")
    from handful.models._convert import to_onnx

    network = models.get(name)
    assert isinstance(network, Network)
    torch.manual_seed(0)
    module = network.create(10).eval()
    body, head = network.body(module).eval(), network.replace_head(module, 3)
    picture = torch.randn(1, *network.shape)
    with torch.no_grad():
        torch.testing.assert_close(head(body(picture)), module(picture))
    assert len(to_onnx(body, network.shape, "embedding")) > 3.8 * facts(name)["body_parameters"]  # proved against torch


def test_multiply_adds_are_those_of_the_picture_that_is_seen() -> None:
    """Four times the pixels, four times the work."""
    from handful.features.image import ImageFrontend
    from handful.models import figures

    network = models.get("mobilenet_v2")
    assert isinstance(network, Network)
    whole, large = (figures(network.sized(size), ImageFrontend(size)) for size in (224, 448))
    assert whole == facts("mobilenet_v2") and large["body_parameters"] == whole["body_parameters"]
    assert 3.9 < large["body_macs"] / whole["body_macs"] < 4.1


def test_auxiliary_classifiers_of_a_published_file_are_left_out(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from handful.models._state import build

    network = models.get("googlenet")
    assert isinstance(network, Network)
    state = network.create(1000).state_dict() | {
        "aux1.fc1.weight": torch.zeros(2, 2),
        "aux2.fc1.weight": torch.zeros(2),
    }
    torch.save(state, tmp_path / "net.pth")
    module = build(network, Weights(tmp_path / "net.pth", "net", "0" * 64))
    torch.testing.assert_close(module.state_dict()["fc.weight"], state["fc.weight"])


def test_old_names_of_densenets_tensors_are_understood() -> None:
    from handful.models.densenet import adopt

    old = (
        "features.denseblock1.denselayer1.norm.1.weight",
        "features.denseblock1.denselayer2.conv.2.weight",
        "features.norm0.bias",
    )
    assert list(adopt(dict.fromkeys(old, np.zeros(1)))) == [
        "features.denseblock1.denselayer1.norm1.weight", "features.denseblock1.denselayer2.conv2.weight", "features.norm0.bias",
    ]  # fmt: skip


def test_old_names_of_vision_transformers_tensors_are_understood() -> None:
    pytest.importorskip("torch")
    network = models.get("vit_b_32")
    assert isinstance(network, Network) and network.adopt is not None
    names = set(meta(network).state_dict())
    old = {name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2.") for name in names}
    assert len(old - names) == 12 * 4 and set(network.adopt(dict.fromkeys(old, np.zeros(1)))) == names


def test_a_size_that_positions_do_not_fit_is_refused(photos: Path) -> None:
    network = models.get("vit_b_32")
    assert isinstance(network, Network) and network.sized(224) == network
    with pytest.raises(UsageError, match="vit_b_32 sees pictures of 224 pixels only") as error:
        network.sized(256)
    assert error.value.hint == "leave out --input-size"


def test_signatures_tell_networks_apart() -> None:
    apart = [network for network in NETWORKS if not network.name.endswith("_relu")]  # the same tensors by intention
    assert len({facts(network.name)["signature"] for network in apart}) == len(apart)


def test_body_gives_the_embedding_and_keeps_the_module(network: Network) -> None:
    module = meta(network)
    import torch

    before = set(module.state_dict())
    body = network.body(module)
    picture = torch.empty(2, *network.shape, device="meta")
    assert body(picture).shape == (2, facts(network.name)["width"])
    assert set(module.state_dict()) == before


def test_blocks_hold_every_parameter_of_the_body_once(network: Network) -> None:
    module = meta(network)
    inside = [id(parameter) for block in network.blocks(module) for parameter in block.parameters()]
    assert len(inside) == len(set(inside))
    assert set(inside) == {id(parameter) for parameter in network.body(module).parameters()}


def test_a_new_head_is_returned_and_has_the_classes(network: Network) -> None:
    module = copy.deepcopy(meta(network))
    import torch

    head = network.replace_head(module, 3)
    with torch.device("meta"):
        picture = torch.empty(2, *network.shape)
        head.to("meta")
        embedding = network.body(module)(picture)
        assert head(embedding).shape == module(picture).shape == (2, 3)
    assert any(part is head for part in module.modules())


@pytest.mark.parametrize("name", ONE_A_FAMILY)
def test_the_backbone_computes_what_torch_computes(name: str, home: Path) -> None:
    torch = pytest.importorskip("torch")
    from handful.models import _convert
    from handful.models._state import build

    network = models.get(name)
    assert isinstance(network, Network)
    assert not _convert.cached(network, None)
    proto, width = _convert.backbone(network, None)
    assert _convert.cached(network, None) and width == facts(name)["width"]
    pictures = np.random.default_rng(1).standard_normal((3, *network.shape), np.float32)
    (found,) = session(proto.SerializeToString()).run(None, {proto.graph.input[0].name: pictures})
    with torch.no_grad():
        expected = network.body(build(network, None)).eval()(torch.from_numpy(pictures)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", [network.name for network in NETWORKS if network.graph])
def test_a_family_that_writes_its_own_graph_needs_no_torch(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from handful.models import _convert, _state

    network = models.get(name)
    assert isinstance(network, Network)
    torch.manual_seed(0)
    module = network.create(1000).eval()
    save_file(module.state_dict(), home / "w.safetensors")
    weights = Weights(home / "w.safetensors", "w", "0" * 64)
    pictures = np.random.default_rng(1).standard_normal((2, 3, network.input_size, network.input_size), np.float32)
    with torch.no_grad():
        expected = network.body(module).eval()(torch.from_numpy(pictures)).numpy()
    monkeypatch.setattr(_state, "build", lambda *_: pytest.fail("torch was used"))
    assert _convert.cached(network, weights)
    proto, width = _convert.backbone(network, weights)
    (found,) = session(proto.SerializeToString()).run(None, {"pictures": pictures})
    assert found.shape == (2, width)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    other = models.get("resnet18")
    assert isinstance(other, Network)
    assert not _convert.cached(other, weights)


def test_all_families_are_written_without_the_slow_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from handful.models import _convert

    monkeypatch.setattr(_convert, "_dynamo", lambda *_: pytest.fail("the fast writer does not know an operation"))
    for name in ("mobilenet_v2", "resnext50_32x4d", "ghost_efficientnet_v2_s"):
        network = models.get(name)
        assert isinstance(network, Network)
        torch.manual_seed(0)
        _convert.to_onnx(network.body(network.create(2)).eval(), 64, "embedding")


def test_ghost_modules_save_as_their_description_says() -> None:
    whole, ghost = facts("efficientnet_v2_s"), facts("ghost_efficientnet_v2_s")
    assert (ghost["blocks"], ghost["width"]) == (whole["blocks"], whole["width"])
    # Depthwise convolutions, squeeze-and-excitation and the last 1x1 convolution are not halved.
    assert 0.5 < ghost["macs"] / whole["macs"] < 0.55 and 0.6 < ghost["parameters"] / whole["parameters"] < 0.65


def test_operations_the_writer_does_not_know_go_to_torch_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    from handful.models._convert import to_onnx

    class Odd(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return torch.special.expit(x).mean((2, 3)).cumsum(1)

    content = to_onnx(Odd().eval(), 16, "embedding")
    pictures = np.zeros((3, 3, 16, 16), np.float32)
    np.testing.assert_allclose(session(content).run(None, {"pictures": pictures})[0], [[0.5, 1.0, 1.5]] * 3, rtol=1e-6)
    assert capfd.readouterr() == ("", "")


def test_a_network_that_differs_is_not_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from handful.models import _trace
    from handful.models._convert import backbone, cached

    network = models.get("small_cnn")
    assert isinstance(network, Network)
    write = _trace.write

    def wrong(module: Any, pictures: Any, output: str) -> Any:
        with torch.no_grad():
            next(module.parameters()).mul_(1.01)
        return write(module, pictures, output)

    monkeypatch.setattr(_trace, "write", wrong)
    with pytest.raises(WeightsError, match="differs from torch"):
        backbone(network, None)
    assert not cached(network, None)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone"])
def test_a_damaged_backbone_is_made_again(damage: str, home: Path) -> None:
    pytest.importorskip("torch")
    from handful.models import _convert

    network = models.get("small_cnn")
    assert isinstance(network, Network)
    whole, _ = _convert.backbone(network, None)
    path = _convert._cache_path(network, None)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        del content[-100:]
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes(content) if damage != "gone" else path.unlink()
    assert not _convert.cached(network, None)
    again, _ = _convert.backbone(network, None)
    assert again == whole


def own(path: Path, shape: list[Any], change: Any = None) -> Weights:
    """A tiny ONNX backbone: the mean of each channel."""
    onnx = pytest.importorskip("onnx")
    g = Graph()
    pooled = g.op("GlobalAveragePool", g.input("x", "float32", shape))
    g.output(g.op("Flatten", g.op("Mul", pooled, np.ones((1, 3, 1, 1)))), "y", [shape[0], 3])
    proto = onnx.load_from_string(g.build())
    if change:
        change(onnx, proto)
    path.write_bytes(proto.SerializeToString())
    return Weights(path, path.name, "0" * 64)


def test_an_onnx_file_is_a_backbone(tmp_path: Path) -> None:
    from handful.models._convert import backbone, cached

    network = models.get("resnet18")
    assert isinstance(network, Network)
    for shape in (["N", 3, "H", "W"], ["N", 3, 224, 224], [1, 3, 224, 224]):
        weights = own(tmp_path / "own.onnx", shape)
        assert cached(network, weights)
        assert backbone(network, weights)[1] == 3


def external(onnx: Any, proto: Any) -> None:
    tensor = proto.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def external_constant(onnx: Any, proto: Any) -> None:
    tensor = onnx.numpy_helper.from_array(np.ones(1, np.float32))
    tensor.ClearField("raw_data")
    external(onnx, onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor])))
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    proto.graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=tensor))


def unknown_domain(onnx: Any, proto: Any) -> None:
    proto.graph.node[0].domain = "evil.example"
    proto.opset_import.add(domain="evil.example", version=1)


def two_outputs(onnx: Any, proto: Any) -> None:
    proto.graph.output.append(onnx.helper.make_tensor_value_info(proto.graph.node[0].output[0], 1, None))


def float64_input(onnx: Any, proto: Any) -> None:
    proto.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE


@pytest.mark.parametrize("change", [external, external_constant, unknown_domain, two_outputs, float64_input])
def test_an_onnx_file_that_is_no_backbone_is_refused(change: Any, tmp_path: Path) -> None:
    from handful.models._convert import own_backbone

    with pytest.raises(WeightsError) as caught:
        own_backbone(own(tmp_path / "own.onnx", ["N", 3, "H", "W"], change).path, 224)
    assert caught.value.hint


@pytest.mark.parametrize("shape", [["N", 1, 224, 224], ["N", 3, 100, 100]])
def test_an_onnx_file_for_other_pictures_is_refused(shape: list[Any], tmp_path: Path) -> None:
    from handful.models._convert import own_backbone

    change = None
    with pytest.raises(WeightsError, match=r"\[N, 3, 224, 224\]"):
        own_backbone(own(tmp_path / "own.onnx", shape, change).path, 224)


def test_no_onnx_at_all_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from handful.models._convert import own_backbone

    (tmp_path / "own.onnx").write_bytes(b"\x80\x04not onnx")
    with pytest.raises(WeightsError, match="no sound ONNX file"):
        own_backbone(tmp_path / "own.onnx", 224)


def test_timm_names_are_found_without_being_listed() -> None:
    pytest.importorskip("timm")
    network = models.get("timm/resnet18")
    assert isinstance(network, Network)
    assert network.extra == "timm" and network.input_size == 224 and network.licence == "apache-2.0"
    assert network.url == "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors"
    assert not any(name.startswith("timm/") for name in models.names())
    with pytest.raises(UsageError) as caught:
        models.get("timm/resnet18x")
    assert "timm/resnet18" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "width", "blocks"),
    [("resnet18", 512, 9), ("mobilenetv3_small_100", 1024, 14), ("vit_tiny_patch16_224", 192, 13)],
)
def test_timm_networks_keep_the_promises(name: str, width: int, blocks: int) -> None:
    pytest.importorskip("timm")
    import torch

    network = models.get(f"timm/{name}")
    assert isinstance(network, Network)
    module = network.create(5).eval()
    picture = torch.zeros(1, 3, network.input_size, network.input_size)
    head = network.replace_head(module, 3)
    with torch.no_grad():
        embedding = network.body(module)(picture)
        assert embedding.shape == (1, width)
        torch.testing.assert_close(head(embedding), module(picture))
    assert len(network.blocks(module)) == blocks
    inside = [id(parameter) for block in network.blocks(module) for parameter in block.parameters()]
    assert len(inside) == len(set(inside)) and not {id(parameter) for parameter in head.parameters()} & set(inside)
