"""Findings from what was seen while reading: duplicates, silence, clipping, imbalance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from handful.data import Finding, Sample
from handful.errors import FileError
from handful.files import shown

FEW = 5  # samples of a class below which nothing can be said of it
UNEVEN = 5.0  # largest class by smallest

# fact -> kind of finding, what it means, what to do
_SEEN = (
    ("silent", "silent", "is silent", "record it again"),
    ("constant", "silent", "shows a single colour", "remove it"),
    ("cancels", "format", "has channels that cancel each other when mixed", "save one of its channels"),
)
_CLIPPED = 0.01  # share of samples at full scale


def unreadable(sample: Sample, error: FileError) -> Finding:
    return Finding(error.kind, "error", f"{shown(sample.file)}: {error.message}", (sample.file,), error.hint)


def from_facts(samples: Sequence[Sample], facts: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """What the front-end saw of each file."""
    findings = []
    for sample, seen in zip(samples, facts, strict=True):
        name = shown(sample.file)
        findings += [
            Finding(kind, "warning", f"{name} {text}", (sample.file,), fix)
            for key, kind, text, fix in _SEEN
            if seen.get(key)
        ]
        if float(seen.get("clipped") or 0) > _CLIPPED:
            findings.append(
                Finding("clipped", "note", f"{name} is overloaded (clipped)", (sample.file,), "record at a lower level")
            )
        findings += [Finding("format", "note", f"{name}: {note}", (sample.file,)) for note in seen.get("notes", ())]
        if seen.get("frames", 1) > 1:
            findings.append(
                Finding("format", "note", f"{name} has {seen['frames']} frames; the first is used", (sample.file,))
            )
    return findings


def duplicates(samples: Sequence[Sample], pairs: Sequence[tuple[int, int]]) -> list[Finding]:
    """Equal content in several places, and near copies (`pairs` of indices); across classes it is an error."""
    by_hash: dict[str, list[Sample]] = {}
    for sample in samples:
        by_hash.setdefault(sample.sha256, []).append(sample)
    findings = []
    for same in (twins for twins in by_hash.values() if len(twins) > 1):
        across = len({s.label for s in same}) > 1
        files = tuple(s.file for s in same)
        text = f"{len(same)} files have the same content" + (" but different classes" if across else "")
        findings.append(
            Finding(
                "duplicate",
                "error" if across else "warning",
                f"{text}: {', '.join(map(shown, files[:3]))}",
                files,
                "keep one of them",
            )
        )
    for a, b in ((samples[i], samples[j]) for i, j in pairs):
        if a.sha256 == b.sha256:
            continue
        across = a.label != b.label
        text = f"{shown(a.file)} and {shown(b.file)} are nearly the same" + (
            " but have different classes" if across else ""
        )
        fix = "keep one of them" if across else "nothing: they stay on one side of every split"
        findings.append(Finding("near-duplicate", "error" if across else "note", text, (a.file, b.file), fix))
    return findings


def too_few(samples: Sequence[Sample]) -> list[Finding]:
    """Classes with too few samples, and lop-sided data."""
    counts = Counter(sample.label for sample in samples)
    findings = [
        Finding("too-few", "warning", f"the class {shown(name)!r} has {n} sample{'s' if n > 1 else ''}", (), f"add {FEW * 3 - n} or more")
        for name, n in sorted(counts.items()) if n < FEW
    ]  # fmt: skip
    if len(counts) > 1 and max(counts.values()) > UNEVEN * min(counts.values()):
        large, small = max(counts, key=lambda c: counts[c]), min(counts, key=lambda c: counts[c])
        text = f"{shown(large)!r} has {counts[large]} samples, {shown(small)!r} only {counts[small]}"
        findings.append(Finding("imbalance", "warning", text, (), f"add samples of {shown(small)}"))
    return findings
