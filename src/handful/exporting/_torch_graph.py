"""A run's graph as a torch module, operator by operator: what TorchScript and torch.export are made from.

The module does what the ONNX file does, from decoded items to calibrated logits and probabilities. Knows the operators
that `handful.graph` writes and those of convolutional networks; another one is said by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from handful.errors import ExportError
from handful.registry import optional
from handful.words import said


def module(proto: Any) -> Any:
    """`proto` as an `nn.Module`: items [N, ...] to (logits, probabilities), each float32 [N, classes].

    Raises:
        MissingExtra: torch is not installed.
        ExportError: an operator is not known here.
    """
    torch = optional("torch", "torch", said("extra.export", format="torch"))
    from onnx import helper, numpy_helper

    operators = _operators(torch)

    class Network(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.constants: dict[str, Any] = {}
            self.buffers_of: dict[str, str] = {}
            for number, tensor in enumerate(proto.graph.initializer):
                array = numpy_helper.to_array(tensor).copy()
                if array.dtype.kind == "i":
                    self.constants[tensor.name] = array.tolist()
                else:
                    self.buffers_of[tensor.name] = f"weight_{number}"
                    self.register_buffer(f"weight_{number}", torch.from_numpy(array))
            self.steps = []
            for node in proto.graph.node:
                if node.op_type not in operators:
                    raise ExportError(said("torch.operator", name=node.op_type), said("export.no_layers.fix"))
                attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
                attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
                self.steps.append((operators[node.op_type], list(node.input), list(node.output), attributes))

        def forward(self, input: Any) -> Any:
            values: dict[str, Any] = {"": None, proto.graph.input[0].name: input, **self.constants}
            for name, buffer in self.buffers_of.items():
                values[name] = getattr(self, buffer)
            for operator, names, outputs, attributes in self.steps:
                result = operator(*(values[name] for name in names), **attributes)
                for name, value in zip(outputs, result if isinstance(result, list) else [result], strict=True):
                    values[name] = value
            return values["logits"], values["probabilities"]

    return Network().eval()


def _list(value: Any) -> list[int]:
    return value if isinstance(value, list) else [value]


def _operators(torch: Any) -> dict[str, Callable[..., Any]]:
    """ONNX operator -> function of its inputs and attributes."""
    F = torch.nn.functional

    def reduce(function: Callable[..., Any]) -> Callable[..., Any]:
        def apply(x: Any, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Any:
            return function(x, tuple(range(x.dim())) if axes is None else tuple(_list(axes)), bool(keepdims))

        return apply

    def many(function: Callable[..., Any]) -> Callable[..., Any]:
        def apply(first: Any, *others: Any) -> Any:
            for other in others:
                first = function(first, other)
            return first

        return apply

    return {
        "Identity": lambda x: x,
        "Cast": lambda x, to: x.to(_dtype(torch, to)),
        "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div, "Pow": torch.pow, "MatMul": torch.matmul,
        "Abs": torch.abs, "Neg": torch.neg, "Exp": torch.exp, "Log": torch.log, "Sqrt": torch.sqrt, "Erf": torch.erf,
        "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Relu": torch.relu, "HardSwish": F.hardswish,
        "HardSigmoid": lambda x, alpha=0.2, beta=0.5: torch.clamp(x * alpha + beta, 0, 1),
        "LeakyRelu": lambda x, alpha=0.01: F.leaky_relu(x, alpha),
        "Clip": lambda x, low=None, high=None: torch.clamp(x, low, high),
        "Max": many(torch.maximum), "Min": many(torch.minimum),
        "Greater": torch.gt, "GreaterOrEqual": torch.ge, "Less": torch.lt, "Where": torch.where,
        "LayerNormalization": lambda x, scale, bias=None, axis=-1, epsilon=1e-5: F.layer_norm(
            x, x.shape[axis:], scale, bias, epsilon
        ),
        "Gelu": lambda x, approximate="none": F.gelu(x, approximate=approximate),
        "Softmax": lambda x, axis=-1: torch.softmax(x, axis),
        "Concat": lambda *parts, axis: torch.cat(parts, axis),
        "Transpose": lambda x, perm: x.permute(perm),
        "Flatten": lambda x, axis=1: x.flatten(axis),
        "Reshape": lambda x, shape, allowzero=0: x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape)]),
        "Expand": lambda x, shape: x.expand([-1 if n == 1 else n for n in shape]),
        "Unsqueeze": _unsqueeze, "Squeeze": lambda x, axes: x.squeeze(tuple(_list(axes))), "Slice": _slice,
        "Split": lambda x, sizes=None, axis=0, num_outputs=0: list(
            torch.split(x, _list(sizes) if sizes else -(-x.shape[axis] // num_outputs), axis)
        ),
        "Gemm": lambda a, b, c=0.0, alpha=1.0, beta=1.0, transA=0, transB=0: alpha
        * ((a.T if transA else a) @ (b.T if transB else b)) + beta * c,
        "ReduceMean": reduce(torch.mean), "ReduceSum": reduce(torch.sum), "ReduceMax": reduce(torch.amax),
        "ReduceMin": reduce(torch.amin), "ReduceL2": reduce(lambda x, axes, keep: (x * x).sum(axes, keep).sqrt()),
        "ReduceSumSquare": reduce(lambda x, axes, keep: (x * x).sum(axes, keep)),
        "GlobalAveragePool": lambda x: x.mean(tuple(range(2, x.dim())), True),
        "Conv": lambda *a, **k: _conv(F, *a, **k), "MaxPool": lambda *a, **k: _max_pool(F, *a, **k),
        "AveragePool": lambda *a, **k: _average_pool(F, *a, **k),
        "Pad": lambda x, pads, value=None, mode="constant": F.pad(
            x, _padding(pads), {"edge": "replicate"}.get(mode, mode), **({"value": value} if value is not None else {})
        ),
        "Resize": lambda *a, **k: _resize(F, *a, **k),
    }  # fmt: skip


def _dtype(torch: Any, to: int) -> Any:
    from onnx import helper

    return getattr(torch, str(helper.tensor_dtype_to_np_dtype(to)))


def _unsqueeze(x: Any, axes: Any) -> Any:
    for axis in sorted(_list(axes)):
        x = x.unsqueeze(axis)
    return x


def _slice(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    starts, ends = _list(starts), _list(ends)
    axes = _list(axes) if axes is not None else list(range(len(starts)))
    steps = _list(steps) if steps is not None else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index = [slice(None)] * x.dim()
        index[axis] = slice(start, None if end >= 2**31 - 1 else end, step)
        x = x[tuple(index)]
    return x


def _padding(pads: Sequence[int]) -> list[int]:
    """ONNX order (all begins, all ends) in torch's (last axis first, begin and end); axes that are not padded are left out."""
    half = len(pads) // 2
    flat = [side for axis in reversed(range(half)) for side in (pads[axis], pads[half + axis])]
    while len(flat) > 2 and flat[-2:] == [0, 0]:
        flat = flat[:-2]
    return flat


