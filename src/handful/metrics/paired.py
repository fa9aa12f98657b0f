"""Which of two procedures is better on the same samples, and which cannot be told apart."""

from __future__ import annotations

import math

import numpy as np

from handful.metrics.intervals import by_group

LEVEL = 0.05


def mcnemar(hits_a: np.ndarray, hits_b: np.ndarray) -> float:
    """Exact two-sided p value that a and b [n] are right equally often (McNemar 1947, Psychometrika 12:153).

    Only samples that one gets right and the other wrong count: under the null hypothesis each is a fair coin.
    """
    only_a, only_b = _discordant(hits_a, hits_b)
    n, few = only_a + only_b, min(only_a, only_b)
    # From the middle down each term is a fixed ratio of the one before: no large numbers.
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2) for k in range(few + 1)]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def difference(
    hits_a: np.ndarray, hits_b: np.ndarray, groups: np.ndarray | None = None, seed: int = 0
) -> dict[str, float]:
    """Accuracy of a minus that of b on the same samples, with its 95 % interval: {"value", "low", "high"}.

    Without groups a paired bootstrap over samples, drawn from a table in which one sample more is right in a only and one
    in b only (Bonett & Price 2012, J. Educ. Behav. Stat. 37:479): without it, two procedures that agree on 20 samples
    would be proven equal. With groups whole groups are redrawn, below 12 a t interval over the groups' differences.

    Args:
        hits_a, hits_b: bool [n], was the prediction right.
        groups: int [n] where the user named groups; None otherwise.
    """
    n = len(hits_a)
    if n == 0:
        return {"value": 0.0, "low": -1.0, "high": 1.0}
    gaps = np.asarray(hits_a, float) - np.asarray(hits_b, float)
    value = float(gaps.mean())
    low, high = _by_sample(hits_a, hits_b, seed)
    count = len(np.unique(groups)) if groups is not None else n
    if count == 1 < n:
        low, high = -1.0, 1.0  # a single group says nothing about others
    elif groups is not None and count < n:
        low, high, _ = by_group(gaps, groups, (low, high), seed)
    return {"value": value, "low": max(-1.0, min(low, value)), "high": min(1.0, max(high, value))}


def ties(
    hits: np.ndarray, groups: np.ndarray | None = None, seed: int = 0
) -> tuple[int, np.ndarray, list[dict[str, float]]]:
    """Which rows cannot be told from the best one.

    The best row is right most often, of equals the first. Another is tied with it while the 95 % interval of their paired
    difference holds zero; without groups also while McNemar's exact test gives p > 0.05. Every row is held against the best
    alone at 5 %: with many rows, some of equal worth will seem worse than the luckiest.

    Args:
        hits: bool [rows, n], one row a procedure, the same samples in each.
        groups: int [n] where the user named groups; None otherwise.

    Returns:
        (index of the best, bool [rows] tied with it, difference of each row to the best).
    """
    best = int(np.argmax(hits.sum(axis=1)))
    gaps = [difference(row, hits[best], groups, seed) for row in hits]
    gaps[best] = {"value": 0.0, "low": 0.0, "high": 0.0}
    tied = [gap["low"] <= 0 <= gap["high"] for gap in gaps]
    if groups is None:
        tied = [same or mcnemar(row, hits[best]) > LEVEL for same, row in zip(tied, hits, strict=True)]
    return best, np.array(tied), gaps


def _discordant(hits_a: np.ndarray, hits_b: np.ndarray) -> tuple[int, int]:
    a, b = np.asarray(hits_a, bool), np.asarray(hits_b, bool)
    return int((a & ~b).sum()), int((b & ~a).sum())


def _by_sample(hits_a: np.ndarray, hits_b: np.ndarray, seed: int, draws: int = 4000) -> tuple[float, float]:
    """Redrawing n samples is drawing three counts: right in a only, in b only, the rest."""
    n, (only_a, only_b) = len(hits_a), _discordant(hits_a, hits_b)
    shares = np.array([only_a + 1, only_b + 1, n - only_a - only_b]) / (n + 2)
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=draws)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, [0.025, 0.975])
    return float(low), float(high)
