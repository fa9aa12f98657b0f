"""The machine that the studio runs on: what is installed, how much memory and disk there is. Knows no projects."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful import __version__
from handful.extras import EXTRAS
from handful.machine import gpus, memory, processors

if TYPE_CHECKING:
    from handful.workflow.studio import Studio


def about(studio: Studio) -> dict[str, Any]:
    """What this installation can do."""
    from importlib.resources import files

    languages = sorted(p.name[:-5] for p in files("handful.locales").iterdir() if p.name.endswith(".json"))
    return {
        "version": __version__, "read_only": studio.read_only, "languages": languages,
        "extras": {e.name: {"installed": not e.missing, "command": e.command} for e in EXTRAS.values()},
        "home": str(studio.folder / "projects"), "max_file_bytes": studio.limits.file_bytes,
        "processors": processors(),
    }  # fmt: skip


def memory_status(studio: Studio) -> dict[str, Any]:
    """Memory, disk and jobs, in bytes and counts."""
    return status(studio.folder, studio.queue.memory())


def status(folder: Path, jobs: dict[str, Any]) -> dict[str, Any]:
    """The same of a studio seen from outside; `jobs` is what its queue says of itself, or `jobs.glance`."""
    total, available = memory()
    gpu = gpus.read()
    return {
        "total_bytes": total, "available_bytes": available,
        **{key: jobs[key] for key in ("server_bytes", "jobs_bytes", "running", "queued")},
        "gpu_total_bytes": gpu.total_bytes if gpu else None, "gpu_free_bytes": gpu.free_bytes if gpu else None,
        "disk_free_bytes": shutil.disk_usage(folder).free,
    }  # fmt: skip
