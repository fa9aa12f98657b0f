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
from handful.files import shown

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
    return [finding for check in checks for finding in check(samples, facts)]


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
    text: str,
    fix: str,
    severity: Severity = "note",
    always: bool = True,
) -> list[Finding]:
    """One finding about the samples `some`; a warning where they go with a class. Not `always`: only then."""
    if not some:
        return []
    name = goes_with(samples, some)
    if name:
        count = sum(samples[i].label == name for i in some)
        share = "all of them are" if count == len(some) else f"{count} of them are"
        text += f"; {share} {shown(name)!r}, so a model could learn this in place of the class"
        fix = f"record or save all classes in the same way, or {fix}"
        severity = "warning"
    elif not always:
        return []
    return [Finding("format", severity, text, tuple(samples[i].file for i in some), fix)]


def _values(facts: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """The fact of every sample; none where a sample lacks it."""
    return [seen[key] for seen in facts] if all(key in seen for seen in facts) else []


def _minority(values: Sequence[Any]) -> tuple[Any, list[int]]:
    """The most common value and the indices of the others."""
    common = Counter(values).most_common(1)[0][0]
    return common, [i for i, value in enumerate(values) if value != common]


def _named(values: Sequence[Any]) -> str:
    names = [f"{value:,}" if isinstance(value, int) else str(value) for value in sorted(set(values))]
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _rates(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    rates = _values(facts, "sample_rate_hz")
    if not rates:
        return []
    common, others = _minority(rates)
    heard = {min(rate, HEARD_HZ) for rate in rates}
    text = (
        f"{len(others)} of {len(rates)} sounds have {_named([rates[i] for i in others])} Hz, the others {common:,} Hz"
    )
    if len(heard) > 1:
        text += f": above {min(heard) // 2:,} Hz some hold nothing"
    fix = "record them again at the rate of the others"
    found = _finding(samples, others, text, fix, "warning" if len(heard) > 1 else "note")
    odd = [i for i, rate in enumerate(rates) if rate not in _COMMON_RATES_HZ]
    if odd and odd != others:
        text = f"{len(odd)} sounds have an unusual sample rate ({_named([rates[i] for i in odd])} Hz)"
        found += _finding(samples, odd, text, "listen whether pitch and speed are right; if not, mend the header")
    return found


def _channels(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    channels = _values(facts, "channels")
    if not channels:
        return []
    common, others = _minority(channels)
    names = {1: "one channel", 2: "two channels"}
    there = " or ".join(names.get(n, f"{n} channels") for n in sorted({channels[i] for i in others}))
    text = f"{len(others)} of {len(channels)} sounds have {there}, the others {names.get(common, f'{common} channels')}"
    return _finding(samples, others, text, "nothing: channels are mixed to one")


def _lengths(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    seconds = _values(facts, "seconds")
    if not seconds:
        return []
    middle = max(median(seconds), 1e-3)
    far = [i for i, value in enumerate(seconds) if not middle / FAR <= value <= middle * FAR]
    reach = f"from {min(seconds):.1f} to {max(seconds):.1f} s"
    text = f"{len(far)} of {len(seconds)} sounds are much longer or shorter than most ({middle:.1f} s): {reach}"
    return _finding(samples, far, text, "cut long ones into pieces and give the pieces one group")


def _sizes(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    widths, heights = _values(facts, "width"), _values(facts, "height")
    if not widths or not heights:
        return []
    sides = [math.sqrt(w * h) for w, h in zip(widths, heights, strict=True)]
    middle = median(sides)
    far = [i for i, side in enumerate(sides) if not middle / FAR <= side <= middle * FAR]
    small, large = (sides.index(limit) for limit in (min(sides), max(sides)))
    reach = f"from {widths[small]} x {heights[small]} to {widths[large]} x {heights[large]} pixels"
    text = f"{len(far)} of {len(sides)} pictures are much larger or smaller than most: {reach}"
    return _finding(samples, far, text, "take small ones again: what is enlarged stays blurred")


def _colours(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    levels = _values(facts, "colour")
    if not levels:
        return []
    grey, others = _minority([level < GREY for level in levels])
    kinds = ("in colour", "grey") if grey else ("grey", "in colour")
    text = f"{len(others)} of {len(levels)} pictures are {kinds[0]}, the others {kinds[1]}"
    return _finding(samples, others, text, "make all grey or take all in colour")


def _containers(samples: Sequence[Sample], facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Kinds of file are often mixed and seldom matter: said only where they go with a class."""
    kinds = [" ".join(str(seen[key]) for key in ("format", "encoding") if seen.get(key)) for seen in facts]
    if not all(kinds):
        return []
    common, others = _minority(kinds)
    text = f"{len(others)} of {len(kinds)} files are {_named([kinds[i] for i in others])}, the others {common}"
    return _finding(samples, others, text, f"save all as {common}", always=False)
