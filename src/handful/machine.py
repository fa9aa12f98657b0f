"""The machine under this process: processors, memory, the limit of its container, the GPU. Knows no libraries that compute."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GPU_S = 5.0  # for which an answer of nvidia-smi holds
_GROUPS = Path("/sys/fs/cgroup")


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> tuple[int, int]:
    """(all, available) bytes of the machine."""
    try:
        rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        total, available = (int(rows[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
        return total, available
    except (OSError, KeyError, ValueError):
        page = os.sysconf("SC_PAGE_SIZE")
        total = page * os.sysconf("SC_PHYS_PAGES")
        free = "SC_AVPHYS_PAGES"
        return total, page * os.sysconf(free) if free in os.sysconf_names else total


def memory_limit() -> int | None:
    """Bytes that the container or control group of this process allows; None: as many as the machine has."""
    known = []
    for file in _limits():
        with contextlib.suppress(OSError, ValueError):
            known.append(int(file.read_text(encoding="ascii")))  # "max" is no number
    limit = min(known, default=None)
    return limit if limit is not None and limit < memory()[0] else None


def _limits() -> Iterator[Path]:
    """Files that may hold a limit: of every group around this process, and where the first version of groups keeps it."""
    yield _GROUPS / "memory.max"
    yield _GROUPS / "memory" / "memory.limit_in_bytes"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            if line.startswith("0::/"):
                group = _GROUPS / line[4:]
                yield from (above / "memory.max" for above in (group, *group.parents) if above.is_relative_to(_GROUPS))


@dataclass(frozen=True)
class Gpu:
    """Memory in bytes."""

    name: str
    driver: str
    total_bytes: int
    free_bytes: int


class Gpus:
    """What nvidia-smi says of the first GPU, asked at most every few seconds; nothing where there is none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._program = shutil.which("nvidia-smi")
        self._at = float("-inf")
        self._found: Gpu | None = None

    def read(self) -> Gpu | None:
        with self._lock:
            if self._program and time.monotonic() - self._at > GPU_S:
                self._found, self._at = self._ask(), time.monotonic()
            return self._found

    def _ask(self) -> Gpu | None:
        what = "name,driver_version,memory.total,memory.free"
        question = [str(self._program), f"--query-gpu={what}", "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(question, capture_output=True, text=True, timeout=3, check=True)
            name, driver, total, free = done.stdout.splitlines()[0].rsplit(",", 3)
            return Gpu(name.strip(), driver.strip(), int(total) << 20, int(free) << 20)
        except (OSError, ValueError, IndexError, subprocess.SubprocessError):
            return None


gpus = Gpus()