def _padded(F: Any, x: Any, pads: Sequence[int], value: float = 0.0) -> tuple[Any, Any]:
    """(x, symmetric padding that is left to do): padding that differs between sides is done here."""
    half = len(pads) // 2
    if list(pads[:half]) == list(pads[half:]):
        return x, list(pads[:half]) or 0
    return F.pad(x, _padding(pads), value=value), 0


def _conv(
    F: Any, x: Any, weight: Any, bias: Any = None, kernel_shape: Any = None, strides: Any = 1, pads: Any = (), dilations: Any = 1,
    group: int = 1, auto_pad: str = "NOTSET",
) -> Any:  # fmt: skip
    if auto_pad != "NOTSET":
        raise ExportError(said("torch.padding"), said("export.no_layers.fix"))
    x, padding = _padded(F, x, pads)
    function = F.conv1d if weight.dim() == 3 else F.conv2d
    return function(x, weight, bias, strides, padding, dilations, group)


def _max_pool(
    F: Any, x: Any, kernel_shape: Any, strides: Any = None, pads: Any = (), dilations: Any = 1, ceil_mode: int = 0, **other: Any
) -> Any:  # fmt: skip
    x, padding = _padded(F, x, pads, float("-inf"))
    function = F.max_pool1d if x.dim() == 3 else F.max_pool2d
    return function(x, kernel_shape, strides or 1, padding, dilations, bool(ceil_mode))


def _average_pool(
    F: Any, x: Any, kernel_shape: Any, strides: Any = None, pads: Any = (), ceil_mode: int = 0, count_include_pad: int = 0, **other: Any
) -> Any:  # fmt: skip
    half = len(pads) // 2
    if list(pads[:half]) != list(pads[half:]):
        raise ExportError(said("torch.border"), said("export.no_layers.fix"))
    function = F.avg_pool1d if x.dim() == 3 else F.avg_pool2d
    return function(x, kernel_shape, strides or 1, list(pads[:half]) or 0, bool(ceil_mode), bool(count_include_pad))


def _resize(
    F: Any, x: Any, region: Any = None, scales: Any = None, sizes: Any = None, axes: Any = None, mode: str = "nearest", antialias: int = 0,
    coordinate_transformation_mode: str = "half_pixel", **other: Any,
) -> Any:  # fmt: skip
    plain = sizes is not None and list(axes or []) == [2, 3] and coordinate_transformation_mode == "half_pixel"
    if not plain or mode != "linear":
        raise ExportError(said("torch.resize"), said("export.no_layers.fix"))
    return F.interpolate(x, sizes, mode="bilinear", align_corners=False, antialias=bool(antialias))


def example(proto: Any) -> Any:
    """Two items of zeros: the input of `module`, int8 pixels or float samples as the graph declares them."""
    import torch
    from onnx import helper

    kind = proto.graph.input[0].type.tensor_type
    shape = [2, *(dim.dim_value for dim in kind.shape.dim[1:])]
    return torch.zeros(shape, dtype=getattr(torch, str(helper.tensor_dtype_to_np_dtype(kind.elem_type))))
