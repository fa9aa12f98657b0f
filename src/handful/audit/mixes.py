"""Files that differ from the others in how they were made: rates, channels, lengths, sizes, colour.

One finding for a property, listing the minority. Where the minority is mostly one class, the finding says so: a model
may learn the property in place of the class. Works on facts alone; whether a kind of file has a property at all is told
by its facts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from handful.data import Finding, Sample
from handful.data.samples import Severity
from handful.words import Number, Sentence

MIXED = ("sample_rate_hz", "channels", "seconds", "width", "height", "colour", "format", "encoding")

HEARD_HZ = 16_000  # beyond this rate nothing more is heard
FAR = 4.0  # times the median, in seconds or in pixels of a side
GREY = 1.0  # mean difference of the channels, of 255
BY_CHANCE = 0.01  # probability below which a property is said to go with a class
_COMMON_RATES_HZ = frozenset(
    {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000}
)


def mixes(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Findings of kind `format`, at most one for each property."""
    checks: tuple[Callable[..., list[Finding]], ...] = (_rates, _channels, _lengths, _sizes, _colours, _containers)
    return [finding for check in checks for finding in check(samples, facts)] if samples else []


def goes_with(samples: Sequence[Sample], some: Sequence[int]) -> str:
    """The class in which `some` lie more often than chance would put them there, or "".

    Fisher's exact test, one-sided, Bonferroni over the classes.
    """
    sizes = Counter(sample.label for sample in samples)
    inside = Counter(samples[i].label for i in some)
    best = min(
        ((_tail(len(samples), sizes[name], len(some), n) * len(sizes), name) for name, n in inside.items()),
        default=(1.0, ""),
    )
    return best[1] if best[0] < BY_CHANCE and len(sizes) > 1 else ""


def _tail(total: int, marked: int, drawn: int, hits: int) -> float:
    """Chance of at least `hits` marked among `drawn` of `total` without replacement (hypergeometric)."""

    def ways(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    possible = range(max(hits, drawn - (total - marked)), min(marked, drawn) + 1)
    every = ways(total, drawn)
    return sum(math.exp(ways(marked, k) + ways(total - marked, drawn - k) - every) for k in possible)


def _finding(
    samples: Sequence[Sample],
    some: Sequence[int],
    name: str,
    values: Mapping[str, Any],
    severity: Severity = "note",
    always: bool = True,
) -> list[Finding]:
    """One finding about the samples `some`; a warning where they go with a class. Not `always`: only then."""
    if not some:
        return []
    files = tuple(samples[i].file for i in some)
    values = {"n": len(some), "of": len(samples), **values}
    if label := goes_with(samples, some):
        found, fix = Sentence(f"finding.{name}", values), Sentence(f"finding.{name}.fix", values)
        count = sum(samples[i].label == label for i in some)
        values = {"found": found, "advice": fix, "name": label, "n": count, "of": len(some)}
        return [Finding("format", "warning", "one_class" if count == len(some) else "mostly_one_class", values, files)]
    return [Finding("format", severity, name, values, files)] if always else []


def _values(facts: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """The fact of every sample; none where a sample lacks it."""
    return [seen[key] for seen in facts] if all(key in seen for seen in facts) else []


def _minority(values: Sequence[Any]) -> tuple[Any, list[int]]:
    """The most common value and the indices of the others."""
    common = Counter(values).most_common(1)[0][0]
    return common, [i for i, value in enumerate(values) if value != common]


def _several(values: Sequence[Any]) -> list[Any]:
    found = sorted(set(values))
    return [*found[:4], *(["..."] if len(found) > 4 else [])]


def _rates(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    rates = _values(facts, "sample_rate_hz")
    if not rates:
        return []
    common, others = _minority(rates)
    heard = {min(rate, HEARD_HZ) for rate in rates}
    values = {"rates": _several([rates[i] for i in others]), "common": common}
    if len(heard) > 1:
        found = _finding(samples, others, "rates_deaf", {**values, "limit": min(heard) // 2}, "warning")
    else:
        found = _finding(samples, others, "rates", values)
    odd = [i for i, rate in enumerate(rates) if rate not in _COMMON_RATES_HZ]
    if odd and odd != others:
        found += _finding(samples, odd, "odd_rates", {"rates": _several([rates[i] for i in odd])})
    return found


def _channels(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    channels = _values(facts, "channels")
    if not channels:
        return []
    common, others = _minority(channels)
    there = [_counted(n) for n in sorted({channels[i] for i in others})]
    return _finding(samples, others, "channels", {"channels": there, "common": _counted(common)})


def _counted(channels: int) -> Sentence:
    return Sentence({1: "channels.one", 2: "channels.two"}.get(channels, "channels.several"), {"n": channels})


def _lengths(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    seconds = _values(facts, "seconds")
    if not seconds:
        return []
    middle = max(median(seconds), 1e-3)
    far = [i for i, value in enumerate(seconds) if not middle / FAR <= value <= middle * FAR]
    lengths = {"middle": middle, "low": min(seconds), "high": max(seconds)}
    return _finding(
        samples, far, "lengths", {name: Number(round(value, 1), "count") for name, value in lengths.items()}
    )


def _sizes(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    widths, heights = _values(facts, "width"), _values(facts, "height")
    if not widths or not heights:
        return []
    sides = [math.sqrt(w * h) for w, h in zip(widths, heights, strict=True)]
    middle = median(sides)
    far = [i for i, side in enumerate(sides) if not middle / FAR <= side <= middle * FAR]
    small, large = (sides.index(limit) for limit in (min(sides), max(sides)))
    named = {"small": f"{widths[small]} x {heights[small]}", "large": f"{widths[large]} x {heights[large]}"}
    return _finding(samples, far, "sizes", named)


def _colours(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    levels = _values(facts, "colour")
    if not levels:
        return []
    grey, others = _minority([level < GREY for level in levels])
    return _finding(samples, others, "some_coloured" if grey else "some_grey", {})


def _containers(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Kinds of file are often mixed and seldom matter: said only where they go with a class."""
    kinds = [" ".join(str(seen[key]) for key in ("format", "encoding") if seen.get(key)) for seen in facts]
    if not all(kinds):
        return []
    common, others = _minority(kinds)
    values = {"kinds": _several([kinds[i] for i in others]), "common": common}
    return _finding(samples, others, "containers", values, always=False)
