"""A corrected labels table from findings. The files themselves are never touched, doubtful labels never changed.

Each row that differs from the data says why in its note.
"""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from handful.audit.doctor import clusters, listed
from handful.data import Finding, Sample
from handful.errors import DataError, UsageError
from handful.files import atomic_write, shown, to_json
from handful.sheets import guarded

COLUMNS = ("file_name", "label", "group", "split", "fold", "suggested", "note")
_UNUSABLE = ("corrupt", "empty", "silent")
_STAYS = {"test": 0, "validation": 1, "train": 2}  # of copies in several parts, the one of the first of these stays


def fixed_table(
    samples: Sequence[Sample],
    findings: Iterable[Finding],
    doubtful: Iterable[Mapping[str, Any]] = (),
    sources: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """Rows of a labels table, in the order of the samples.

    Labels that differ only in spelling become the commonest of them. Of equal files in one class one is kept. Equal
    files in several classes keep a row without a label, which is left out in training until someone writes one.
    Unreadable, empty and silent files are left out; near-duplicates get one group, and where they lie in different
    parts only those of one part stay (test before validation before train).

    Args:
        samples: of the whole data set.
        findings: what `audit.doctor` found in it.
        doubtful: rows of `audit.labels.doubtful`; their other class goes to the column `suggested`.
        sources: suggested group by file (`audit.sources.suggested`), for the column `suggested_group`.
    """
    findings = list(findings)
    unusable = {file for f in findings if f.kind in _UNUSABLE for file in f.files}
    notes: dict[str, list[str]] = defaultdict(list)
    kept = [s for s in _one_spelling(samples, notes) if s.file not in unusable]
    kept = _without_copies(kept, notes)
    kept = _grouped(kept, findings, notes)
    other = {str(row["file"]): row for row in doubtful}
    rows = []
    for sample in kept:
        row = {"file_name": sample.file, "label": sample.label, "group": sample.group, "split": sample.split}
        doubt = other.get(sample.file)
        if doubt:
            notes[sample.file].append(f"looks like {doubt['suggested']} ({float(doubt['confidence']):.2f})")
        row |= {"fold": sample.fold, "suggested": str(doubt["suggested"]) if doubt else ""}
        if row["suggested"] == sample.label:
            row["suggested"] = ""
        if sources:
            row["suggested_group"] = sources.get(sample.file, "")
        rows.append(row | {"note": "; ".join(notes[sample.file])})
    return rows


def bare(label: str) -> str:
    """What is left of a label without case, spaces and invisible characters."""
    text = unicodedata.normalize("NFKC", label).casefold()
    return "".join(c for c in text if unicodedata.category(c) != "Cf" and not c.isspace())


def one_spelling(samples: Sequence[Sample]) -> list[Sample]:
    """The samples with labels that differ only in spelling made one."""
    return _one_spelling(samples, defaultdict(list))


def _one_spelling(samples: Sequence[Sample], notes: dict[str, list[str]]) -> list[Sample]:
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        spellings[bare(sample.label)][sample.label] += 1
    result = []
    for sample in samples:
        known = spellings[bare(sample.label)]
        chosen = min(known, key=lambda name: (-known[name], name != name.strip(), name)).strip()
        if chosen != sample.label:
            notes[sample.file].append(f"was {sample.label!r}")
        result.append(replace(sample, label=chosen))
    return result


def _without_copies(samples: Sequence[Sample], notes: dict[str, list[str]]) -> list[Sample]:
    by_hash: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_hash[sample.sha256].append(sample)
    result = []
    for sample in samples:
        twins = by_hash[sample.sha256]
        if len({twin.label for twin in twins}) > 1:
            given = ", ".join(f"{shown(twin.file)} ({shown(twin.label)})" for twin in twins)
            notes[sample.file].append(f"left out: same content in several classes: {given}; write the right one")
            result.append(replace(sample, label=""))
        elif sample is min(twins, key=_order):
            if len(twins) > 1:
                others = [twin.file for twin in twins if twin is not sample]
                notes[sample.file].append(f"left out as copies: {_named(others)}")
            result.append(sample)
    return result


def _named(files: Sequence[str]) -> str:
    return ", ".join(map(shown, listed(files)))


def _order(sample: Sample) -> int:
    return _STAYS.get(sample.split or "train", 3)


def _grouped(samples: Sequence[Sample], findings: Sequence[Finding], notes: dict[str, list[str]]) -> list[Sample]:
    """Near-duplicates in one group, together with the groups they had; across parts only one part stays."""
    index = {sample.file: i for i, sample in enumerate(samples)}
    alike, lost = [], set()
    for finding in findings:
        # A leak without an error only suggests a shared source.
        if finding.kind != "near-duplicate" and (finding.kind, finding.severity) != ("leak", "error"):
            continue
        members = [index[file] for file in finding.files if file in index and samples[index[file]].label]
        if finding.kind == "leak":
            best = min((_order(samples[i]) for i in members), default=0)
            if len({samples[i].split or "train" for i in members}) < 2 and len(members) == len(finding.files):
                continue  # copies of something that is not in this data
            others = [i for i in members if _order(samples[i]) > best]
            lost.update(others)
            for i in set(members) - set(others) if others else ():
                notes[samples[i].file].append(f"left out as near copies: {_named([samples[j].file for j in others])}")
        members = [i for i in members if i not in lost]
        alike += [(members[0], i) for i in members[1:]]
    by_group: dict[str, int] = {}
    given = [(by_group.setdefault(s.group, i), i) for i, s in enumerate(samples) if s.group]
    result = list(samples)
    touched = {i for pair in alike for i in pair}
    for number, members in enumerate((c for c in clusters(alike + given) if touched.intersection(c)), start=1):
        name = next((samples[i].group for i in members if samples[i].group), f"near-{number}")
        for i in members:
            if samples[i].group != name:
                notes[samples[i].file].append("group: nearly the same as another")
            result[i] = replace(samples[i], group=name)
    return [sample for i, sample in enumerate(result) if i not in lost]


def table_at(path: str | os.PathLike[str]) -> Path:
    """`path` as a place for a labels table: looks only, so that it can be asked before anything long begins.

    Raises:
        UsageError: a labels table cannot have this ending.
        DataError: something lies there already.
    """
    path = Path(path).expanduser()
    if path.exists() or path.is_symlink():
        other = path.with_name(f"{path.stem}-2{path.suffix}")
        raise DataError(
            f"{shown(str(path))} exists and is not replaced", f"name another file: --fix {shown(str(other))}"
        )
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".tsv", ".jsonl"):
        raise UsageError(f"a labels table cannot end in {suffix or 'nothing'}", "name it .csv, .tsv or .jsonl")
    return path


def write_table(path: str | Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the rows as CSV, TSV or JSON lines, as the ending says. An existing file is never replaced.

    Raises:
        UsageError: the ending is another.
        DataError: the file exists, there are no rows, or a name cannot be written in CSV.
    """
    path = table_at(path)
    if not rows:
        raise DataError("no sample is left for a labels table", "look at the errors that `handful check` lists")
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        atomic_write(path, "".join(to_json(row) + "\n" for row in rows))
        return
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: guarded(value) for key, value in row.items()} for row in rows)
    try:
        content = text.getvalue().encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            "a file name holds bytes that are no text, which CSV cannot hold",
            f"name the table {shown(path.stem)}.jsonl, or rename the file",
        ) from error
    atomic_write(path, content)
