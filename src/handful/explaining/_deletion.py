"""Does a map point at what the model used? Hide it, and see whether that hurts more than hiding as much elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

AREA = 0.2
CONTROLS = 16

Probabilities = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Deletion:
    """By how much the probability of the predicted class drops: `salient` when the most salient fifth is hidden, `random`
    when as much of the same form is hidden elsewhere (mean over the controls)."""

    salient: float
    random: float

    @property
    def passed(self) -> bool:
        return self.salient >= self.random


def most_salient(saliency: np.ndarray, area: float = AREA) -> np.ndarray:
    """bool of the same shape: the cells with the highest values, exactly `area` of all."""
    chosen = np.zeros(saliency.size, bool)
    chosen[np.argsort(-saliency.ravel(), kind="stable")[: round(area * saliency.size)]] = True
    return chosen.reshape(saliency.shape)


def deletion(probability: Probabilities, saliency: np.ndarray, seed: int = 0, controls: int = CONTROLS) -> Deletion:
    """The deletion test of one item (after Petsiuk et al. 2018, arXiv:1806.07421, at one area and with a control).

    A control is the salient part itself, moved by a random distance along both axes (what leaves on one side comes in on the
    other): the same area in the same number of pieces, so that only the place differs.

    Args:
        probability: of the predicted class, [M] for what is kept, float [M, rows, columns].
    """
    rng = np.random.default_rng(seed)
    salient = most_salient(saliency)
    moves = [tuple(int(rng.integers(0, side)) for side in salient.shape) for _ in range(controls)]
    masks = np.stack([np.zeros_like(salient), salient, *(np.roll(salient, move, axis=(0, 1)) for move in moves)])
    whole, without, *elsewhere = probability(1.0 - masks)
    return Deletion(float(whole - without), float(whole - np.mean(elsewhere)))
