"""How sure a score is. The estimand: accuracy of the shipped procedure on new samples, or on new groups where there are groups."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Z95 = 1.959963984540054
FEW_GROUPS = 12
# Student's t, 97.5 % quantile for 1 to 10 degrees of freedom (any statistics table).
_T975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)


def wilson(hits: float, n: int) -> tuple[float, float]:
    """95 % score interval for a proportion (Wilson 1927, JASA 22:209)."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = hits / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def cluster_bootstrap(hits: np.ndarray, groups: np.ndarray, seed: int = 0, draws: int = 4000) -> tuple[float, float]:
    """95 % percentile interval for the mean of `hits` [n], whole groups redrawn."""
    _, inverse = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(inverse, hits), np.bincount(inverse)
    weights = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=draws)
    means = (weights @ sums) / (weights @ sizes)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def group_t(hits: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """95 % t interval over group means, for 2 to 11 groups, where a bootstrap is too narrow."""
    _, inverse = np.unique(groups, return_inverse=True)
    means = np.bincount(inverse, hits) / np.bincount(inverse)
    half = _T975[len(means) - 2] * means.std(ddof=1) / math.sqrt(len(means))
    return max(0.0, float(means.mean() - half)), min(1.0, float(means.mean() + half))


def accuracy(hits: np.ndarray, groups: np.ndarray | None = None, seed: int = 0) -> dict[str, Any]:
    """Accuracy with its 95 % interval: {"metric", "value", "low", "high", "n", "interval"}.

    Args:
        hits: bool [n], was the prediction right.
        groups: int [n] where the user named groups; None otherwise.
    """
    n, right = len(hits), float(np.sum(hits))
    value = right / n if n else 0.0
    count = len(np.unique(groups)) if groups is not None else n
    wide = wilson(right, n)
    if groups is None or count == n:
        low, high, name = *wide, "wilson"
    elif count < 2:
        low, high, name = 0.0, 1.0, "none (a single group says nothing about others)"
    elif count < FEW_GROUPS:
        low, high, name = *group_t(hits.astype(float), groups), f"t over {count} group means"
    else:
        low, high, name = *cluster_bootstrap(hits.astype(float), groups, seed), "cluster bootstrap"
        if right in (0, n):  # a bootstrap of equal values has no width, yet 40 of 40 is no proof of 100 %
            rate = wilson(count * value, count)
            low, high, name = *rate, "wilson over groups"
    # A value from unequal groups may lie outside the interval of group means; the interval is widened to hold it.
    return {
        "metric": "accuracy",
        "value": value,
        "low": min(low, value),
        "high": max(high, value),
        "n": n,
        "interval": name,
    }
