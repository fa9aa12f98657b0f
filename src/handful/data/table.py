"""`--labels TABLE`: file names and labels from CSV, TSV, JSONL or Parquet, whatever program wrote it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from handful.errors import DataError
from handful.registry import optional
from handful.sheets import decode, unguarded

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
        raise DataError(f"there is no labels table at {path}", "check the path given to --labels")
    rows = list(_parquet(path) if path.suffix.lower() == ".parquet" else _text(path))
    if not rows:
        raise DataError(f"the labels table {path.name} has no rows", "give it a header and a row for each file")
    header = {str(name).strip().lower(): name for name in rows[0]}
    columns = {}
    for key, names in _NAMES.items():
        column = next((header[name] for name in names if name in header), None)
        if column is not None:
            columns[key] = column
        elif key in ("file", "label"):
            raise DataError(
                f"the labels table {path.name} has no column {names[0]!r}",
                f"its columns are {', '.join(map(str, rows[0]))}; rename one",
            )
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
                    yield {
                        key: value if isinstance(value, str) else json.dumps(value)
                        for key, value in json.loads(line).items()
                    }
                except (ValueError, AttributeError) as error:
                    raise DataError(
                        f"line {number} of {path.name} is no JSON object", "mend or remove the line"
                    ) from error
        return
    head = text.split("\n", 1)[0]
    delimiter = max("\t;,|", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(
            f"line {reader.line_num} of {path.name} cannot be read ({error})", "mend or remove the line"
        ) from error


def _parquet(path: Path) -> Iterator[Row]:
    parquet = optional("pyarrow.parquet", "parquet", "a Parquet table")
    yield from parquet.read_table(path).to_pylist()
