"""Bytes on their way in and where they lie: `media/`, named by content, and `trash/` beside it.

Knows hashes, sizes and free space; nothing about classes. What a file is gets told by its first bytes (`kind_of`), how
large or long it is by `describe`; both are given.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from handful.errors import FileError, HandfulError
from handful.files import inside
from handful.projects.archive import Limits
from handful.projects.reasons import NoSpace, ProjectError, TooLarge
from handful.words import Said, both, reason, said

HEAD_BYTES = 300
SYNC_EACH = 8  # files; of more, the whole disk is synced once
_BLOCK = 1 << 20
_LOOK_EVERY = 64 << 20  # bytes between two looks at how full the disk is
_FULL = (errno.ENOSPC, errno.EDQUOT)
_SUFFIXES = frozenset(
    "jpg jpeg jpe jfif png webp bmp gif tif tiff heic heif avif wav wave flac ogg oga opus mp3 aif aiff au caf w64 rf64 m4a aac "
    "mp4 3gp webm weba".split()
)
KINDS = ("image", "audio")
KindOf = Callable[[bytes], str | None]
Describe = Callable[[Path], Mapping[str, Any]]
ReadTable = Callable[[Path], tuple[list[str], list[list[str]], str, str]]  # columns, rows, delimiter, encoding


@dataclass(frozen=True)
class Reader:
    """How the projects learn what a file is, all given from outside. `read_table`: None reads CSV, TSV and JSON lines."""

    kind_of: KindOf
    describe: Describe | None = None
    read_table: ReadTable | None = None


@dataclass(frozen=True)
class Stored:
    """A file that has arrived at `path`. `head`: its first bytes."""

    path: Path
    sha256: str
    head: bytes
    bytes: int


@dataclass(frozen=True)
class NewFile:
    """A file to add: its `content` or where it lies, its class, the name it came with, its group."""

    content: Path | bytes
    label: str
    name: str = ""
    group: str = ""


@dataclass(frozen=True)
class Incoming:
    """A media file that is about to become a sample. `facts`: width, height, seconds, rate_hz, those there are."""

    path: Path
    sha256: str
    bytes: int
    modality: str
    label: str
    name: str
    group: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    split: str = ""

    @property
    def id(self) -> str:
        return self.sha256[:16]

    @property
    def suffix(self) -> str:
        """Of the name it came with, where that is one of a picture or sound: nothing here opens as a page or a program."""
        suffix = PurePosixPath(self.name).suffix.lower().lstrip(".")
        return suffix if suffix in _SUFFIXES else "bin"

    @property
    def file(self) -> str:
        """Its path below `media/`."""
        return f"{self.id[:2]}/{self.id}.{self.suffix}"


@contextlib.contextmanager
def writing(what: str, **values: str) -> Iterator[None]:
    """A full disk or another trouble of the file system becomes an error that the user can act on. `what`: the sentence that
    says what could not be done."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace(*both("error.disk_full", what=said(what, **values))) from error
        raise ProjectError(*both("error.system", what=said(what, **values), reason=reason(error))) from error


def need_room(folder: Path, size: int, limits: Limits) -> None:
    """Raises: NoSpace, `size` more bytes would leave too little."""
    free = shutil.disk_usage(folder).free
    if size + limits.keep_free > free:
        left = max(0, free - limits.keep_free)
        raise NoSpace(*both("error.disk_nearly_full", needed=round(size / 1e6), free=round(left / 1e6)), size, left)


