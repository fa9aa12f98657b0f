"""`project.json` and `labels.csv` of one project: read tolerantly, written so that a reader sees the old or the new one.

`saved` in project.json is the number of the last change that both files hold; later ones are made again from the history
when the project is opened. Samples that only join the end are appended, so that recording stays quick however many there are.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from handful.errors import HandfulError
from handful.files import atomic_write, to_json
from handful.projects import labels
from handful.projects.contents import sync_path
from handful.projects.history import Change
from handful.projects.names import visible
from handful.projects.reasons import NotFound, ProjectError
from handful.projects.state import PAIRED, State
from handful.words import both, reason, said

FORMAT = 1
MODALITIES = ("image", "audio")


def read_document(folder: Path) -> dict[str, Any]:
    """project.json, each value as it must be.

    Raises:
        NotFound: there is none.
        ProjectError: it cannot be read, or a newer release wrote it.
    """
    try:
        document = json.loads((folder / "project.json").read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise ValueError("no object")
        made = document.get("format", FORMAT)
        if not isinstance(made, int) or made > FORMAT:
            raise ProjectError(*both("error.project_newer", format=str(made), reads=str(FORMAT)))
        names = [visible(name) for name in document.get("classes", []) if isinstance(name, str)]
        modality = document.get("modality")
        return {
            "name": visible(str(document.get("name", "")))[:200] or "project",
            "modality": modality if modality in MODALITIES else None,
            "created": float(document.get("created", 0)),
            "classes": [name for name in dict.fromkeys(names) if name],
            "saved": max(0, int(document.get("saved", 0))),
        }
    except FileNotFoundError:
        raise NotFound(*both("error.no_project")) from None
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        why = reason(error) if isinstance(error, OSError) else type(error).__name__
        raise ProjectError(*both("error.project_unreadable", folder=str(folder), why=why)) from error


class Disk:
    """The two files of one project, and how far behind its history they are."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.labels = folder / "labels.csv"
        self.id = name
        self.created = 0.0
        self.updated = 0.0
        self.saved = 0
        self.edited = False  # by another program, while it was open
        self._left: tuple[int, int] | None = None  # time and size of labels.csv as this process last saw it
        self.stale = False  # the files are not what the state says; the next save writes them whole

    def load(self) -> tuple[State, list[str]]:
        """The state as saved, and what is wrong with the files, in words. Raises: as `read_document`; ProjectError."""
        document = read_document(self.folder)
        self.created, self.saved = document["created"], document["saved"]
        self.updated = (self.folder / "project.json").stat().st_mtime
        samples: list[labels.Sample] = []
        problems: list[str] = []
        try:
            content = self.labels.read_bytes()
            self.updated = max(self.updated, self.labels.stat().st_mtime)
            samples, problems = labels.parse(content)
            self._left = self._stamp()
            self.stale = not content.startswith(labels.HEADER.encode()) or not content.endswith(b"\n")
        except FileNotFoundError:
            if self.saved:
                problems = [said("project.remade")]
            self.saved, self.stale = 0, True
        except OSError as error:
            raise ProjectError(*both("error.labels_closed", reason=reason(error))) from error
        state = State(document["name"], document["modality"], document["classes"], samples)
        state.complete()
        return state, problems

    def save(self, state: State, changes: list[Change], seq: int) -> None:
        """Have `state`, which `changes` led to, on disk. Raises: HandfulError; the files may then be the old or the new."""
        keys = {key for change in changes for key in change}
        try:
            self._put_aside()
            if self.stale or keys & {"remove", *PAIRED} or not self._append(state, changes):
                self.stale = True
                atomic_write(self.labels, labels.render(state.listed))
            self._left = self._stamp()
            if self.stale or keys - {"add"}:
                self.stale = True
                self.save_document(state, seq)
            self.stale = False
        except OSError as error:
            raise HandfulError(*both("error.project_unsaved", reason=reason(error))) from error
        self.updated = time.time()

    def save_document(self, state: State, seq: int) -> None:
        sync_path(self.labels)
        document = {
            "format": FORMAT, "id": self.id, "name": state.name, "modality": state.modality, "created": self.created,
            "classes": state.classes, "saved": seq,
        }  # fmt: skip
        atomic_write(self.folder / "project.json", to_json(document, indent=1) + "\n")
        self.saved = seq

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self.labels.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size

    def _put_aside(self) -> None:
        """What another program wrote into labels.csv while the project was open is not lost, though it does not count."""
        if self._left is not None and self._stamp() not in (None, self._left):
            shutil.copyfile(self.labels, self.folder / "labels.edited.csv")
            self.edited = self.stale = True

    def _append(self, state: State, changes: list[Change]) -> bool:
        """Add rows at the end of labels.csv; False: the new samples are not the last ones, or the file is not there."""
        count = sum(len(change.get("add", ())) for change in changes)
        if not count:
            return True
        new = state.listed[-count:]
        if {sample.id for sample in new} != {row[3] for change in changes for row in change.get("add", ())}:
            return False
        try:
            with open(self.labels, "r+b", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                view = memoryview(labels.render(new, header=False).encode())
                try:
                    while view:
                        view = view[file.write(view) :]
                except OSError:
                    file.truncate(end)
                    raise
        except FileNotFoundError:
            return False
        return True
