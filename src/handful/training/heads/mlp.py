"""A small multi-layer perceptron on standardised embeddings, many masked copies of one problem at once.

Each mask is standardised by its own training rows and rotated into the space that they span, where 80 samples of 512
features need 80 coordinates. The penalty keeps the weights in that space, and neither loss nor optimiser depends on the axes
chosen in it, so nothing is lost. Copies of similar size are stacked: one product of stacks serves them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from handful.training.heads import Fitted, Head, Problem, Step, heads
from handful.training.heads.ridge import scaling

_HIDDEN = 64
_DECAY = 3.0  # chosen on training folds, where 1 to 10 differ by less than a seed; alpha of scikit-learn
_STEPS = 500
_RATE = 1.0  # length by which the weights of one unit move in the first steps; rows have length one
_BIAS_RATE = 0.1
_BATCH = 1024  # rows a step; all of them up to so many
_STATISTICS = 8192  # rows at most that mean and deviation are taken from
_STACK = 2_000_000  # elements of a stack of problems
_MISSING = -30.0  # logit of a class without samples

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Masked:
    """Training rows of one mask. `z` float32 [n, r]: rows times `basis` [width, r], which is None where r is the width."""

    scale: Step
    z: np.ndarray
    basis: np.ndarray | None
    onehot: np.ndarray
    weights: np.ndarray


def _rows(problem: Problem, mask: np.ndarray) -> np.ndarray:
    return np.flatnonzero(mask[problem.sample])


def _scale(problem: Problem, rows: np.ndarray) -> Step:
    return scaling(problem.x[rows[:: -(-len(rows) // _STATISTICS)]], problem.blocks)


def _targets(problem: Problem, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(one-hot labels float32 [n, classes], weights float32 [n, 1])."""
    labels = problem.labels[problem.sample[rows]]
    return np.eye(problem.classes, dtype=np.float32)[labels], problem.row_weights[rows][:, None]


def _masked(problem: Problem, rows: np.ndarray) -> _Masked:
    scale = _scale(problem, rows)
    z, basis = scale(problem.x[rows]), None
    if len(z) < z.shape[1]:
        values, vectors = np.linalg.eigh((z @ z.T).astype(np.float64))
        keep = values > max(values[-1], 1e-12) * 1e-6
        roots = np.sqrt(values[keep])
        basis = z.T @ (vectors[:, keep] / roots).astype(np.float32)
        z = (vectors[:, keep] * roots).astype(np.float32)
    return _Masked(scale, z, basis, *_targets(problem, rows))


def _stack(arrays: list[np.ndarray]) -> np.ndarray:
    """[k, most rows, most columns], filled up with zeros."""
    shape = np.max([array.shape for array in arrays], axis=0)
    result = np.zeros((len(arrays), *shape), np.float32)
    for target, array in zip(result, arrays, strict=True):
        target[: array.shape[0], : array.shape[1]] = array
    return result


def _train(draw: Callable[[], Batch], samples: np.ndarray, width: int, seed: int) -> list[np.ndarray]:
    """Minimise mean cross-entropy + decay / (2 samples) * (|W1|^2 + |W2|^2) for a stack of k problems.

    Adam (Kingma and Ba 2015, arXiv:1412.6980) with one second moment for all weights of a unit, which makes it blind to
    rotations of its input, and a cosine schedule.

    Args:
        draw: gives the rows of the next step, float32 [k, n, r], their one-hot labels [k, n, classes] and weights [k, n, 1].
        samples: [k], how many each problem has.
        width: of the features that were scaled to rows of length one; the penalty counts weights of features of variance one.

    Returns:
        W1 [k, r, hidden], b1 [k, 1, hidden], W2 [k, hidden, classes], b2 [k, 1, classes].
    """
    z, onehot, weights = draw()
    (k, _, rank), classes = z.shape, onehot.shape[2]
    rng = np.random.default_rng(seed)
    w2, w1 = (  # in this order: padding of the rank changes nothing that counts
        np.repeat(rng.normal(0, deviation, (1, *shape)).astype(np.float32), k, axis=0)
        for shape, deviation in (((_HIDDEN, classes), _HIDDEN**-0.5), ((rank, _HIDDEN), 2**0.5))
    )
    values = [w1, np.zeros((k, 1, _HIDDEN), np.float32), w2, np.zeros((k, 1, classes), np.float32)]
    decay = (_DECAY / samples).astype(np.float32)[:, None, None]
    penalties = [decay / np.float32(width), None, decay, None]
    first = [np.zeros_like(value) for value in values]
    second = [np.zeros_like(value[:, :1]) for value in values]
    for step in range(1, _STEPS + 1):
        rate = 0.5 * (1 + np.cos(np.pi * (step - 1) / _STEPS)) / (1 - 0.9**step)
        unbiased = 1 - 0.99**step
        for i, gradient in enumerate(_gradients(values, z, onehot, weights)):
            penalty = penalties[i]
            if penalty is not None:
                gradient += penalty * values[i]
            first[i] += 0.1 * (gradient - first[i])
            second[i] += 0.01 * (np.einsum("kij,kij->kj", gradient, gradient)[:, None] - second[i])
            length = rate * (_BIAS_RATE if penalty is None else _RATE)
            values[i] -= np.float32(length) / (np.sqrt(second[i] / unbiased) + 1e-8) * first[i]
        z, onehot, weights = draw()
    return values


