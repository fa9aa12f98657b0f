"""The funnels every byte passes: durable writes, hashes, where things live, a cache that survives anything.

Knows nothing about media, models or runs. A write is: temporary file beside the target, fsync, rename, fsync of the
folder; whoever looks sees the old file or the new one. Nothing here writes beside the user's own data.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

from handful.errors import HandfulError
from handful.words import both, reason
from handful.words import shown as shown

_CACHEDIR_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of handful; it can be deleted at any time.\n"
)


def place(kind: str) -> Path:
    """Where the platform puts `kind` (cache, data, config or state) of handful, made or not; `HANDFUL_HOME` moves all."""
    home = os.environ.get("HANDFUL_HOME")
    if home:
        return Path(home).expanduser().absolute() / kind
    import platformdirs

    return Path(getattr(platformdirs, f"user_{kind}_dir")("handful"))


def cache_dir() -> Path:
    """Where everything lies that can be made again; `HANDFUL_HOME` moves it."""
    folder = place("cache")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tag = folder / "CACHEDIR.TAG"
        if not tag.exists():
            tag.write_text(_CACHEDIR_TAG, encoding="utf-8")
    except OSError as error:
        raise HandfulError(*both("error.cache_folder", folder=str(folder), reason=reason(error))) from error
    return folder


def data_dir() -> Path:
    """Where runs go when no `--run` is given."""
    return place("data")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes otherwise."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.tmp-", dir=path.parent)
    except OSError as error:
        raise HandfulError(*both("error.unwritten", path=str(path), reason=reason(error))) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes files only the owner can read; a result is readable like any other file of the user's.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        with contextlib.suppress(OSError):  # some file systems cannot sync a folder
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise HandfulError(*both("error.unwritten", path=str(path), reason=reason(error))) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def atomic_write(path: Path, content: bytes | str) -> None:
    """Replace `path` by `content` so that no reader ever sees a part of it."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def append(path: Path, content: bytes, end: int) -> int:
    """Put `content` behind the first `end` bytes of a file, whole or not at all; returns the new end.

    What else lies there is what an earlier crash or a full disk left of a line: it must not swallow this one.

    Raises:
        OSError: it could not be written.
    """
    with open(path, "ab", buffering=0) as file:
        if file.tell() > end:
            file.truncate(end)
        try:
            view = memoryview(content)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise
    return end + len(content)


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON with stable key order as given, UTF-8, no NaN. Lone surrogates of undecodable file names become `\\udcNN`."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False, default=_plain)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    numpy = sys.modules.get("numpy")  # none of its values is there before it is; asking for help must not wait for it
    if numpy and isinstance(value, numpy.generic):
        return value.item()
    if numpy and isinstance(value, numpy.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into JSON")


def read_json_lines(path: Path) -> list[Any]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(folder: Path, name: object) -> Path | None:
    """The regular file that is called `name` below `folder`, which is how everything is opened that a run or a project names.

    None for whatever else somebody may have written there: an absolute path, one that leads out of the folder, be it by a link,
    an address, a folder, a pipe, a device, no text at all.
    """
    if not isinstance(name, str) or not name or PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        return None
    try:
        path = (folder / name).resolve()
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, RuntimeError, ValueError):  # nothing there, links in a circle, a name that cannot be
        return None
    return folder / name if regular and path.is_relative_to(folder.resolve()) else None


def copy_file(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


class Store:
    """A cache of rows by key in one SQLite file: absent or complete, checked by CRC, safe for several processes.

    A damaged row or file is a miss, never an error and never a wrong hit: the whole cache can be made again.
    """

    _CHUNK = 500

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        for attempt in (1, 2):
            try:
                connection = sqlite3.connect(self._path, timeout=30, check_same_thread=False)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, value BLOB, crc INTEGER) WITHOUT ROWID"
                )
                return connection
            except sqlite3.DatabaseError as error:
                if attempt == 2 or isinstance(error, sqlite3.OperationalError):
                    raise HandfulError(*both("error.cache", path=str(self._path), why=str(error))) from error
                self._discard()
        raise AssertionError("unreachable")

    def _discard(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _reset(self) -> None:
        self._connection.close()
        self._discard()
        self._connection = self._open()

    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """(key, value) of those that are there and whole, in no particular order."""
        for start in range(0, len(keys), self._CHUNK):
            chunk = keys[start : start + self._CHUNK]
            marks = ",".join("?" * len(chunk))
            try:
                rows = self._connection.execute(
                    f"SELECT key, value, crc FROM rows WHERE key IN ({marks})", chunk
                ).fetchall()
            except sqlite3.DatabaseError:
                self._reset()
                return
            for key, value, crc in rows:
                if isinstance(value, bytes) and zlib.crc32(value) == crc:
                    yield key, value

    def put(self, rows: Iterable[tuple[str, bytes]]) -> bool:
        """Write all of `rows` in one transaction; False when the disk is full or the cache damaged, which is no error."""
        checked = [(key, value, zlib.crc32(value)) for key, value in rows]
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", checked)
            return True
        except sqlite3.OperationalError:
            return False
        except sqlite3.DatabaseError:
            self._reset()
            return False

    def close(self) -> None:
        self._connection.close()

    @staticmethod
    def look(path: Path) -> sqlite3.Connection:
        """The rows in `path` as they are, to be read only: nothing is made, and what is damaged is an sqlite3.DatabaseError."""
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=30, uri=True)

    @classmethod
    def damaged(cls, path: Path) -> str:
        """What is wrong with a cache in `path`, or ""; unlike reading it, this mends nothing."""
        try:
            with contextlib.closing(cls.look(path)) as connection:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                rows = connection.execute("SELECT value, crc FROM rows")
                bad = sum(not isinstance(value, bytes) or zlib.crc32(value) != crc for value, crc in rows)
        except sqlite3.DatabaseError as error:
            return str(error)
        return found if found != "ok" else f"damaged rows: {bad}" if bad else ""
