"""Writes a traced torch module as ONNX operators, one by one: a tenth of a second where torch's exporter takes seconds.

Knows the operations of convolutional networks and of plain transformers. Anything else makes `write` return None, and torch's own
exporter takes over; either result is proved against torch by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from handful.graph import Graph

if TYPE_CHECKING:
    import torch
    from torch import nn


def write(module: nn.Module, pictures: torch.Tensor, output: str) -> bytes | None:
    """`module` in eval mode, float32 [N, C, H, W] to [N, width], as an ONNX file; None if an operation is not known here."""
    import torch
    from torch.fx.passes.shape_prop import ShapeProp

    try:
        traced = torch.fx.symbolic_trace(module)
    except Exception:  # control flow that depends on data, star-arguments, ...: fx raises many kinds
        return None
    with torch.no_grad():
        ShapeProp(traced).propagate(pictures)
    writer = _Writer(traced, list(pictures.shape[1:]), output)
    try:
        return writer.build()
    except _Unknown:
        return None


class _Unknown(Exception):
    pass


class _Writer:
    """One pass over a traced graph. `values` holds per node the name of an ONNX value, or the Python value it stands for."""

    def __init__(self, traced: Any, seen: list[int], output: str) -> None:
        self.g = Graph()
        self.traced = traced
        self.seen = seen
        self.output = output
        self.values: dict[Any, Any] = {}
        self.folded: set[Any] = set()

    def build(self) -> bytes:
        for node in self.traced.graph.nodes:
            self.values[node] = self._write(node)
        return self.g.build()

    def _write(self, node: Any) -> Any:
        if node.op == "placeholder":
            return self.g.input("pictures", "float32", ["N", *self.seen])
        if node.op == "output":
            width = node.args[0].meta["tensor_meta"].shape[1]
            return self.g.output(self._value(node.args[0]), self.output, ["N", width])
        if node.op == "get_attr":
            return _array(_attribute(self.traced, node.target)).astype(np.float32)
        if node.op == "call_module":
            module = self.traced.get_submodule(node.target)
            return self._known(_MODULES, type(module).__name__)(self, node, module)
        if node.op in ("call_function", "call_method"):
            name = node.target if node.op == "call_method" else node.target.__name__
            return self._known(_FUNCTIONS, name)(self, node)
        raise _Unknown

    @staticmethod
    def _known(table: dict[str, Callable[..., Any]], name: str) -> Callable[..., Any]:
        if name not in table:
            raise _Unknown
        return table[name]

    def _value(self, argument: Any) -> Any:
        if isinstance(argument, list | tuple):
            return [self._value(part) for part in argument]
        return self.values.get(argument, argument) if hasattr(argument, "op") else argument

    def args(self, node: Any) -> list[Any]:
        return [self._value(argument) for argument in node.args]

    def given(self, node: Any, *names: str) -> list[Any]:
        """The first arguments of a call by these names, by place or by name; None where one is left out."""
        by_place = self.args(node)
        rest = [self._value(node.kwargs.get(name)) for name in names[len(by_place) :]]
        return [*by_place[: len(names)], *rest]

    def shape(self, node: Any) -> list[int]:
        """Static shape; the batch axis is -1."""
        return [-1, *node.meta["tensor_meta"].shape[1:]]

    def normalised_by(self, node: Any) -> Any:
        """The batch norm that is the only user of `node`, if there is one."""
        users = list(node.users)
        if len(users) == 1 and users[0].op == "call_module":
            module = self.traced.get_submodule(users[0].target)
            if type(module).__name__ in ("BatchNorm1d", "BatchNorm2d"):
                self.folded.add(users[0])
                return module
        return None


def _attribute(traced: Any, path: str) -> Any:
    place, _, name = path.rpartition(".")
    return getattr(traced.get_submodule(place), name)


def _scale_and_shift(norm: Any) -> tuple[np.ndarray, np.ndarray]:
    scale = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    return scale, _array(norm.bias) - _array(norm.running_mean) * scale


def _array(tensor: Any) -> np.ndarray:
    result: np.ndarray = tensor.detach().cpu().double().numpy()
    return result


def _conv(w: _Writer, node: Any, module: Any) -> Any:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise _Unknown
    weight = _array(module.weight)
    bias = _array(module.bias) if module.bias is not None else None
    norm = w.normalised_by(node)
    if norm is not None:
        scale, shift = _scale_and_shift(norm)
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        bias = shift + (bias * scale if bias is not None else 0)
    return w.g.op(
        "Conv",
        w.args(node)[0],
        weight,
        bias,
        kernel_shape=list(module.kernel_size),
        strides=list(module.stride),
        pads=[*module.padding, *module.padding],
        dilations=list(module.dilation),
        group=module.groups,
    )


def _norm(w: _Writer, node: Any, module: Any) -> Any:
    (x,) = w.args(node)
    if node in w.folded:
        return x
    beyond = [1] * (len(w.shape(node)) - 2)
    scale, shift = (part.reshape(1, -1, *beyond) for part in _scale_and_shift(module))
    return w.g.op("Add", w.g.op("Mul", x, scale), shift)


def _max_pool(w: _Writer, node: Any, module: Any) -> Any:
    axes = len(w.shape(node)) - 2
    kernel, stride, padding, dilation = (
        [value] * axes if isinstance(value, int) else list(value)
        for value in (module.kernel_size, module.stride, module.padding, module.dilation)
    )
    return w.g.op(
        "MaxPool",
        w.args(node)[0],
        kernel_shape=kernel,
        strides=stride,
        pads=padding * 2,
        dilations=dilation,
        ceil_mode=int(module.ceil_mode),
    )


def _avg_pool(w: _Writer, node: Any, module: Any) -> Any:
    axes = len(w.shape(node)) - 2
    kernel, stride, padding = (
        [value] * axes if isinstance(value, int) else list(value)
        for value in (module.kernel_size, module.stride, module.padding)
    )
    if module.ceil_mode or module.divisor_override:
        raise _Unknown
    if kernel == stride == [1] * axes:
        return w.args(node)[0]
    include = int(module.count_include_pad)
    return w.g.op(
        "AveragePool", w.args(node)[0], kernel_shape=kernel, strides=stride, pads=padding * 2, count_include_pad=include
    )


def _global_pool(w: _Writer, node: Any, size: Any) -> Any:
    if list(w.shape(node.args[0])[2:]) == list(size if isinstance(size, tuple | list) else [size] * 2):
        return w.args(node)[0]
    if size not in (1, (1,), (1, 1), [1, 1]):
        raise _Unknown
    return w.g.op("GlobalAveragePool", w.args(node)[0])


def _flatten(w: _Writer, node: Any, start: int) -> Any:
    if start != 1:
        raise _Unknown
    return w.g.op("Flatten", w.args(node)[0], axis=1)


def _linear(w: _Writer, node: Any, module: Any) -> Any:
    bias = None if module.bias is None else _array(module.bias)
    if len(w.shape(node)) > 2:
        product = w.g.op("MatMul", w.args(node)[0], _array(module.weight).T)
        return product if bias is None else w.g.op("Add", product, bias)
    return w.g.op("Gemm", w.args(node)[0], _array(module.weight), bias, transB=1)


def _simple(kind: str, **attributes: Any) -> Callable[..., Any]:
    return lambda w, node, module=None: w.g.op(kind, *w.args(node), **attributes)


def _same(w: _Writer, node: Any, module: Any = None) -> Any:
    return w.args(node)[0]


def _silu(w: _Writer, node: Any, module: Any = None) -> Any:
    (x,) = w.args(node)
    return w.g.op("Mul", x, w.g.op("Sigmoid", x))


def _chunk(w: _Writer, node: Any) -> Any:
    x, pieces = w.args(node)
    axis = node.kwargs.get("dim", 0)
    return w.g.op("Split", x, outputs=pieces, axis=axis, num_outputs=pieces)


def _cat(w: _Writer, node: Any) -> Any:
    parts, *axis = w.args(node)
    return w.g.op("Concat", *parts, axis=node.kwargs.get("dim", axis[0] if axis else 0))


def _view(w: _Writer, node: Any) -> Any:
    x, *shape = w.args(node)
    return w.g.op("Reshape", x, np.array(shape, np.int64))


def _transpose(w: _Writer, node: Any) -> Any:
    x, first, second = w.args(node)
    order = list(range(len(w.shape(node))))
    order[first], order[second] = order[second], order[first]
    return w.g.op("Transpose", x, perm=order)


def _layer_norm(w: _Writer, node: Any, module: Any) -> Any:
    parts = _array(module.weight), _array(module.bias)
    return w.g.op("LayerNormalization", w.args(node)[0], *parts, axis=-len(module.normalized_shape), epsilon=module.eps)


def _over(kind: str) -> Callable[..., Any]:
    """A reduction of one axis, `dim` given by name."""

    def write(w: _Writer, node: Any) -> Any:
        if not isinstance(node.kwargs.get("dim"), int):
            raise _Unknown
        axes = np.array([node.kwargs["dim"]], np.int64)
        return w.g.op(kind, *w.args(node), axes, keepdims=int(node.kwargs.get("keepdim", False)))

    return write


def _gelu(w: _Writer, node: Any, module: Any) -> Any:
    (x,) = w.args(node)
    if module.approximate != "none":
        raise _Unknown
    share = w.g.op("Add", w.g.op("Erf", w.g.op("Mul", x, float(0.5**0.5))), 1.0)
    return w.g.op("Mul", w.g.op("Mul", x, 0.5), share)


def _permute(w: _Writer, node: Any) -> Any:
    x, *order = w.args(node)
    order = list(order[0]) if isinstance(order[0], list | tuple) else order
    return w.g.op("Transpose", x, perm=order)


def _layer_norm_of(w: _Writer, node: Any) -> Any:
    x, shape, weight, bias, epsilon = w.given(node, "input", "normalized_shape", "weight", "bias", "eps")
    if weight is None or epsilon is None:
        raise _Unknown
    return w.g.op("LayerNormalization", x, weight, bias, axis=-len(shape), epsilon=epsilon)


def _pool_of(kind: str) -> Callable[..., Any]:
    """A pooling of pictures that is a function; only the arguments that the catalogue's networks use."""

    def write(w: _Writer, node: Any) -> Any:
        x, *sizes = w.given(node, "input", "kernel_size", "stride", "padding")
        kernel, stride, padding = ([size] * 2 if isinstance(size, int) else size for size in sizes)
        if node.kwargs.keys() - {"input", "kernel_size", "stride", "padding", *_DEFAULTS} or kernel is None:
            raise _Unknown
        if any(node.kwargs.get(name, value) != value for name, value in _DEFAULTS.items()) or len(node.args) > 4:
            raise _Unknown
        more = {"count_include_pad": 1} if kind == "AveragePool" else {}
        return w.g.op(kind, x, kernel_shape=kernel, strides=stride or kernel, pads=[*(padding or [0, 0])] * 2, **more)

    return write


