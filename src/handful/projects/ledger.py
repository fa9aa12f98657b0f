"""How a change becomes durable: its line in the history, the media, the table, project.json, in that order.

Whatever a crash leaves undone is done when the project is opened next; what cannot be written is taken back. Knows the order
of things and nothing about what changes mean.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from handful.errors import HandfulError
from handful.projects.contents import Contents
from handful.projects.disk import Disk
from handful.projects.edits import Edit
from handful.projects.history import Action, Change, History
from handful.projects.reasons import Outdated, ProjectError
from handful.projects.state import checked, files, inverse
from handful.words import both, reason, said


class Ledger:
    """One project's state and the files that hold it. Callers take `lock` around reading and changing."""

    def __init__(self, folder: Path, write: bool) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.disk = Disk(folder, folder.name)
        self.contents = Contents(folder)
        self.state, self.problems = self.disk.load()
        self.history = History(folder / "history.jsonl")
        self._write = write
        self._recover()

    def check_writable(self) -> None:
        """Raises: ProjectError."""
        if not self._write:
            raise ProjectError(*both("error.read_only_project"))

    def commit(self, edit: Edit | None, grow: bool = False) -> Action:
        """Make a change happen, or say that there is none; with `grow` it becomes a part of the last one.

        Raises:
            HandfulError: it could not be written; then it has not happened.
        """
        if edit is None:
            return Action(self.history.seq, "nothing")
        action = self._carry_out([edit.change], lambda: self.history.append(*edit, grow))
        with contextlib.suppress(
            OSError, HandfulError
        ):  # the change is made; a long history may wait for room on the disk
            self._shorten()
        return action

    def undo(self, named: int | None = None) -> Action:
        """`named`: the number of the action that is meant. Raises: Outdated, the last one is another; ProjectError."""
        action = self.history.undoable
        if action is None:
            raise ProjectError(*both("error.no_undo"))
        _check_meant(action, named, "error.outdated.fix")
        changes = [inverse(change) for change in reversed(checked(self.history.changes(action.seq)))]
        return self._carry_out(changes, lambda: self.history.step("undo"))

    def redo(self, named: int | None = None) -> Action:
        """As `undo`."""
        action = self.history.redoable
        if action is None:
            raise ProjectError(*both("error.no_redo"))
        _check_meant(action, named, "error.outdated_redo.fix")
        return self._carry_out(checked(self.history.changes(action.seq)), lambda: self.history.step("redo"))

    def forget(self) -> int:
        """Empty the trash and the history; bytes that became free."""
        self.disk.stale = True
        self.disk.save(self.state, [], self.history.seq)
        self.history.restart(self.history.seq + 1)
        return self.contents.empty_trash()

    def _shorten(self) -> None:
        if self.history.long:
            self.disk.stale = True
            self.disk.save(self.state, [], self.history.seq)
            self.history.shorten()

    def close(self) -> None:
        """Leave the files as the history says; whoever opens them next has nothing to mend."""
        write, self._write = self._write, False
        if write and self.folder.is_dir() and (self.disk.stale or self.disk.saved != self.history.seq):
            self.disk.stale = True
            self.disk.save(self.state, [], self.history.seq)

    # -- one change ------------------------------------------------------------------------------------------------

    def _carry_out(self, changes: list[Change], write: Callable[[], Action]) -> Action:
        before = self.state.copy()
        action = write()
        try:
            for change in changes:
                self.state.make(change)
                self._place(change)
            if action.kind in ("undo", "redo"):
                self.state.complete()
            self.disk.save(self.state, changes, self.history.seq)
        except (OSError, HandfulError) as error:
            self.state, self.disk.stale = before, True
            self.history.take_back()
            # The disk may still be full; then the next save does it, or closing.
            with contextlib.suppress(OSError, HandfulError):
                for change in changes:
                    self.contents.fetch(files(change, "remove"))
                self.disk.save(before, [], self.history.seq)
            if isinstance(error, HandfulError):
                raise
            raise ProjectError(*both("error.change_unmade", reason=reason(error))) from error
        return action

    def _place(self, change: Change) -> None:
        """Media of samples that come back into media, of those that go into the trash."""
        self.contents.fetch(files(change, "add"))
        self.contents.throw(files(change, "remove"))

    # -- after a crash ---------------------------------------------------------------------------------------------

    def _recover(self) -> None:
        """Make again what the history says and the files may not."""
        changes: list[Change] = []
        try:
            for parts, back in self.history.since(self.disk.saved):
                changes += map(inverse, reversed(checked(parts))) if back else checked(parts)
        except ProjectError:
            self.history.damaged = True
        for change in changes:
            self.state.make(change)
        if changes:
            self.state.complete()
        if not self._write:
            return
        for change in changes:
            self._place(change)
        for left in (self.folder / "imports").glob(".*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        self.history.mend()
        if self.history.damaged:
            self.problems.append(said("project.history_damaged"))
            os.replace(self.folder / "history.jsonl", self.folder / "history.damaged.jsonl")
        if self.history.damaged or self.history.seq < self.disk.saved:
            self.history.restart(max(self.history.seq, self.disk.saved))
        if changes or self.disk.stale:
            self.disk.stale = True
            self.disk.save(self.state, [], self.history.seq)
        self._shorten()


def _check_meant(action: Action, named: int | None, fix: str) -> None:
    if named is not None and action.seq != named:
        raise Outdated(said("error.outdated", what=action.words), said(fix))
