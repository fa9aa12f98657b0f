"""What the jobs of a queue hold, seen from outside: nothing is opened, locked or changed. Knows files and processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handful.jobs import _processes, _record
from handful.jobs._backend import backends
from handful.jobs._hold import holder


def glance(root: Path, backend: str = "local") -> dict[str, Any]:
    """As `Queue.memory`, of whichever server holds the queue of `root`, and its address.

    Returns:
        {"server_bytes": 0 where there is no server, "jobs_bytes", "running", "queued", "url": None where there is none}
    """
    server = holder(root) or {}
    process = _processes.look(server["pid"]) if isinstance(server.get("pid"), int) else None
    found = (_record.load(folder, b"") for folder in root.glob("*/jobs/*/"))
    jobs = [one[0] for one in found if one is not None]
    return {
        "server_bytes": process.rss_bytes if process else 0,
        "jobs_bytes": sum(backends.get(backend).resident_bytes(job.folder) for job in jobs if job.holds),
        "running": sum(job.state in _record.AT_WORK for job in jobs),
        "queued": sum(job.state == "queued" for job in jobs),
        "url": server.get("url"),
    }