class Tally:
    """A file being written: counts, hashes and keeps the head of what passes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(path, "xb")  # closed by `done` or `drop`
        self._digest = hashlib.sha256()
        self._head = b""
        self.bytes = 0

    def write(self, block: bytes) -> int:
        if len(self._head) < HEAD_BYTES:
            self._head += block[: HEAD_BYTES - len(self._head)]
        self.bytes += len(block)
        self._digest.update(block)
        return self._file.write(block)

    def done(self) -> Stored:
        self._file.close()
        return Stored(self._path, self._digest.hexdigest(), self._head, self.bytes)

    def drop(self) -> None:
        with contextlib.suppress(OSError):  # what is still buffered may not fit on the disk either
            self._file.close()
        self._path.unlink(missing_ok=True)


def store(folder: Path, name: str, fill: Callable[[Tally], None]) -> Stored:
    """A file of its own in `folder`, written by `fill`; nothing is kept when that fails.

    Raises:
        NoSpace, HandfulError: it cannot be written; and whatever `fill` raises.
    """
    with writing("error.file_unstored_of", file=name):
        folder.mkdir(parents=True, exist_ok=True)
        tally = Tally(folder / secrets.token_hex(8))
        try:
            fill(tally)
            return tally.done()
        except BaseException:
            tally.drop()
            raise


def take_in(content: BinaryIO | bytes, folder: Path, name: str, limits: Limits, allowed: int) -> Stored:
    """Write `content` to a file of its own in `folder`, counting.

    Raises:
        TooLarge: more than `limits.file_bytes`, or than the `allowed` bytes that are left.
        NoSpace, HandfulError: it cannot be written. Nothing is kept.
    """
    stream = io.BytesIO(content) if isinstance(content, bytes | bytearray | memoryview) else content
    most = min(limits.file_bytes, allowed)

    def fill(tally: Tally) -> None:
        while block := stream.read(_BLOCK):
            if tally.bytes + len(block) > most:
                raise TooLarge(*both("error.file_large", file=name, most=round(most / 1e6)))
            if tally.bytes // _LOOK_EVERY != (tally.bytes + len(block)) // _LOOK_EVERY:
                need_room(folder, len(block), limits)
            tally.write(block)

    return store(folder, name, fill)


def take_file(content: Path | bytes, folder: Path, name: str, limits: Limits) -> Stored:
    """A copy of a file or of bytes in `folder`. Raises: as `take_in`; ProjectError, the file cannot be opened."""
    if isinstance(content, bytes):
        folder.mkdir(parents=True, exist_ok=True)
        need_room(folder, len(content), limits)
        return take_in(content, folder, name, limits, limits.total_bytes)
    try:
        stream = open(content, "rb")
    except OSError as error:
        raise ProjectError(*both("error.file_closed", file=name, reason=reason(error))) from error
    with stream:
        folder.mkdir(parents=True, exist_ok=True)
        need_room(folder, os.fstat(stream.fileno()).st_size, limits)
        return take_in(stream, folder, name, limits, limits.total_bytes)


def facts_of(stored: Stored, name: str, modality: str | None, reader: Reader) -> tuple[str, dict[str, Any]]:
    """What a stored file is and measures: (modality, facts).

    Raises:
        FileError: empty, no picture or sound, damaged, or of another kind than `modality`.
    """
    if not stored.bytes:
        raise FileError(said("finding.empty_file", file=name), said("error.leave_out.fix"), kind="empty")
    kind = reader.kind_of(stored.head[:64])
    if kind is None:
        raise FileError(said("finding.no_media", file=name), said("error.leave_out.fix"), kind="format")
    if modality is not None and kind != modality:
        key = "error.sound_among_pictures" if kind == "audio" else "error.picture_among_sounds"
        raise FileError(said(key, file=name), said("error.other_project.fix"), kind="format")
    try:
        facts = dict(reader.describe(stored.path)) if reader.describe else {}
    except HandfulError as error:
        # Whoever looked at the file knows it by the name it lies under, the user by another.
        problem = _renamed(error.message, {str(stored.path): name, stored.path.name: name})
        how = error.kind if isinstance(error, FileError) else "corrupt"
        raise FileError(said("error.file", file=name, problem=problem), error.hint, how) from error
    return kind, {key: facts[key] for key in ("width", "height", "seconds", "rate_hz") if facts.get(key) is not None}


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A sentence, or a value of one, in which files are called otherwise."""
    if isinstance(value, Said):
        values = value.sentence.values
        return said(value.sentence.key, **{name: _renamed(one, names) for name, one in values.items()})
    for old, new in names.items() if isinstance(value, str) else ():
        value = value.replace(old, new)
    return value


class Contents:
    """The media of a project. Files come and go by links and renames, so that none is ever half there."""

    def __init__(self, folder: Path) -> None:
        self.media = folder / "media"
        self.trash = folder / "trash"

    def bring(self, path: Path, file: str, sync: bool = True) -> None:
        """Make the content of `path` also appear as `file`; `path` stays. A link where the file system has links."""
        target = self.media / file
        if target.is_file():
            return
        with writing("error.file_unstored"):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except FileExistsError:
                return
            except OSError:
                temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
                try:
                    shutil.copyfile(path, temporary)
                    os.replace(temporary, target)
                finally:
                    temporary.unlink(missing_ok=True)
            if sync:
                try:
                    sync_path(target)
                except OSError:
                    target.unlink(missing_ok=True)
                    raise
                sync_path(target.parent)

    def find(self, file: str) -> Path | None:
        """Where a file lies, even if it was thrown away a moment ago; None: nowhere."""
        return inside(self.media, file) or inside(self.trash, file)

    def throw(self, files: Iterable[str]) -> None:
        """From media to trash; a file that is not there is no error."""
        for file in files:
            self._move(self.media / file, self.trash / file)

    def fetch(self, files: Iterable[str]) -> None:
        """Back from trash, those that are not in place."""
        moved = [file for file in files if not (self.media / file).is_file() and self._fetched(file)]
        if len(moved) > SYNC_EACH:
            os.sync()
        else:
            for folder in {(self.media / file).parent for file in moved}:
                sync_path(folder)

    def _fetched(self, file: str) -> bool:
        return self._move(self.trash / file, self.media / file)

    def in_trash(self) -> tuple[int, int]:
        """(files, bytes)"""
        sizes = []
        for folder, _, names in os.walk(self.trash):
            for name in names:
                with contextlib.suppress(OSError):  # it came back meanwhile
                    sizes.append(os.lstat(os.path.join(folder, name)).st_size)
        return len(sizes), sum(sizes)

    def empty_trash(self) -> int:
        freed = self.in_trash()[1]
        shutil.rmtree(self.trash, ignore_errors=True)
        return freed

    @staticmethod
    def _move(source: Path, target: Path) -> bool:
        for _ in range(2):
            try:
                os.replace(source, target)
                return True
            except FileNotFoundError:
                target.parent.mkdir(parents=True, exist_ok=True)
        return False


def sync_path(path: Path) -> None:
    """Have a file or folder on disk before going on. Raises: OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some file systems cannot sync a folder
            raise
    finally:
        os.close(handle)
