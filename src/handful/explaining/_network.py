"""What a trained graph saw: Grad-CAM and attention roll-out, read from the ONNX file itself.

Needs no torch and does not care how the model was trained: the file is opened where all that leads from the input to the
logits passes through one feature map, or where its attention maps are. Knows nothing about files, pictures or sounds.
"""

from __future__ import annotations

import numpy as np

from handful.flow import FeatureMap, Flow

# Size of a finite step, as a share of the embedding's root mean square: errors of float32 and of curvature are both small.
STEP = 0.1
EXTRA_TOKENS = 16  # class, distillation and register tokens that may stand before a transformer's picture tokens


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
        self._flow = Flow(content, "logits", threads)
        self._map: FeatureMap | None = None

    # -- Grad-CAM --------------------------------------------------------------------------------------------------

    def find_map(self, item: np.ndarray) -> bool:
        """Whether there is a map to look at: see `Flow.last_map`. `item` [1, ...] is any one."""
        self._map = self._flow.last_map(item)
        return self._map is not None

    def grad_cam(self, item: np.ndarray, label: int) -> np.ndarray:
        """Gradient-weighted class activation map [h, w] of one item (Selvaraju et al. 2017, arXiv:1610.02391), unrectified.

        The class's score is its log-odds. Its gradient with respect to the pooled map is taken by central differences
        through the few operators that follow, so that any head can stand there. What is above zero speaks for the class.
        """
        assert self._map is not None
        tail = self._flow.tail(self._map.pooled)
        features, pooled, *others = self._flow.values(item, (self._map.name, self._map.pooled, *tail.asked))
        width = pooled.size
        step = np.float32(STEP * max(float(np.sqrt(np.mean(np.square(pooled, dtype=np.float64)))), 1e-6))
        gradient = np.zeros(width)
        for start in range(0, width, 256):
            count = min(256, width - start)
            moved = np.zeros((count, width), np.float32)
            moved[np.arange(count), np.arange(start, start + count)] = step
            rows = np.concatenate([pooled.reshape(1, width) + moved, pooled.reshape(1, width) - moved])
            logits = tail(rows.reshape(-1, *pooled.shape[1:]), [np.repeat(value, len(rows), 0) for value in others])
            up, down = log_odds(logits[:count], label), log_odds(logits[count:], label)
            gradient[start : start + count] = (up - down) / (2 * float(step))
        channels_last = features[0] if self._map.channels_last else features[0].transpose(1, 2, 0)
        return np.asarray(channels_last @ gradient)

    # -- attention roll-out ----------------------------------------------------------------------------------------

    def find_attention(self, item: np.ndarray) -> bool:
        """Whether there are attention maps over the tokens of a square picture."""
        names = tuple(
            node.output[0] for node in self._flow.way if node.op_type == "Softmax" and node.output[0] != "logits"
        )
        values = self._flow.values(item, names, again=False) if names else []
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
        for attention in self._flow.values(item, self._attentions):
            layer = attention[0].mean(axis=0, dtype=np.float64)
            layer = layer + np.eye(len(layer))
            layer /= layer.sum(axis=1, keepdims=True)
            total = layer if total is None else layer @ total
        assert total is not None
        answer = total[0] if self._extra else total.mean(axis=0)  # the class token, or the mean where there is none
        shares = answer[self._extra :].reshape(self._side, self._side)
        return np.asarray(shares - shares.mean())
