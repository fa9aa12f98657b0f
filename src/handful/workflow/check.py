"""The data doctor as a use case: look at a folder, change nothing."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from handful.errors import FileError


def check(
    data: str | os.PathLike[str], *, modality: str | None = None, labels: str | None = None, pattern: str | None = None
) -> dict[str, Any]:
    """What is in a folder and what is wrong with it. Needs no model.

    Returns:
        {"schema", "samples", "classes": {name: n}, "findings": [{"kind", "severity", "files", "message", "fix"}]}
    """
    from handful.audit.doctor import duplicates, from_facts, too_few, unreadable
    from handful.data import load_data
    from handful.features import frontends
    from handful.training.reading import Facts, Reader

    dataset = load_data(data, modality=modality, labels=labels, pattern=pattern)
    frontend = frontends.get(dataset.modality).suited([s.path for s in dataset.samples], {})
    reader = Reader(frontend)
    known = reader.known(dataset.samples)
    findings = list(dataset.findings)
    missing = [s for s in dataset.samples if s.sha256 not in known]
    bad = set()
    for index, _, facts in reader.read(missing):
        if isinstance(facts, FileError):
            findings.append(unreadable(missing[index], facts))
            bad.add(missing[index].file)
        elif isinstance(facts, Facts):
            known[missing[index].sha256] = facts
    samples = [s for s in dataset.samples if s.file not in bad]
    findings += duplicates(samples, frontend.alike(known[s.sha256].facts for s in samples))
    findings += from_facts(samples, (known[s.sha256].facts for s in samples)) + too_few(samples)
    order = {"error": 0, "warning": 1, "note": 2}
    return {
        "schema": 1,
        "modality": dataset.modality,
        "samples": len(samples),
        "classes": dict(sorted(Counter(s.label for s in samples).items())),
        "findings": [f.to_dict() for f in sorted(findings, key=lambda f: order[f.severity])],
    }
