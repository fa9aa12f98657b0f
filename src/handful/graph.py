"""Write an ONNX graph by calling operators on names and arrays.

Everything that turns a decoded file into a prediction (filter banks, normalisation, extractors, heads) is written once,
here, as graph operators; training, prediction and export run the same graph. Knows nothing about images, sounds or models.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handful.errors import UsageError
from handful.machine import processors
from handful.registry import late, optional
from handful.words import both, said

if TYPE_CHECKING:
    import numpy as np

    Operand = str | np.ndarray | np.generic | float | int | tuple[int, ...]
else:
    np = late("numpy")

# 18 is what torch's exporter writes at the lowest; one number for all nodes lets graphs be spliced without conversion.
OPSET = 18
IR_VERSION = 9
DEVICES = ("auto", "cpu", "cuda")
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

Dim = int | str


class Graph:
    """A graph under construction. Values are names (str); arrays given as operands become initialisers."""

    def __init__(self) -> None:
        self._onnx = optional("onnx", "learn", said("extra.model_file"))
        self._nodes: list[Any] = []
        self._initialisers: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._opsets: dict[str, int] = {"": OPSET}
        self._count = 0

    def _name(self, hint: str) -> str:
        self._count += 1
        return f"{hint}_{self._count}"

    def input(self, name: str, dtype: str, shape: Sequence[Dim]) -> str:
        """Declare an input of numpy `dtype`; a str in `shape` is a named dynamic axis."""
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, value: str, name: str, shape: Sequence[Dim], dtype: str = "float32") -> str:
        """Publish `value` under `name`."""
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append(self._onnx.helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def constant(self, array: Operand) -> str:
        """An initialiser. Python floats become float32, ints and tuples of them int64; arrays keep their dtype (float64 becomes float32)."""
        if isinstance(array, str):
            return array
        if isinstance(array, bool):
            value = np.array(array)
        elif isinstance(array, int):
            value = np.array(array, np.int64)
        else:
            value = np.asarray(array)
            if value.dtype == np.float64:
                value = value.astype(np.float32)
        name = self._name("const")
        self._initialisers.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(self, kind: str, *operands: Operand | None, outputs: int = 1, **attributes: Any) -> Any:
        """Append operator `kind`; returns its output's name (a list of names when `outputs` > 1)."""
        names = ["" if operand is None else self.constant(operand) for operand in operands]
        results = [self._name(kind.lower()) for _ in range(outputs)]
        self._nodes.append(self._onnx.helper.make_node(kind, names, results, **attributes))
        return results[0] if outputs == 1 else results

    def merge(self, model: Any, inputs: dict[str, str], called: str = "net") -> list[str]:
        """Splice a ModelProto in: its inputs are replaced as `inputs` says, the names of its outputs are returned.

        All other names in it begin with `called` and a number, so that it may be spliced in beside others.
        """
        prefix = self._name(called) + "/"
        names: dict[str, str] = {"": ""} | inputs
        rename = lambda name: names.setdefault(name, prefix + name)  # noqa: E731
        for tensor in model.graph.initializer:
            copy = self._onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = rename(tensor.name)
            self._initialisers.append(copy)
        for node in model.graph.node:
            copy = self._onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = prefix + node.name if node.name else ""
            copy.input[:] = [rename(name) for name in node.input]
            copy.output[:] = [rename(name) for name in node.output]
            self._nodes.append(copy)
        for opset in model.opset_import:
            self._opsets[opset.domain] = max(self._opsets.get(opset.domain, 0), opset.version)
        return [rename(value.name) for value in model.graph.output]

    def build(self, metadata: dict[str, str] | None = None, doc: str = "") -> bytes:
        """The finished model, serialised. `metadata` becomes `metadata_props`."""
        helper = self._onnx.helper
        graph = helper.make_graph(self._nodes, "handful", self._inputs, self._outputs, self._initialisers)
        opsets = [helper.make_opsetid(domain, version) for domain, version in self._opsets.items()]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="handful", doc_string=doc
        )
        helper.set_model_props(model, metadata or {})
        return bytes(model.SerializeToString(deterministic=True))


def run_threads(threads: int | None) -> int:
    """Threads for one ONNX Runtime session: as asked, else as many cores as this process may use."""
    if threads:
        return threads
    env = os.environ.get("OMP_NUM_THREADS", "")
    if env.isdigit() and int(env) > 0:
        return int(env)
    return processors()


def session(model: bytes | str, threads: int | None = None, device: str = "cpu") -> Any:
    """An ONNX Runtime session. On the CPU same threads mean same numbers: one intra-op pool, sequential order.

    Args:
        device: cpu; cuda; auto: the GPU where the ONNX Runtime that is installed can use one, else the CPU.

    Raises:
        UsageError: there is no such device, or no GPU that can be used.
    """
    import onnxruntime

    providers = _providers(device)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = run_threads(threads)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Tensors in other files are looked for where nothing can be; by default even a model in memory opens what it names.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", f"{os.devnull}/none")
    made = onnxruntime.InferenceSession(model, options, providers=providers)
    if device == "cuda" and made.get_providers()[0] != _CUDA:
        raise UsageError(*both("device.no_driver"))
    return made


def _providers(device: str) -> list[Any]:
    """What ONNX Runtime is to use, the best first. Raises UsageError."""
    import onnxruntime

    if device not in DEVICES:
        raise UsageError(*both("device.unknown", name=repr(device), names=list(DEVICES)))
    there = _CUDA in onnxruntime.get_available_providers()
    if device == "cuda" and not there:
        raise UsageError(*both("device.no_gpu"))
    if device == "cpu" or not there:
        return [_CPU]
    with contextlib.suppress(
        Exception
    ):  # CUDA's libraries as pip installs them; without, those of the system are tried
        onnxruntime.preload_dlls()
    # Tensor cores would round to ten bits; what was proven is the model without that.
    return [(_CUDA, {"use_tf32": 0, "cudnn_conv_algo_search": "HEURISTIC"}), _CPU]
