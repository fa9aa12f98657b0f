"""Findings from what was seen while reading: damage, duplicates, leaks, imbalance.

What needs only the files and their facts; no model, no results. Mixes of sizes and rates are in `mixes`, shared sources
in `sources`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from handful.audit.mixes import MIXED, mixes
from handful.data import Finding, Sample
from handful.data.samples import Severity
from handful.errors import FileError
from handful.files import shown

FEW = 5  # samples of a class below which nothing can be said of it
UNEVEN = 5.0  # largest class by smallest
NAMED = 3  # files that a message names; a finding lists all

# fact -> kind of finding, severity, what it means of one and of several files, what to do
_SEEN: tuple[tuple[str, str, Severity, str, str, str], ...] = (
    ("silent", "silent", "warning", "is silent", "are silent", "record it again"),
    ("constant", "silent", "warning", "shows a single colour", "show a single colour", "remove it"),
    (
        "cancels",
        "format",
        "warning",
        "has channels that cancel each other when mixed",
        "have channels that cancel each other when mixed",
        "save one of its channels",
    ),
    ("overloaded", "clipped", "note", "is overloaded (clipped)", "are overloaded (clipped)", "record at a lower level"),
    (
        "animated",
        "format",
        "note",
        "has several frames; the first is used",
        "have several frames; the first is used",
        "save the frame you mean as a picture",
    ),
)
_CLIPPED = 0.01  # share of samples at full scale


def unreadable(sample: Sample, error: FileError) -> Finding:
    return Finding(error.kind, "error", f"{shown(sample.file)}: {error.message}", (sample.file,), error.hint)


def listed(files: Sequence[str]) -> str:
    """The first names, as they may be shown."""
    return ", ".join(map(shown, files[:NAMED])) + (", ..." if len(files) > NAMED else "")


def from_facts(samples: Sequence[Sample], facts: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """What the front-end saw: one finding for each kind of trouble, then what is mixed, see `mixes`."""
    affected: dict[str, list[str]] = defaultdict(list)
    notes: dict[str, list[str]] = defaultdict(list)
    kept = []
    for sample, seen in zip(samples, facts, strict=True):
        flags = {
            **{key: seen.get(key) for key in ("silent", "constant", "cancels")},
            "overloaded": float(seen.get("clipped") or 0) > _CLIPPED,
            "animated": seen.get("frames", 1) > 1,
        }
        for key in (key for key, value in flags.items() if value):
            affected[key].append(sample.file)
        for note in seen.get("notes", ()):
            notes[note].append(sample.file)
        kept.append({key: seen[key] for key in MIXED if key in seen})
    findings = []
    for key, kind, severity, one, several, fix in _SEEN:
        if files := affected[key]:
            text = f"{shown(files[0])} {one}" if len(files) == 1 else f"{len(files)} files {several}: {listed(files)}"
            findings.append(Finding(kind, severity, text, tuple(files), fix))
    for note, files in notes.items():
        name = shown(files[0]) if len(files) == 1 else f"{len(files)} files ({listed(files)})"
        findings.append(Finding("format", "note", f"{name}: {note}", tuple(files), "save it again if more was there"))
    return findings + mixes(samples, kept)


def duplicates(samples: Sequence[Sample], pairs: Iterable[tuple[int, int]]) -> list[Finding]:
    """Equal content in several places, and near copies: one finding for each cluster of them.

    Across the parts of a split it is a leak and an error, across classes an error.

    Args:
        pairs: indices of samples that are nearly the same, see `Frontend.alike`.
    """
    by_hash: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        by_hash[sample.sha256].append(index)
    same = [twins for twins in by_hash.values() if len(twins) > 1]
    near = [group for group in clusters(pairs) if len({samples[i].sha256 for i in group}) > 1]
    findings = []
    for group in same:
        findings += _cluster([samples[i] for i in group], "duplicate", "warning", "have the same content")
    for group in near:
        findings += _cluster([samples[i] for i in group], "near-duplicate", "note", "are nearly the same")
    return findings


def clusters(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """What is joined by pairs, also through others: sorted lists of indices, in the order of their first."""
    parent: dict[int, int] = {}

    def find(i: int) -> int:
        while parent.setdefault(i, i) != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        first, second = sorted((find(a), find(b)))
        parent[second] = first
    found: dict[int, list[int]] = defaultdict(list)
    for i in sorted(parent):
        found[find(i)].append(i)
    return list(found.values())


def _cluster(members: Sequence[Sample], kind: str, severity: Severity, relation: str) -> list[Finding]:
    """Copies of one another: as a leak, as a contradiction of labels, or as `kind`."""
    files = tuple(s.file for s in members)
    parts = sorted({s.split or "train" for s in members})
    labels = sorted({s.label for s in members})
    if len(members) == 2:
        text = f"{shown(files[0])} and {shown(files[1])} {relation}"
    else:
        text = f"{len(members)} files {relation} ({listed(files)})"
    findings = []
    if len(parts) > 1:
        message = f"{text} but lie in different parts ({', '.join(parts)}): the score would be flattered"
        findings.append(Finding("leak", "error", message, files, f"keep them in {parts[0]} or in {parts[1]}, not both"))
    if len(labels) > 1:
        message = f"{text} but have different classes ({', '.join(map(shown, labels))})"
        findings.append(Finding(kind, "error", message, files, "keep the one with the right class, remove the others"))
    if not findings:
        fix = "keep one of them" if kind == "duplicate" else "nothing: they stay on one side of every split"
        findings.append(Finding(kind, severity, text, files, fix))
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
