"""Labels tables among imported files: how they were written, which columns say what, which rows fit the files that are there.

Reads CSV, TSV and JSON lines; other formats need a reader from outside. Never opens what a row names: a path, an address or `..` in a table is only
compared with the names of files that were received.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handful.errors import DataError
from handful.folders import split_named
from handful.projects.names import visible
from handful.projects.planning import Meant
from handful.sheets import decode, unguarded
from handful.words import both, said

Table = tuple[list[str], list[list[str]], str, str]  # columns, rows, delimiter, encoding
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
MAX_BYTES = 64 << 20
_FILE = ("file_name", "filename", "file", "path", "image", "audio", "fname", "name")
_LABEL = ("label", "category", "class", "labels", "target", "species")
_GROUP = ("group",)
_ENDS = 8  # folders of a path by which its end is looked up: a path of a thousand would take a thousand entries
_SPLIT = ("split",)


@dataclass(frozen=True)
class Reading:
    """What a table says: `labels` by received path; `matched` and `missing` count rows."""

    file_column: str | None
    label_column: str | None
    labels: dict[str, Meant] = field(default_factory=dict)
    matched: int = 0
    missing: int = 0
    problem: str | None = None


def read_text(path: Path) -> Table:
    """A table of text, whatever program wrote it: byte order marks, UTF-16, Windows code pages, any usual delimiter.

    Raises:
        DataError: it is empty or cannot be understood.
    """
    text, encoding = decode(path.read_bytes())
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _json_lines(text, encoding)
    head = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t|", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        kept = [row for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DataError(*both("table.line", line=str(rows.line_num), why=str(error))) from error
    if len(kept) < 2:
        raise DataError(*both("table.no_rows"))
    return [cell.strip() for cell in kept[0]], kept[1:], delimiter, encoding


def _json_lines(text: str, encoding: str) -> Table:
    columns: dict[str, None] = {}
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                row = {str(key): value for key, value in json.loads(line).items()}
            except (ValueError, AttributeError, RecursionError):
                raise DataError(*both("table.no_object", line=str(number))) from None
            columns |= dict.fromkeys(row)
            found.append(row)
    if not found:
        raise DataError(said("table.no_rows"), said("table.no_lines.fix"))
    rows = [
        ["" if (v := row.get(name)) is None else v if isinstance(v, str) else json.dumps(v) for name in columns]
        for row in found
    ]
    return list(columns), rows, "", encoding


def understand(
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    paths: Iterable[str],
    file_column: str | None = None,
    label_column: str | None = None,
) -> Reading:
    """How the rows of the table at path `table` label the files at `paths`.

    A file is found by its path from the table's folder, from the top, or by its bare name where only one has it.
    """
    file_at, label_at = _column(columns, _FILE, file_column), _column(columns, _LABEL, label_column)
    names = _title(columns, file_at), _title(columns, label_at)
    if file_at is None or label_at is None:
        what = "file_name" if file_at is None else "label"
        problem = said("table.no_column", what=what, columns=", ".join(columns)[:200])
        return Reading(*names, problem=problem)
    group_at, split_at = _column(columns, _GROUP, None), _column(columns, _SPLIT, None)
    find = _Finder(table, paths)
    labels: dict[str, Meant] = {}
    matched = missing = 0
    for number, row in enumerate(rows, start=2):
        columns_at = (file_at, label_at, group_at, split_at)
        cells = [row[at].strip() if at is not None and at < len(row) else "" for at in columns_at]
        if not any(cells):
            continue
        path = find(cells[0])
        if path is None:
            missing += 1
            continue
        matched += 1
        meant = Meant(visible(unguarded(cells[1])), visible(unguarded(cells[2]))[:200], split_named(cells[3]))
        if labels.setdefault(path, meant).label != meant.label:
            here = {"label": labels[path].label, "other": meant.label, "line": str(number)}
            problem = said("table.two_classes", file=path, **here)
            return Reading(*names, labels, matched, missing, problem)
    return Reading(*names, labels, matched, missing, None if matched else said("table.no_file"))


def _column(columns: Sequence[str], known: Sequence[str], wanted: str | None) -> int | None:
    if wanted is not None:
        return list(columns).index(wanted) if wanted in columns else None
    titles = [title.strip().lower() for title in columns]
    return next((titles.index(name) for name in known if name in titles), None)


def _title(columns: Sequence[str], at: int | None) -> str | None:
    return None if at is None else columns[at]


class _Finder:
    def __init__(self, table: str, paths: Iterable[str]) -> None:
        self._folder = posixpath.dirname(table)
        self._paths = {path: path for path in paths}
        self._by_end: dict[str, str | None] = {}  # end of a path -> the path; None: several have it
        for path in self._paths:
            parts = path.split("/")
            for first in range(max(1, len(parts) - _ENDS), len(parts)) or (0,):
                end = "/".join(parts[first:])
                self._by_end[end] = None if end in self._by_end else path

    def __call__(self, cell: str) -> str | None:
        name = visible(unguarded(cell)).replace("\\", "/")
        if not name or "://" in name or ".." in name.split("/"):
            return None
        name = posixpath.normpath(name)
        for candidate in (posixpath.join(self._folder, name), name):
            if candidate in self._paths:
                return candidate
        return self._by_end[name] if name in self._by_end else self._by_end.get(posixpath.basename(name))