_DEFAULTS = {
    "dilation": 1, "ceil_mode": False, "return_indices": False, "count_include_pad": True, "divisor_override": None,
}  # fmt: skip


def _softmax(w: _Writer, node: Any) -> Any:
    if "dim" not in node.kwargs:
        raise _Unknown
    return w.g.op("Softmax", w.args(node)[0], axis=node.kwargs["dim"])


def _squeeze(w: _Writer, node: Any) -> Any:
    x, *axis = w.args(node)
    if len(axis) != 1:
        raise _Unknown
    return w.g.op("Squeeze", x, np.array(axis, np.int64))


_MODULES: dict[str, Callable[..., Any]] = {
    "Conv1d": _conv,
    "Conv2d": _conv,
    "BatchNorm1d": _norm,
    "BatchNorm2d": _norm,
    "LayerNorm": _layer_norm,
    "MaxPool1d": _max_pool,
    "MaxPool2d": _max_pool,
    "AvgPool2d": _avg_pool,
    "AdaptiveAvgPool1d": lambda w, node, module: _global_pool(w, node, module.output_size),
    "AdaptiveAvgPool2d": lambda w, node, module: _global_pool(w, node, module.output_size),
    "Flatten": lambda w, node, module: _flatten(w, node, module.start_dim),
    "Linear": _linear,
    "ReLU": _simple("Relu"),
    "ReLU6": lambda w, node, module: w.g.op("Clip", *w.args(node), 0.0, 6.0),
    "SiLU": _silu,
    "GELU": _gelu,
    "Sigmoid": _simple("Sigmoid"),
    "Hardswish": _simple("HardSwish"),
    "Hardsigmoid": _simple("HardSigmoid", alpha=1 / 6, beta=0.5),
    "Dropout": _same,
    "Identity": _same,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": _simple("Add"),
    "iadd": _simple("Add"),
    "mul": _simple("Mul"),
    "matmul": _simple("MatMul"),
    "softmax": _softmax,
    "mean": _over("ReduceMean"),
    "amax": _over("ReduceMax"),
    "squeeze": _squeeze,
    "cat": _cat,
    "chunk": _chunk,
    "view": _view,
    "relu": _simple("Relu"),
    "permute": _permute,
    "layer_norm": _layer_norm_of,
    "transpose": _transpose,
    "contiguous": _same,
    "stochastic_depth": _same,
    "adaptive_avg_pool2d": lambda w, node: _global_pool(w, node, node.args[1]),
    "flatten": lambda w, node: _flatten(w, node, w.given(node, "input", "start_dim")[1]),
    "max_pool2d": _pool_of("MaxPool"),
    "avg_pool2d": _pool_of("AveragePool"),
    "size": lambda w, node: w.shape(node.args[0]),
    "getitem": lambda w, node: w.args(node)[0][w.args(node)[1]],
    "floordiv": lambda w, node: w.args(node)[0] // w.args(node)[1],
}
