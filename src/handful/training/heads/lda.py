"""Linear discriminant analysis with analytic shrinkage, on l2-normalised embeddings."""

from __future__ import annotations

import numpy as np

from handful.training.heads import Fitted, Head, Problem, Step, Unit, heads, inner_logits


def solve(
    x: np.ndarray, labels: np.ndarray, weights: np.ndarray, classes: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """(weight [r, classes], bias [classes]) of LDA with Ledoit-Wolf shrinkage towards a multiple of the identity.

    Rows that belong to one sample share its weight; shrinkage counts samples (the sum of the weights), not rows, because
    views of one sample are no new evidence (Ledoit and Wolf 2004, J. Multivariate Analysis 88).

    Args:
        x: float32 [rows, r], coordinates in the space that the rows span.
        labels: int [rows].
        weights: float [rows].
        classes: number of classes; one without rows gets the mean of all.
        width: of the space before rotation, over which the mean variance is taken.
    """
    n = float(weights.sum())
    onehot = np.eye(classes, dtype=np.float32)[labels] * weights[:, None]
    totals = onehot.sum(axis=0)
    means = np.where(totals[:, None] > 0, (onehot.T @ x) / np.maximum(totals, 1e-9)[:, None], (weights @ x) / n)
    within = (x - means[labels]) * np.sqrt(weights)[:, None]
    covariance = (within.T @ within).astype(np.float64) / n
    mean_variance = np.trace(covariance) / width
    squares = float(np.vdot(covariance, covariance))
    lengths = np.einsum("ij,ij->i", within, within, dtype=np.float64)
    fourth = float((lengths**2 / np.maximum(weights, 1e-9)).sum())
    spread = squares - width * mean_variance**2
    shrinkage = 1.0 if spread <= 0 else float(np.clip((fourth / n - squares) / n / spread, 0.0, 1.0))
    shrinkage = max(shrinkage, 1e-4)
    covariance *= 1 - shrinkage  # in place: with hundreds of dimensions each copy costs as much as a product
    covariance.flat[:: len(covariance) + 1] += shrinkage * mean_variance + 1e-12
    weight = np.linalg.solve(covariance, means.T.astype(np.float64))
    prior = np.log(np.maximum(totals, 0.5) / n)
    bias = prior - 0.5 * np.einsum("kr,rk->k", means, weight)
    return weight.astype(np.float32), bias.astype(np.float32)


@heads.register("lda")
def lda(problem: Problem, masks: np.ndarray, inner: np.ndarray, seed: int) -> list[Fitted]:
    """Shrinkage LDA; strong with few samples and augmented views."""
    unit = Unit(problem.x)
    mean, (rows, width) = unit.mean, unit.shape
    basis = unit.basis[1] if rows < width else None  # everything happens in the span of the rows
    x = unit[slice(None)] if basis is None else unit[slice(None)] @ basis
    row_labels = problem.labels[problem.sample]

    def fit(mask: np.ndarray) -> Head:
        wanted = mask[problem.sample]
        weight, bias = solve(x[wanted], row_labels[wanted], problem.row_weights[wanted], problem.classes, width)
        full = weight if basis is None else basis @ weight
        return Head((Step("l2", {}), Step("affine", {"weight": full, "bias": bias - mean @ full})))

    return [
        Fitted(fit(mask), inner_logits(problem, mask, folds, fit), "Ledoit-Wolf")
        for mask, folds in zip(masks, inner, strict=True)
    ]
