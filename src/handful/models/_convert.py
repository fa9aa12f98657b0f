"""Turns a network and its weights into an ONNX backbone, once: afterwards the file in the cache needs no torch.

A backbone is float32 [N, 3, S, S], normalised pictures (or what else its network sees), to an embedding [N, width]. What came by way of torch is compared
with torch before it is kept. A user may also bring an ONNX file instead of weights; it is checked before anything runs it. Knows nothing about
front-ends, heads or where weights come from.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handful.errors import WeightsError
from handful.files import atomic_write, cache_dir, sha256_file
from handful.graph import OPSET, Graph, session
from handful.models import Network, Weights, digest, facts
from handful.registry import optional
from handful.words import both, said

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto
    from torch import nn

# Goes up when the exported graphs change, so that no older file is used.
VERSION = 1
TOLERANCE = 1e-4

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
_ONNX_HINT = "a backbone takes one float32 [N, 3, H, W] and gives one [N, width], in one file"


def backbone(model: Network, weights: Weights | None) -> tuple[ModelProto, int]:
    """The ONNX backbone of `model` with `weights` (None: seeded random numbers) and the width of its embedding."""
    onnx = optional("onnx", "learn", said("extra.backbone", name=model.name))
    if weights is not None and weights.path.suffix.lower() == ".onnx":
        return own_backbone(weights.path, model.input_size)
    path = _cache_path(model, weights)
    if not whole(path):
        content = export(model, weights)
        made = f"{model.name} {weights.name}" if weights else model.name
        atomic_write(path.with_suffix(".sha256"), f"{hashlib.sha256(content).hexdigest()} {made}")
        atomic_write(path, content)
    proto = onnx.load(path)
    return proto, proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value


def torch_is_here() -> bool:
    """Whether torch is installed; it is not imported."""
    return importlib.util.find_spec("torch") is not None


def cached(model: Network, weights: Weights | None) -> bool:
    """Whether `backbone` needs no torch: its file is there, whole and unchanged, or can be written without."""
    if weights is not None and weights.path.suffix.lower() == ".onnx":
        return True
    return whole(_cache_path(model, weights)) or _plain_tensors(model, weights) is not None


def whole(path: Path) -> bool:
    """Whether a kept backbone is what was written."""
    try:
        return sha256_file(path) == path.with_suffix(".sha256").read_text(encoding="utf-8").split()[0]
    except (OSError, UnicodeDecodeError, IndexError):
        return False


def _cache_path(model: Network, weights: Weights | None) -> Path:
    return cache_dir() / "backbones" / f"{digest(model.key(weights), model.input_size, VERSION)[:32]}.onnx"


def export(model: Network, weights: Weights | None) -> bytes:
    """The serialised backbone: written by the family itself where it can, else by way of torch."""
    tensors = _plain_tensors(model, weights)
    if model.graph is not None and tensors is not None:
        g = Graph()
        x = g.input("pictures", "float32", ["N", *model.shape])
        g.output(model.graph(g, x, tensors), "embedding", ["N", facts(model.name)["width"]])
        return g.build()
    from handful.models._state import build

    return to_onnx(model.body(build(model, weights)).eval(), model.shape, "embedding")


def _plain_tensors(model: Network, weights: Weights | None) -> dict[str, np.ndarray] | None:
    """The tensors from which `model.graph` can write the backbone; None where torch has to, or has to complain."""
    from handful.models._state import read_state, recognise

    if model.graph is None or weights is None or weights.path.suffix.lower() != ".safetensors":
        return None
    tensors = read_state(weights.path)
    sound = all(value.dtype == np.float32 and np.isfinite(value).all() for value in tensors.values())
    return tensors if sound and recognise(tensors) == model.name else None


def to_onnx(module: nn.Module, shape: int | Sequence[int], output: str) -> bytes:
    """`module` in eval mode, float32 [N, *shape] to float32 [N, width], as an ONNX file with a free batch axis.

    `shape`: an int S stands for pictures, (3, S, S).

    Raises WeightsError when ONNX Runtime computes something else than torch.
    """
    from handful.models._trace import write

    torch = optional("torch", "torch", said("extra.converting"))
    shape = (3, shape, shape) if isinstance(shape, int) else shape
    pictures = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)) * 4 - 2
    threads = torch.get_num_threads()
    # One picture is too little work to share: on a busy machine two threads took eight times as long as one.
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            expected = module(pictures[1:]).numpy()
        content = write(module, pictures[1:], output) or _dynamo(module, pictures, output)
    finally:
        torch.set_num_threads(threads)
    # The second of two pictures: a batch axis that is not free shows as well as a wrong operator.
    found = session(content).run(None, {"pictures": pictures.numpy()})[0][1:]
    error = float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))
    if not error < TOLERANCE:
        raise WeightsError(*both("convert.differs", error=f"{error:.1e}"))
    return content


def _dynamo(module: nn.Module, pictures: torch.Tensor, output: str) -> bytes:
    """torch's own exporter, for networks that `_trace` does not know."""
    torch = optional("torch", "torch", said("extra.converting"))
    optional("onnxscript", "learn", said("extra.converting"))
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            (pictures,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            input_names=["pictures"],
            output_names=[output],
            verbose=False,
        )
        width = module(pictures).shape[1]
    proto = program.model_proto
    for node in proto.graph.node:  # where each operator came from in the Python source: of no use outside
        del node.metadata_props[:]
        node.doc_string = ""
    del proto.graph.value_info[:]
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = width
    return bytes(proto.SerializeToString(deterministic=True))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What libraries print, warn and log about their progress; none of it is for the user."""
    level = logging.root.manager.disable
    sink = io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def own_backbone(path: Path, input_size: int) -> tuple[Any, int]:
    """A user's ONNX file as a backbone for pictures of `input_size`; refused when it is anything else than one."""
    onnx = optional("onnx", "learn", said("extra.backbone", name=path.name))
    try:
        proto = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(proto)
    except Exception as error:
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise WeightsError(f"{path.name} is no sound ONNX file ({reason})", _ONNX_HINT) from error
    _check_content(proto, path.name)
    proto = _at_our_opset(proto, path.name)
    initialised = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in initialised]
    if len(inputs) != 1 or len(proto.graph.output) != 1:
        raise WeightsError(f"{path.name} has {len(inputs)} inputs and {len(proto.graph.output)} outputs", _ONNX_HINT)
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    tensor = inputs[0].type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim]
    fits = len(dims) == 4 and dims[1] in (0, 3) and all(side in (0, input_size) for side in dims[2:])
    if tensor.elem_type != onnx.TensorProto.FLOAT or not fits:
        raise WeightsError(f"{path.name} does not take float32 pictures [N, 3, {input_size}, {input_size}]", _ONNX_HINT)
    for value in (proto.graph.input[0], proto.graph.output[0]):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "N"
    return proto, _measured_width(proto, path.name, input_size)


