"""Heads: from embeddings to logits. A head is a short list of steps that numpy evaluates and a graph can hold.

One kind of head, one file: a function that fits many masked versions of one problem at once (the folds of a
cross-validation share almost all their work). Knows nothing about files, models or graphs' inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from handful.graph import Graph
from handful.metrics.calibration import log_loss, temperature
from handful.registry import Registry

_BLOCK = 1024  # rows at a time: a pass over the features never holds a second copy of them


@dataclass(frozen=True)
class Step:
    """One operation of a head: `kind` names it, `arrays` are its parameters.

    l2: x / |x|;  scale: (x - mean) * scale;  affine: x @ weight + bias;  relu: max(x, 0);
    rbf: exp(-gamma |x - support|^2), one column for each support vector.
    """

    kind: str
    arrays: dict[str, np.ndarray]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        a = self.arrays
        if self.kind == "l2":
            return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))
        if self.kind == "scale":
            return np.asarray((x - a["mean"]) * a["scale"])
        if self.kind == "affine":
            return np.asarray(x @ a["weight"] + a["bias"])
        if self.kind == "relu":
            return np.maximum(x, 0)
        if self.kind == "rbf":
            squares = (x * x).sum(axis=1)[:, None] + (a["support"] ** 2).sum(axis=1) - 2 * (x @ a["support"].T)
            return np.asarray(np.exp(-a["gamma"] * np.maximum(squares, 0)))
        raise ValueError(f"unknown step {self.kind!r}")

    def graph(self, g: Graph, x: str) -> str:
        a = {name: array.astype(np.float32) for name, array in self.arrays.items()}
        if self.kind == "l2":
            norm = g.op("ReduceL2", x, np.array([1], np.int64), keepdims=1)
            return str(g.op("Div", x, g.op("Max", norm, np.float32(1e-12))))
        if self.kind == "scale":
            return str(g.op("Mul", g.op("Sub", x, a["mean"]), a["scale"]))
        if self.kind == "affine":
            return str(g.op("Gemm", x, a["weight"], a["bias"]))
        if self.kind == "relu":
            return str(g.op("Relu", x))
        if self.kind == "rbf":
            own = g.op("ReduceSumSquare", x, np.array([1], np.int64), keepdims=1)
            cross = g.op("Gemm", x, a["support"], alpha=-2.0, transB=1)
            squares = g.op("Add", g.op("Add", own, (self.arrays["support"] ** 2).sum(axis=1).astype(np.float32)), cross)
            return str(g.op("Exp", g.op("Mul", g.op("Relu", squares), -a["gamma"])))
        raise ValueError(f"unknown step {self.kind!r}")


@dataclass(frozen=True)
class Head:
    """Steps from an embedding [n, width] to logits [n, classes]."""

    steps: tuple[Step, ...]

    def logits(self, x: np.ndarray) -> np.ndarray:
        """float32 [n, classes]."""
        for step in self.steps:
            x = step(x)
        return x.astype(np.float32)

    def graph(self, g: Graph, x: str) -> str:
        for step in self.steps:
            x = step.graph(g, x)
        return x

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            f"head.{i}.{step.kind}.{name}": np.ascontiguousarray(array, np.float32)
            for i, step in enumerate(self.steps) for name, array in step.arrays.items()
        }  # fmt: skip

    @property
    def parameters(self) -> int:
        return sum(array.size for step in self.steps for array in step.arrays.values())


@dataclass(frozen=True)
class Problem:
    """Labelled embeddings. A sample owns one row for each of its windows and augmented views.

    `x` float32 [rows, width]; `sample` int [rows]; `plain` bool [rows], rows of the unchanged file, the only ones that are
    ever scored; `labels` int [samples]; `groups` int [samples]; `blocks`: widths of the parts that `a+b` joined.
    """

    x: np.ndarray
    sample: np.ndarray
    plain: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    classes: int
    blocks: tuple[int, ...] = ()

    @cached_property
    def row_weights(self) -> np.ndarray:
        """Rows of one sample weigh one together."""
        return np.asarray(1.0 / np.bincount(self.sample, minlength=len(self.labels))[self.sample], dtype=np.float32)

    def rows(self, samples: np.ndarray) -> np.ndarray:
        """Row numbers of the unchanged files of some samples."""
        wanted = np.zeros(len(self.labels), bool)
        wanted[samples] = True
        return np.flatnonzero(wanted[self.sample] & self.plain)

    def pooled(self, values: np.ndarray, rows: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Means over the windows of each of `samples` (ascending): values [len(rows), m] -> [len(samples), m]."""
        owner = np.searchsorted(samples, self.sample[rows])
        total = np.zeros((len(samples), values.shape[1]), values.dtype)
        np.add.at(total, owner, values)
        return np.asarray(
            total / np.maximum(np.bincount(owner, minlength=len(samples)), 1)[:, None].astype(values.dtype)
        )

    def predict(self, head: Head, samples: np.ndarray) -> np.ndarray:
        """Logits float32 [len(samples), classes] of samples (ascending) by a head, windows averaged."""
        rows = self.rows(samples)
        parts = [head.logits(self.x[rows[i : i + _BLOCK]]) for i in range(0, len(rows), _BLOCK)]
        logits = np.concatenate(parts) if parts else np.zeros((0, self.classes), np.float32)
        return self.pooled(logits, rows, samples)


