"""What is known of one job, and job.json.

Knows names, states and how they are kept; knows nothing of processes or of the order of a queue.
"""

from __future__ import annotations

import hmac
import json
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from handful.errors import HandfulError
from handful.files import atomic_write, to_json
from handful.words import both

FORMAT = 1
State = Literal["queued", "running", "pausing", "paused", "stopping", "stopped", "interrupted", "failed", "done"]
AT_WORK = ("running", "pausing", "stopping")
ACTIVE = ("queued", "running", "pausing", "paused", "stopping")  # the others are over


@dataclass(frozen=True)
class Progress:
    """`done` of `of` steps of the stage that a worker is in."""

    stage: str
    done: int
    of: int


@dataclass(frozen=True)
class Job:
    """One job as it stands: an immutable picture, replaced by a newer one with every change.

    Times are seconds since 1970. `share`, `eta_seconds` and the memory are None where they are not known.
    """

    id: str
    project: str  # name of the project's folder
    kind: str
    title: str
    state: State
    created: float
    folder: Path
    words: tuple[str, ...]  # of the command line; after `handful` where `ours`
    ours: bool = True
    more: tuple[str, ...] | None = None  # words that make the command go on; None: it cannot
    run: str | None = None  # name of the run's directory that it makes or uses
    run_folder: Path | None = None
    makes_run: bool = False
    number: int = 0  # sequence of submission
    order: int = 0  # of those that wait, the lower goes first
    position: int | None = None
    started: float | None = None
    ended: float | None = None
    progress: Progress | None = None
    share: float | None = None
    eta_seconds: float | None = None
    rss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    error: str | None = None
    hint: str | None = None
    said: dict[str, Any] | None = None  # `error` and `hint` as `words.packed` has them, where they can be said again
    attempt: int = 0  # workers started so far
    crashes: int = 0  # in a row, without being asked
    expected_seconds: float | None = None  # of work, by what was measured before; None: nothing is known
    worked_seconds: float = 0.0  # without waiting and pauses, as far as a server saw it
    holds: bool = False  # a worker exists, perhaps stopped
    resumable: bool = False  # it is over, and could go on
    tail: tuple[str, ...] = ()  # of a worker that crashed: its last words

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def command(self) -> list[str]:
        """The command line of its next worker."""
        words = list(self.words)
        if not self.ours:
            return words + (list(self.more or ()) if self.attempt else [])
        if self.attempt and self.makes_run and self.run_folder and (self.run_folder / "run.json").is_file():
            words = ["report", str(self.run_folder)]  # it was finished but for that
        elif self.attempt:
            at = words.index("--") if "--" in words else len(words)
            words[at:at] = [word for word in self.more or () if word not in words[:at]]
        # -P: a file in the working directory must not be taken for a module.
        return [sys.executable, "-P", "-m", "handful", *words]

    @property
    def can_pause(self) -> bool:
        return self.state == "running"

    @property
    def can_resume(self) -> bool:
        return self.state in ("pausing", "paused") or (not self.active and self.resumable)

    @property
    def can_stop(self) -> bool:
        return self.active


def save(job: Job, key: bytes) -> None:
    """Write job.json, sealed with `key`. A folder that is gone is not made again: FileNotFoundError."""
    if not job.folder.is_dir():
        raise FileNotFoundError(job.folder)
    kept: dict[str, Any] = {"format": FORMAT, **asdict(job), "seal": _seal(job, key)}
    for name in ("folder", "position", "project"):  # follow from where the file lies, and beside what
        del kept[name]
    atomic_write(job.folder / "job.json", to_json(kept, indent=1) + "\n")


def load(folder: Path, key: bytes) -> tuple[Job, bool] | None:
    """The job in `folder` (PROJECT/jobs/ID), and whether it was sealed with `key`.

    None where job.json is missing, damaged or of a newer release.
    """
    try:
        kept = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        if kept.pop("format") != FORMAT or kept["id"] != folder.name or kept["state"] not in get_args(State):
            return None
        known = {field.name for field in fields(Job)}
        values = {name: value for name, value in kept.items() if name in known}
        values["words"], values["tail"] = tuple(values["words"]), tuple(values.get("tail", ()))
        values["more"] = None if values.get("more") is None else tuple(values["more"])
        values["run_folder"] = Path(values["run_folder"]) if values.get("run_folder") else None
        values["progress"] = Progress(**values["progress"]) if values.get("progress") else None
        job = Job(**values | {"folder": folder, "project": folder.parent.parent.name})
        return job, hmac.compare_digest(str(kept.get("seal")).encode(), _seal(job, key).encode())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _seal(job: Job, key: bytes) -> str:
    """Changes with everything that a worker is told to do."""
    told = to_json([job.id, job.project, job.ours, job.words, job.more, job.run_folder, job.makes_run])
    return hmac.new(key, told.encode(), "sha256").hexdigest()


def unknown(job_id: str) -> HandfulError:
    return HandfulError(*both("job.unknown", id=repr(job_id)))
