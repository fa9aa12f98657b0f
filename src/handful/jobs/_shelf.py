"""The jobs of a queue, in memory and on the disk: what is kept, in which order they go, and of which changes nobody heard yet.

Knows folders and numbers; knows nothing of workers. Not locked: its queue holds a lock around every call.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections import deque
from dataclasses import replace
from pathlib import Path

from handful.errors import HandfulError
from handful.jobs import _endings, _record
from handful.jobs._record import Job
from handful.words import said

_KEY = ".queue.key"


class Shelf:
    """`root/PROJECT/jobs/JOB`. What a job runs is sealed with a key of the root: a project's folder may come from anywhere,
    and a job that was not submitted here must not be run because it lies there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs: dict[str, Job] = {}
        self.unsaved: set[str] = set()
        self.untold: deque[Job] = deque()
        self._key = b""

    def recover(self) -> None:
        """Take up what lies below the root, and remove what a server that died had half deleted or half made.

        No job is changed by that, so that it may happen any number of times.
        """
        self._key = _key(self.root)
        for folder in self.root.glob("*/jobs/*/"):
            for half in folder.glob(".*.tmp-*"):
                half.unlink(missing_ok=True)
            if folder.name.startswith(".gone-") or not any(folder.iterdir()):
                shutil.rmtree(folder, ignore_errors=True)
            elif found := _record.load(folder, self._key):
                job, sealed = found
                self.jobs[job.id] = job if sealed else _foreign(job)
        self._renumber()
        self.untold.clear()

    def put(self, job: Job, saved: bool = False) -> None:
        """Keep a job as it now is."""
        self.jobs[job.id] = job
        if not saved:
            self.unsaved.add(job.id)
            self.save()
        self._renumber()
        now = self.jobs.get(job.id)
        if now is not None and not any(told is now for told in self.untold):
            self.untold.append(now)

    def write(self, job: Job) -> None:
        """Raises HandfulError where that is impossible, FileNotFoundError where the folder is gone."""
        _record.save(job, self._key)

    def save(self) -> None:
        """Write what changed; where the disk is full it is tried again with the next call."""
        for job_id in tuple(self.unsaved):
            try:
                self.write(self.jobs[job_id])
            except FileNotFoundError:  # its project is gone
                self.drop(self.jobs[job_id])
            except HandfulError:
                continue
            self.unsaved.discard(job_id)

    def drop(self, job: Job) -> None:
        self.jobs.pop(job.id, None)
        self.unsaved.discard(job.id)
        self._renumber()

    def waiting(self) -> list[Job]:
        """Those that wait, next one first: what was paused has begun long ago."""
        waiting = [job for job in self.jobs.values() if job.state == "queued"]
        return sorted(waiting, key=lambda job: (not job.holds, job.order))

    def next_number(self) -> int:
        return 1 + max((max(job.number, job.order) for job in self.jobs.values()), default=0)

    def _renumber(self) -> None:
        places = {job.id: place for place, job in enumerate(self.waiting(), 1)}
        for job in tuple(self.jobs.values()):
            if job.position != places.get(job.id):
                self.jobs[job.id] = replace(job, position=places.get(job.id))
                self.untold.append(self.jobs[job.id])


def _foreign(job: Job) -> Job:
    if not job.active:
        return replace(job, resumable=False)
    return replace(_endings.over(job, "interrupted", said("job.elsewhere")), resumable=False)


def _key(root: Path) -> bytes:
    """32 bytes that only the user can read, made the first time."""
    path = root / _KEY
    with contextlib.suppress(FileNotFoundError):
        if len(found := path.read_bytes()) == 32:
            return found
        path.unlink()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(found := secrets.token_bytes(32))
        file.flush()
        os.fsync(file.fileno())
    return found
