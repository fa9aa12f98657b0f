"""Where the marks of each chart lie, as plain numbers; `templates/figures.html` draws them.

Charts are stretched to the width there is, so x is always a share of the width and y of the height.
Knows nothing about words, colours or HTML.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from handful.reporting.evidence import Prediction

BINS = 10
EPOCHS_LISTED = 25
MAPPED = 1000
COLOURS = 8
SHAPES = 6


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
    rows: list[tuple[int, float | None, float | None]]  # epoch, mean over folds on what was trained on and held back

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
    every = sorted({epoch for values in means.values() for epoch in values})
    thinned = [
        epoch
        for epoch in every
        if len(every) <= EPOCHS_LISTED or epoch % -(-len(every) // EPOCHS_LISTED) == 0 or epoch == last
    ]
    rows = [(epoch, means["train"].get(epoch), means["validation"].get(epoch)) for epoch in thinned]
    return Curves(what, drawn, top, last, rows)


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

    def dot(self, largest: int) -> float:
        """Diameter in pixels; its area follows `n`, and `largest` is the n of the largest."""
        return max(5.0, 20.0 * math.sqrt(self.n / max(1, largest)))


def reliability(stored: Any, confidences: Sequence[tuple[str, float, bool]]) -> list[Bin]:
    """The bins that run.json holds, else equally filled ones of `confidences`, at least five predictions a bin."""
    rows = [
        row
        for row in stored or []
        if row.get("n") and row.get("confidence") is not None and row.get("accuracy") is not None
    ]
    if rows:
        return [Bin(row["confidence"], row["accuracy"], row["n"]) for row in rows]
    if len(confidences) < BINS:
        return []
    return [
        Bin(fmean(c for _, c, _ in part), fmean(r for *_, r in part), len(part)) for part in _binned(confidences, [])
    ]


def bins_of(stored: Any, confidences: Sequence[tuple[str, float, bool]]) -> dict[str, set[int]]:
    """File -> the bins of `reliability` that its predictions fall into. Empty where the stored bins are of other predictions."""
    sizes = [row.get("n") or 0 for row in stored or []]
    if sizes and sum(sizes) != len(confidences):
        return {}
    found: dict[str, set[int]] = defaultdict(set)
    for k, part in enumerate(_binned(confidences, sizes)):
        for file, *_ in part:
            found[file].add(k)
    return found


def _binned(confidences: Sequence[tuple[str, float, bool]], sizes: list[int]) -> list[list[tuple[str, float, bool]]]:
    ranked = sorted(confidences, key=lambda c: c[1])
    count = max(1, min(BINS, len(ranked) // 5))
    sizes = sizes or [len(part) for part in np.array_split(np.arange(len(ranked)), count)]
    edges = np.cumsum([0, *sizes]).tolist()
    return [ranked[low:high] for low, high in zip(edges, edges[1:], strict=False) if high > low]


@dataclass(frozen=True)
class Learning:
    """Accuracy over samples a class, x logarithmic. Shares of the chart's width from the left and height from the bottom."""

    points: list[dict[str, float]]  # x, y, low, high
    band: str  # polygon
    known: str  # middle of the band up to what was measured, and beyond
    beyond: str
    ticks: list[tuple[float, int]]
    floor: float
    now: float


