"""How data flows through a finished graph: which values everything passes, and where the last feature map is pooled.

Reads an ONNX file as it is, whoever wrote it; nothing is assumed of its names but `input`. Knows nothing about what flows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from handful.graph import session
from handful.registry import optional
from handful.words import said

_SHAPES = ("Shape", "Size")  # what only asks how large a value is learns nothing from it


@dataclass(frozen=True)
class FeatureMap:
    """The value `name` [N, C, h, w], or [N, h, w, C] with `channels_last`, whose mean over all places is the value `pooled`."""

    name: str
    pooled: str
    channels_last: bool


@dataclass(frozen=True)
class Tail:
    """The end of a graph from one value on. `asked`: earlier values whose shapes it asks for, which it is given as well."""

    source: str
    target: str
    asked: tuple[str, ...]
    run: Any

    def __call__(self, values: np.ndarray, asked: Sequence[np.ndarray]) -> np.ndarray:
        """The target for [n, ...] of the source; each of `asked` [n, ...]."""
        feeds = {self.source: values, **dict(zip(self.asked, asked, strict=True))}
        return np.asarray(self.run.run([self.target], feeds)[0])


class Flow:
    """A graph whose inner values can be looked at, on the way from `input` to `target`.

    Args:
        content: ONNX.

    Raises:
        MissingExtra: onnx is not installed.
    """

    def __init__(self, content: bytes, target: str, threads: int | None = None) -> None:
        self._onnx = optional("onnx", "learn", said("extra.looking"))
        self.model = self._onnx.load_from_string(content)
        self._target, self._threads = target, threads
        self._sessions: dict[tuple[str, ...], Any] = {}
        self._tails: dict[str, Tail] = {}

    def fed_by(self, source: str) -> set[str]:
        """Values that data of `source` flows into, itself included."""
        reached = {source}
        for node in self.model.graph.node:
            if node.op_type not in _SHAPES and reached.intersection(node.input):
                reached.update(node.output)
        return reached

    @cached_property
    def way(self) -> list[Any]:
        """Nodes through which data flows from the input to the target, in order."""
        reached, needed, way = self.fed_by("input"), {self._target}, []
        for node in reversed(self.model.graph.node):
            if needed.intersection(node.output) and reached.intersection(node.output):
                way.append(node)
                needed.update(reached.intersection(node.input))
        return way[::-1]

    @cached_property
    def narrows(self) -> list[str]:
        """Values through which everything passes on the way to the target, in order."""
        last = {name: index for index, node in enumerate(self.way) for name in node.input}
        open_values, found = {"input"}, []
        for index, node in enumerate(self.way):
            open_values = {name for name in open_values | set(node.output) if last.get(name, -1) > index}
            if len(open_values) == 1:
                found.append(next(iter(open_values)))
        return list(dict.fromkeys(found))

    def values(self, items: np.ndarray, names: tuple[str, ...], again: bool = True) -> list[np.ndarray]:
        """Inner values for items [n, ...]; the session is kept for the next call unless it is said not to come `again`."""
        made = self._sessions.get(names)
        if made is None:
            opened = self._onnx.ModelProto()
            opened.CopyFrom(self.model)
            del opened.graph.output[:]
            opened.graph.output.extend(self._onnx.helper.make_empty_tensor_value_info(name) for name in names)
            made = session(opened.SerializeToString(), self._threads)
            if again:
                self._sessions[names] = made
        found: list[np.ndarray] = made.run(list(names), {"input": items})
        return found

    def last_map(self, item: np.ndarray) -> FeatureMap | None:
        """The last feature map that everything passes and that is then pooled over all places, if there is one.

        `item` [1, ...] is any one: it tells the shapes.
        """
        names = tuple(self.narrows)
        values = dict(zip(names, self.values(item, names, again=False), strict=True)) if names else {}
        for name, pooled in reversed(list(zip(names, names[1:], strict=False))):
            shape, width = values[name].shape, values[pooled].size
            if len(shape) == 4 and values[name].size > width and width in (shape[1], shape[3]):
                return FeatureMap(name, pooled, channels_last=shape[1] != width)
        return None

    def tail(self, source: str) -> Tail:
        """From the value `source` to the target."""
        if source not in self._tails:
            self._tails[source] = self._cut(source)
        return self._tails[source]

    def _cut(self, source: str) -> Tail:
        graph = self.model.graph
        made_by = {name: index for index, node in enumerate(graph.node) for name in node.output}
        before = self.fed_by("input") - self.fed_by(source)
        wanted, kept, inputs = [self._target], set(), [source]
        while wanted:
            name = wanted.pop()
            if name in before and name not in inputs:
                inputs.append(name)
            if name not in inputs and name in made_by and made_by[name] not in kept:
                kept.add(made_by[name])
                wanted += graph.node[made_by[name]].input
        nodes = [graph.node[index] for index in sorted(kept)]
        used = {name for node in nodes for name in node.input}
        helper = self._onnx.helper
        tail = helper.make_model(
            helper.make_graph(
                nodes, "tail", [helper.make_tensor_value_info(name, self._kind(name), None) for name in inputs],
                [helper.make_empty_tensor_value_info(self._target)],
                [tensor for tensor in graph.initializer if tensor.name in used],
            ),
            opset_imports=self.model.opset_import, ir_version=self.model.ir_version,
        )  # fmt: skip
        return Tail(source, self._target, tuple(inputs[1:]), session(tail.SerializeToString(), self._threads))

    def _kind(self, name: str) -> int:
        """Element type: everything inside is float32, only the input may be something else."""
        given = next(value for value in self.model.graph.input if value.name == "input")
        return int(given.type.tensor_type.elem_type) if name == "input" else int(self._onnx.TensorProto.FLOAT)
