"""Which samples may come from one source: bursts of one camera, folders below the class folder. Suggested, never applied.

Sources that file names tell are `data.pattern.suggest`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Any

from handful.data import Finding, Sample
from handful.data.pattern import is_source
from handful.words import Number

BURST_SECONDS = 5.0
_HASHED = re.compile(r"[0-9a-f]{16,}")


def bursts(samples: Sequence[Sample], facts: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Group by file of pictures that one camera took within a few seconds of each other; others are left out."""
    by_camera: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for sample, seen in zip(samples, facts, strict=True):
        if (taken := _time(seen.get("taken"))) is not None:
            by_camera[str(seen.get("camera", ""))].append((taken, sample.file))
    chains: list[list[str]] = []
    for shots in by_camera.values():
        before: datetime | None = None
        for taken, file in sorted(shots):
            if before is None or (taken - before).total_seconds() > BURST_SECONDS:
                chains.append([])
            chains[-1].append(file)
            before = taken
    found = [chain for chain in chains if len(chain) > 1]
    return {file: f"burst-{number}" for number, chain in enumerate(found, start=1) for file in chain}


def _time(text: Any) -> datetime | None:
    try:
        return datetime.strptime(str(text)[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


def folders(samples: Sequence[Sample]) -> dict[str, str]:
    """Group by file where folders other than the class's hold several files each (class/session/file); else nothing."""
    names = [_folder(sample) for sample in samples]
    if not is_source(names, [sample.label for sample in samples]):
        return {}
    return {sample.file: name for sample, name in zip(samples, names, strict=True) if name}


def _folder(sample: Sample) -> str:
    """Folders of a file without those that stand for its part and its class, or that begin its name where that is a hash."""
    parts = list(PurePath(sample.file).parts[:-1])
    if parts and _HASHED.fullmatch(stem := PurePath(sample.file).stem) and stem.startswith(parts[-1]):
        del parts[-1]
    if sample.split and len(parts) > 1:
        del parts[0]
    return "/".join(part for part in parts if unicodedata.normalize("NFC", part) != sample.label)


def suggested(samples: Sequence[Sample], facts: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Group by file as folders or, without such folders, bursts suggest it; for the column of `audit.fix`."""
    return folders(samples) or bursts(samples, facts)


def from_metadata(samples: Sequence[Sample], facts: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Suggestions of shared sources; none where groups are given."""
    if any(sample.group for sample in samples):
        return []
    findings = []
    if found := folders(samples):
        first, count = Counter(found.values()).most_common(1)[0]
        values: dict[str, Any] = {"n": len(set(found.values())), "example": first, "count": count}
        findings.append(Finding("leak", "warning", "folders", values, tuple(found)))
    if found := bursts(samples, facts):
        values = {"n": len(found), "seconds": Number(BURST_SECONDS, "count"), "bursts": len(set(found.values()))}
        findings.append(Finding("leak", "warning", "bursts", values, tuple(found)))
    return findings
