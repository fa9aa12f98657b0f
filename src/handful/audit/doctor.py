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
from handful.words import Sentence, unpacked

FEW = 5  # samples of a class below which nothing can be said of it
ENOUGH = 15  # of a class, with which a first figure says something
UNEVEN = 5.0  # largest class by smallest
NAMED = 3  # files that a message names; a finding lists all

# fact, which is the name of the finding as well -> kind of finding, severity
_SEEN: dict[str, tuple[str, Severity]] = {
    "silent": ("silent", "warning"), "constant": ("silent", "warning"), "cancels": ("format", "warning"), "overloaded": ("clipped", "note"),
    "animated": ("format", "note"),
}  # fmt: skip
_CLIPPED = 0.01  # share of samples at full scale


def unreadable(sample: Sample, error: FileError) -> Finding:
    values = {"file": sample.file, "problem": error.message, "advice": error.hint}
    return Finding(error.kind, "error", "unreadable", values, (sample.file,))


def listed(files: Sequence[str]) -> list[str]:
    """The first names, for a sentence."""
    return [*files[:NAMED], *(["..."] if len(files) > NAMED else [])]


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
            notes[unpacked(note)].append(sample.file)
        kept.append({key: seen[key] for key in MIXED if key in seen})
    findings = []
    for key, (kind, severity) in _SEEN.items():
        if files := affected[key]:
            findings.append(Finding(kind, severity, key, {"n": len(files), "files": listed(files)}, tuple(files)))
    for note, files in notes.items():
        values = {"n": len(files), "files": listed(files), "note": note}
        findings.append(Finding("format", "note", "flawed", values, tuple(files)))
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
        findings += _cluster([samples[i] for i in group], "duplicate", "warning", "same")
    for group in near:
        findings += _cluster([samples[i] for i in group], "near-duplicate", "note", "alike")
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


def _cluster(members: Sequence[Sample], kind: str, severity: Severity, name: str) -> list[Finding]:
    """Copies of one another: as a leak, as a contradiction of labels, or as `kind`."""
    files = tuple(s.file for s in members)
    parts = sorted({s.split or "train" for s in members})
    labels = sorted({s.label for s in members})
    values = {"n": len(members), "files": listed(files)}
    copies = Sentence(f"finding.{name}", values)
    findings = []
    if len(parts) > 1:
        torn = {"copies": copies, "parts": parts, "first": parts[0], "second": parts[1]}
        findings.append(Finding("leak", "error", "copies_apart", torn, files))
    if len(labels) > 1:
        findings.append(Finding(kind, "error", "copies_labelled", {"copies": copies, "names": labels}, files))
    return findings or [Finding(kind, severity, name, values, files)]


def too_few_of(samples: Iterable[Sample]) -> dict[str, Any]:
    """The classes of which there are fewer than `few` samples, and how many `more` of each would do; {} where there are none."""
    counts = Counter(sample.label for sample in samples)
    short = {name: n for name, n in sorted(counts.items()) if n < FEW}
    return {"names": list(short), "few": FEW, "more": ENOUGH - min(short.values())} if short else {}


def too_few(samples: Sequence[Sample]) -> list[Finding]:
    """Classes with too few samples, and lop-sided data."""
    counts = Counter(sample.label for sample in samples)
    findings = [
        Finding("too-few", "warning", "few", {"name": name, "n": n, "more": ENOUGH - n})
        for name, n in sorted(counts.items())
        if n < FEW
    ]
    if len(counts) > 1 and max(counts.values()) > UNEVEN * min(counts.values()):
        large, small = max(counts, key=lambda c: counts[c]), min(counts, key=lambda c: counts[c])
        values = {"large": large, "most": counts[large], "small": small, "least": counts[small]}
        findings.append(Finding("imbalance", "warning", "uneven", values))
    return findings
