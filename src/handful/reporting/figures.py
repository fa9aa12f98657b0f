"""Where the marks of each chart lie, as plain numbers; `templates/figures.html` draws them.

Charts are stretched to the width there is, so x is always a share of the width (0..100) and y of the height, from the top.
Knows nothing about words, colours or HTML.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from handful.reporting.evidence import Prediction

BINS = 10


@dataclass(frozen=True)
class Line:
    """One curve. `role` is "train" or "validation"; `faint` marks a single fold behind the mean of all."""

    role: str
    points: str  # "x,y x,y ..." as SVG wants it
    faint: bool
    last: float


@dataclass(frozen=True)
class Curves:
    """One chart over epochs: `top` is the value of the upper edge, 0 the lower."""

    what: str  # "loss" or "accuracy"
    lines: list[Line]
    top: float
    epochs: int

    def final(self, role: str) -> float | None:
        return next((line.last for line in self.lines if line.role == role and not line.faint), None)


def curves(epochs: Sequence[dict[str, Any]], what: str) -> Curves | None:
    """Training and validation `what` over epochs: a faint line a fold and their mean, or the one line there is."""
    series: dict[tuple[str, Any], dict[int, float]] = defaultdict(dict)
    for row in epochs:
        for role in ("train", "validation"):
            value = row.get(f"{role}_{what}")
            if isinstance(value, int | float) and math.isfinite(value) and isinstance(row.get("epoch"), int):
                series[role, row.get("fold")][row["epoch"]] = float(value)
    if any(fold is not None for _, fold in series):
        series = defaultdict(dict, {key: values for key, values in series.items() if key[1] is not None})
    if not series or max(len(values) for values in series.values()) < 2:
        return None
    means = {
        role: _mean([values for (r, _), values in series.items() if r == role]) for role in ("train", "validation")
    }
    first = min(min(values) for values in series.values())
    last = max(max(values) for values in series.values())
    top = 1.0 if what == "accuracy" else _round_up(max(max(values.values()) for values in series.values()))
    drawn = [_line(role, values, first, last, top, True) for (role, _), values in series.items() if len(series) > 2]
    drawn += [_line(role, values, first, last, top, False) for role, values in means.items() if values]
    return Curves(what, drawn, top, last)


def _mean(folds: list[dict[int, float]]) -> dict[int, float]:
    epochs = sorted({epoch for fold in folds for epoch in fold})
    return {epoch: fmean(fold[epoch] for fold in folds if epoch in fold) for epoch in epochs}


def _line(role: str, values: dict[int, float], first: int, last: int, top: float, faint: bool) -> Line:
    span = max(1, last - first)
    points = [
        f"{100 * (epoch - first) / span:.2f},{100 - 100 * min(value, top) / top:.2f}"
        for epoch, value in sorted(values.items())
    ]
    return Line(role, " ".join(points), faint, values[max(values)])


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999)


@dataclass(frozen=True)
class Bin:
    """Samples of similar confidence: mean confidence, share right, how many."""

    confidence: float
    accuracy: float
    n: int

    @property
    def dot(self) -> float:
        """Diameter in pixels; its area follows `n`."""
        return min(26.0, 5.0 + 1.6 * math.sqrt(self.n))


def reliability(predictions: Sequence[Prediction]) -> list[Bin]:
    """Equally filled bins of confidence, as the expected calibration error uses them; at least five samples a bin."""
    ranked = sorted(predictions, key=lambda p: p.confidence)
    count = max(1, min(BINS, len(ranked) // 5))
    edges = [round(i * len(ranked) / count) for i in range(count + 1)]
    parts = [ranked[low:high] for low, high in zip(edges, edges[1:], strict=False) if high > low]
    return [Bin(fmean(p.confidence for p in part), fmean(p.right for p in part), len(part)) for part in parts]


def shade(share: float) -> int:
    """0..10: how dark a cell of the confusion matrix is. Anything above nothing is at least 1."""
    return min(10, math.ceil(10 * share - 1e-9)) if share > 0 else 0
