"""Tables of the index, how they came to be version by version, and how plain dicts become rows.

Knows columns; every row also holds the dict it was made of, as JSON.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sql
from sqlalchemy import Column, Float, Index, Integer, MetaData, Table, Text

from handful.errors import HandfulError
from handful.files import shown, to_json

Row = dict[str, Any]

_CHUNK = 500
_WORDS = Text().with_variant(Text(collation="C"), "postgresql")  # the same order on both
_META = MetaData()
VERSION = Table("handful_version", _META, Column("version", Integer, nullable=False))
PROJECTS = Table(
    "handful_projects", _META,
    Column("id", _WORDS, primary_key=True), Column("updated", Float, nullable=False), Column("data", Text, nullable=False),
)  # fmt: skip
SAMPLES = Table(
    "handful_samples", _META,
    Column("project", _WORDS, primary_key=True), Column("id", _WORDS, primary_key=True),
    Column("position", Integer, nullable=False), Column("label", _WORDS, nullable=False),
    Column("origin", _WORDS, nullable=False), Column("search", _WORDS, nullable=False), Column("data", Text, nullable=False),
    Index("handful_samples_label", "project", "label", "position"),
    Index("handful_samples_position", "project", "position"),
)  # fmt: skip
RUNS = Table(
    "handful_runs", _META,
    Column("project", _WORDS, primary_key=True), Column("id", _WORDS, primary_key=True),
    Column("created", Float, nullable=False), Column("data", Text, nullable=False),
)  # fmt: skip
JOBS = Table(
    "handful_jobs", _META,
    Column("id", _WORDS, primary_key=True), Column("project", _WORDS, nullable=False, index=True),
    Column("number", Float, nullable=False), Column("state", Text, nullable=False), Column("data", Text, nullable=False),
)  # fmt: skip
_HELD = (PROJECTS, SAMPLES, RUNS, JOBS)


def _first(connection: sql.Connection) -> None:
    _META.create_all(connection, tables=list(_HELD))


# Number n brings version n - 1 to n. Once released a step is never changed, only followed by others: the next one must freeze
# here, as SQL, what `_first` makes today.
MIGRATIONS: list[Callable[[sql.Connection], None]] = [_first]


def migrate(connection: sql.Connection) -> bool:
    """All migrations that are missing; whether the index was empty before."""
    if connection.dialect.name == "postgresql":  # SQLite lets one writer in at a time anyway
        connection.execute(sql.text("SELECT pg_advisory_xact_lock(:key)"), {"key": 0x68616E64})
    there = sql.inspect(connection).has_table(VERSION.name)
    version = connection.scalar(sql.select(VERSION.c.version)) if there else None
    refuse_newer(version or 0)
    if not there:
        VERSION.create(connection)
    for step in MIGRATIONS[version or 0 :]:
        step(connection)
    if version is None:
        connection.execute(sql.insert(VERSION).values(version=len(MIGRATIONS)))
    elif version < len(MIGRATIONS):
        connection.execute(sql.update(VERSION).values(version=len(MIGRATIONS)))
    return version is None


def refuse_newer(version: int) -> None:
    if version > len(MIGRATIONS):
        raise HandfulError(
            f"the index of projects was made by a newer handful (version {version}, this one reads {len(MIGRATIONS)})",
            "pip install --upgrade handful",
        )


def project_row(project: Mapping[str, Any]) -> Row:
    return {"id": project["id"], "updated": float(project.get("updated", 0)), "data": to_json(dict(project))}


def sample_rows(project: str, samples: Iterable[Mapping[str, Any]]) -> list[Row]:
    return [
        {
            "project": project, "id": sample["id"], "position": position, "label": text(sample["label"]),
            "origin": text(sample.get("group", "")), "data": to_json(dict(sample)),
            "search": searched(f"{sample.get('name', '')}\n{sample.get('group', '')}"),
        }
        for position, sample in enumerate(samples)
    ]  # fmt: skip


def run_rows(project: str, runs: Iterable[Mapping[str, Any]]) -> list[Row]:
    return [
        {"project": project, "id": run["id"], "created": float(run.get("created", 0)), "data": to_json(dict(run))}
        for run in runs
    ]


def text(name: str) -> str:
    """A name as a database takes it: no undecodable bytes, no NUL."""
    return name if name.isprintable() else shown(name)


def searched(words: str) -> str:
    """As it is compared: whatever the case and the way accents are written."""
    return text(unicodedata.normalize("NFC", words).casefold())


def chunks(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
