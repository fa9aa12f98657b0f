"""What mattered to a model that can only be asked: hide parts at random and see what that does to the answer.

After RISE (Petsiuk et al. 2018, arXiv:1806.07421): smooth random masks. Instead of the mean over
masks a ridge regression tells the parts' shares apart, which takes a tenth of the masks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from handful.explaining._colours import scaled

MASKS = 96
HIDDEN = 0.25  # share of the parts that a mask hides: not so much that the model answers to the holes
STRENGTH = 0.1  # of the penalty, relative to the mean variance of a part over the masks
_BATCH = 16

Score = Callable[[np.ndarray], np.ndarray]


def occlusion(
    score: Score, grid: tuple[int, int], shape: tuple[int, int], seed: int = 0, masks: int = MASKS
) -> np.ndarray:
    """How much each part of the item speaks for the class: a map of `shape`, smooth between the parts of `grid`.

    Args:
        score: log-odds of the class, [M] for what is kept, float [M, *shape].
    """
    rng = np.random.default_rng(seed)
    rows, columns = grid
    order = rng.permuted(np.tile(np.arange(rows * columns), (masks, 1)), axis=1)
    parts = (order >= HIDDEN * rows * columns).astype(float)
    answers = np.concatenate([
        score(np.stack([scaled(part.reshape(grid), *shape) for part in parts[i : i + _BATCH]]))
        for i in range(0, len(parts), _BATCH)
    ])  # fmt: skip
    x = parts - parts.mean(axis=0)
    gram = x.T @ x
    penalty = STRENGTH * np.trace(gram) / len(gram)
    shares = np.linalg.solve(gram + penalty * np.eye(len(gram)), x.T @ (answers - answers.mean()))
    return scaled(shares.reshape(grid), *shape)
