"""Ridge regression on one-hot targets, linear or with an RBF kernel, its strength chosen in closed form.

Leaving a whole fold out needs no refit: with the hat matrix H the left-out residual is (I - H_bb)^-1 (y - Hy)_b, so all
strengths and folds cost one eigendecomposition.
"""

from __future__ import annotations

import numpy as np

from handful.training.heads import Fitted, Head, Problem, Step, heads

ALPHAS = 10.0 ** np.arange(2.0, -6.5, -1.0)  # from strong to weak, for samples of mean square one
GAMMAS = (0.03, 0.1, 0.3, 1.0)  # from smooth to wiggly; two samples are 2 apart on average (squared)


def scaling(x: np.ndarray, blocks: tuple[int, ...]) -> Step:
    """Standardise each column; each block of columns weighs the same: 1 / sqrt(its width)."""
    mean, std = x.mean(axis=0), x.std(axis=0)
    widths = np.array(blocks or (x.shape[1],), dtype=float)
    per_column = np.repeat(1 / np.sqrt(widths * len(widths)), widths.astype(int)).astype(np.float32)
    floor = max(float(std.max()) * 1e-4, 1e-9)
    return Step(
        "scale",
        {"mean": mean, "scale": np.where(std > floor, per_column / np.maximum(std, floor), 0).astype(np.float32)},
    )


def _left_out(kernel: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Held-out predictions [alphas, n, classes] of kernel ridge, by fold."""
    values, vectors = np.linalg.eigh(kernel.astype(np.float64))
    values = np.maximum(values, 0)
    inside = vectors.T @ targets
    result = np.full((len(ALPHAS), *targets.shape), np.nan)
    for i, alpha in enumerate(ALPHAS):
        shrink = values / (values + alpha)
        fitted = vectors @ (shrink[:, None] * inside)
        for fold in np.unique(folds[folds >= 0]):
            held = folds == fold
            part = vectors[held]
            hat = (part * shrink) @ part.T
            residual = np.linalg.solve(np.eye(held.sum()) * (1 + 1e-9) - hat, targets[held] - fitted[held])
            result[i, held] = targets[held] - residual
    return result


def _fit(problem: Problem, mask: np.ndarray, folds: np.ndarray, kernel: str) -> Fitted:
    wanted = mask[problem.sample]
    owner, plain = problem.sample[wanted], problem.plain[wanted]
    numbers = np.flatnonzero(wanted)[plain]
    scale = scaling(problem.x[wanted], problem.blocks)
    x = scale(problem.x[wanted])
    targets = np.eye(problem.classes)[problem.labels[owner]]
    base = targets.mean(axis=0)
    gram = x @ x.T
    best: tuple[float, float, float, np.ndarray] | None = None
    options = (0.0,) if kernel == "linear" else GAMMAS
    inner = np.full((len(problem.labels), problem.classes), np.nan, np.float32)
    for gamma in options:
        made = (
            gram
            if kernel == "linear"
            else np.exp(-gamma * np.maximum(np.diag(gram)[:, None] + np.diag(gram) - 2 * gram, 0))
        )
        if (folds >= 0).any():
            held = _left_out(made, targets - base, folds[owner])
            known, everyone = np.flatnonzero(folds >= 0), np.arange(len(problem.labels))
            truth = np.eye(problem.classes)[problem.labels[known]]
            for alpha, rows in zip(ALPHAS, held, strict=True):
                found = problem.pooled(np.nan_to_num(rows)[plain], numbers, everyone)[known] + base
                loss = float(((found - truth) ** 2).mean())
                if best is None or loss < best[0] * 0.999:
                    best = (loss, float(alpha), gamma, made)
                    inner[known] = found
        elif best is None:
            best = (0.0, 0.1, options[-1], made)
    assert best is not None
    _, alpha, gamma, made = best
    dual = np.linalg.solve(made.astype(np.float64) + alpha * np.eye(len(made)), targets - base).astype(np.float32)
    if kernel == "linear":
        steps = (scale, Step("affine", {"weight": x.T @ dual, "bias": base.astype(np.float32)}))
        return Fitted(Head(steps), inner, f"alpha={alpha:g}")
    rbf = Step("rbf", {"support": x, "gamma": np.array(gamma, np.float32)})
    return Fitted(
        Head((scale, rbf, Step("affine", {"weight": dual, "bias": base.astype(np.float32)}))),
        inner,
        f"alpha={alpha:g}, gamma={gamma:g}",
    )


@heads.register("ridge")
def ridge(problem: Problem, masks: np.ndarray, inner: np.ndarray, seed: int) -> list[Fitted]:
    """Linear ridge regression on standardised embeddings."""
    return [_fit(problem, mask, folds, "linear") for mask, folds in zip(masks, inner, strict=True)]


@heads.register("kernel_ridge")
def kernel_ridge(problem: Problem, masks: np.ndarray, inner: np.ndarray, seed: int) -> list[Fitted]:
    """Ridge regression with an RBF kernel: a least-squares support vector machine (Suykens and Vandewalle 1999)."""
    return [_fit(problem, mask, folds, "rbf") for mask, folds in zip(masks, inner, strict=True)]
