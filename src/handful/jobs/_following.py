"""What can be read of a job while it works and later: its messages, how far it is, the curves of its run.

Knows log.txt, events.jsonl and a run's metrics.jsonl, all of which only grow; knows nothing of processes or states. Numbers of
lines and points never change, so that they serve as cursors: also over the restart of a server, or of the worker.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from handful.files import shown, to_json
from handful.jobs._record import Progress
from handful.words import Said, unpacked

STRIDE = 1000  # lines between two remembered places
WINDOW_S = 120.0  # of work from which the rest is estimated
ON_TIME = 0.9  # share at which a job is that has worked as long as was expected
LATE = 0.99  # what it nears if it goes on for ever
SURE_S = 2.0  # of work before anything is estimated
BEGIN = "begin"  # event that stands before those of a new worker
_NAMES = {"train_loss": "loss", "train_accuracy": "accuracy"}


@dataclass(frozen=True)
class LogLine:
    """`time`: seconds since 1970 at which the worker said it; `text`: as `Said` where it told the sentence."""

    n: int
    time: float
    text: str


@dataclass(frozen=True)
class LogPart:
    lines: list[LogLine]
    next: int


@dataclass(frozen=True)
class Series:
    """`points`: {n, time, fold, epoch, loss, accuracy, learning_rate, ...}; fold None is the training of the final model."""

    next: int
    points: list[dict[str, Any]]


class Growing:
    """The whole lines of a file that is appended to; each is given once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.anew = False  # the last call found a shorter file, that is, another one, and began at its start
        self._offset = 0

    def fresh(self) -> list[bytes]:
        """Lines that were finished since the last call."""
        try:
            with open(self.path, "rb") as file:
                self.anew = file.seek(0, 2) < self._offset
                if self.anew:
                    self._offset = 0
                file.seek(self._offset)
                text = file.read()
        except OSError:
            return []
        whole, end, _ = text.rpartition(b"\n")
        self._offset += len(whole) + len(end)
        return whole.split(b"\n") if end else []


class Log:
    """log.txt by line numbers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places = [0]  # byte offsets of lines 0, STRIDE, 2 * STRIDE, ...
        self._lock = threading.Lock()
        self._events = Growing(path.with_name("events.jsonl"))
        self._said: dict[str, Any] = {}  # lines of the worker -> their sentences

    def part(self, after: int, limit: int) -> LogPart:
        found: list[LogLine] = []
        with self._lock:
            self._said |= {
                e["text"]: e["said"] for e in map(_parsed, self._events.fresh()) if e.get("said") and e.get("text")
            }
            for number, line in self._from(max(after, 0)):
                if len(found) == limit:
                    break
                found.append(self._told(_logged(number, line)))
        return LogPart(found, found[-1].n + 1 if found else max(after, 0))

    def _told(self, line: LogLine) -> LogLine:
        sentence = unpacked(self._said.get(line.text))
        return replace(line, text=sentence) if isinstance(sentence, Said) else line

    def _from(self, after: int) -> Iterator[tuple[int, bytes]]:
        """(number, line) from number `after` on."""
        mark = min(after // STRIDE, len(self._places) - 1)
        number = mark * STRIDE
        try:
            with open(self._path, "rb") as file:
                file.seek(self._places[mark])
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    if number >= after:
                        yield number, line
                    number += 1
                    if number == len(self._places) * STRIDE:
                        self._places.append(file.tell())
        except OSError:
            return

    def tail(self, count: int) -> list[str]:
        """The last lines, without their times."""
        try:
            with open(self._path, "rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - 200 * 1024))
                lines = file.read().splitlines()
        except OSError:
            return []
        return [_logged(0, line).text for line in lines[-count:]]


def _logged(number: int, line: bytes) -> LogLine:
    stamp, _, text = line.rstrip(b"\r\n").decode("utf-8", "replace").partition(" ")
    try:
        return LogLine(number, datetime.fromisoformat(stamp).timestamp(), shown(text))
    except ValueError:
        return LogLine(number, 0.0, shown(f"{stamp} {text}".strip()))


class Curves:
    """The points of a run's curves. An epoch that was trained again after an interruption, to the same numbers, counts once."""

    def __init__(self, run: Path) -> None:
        self._file = Growing(run / "metrics.jsonl")
        self._seen: set[tuple[Any, Any]] = set()
        self._lock = threading.Lock()
        self.points: list[dict[str, Any]] = []

    def update(self) -> list[dict[str, Any]]:
        with self._lock:
            lines = self._file.fresh()
            if self._file.anew:
                self.points, self._seen = [], set()
            for line in lines:
                self._add(_parsed(line))
            return self.points

    def _add(self, event: dict[str, Any]) -> None:
        if event.get("event") != "epoch":
            return
        key = event.get("fold"), event.get("epoch")
        if key in self._seen:
            return
        self._seen.add(key)
        named = {_NAMES.get(name, name): value for name, value in event.items() if name != "event"}
        self.points.append({"n": len(self.points), **named})


