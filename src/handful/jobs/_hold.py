"""Who holds the queue of a folder: one process at a time, by a lock that ends with it.

Knows one file; knows nothing of jobs.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from handful.errors import BusyError, HandfulError
from handful.files import to_json
from handful.words import both, reason

_LOCK = ".queue.lock"


def holder(root: Path) -> dict[str, Any] | None:
    """{"pid", "since", "url"} of the server that holds the queue of `root`; None: nobody does."""
    import fcntl

    try:
        with open(root / _LOCK, encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
            except OSError:
                found = json.loads(file.read() or "{}")
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def hold(root: Path) -> Any:
    """The open lock file of the queue."""
    import fcntl

    try:
        root.mkdir(parents=True, exist_ok=True)
        file = open(root / _LOCK, "a+", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise HandfulError(*both("job.home_closed", folder=str(root), reason=reason(error))) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        other = holder(root) or {}
        url, pid = other.get("url"), str(other.get("pid", "?"))
        told = both("job.home_held_at", pid=pid, url=url) if url else both("job.home_held", pid=pid)
        raise BusyError(*told) from None
    write(file, None)
    return file


def let_go(file: Any) -> None:
    """Not only closed: a process that is just being started may hold a copy for a moment."""
    import fcntl

    if not file.closed:
        fcntl.flock(file, fcntl.LOCK_UN)
        file.close()


def write(file: Any, url: str | None) -> None:
    file.seek(0)
    file.truncate()
    file.write(to_json({"pid": os.getpid(), "since": time.time(), "url": url}))
    file.flush()
