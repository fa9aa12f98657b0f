"""Processes of this machine: is this still that one, whom did it start, how much memory do they hold.

Knows /proc, and what can be said without it; knows nothing of jobs.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A line of the process table. `start` in ticks after boot; `state` as ps shows it (R, S, D, T, Z)."""

    pid: int
    state: str
    parent: int
    session: int
    start: int
    rss_bytes: int


@cache
def has_proc() -> bool:
    return (_PROC / "self" / "stat").is_file()


def boot() -> str | None:
    """Changes with every start of the machine; None where the system does not say."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def look(pid: int) -> Process | None:
    try:
        text = (_PROC / str(pid) / "stat").read_bytes().decode("utf-8", "replace")
    except OSError:
        return None
    words = text.rpartition(")")[2].split()  # the name before it may hold anything
    page = os.sysconf("SC_PAGE_SIZE")
    return Process(pid, words[0], int(words[1]), int(words[3]), int(words[19]), int(words[21]) * page)


def alive(pid: int, start: int) -> bool:
    """Whether the process that began at `start` still runs or is stopped; one that only waits to be reaped does not."""
    found = look(pid)
    return found is not None and found.start == start and found.state not in "ZX"


def table() -> list[Process]:
    """All processes that can be seen; [] without /proc."""
    if not has_proc():
        return []
    names = [name for name in os.listdir(_PROC) if name.isdigit()]
    return [found for name in names if (found := look(int(name)))]


def tree(leader: int, processes: Iterable[Process]) -> list[Process]:
    """Those of the session that `leader` leads, and whatever they started."""
    chosen: dict[int, Process] = {}
    waiting = [p for p in processes if p.state not in "ZX"]
    while True:
        more = [p for p in waiting if p.session == leader or p.pid == leader or p.parent in chosen]
        if not more:
            return list(chosen.values())
        chosen |= {p.pid: p for p in more}
        waiting = [p for p in waiting if p.pid not in chosen]


def peak_bytes(pid: int) -> int:
    """The most that one process ever held; 0 where that is not known."""
    with contextlib.suppress(OSError, ValueError):
        for line in (_PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def own_bytes() -> int:
    """Resident memory of this process."""
    found = look(os.getpid())
    if found:
        return found.rss_bytes
    import resource
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def reap(pid: int) -> None:
    """Take note that a child ended, so that it leaves the process table; whoever is no child of ours is left alone."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