def _parsed(line: bytes) -> dict[str, Any]:
    """A line of JSON; of two that ran into each other when a worker was killed, the second."""
    text = line.decode("utf-8", "replace")
    for start in (0, text.rfind('{"time"')):
        try:
            value = json.loads(text[max(start, 0) :])
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return {}


class Following:
    """How far one job is: the last progress its worker told, its share of the whole where that is known, the time left.

    Where equal parts can be counted they are: trainings by gradient, explanations. Everything else has stages of which nobody
    knows how long the next ones take; there the share is that of the time that was expected, where one was.
    """

    def __init__(self, folder: Path, kind: str, run: Path | None, expected_seconds: float | None = None) -> None:
        self.kind = kind
        self.expected_seconds = expected_seconds
        self.log = Log(folder / "log.txt")
        self.curves = Curves(run) if run else None
        self.progress: Progress | None = None
        self.share: float | None = None
        self.counted: float | None = None  # the share, where it is one of counted parts
        self._events = Growing(folder / "events.jsonl")
        self._behind: deque[tuple[float, float]] = deque()  # (seconds worked, share)

    def update(self, worked_seconds: float = 0.0) -> None:
        for line in self._events.fresh():
            event = _parsed(line)
            if event.get("kind") == BEGIN:
                self.progress = self.share = None
            elif event.get("kind") == "progress":
                try:
                    self.progress = Progress(str(event["stage"]), int(event["done"]), int(event["of"]))
                except (KeyError, TypeError, ValueError):
                    continue
        self.counted = self._counted() or None
        share = self._timed(worked_seconds) if self.counted is None else self.counted
        self.share = None if share is None else max(share, self.share or 0.0)  # a bar never goes back

    def _timed(self, worked_seconds: float) -> float | None:
        """Of the time that was expected. What takes longer comes slower and slower near to the end, not to it."""
        if not self.expected_seconds:
            return None
        passed = worked_seconds / self.expected_seconds
        return ON_TIME * passed if passed < 1 else LATE - (LATE - ON_TIME) * math.exp(1 - passed)

    def _counted(self) -> float | None:
        at = self.progress
        if at is None or at.of < 1:
            return None
        if self.kind == "explain" and at.stage == "explain":
            return min(1.0, at.done / at.of)
        if self.kind != "train" or at.stage != "train" or self.curves is None:
            return None
        done = float(at.done)
        points = self.curves.update()
        if points and at.done < at.of:
            last = points[-1]
            training = at.done if at.done < at.of - 1 else None
            if last.get("fold") == training and last.get("epochs"):
                done += min(1.0, last["epoch"] / last["epochs"])
        return min(1.0, done / at.of)

    def rest(self, worked_seconds: float) -> float | None:
        """Seconds of work left, by the pace of the last two minutes or what was expected; None while that cannot be known."""
        expected = max(0.0, (self.expected_seconds or 0.0) - worked_seconds) or None
        if self.counted is None:
            return expected
        if self._behind and self.counted < self._behind[-1][1]:
            self._behind.clear()
        self._behind.append((worked_seconds, self.counted))
        while len(self._behind) > 2 and worked_seconds - self._behind[1][0] > WINDOW_S:
            self._behind.popleft()
        seconds, share = worked_seconds - self._behind[0][0], self.counted - self._behind[0][1]
        if seconds < SURE_S or share <= 0:
            return expected
        return (1 - self.counted) * seconds / share


def mark_beginning(folder: Path) -> None:
    """What follows in events.jsonl comes from another worker."""
    with open(folder / "events.jsonl", "a", encoding="utf-8") as file:
        file.write(to_json({"time": round(time.time(), 3), "kind": BEGIN}) + "\n")


def said_by(folder: Path) -> dict[str, Any] | None:
    """What the last worker said of its end, as `words.packed` has it, and its `cause`: "memory", "disk" or ""."""
    events = [_parsed(line) for line in Growing(folder / "events.jsonl").fresh()[-20:]]
    last = events[-1] if events else {}
    if last.get("kind") != "error":
        return None
    return {"error": last.get("message"), "hint": last.get("hint"), "cause": last.get("cause")}


def told(lines: list[str]) -> tuple[str | None, str | None]:
    """(message, hint) of the last error that a handful command told in `lines`."""
    for number in range(len(lines) - 1, -1, -1):
        if lines[number].startswith("handful: "):
            after = lines[number + 1] if number + 1 < len(lines) else ""
            return lines[number].removeprefix("handful: "), after.removeprefix("   try: ") if "try:" in after else None
    return None, None