def _gradients(values: list[np.ndarray], z: np.ndarray, onehot: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Gradients of the weighted cross-entropy by W1, b1, W2, b2."""
    w1, b1, w2, b2 = values
    hidden = z @ w1
    hidden += b1
    np.maximum(hidden, 0, out=hidden)
    p = hidden @ w2
    p += b2
    p -= p.max(axis=2, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(axis=2, keepdims=True)
    p -= onehot
    p *= weights
    back = p @ w2.transpose(0, 2, 1)
    back *= hidden > 0
    return [
        z.transpose(0, 2, 1) @ back,
        back.sum(axis=1, keepdims=True),
        hidden.transpose(0, 2, 1) @ p,
        p.sum(axis=1, keepdims=True),
    ]


def _head(values: list[np.ndarray], scale: Step, basis: np.ndarray | None, present: np.ndarray) -> Head:
    """Values as `_train` returns them, of one problem; `present` bool [classes]."""
    w1, b1, w2, b2 = values
    weight = w1 if basis is None else basis @ w1[: basis.shape[1]]
    last = {"weight": np.where(present, w2, 0), "bias": np.where(present, b2[0], _MISSING).astype(np.float32)}
    return Head((scale, Step("affine", {"weight": weight, "bias": b1[0]}), Step("relu", {}), Step("affine", last)))


def _stacked(problem: Problem, stack: list[np.ndarray], seed: int) -> list[Head]:
    """Heads trained on all rows [n] of each mask at every step."""
    parts = [_masked(problem, rows) for rows in stack]
    z, onehot = _stack([part.z for part in parts]), _stack([part.onehot for part in parts])
    weights = _stack([part.weights for part in parts])
    samples = weights.sum(axis=(1, 2))
    batch = (z, onehot, weights / samples[:, None, None])
    values = _train(lambda: batch, samples, problem.x.shape[1], seed)
    return [
        _head([value[i] for value in values], part.scale, part.basis, part.onehot.max(axis=0) > 0)
        for i, part in enumerate(parts)
    ]


def _alone(problem: Problem, rows: np.ndarray, seed: int) -> Head:
    """A head trained on random rows of one large mask."""
    scale, rng = _scale(problem, rows), np.random.default_rng([seed, 1])

    def draw() -> Batch:
        drawn = rows[rng.permutation(len(rows))[:_BATCH]]
        onehot, weights = _targets(problem, drawn)
        return scale(problem.x[drawn])[None], onehot[None], (weights / weights.sum())[None]

    values = _train(draw, problem.row_weights[rows].sum(keepdims=True), problem.x.shape[1], seed)
    present = np.isin(np.arange(problem.classes), problem.labels[problem.sample[rows]])
    return _head([value[0] for value in values], scale, None, present)


def _fit(problem: Problem, masks: list[np.ndarray], seed: int) -> Iterator[Head]:
    """A head for each mask, stack by stack."""
    stack: list[np.ndarray] = []
    width = problem.x.shape[1]
    for mask in masks:
        rows = _rows(problem, mask)
        large = len(rows) > _BATCH
        most = max(len(other) for other in (rows, *stack))
        rank = min(most, width)
        elements = most * (rank + 4 * _HIDDEN) + rank * (width + 6 * _HIDDEN)
        if stack and (large or (len(stack) + 1) * elements > _STACK):
            yield from _stacked(problem, stack, seed)
            stack = []
        if large:
            yield _alone(problem, rows, seed)
        else:
            stack.append(rows)
    if stack:
        yield from _stacked(problem, stack, seed)


@heads.register("mlp")
def mlp(problem: Problem, masks: np.ndarray, inner: np.ndarray, seed: int) -> list[Fitted]:
    """One hidden layer of 64 ReLU units with weight decay."""
    owners = [(i, fold) for i, folds in enumerate(inner) for fold in np.unique(folds[folds >= 0])]
    trains = [masks[i] & (inner[i] != fold) for i, fold in owners]
    results = [np.full((len(problem.labels), problem.classes), np.nan, np.float32) for _ in masks]
    for (i, fold), head in zip(owners, _fit(problem, trains, seed), strict=True):
        held = np.flatnonzero(inner[i] == fold)
        results[i][held] = problem.predict(head, held)
    made = zip(masks, _fit(problem, list(masks), seed), results, strict=True)
    return [Fitted(head, result, _setting(problem, mask)) for mask, head, result in made]


def _setting(problem: Problem, mask: np.ndarray) -> str:
    rows = f" of {_BATCH} rows" if len(_rows(problem, mask)) > _BATCH else ""
    return f"{_HIDDEN} units, weight decay {_DECAY:g}, {_STEPS} steps{rows}"
