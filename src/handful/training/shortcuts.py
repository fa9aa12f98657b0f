"""How well backgrounds, levels and sizes alone tell the classes: a small probe on each, always out of fold.

Ridge regression on standardised numbers and their squares, so that nothing has to be chosen. Knows the blocks of
numbers, not where they come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from handful.metrics.intervals import accuracy

LEVEL = 0.01  # probability of any false alarm among the blocks
PENALTY = 0.01  # of the ridge, as a share of the trace of the Gram matrix
FARTHEST = 4.0  # standard deviations: an outlier is far, not a lever
SAMPLES = 1000  # enough to see a shortcut
DRAWS, BATCH = 999, 111  # permutations of the labels, and how many at a time
CELLS = 4_000_000  # samples times classes times permutations in memory
FAR_OFF = 6.0  # standard deviations
ENOUGH = 20  # permutations as good as the data: after that it cannot become significant


def measure(
    features: Mapping[str, np.ndarray], labels: np.ndarray, groups: np.ndarray, folds: np.ndarray, seed: int = 0
) -> list[dict[str, Any]]:
    """The rows `shortcuts` of run.json: {"name", "score", "chance", "p_value", "above_chance"}, one a block.

    The p value is one-sided: of a binomial with the largest class's share where every sample is its own group, else of
    permutations, see `shuffled`. `above_chance` holds at 1 % over all blocks (Holm 1979, Scand. J. Statist. 6:65), and
    only where the interval lies above chance: a few groups may differ where others do not. Of more than 1,000 samples,
    so many are drawn.

    Args:
        features: float [samples, k] by name, see `audit.shortcuts.features`.
        labels, groups: int [samples].
        folds: int [samples], -1 where a sample only trains.
    """
    drawn = np.random.default_rng(seed).permutation(len(labels))
    some = np.sort(drawn[:SAMPLES])
    features = {name: block[some] for name, block in features.items()}
    labels, groups, folds = labels[some], groups[some], folds[some]
    tested = folds >= 0
    rows: list[dict[str, Any]] = []
    if not tested.any() or len(np.unique(labels)) < 2:
        return rows
    classes = int(labels.max()) + 1
    chance = float(np.bincount(labels[tested]).max() / tested.sum())
    for name, block in features.items():
        probe = _Probe(block, folds)
        hits = probe.predict(labels[:, None], classes)[tested, 0] == labels[tested]
        if len(np.unique(groups)) == len(groups):
            p_value = binomial_tail(int(hits.sum()), len(hits), chance)
        else:
            p_value = _permuted(probe, labels, groups, folds, int(hits.sum()), np.random.default_rng(seed))
        found = accuracy(hits, groups[tested], seed)
        score = {key: found[key] for key in ("value", "low", "high", "n")}
        rows.append({"name": name, "score": score, "chance": chance, "p_value": p_value})
    significant = holm([row["p_value"] for row in rows], LEVEL)
    return [
        row | {"above_chance": bool(sure and row["score"]["low"] > chance)}
        for row, sure in zip(rows, significant, strict=True)
    ]


class _Probe:
    """Ridge regression of one block for every fold; fitting other labels costs two matrix products."""

    def __init__(self, block: np.ndarray, folds: np.ndarray) -> None:
        self.count = len(block)
        self.parts = []
        for fold in np.unique(folds[folds >= 0]):
            held, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            plain, others = _standard(block[train], block[held])
            squares, other_squares = _standard(plain**2, others**2)
            x, z = np.hstack([plain, squares]), np.hstack([others, other_squares])
            gram = x.T @ x
            penalty = PENALTY * np.trace(gram) + 1e-9
            solve = np.linalg.solve(gram + penalty * np.eye(len(gram)), x.T)
            self.parts.append((held, train, z.astype(np.float32), solve.astype(np.float32)))

    def predict(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """Classes int [samples, draws] out of fold for labels int [samples, draws]; -1 where untested."""
        draws = labels.shape[1]
        result = np.full((self.count, draws), -1)
        targets = (labels[:, :, None] == np.arange(classes)).astype(np.float32)
        for held, train, z, solve in self.parts:
            base = targets[train].mean(axis=0)
            wanted = (targets[train] - base).reshape(len(train), -1)
            scores = (z @ (solve @ wanted)).reshape(len(held), draws, classes) + base
            result[held] = scores.argmax(axis=2)
        return result


def _standard(train: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    scale = np.where(deviation > 1e-9, 1 / np.maximum(deviation, 1e-9), 0.0)
    return (
        np.clip((train - mean) * scale, -FARTHEST, FARTHEST),
        np.clip((other - mean) * scale, -FARTHEST, FARTHEST),
    )


def _permuted(
    probe: _Probe, labels: np.ndarray, groups: np.ndarray, folds: np.ndarray, hits: int, rng: np.random.Generator
) -> float:
    """Share of permutations, the data itself included, that do as well; ends early where many do (Besag and Clifford 1991).

    Where all stay six deviations below the data, the normal tail is taken: more of them would not change the answer.
    """
    found: list[int] = []
    as_good, classes = 0, int(labels.max()) + 1
    batch = min(BATCH, max(1, CELLS // (len(labels) * classes)))
    while len(found) < DRAWS and as_good < ENOUGH:
        drawn = np.stack([shuffled(labels, groups, folds, rng) for _ in range(batch)], axis=1)
        predicted = probe.predict(drawn, classes)
        found += ((predicted == drawn) & (predicted >= 0)).sum(axis=0).tolist()
        as_good = sum(n >= hits for n in found)
        distance = (hits - np.mean(found)) / max(float(np.std(found)), 1e-9)
        if not as_good and len(found) >= BATCH and distance > FAR_OFF:
            return 0.5 * math.erfc(distance / math.sqrt(2))
    return (as_good + 1) / (len(found) + 1)


def shuffled(labels: np.ndarray, groups: np.ndarray, folds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels as they might be if they had nothing to do with the samples, groups left whole.

    Groups of one class swap classes, in a group of several classes its samples swap; both only inside a fold: folds are
    made so that each has its share of every class, which draws that lose this would not match.
    """
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    mixed = np.zeros(len(first), bool)
    mixed[inverse[labels != labels[first][inverse]]] = True
    classes = _swapped(labels[first], np.where(mixed, -1, folds[first] + 1), rng)
    return np.where(mixed[inverse], _swapped(labels, groups, rng), classes[inverse])


def _swapped(values: np.ndarray, within: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`values` in random order among those with the same `within`."""
    result = np.empty_like(values)
    result[np.argsort(within, kind="stable")] = values[np.lexsort((rng.random(len(values)), within))]
    return result


def binomial_tail(hits: int, n: int, chance: float) -> float:
    """Probability of at least `hits` of `n`."""
    if hits <= 0 or chance >= 1:
        return 1.0
    k = np.arange(1, n + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))])
    logs = ways + np.arange(n + 1) * np.log(chance) + np.arange(n, -1, -1) * np.log1p(-chance)
    return float(min(1.0, np.exp(logs[hits:]).sum()))


def holm(p_values: list[float], level: float) -> list[bool]:
    """Which hypotheses are rejected so that any false rejection has at most probability `level`."""
    rejected = [False] * len(p_values)
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[index] > level / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected
