"""How the error falls with more samples, and how far that can be continued."""

from __future__ import annotations

import math

import numpy as np

from handful.metrics.intervals import Z95, student_t

SLOPES = np.linspace(0.05, 2.0, 79)  # of log error over log samples; narrower, a band misses curves near its ends


def power_law(shots: np.ndarray, errors: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float, float]:
    """(a, b, c) of error = a * shots ** -b + c with a, c >= 0 and b in 0.05 to 2 (Hestness et al. 2017, arXiv:1712.00409).

    Weighted least squares: exact in a and c for each b of a grid, so that no start value can lead it astray.

    Args:
        shots: float [m], samples a class, at least one.
        errors: float [m], the error there.
        weights: float [m], how much each point counts (one over its variance); None: all the same.
    """
    a, b, c = _fit(np.asarray(shots, float), np.asarray(errors, float)[None], weights)
    return float(a[0]), float(b[0]), float(c[0])


def band(
    shots: np.ndarray,
    error_draws: np.ndarray,
    ahead: np.ndarray,
    seed: int = 0,
    tested: int | None = None,
    refits: int = 1000,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(low, mid, high), each [k]: the error with `ahead` [k] samples a class and the 95 % band of the curve there.

    Power laws are refitted on redrawn rows; the rows' scatter is widened as Student's t asks for with few of them. The band
    takes for granted that the error follows a power law: beyond four times the largest of `shots` it is a guess.

    Args:
        shots: float [m], samples a class, rising.
        error_draws: float [draws, m], each row one random choice of training samples; at least two rows.
        tested: number of samples that all draws were scored on, where these were the same ones: their luck is common to the
            whole curve and cannot be seen in the scatter. None: only the scatter of the draws.
    """
    shots, ahead, draws = np.asarray(shots, float), np.asarray(ahead, float), np.asarray(error_draws, float)
    rng, count, mean = np.random.default_rng(seed), len(draws), draws.mean(axis=0)
    wider = math.sqrt(count / (count - 1)) * student_t(count - 1) / Z95
    redrawn = mean + wider * (draws[rng.integers(count, size=(refits, count))].mean(axis=1) - mean)
    if tested:
        share = (mean * tested + 2) / (tested + 4)  # never without luck, not even where nothing was wrong
        redrawn = redrawn + rng.normal(size=(refits, 1)) * np.sqrt(share * (1 - share) / (tested + 4))
    low, high = np.quantile(_curve(*_fit(shots, np.clip(redrawn, 0, 1), None), ahead), [0.025, 0.975], axis=0)
    mid = _curve(*_fit(shots, mean[None], None), ahead)[0]
    return np.minimum(low, mid), mid, np.maximum(high, mid)


def _curve(a: np.ndarray, b: np.ndarray, c: np.ndarray, shots: np.ndarray) -> np.ndarray:
    """Errors [fits, m], none above 1."""
    return np.minimum(1.0, a[:, None] * shots ** -b[:, None] + c[:, None])


def _fit(
    shots: np.ndarray, errors: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b, c, each [fits], for errors [fits, m]: a straight line over shots ** -b for every b, and the best b."""
    share = np.ones(len(shots)) if weights is None else np.asarray(weights, float)
    share = share / share.sum()
    x = shots ** -SLOPES[:, None]  # [slopes, m]
    mean_x, mean_xx, mean_y = x @ share, x**2 @ share, (errors @ share)[:, None]
    mean_xy = (errors * share) @ x.T  # [fits, slopes]
    spread = mean_xx - mean_x**2
    a = np.where(spread > 1e-12, (mean_xy - mean_y * mean_x) / np.maximum(spread, 1e-12), 0.0)
    c = mean_y - a * mean_x
    # Outside the bounds the least squares lie on one: no floor, or no fall at all.
    a, c = np.where(c < 0, mean_xy / mean_xx, a), np.maximum(c, 0.0)
    a, c = np.maximum(a, 0.0), np.where(a < 0, mean_y, c)
    lost = a**2 * mean_xx + c**2 + 2 * a * c * mean_x - 2 * a * mean_xy - 2 * c * mean_y
    best = lost.argmin(axis=1)
    rows = np.arange(len(errors))
    return a[rows, best], SLOPES[best], c[rows, best]
