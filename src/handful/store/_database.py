"""One database, SQLite or PostgreSQL: connections, transactions, and what to do when it is busy, away or damaged.

Knows nothing of what is kept but that all of it can be made again.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sql
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from handful.errors import HandfulError, MissingExtra
from handful.store._tables import VERSION, Row, migrate, refuse_newer
from handful.words import said

T = TypeVar("T")

PATIENCE_S = 60.0  # for a database that went away
OPENING_S = 5.0  # for one that never answered
BUSY_S = 60.0  # for other writers


class Database:
    """`url`: "sqlite:///PATH", "postgresql://USER@HOST/NAME" or a plain path of an SQLite file.

    `refill` is called whenever the tables are new and empty: the first time, and after a damaged file was thrown away.
    """

    def __init__(self, url: str, refill: Callable[[], None]) -> None:
        """Raises HandfulError when it was made by a newer release, or cannot be used."""
        self._refill, self._lock = refill, threading.RLock()
        self._path = _sqlite_path(url)
        self._engine = _engine(url, self._path)

    def close(self) -> None:
        self._engine.dispose()

    def open(self, mend: bool = True) -> None:
        """Bring the tables to this release's version; nothing is written to those of a newer one."""
        if self._path and self._path.is_file():
            try:
                refuse_newer(_peeked(self._path))
            except sqlite3.DatabaseError:
                self._discard()
        if self._work(migrate, True, OPENING_S, mend):
            self._refill()

    def read(self, work: Callable[[sql.Connection], T]) -> T:
        return self._work(work, False)

    def write(self, work: Callable[[sql.Connection], Any]) -> None:
        self._work(work, True)

    def upsert(self, connection: sql.Connection, table: sql.Table, rows: list[Row], keep: tuple[str, ...] = ()) -> None:
        """Insert `rows`; where one with the same key is there, all but `keep` is replaced."""
        if not rows:
            return
        from sqlalchemy.dialects import postgresql, sqlite

        insert: Any = (sqlite if self._path else postgresql).insert(table)
        keys = [column.name for column in table.primary_key]
        new = {c.name: insert.excluded[c.name] for c in table.columns if c.name not in (*keys, *keep)}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=new), rows)

    def _work(
        self, work: Callable[[sql.Connection], T], writing: bool, patience: float | None = None, mend: bool = True
    ) -> T:
        """`work` in one transaction: again where the database was busy or away, refilled where it was damaged."""
        start, wait = time.monotonic(), 0.05
        patience = PATIENCE_S if patience is None else patience
        while True:
            try:
                with self._engine.connect().execution_options(writing=writing) as connection, connection.begin():
                    return work(connection)
            except DBAPIError as error:
                if self._path and mend and _damaged(error):
                    mend = False
                    with self._lock:
                        self._discard()
                        self.open(mend=False)
                    continue
                if not _passing(error, bool(self._path)) or time.monotonic() - start + wait > patience:
                    raise _refused(error, self._path) from error
            except SQLAlchemyError as error:
                raise _refused(error, self._path) from error
            time.sleep(wait)
            wait = min(wait * 2, 5.0)

    def _discard(self) -> None:
        assert self._path
        self._engine.dispose()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _engine(url: str, path: Path | None) -> sql.Engine:
    if path is None:
        wanted = sql.make_url(url)
        if not wanted.drivername.startswith(("postgresql", "postgres")):
            raise HandfulError(
                f"{wanted.drivername} is no database that can be used", "give a postgresql:// address, or a file"
            )
        try:
            return sql.create_engine(wanted.set(drivername="postgresql+psycopg"), pool_pre_ping=True, max_overflow=20)
        except ImportError as error:
            raise MissingExtra(said("extra.postgres"), "postgres", said("extra.postgres_without")) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HandfulError(
            f"{path.parent} cannot be made ({error.strerror})", "set HANDFUL_HOME to another folder"
        ) from error
    engine = sql.create_engine(
        sql.URL.create("sqlite", database=str(path)), pool_size=8, max_overflow=32, connect_args={"timeout": BUSY_S}
    )

    @sql.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin below, as they are needed
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @sql.event.listens_for(engine, "begin")
    def _begin(connection: sql.Connection) -> None:
        # A transaction that first reads and then writes would fail, not wait, when another wrote in between.
        writing = connection.get_execution_options().get("writing", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _sqlite_path(url: str) -> Path | None:
    if url.startswith("sqlite:///"):
        url = url.removeprefix("sqlite:///")
    elif "://" in url:
        return None
    return Path(url).expanduser().absolute()


def _peeked(path: Path) -> int:
    """Version of an SQLite file, 0 for one without tables; raises sqlite3.DatabaseError when it is damaged."""
    from contextlib import closing
    from urllib.parse import quote

    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_S)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (VERSION.name,)).fetchone() is None:
            return 0
        found = connection.execute(f"SELECT version FROM {VERSION.name}").fetchone()
        refuse_newer(int(found[0]) if found else 0)
        (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(sound)
        return int(found[0]) if found else 0


def _damaged(error: DBAPIError) -> bool:
    """An SQLite file that is none any more; what only cannot be done now (full, locked, read-only) is no damage."""
    text = str(error.orig)
    return isinstance(error, DatabaseError) and (
        "not a database" in text or "malformed" in text or "no such table" in text
    )


def _passing(error: DBAPIError, sqlite: bool) -> bool:
    """Whether the same may succeed a little later."""
    if sqlite:
        return isinstance(error, OperationalError) and "locked" in str(error.orig)
    return error.connection_invalidated or isinstance(error, (OperationalError, IntegrityError))


def _refused(error: SQLAlchemyError, path: Path | None) -> HandfulError:
    first = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    hint = (
        "free some space, or set HANDFUL_HOME to another folder"
        if path
        else "check the address, and that the server runs"
    )
    return HandfulError(f"the index of projects cannot be used ({first})", hint)
