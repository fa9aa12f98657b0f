"""`labels.csv`: the samples of a project, one row each, safe to open in a spreadsheet and in `handful train --labels`.

Knows columns and quoting.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from handful.folders import split_named
from handful.projects.names import visible
from handful.projects.reasons import ProjectError
from handful.sheets import guarded, unguarded
from handful.words import both, said

COLUMNS = (
    "file_name", "label", "group", "id", "original", "added", "seconds", "width", "height", "rate_hz", "bytes", "split",
)  # fmt: skip
OLDEST = 11  # columns of the first rows that were ever written; later ones joined the end
HEADER = ",".join(COLUMNS) + "\n"
_FILE = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{14})\.([a-z0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Sample:
    """One file of a project. `id`: the first 16 hex digits of its SHA-256; `added`: seconds since 1970, which orders samples;
    `split`: "train", "validation" or "test" as its data set came divided or somebody chose, "" where nobody said."""

    id: str
    name: str
    label: str
    group: str
    suffix: str
    bytes: int
    added: float
    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    rate_hz: int | None = None
    split: str = ""

    @property
    def file(self) -> str:
        """Its path below `media/`, and its `file_name` in the table."""
        return f"{self.id[:2]}/{self.id}.{self.suffix}"


@dataclass(frozen=True)
class Duplicate:
    """The same content is in the project already, as `sample`."""

    sample: Sample


def cells(sample: Sample) -> list[str]:
    """The row of a sample, in the order of COLUMNS."""
    return [
        sample.file, guarded(sample.label), guarded(sample.group), sample.id, guarded(sample.name), f"{sample.added:.6f}",
        "" if sample.seconds is None else repr(sample.seconds), "" if sample.width is None else str(sample.width),
        "" if sample.height is None else str(sample.height), "" if sample.rate_hz is None else str(sample.rate_hz),
        str(sample.bytes), sample.split,
    ]  # fmt: skip


def from_cells(row: Sequence[str]) -> Sample | None:
    """The sample of a row; None: its file name is none of ours. A row may lack the last columns: it is older than they are."""
    file, label, group, _, name, added, seconds, width, height, rate, size, split = _filled(row)
    match = _FILE.fullmatch(file)
    label = visible(unguarded(label))
    if match is None or not label:
        return None
    return Sample(
        match[2], visible(unguarded(name)), label, visible(unguarded(group)) if group else "", match[3],
        _whole(size) or 0, _number(added) or 0.0, _number(seconds), _whole(width), _whole(height), _whole(rate),
        split_named(split),
    )  # fmt: skip


def render(samples: Iterable[Sample], header: bool = True) -> str:
    text = io.StringIO(HEADER if header else "")
    text.seek(0, io.SEEK_END)
    csv.writer(text, lineterminator="\n").writerows(map(cells, samples))
    return text.getvalue()


def parse(content: bytes) -> tuple[list[Sample], list[str]]:
    """The samples of a table, whatever spreadsheet saved it, and what was wrong with its rows, in words.

    Raises:
        ProjectError: it is no such table.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = content.decode("utf-16" if utf16 else "cp1251", errors="replace")
    head = text.split("\n", 1)[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    titles = [title.strip().lower() for title in next(rows, [])]
    if "file_name" not in titles or "label" not in titles:
        raise ProjectError(*both("error.labels_columns"))
    places = [titles.index(name) if name in titles else -1 for name in COLUMNS]
    ours = titles == list(COLUMNS)
    samples: dict[str, Sample] = {}
    strange = 0
    try:
        for row in rows:
            if not ours:
                row = [row[at] if 0 <= at < len(row) else "" for at in places]
            elif len(row) != len(COLUMNS):
                row = _filled(row)
            sample = from_cells(row)
            if sample is not None:
                samples.setdefault(sample.id, sample)
            elif any(row):
                strange += 1
    except csv.Error as error:
        raise ProjectError(*both("error.labels_line", line=str(rows.line_num), why=str(error))) from error
    found = sorted(samples.values(), key=order)  # they are in order already unless another program wrote them
    return found, [said("project.strange_rows", n=strange)] if strange else []


def _filled(row: Sequence[str]) -> list[str]:
    return [*row, *[""] * len(COLUMNS)][: len(COLUMNS)]


def order(sample: Sample) -> tuple[float, str]:
    return sample.added, sample.id


def _number(text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(text: str) -> int | None:
    if text.isdecimal() and text.isascii() and len(text) < 16:
        return int(text)
    value = _number(text)
    return None if value is None or abs(value) > 2**53 else int(value)
