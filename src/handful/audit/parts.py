"""What is wrong with how data are divided into training, validation and test parts. Needs labels, groups and parts only.

Copies that lie apart are found with the other copies, see `doctor`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from handful.audit.doctor import listed
from handful.data import Finding, Sample
from handful.folders import KEPT


def untrained(samples: Sequence[Sample]) -> list[Finding]:
    """Classes all of whose samples are kept for validation or test."""
    learnt = {s.label for s in samples if s.split not in KEPT}
    files: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        if sample.label not in learnt:
            files[sample.label].append(sample.file)
    return [
        Finding("too-few", "warning", "untrained", {"name": name, "n": len(found)}, tuple(found))
        for name, found in sorted(files.items())
    ]


def apart(samples: Iterable[Sample]) -> list[Finding]:
    """Groups (takes, speakers) that lie in several parts: the model is tested on what it has half seen."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.group:
            groups[sample.group].append(sample)
    torn = {name: found for name, found in sorted(groups.items()) if len({s.split or "train" for s in found}) > 1}
    if not torn:
        return []
    values = {"n": len(torn), "names": listed(list(torn))}
    return [Finding("leak", "warning", "groups_apart", values, tuple(s.file for found in torn.values() for s in found))]
