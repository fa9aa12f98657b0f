"""Multinomial logistic regression with an L2 penalty, many masked copies of one problem at once.

All folds and penalties share the features, so one matrix product serves them all: 525 regressions on 100 samples take the
time of a handful. The strength is chosen by log-loss inside each mask; by accuracy it would tie at small n and pick too
strong a penalty.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from handful.metrics.calibration import log_loss
from handful.training.heads import Fitted, Head, Problem, Step, Unit, choose, heads

STRENGTHS = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)  # C of scikit-learn, from strong to weak penalty
_ITERATIONS = 300
_TOLERANCE = 1e-3
_BLOCK = 1024
_PRODUCT = 2_000_000  # elements of a block of rows times all problems and classes
_SMALL = 4_000_000  # elements up to which a rotated copy of the features pays


def solve(
    x: Unit, onehot: np.ndarray, weights: np.ndarray, strengths: np.ndarray, weighting: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise sum_i w_i * cross_entropy_i + |W|^2 / (2 C) for several weightings w and strengths C, intercept not penalised.

    Nesterov's method with restarts under Boehning's bound: the Hessian of the loss is at most X'X / 2 (Boehning 1992,
    Ann. Inst. Stat. Math. 44), so in the eigenbasis of X'X every coordinate has its own safe step and no line search is needed.

    Args:
        x: embeddings [rows, width].
        onehot: float32 [rows, classes].
        weights: float32 [weightings, rows], each at most 1.
        strengths: float [problems].
        weighting: int [problems], the row of `weights` that each problem uses; one after the other when None.

    Returns:
        (W float32 [problems, width, classes], b float32 [problems, classes])
    """
    problems, classes = len(strengths), onehot.shape[1]
    which = np.arange(problems) if weighting is None else weighting
    values, basis = x.basis
    z = _rotated(x, basis)
    penalty = (1.0 / strengths).astype(np.float32)[:, None, None]  # [P, 1, 1]
    step = 1.0 / (0.5 * values[None, :, None].astype(np.float32) + penalty)
    bias_step = 1.0 / (0.5 * weights.sum(axis=1)).astype(np.float32)[which, None]
    w = np.zeros((problems, basis.shape[1], classes), np.float32)
    b = np.zeros((problems, classes), np.float32)
    w_old, b_old, momentum = w.copy(), b.copy(), np.ones(problems, np.float32)
    active = np.arange(problems)
    for _ in range(_ITERATIONS):
        t = momentum[active]
        t_next = (1 + np.sqrt(1 + 4 * t * t)) / 2
        beta = ((t - 1) / t_next)[:, None]
        v = w[active] + beta[:, :, None] * (w[active] - w_old[active])
        c = b[active] + beta * (b[active] - b_old[active])
        grad, grad_b = _gradient(
            x if z is None else z, None if z is not None else basis, v, c, onehot, weights, which[active]
        )
        grad += penalty[active] * v
        w_new, b_new = v - step[active] * grad, c - bias_step[active] * grad_b
        moved = w_new - w[active]
        # The gradient points against the way just gone: momentum has overshot and starts anew.
        overshot = np.einsum("pdk,pdk->p", grad, moved) + np.einsum("pk,pk->p", grad_b, b_new - b[active]) > 0
        w_old[active], b_old[active] = w[active], b[active]
        w[active], b[active] = w_new, b_new
        momentum[active] = np.where(overshot, 1, t_next)
        w_old[active[overshot]], b_old[active[overshot]] = w_new[overshot], b_new[overshot]
        size = np.abs(w_new).max(axis=(1, 2)) + 1e-6
        active = active[np.abs(moved).max(axis=(1, 2)) > _TOLERANCE * size]
        if not len(active):
            break
    return np.einsum("dr,prk->pdk", basis, w, optimize=True), b


def _rotated(x: Unit, basis: np.ndarray) -> np.ndarray | None:
    """The rows in the eigenbasis, where that copy is small."""
    return x[slice(None)] @ basis if x.shape[0] * basis.shape[1] <= _SMALL else None


