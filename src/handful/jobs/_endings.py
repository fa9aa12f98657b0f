"""What becomes of a job whose worker ended: pure judgement from its exit code, what was asked of it, and its last words.

0                      done
asked to stop          stopped; it can go on
nobody saw it end      interrupted: the machine went down, or everything was killed
SIGINT, SIGTERM        interrupted: by the system or another program
SIGKILL                failed: the system takes memory back like that
1, 2, 75               failed with the two lines the command told; where the disk was full, interrupted
anything else          it crashed: tried once more, then failed with its last words
"""

from __future__ import annotations

import signal
import time
from dataclasses import replace

from handful.jobs._backend import Worker
from handful.jobs._following import Log, said_by, told
from handful.jobs._record import Job, State
from handful.words import Number, Said, packed, said

ATTEMPTS = 2  # of a worker that crashes
TAIL_LINES = 50
BUSY = 75  # another process holds the run
_TOLD = (1, 2, BUSY)
_STOPPED = (130, 143, 129, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)


def over(
    job: Job, state: State, error: str | None = None, hint: str | None = None, resumable: bool = False
) -> Job:  # fmt: skip
    """The job without a worker, in a final state."""
    again = {"error": packed(error), "hint": packed(hint)} if isinstance(error, Said) else None
    return replace(
        job, state=state, error=error, hint=hint, said=again, resumable=resumable and job.more is not None, ended=time.time(),
        holds=False, rss_bytes=None, eta_seconds=None, position=None,
    )  # fmt: skip


def judged(job: Job, worker: Worker, log: Log) -> Job:
    """The job as it is after its worker ended: over, or in the queue again."""
    code, seen = worker.code, job.peak_rss_bytes or 0
    job = replace(job, peak_rss_bytes=max(seen, worker.peak_rss_bytes or 0) or None)
    if code == 0:
        return replace(over(job, "done"), share=1.0)
    if job.state == "stopping":
        return over(job, "stopped", resumable=True)
    if code is None:
        return over(job, "interrupted", said("job.vanished"), said("job.resume"), True)
    if code in _STOPPED:
        return over(job, "interrupted", said("job.told"), said("job.resume"), True)
    if code == -signal.SIGKILL:
        return _starved(job, "job.killed", "job.killed_peak")
    if code in _TOLD:
        return _complained(job, log, code)
    return _crashed(job, code, log)


def _starved(job: Job, key: str, measured: str) -> Job:
    peak = Number(job.peak_rss_bytes or 0, "bytes")
    message = said(measured, peak=peak) if job.peak_rss_bytes else said(key)
    return over(job, "failed", message, said("job.starved.fix"), True)


def _complained(job: Job, log: Log, code: int) -> Job:
    lines = log.tail(TAIL_LINES)
    error, hint = told(lines)
    said = said_by(job.folder) if error else None
    cause = (said or {}).get("cause")
    if cause == "memory":
        return _starved(job, "job.memory", "job.memory_peak")
    if cause == "disk":
        return replace(over(job, "interrupted", error, hint, True), said=said)
    last = next((line for line in reversed(lines) if line.strip()), "it failed without a word")
    failed = over(job, "failed", error or last, hint, resumable=code == BUSY)
    return replace(failed, said=said, tail=() if error else tuple(lines))


def _crashed(job: Job, code: int, log: Log) -> Job:
    how = f"signal {signal.Signals(-code).name}" if -code in {s.value for s in signal.Signals} else f"exit code {code}"
    crashes = job.crashes + 1
    if crashes < ATTEMPTS and job.more is not None:
        return replace(job, state="queued", holds=False, crashes=crashes, rss_bytes=None, eta_seconds=None)
    message = said("job.crashed", n=crashes, how=how)
    failed = over(job, "failed", message, said("job.crashed.fix"), True)
    return replace(failed, crashes=crashes, tail=tuple(log.tail(TAIL_LINES)))