@dataclass(frozen=True)
class Fitted:
    """A head fitted on one mask. `inner` float [samples, classes]: logits from the folds inside the mask, NaN outside."""

    head: Head
    inner: np.ndarray
    setting: str

    def score(self, labels: np.ndarray) -> tuple[int, float]:
        """(right answers, log-loss at the best temperature) inside the mask."""
        known = ~np.isnan(self.inner[:, 0])
        logits, true = self.inner[known], labels[known]
        if not len(true):
            return 0, float("inf")
        return int((logits.argmax(axis=1) == true).sum()), log_loss(logits / temperature(logits, true), true)


class Unit:
    """Embeddings on the unit sphere, centred: what linear heads stand on, made a block of rows at a time.

    A matrix is read where it lies; only one of some megabytes or less is worth a converted copy.

    `mean` float32 [width]: of the normalised rows.
    """

    _SMALL = 4_000_000  # elements

    def __init__(self, x: np.ndarray) -> None:
        self._x = x
        self.shape = x.shape
        norms = np.concatenate([np.linalg.norm(x[i : i + _BLOCK], axis=1) for i in range(0, len(x), _BLOCK)])
        self._scale = (1.0 / np.maximum(norms, 1e-12)).astype(np.float32)[:, None]
        self.mean = (self._scale[:, 0] @ x) / len(x)
        self._copy = x * self._scale - self.mean if x.size <= self._SMALL else None

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """(rows, float32 [n, width]) from first to last."""
        for start in range(0, len(self._x), _BLOCK):
            rows = slice(start, start + _BLOCK)
            yield rows, self[rows]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        if self._copy is not None:
            return np.asarray(self._copy[rows])
        block = self._x[rows] * self._scale[rows]
        block -= self.mean
        return np.asarray(block)

    def times(self, rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """float32 [len(rows), m]: those rows times `weight` [width, m]."""
        parts = [self[rows[i : i + _BLOCK]] @ weight for i in range(0, len(rows), _BLOCK)]
        return np.concatenate(parts) if parts else np.zeros((0, weight.shape[1]), np.float32)

    @cached_property
    def basis(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues [r] of X'X and its eigenvectors float32 [width, r], of the space that the rows span."""
        if self.shape[0] < self.shape[1]:
            x = self[slice(None)]
            values, vectors = np.linalg.eigh((x @ x.T).astype(np.float64))
            keep = values > values[-1] * 1e-9
            values, vectors = values[keep], vectors[:, keep]
            return values, (x.T @ (vectors / np.sqrt(values)).astype(np.float32)).astype(np.float32)
        gram = np.zeros((self.shape[1], self.shape[1]))
        for _, block in self.blocks():
            gram += block.T @ block
        values, vectors = np.linalg.eigh(gram)
        return np.maximum(values, 0.0), vectors.astype(np.float32)


class Fit(Protocol):
    """Fits one kind of head.

    Args:
        problem: all samples.
        masks: bool [fits, samples], who trains.
        inner: int [fits, samples], the fold inside the mask in which a sample is held out, -1 for samples that are not in it.
        seed: for heads with random starts.
    """

    def __call__(self, problem: Problem, masks: np.ndarray, inner: np.ndarray, seed: int) -> list[Fitted]: ...


heads: Registry[Fit] = Registry("head", "handful.training.heads")


def choose(losses: np.ndarray, settings: Sequence[Any]) -> int:
    """The most regularised setting whose loss is within a thousandth of the best; settings go from strong to weak."""
    return int(np.flatnonzero(losses <= losses.min() + 1e-3 * abs(losses.min()))[0])


def inner_logits(problem: Problem, mask: np.ndarray, folds: np.ndarray, fit: Any) -> np.ndarray:
    """Out-of-fold logits inside one mask by calling `fit(bool [samples]) -> Head` for each inner fold."""
    result = np.full((len(problem.labels), problem.classes), np.nan, np.float32)
    for fold in np.unique(folds[folds >= 0]):
        held = np.flatnonzero(folds == fold)
        result[held] = problem.predict(fit(mask & (folds != fold)), held)
    return result
