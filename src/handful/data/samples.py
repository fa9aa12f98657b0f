"""What a data set is made of. Plain records; nothing here opens a file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from handful.words import packed, said

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing about the data that the user should know. `kind` is from the list in `handful check`.

    `name` tells which of its kind it is: `finding.NAME` in `locales/` is its sentence and `finding.NAME.fix` what to do about it,
    both filled from `values`, so that it can be said in any language.
    """

    kind: str
    severity: Severity
    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        return said(f"finding.{self.name}", **self.values)

    @property
    def fix(self) -> str:
        return said(f"finding.{self.name}.fix", **self.values)

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `reporting.words.finding` says it again in another language."""
        return {
            "kind": self.kind, "severity": self.severity, "files": list(self.files), "message": self.message, "fix": self.fix,
            "name": self.name, "values": {name: packed(value) for name, value in self.values.items()},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled file. `file` is its path below the root, as given; `sha256` identifies it everywhere."""

    root: str
    file: str
    label: str
    sha256: str
    group: str = ""
    split: str = ""
    fold: str = ""
    meta: tuple[tuple[str, str], ...] = ()  # other fields of the file name

    @property
    def path(self) -> Path:
        return Path(self.root, self.file)


def fingerprint(samples: Iterable[tuple[str, str]]) -> str:
    """Identifies data by content and labels, (sha256, label) of each sample, never by path."""
    rows = sorted(f"{sha256}\x1f{label}" for sha256, label in samples)
    return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Dataset:
    """Samples of one modality in the order of their file names, and what was found on the way."""

    root: Path
    modality: str
    samples: tuple[Sample, ...]
    findings: tuple[Finding, ...] = ()
    ignored: int = 0

    @property
    def classes(self) -> list[str]:
        return sorted({sample.label for sample in self.samples})

    @property
    def counts(self) -> dict[str, int]:
        return dict(sorted(Counter(sample.label for sample in self.samples).items()))

    @property
    def fingerprint(self) -> str:
        return fingerprint((sample.sha256, sample.label) for sample in self.samples)

    def part(self, split: str) -> Dataset:
        return replace(self, samples=tuple(sample for sample in self.samples if sample.split == split))

    def without(self, files: set[str], findings: tuple[Finding, ...] = ()) -> Dataset:
        kept = tuple(sample for sample in self.samples if sample.file not in files)
        return replace(self, samples=kept, findings=self.findings + findings)

    def __len__(self) -> int:
        return len(self.samples)
