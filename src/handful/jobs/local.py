"""Workers as processes of this machine, each below a shepherd of its own (see `_shepherd`).

A worker is found again by its shepherd's process id, start time and the machine's boot id, so that a reused number is never
taken for it; where the system keeps no such table (no /proc), by the lock that the shepherd holds as long as it lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handful.jobs import _processes as processes
from handful.jobs._backend import Worker, backends

NICENESS = 10
STARTING_S = 20.0  # until a shepherd must have said who it is
LIST_S = 1.0


class Local:
    """See `Backend`. What is kept in memory (who is still starting) is only patience: the folders hold the truth."""

    def __init__(self) -> None:
        self._expected: dict[tuple[Path, int], float] = {}
        self._families: dict[Path, list[int]] = {}
        self._listed = 0.0

    def start(self, folder: Path, attempt: int, command: Sequence[str], environment: Mapping[str, str]) -> None:
        shepherd = str(Path(__file__).with_name("_shepherd.py"))
        words = [sys.executable, "-I", "-S", shepherd, str(folder), str(attempt), str(NICENESS), *command]
        null = os.open(os.devnull, os.O_RDWR)
        try:
            # Not subprocess: nobody waits for it when this process lets go of the queue.
            os.posix_spawn(
                sys.executable, words, dict(environment), setsid=True,
                file_actions=[(os.POSIX_SPAWN_DUP2, null, to) for to in range(3)],
            )  # fmt: skip
        finally:
            os.close(null)
        self._expected[folder, attempt] = time.monotonic()

    def look(self, folders: Mapping[Path, int]) -> dict[Path, Worker]:
        if time.monotonic() - self._listed >= LIST_S:
            self._listed, self._families = time.monotonic(), {}
        return {folder: self._look(folder, attempt) for folder, attempt in folders.items()}

    def _family(self, folder: Path, leader: int) -> list[processes.Process]:
        """Shepherd, worker and what that started, listed anew about once a second: going through all processes takes a while."""
        if folder not in self._families:
            self._families[folder] = [p.pid for p in processes.tree(leader, processes.table())]
        found = [processes.look(pid) for pid in self._families[folder]]
        return [p for p in found if p and p.state not in "ZX"]

    def _look(self, folder: Path, attempt: int) -> Worker:
        known = _read(folder / "worker.json")
        if known.get("attempt") != attempt:
            begun = self._expected.setdefault((folder, attempt), time.monotonic())
            if time.monotonic() - begun < STARTING_S:
                return Worker("starting")
            del self._expected[folder, attempt]
            return Worker("over")
        alive = _alive(folder, known)
        ended = _read(folder / "exit.json")  # after that: what it wrote before it went is not missed
        if not alive or ended.get("attempt") == attempt:
            self._expected.pop((folder, attempt), None)
            processes.reap(known["pid"])
            if alive:
                return Worker("working")  # it is about to go
            _kill(known)
            return Worker("over", ended.get("code"), None, ended.get("peak_rss_bytes"))
        family = self._family(folder, known["pid"])
        workers = [p for p in family if p.pid != known["pid"]]
        stopped = bool(family) and all(p.state in "Tt" for p in family)
        return Worker(
            "paused" if stopped else "working", None,
            sum(p.rss_bytes for p in workers) or None,
            max((processes.peak_bytes(p.pid) for p in workers), default=0) or None,
        )  # fmt: skip

    def resident_bytes(self, folder: Path) -> int:
        known = _read(folder / "worker.json")
        if not known or not _alive(folder, known):
            return 0
        return sum(p.rss_bytes for p in processes.tree(known["pid"], processes.table()) if p.pid != known["pid"])

    def pause(self, folder: Path) -> None:
        self._send(folder, signal.SIGSTOP)

    def go_on(self, folder: Path) -> None:
        self._send(folder, signal.SIGCONT)

    def interrupt(self, folder: Path) -> bool:
        known = _read(folder / "worker.json")
        if not known or (processes.has_proc() and len(processes.tree(known["pid"], processes.table())) < 2):
            return False  # its shepherd has not begun it yet
        return self._send(folder, signal.SIGINT) and self._send(folder, signal.SIGCONT)

    def kill(self, folder: Path) -> None:
        known = _read(folder / "worker.json")
        if known and _alive(folder, known):
            _kill(known)

    def _send(self, folder: Path, number: signal.Signals) -> bool:
        known = _read(folder / "worker.json")
        if not known or not _alive(folder, known):
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(known["pid"], number)
        return True


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _alive(folder: Path, known: dict[str, Any]) -> bool:
    if known["start"] is not None and processes.has_proc():
        return bool(known["boot"] == processes.boot()) and processes.alive(known["pid"], known["start"])
    import fcntl

    try:
        with open(folder / "lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _kill(known: dict[str, Any]) -> None:
    """All of the session but its leader, which notes how they ended; what a dead leader left behind as well.

    A number stays taken as long as a session of that number has members, so none of another program are meant.
    """
    if not processes.has_proc():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(known["pid"], signal.SIGKILL)
        return
    leader = processes.look(known["pid"])
    if known["boot"] != processes.boot() or (leader and leader.start != known["start"]):
        return
    family = processes.tree(known["pid"], processes.table())
    processes.send([p.pid for p in family if p.pid != known["pid"]], signal.SIGKILL)
    processes.send([known["pid"]], signal.SIGCONT)  # it may be stopped as well


backends.add("local", Local())