def _check_content(proto: ModelProto, name: str) -> None:
    """Refuse what reaches outside the file or needs code of its own (F-107)."""
    from onnx import TensorProto

    def tensors(graph: Any) -> Iterator[Any]:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        yield from of_nodes(graph.node)

    def of_nodes(nodes: Any) -> Iterator[Any]:
        for node in nodes:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                for graph in (attribute.g, *attribute.graphs):
                    yield from tensors(graph)

    def domains(nodes: Any) -> Iterator[str]:
        for node in nodes:
            yield node.domain
            for attribute in node.attribute:
                for graph in (attribute.g, *attribute.graphs):
                    yield from domains(graph.node)

    inside = [*tensors(proto.graph), *(tensor for function in proto.functions for tensor in of_nodes(function.node))]
    if any(tensor.data_location == TensorProto.EXTERNAL or tensor.external_data for tensor in inside):
        raise WeightsError(
            f"{name} keeps tensors in another file", "save it as one file (onnx.save without external data)"
        )
    unknown = sorted({domain for domain in domains(proto.graph.node) if domain not in _DOMAINS})
    if proto.functions or unknown:
        raise WeightsError(
            f"{name} needs operators of its own ({', '.join(unknown) or 'functions'})",
            "use standard ONNX operators only",
        )


def _at_our_opset(proto: ModelProto, name: str) -> ModelProto:
    """Every graph is spliced into one of `OPSET`, so older files are raised to it."""
    from onnx import version_converter

    version = max((opset.version for opset in proto.opset_import if opset.domain in ("", "ai.onnx")), default=0)
    if version >= OPSET:
        return proto
    try:
        return version_converter.convert_version(proto, OPSET)
    except Exception as error:
        raise WeightsError(
            f"{name} is written in opset {version} and cannot be raised to {OPSET}", f"export it with opset {OPSET}"
        ) from error


def _measured_width(proto: ModelProto, name: str, input_size: int) -> int:
    pictures = np.random.default_rng(0).standard_normal((2, 3, input_size, input_size), np.float32)
    try:
        (embedding,) = session(proto.SerializeToString()).run(None, {proto.graph.input[0].name: pictures})
    except Exception as error:
        raise WeightsError(f"{name} does not run on two pictures of {input_size} pixels", _ONNX_HINT) from error
    if embedding.ndim != 2 or len(embedding) != 2 or embedding.dtype != np.float32 or not np.isfinite(embedding).all():
        raise WeightsError(f"{name} gives {embedding.dtype} {list(embedding.shape)} for two pictures", _ONNX_HINT)
    return int(embedding.shape[1])
