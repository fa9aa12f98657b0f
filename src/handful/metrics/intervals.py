"""How sure a score is. The estimand: accuracy of the shipped procedure on new samples, or on new groups where there are groups.

What these intervals really cover is measured by benchmarks/coverage.py.
"""

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


def student_t(freedom: int) -> float:
    """97.5 % quantile of Student's t; above 10 degrees of freedom by expansion (Abramowitz & Stegun 26.7.5), to 0.001."""
    if freedom <= len(_T975):
        return _T975[freedom - 1]
    z = Z95
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def cluster_bootstrap(values: np.ndarray, groups: np.ndarray, seed: int = 0, draws: int = 4000) -> tuple[float, float]:
    """95 % interval for the mean of `values` [n], whole groups redrawn.

    The percentiles are taken further out than 2.5 and 97.5, as far as Student's t and the n - 1 of the variance ask for:
    plain percentiles are too narrow with few groups (Hesterberg 2015, The American Statistician 69:371).
    """
    _, inverse = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(inverse, values), np.bincount(inverse)
    count = len(sums)
    tail = 0.5 * math.erfc(student_t(count - 1) * math.sqrt(count / (count - 1) / 2))
    rng, means = np.random.default_rng(seed), np.empty(draws)
    for start in range(0, draws, 500):  # in parts: thousands of groups are thousands of weights a draw
        part = means[start : start + 500]
        weights = rng.multinomial(count, np.full(count, 1 / count), size=len(part))
        part[:] = (weights @ sums) / (weights @ sizes)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def group_t(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """95 % t interval over group means, unclipped, for 2 to 11 groups, where a bootstrap is too narrow."""
    _, inverse = np.unique(groups, return_inverse=True)
    means = np.bincount(inverse, values) / np.bincount(inverse)
    half = student_t(len(means) - 1) * means.std(ddof=1) / math.sqrt(len(means))
    return float(means.mean() - half), float(means.mean() + half)


def by_group(
    values: np.ndarray, groups: np.ndarray, plain: tuple[float, float], seed: int = 0
) -> tuple[float, float, str]:
    """(low, high, name) for the mean of `values` [n] on new groups; at least two groups.

    Args:
        plain: the interval that independent samples would have. Groups never make a score surer: where few errors let
            the groups look alike and their interval comes out narrower than this one, it is widened to hold it.
    """
    count = len(np.unique(groups))
    if count < FEW_GROUPS:
        low, high, name = *group_t(values, groups), f"t over {count} group means"
    else:
        low, high, name = *cluster_bootstrap(values, groups, seed), "cluster bootstrap"
    if high - low < plain[1] - plain[0]:
        low, high = min(low, plain[0]), max(high, plain[1])
    return low, high, name


def accuracy(hits: np.ndarray, groups: np.ndarray | None = None, seed: int = 0) -> dict[str, Any]:
    """Accuracy with its 95 % interval: {"metric", "value", "low", "high", "n", "interval"}.

    Args:
        hits: bool [n], was the prediction right.
        groups: int [n] where the user named groups; None otherwise.
    """
    n, right = len(hits), float(np.sum(hits))
    value = right / n if n else 0.0
    count = len(np.unique(groups)) if groups is not None else n
    plain = wilson(right, n)
    if groups is None or count == n:
        low, high, name = *plain, "wilson"
    elif count < 2:
        low, high, name = 0.0, 1.0, "none (a single group says nothing about others)"
    elif right in (0, n):  # equal values have no spread, yet 40 of 40 from 4 groups is no proof of 100 %
        low, high, name = *wilson(count * value, count), "wilson over groups"
    else:
        low, high, name = by_group(np.asarray(hits, float), groups, plain, seed)
    # A value from unequal groups may lie outside the interval of group means; the interval is widened to hold it.
    return {
        "metric": "accuracy",
        "value": value,
        "low": max(0.0, min(low, value)),
        "high": min(1.0, max(high, value)),
        "n": n,
        "interval": name,
    }


def rate(hits: np.ndarray, groups: np.ndarray | None = None, seed: int = 0) -> dict[str, Any]:
    """Any share with its 95 % interval, as `accuracy` makes it: {"value", "low", "high", "n"}; hits bool [n]."""
    found = accuracy(hits, groups, seed)
    return {key: found[key] for key in ("value", "low", "high", "n")}