def learning(points: Sequence[dict[str, Any]], band: Sequence[dict[str, Any]]) -> Learning | None:
    """Where the points of a learning curve and the band of its power law lie; None below two points."""
    points = sorted((p for p in points if p.get("value") is not None), key=lambda p: p["per_class"])
    band = sorted((p for p in band if p.get("value") is not None), key=lambda p: p["per_class"])
    if len(points) < 2:
        return None
    sizes = [p["per_class"] for p in (*points, *band)]
    first, last = math.log(min(sizes)), math.log(max(sizes))
    lowest = min(min(p["value"], _or(p.get("low"), p["value"])) for p in (*points, *band))
    floor = max(0.0, math.floor(lowest * 10) / 10 - (0.1 if round(math.floor(lowest * 10)) % 2 else 0.0))

    def x(size: float) -> float:
        return (math.log(size) - first) / max(last - first, 1e-9)

    def y(value: float) -> float:
        return (min(max(value, floor), 1.0) - floor) / (1 - floor)

    def path(rows: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{100 * x(size):.2f},{100 - 100 * y(value):.2f}" for size, value in rows)

    edge = points[-1]["per_class"]
    middle = [(p["per_class"], p["value"]) for p in band]
    inner, outer = [p for p in middle if p[0] <= edge], [p for p in middle if p[0] >= edge]
    around = [(p["per_class"], _or(p.get("high"), p["value"])) for p in band]
    around += [(p["per_class"], _or(p.get("low"), p["value"])) for p in reversed(band)]
    drawn = [
        {
            "x": x(p["per_class"]),
            "y": y(p["value"]),
            "low": y(_or(p.get("low"), p["value"])),
            "high": y(_or(p.get("high"), p["value"])),
        }
        for p in points
    ]
    ticks: list[tuple[float, int]] = []
    for size in sorted({p["per_class"] for p in points} | {max(sizes)}):
        if not ticks or x(size) - ticks[-1][0] > 0.12:
            ticks.append((x(size), int(size)))
    return Learning(
        drawn,
        path(around) if band else "",
        path(inner),
        path((inner[-1:] if inner else []) + outer),
        ticks,
        floor,
        x(edge),
    )


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


@dataclass(frozen=True)
class Mark:
    """One sample on the map; `x`, `y` shares from the left and the top."""

    x: float
    y: float
    shape: int
    colour: int
    prediction: Prediction


def sign(index: int) -> tuple[int, int]:
    """(shape, colour) of class `index`; 24 classes before a pair comes again."""
    return index % SHAPES, index % COLOURS


def scatter(
    predictions: Sequence[Prediction], places: dict[str, Sequence[float]], classes: Sequence[str]
) -> list[Mark]:
    """At most `MAPPED` samples by their two coordinates in -1..1: all mistakes, drawn last, and as many others as fit."""
    index = {name: i for i, name in enumerate(classes)}
    there = [p for p in predictions if p.file in places and p.label in index]
    wrong, right = [p for p in there if not p.right][:MAPPED], [p for p in there if p.right]
    room = MAPPED - len(wrong)
    step = max(1, -(-len(right) // room)) if room else len(right) + 1
    marks = []
    for p in [*right[::step], *wrong]:
        across, up = (min(max(float(v), -1.0), 1.0) for v in places[p.file])
        # A margin on each side, so that no sign is cut.
        marks.append(Mark(0.5 + 0.47 * across, 0.5 - 0.47 * up, *sign(index[p.label]), p))
    return marks


def beside_own(marks: Sequence[Mark]) -> dict[str, int]:
    """Label -> how many of its marks have one of the same label as nearest neighbour on the map."""
    if len(marks) < 2:
        return {}
    places = np.array([(mark.x, mark.y) for mark in marks])
    distances = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    found: dict[str, int] = defaultdict(int)
    for mark, nearest in zip(marks, distances.argmin(axis=1), strict=True):
        found[mark.prediction.label] += mark.prediction.label == marks[int(nearest)].prediction.label
    return found


@dataclass(frozen=True)
class Dot:
    """One row of a leaderboard: `x` latency (logarithmic, left is fast), `y` score, both shares; `radius` in pixels."""

    index: int
    x: float
    y: float
    low: float
    high: float
    radius: float
    best: bool  # nothing is both faster and better
    below: bool  # its label stands below, because another dot is close


@dataclass(frozen=True)
class Pareto:
    dots: list[Dot]
    ticks: list[tuple[float, float]]
    floor: float
    front: list[tuple[float, float]]


def pareto(rows: Sequence[dict[str, Any]]) -> Pareto | None:
    """Score against latency of those rows that have both; None below two."""
    there = [
        (i, row)
        for i, row in enumerate(rows)
        if (row.get("latency_ms") or 0) > 0 and (row.get("score") or {}).get("value") is not None
    ]
    if len(there) < 2:
        return None
    speeds = [row["latency_ms"] for _, row in there]
    first, last = math.log10(min(speeds)) - 0.08, math.log10(max(speeds)) + 0.08
    floor = math.floor(min(_or(row["score"].get("low"), row["score"]["value"]) for _, row in there) * 10) / 10
    floor = min(max(floor, 0.0), 0.9)
    largest = max(row.get("bytes") or 0 for _, row in there)

    def x(speed: float) -> float:
        return (math.log10(speed) - first) / (last - first)

    def y(value: float) -> float:
        return (value - floor) / (1 - floor)

    dots: list[Dot] = []
    for i, row in there:
        score = row["score"]
        value = score["value"]
        beaten = any(
            o["latency_ms"] <= row["latency_ms"]
            and o["score"]["value"] >= value
            and (o["latency_ms"], o["score"]["value"]) != (row["latency_ms"], value)
            for _, o in there
        )
        radius = 4 + 14 * math.sqrt((row.get("bytes") or 0) / largest) if largest else 6.0
        low, high = _or(score.get("low"), value), _or(score.get("high"), value)
        across, up = x(row["latency_ms"]), y(value)
        close = any(abs(dot.x - across) < 0.04 and abs(dot.y - up) < 0.12 and not dot.below for dot in dots)
        dots.append(Dot(i, across, up, y(low), y(high), radius, not beaten, close))
    ticks = [
        (x(step * 10.0**power), step * 10.0**power)
        for power in range(math.floor(first), math.ceil(last) + 1)
        for step in (1, 2, 5)
        if first <= math.log10(step * 10.0**power) <= last
    ]
    front = sorted((dot.x, dot.y) for dot in dots if dot.best)
    return Pareto(sorted(dots, key=lambda dot: -dot.radius), ticks[:: max(1, len(ticks) // 5)], floor, front)


def shade(share: float) -> int:
    """0..10: how dark a cell of the confusion matrix is. Anything above nothing is at least 1."""
    return min(10, math.ceil(10 * share - 1e-9)) if share > 0 else 0
