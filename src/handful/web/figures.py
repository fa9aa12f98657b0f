"""What a server counts, in Prometheus' text format (version 0.0.4). Labels are routes, models and reasons: a bounded set."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
ITEMS = (1, 2, 4, 8, 16, 32)

Labels = tuple[tuple[str, str], ...]


class Counter:
    """Goes up. Safe for several threads."""

    kind = "counter"

    def __init__(self, name: str, meaning: str) -> None:
        self.name, self.meaning = name, meaning
        self._values: dict[Labels, float] = defaultdict(float)
        self._lock = threading.Lock()

    def add(self, amount: float = 1, **labels: str) -> None:
        with self._lock:
            self._values[tuple(sorted(labels.items()))] += amount

    def lines(self) -> Iterator[str]:
        with self._lock:
            values = sorted(self._values.items())
        for labels, value in values:
            yield f"{self.name}{_text(labels)} {value:g}" if value < 1e6 else f"{self.name}{_text(labels)} {value:.0f}"


class Gauge:
    """A value now, asked when it is shown; `value` gives it by labels."""

    kind = "gauge"

    def __init__(self, name: str, meaning: str, value: Callable[[], dict[Labels, float]]) -> None:
        self.name, self.meaning, self._value = name, meaning, value

    def lines(self) -> Iterator[str]:
        for labels, value in sorted(self._value().items()):
            yield f"{self.name}{_text(labels)} {value:.10g}"


class Histogram:
    """How often values fell below each of `bounds`."""

    kind = "histogram"

    def __init__(self, name: str, meaning: str, bounds: Sequence[float]) -> None:
        self.name, self.meaning, self._bounds = name, meaning, tuple(bounds)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = defaultdict(float)
        self._lock = threading.Lock()

    def add(self, value: float, **labels: str) -> None:
        key = tuple(sorted(labels.items()))
        with self._lock:
            self._counts.setdefault(key, [0] * (len(self._bounds) + 1))[bisect_left(self._bounds, value)] += 1
            self._sums[key] += value

    def lines(self) -> Iterator[str]:
        with self._lock:
            rows = [(labels, list(counts), self._sums[labels]) for labels, counts in sorted(self._counts.items())]
        for labels, counts, total in rows:
            below = 0
            for bound, count in zip([f"{b:g}" for b in self._bounds] + ["+Inf"], counts, strict=True):
                below += count
                yield f"{self.name}_bucket{_text((*labels, ('le', bound)))} {below}"
            yield f"{self.name}_sum{_text(labels)} {total:.9g}"
            yield f"{self.name}_count{_text(labels)} {below}"


def exposition(figures: Sequence[Counter | Gauge | Histogram]) -> str:
    """All of them as Prometheus reads them."""
    lines = []
    for figure in figures:
        lines += [f"# HELP {figure.name} {figure.meaning}", f"# TYPE {figure.name} {figure.kind}", *figure.lines()]
    return "\n".join(lines) + "\n"


def _text(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = ((k, v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for k, v in labels)
    return "{" + ",".join(f'{k}="{v}"' for k, v in escaped) + "}"
