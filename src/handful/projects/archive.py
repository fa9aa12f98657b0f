"""Zip files from strangers: everything about them is checked before a byte is written, and counted while it is.

Knows the zip format and its known attacks. Only stored and deflated members are read: other methods have decompressors whose
memory an archive could fill. Members keep their names; where they go is the caller's business.
"""

from __future__ import annotations

import os
import stat
import struct
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

from handful.projects.names import visible
from handful.projects.reasons import ProjectError, TooLarge
from handful.words import both, said, shown

_BLOCK = 1 << 18
_RATIO_FROM = 1 << 20  # bytes: a small text may well be packed very tightly
_DIRECTORY_BYTES = 64 << 20
_STARTS = (
    (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"PK\x07\x08", "zip"), (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07", "rar"), (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"MSCF", "cab"), (b"\x04\x22\x4d\x18", "lz4"),
)  # fmt: skip
_METHODS = {
    9: "deflate64",
    12: "bzip2",
    14: "lzma",
    93: "zstd",
    95: "xz",
    97: "wavpack",
    98: "ppmd",
    99: "AES encryption",
}
_UNPACK = "archive.unpack.fix"
_AGAIN = "archive.again.fix"
_SPLIT = "archive.split.fix"


class ArchiveError(ProjectError):
    """The archive is refused as a whole."""


@dataclass(frozen=True)
class Limits:
    """What may come in. `ratio`: unpacked to packed, of members above 1 MB; `keep_free`: bytes left free on the disk."""

    files: int = 100_000
    file_bytes: int = 1 << 30
    total_bytes: int = 32 << 30
    ratio: int = 200
    keep_free: int = 200_000_000


@dataclass(frozen=True)
class Member:
    """A regular file of an archive; `name`: relative, `/` between folders, without `..`; `bytes`: as the archive claims."""

    name: str
    bytes: int
    info: zipfile.ZipInfo


class Target(Protocol):
    """Where the content of a member goes."""

    def write(self, block: bytes, /) -> Any: ...


def named(head: bytes) -> str | None:
    """ "zip", "gzip", "7z", "rar", ... by the first 300 bytes of a file; None: no archive."""
    if head[257:262] == b"ustar":
        return "tar"
    return next((kind for start, kind in _STARTS if head.startswith(start)), None)


class Archive:
    """A checked zip file: `members`, then `copy` each. Use in `with`.

    Raises:
        ArchiveError: it is none, is damaged, encrypted, or holds names, links or overlaps that are no honest archive's.
        TooLarge: more files or bytes than `limits` allow.
    """

    def __init__(self, path: Path, limits: Limits | None = None, name: str = "") -> None:
        self._name = name or path.name
        self._limits = limits or Limits()
        self._written = 0
        with open(path, "rb") as file:
            head = file.read(300)
            size = file.seek(0, os.SEEK_END)
            self._check_kind(head)
            self._check_end(file, size)
        try:
            self._zip = zipfile.ZipFile(path)
        # zipfile says NotImplementedError of a kind of zip that it cannot read: one in several parts, say.
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
            raise self._refused("damaged", _AGAIN, why=str(error)) from error
        try:
            self.members = self._check_members()
            self._check_overlaps(path, size)
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._zip.close()

    def copy(self, member: Member, target: Target) -> None:
        """Write the content of a member, counting what is really written.

        Raises:
            ArchiveError: it is damaged, or larger than it claims; TooLarge: over a limit.
        """
        size = 0
        try:
            with self._zip.open(member.info) as source:
                while block := source.read(_BLOCK):
                    size += len(block)
                    self._written += len(block)
                    if size > member.bytes or size > self._limits.file_bytes:
                        raise self._refused("larger", _AGAIN, file=member.name)
                    if self._written > self._limits.total_bytes:
                        raise self._too_large(self._written)
                    if size > _RATIO_FROM and size > self._limits.ratio * max(1, member.info.compress_size):
                        raise self._bomb(member.name)
                    target.write(block)
        # NotImplementedError: a compression that zipfile does not know.
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error) as error:
            raise self._refused("file_damaged", _AGAIN, file=member.name, why=shown(str(error))[:120]) from error
        if size != member.bytes:
            raise self._refused("file_cut", _AGAIN, file=member.name)

    # -- before anything is written --------------------------------------------------------------------------------

    def _check_kind(self, head: bytes) -> None:
        kind = named(head)
        if kind is None:
            raise ArchiveError(*both("archive.none", archive=self._name))
        if kind != "zip":
            raise self._refused("other", _UNPACK, kind=kind)
        if head.startswith(b"PK\x07\x08"):
            raise self._refused("part", _SPLIT)

    def _check_end(self, file: BinaryIO, size: int) -> None:
        """The end record: there, of one disk, with a directory that fits into memory."""
        start = max(0, size - 22 - 0xFFFF)
        file.seek(start)
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < 22:
            raise ArchiveError(*both("archive.cut", archive=self._name))
        disk, first, _, entries, length = struct.unpack("<4HI", tail[at + 4 : at + 16])
        if disk not in (0, 0xFFFF) or first not in (0, 0xFFFF):
            raise self._refused("part", _SPLIT)
        if length == 0xFFFFFFFF or entries == 0xFFFF:
            file.seek(max(0, start + at - 76))
            record = file.read(56)
            if record.startswith(b"PK\x06\x06"):
                entries, length = struct.unpack("<QQ", record[32:48])
        if length > _DIRECTORY_BYTES or entries > 4 * self._limits.files + 1000:
            most = self._limits.files
            raise TooLarge(said("archive.lists", archive=self._name, n=entries, most=most), said("archive.smaller.fix"))

    def _check_members(self) -> list[Member]:
        members: dict[str, Member] = {}
        folders: set[str] = set()
        total = 0
        for info in self._zip.infolist():
            name = self._safe(info)
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise self._refused("link", _UNPACK, file=name)
            if info.filename.endswith(("/", "\\")) or stat.S_ISDIR(mode):
                folders.add(name)
                continue
            self._check_one(info, name)
            if name in members:
                raise self._refused("twice", _AGAIN, file=name)
            members[name] = Member(name, info.file_size, info)
            total += info.file_size
            if len(members) > self._limits.files:
                many = said("archive.many", archive=self._name, most=self._limits.files)
                raise TooLarge(many, said("archive.smaller.fix"))
            if total > self._limits.total_bytes:
                raise self._too_large(total)
        for name in members:
            parts = name.split("/")
            folders.update("/".join(parts[:i]) for i in range(1, len(parts)))
        if twice := next((name for name in members if name in folders), None):
            raise self._refused("file_and_folder", _AGAIN, file=twice)
        return list(members.values())

    def _check_one(self, info: zipfile.ZipInfo, name: str) -> None:
        if info.flag_bits & 0x2041:
            raise ArchiveError(*both("archive.encrypted", archive=self._name))
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            method = _METHODS.get(info.compress_type, str(info.compress_type))
            raise self._refused("method", _UNPACK, method=method)
        if info.file_size > self._limits.file_bytes:
            most = round(self._limits.file_bytes / 1e6)
            large = said("archive.file_large", archive=self._name, file=name, most=most)
            raise TooLarge(large, said("error.leave_out.fix"))
        if info.file_size > _RATIO_FROM and info.file_size > self._limits.ratio * max(1, info.compress_size):
            raise self._bomb(name)

    def _safe(self, info: zipfile.ZipInfo) -> str:
        """The member's name with `/` between its parts. Raises: ArchiveError, it leads out of the folder."""
        raw = _decoded(info)
        text = raw.replace("\\", "/")
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if "\0" in info.orig_filename or not parts:
            raise self._refused("unnamed", _AGAIN)
        drive = len(parts[0]) >= 2 and parts[0][1] == ":" and parts[0][0].isascii() and parts[0][0].isalpha()
        if text.startswith("/") or ".." in parts or drive:
            raise self._refused("leads_out", _UNPACK, file=shown(raw)[:100])
        return "/".join(visible(part) or "_" for part in parts)

    def _check_overlaps(self, path: Path, size: int) -> None:
        """Two members that share bytes are a bomb (CVE-2024-0450); Python before 3.11.8 does not look."""
        infos = sorted(self._zip.infolist(), key=lambda info: info.header_offset)
        end = self._zip.start_dir
        with open(path, "rb") as file:
            for info, following in zip(infos, [*(i.header_offset for i in infos[1:]), end], strict=True):
                if info.header_offset >= 0:
                    file.seek(info.header_offset)
                header = file.read(30) if info.header_offset >= 0 else b""
                if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
                    raise self._refused("damaged", _AGAIN, why=said("archive.no_header"))
                name, extra = struct.unpack("<HH", header[26:30])
                if info.header_offset + 30 + name + extra + info.compress_size > following or following > size:
                    raise self._refused("overlap", _AGAIN)

    def _too_large(self, total: int) -> TooLarge:
        size, most = round(total / 1e6), round(self._limits.total_bytes / 1e6)
        return TooLarge(said("archive.large", archive=self._name, size=size, most=most), said("archive.smaller.fix"))

    def _bomb(self, name: str) -> ArchiveError:
        return self._refused("bomb", _UNPACK, file=name, ratio=self._limits.ratio)

    def _refused(self, how: str, fix: str, **values: Any) -> ArchiveError:
        return ArchiveError(said(f"archive.{how}", archive=self._name, **values), said(fix))


def _decoded(info: zipfile.ZipInfo) -> str:
    """A name without the UTF-8 mark is what its program's code page was: UTF-8 all the same, Russian DOS, or as Python reads it."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    try:
        content = info.filename.encode("cp437")
        return content.decode("utf-8")
    except UnicodeError:
        pass
    try:
        russian = info.filename.encode("cp437").decode("cp866")
    except UnicodeError:
        return info.filename
    letters = [unicodedata.name(c, "").startswith("CYRILLIC") for c in russian]
    in_a_row = any(a and b for a, b in zip(letters, letters[1:], strict=False))
    return russian if in_a_row else info.filename
