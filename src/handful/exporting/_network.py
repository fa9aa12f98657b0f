"""Which nodes of a run's graph are its network: the layers whose weights may be rounded.

Filter banks tell 80 dB apart and kernels of a head compare distances: both stay in fp32. Knows only the graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

PIXELS = "pixels/"
# `Graph.merge` puts net_N/ before the names of a backbone that was spliced in, member_N/ before those of a run in an ensemble.
MERGED = re.compile(rf"(member_\d+/)*net_\d+/|{PIXELS}")
_BETWEEN = ("Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Add", "Mul", "Sigmoid", "HardSwish", "HardSigmoid", "LeakyRelu", "Reshape", "Transpose", "Split", "Pad")  # fmt: skip


def weights(proto: Any) -> dict[str, Any]:
    """Initialisers by name."""
    return {tensor.name: tensor for tensor in proto.graph.initializer}


def layers(proto: Any) -> list[Any]:
    """Convolutions over pictures and matrix products of the backbone, in order; their second input is a constant."""
    known = weights(proto)
    found = []
    for node in proto.graph.node:
        if len(node.input) < 2 or node.input[1] not in known:
            continue
        rank = len(known[node.input[1]].dims)
        heavy = (node.op_type == "Conv" and rank == 4) or (node.op_type in ("MatMul", "Gemm") and rank == 2)
        if heavy and MERGED.match(node.output[0]):
            found.append(node)
    return found


def between(proto: Any, chosen: Iterable[Any]) -> list[Any]:
    """Nodes without weights that stand between two of `chosen`: computed after one and before another."""
    names = {output for node in chosen for output in node.output}
    makers = {output: node for node in proto.graph.node for output in node.output}
    after: set[str] = set()
    for node in proto.graph.node:
        if any(value in names or value in after for value in node.input):
            after.update(node.output)
    before: set[str] = set()
    waiting = [value for node in chosen for value in node.input]
    while waiting:
        value = waiting.pop()
        if value in makers and value not in before:
            before.add(value)
            waiting.extend(makers[value].input)
    inside = (after & before) - names
    return [n for n in proto.graph.node if n.op_type in _BETWEEN and any(v in inside for v in n.output)]


def name_nodes(proto: Any) -> None:
    """Give every node a name of its own."""
    for number, node in enumerate(proto.graph.node):
        node.name = f"{node.op_type.lower()}_{number}"


def fold_normalisation(proto: Any) -> None:
    """Let the first convolution take pixels 0..255: fewer passes over the picture, and its input is rounded without loss.

    Division by 255, subtraction of a mean and division by a deviation of each channel are linear. They go into the
    convolution's kernel and bias, exactly, where it pads nothing; else into a convolution of 1 x 1 before it.
    """
    from onnx import helper, numpy_helper

    known = weights(proto)
    chain, conv = _pixels(proto, known)
    if conv is None:
        return
    channels = known[conv.input[1]].dims[1]
    scale, shift = np.ones(channels), np.zeros(channels)
    value = proto.graph.input[0].name
    for node in chain:
        if node.op_type in ("Cast", "Transpose"):
            node.input[0] = value
            value = node.output[0]
            continue
        constant = numpy_helper.to_array(known[node.input[1]]).astype(np.float64).ravel()
        scale, shift = (scale / constant, shift / constant) if node.op_type == "Div" else (scale, shift - constant)
        proto.graph.node.remove(node)
    names = [f"{PIXELS}kernel", f"{PIXELS}bias"]
    if any(i for a in conv.attribute if a.name == "pads" for i in a.ints):
        arrays = [np.diag(scale).reshape(channels, channels, 1, 1), shift]
        first = helper.make_node("Conv", [value, *names], [f"{PIXELS}normalised"], name="pixels")
        proto.graph.node.insert(list(proto.graph.node).index(conv), first)
        conv.input[0] = f"{PIXELS}normalised"
    else:
        kernel = numpy_helper.to_array(known[conv.input[1]]).astype(np.float64)
        bias = numpy_helper.to_array(known[conv.input[2]]).astype(np.float64) if len(conv.input) > 2 else 0.0
        arrays = [kernel * scale.reshape(1, -1, 1, 1), bias + kernel.sum(axis=(2, 3)) @ shift]
        del conv.input[:]
        conv.input.extend([value, *names])
    for name, array in zip(names, arrays, strict=True):
        proto.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    used = {value for node in proto.graph.node for value in node.input}
    for name, tensor in known.items():
        if name not in used:
            proto.graph.initializer.remove(tensor)


def _pixels(proto: Any, known: dict[str, Any]) -> tuple[list[Any], Any]:
    """(nodes from the graph's input to the first convolution, that one); ([], None) of a graph that begins otherwise."""
    chain: list[Any] = []
    value = proto.graph.input[0].name
    while True:
        users = [node for node in proto.graph.node if value in node.input]
        if len(users) != 1 or users[0].input[0] != value:
            return [], None
        node = users[0]
        if node.op_type == "Conv":
            group = next((a.i for a in node.attribute if a.name == "group"), 1)
            kinds = [n.op_type for n in chain]
            good = kinds[:1] == ["Cast"] and "Transpose" in kinds and node.input[1] in known and group == 1
            return (chain, node) if good else ([], None)
        constant = len(node.input) > 1 and node.input[1] in known
        if not (node.op_type in ("Cast", "Transpose") or (node.op_type in ("Div", "Sub") and constant)):
            return [], None
        chain.append(node)
        value = node.output[0]


def pixels(proto: Any) -> str:
    """The value that holds whole numbers 0..255 and enters a convolution after `fold_normalisation`; "" if there is none."""
    known = weights(proto)
    chain, conv = _pixels(proto, known)
    return "" if conv is None or {n.op_type for n in chain} - {"Cast", "Transpose"} else str(conv.input[0])