def _blocks(z: np.ndarray | Unit, most: int) -> Iterator[tuple[slice, np.ndarray]]:
    size = min(_BLOCK, most)
    yield from ((slice(i, i + size), z[i : i + size]) for i in range(0, z.shape[0], size))


def _gradient(
    z: np.ndarray | Unit,
    basis: np.ndarray | None,
    v: np.ndarray,
    c: np.ndarray,
    onehot: np.ndarray,
    weights: np.ndarray,
    which: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the weighted cross-entropy by (v, c), all problems in one product, rows in blocks."""
    problems, width, classes = v.shape
    flat = np.ascontiguousarray(v.transpose(1, 0, 2)).reshape(width, problems * classes)
    columns = flat if basis is None else basis @ flat
    total = np.zeros((z.shape[1], problems * classes), np.float32)
    bias = np.zeros((problems, classes), np.float32)
    for rows, block in _blocks(z, max(64, _PRODUCT // columns.shape[1])):
        p = (block @ columns).reshape(len(block), problems, classes)
        p += c
        p -= p.max(axis=2, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(axis=2, keepdims=True)
        p -= onehot[rows, None, :]
        p *= weights[which, rows].T[:, :, None]
        bias += p.sum(axis=0)
        total += block.T @ p.reshape(len(block), problems * classes)
    grad = total if basis is None else basis.T @ total
    return np.ascontiguousarray(grad.reshape(width, problems, classes).transpose(1, 0, 2)), bias


@heads.register("logistic")
def logistic(problem: Problem, masks: np.ndarray, inner: np.ndarray, seed: int) -> list[Fitted]:
    """Logistic regression on l2-normalised embeddings."""
    x = Unit(problem.x)
    mean = x.mean
    onehot = np.eye(problem.classes, dtype=np.float32)[problem.labels[problem.sample]]
    trains, owners = [], []
    for i, (mask, folds) in enumerate(zip(masks, inner, strict=True)):
        for fold in np.unique(folds[folds >= 0]):
            trains.append(mask & (folds != fold))
            owners.append((i, int(fold)))
    chosen = np.full(len(masks), len(STRENGTHS) // 2)
    results = [np.full((len(problem.labels), problem.classes), np.nan, np.float32) for _ in masks]
    if trains:
        table = np.stack(trains)[:, problem.sample] * problem.row_weights
        count = len(STRENGTHS)
        w, b = solve(x, onehot, table, np.tile(STRENGTHS, len(trains)), np.repeat(np.arange(len(trains)), count))
        by_strength = np.full((len(masks), count, len(problem.labels), problem.classes), np.nan, np.float32)
        for number, (i, fold) in enumerate(owners):
            held = np.flatnonzero(inner[i] == fold)
            rows = problem.rows(held)
            part = slice(number * count, (number + 1) * count)
            logits = x.times(rows, w[part].transpose(1, 0, 2).reshape(x.shape[1], -1)) + b[part].ravel()
            found = problem.pooled(logits, rows, held).reshape(len(held), count, problem.classes)
            by_strength[i][:, held] = found.transpose(1, 0, 2)
        for i in range(len(masks)):
            known = inner[i] >= 0
            losses = np.array(
                [log_loss(by_strength[i, s, known], problem.labels[known]) for s in range(len(STRENGTHS))]
            )
            chosen[i] = choose(losses, STRENGTHS)
            results[i] = by_strength[i, chosen[i]]
    table = (masks[:, problem.sample] * problem.row_weights).astype(np.float32)
    w, b = solve(x, onehot, table, np.array(STRENGTHS)[chosen])
    return [
        Fitted(
            Head((Step("l2", {}), Step("affine", {"weight": w[i], "bias": b[i] - mean @ w[i]}))),
            results[i],
            f"C={STRENGTHS[chosen[i]]:g}",
        )
        for i in range(len(masks))
    ]
