"""Where workers run: the contract, and the registry in which each file of this package puts its own.

Knows nothing of queues; a backend knows nothing of states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from handful.registry import Registry


@dataclass(frozen=True)
class Worker:
    """How a worker stands. One that is over has a `code` (-N: killed by signal N), or None when nobody saw it end."""

    state: str  # "starting", "working", "paused", "over"
    code: int | None = None
    rss_bytes: int | None = None
    peak_rss_bytes: int | None = None


class Backend(Protocol):
    """Runs one worker for a job, and finds it again from the job's folder alone: also after the server was started anew.

    `command` runs with `environment`; its output goes to result.json, its messages to log.txt, each line after an ISO time.
    A worker must go on when the server dies, and its end must be known however it comes about. `attempt` counts the workers
    of a job from 1; what is asked is about that one.
    """

    def start(self, folder: Path, attempt: int, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Begin a worker. Raises OSError or HandfulError when that is impossible."""

    def look(self, folders: Mapping[Path, int]) -> dict[Path, Worker]:
        """How the workers of several folders (with their attempts) stand."""

    def resident_bytes(self, folder: Path) -> int:
        """Memory of the worker and what that started, 0 where there is none; looks only, also from another process."""

    def pause(self, folder: Path) -> None:
        """Take the processor from the worker; its memory stays."""

    def go_on(self, folder: Path) -> None:
        """Give it back."""

    def interrupt(self, folder: Path) -> bool:
        """Ask the worker to save and leave; False when it could not be asked yet."""

    def kill(self, folder: Path) -> None:
        """End it and all that it started, at once."""


backends: Registry[Backend] = Registry("backend of jobs", "handful.jobs")
