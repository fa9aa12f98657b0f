"""One project as others see it: its samples in memory, and changes that are whole or not there at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec

from handful.errors import HandfulError
from handful.files import inside
from handful.projects import edits
from handful.projects.archive import Limits
from handful.projects.contents import SYNC_EACH, Incoming, NewFile, Reader, facts_of, take_file, writing
from handful.projects.history import Action
from handful.projects.imports import Import
from handful.projects.labels import Duplicate, Sample
from handful.projects.ledger import Ledger
from handful.projects.names import clean_name, visible
from handful.projects.reasons import NotFound, ProjectError
from handful.projects.state import ProjectClass, State
from handful.projects.takes import Take, Takes
from handful.words import both, said

_IMPORT = re.compile(r"[0-9a-f]{16}", re.ASCII)
_NAME_LENGTH = 300
P = ParamSpec("P")


class Project:
    """Opened by `Projects.open`. Safe for threads: changes go one after another, readers see whole ones."""

    def __init__(
        self,
        folder: Path,
        reader: Reader,
        limits: Limits | None = None,
        changed: Callable[[Project], None] | None = None,
        write: bool = True,
    ) -> None:
        self.id = folder.name
        self.folder = folder
        self.reader = reader
        self.limits = limits or Limits()
        self._changed = changed
        self._ledger = Ledger(folder, write)
        self._lock = self._ledger.lock
        self._takes = Takes(folder / "takes.jsonl")
        self._imports: dict[str, Import] = {}

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self._ledger.state.name

    @property
    def modality(self) -> str | None:
        """ "image", "audio", or None until the first file says."""
        return self._ledger.state.modality

    @property
    def created(self) -> float:
        return self._ledger.disk.created

    @property
    def updated(self) -> float:
        return self._ledger.disk.updated

    @property
    def revision(self) -> int:
        """Grows with every change."""
        return self._ledger.history.seq

    @property
    def problems(self) -> list[str]:
        """What was wrong with its files, in words."""
        edited = said("project.edited")
        return [*self._ledger.problems, *([edited] if self._ledger.disk.edited else [])]

    @property
    def undoable(self) -> Action | None:
        """What undo would take back; None: nothing."""
        return self._ledger.history.undoable

    @property
    def redoable(self) -> Action | None:
        return self._ledger.history.redoable

    @property
    def undo_words(self) -> str | None:
        """As `undoable`, in words."""
        action = self.undoable
        return action.words if action else None

    @property
    def redo_words(self) -> str | None:
        action = self.redoable
        return action.words if action else None

    @property
    def media(self) -> Path:
        return self._ledger.contents.media

    @property
    def labels(self) -> Path:
        """labels.csv, for `handful train MEDIA --labels LABELS`."""
        return self._ledger.disk.labels

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs"

    @property
    def findings(self) -> Path:
        return self.folder / "findings.json"

    @property
    def classes(self) -> list[ProjectClass]:
        """In the order of their cards."""
        with self._lock:
            return list(self._ledger.state.cards)

    @property
    def class_names(self) -> list[str]:
        with self._lock:
            return list(self._ledger.state.classes)

    @property
    def samples(self) -> Sequence[Sample]:
        """In the order they were added; a snapshot that later changes leave alone."""
        with self._lock:
            return self._ledger.state.listed

    @property
    def groups(self) -> list[str]:
        """Takes and other origins that its samples come from, in the order they came."""
        return list(dict.fromkeys(sample.group for sample in self.samples if sample.group))

    def has(self, sample: str) -> bool:
        return sample in self._ledger.state.samples

    def sample(self, sample: str) -> Sample:
        """Raises: NotFound."""
        with self._lock:
            found = self._ledger.state.samples.get(sample)
        if found is None:
            raise NotFound(said("error.no_sample"), said("error.no_sample.fix"))
        return found

    def path(self, sample: str) -> Path:
        """The file of a sample. Raises: NotFound, also where what lies in its place is no file of the project."""
        found = self.sample(sample)
        path = inside(self.media, found.file)
        if path is None:
            raise NotFound(*both("error.medium_gone", file=found.name, folder=str(self.media)))
        return path

    # -- changes, each one action ----------------------------------------------------------------------------------

    def rename(self, name: str) -> Action:
        """Call the project something else."""
        return self._edit(edits.rename, name)

    def add_class(self, name: str) -> Action:
        """Raises: ProjectError, there is one of this name."""
        return self._edit(edits.add_class, name)

    def rename_class(self, name: str, to: str) -> Action:
        """Raises: NotFound; ProjectError, `to` is another class: merge them instead."""
        return self._edit(edits.rename_class, name, to)

    def merge_classes(self, names: Iterable[str], to: str) -> Action:
        """All samples of `names` become `to`, which may be one of them or new. Raises: NotFound."""
        return self._edit(edits.merge_classes, names, to)

    def delete_class(self, name: str) -> Action:
        """With its samples. Raises: NotFound."""
        return self._edit(edits.delete_class, name)

    def move(self, ids: Iterable[str], label: str) -> Action:
        """Samples into a class, which is made where it is missing. Raises: NotFound, none of `ids` is there."""
        return self._edit(edits.move, ids, label)

    def relabel(self, labels: Mapping[str, str]) -> Action:
        """Sample id -> class, several at once. Raises: NotFound, none of them is there."""
        return self._edit(edits.relabel, labels)

    def delete(self, ids: Iterable[str]) -> Action:
        """Samples away; their media wait in the trash for undo. Raises: NotFound, none of `ids` is there."""
        return self._edit(edits.delete, ids)

    def set_group(self, ids: Iterable[str], group: str) -> Action:
        """Say that samples come from one origin; '' says that they do not. Raises: NotFound, none of `ids` is there."""
        return self._edit(edits.regroup, dict.fromkeys(ids, group))

    def regroup(self, groups: Mapping[str, str]) -> Action:
        """Sample id -> group, several at once. Raises: NotFound, none of them is there."""
        return self._edit(edits.regroup, groups)

    def set_split(self, ids: Iterable[str], split: str) -> Action:
        """Say what samples are used for: "train", "validation" or "test"; "": training and testing as usual. Raises: NotFound,
        none of `ids` is there."""
        return self._edit(edits.resplit, ids, split)

    def undo(self, action: int | None = None) -> Action:
        """Take the last change back that is not taken back yet.

        Args:
            action: `seq` of the change that is meant; None: whichever is the last.

        Raises:
            Outdated: it is not the last one any more; ProjectError: there is none.
        """
        return self._change(lambda: self._ledger.undo(action))

    def redo(self, action: int | None = None) -> Action:
        """Make the change again that was taken back last. As `undo`."""
        return self._change(lambda: self._ledger.redo(action))

    def _edit(
        self, edit: Callable[Concatenate[State, P], edits.Edit | None], *args: P.args, **kwargs: P.kwargs
    ) -> Action:
        return self._change(lambda: self._ledger.commit(edit(self._ledger.state, *args, **kwargs)))

    def _change(self, make: Callable[[], Action]) -> Action:
        """Under the lock; whoever listens is told when it is free again."""
        with self._lock:
            self.check_writable()
            action = make()
        if self._changed is not None and action.kind != "nothing":
            self._changed(self)
        return action

    def check_writable(self) -> None:
        """Raises: ProjectError."""
        self._ledger.check_writable()

    @property
    def trash(self) -> tuple[int, int]:
        """(files, bytes) that undo may still bring back."""
        return self._ledger.contents.in_trash()

    def empty_trash(self) -> int:
        """Delete what was deleted for good, and the history with it: nothing can be undone then. Bytes that became free."""
        freed = 0

        def forget() -> Action:
            nonlocal freed
            freed = self._ledger.forget()
            return Action(self.revision, "forget")

        self._change(forget)
        return freed

    def close(self) -> None:
        """Leave the files as the history says, and refuse changes from now on. What the disk has no room for is made up for when
        the project is opened next."""
        with self._lock, contextlib.suppress(HandfulError):
            self._ledger.close()

    # -- files in --------------------------------------------------------------------------------------------------

    def add(
        self, content: Path | bytes, label: str, name: str = "", group: str = "", take: str | None = None
    ) -> Sample | Duplicate:
        """A file into a class, which is made where it is missing. Samples of one take in a row are one action.

        Raises:
            FileError: it is no picture or sound, damaged, or not of this project's kind.
            NotFound: there is no such take.
            TooLarge, NoSpace, ProjectError: it is not stored.
        """
        group = self.take(take).id if take else group
        return self._add_all([NewFile(content, label, name, group)], "record" if take else "add")[0]

    def add_all(self, new: Iterable[NewFile]) -> list[Sample | Duplicate]:
        """Several files as one action, or none of them. Raises: as `add`."""
        return self._add_all(list(new), "import")

    def add_to_take(
        self, take: str, contents: Iterable[tuple[bytes, str]], label: str = ""
    ) -> list[Sample | Duplicate]:
        """Several (content, name) at once, such as the clips of one recording. `label`: the take's when not given."""
        begun = self.take(take)
        files = [NewFile(content, label or begun.label, name, begun.id) for content, name in contents]
        return self._add_all(files, "record")

    def _add_all(self, new: Sequence[NewFile], kind: str) -> list[Sample | Duplicate]:
        self.check_writable()
        place = self.folder / "imports" / f".{time.time_ns()}-{threading.get_ident()}"
        try:
            return self.insert([self._incoming(file, place) for file in new], kind)[0]
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _incoming(self, new: NewFile, place: Path) -> Incoming:
        label, group = clean_name(new.label), clean_name(new.group, "group") if new.group.strip() else ""
        given = new.name or (new.content.name if isinstance(new.content, Path) else "")
        name = visible(given) or "the file"
        stored = take_file(new.content, place, name, self.limits)
        modality, facts = facts_of(stored, name, self.modality, self.reader)
        shown = name if given else stored.sha256[:16]
        return Incoming(stored.path, stored.sha256, stored.bytes, modality, label, shown, group, facts)

    def insert(
        self, incoming: Sequence[Incoming], kind: str = "import", moves: Mapping[str, str] | None = None
    ) -> tuple[list[Sample | Duplicate], Action]:
        """Files that are stored and looked at become samples, as one action; of equal ones the first.

        Args:
            moves: sample id -> class, of samples that are there already and change their class in the same action.
        """
        for file in incoming:
            if not self.has(file.id):
                self._ledger.contents.bring(file.path, file.file, sync=len(incoming) <= SYNC_EACH)
        if len(incoming) > SYNC_EACH:
            os.sync()
        outcome: list[Sample | Duplicate] = []

        def make() -> Action:
            state = self._ledger.state
            modality = state.modality or (incoming[0].modality if incoming else None)
            if any(file.modality != modality for file in incoming):
                raise ProjectError(said("error.both_kinds"), said("error.other_project.fix"))
            outcome.extend(self._accepted(incoming, state))
            new = [one for one in outcome if isinstance(one, Sample)]
            for sample, file in zip(outcome, incoming, strict=True):
                if isinstance(sample, Sample):
                    # Again, under the lock: an undo may have thrown the file away in between.
                    self._ledger.contents.bring(file.path, sample.file)
            return self._commit_new(edits.add(state, new, kind, modality, moves))

        try:
            action = self._change(make)
        except BaseException:
            with self._lock:  # what came in for nothing; a sample's own file stays
                self._ledger.contents.throw(file.file for file in incoming if not self.has(file.id))
            raise
        return outcome, action

    def _accepted(self, incoming: Sequence[Incoming], state: State) -> Iterable[Sample | Duplicate]:
        """Samples in order, later than all there are, whatever the clock says."""
        last = state.listed[-1].added if state.listed else 0.0
        start = max(round(time.time(), 6), round(last + 1e-6, 6))
        new: dict[str, Sample] = {}
        for file in incoming:
            known = state.samples.get(file.id) or new.get(file.id)
            if known is not None:
                yield Duplicate(known)
                continue
            added = round(start + len(new) * 1e-6, 6)
            name = visible(file.name)[-_NAME_LENGTH:]
            new[file.id] = Sample(
                file.id, name, file.label, file.group, file.suffix, file.bytes, added, split=file.split, **file.facts
            )  # fmt: skip
            yield new[file.id]

    def _commit_new(self, edit: edits.Edit | None) -> Action:
        """A take that is still the last action grows."""
        last = self.undoable
        take = edit.values.get("take") if edit else None
        if edit is None or not take or last is None or last.values.get("take") != take or self.redoable:
            return self._ledger.commit(edit)
        edit.values["n"] += int(last.values["n"])
        return self._ledger.commit(edit, grow=True)

    # -- takes and imports -----------------------------------------------------------------------------------------

    @property
    def takes(self) -> list[Take]:
        """All that were begun, oldest first, with samples or without."""
        with self._lock:
            return self._takes.listed

    def take(self, take: str) -> Take:
        """Raises: NotFound."""
        with self._lock:
            return self._takes.get(take)

    def begin_take(self, label: str, source: str, device: str = "") -> Take:
        """A recording begins; `add(..., take=id)` brings what it records."""
        with self._lock:
            self.check_writable()
            return self._takes.begin(clean_name(label), source, device, self.groups)

    @property
    def imports(self) -> list[str]:
        """Ids of those that are neither confirmed nor dropped."""
        folder = self.folder / "imports"
        return sorted(p.name for p in folder.iterdir() if _IMPORT.fullmatch(p.name)) if folder.is_dir() else []

    def begin_import(self) -> Import:
        with self._lock:
            self.check_writable()
            name = os.urandom(8).hex()
            with writing("error.import_unbegun"):
                self._imports[name] = Import(self, self.folder / "imports" / name)
            return self._imports[name]

    def open_import(self, name: str) -> Import:
        """Raises: NotFound."""
        with self._lock:
            folder = self.folder / "imports" / name if _IMPORT.fullmatch(name) else None
            if folder is None or not folder.is_dir():
                raise NotFound(*both("error.no_import"))
            if name not in self._imports:
                self._imports[name] = Import(self, folder)
            return self._imports[name]

    def forget_import(self, name: str) -> None:
        with self._lock:
            self._imports.pop(name, None)
