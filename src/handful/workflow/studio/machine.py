"""The machine that the studio runs on: what is installed, how much memory and disk there is. Knows no projects."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful import __version__

if TYPE_CHECKING:
    from handful.workflow.studio import Studio

GPU_S = 5.0  # for which an answer of nvidia-smi holds

# What brings each optional part, and a module that is there when it is installed.
_EXTRAS = {
    "learn": "sklearn", "torch": "torchvision", "timm": "timm", "openvino": "openvino", "phone": "pillow_heif", "tune": "optuna",
    "listen": "sounddevice", "postgres": "psycopg", "parquet": "pyarrow",
}  # fmt: skip


def about(studio: Studio) -> dict[str, Any]:
    """What this installation can do."""
    from importlib.resources import files

    found = {name: importlib.util.find_spec(module) is not None for name, module in _EXTRAS.items()}
    languages = sorted(p.name[:-5] for p in files("handful.locales").iterdir() if p.name.endswith(".json"))
    return {
        "version": __version__, "read_only": studio.read_only, "languages": languages,
        "extras": {n: {"installed": there, "command": f"pip install 'handful[{n}]'"} for n, there in found.items()},
        "home": str(studio.folder / "projects"), "max_file_bytes": studio.limits.file_bytes,
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    }  # fmt: skip


def memory_status(studio: Studio) -> dict[str, Any]:
    """Memory, disk and jobs, in bytes and counts."""
    total, available = _memory()
    gpu = _gpus.read()
    return {
        "total_bytes": total, "available_bytes": available, **studio.queue.memory(),
        "gpu_total_bytes": gpu[0] if gpu else None, "gpu_free_bytes": gpu[1] if gpu else None,
        "disk_free_bytes": shutil.disk_usage(studio.folder).free,
    }  # fmt: skip


def _memory() -> tuple[int, int]:
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


class _Gpus:
    """What nvidia-smi says of the first GPU, asked at most every few seconds; nothing where there is none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._program = shutil.which("nvidia-smi")
        self._at = float("-inf")
        self._found: tuple[int, int] | None = None

    def read(self) -> tuple[int, int] | None:
        """(all, free) bytes."""
        with self._lock:
            if self._program and time.monotonic() - self._at > GPU_S:
                self._found, self._at = self._ask(), time.monotonic()
            return self._found

    def _ask(self) -> tuple[int, int] | None:
        question = [str(self._program), "--query-gpu=memory.total,memory.free", "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(question, capture_output=True, text=True, timeout=3, check=True)
            total, free = done.stdout.splitlines()[0].split(",")
            return int(total) << 20, int(free) << 20
        except (OSError, ValueError, IndexError, subprocess.SubprocessError):
            return None


_gpus = _Gpus()
