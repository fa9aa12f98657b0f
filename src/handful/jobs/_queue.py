"""The queue: which job works, which waits, and what becomes of one when its worker ends.

Knows states and their order; workers run elsewhere (see `_backend`), what they say is read elsewhere (see `_following`). One
thread watches; every change of a job happens under one lock and is on the disk before anybody hears of it. Durations are
measured by the monotonic clock and order is by numbers, so that a clock that is set changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from handful.errors import BusyError, HandfulError
from handful.jobs import _endings, _processes, _record
from handful.jobs._backend import Worker, backends
from handful.jobs._following import Following, LogPart, Series, mark_beginning
from handful.jobs._hold import hold, let_go, write
from handful.jobs._record import Job
from handful.jobs._shelf import Shelf
from handful.words import Said, both, reason, said

TICK_S = 0.1  # between two looks at the workers
TELL_S = 1.0  # between two writings of how far a job is
_MORE = {"train": ("--resume",)}  # what makes a command go on; the others begin anew and find what was cached
_USUAL = ("as usual",)


def _state(job: Job) -> Said:
    return said(f"state.{job.state}")


class Queue:
    """The jobs of all projects below `root` (`root/PROJECT/jobs/JOB`): at most `slots` work at a time, oldest first.

    One process holds the queue of a root. Opening it takes up what is there: workers that go on are watched again, those
    that ended meanwhile are read, those that died are `interrupted`, what waited waits on in its order. Closing it leaves
    workers alone: they go on, and the next one to open finds them.

    Pausing stops the worker where it is (SIGSTOP to its processes): the processor is free and the next job may begin, the
    memory stays taken. It survives the server; should the worker die meanwhile, the job is `interrupted`. Stopping sends
    SIGINT once, so that the worker saves; after `grace_seconds`, or when asked again, SIGKILL.

    Safe to use from several threads. `on_change(job)` is called from the thread that watches, with every change and about
    once a second while a job works; it must not wait for long, and must not close the queue.
    """

    def __init__(
        self, root: Path, *, on_change: Callable[[Job], None] | None = None, slots: int = 1, backend: str = "local",
        grace_seconds: float = 30.0,
    ) -> None:  # fmt: skip
        """Raises BusyError when another process holds the queue; `holder(root)` tells where its server is."""
        self.root, self.slots, self.grace_seconds = root.absolute(), slots, grace_seconds
        self._on_change, self._backend = on_change, backends.get(backend)
        self._held = hold(self.root)
        self._changed = threading.Condition(threading.RLock())
        self._shelf = Shelf(self.root)
        self._following: dict[str, Following] = {}
        self._asked: dict[str, float] = {}  # seconds that a worker was given since it was asked to stop
        self._told = self._ticked = time.monotonic()
        self._wake, self._closing = threading.Event(), False
        try:
            self._shelf.recover()
        except BaseException:
            let_go(self._held)
            raise
        self._thread = threading.Thread(target=self._watch, name="jobs", daemon=True)
        self._thread.start()

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the queue; workers go on. Safe to call twice. `with Queue(...) as queue` does it."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        with self._changed:
            self._shelf.save()
        let_go(self._held)

    def note(self, url: str) -> None:
        """Tell those who find the queue held where its server is."""
        write(self._held, url)

    # -- asking ----------------------------------------------------------------------------------------------------

    def list(self, project: str | None = None) -> list[Job]:
        """All jobs (of one project), in order of submission."""
        with self._changed:
            found = [job for job in self._shelf.jobs.values() if project is None or job.project == project]
        return sorted(found, key=lambda job: job.number)

    def get(self, job_id: str) -> Job:
        """Raises HandfulError when there is no such job."""
        with self._changed:
            job = self._shelf.jobs.get(job_id)
        if job is None:
            raise _record.unknown(job_id)
        return job

    def busy(self, project: str | None = None) -> bool:
        """Whether a worker of the project (of any) exists."""
        return any(job.holds for job in self.list(project))

    def wait(self, job_id: str, timeout_seconds: float | None = None) -> Job:
        """The job once it is over (or as it stands after `timeout_seconds`); for programs and tests."""
        with self._changed:
            self._changed.wait_for(lambda: not self.get(job_id).active, timeout_seconds)
            return self.get(job_id)

    def log(self, job_id: str, after: int = 0, limit: int = 1000) -> LogPart:
        """Lines of the worker's messages from number `after` on; `next` is what to ask for next."""
        return self._follow(self.get(job_id)).log.part(after, limit)

    def series(self, job_id: str, after: int = 0, limit: int = 10_000) -> Series:
        """Raw points of the run's curves from number `after` on; numbers stay the same when a training is resumed."""
        curves = self._follow(self.get(job_id)).curves
        points = curves.update()[max(after, 0) :][:limit] if curves else []
        return Series(points[-1]["n"] + 1 if points else max(after, 0), points)

    def result(self, job_id: str) -> Any:
        """What the worker printed as JSON; None where it printed none."""
        try:
            return json.loads((self.get(job_id).folder / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def memory(self) -> dict[str, int]:
        """{"server_bytes", "jobs_bytes", "running", "queued"}"""
        jobs = self.list()
        return {
            "server_bytes": _processes.own_bytes(),
            "jobs_bytes": sum(job.rss_bytes or 0 for job in jobs if job.holds),
            "running": sum(job.state in _record.AT_WORK for job in jobs),
            "queued": sum(job.state == "queued" for job in jobs),
        }

    # -- telling ---------------------------------------------------------------------------------------------------

    def submit(
        self, project: Path, kind: str, args: Sequence[str] = (), *, title: str = "", run: Path | None = None,
        makes_run: bool = False, more: Sequence[str] | None = _USUAL, argv: Sequence[str] | None = None,
        expected_seconds: float | None = None,
    ) -> Job:  # fmt: skip
        """Queue `handful ARGS --json` as a job of the project in folder `project`, which lies below `root`.

        Args:
            args: words of the command, e.g. ["train", str(media), "--labels", str(table), "--run", str(run)]; absolute paths.
            run: the run directory it makes or uses; `makes_run` says which. Its name is the job's `run`.
            more: words added when the job goes on after an interruption; None: it cannot go on. By default --resume for
                train and nothing for others, which begin anew and find what was cached.
            argv: a whole command line to run instead of `handful ARGS --json`.
            expected_seconds: of work, by what was measured before; what shows how far it is while it cannot be counted.

        Raises:
            HandfulError: there is no such project, or its folder cannot be written.
        """
        project = project.absolute()
        if project.parent != self.root or not project.is_dir():
            raise HandfulError(*both("job.no_project", name=repr(project.name)))
        words = list(argv) if argv else list(args)
        if not argv and "--json" not in words:
            words.insert(words.index("--") if "--" in words else len(words), "--json")
        job_id = secrets.token_hex(6)
        folder = project / "jobs" / job_id
        going_on = _MORE.get(kind, ()) if more is _USUAL else more
        with self._changed:
            number = self._shelf.next_number()
            job = Job(
                job_id, project.name, kind, title or kind, "queued", time.time(), folder, tuple(words), not argv,
                None if going_on is None else tuple(going_on), run.name if run else None, run, makes_run, number, number,
                expected_seconds=expected_seconds,
            )  # fmt: skip
            try:
                folder.parent.mkdir(exist_ok=True)  # not its parents: a project that is deleted meanwhile stays so
                folder.mkdir()
                self._shelf.write(job)
            except (OSError, HandfulError) as error:
                shutil.rmtree(folder, ignore_errors=True)
                if isinstance(error, HandfulError):
                    raise
                raise HandfulError(*both("job.no_folder", folder=str(folder), reason=reason(error))) from error
            self._put(job, saved=True)
        return self.get(job_id)

    def pause(self, job_id: str) -> Job:
        """Take the processor from a running job. Raises HandfulError when it is not running."""
        with self._changed:
            job = self.get(job_id)
            if job.state not in ("running", "pausing", "paused"):
                raise HandfulError(*both("job.not_running", state=_state(job)))
            if job.state == "running":
                self._put(replace(job, state="pausing"))
        return self.get(job_id)

    def resume(self, job_id: str) -> Job:
        """Go on: after a pause at once (or as the next when all slots are taken), after an end with a new worker.

        Raises HandfulError when there is nothing to go on with.
        """
        with self._changed:
            job = self.get(job_id)
            if job.state in ("pausing", "paused"):
                self._put(replace(job, state="queued"))
            elif job.can_resume:
                self._put(replace(
                    job, state="queued", order=self._shelf.next_number(), crashes=0, error=None, hint=None, said=None, tail=(), ended=None, share=None,
                    progress=None, resumable=False,
                ))  # fmt: skip
            elif not job.active:
                raise HandfulError(*both("job.nothing_left", state=_state(job)))
        return self.get(job_id)

    def stop(self, job_id: str) -> Job:
        """Stop and save; asked again, at once. A job that waits is stopped without having begun; one that is over stays."""
        with self._changed:
            job = self.get(job_id)
            if job.state == "stopping":
                self._asked[job_id] = self.grace_seconds
                self._wake.set()
            elif job.holds:
                self._put(replace(job, state="stopping"))
            elif job.active:
                self._put(_endings.over(job, "stopped", resumable=job.more is not None))
        return self.get(job_id)

    def delete(self, job_id: str) -> None:
        """Remove a job that is over, with its folder; its run stays. Raises BusyError while it is active."""
        with self._changed:
            job = self.get(job_id)
            if job.active:
                raise BusyError(*both("job.active", state=_state(job)))
            gone = job.folder.with_name(f".gone-{job.id}")  # from here on it is deleted, whatever happens
            with contextlib.suppress(FileNotFoundError):
                os.replace(job.folder, gone)
            self._drop(job)
        shutil.rmtree(gone, ignore_errors=True)

    def forget(self, project: str) -> None:
        """Drop the jobs of a project whose folder goes away. Raises BusyError while one of its workers exists."""
        with self._changed:
            if self.busy(project):
                raise BusyError(*both("job.project_busy"))
            for job in self.list(project):
                self._drop(job)

    # -- watching --------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                self._tick()
            except Exception:  # the next look may succeed; without this thread nothing would go on
                sys.excepthook(*sys.exc_info())
            self._tell()
            with self._changed:
                watching = any(job.holds for job in self._shelf.jobs.values()) or bool(self._shelf.unsaved)
            self._wake.wait(TICK_S if watching else None)

    def _put(self, job: Job, saved: bool = False) -> None:
        """A job changed: keep it, and have it told."""
        self._shelf.put(job, saved)
        self._changed.notify_all()
        self._wake.set()

    def _drop(self, job: Job) -> None:
        self._shelf.drop(job)
        self._following.pop(job.id, None)
        self._asked.pop(job.id, None)
        self._changed.notify_all()

    def _follow(self, job: Job) -> Following:
        with self._changed:
            found = self._following.get(job.id)
            if found is None:
                found = self._following[job.id] = Following(job.folder, job.kind, job.run_folder, job.expected_seconds)
            return found

    def _tell(self) -> None:
        while self._shelf.untold:
            job = self._shelf.untold.popleft()
            if self._on_change:
                try:
                    self._on_change(job)
                except Exception:
                    sys.excepthook(*sys.exc_info())

    def _tick(self) -> None:
        with self._changed:
            held = {job.folder: job for job in self._shelf.jobs.values() if job.holds}
        seen = self._backend.look({folder: job.attempt for folder, job in held.items()})
        now = time.monotonic()
        worked, self._ticked = now - self._ticked, now
        telling = now - self._told >= TELL_S
        if telling:
            self._told = now
        with self._changed:
            self._shelf.save()
            for folder, before in held.items():
                job = self._shelf.jobs.get(before.id)
                if job is None or job.attempt != before.attempt or not job.holds:
                    continue
                if job.state == "running" and before.state == "running":
                    job = self._shelf.jobs[job.id] = replace(job, worked_seconds=job.worked_seconds + worked)
                if seen[folder].state == "over":
                    self._ended(job, seen[folder])
                    continue
                self._settle(job, seen[folder], worked)
                if telling or job.rss_bytes is None:
                    self._measure(job.id, seen[folder])
            self._fill()

    def _settle(self, job: Job, worker: Worker, passed: float) -> None:
        """Bring the worker to where its job should be; `passed`: seconds since the last look."""
        if job.state == "pausing":
            if worker.state == "paused":
                self._put(replace(job, state="paused", eta_seconds=None))
            else:
                self._backend.pause(job.folder)
        elif job.state == "stopping":
            if job.id not in self._asked:
                if self._backend.interrupt(job.folder):
                    self._asked[job.id] = 0.0
                return
            self._asked[job.id] += min(passed, TELL_S)  # more, and the server itself was stopped meanwhile
            if self._asked[job.id] >= self.grace_seconds:
                self._backend.kill(job.folder)

    def _measure(self, job_id: str, worker: Worker) -> None:
        """How far it is and what it takes."""
        job = self._shelf.jobs[job_id]
        following = self._follow(job)
        following.update(job.worked_seconds)
        peak = max(job.peak_rss_bytes or 0, worker.peak_rss_bytes or 0, worker.rss_bytes or 0) or None
        rest = following.rest(job.worked_seconds) if job.state == "running" else None
        measured = replace(
            job, progress=following.progress, share=following.share, eta_seconds=rest, rss_bytes=worker.rss_bytes,
            peak_rss_bytes=peak,
        )  # fmt: skip
        if measured != job:
            self._put(measured)

    def _fill(self) -> None:
        """Begin or continue as many of those that wait as there are free slots."""
        while True:
            working = sum(job.state in ("running", "pausing", "stopping") for job in self._shelf.jobs.values())
            waiting = self._shelf.waiting()
            if not waiting or working >= self.slots or self._closing:
                return
            if waiting[0].holds:
                self._backend.go_on(waiting[0].folder)
                self._put(replace(waiting[0], state="running"))
            else:
                self._begin(waiting[0])

    def _begin(self, job: Job) -> None:
        command, attempt = job.command, job.attempt + 1
        started = replace(job, state="running", attempt=attempt, holds=True, started=job.started or time.time())
        self._asked.pop(job.id, None)
        self._put(started)
        if job.id in self._shelf.unsaved:  # a worker that nobody knows of would be begun twice
            self._put(_endings.over(started, "interrupted", said("job.unwritten"), said("job.unwritten.fix"), True))
            return
        environment = {**os.environ, "HANDFUL_EVENTS": str(job.folder / "events.jsonl"), "PYTHONUNBUFFERED": "1"}
        try:
            mark_beginning(job.folder)
            self._backend.start(job.folder, attempt, command, environment)
        except (OSError, HandfulError) as error:
            why = reason(error) if isinstance(error, OSError) else error.message
            self._put(_endings.over(started, "failed", said("job.unstarted", reason=why), resumable=True))

    def _ended(self, job: Job, worker: Worker) -> None:
        following = self._follow(job)
        following.update(job.worked_seconds)
        job = replace(job, progress=following.progress, share=following.share)
        self._asked.pop(job.id, None)
        self._put(_endings.judged(job, worker, following.log))
