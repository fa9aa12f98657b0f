"""What a network makes of parts of a picture, from the last feature map of the whole: no further pass through the network.

A part is a window of the map, pooled as the whole map is. Knows graphs and arrays; nothing about files or heads.
"""

from __future__ import annotations

import numpy as np

from handful.flow import FeatureMap, Flow

# A window's side as a share of the map's. With the whole, the four at the middles of the sides did best of some twenty choices in
# cross-validation (faces, 75 photos); corners, a mirrored picture and further sizes added nothing.
SIDE = 0.7


class Parts:
    """A graph from `input` to `embedding` [n, width] that is also asked about parts; `found` tells whether it can be."""

    def __init__(self, content: bytes, threads: int | None = None) -> None:
        self._flow = Flow(content, "embedding", threads)
        shape = self._flow.model.graph.input[0].type.tensor_type.shape.dim
        items = np.random.default_rng(0).integers(0, 256, (2, *(d.dim_value for d in shape[1:])), dtype=np.uint8)
        self._map: FeatureMap | None = None
        try:
            self._map = self._flow.last_map(items[:1])
            self.found = self._map is not None and self._pools(items)
        except Exception:  # a graph that cannot be cut there, or counts its rows; ONNX Runtime's errors share no class
            self.found = False

    def _pools(self, items: np.ndarray) -> bool:
        """Whether the network does pool by taking the mean, and what follows knows nothing of how many there are."""
        plain, seen = self._seen(items)
        return bool(np.abs(seen[:, 0] - plain).max() <= 1e-3 * max(float(np.abs(plain).max()), 1e-6))

    def __call__(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings float32 [n, width] of items, and [n, parts, width] of their parts."""
        plain, seen = self._seen(items)
        return plain, seen[:, 1:]

    def _seen(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings as the network makes them, and again of each of `windows`."""
        assert self._map is not None
        tail = self._flow.tail(self._map.pooled)
        names = (self._map.name, self._map.pooled, "embedding", *tail.asked)
        features, pooled, plain, *asked = self._flow.values(items, names)
        if self._map.channels_last:
            features = features.transpose(0, 3, 1, 2)
        shares = windows(*features.shape[2:])
        means = features.reshape(*features.shape[:2], -1) @ shares  # [n, channels, windows]
        flat = means.transpose(0, 2, 1).reshape(-1, *pooled.shape[1:])
        seen = tail(np.ascontiguousarray(flat), [np.repeat(value, shares.shape[1], axis=0) for value in asked])
        return plain, seen.reshape(len(items), shares.shape[1], -1)


def windows(rows: int, columns: int) -> np.ndarray:
    """float32 [rows * columns, windows]: the share of each place of a map in each part's mean.

    The whole, then left, right, top and bottom, each `SIDE` of both sides of the map.
    """
    height, width = round(SIDE * rows), round(SIDE * columns)
    down, along = rows - height, columns - width
    corners = [(down // 2, 0), (down // 2, along), (0, along // 2), (down, along // 2)]
    shares = np.zeros((1 + len(corners), rows, columns), np.float32)
    shares[0] = 1 / (rows * columns)
    for part, (y, x) in enumerate(corners, start=1):
        shares[part, y : y + height, x : x + width] = 1 / (height * width)
    return shares.reshape(len(shares), -1).T
