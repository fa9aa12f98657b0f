"""`--labels TABLE`: file names and labels from CSV, TSV, JSONL or Parquet, whatever program wrote it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handful.errors import DataError
from handful.registry import optional
from handful.sheets import decode, unguarded
from handful.words import both, said

_NAMES = {
    "file": ("file_name", "filename", "file", "path"),
    "label": ("label", "category", "class", "labels"),
    "group": ("group",), "split": ("split",), "fold": ("fold",),
}  # fmt: skip
Row = dict[str, str]


def read_table(path: Path) -> list[Row]:
    """Rows with the keys file, label and, where the table has them, group, split, fold, line; all text, as written.

    Raises:
        DataError: the table is missing, cannot be understood or lacks a column.
    """
    if not path.is_file():
        raise DataError(*both("table.missing", path=str(path)))
    rows = list(_parquet(path) if path.suffix.lower() == ".parquet" else _text(path))
    if not rows:
        raise DataError(*both("table.empty", file=path.name))
    header = {str(name).strip().lower(): name for name in rows[0]}
    columns = {}
    for key, names in _NAMES.items():
        column = next((header[name] for name in names if name in header), None)
        if column is not None:
            columns[key] = column
        elif key in ("file", "label"):
            columns_there = [str(name) for name in rows[0]]
            raise DataError(*both("table.column", file=path.name, name=repr(names[0]), columns=columns_there))
    # The header is line 1, so the first row is line 2.
    return [
        {key: "" if row.get(column) is None else unguarded(str(row[column]).strip()) for key, column in columns.items()}
        | {"line": str(number)}
        for number, row in enumerate(rows, start=2)
    ]


def _text(path: Path) -> Iterator[Row]:
    text, _ = decode(path.read_bytes())
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                try:
                    yield {key: _said(value) for key, value in json.loads(line).items()}
                except (ValueError, AttributeError) as error:
                    raise DataError(*both("table.no_object_of", line=str(number), file=path.name)) from error
        return
    head = text.split("\n", 1)[0]
    delimiter = max("\t;,|", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        yield from reader
    except csv.Error as error:
        at = str(reader.line_num)
        raise DataError(*both("table.line_of", line=at, file=path.name, why=str(error))) from error


def _said(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _parquet(path: Path) -> Iterator[Row]:
    parquet = optional("pyarrow.parquet", "parquet", said("extra.parquet"))
    yield from parquet.read_table(path).to_pylist()
