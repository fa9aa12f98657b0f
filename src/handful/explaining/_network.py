"""What a trained graph saw: Grad-CAM and attention roll-out, read from the ONNX file itself.

Needs no torch and does not care how the model was trained: the file is opened where all that leads from the input to the
logits passes through one feature map, or where its attention maps are. Knows nothing about files, pictures or sounds.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from handful.graph import session
from handful.registry import optional
from handful.words import said

# Size of a finite step, as a share of the embedding's root mean square: errors of float32 and of curvature are both small.
STEP = 0.1
EXTRA_TOKENS = 16  # class, distillation and register tokens that may stand before a transformer's picture tokens
_SHAPES = ("Shape", "Size")  # what only asks how large a value is learns nothing from it


def log_odds(logits: np.ndarray, label: int) -> np.ndarray:
    """log p / (1 - p) of one class, float64 [n] from logits [n, classes].

    Unlike a single logit it does not depend on what a head adds to all classes, unlike the probability it never saturates.
    """
    exact = logits.astype(np.float64)
    others = np.delete(exact, label, axis=1)
    top = others.max(axis=1)
    return np.asarray(exact[:, label] - top - np.log(np.exp(others - top[:, None]).sum(axis=1)))


class OpenNetwork:
    """A model file whose inner values can be looked at; one item at a time.

    Args:
        content: ONNX, from `input` to `logits` [N, classes].

    Raises:
        MissingExtra: onnx is not installed.
    """

    def __init__(self, content: bytes, threads: int | None = None) -> None:
        self._onnx = optional("onnx", "learn", said("extra.looking"))
        self._model = self._onnx.load_from_string(content)
        self._threads = threads
        self._sessions: dict[tuple[str, ...], Any] = {}

    # -- the graph -------------------------------------------------------------------------------------------------

    def _fed_by(self, source: str) -> set[str]:
        """Values that data of `source` flows into, itself included."""
        reached = {source}
        for node in self._model.graph.node:
            if node.op_type not in _SHAPES and reached.intersection(node.input):
                reached.update(node.output)
        return reached

    @cached_property
    def _way(self) -> list[Any]:
        """Nodes through which data flows from the input to the logits, in order."""
        reached, needed, way = self._fed_by("input"), {"logits"}, []
        for node in reversed(self._model.graph.node):
            if needed.intersection(node.output) and reached.intersection(node.output):
                way.append(node)
                needed.update(reached.intersection(node.input))
        return way[::-1]

    @cached_property
    def _narrows(self) -> list[str]:
        """Values through which everything passes on the way to the logits, in order."""
        last = {name: index for index, node in enumerate(self._way) for name in node.input}
        open_values, found = {"input"}, []
        for index, node in enumerate(self._way):
            open_values = {name for name in open_values | set(node.output) if last.get(name, -1) > index}
            if len(open_values) == 1:
                found.append(next(iter(open_values)))
        return list(dict.fromkeys(found))

    def _values(self, item: np.ndarray, names: tuple[str, ...]) -> list[np.ndarray]:
        """Inner values for one item [1, ...]."""
        if names not in self._sessions:
            opened = self._onnx.ModelProto()
            opened.CopyFrom(self._model)
            del opened.graph.output[:]
            opened.graph.output.extend(self._onnx.helper.make_empty_tensor_value_info(name) for name in names)
            self._sessions[names] = session(opened.SerializeToString(), self._threads)
        found: list[np.ndarray] = self._sessions[names].run(list(names), {"input": item})
        return found

    # -- Grad-CAM --------------------------------------------------------------------------------------------------

    def find_map(self, item: np.ndarray) -> bool:
        """Whether there is a last feature map that everything passes and that is then pooled over all positions.

        `item` [1, ...] is any one: it tells the shapes.
        """
        names = tuple(self._narrows)
        values = dict(zip(names, self._values(item, names), strict=True)) if names else {}
        self._sessions.pop(names, None)
        for name, pooled in reversed(list(zip(names, names[1:], strict=False))):
            shape, width = values[name].shape, values[pooled].size
            if len(shape) == 4 and values[name].size > width and width in (shape[1], shape[3]):
                self._map, self._pooled = name, pooled
                self._channels_last = shape[1] != width
                return True
        return False

    @cached_property
    def _tail(self) -> tuple[Any, list[str]]:
        """Session from the pooled map to the logits, and the values before it whose shapes it asks for."""
        graph = self._model.graph
        made_by = {name: index for index, node in enumerate(graph.node) for name in node.output}
        before = self._fed_by("input") - self._fed_by(self._pooled)
        wanted, kept, inputs = ["logits"], set(), [self._pooled]
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
                [helper.make_empty_tensor_value_info("logits")],
                [tensor for tensor in graph.initializer if tensor.name in used],
            ),
            opset_imports=self._model.opset_import, ir_version=self._model.ir_version,
        )  # fmt: skip
        return session(tail.SerializeToString(), self._threads), inputs[1:]

    def _kind(self, name: str) -> int:
        """Element type: everything inside is float32, only the input may be something else."""
        given = next(value for value in self._model.graph.input if value.name == "input")
        return int(given.type.tensor_type.elem_type) if name == "input" else int(self._onnx.TensorProto.FLOAT)

    def grad_cam(self, item: np.ndarray, label: int) -> np.ndarray:
        """Gradient-weighted class activation map [h, w] of one item (Selvaraju et al. 2017, arXiv:1610.02391), unrectified.

        The class's score is its log-odds. Its gradient with respect to the pooled map is taken by central differences
        through the few operators that follow, so that any head can stand there. What is above zero speaks for the class.
        """
        tail, shapes = self._tail
        features, pooled, *others = self._values(item, (self._map, self._pooled, *shapes))
        width = pooled.size
        step = np.float32(STEP * max(float(np.sqrt(np.mean(np.square(pooled, dtype=np.float64)))), 1e-6))
        gradient = np.zeros(width)
        for start in range(0, width, 256):
            count = min(256, width - start)
            moved = np.zeros((count, width), np.float32)
            moved[np.arange(count), np.arange(start, start + count)] = step
            rows = np.concatenate([pooled.reshape(1, width) + moved, pooled.reshape(1, width) - moved])
            feeds = {name: np.repeat(value, len(rows), 0) for name, value in zip(shapes, others, strict=True)}
            logits = tail.run(["logits"], {self._pooled: rows.reshape(-1, *pooled.shape[1:]), **feeds})[0]
            up, down = log_odds(logits[:count], label), log_odds(logits[count:], label)
            gradient[start : start + count] = (up - down) / (2 * float(step))
        channels_last = features[0] if self._channels_last else features[0].transpose(1, 2, 0)
        return np.asarray(channels_last @ gradient)

    # -- attention roll-out ----------------------------------------------------------------------------------------

    def find_attention(self, item: np.ndarray) -> bool:
        """Whether there are attention maps over the tokens of a square picture."""
        names = tuple(node.output[0] for node in self._way if node.op_type == "Softmax" and node.output[0] != "logits")
        values = self._values(item, names) if names else []
        self._sessions.pop(names, None)
        square = [value.ndim == 4 and value.shape[0] == 1 and value.shape[2] == value.shape[3] > 1 for value in values]
        self._attentions = tuple(name for name, fits in zip(names, square, strict=True) if fits)
        tokens = {value.shape[2] for value, fits in zip(values, square, strict=True) if fits}
        if len(tokens) != 1:
            return False
        count = tokens.pop()
        sides = {extra: round((count - extra) ** 0.5) for extra in range(min(EXTRA_TOKENS, count))}
        fitting = [(extra, side) for extra, side in sides.items() if side > 1 and side * side == count - extra]
        if not fitting:
            return False
        self._extra, self._side = fitting[0]
        return True

    def roll_out(self, item: np.ndarray) -> np.ndarray:
        """How much of each picture token reaches the answer (Abnar & Zuidema 2020, arXiv:2005.00928), [h, w].

        Attention averaged over heads, half of it for the residual connection, multiplied through all layers; above zero is
        more than an even share. It tells where the network looks and is the same for every class.
        """
        total: np.ndarray | None = None
        for attention in self._values(item, self._attentions):
            layer = attention[0].mean(axis=0, dtype=np.float64)
            layer = layer + np.eye(len(layer))
            layer /= layer.sum(axis=1, keepdims=True)
            total = layer if total is None else layer @ total
        assert total is not None
        answer = total[0] if self._extra else total.mean(axis=0)  # the class token, or the mean where there is none
        shares = answer[self._extra :].reshape(self._side, self._side)
        return np.asarray(shares - shares.mean())
