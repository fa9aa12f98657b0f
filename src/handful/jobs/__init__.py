"""A queue of worker processes: what takes long runs beside the server, outlives it, and can be paused, stopped and resumed.

A job is a folder with job.json, log.txt, events.jsonl, result.json and whatever its backend needs; nothing else is kept, so
that a server that starts anew knows everything. Knows commands, processes and files; nothing of what a command does, of
projects or of HTTP. A backend is one file here: `local` runs processes on this machine.
"""

from __future__ import annotations

from handful.jobs._backend import Backend, Worker, backends
from handful.jobs._following import LogLine, LogPart, Series
from handful.jobs._glance import glance
from handful.jobs._hold import holder
from handful.jobs._queue import Queue
from handful.jobs._record import ACTIVE, Job, Progress

__all__ = [
    "ACTIVE", "Backend", "Job", "LogLine", "LogPart", "Progress", "Queue", "Series", "Worker", "backends", "glance", "holder",
]  # fmt: skip
