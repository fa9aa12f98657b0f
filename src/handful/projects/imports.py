"""Files on their way in: received one by one into `imports/<id>/`, looked at as a whole, then confirmed as one action.

Knows paths, contents and what folders and tables say; nothing is in the project before `confirm`. An import survives
restarts: what has been received stays, the rest can follow.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from handful.errors import HandfulError
from handful.files import append, to_json
from handful.folders import left_behind
from handful.projects import tables
from handful.projects.archive import Archive, ArchiveError, named
from handful.projects.contents import KINDS, Incoming, Stored, facts_of, need_room, store, take_in, writing
from handful.projects.history import Action
from handful.projects.labels import Sample
from handful.projects.names import clean_name, relative
from handful.projects.planning import Elsewhere, Entry, FoundClass, ImportChoice, Meant, Plan, Reject, Torn, plan
from handful.projects.reasons import NotFound, ProjectError, TooLarge
from handful.words import Sentence, both, packed, said, unpacked

if TYPE_CHECKING:
    from handful.projects.project import Project

_ROWS = 8
_LISTED = 20_000
_WORKBOOKS = {".xlsx": "import.excel", ".xlsm": "import.excel", ".ods": "import.spreadsheet"}


@dataclass(frozen=True)
class FoundTable:
    """A labels table among the files; `rows`: the first 8; `matched` and `missing` count rows; `parts`: files by what its
    column `split` says; `problem` keeps it from use."""

    path: str
    delimiter: str
    encoding: str
    columns: list[str]
    rows: list[list[str]]
    file_column: str | None
    label_column: str | None
    matched: int
    missing: int
    problem: str | None = None
    parts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Preview:
    """What `confirm` would do; attributes as the wire shape ImportPreview."""

    id: str
    files: int
    bytes: int
    received: list[str]
    modality: str | None
    classes: list[FoundClass]
    unlabelled: int
    duplicates: int
    rejects: list[Reject]
    tables: list[FoundTable]
    problem: str | None = None
    parts: dict[str, int] = field(default_factory=dict)
    elsewhere: list[Elsewhere] = field(default_factory=list)
    skipped: int = 0
    twice: int = 0
    torn: list[Torn] = field(default_factory=list)


@dataclass(frozen=True)
class Received:
    """What became of one upload. `files`: paths now here (many for a zip); `rejects`: with reasons."""

    files: list[str]
    rejects: list[Reject]


@dataclass(frozen=True)
class Imported:
    """`added` samples, `moved` ones that were there in another class; `duplicates`, `rejected` and `left_out` stayed as they
    were. `words`: for people; `action`: what undo takes back."""

    added: int
    moved: int
    duplicates: int
    rejected: int
    left_out: int
    words: str
    action: Action


class Import:
    """One import of one project: `Project.begin_import()`, `Project.open_import(id)`. Safe for threads."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.id = folder.name
        self._project = project
        self._folder = folder
        self._files = folder / "files"
        self._log = folder / "received.jsonl"
        self._lock = threading.RLock()
        self._gone = False
        self._entries: dict[str, Entry] = {}
        self._tables: dict[str, tables.Table] = {}
        self._logged = 0  # bytes of whole lines in the log
        self._files.mkdir(parents=True, exist_ok=True)
        self._load()
        self._bytes = sum(entry.bytes for entry in self._entries.values())

    def _load(self) -> None:
        """What an earlier process received and finished; the rest of its files is removed."""
        if self._log.is_file():
            self._logged = self._log.read_bytes().rfind(b"\n") + 1
            there = {path.name for path in self._files.iterdir()}
            with open(self._log, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        kept = json.loads(line)
                        entry = Entry(**kept | {"reason": unpacked(kept["reason"])})
                    except (ValueError, TypeError, KeyError, RecursionError):
                        continue  # torn by a crash
                    if not entry.file or entry.file in there:
                        self._entries[entry.path] = entry
        used = {entry.file for entry in self._entries.values()}
        for path in self._files.iterdir():
            if path.name not in used:
                path.unlink(missing_ok=True)

    # -- in ----------------------------------------------------------------------------------------------------------

    def receive(self, path: str, content: BinaryIO | bytes, size: int | None = None, table: bool = False) -> Received:
        """Take in one file: a picture, a sound, a table or a zip of them.

        The same path again replaces the first, but for pictures and sounds of other content: photos of two cameras are called
        the same, so the second is called NAME (2).

        Args:
            path: relative, as the user's folders have it; either kind of slash.
            content: a binary stream, read in blocks, or all bytes.
            size: bytes to come, where it is known: refused before reading when it is over a limit or the disk is full.
            table: it is a labels table, whatever its name says.

        Raises:
            TooLarge, NoSpace, ArchiveError: nothing of it is kept.
            NotFound: the import was confirmed or dropped.
        """
        self._project.check_writable()
        self._check_here()
        behind = left_behind(path.replace("\\", "/"))
        path = relative(path)
        if behind:
            return self._note([Entry(path, "ignored")])
        zipped = path.lower().endswith(".zip")
        limits = self._project.limits
        if zipped:
            limits = replace(limits, file_bytes=limits.total_bytes)
        left = limits.total_bytes - self.bytes
        if isinstance(content, bytes):
            size = len(content)
        if size is not None and size > min(limits.file_bytes, left):
            most = round(min(limits.file_bytes, left) / 1e6)
            raise TooLarge(*both("import.large", file=path, most=most))
        if len(self._entries) >= limits.files:
            raise TooLarge(*both("import.many", most=limits.files))
        need_room(self._files, size or 0, limits)
        stored = take_in(content, self._files, path, limits, left)
        if not zipped:
            return self._note([self._entry(path, stored, table)])
        try:
            return self._note([Entry(path, "archive"), *self._unpack(path, stored.path)])
        finally:
            stored.path.unlink(missing_ok=True)

    def _entry(self, path: str, stored: Stored, table: bool = False, inside: bool = False) -> Entry:
        """What a stored file is; rejects keep no file."""
        suffix = PurePosixPath(path).suffix.lower()
        reason, kind, facts = "", "reject", dict[str, Any]()
        archive = named(stored.head)
        if suffix in _WORKBOOKS:
            reason = said("import.workbook", file=path, what=Sentence(_WORKBOOKS[suffix]))
        elif archive is not None:
            reason = said("import.archive_inside" if inside else "import.archive", file=path, kind=archive)
        elif table or suffix in tables.SUFFIXES:
            kind = "table"
            if stored.bytes > tables.MAX_BYTES:
                reason = said("import.table_large", file=path, most=round(tables.MAX_BYTES / 1e6))
        else:
            try:
                kind, facts = facts_of(stored, path, None, self._project.reader)
            except HandfulError as error:
                reason = error.message
        if reason:
            stored.path.unlink(missing_ok=True)
            return Entry(path, "reject", reason=reason)
        return Entry(path, kind, stored.path.name, stored.sha256, stored.bytes, facts=facts)

    def _unpack(self, path: str, file: Path) -> list[Entry]:
        """Entries of all members, below a folder that is called as the archive. All or nothing."""
        limits = self._project.limits
        room = replace(
            limits,
            files=max(0, limits.files - len(self._entries)),
            total_bytes=max(0, limits.total_bytes - self.bytes),
        )
        entries: list[Entry] = []
        try:
            with Archive(file, room, path) as archive:
                if {"manifest.json", "project.json", "labels.csv"} <= {member.name for member in archive.members}:
                    raise ArchiveError(*both("import.project", archive=path))
                need_room(self._files, sum(member.bytes for member in archive.members), limits)
                for member in archive.members:
                    if left_behind(member.name):
                        continue
                    stored = store(self._files, member.name, partial(archive.copy, member))
                    entries.append(self._entry(f"{path}/{member.name}", stored, inside=True))
        except BaseException:
            for entry in entries:
                self._discard(entry)
            raise
        return entries

    def _note(self, entries: list[Entry]) -> Received:
        try:
            with self._lock, writing("error.import_stuck"):
                self._check_here()
                entries = [replace(entry, path=self._free(entry)) for entry in entries]
                rows = (asdict(entry) | {"reason": packed(entry.reason)} for entry in entries)
                lines = "".join(to_json(row) + "\n" for row in rows)
                self._logged = append(self._log, lines.encode(), self._logged)
                for entry in entries:
                    before = self._entries.get(entry.path)
                    if before is not None:
                        self._discard(before)
                        self._bytes -= before.bytes
                    self._entries[entry.path] = entry
                    self._bytes += entry.bytes
        except BaseException:
            for entry in entries:
                self._discard(entry)
            raise
        return Received(
            [entry.path for entry in entries if entry.file],
            [Reject(entry.path, entry.reason) for entry in entries if entry.kind == "reject"],
        )

    def _free(self, entry: Entry) -> str:
        """Where an entry goes: its path, unless a picture or sound of other content has come by it."""
        path, number = entry.path, 2
        while (
            (before := self._entries.get(path))
            and {entry.kind, before.kind} <= {*KINDS}
            and before.sha256 != entry.sha256
        ):
            at = PurePosixPath(entry.path)
            path, number = str(at.with_stem(f"{at.stem} ({number})")), number + 1
        return path

    def _discard(self, entry: Entry) -> None:
        if entry.file:
            (self._files / entry.file).unlink(missing_ok=True)

    def _check_here(self) -> None:
        if self._gone:
            shutil.rmtree(self._folder, ignore_errors=True)  # made again by an upload that came too late
            raise NotFound(*both("import.gone"))

    @property
    def bytes(self) -> int:
        """Of all files that are here."""
        return self._bytes

    # -- what would happen ---------------------------------------------------------------------------------------------

    def preview(self, choice: ImportChoice | None = None) -> Preview:
        """What would happen; nothing has. `choice` matters for which table is used and how its columns are called."""
        choice = choice or ImportChoice()
        with self._lock:
            self._check_here()
            found, rejects = self._found_tables(choice)
            made = self._plan(choice)
            media = [entry for entry in self._entries.values() if entry.kind in ("image", "audio")]
            skipped = sum(entry.kind == "ignored" for entry in self._entries.values())
            received = [entry.path for entry in self._entries.values()][:_LISTED]
        return Preview(
            self.id, len(media), sum(entry.bytes for entry in media), received, made.modality, made.classes,
            len(made.unlabelled), made.duplicates, [*made.rejects, *rejects], found, made.problem,
            made.parts, made.elsewhere, skipped, made.twice, made.torn,
        )  # fmt: skip

    def _plan(self, choice: ImportChoice) -> Plan:
        labels = None
        if choice.table is not None:
            entry = self._entries.get(choice.table)
            if entry is None or entry.kind != "table":
                raise NotFound(*both("import.no_table", file=choice.table))
            reading = self._read(entry, choice)[1]
            if reading.problem:
                return replace(plan(self._project, [], None), problem=reading.problem)
            labels = reading.labels
        return plan(self._project, self._entries.values(), labels)

    def _found_tables(self, choice: ImportChoice) -> tuple[list[FoundTable], list[Reject]]:
        found, rejects = [], []
        for entry in self._entries.values():
            if entry.kind != "table":
                continue
            try:
                (columns, rows, delimiter, encoding), reading = self._read(entry, choice)
            except HandfulError as error:
                rejects.append(Reject(entry.path, error.message))
                continue
            first = [[str(cell)[:200] for cell in row] for row in rows[:_ROWS]]
            found.append(
                FoundTable(
                    entry.path, delimiter, encoding, list(columns), first, reading.file_column, reading.label_column,
                    reading.matched, reading.missing, reading.problem,
                    Counter(meant.split for meant in reading.labels.values() if meant.split),
                )
            )  # fmt: skip
        return found, rejects

    def _read(self, entry: Entry, choice: ImportChoice) -> tuple[tables.Table, tables.Reading]:
        """A table's content and what it says. Raises: HandfulError, it cannot be read."""
        if entry.file not in self._tables:
            read_table = self._project.reader.read_table or tables.read_text
            copy = self._folder / f"table{PurePosixPath(entry.path).suffix.lower()[:8]}"
            try:
                with writing("error.import_stuck"):
                    shutil.copyfile(self._files / entry.file, copy)  # whoever reads tables tells JSONL by its suffix
                self._tables[entry.file] = read_table(copy)
            finally:
                copy.unlink(missing_ok=True)
        content = self._tables[entry.file]
        media = (path for path, other in self._entries.items() if other.kind in ("image", "audio"))
        named_columns = (choice.file_column, choice.label_column) if choice.table == entry.path else (None, None)
        return content, tables.understand(entry.path, content[0], content[1], media, *named_columns)

    # -- the end -----------------------------------------------------------------------------------------------------

    def confirm(self, choice: ImportChoice | None = None) -> Imported:
        """Make it so, as one action that undo takes back whole, and forget the import.

        Raises:
            ProjectError: `Preview.problem`, or a class name that cannot be.
            NotFound: it was confirmed or dropped before.
        """
        choice = choice or ImportChoice()
        self._project.check_writable()
        with self._lock:
            self._check_here()
            made = self._plan(choice)
            named = _Names(choice)
            moves = {one.sample: to for one in made.elsewhere if (to := named(one.label)) and to != one.there}
            moves = moves if choice.move else {}
            if made.problem and not moves:
                raise ProjectError(made.problem, said("import.other.fix"))
            chosen = list(self._chosen(made, named, choice.keep_parts))
            if not chosen and not moves:
                raise ProjectError(*both("import.nothing"))
            outcome, action = self._project.insert(chosen, "import", moves)
            self.drop()
        added, moved = sum(isinstance(one, Sample) for one in outcome), int(action.values.get("moved", 0))
        rejected, left_out = len(made.rejects), len(made.labelled) + len(made.unlabelled) - len(chosen)
        duplicates = made.duplicates + len(outcome) - added - moved
        words = _words(added, moved, duplicates - made.twice, made.twice, rejected, left_out)
        return Imported(added, moved, duplicates, rejected, left_out, words, action)

    def _chosen(self, made: Plan, named: _Names, keep_parts: bool) -> Iterable[Incoming]:
        for entry, meant in [*made.labelled, *((entry, Meant("")) for entry in made.unlabelled)]:
            if label := named(meant.label):
                name = entry.path.rsplit("/", 1)[-1]
                yield Incoming(
                    self._files / entry.file, entry.sha256, entry.bytes, entry.kind, label, name, meant.group, entry.facts,
                    meant.split if keep_parts else "",
                )  # fmt: skip

    def drop(self) -> None:
        """Forget the import and its files."""
        with self._lock:
            self._project.forget_import(self.id)
            self._gone = True
            gone = self._folder.with_name(f".{self.id}")
            if self._folder.is_dir():
                os.replace(self._folder, gone)  # at once for whoever looks
            shutil.rmtree(gone, ignore_errors=True)


class _Names:
    """The class that was chosen for what a file was found as; "" leaves it out."""

    def __init__(self, choice: ImportChoice) -> None:
        names = {found: to.strip() for found, to in choice.classes.items()}
        self._names = {found: clean_name(to) if to else "" for found, to in names.items()}
        self._rest = clean_name(choice.unlabelled) if choice.unlabelled else ""

    def __call__(self, found: str) -> str:
        return self._names.get(found, found) if found else self._rest


def _words(added: int, moved: int, duplicates: int, twice: int, rejected: int, left_out: int) -> str:
    counts = {"moved": moved, "duplicates": duplicates, "copies": twice, "rejected": rejected, "left_out": left_out}
    words = said("import.done", n=added)
    for what, count in counts.items():
        if count:
            words = said("import.and", first=words, then=Sentence(f"import.{what}", {"n": count}))
    return words
