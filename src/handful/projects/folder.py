"""The folder that holds all projects: which there are, new ones, and whole ones in and out as one file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from handful.errors import BusyError, HandfulError
from handful.files import atomic_write, to_json
from handful.projects import bundle, labels
from handful.projects.archive import Limits
from handful.projects.contents import Describe, KindOf, Reader, ReadTable, writing
from handful.projects.disk import FORMAT, MODALITIES, read_document
from handful.projects.names import clean_name
from handful.projects.project import Project
from handful.projects.reasons import NotFound, ProjectError
from handful.words import both, reason, said

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{11}", re.ASCII)
_DELETED = re.compile(r".*-([0-9]{16,20})", re.ASCII)  # a project and when it was deleted
KEPT_DAYS = 30  # of deleted projects
_COVERS = 4
_SHOWN = ("project.json", "labels.csv")


@dataclass(frozen=True)
class Summary:
    """A project as its files tell, without opening it. `covers`: up to four sample ids; `problem`: why it cannot be opened."""

    id: str
    name: str
    modality: str | None
    classes: int
    samples: int
    created: float
    updated: float
    covers: tuple[str, ...] = ()
    problem: str | None = None


class Projects:
    """All projects below `folder` (created), held by this process until `close`.

    Args:
        kind_of: "image", "audio" or None from the first 64 bytes of a file (`handful.data.media.sniff`).
        describe: facts of a media file: {"width", "height"} or {"seconds", "rate_hz"}; may raise HandfulError when it is damaged.
        read_table: (columns, rows, delimiter, encoding) of a labels table; may raise HandfulError. None: CSV, TSV, JSON lines.
        changed: called after every change with its project, outside of locks.
        write: False opens nothing for writing and takes no lock; changes are refused.

    Raises:
        BusyError: another process holds the folder.
    """

    def __init__(
        self,
        folder: Path,
        kind_of: KindOf,
        describe: Describe | None = None,
        read_table: ReadTable | None = None,
        changed: Callable[[Project], None] | None = None,
        limits: Limits | None = None,
        write: bool = True,
    ) -> None:
        self.folder = folder
        self._reader = Reader(kind_of, describe, read_table)
        self._changed = changed
        self._limits = limits or Limits()
        self._write = write
        self._open: dict[str, Project] = {}
        self._stamps: dict[str, tuple[int, ...]] = {}
        self._summaries: dict[str, tuple[tuple[int, ...], Summary]] = {}
        self._mutex = threading.RLock()
        self._held: IO[str] | None = self._hold() if write else None
        if write:
            self._forget_deleted()

    def _hold(self) -> IO[str]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = open(self.folder / ".lock", "a+", encoding="utf-8")  # held until close
        except OSError as error:
            folder = str(self.folder)
            raise HandfulError(*both("error.projects_closed", folder=folder, reason=reason(error))) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or said("error.another_process")
            file.close()
            raise BusyError(*both("error.projects_held", holder=holder)) from None
        file.truncate(0)
        file.write(f"pid {os.getpid()} since {time.strftime('%H:%M')}")
        file.flush()
        for left in self.folder.glob(".new-*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        return file

    # -- which there are -----------------------------------------------------------------------------------------------

    def list(self) -> Sequence[Summary]:
        """Newest change first."""
        with self._mutex:
            names = [p.name for p in self.folder.iterdir() if self._is_project(p.name)] if self.folder.is_dir() else []
            return sorted(map(self.summary, names), key=lambda summary: -summary.updated)

    def summary(self, project: str) -> Summary:
        """Raises: NotFound."""
        folder = self._folder(project)
        with self._mutex:
            opened = self._open.get(project) if self._write else None
            if opened is not None:
                samples = opened.samples
                return Summary(
                    project, opened.name, opened.modality, len(opened.class_names), len(samples), opened.created,
                    opened.updated, _covers(samples),
                )  # fmt: skip
            stamp = _stamp(folder)
            if project not in self._summaries or self._summaries[project][0] != stamp:
                self._summaries[project] = stamp, self._summary(folder)
            return self._summaries[project][1]

    def _summary(self, folder: Path) -> Summary:
        updated = max(p.stat().st_mtime for name in _SHOWN if (p := folder / name).is_file())
        try:
            document = read_document(folder)
            table = folder / "labels.csv"
            samples = labels.parse(table.read_bytes())[0] if table.is_file() else []
        except HandfulError as error:
            return Summary(folder.name, folder.name, None, 0, 0, updated, updated, problem=error.message)
        return Summary(
            folder.name, document["name"], document["modality"], len(document["classes"]), len(samples),
            document["created"], updated, _covers(samples),
        )  # fmt: skip

    def _is_project(self, name: str) -> bool:
        return bool(_ID.fullmatch(name)) and (self.folder / name / "project.json").is_file()

    def _folder(self, project: str) -> Path:
        """Ids are checked before they become paths. Raises: NotFound."""
        if not self._is_project(project):
            raise NotFound(*both("error.no_project"))
        return self.folder / project

    # -- one of them ---------------------------------------------------------------------------------------------------

    def create(self, name: str, modality: str | None = None) -> Project:
        """Raises: ProjectError, the name or the modality cannot be."""
        self._check_writable()
        name = clean_name(name, "project")
        if modality not in (None, *MODALITIES):
            raise ProjectError(*both("error.no_modality", modality=repr(modality)))
        project = self._new_id()
        with self._mutex, self._making(project) as folder:
            document = {
                "format": FORMAT, "id": project, "name": name, "modality": modality, "created": round(time.time(), 3),
                "classes": [], "saved": 0,
            }  # fmt: skip
            atomic_write(folder / "labels.csv", labels.HEADER)
            (folder / "media").mkdir()
            atomic_write(folder / "project.json", to_json(document, indent=1) + "\n")
        return self.open(project)

    @contextlib.contextmanager
    def _making(self, project: str) -> Iterator[Path]:
        """A folder to fill, which becomes the project when the block ends well, and vanishes otherwise."""
        folder = self.folder / f".new-{project}"
        try:
            with writing("error.project_unmade"):
                folder.mkdir()
                yield folder
                os.replace(folder, self.folder / project)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def open(self, project: str) -> Project:
        """The same object each time, unless it is only read and another process changed it. Raises: NotFound; ProjectError, its files cannot be read."""
        with self._mutex:
            folder = self._folder(project)
            stamp = () if self._write else _stamp(folder)  # who only reads looks again when another process wrote
            if project not in self._open or self._stamps[project] != stamp:
                self._stamps[project] = stamp
                self._open[project] = Project(folder, self._reader, self._limits, self._changed, self._write)
            return self._open[project]

    def delete(self, project: str) -> Path:
        """Moves the folder to `.trash/` beside the projects and says where; `recover` brings it back. Raises: NotFound.

        What lies there for KEPT_DAYS is removed when the projects are opened next.
        """
        self._check_writable()
        with self._mutex:
            folder = self._folder(project)
            opened = self._open.pop(project, None)
            if opened is not None:
                opened.close()
            trash = self.folder / ".trash"
            target = trash / f"{project}-{time.time_ns()}"
            with writing("error.project_undeleted"):
                trash.mkdir(exist_ok=True)
                os.replace(folder, target)
            return target

    def recover(self, project: str) -> Project:
        """A project as it was when it was deleted. Raises: NotFound, it is no longer there."""
        self._check_writable()
        with self._mutex:
            places = sorted((self.folder / ".trash").glob(f"{project}-*")) if _ID.fullmatch(project) else []
            if not places or self._is_project(project):
                raise NotFound(*both("error.not_in_trash"))
            with writing("error.project_unmade"):
                os.replace(places[-1], self.folder / project)
            opened = self.open(project)
        if self._changed is not None:
            self._changed(opened)
        return opened

    def _forget_deleted(self) -> None:
        """For good what was deleted long ago. In the background: a project may hold many files."""
        before = time.time_ns() - KEPT_DAYS * 86_400 * 10**9
        old = [
            p for p in (self.folder / ".trash").glob("*") if (at := _DELETED.fullmatch(p.name)) and int(at[1]) < before
        ]

        def remove() -> None:
            for path in old:
                shutil.rmtree(path, ignore_errors=True)

        if old:
            threading.Thread(target=remove, name="handful-trash", daemon=True).start()

    # -- whole ones in and out -----------------------------------------------------------------------------------------

    def archive(self, project: str, target: Path) -> Path:
        """The whole project (samples, takes, findings, finished runs; no history) as one zip with a manifest."""
        bundle.write(self.open(project), target)
        return target

    def restore(self, archive: Path, name: str = "") -> Project:
        """A new project from `archive`'s zip. Raises: ArchiveError, TooLarge, NoSpace; nothing is kept."""
        self._check_writable()
        project = self._new_id()
        with self._making(project) as folder:
            bundle.read(archive, folder, self._reader, self._limits, name)
        opened = self.open(project)
        if self._changed is not None:
            self._changed(opened)
        return opened

    def close(self) -> None:
        with self._mutex:
            for project in self._open.values():
                project.close()
            self._open.clear()
            if self._held is not None:
                self._held.truncate(0)
                self._held.close()
                self._held = None
            self._write = False

    def _check_writable(self) -> None:
        if not self._write:
            raise ProjectError(*both("error.read_only_projects"))

    def _new_id(self) -> str:
        while True:
            name = secrets.token_urlsafe(9)
            if _ID.fullmatch(name) and not (self.folder / name).exists():
                return name


def _stamp(folder: Path) -> tuple[int, ...]:
    """Differs when the files of a project do."""
    stats = [path.stat() for name in (*_SHOWN, "history.jsonl") if (path := folder / name).is_file()]
    return tuple(number for stat in stats for number in (stat.st_mtime_ns, stat.st_size))


def _covers(samples: Sequence[labels.Sample]) -> tuple[str, ...]:
    """Ids of samples to show, of as many classes as there are."""
    first: dict[str, str] = {}
    for sample in samples:
        first.setdefault(sample.label, sample.id)
        if len(first) == _COVERS:
            break
    others = [sample.id for sample in samples[:_COVERS] if sample.id not in first.values()]
    return tuple([*first.values(), *others][:_COVERS])
