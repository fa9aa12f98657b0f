"""`history.jsonl`: every change with what takes it back, so that undo and redo survive restarts.

Knows lines and their order, not what a change does. A line that is complete has happened; a torn last line has not. Changes
stay on disk and are read again when they are undone: a history may be larger than the project. The last UNDOABLE actions can
be undone, and some more until it is worth the while to write the file anew; older lines are forgotten then.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handful.errors import HandfulError
from handful.files import append, atomic_path, atomic_write, to_json
from handful.projects.reasons import ProjectError
from handful.words import Sentence, both, load, reason, said

Change = dict[str, Any]
_BODY = b',"change":'
UNDOABLE = 1000
NAMED = 3  # classes in the words of a change


@dataclass(frozen=True)
class Action:
    """One change. `seq` names it, also where it is undone or redone. `kind`: add, record, import, move, relabel, group,
    split, delete, class, rename-class, merge, delete-class, rename, undo, redo, nothing. `values`: what the words are made of
    (n, moved, name, to, names, what)."""

    seq: int
    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """E.g. "move 3 samples to “cat”", as `Said`; a kind that another release wrote is called as it was written."""
        key = f"change.{self.kind}"
        if key not in load("en"):
            return self.kind
        n, names = int(self.values.get("n", 0)), [str(name) for name in self.values.get("names", ())]
        listed: Any = [Sentence("change.named", {"name": name}) for name in names[:NAMED]]
        if len(names) > NAMED:
            listed = Sentence("change.and_more", {"names": listed, "more": len(names) - NAMED})
        texts = {name: str(self.values.get(name, "")) for name in ("name", "to")}
        return said(key, n=n, names=listed, what=self.values.get("what", ""), **texts)


@dataclass
class _Entry:
    action: Action
    parts: list[tuple[int, int, int]]  # seq, offset and length of each line that adds to it


class History:
    """The log of one project. `seq` is the number of its last line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[int, _Entry] = {}
        self._order: list[tuple[int, str, int]] = []  # seq, kind of line, seq of the entry
        self._undo: list[int] = []
        self._redo: list[int] = []
        self._size = 0
        self.seq = 0
        self.damaged = False
        if path.is_file():
            self._read()

    # -- what can be undone ----------------------------------------------------------------------------------------

    @property
    def undoable(self) -> Action | None:
        return self._entries[self._undo[-1]].action if self._undo else None

    @property
    def redoable(self) -> Action | None:
        return self._entries[self._redo[-1]].action if self._redo else None

    def changes(self, seq: int, start: int = 0, before: int | None = None) -> list[Change]:
        """What an action changed, in order; only lines from number `start` to the one before `before`."""
        try:
            with open(self._path, "rb") as file:
                found = []
                for number, offset, length in self._entries[seq].parts:
                    if start <= number and (before is None or number < before):
                        file.seek(offset)
                        found.append(json.loads(file.read(length))["change"])
            return found
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ProjectError(*both("error.history_gone")) from error

    def since(self, seq: int) -> Iterator[tuple[list[Change], bool]]:
        """(changes, whether they were taken back) of each line after number `seq`, in order."""
        for number, kind, of in self._order:
            if number <= seq:
                continue
            if kind in ("undo", "redo"):
                yield self.changes(of, before=number), kind == "undo"
            else:
                yield self.changes(of, number, number + 1), False

    # -- writing ---------------------------------------------------------------------------------------------------

    def append(self, kind: str, values: Mapping[str, Any], change: Change, grow: bool = False) -> Action:
        """The line of a change; with `grow` it becomes a part of the last action.

        Raises:
            HandfulError: it could not be written; then it is not there.
        """
        line: dict[str, Any] = {"seq": self.seq + 1, "time": round(time.time(), 3), "do": kind, "values": dict(values)}
        if grow:
            line["of"] = self._undo[-1]
        self._write(line, change)
        return self._entries[self._undo[-1]].action

    def step(self, kind: str) -> Action:
        """The line of an undo or a redo of `undoable` or `redoable`."""
        of = (self._undo if kind == "undo" else self._redo)[-1]
        what = self._entries[of].action.words
        self._write({"seq": self.seq + 1, "time": round(time.time(), 3), "do": kind, "of": of}, None)
        return Action(of, kind, {"what": what})

    def take_back(self) -> None:
        """Forget the last line, because what it says could not be done."""
        number = self._order[-1][0]
        with open(self._path, "rb") as file:
            content = file.read(self._size)
        cut = content.rstrip(b"\n").rfind(b"\n") + 1
        with open(self._path, "r+b") as file:
            file.truncate(cut)
        self._forget()
        self._read()
        self.seq = max(self.seq, number - 1)

    @property
    def long(self) -> bool:
        """Whether `shorten` is worth the while."""
        return len(self._undo) > UNDOABLE + UNDOABLE // 4

    def shorten(self) -> None:
        """Forget the lines before the last UNDOABLE actions. Everything that they changed must be on disk elsewhere.

        What undo and redo did may name an older action: such a line keeps all lines from that action on.
        """
        newest, least, cut = self._undo[-UNDOABLE], self.seq + 1, 0
        for number, _, of in reversed(self._order):
            least = min(least, of)
            if number <= newest and number == of == least:
                cut = number
                break
        if not cut or cut == self._order[0][0]:
            return
        with atomic_path(self._path) as temporary, open(self._path, "rb") as old, open(temporary, "wb") as new:
            old.seek(self._entries[cut].parts[0][1])
            new.write((to_json({"seq": cut - 1, "do": "begin"}) + "\n").encode())
            shutil.copyfileobj(old, new)
        self._forget()
        self._read()

    def restart(self, seq: int) -> None:
        """An empty history that goes on counting after `seq`."""
        atomic_write(self._path, to_json({"seq": seq, "do": "begin"}) + "\n")
        self._forget()
        self._read()

    def _forget(self) -> None:
        self._entries, self._order, self._undo, self._redo, self._size, self.seq = {}, [], [], [], 0, 0

    def _write(self, line: dict[str, Any], change: Change | None) -> None:
        text = to_json(line).encode()
        if change is not None:
            text = text[:-1] + _BODY + to_json(change).encode() + b"}"
        text += b"\n"
        try:
            end = append(self._path, text, self._size)
        except OSError as error:
            raise HandfulError(*both("error.change_unwritten", reason=reason(error))) from error
        self._note(line, self._size, len(text))
        self._size = end

    # -- reading ---------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        with open(self._path, "rb") as file:
            for text in file:
                if not text.endswith(b"\n"):
                    break  # torn by a crash: it has not happened
                body = text.find(_BODY)
                try:
                    line = json.loads(text if body < 0 else text[:body] + b"}")
                    self._note(line, self._size, len(text))
                except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                    self.damaged = True
                    return
                self._size += len(text)

    def mend(self) -> None:
        """Cut off a torn last line, so that the next one does not begin in its middle."""
        if self._path.is_file() and not self.damaged and self._path.stat().st_size > self._size:
            with open(self._path, "r+b") as file:
                file.truncate(self._size)

    def _note(self, line: dict[str, Any], offset: int, length: int) -> None:
        seq, kind, of = int(line["seq"]), str(line["do"]), int(line.get("of", 0))
        if kind == "begin":
            pass
        elif seq != self.seq + 1:
            raise ValueError("out of order")
        elif kind == "undo":
            if self._undo[-1] != of:
                raise ValueError("out of order")
            self._redo.append(self._undo.pop())
        elif kind == "redo":
            if self._redo[-1] != of:
                raise ValueError("out of order")
            self._undo.append(self._redo.pop())
        elif of:
            entry = self._entries[of]
            entry.parts.append((seq, offset, length))
            entry.action = Action(entry.action.seq, kind, dict(line["values"]))
        else:
            of = seq
            self._entries[seq] = _Entry(Action(seq, kind, dict(line["values"])), [(seq, offset, length)])
            self._undo.append(seq)
            self._redo.clear()
        if kind != "begin":
            self._order.append((seq, kind, of))
        self.seq = seq
