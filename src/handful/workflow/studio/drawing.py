"""Thumbnails drawn before they are asked for, so that a large import can be leafed through at once.

One thread of low priority, started with the first import. What is not drawn yet is drawn when it is asked for.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from typing import TYPE_CHECKING

from handful.errors import HandfulError
from handful.workflow.studio import pictures

if TYPE_CHECKING:
    from handful.workflow.studio import Studio

NICENESS = 10
TOLD = 1000  # after so many thumbnails open pages are told


class Ahead:
    """Draws the thumbnails of the projects that are named to it."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="handful-thumbnails", daemon=True)
        self._thread.start()

    def draw(self, project: str) -> None:
        """All samples of a project, soon."""
        self._asked.put(project)

    def close(self) -> None:
        """Ends after the picture at hand."""
        self._over.set()
        self._asked.put(None)
        self._thread.join()

    def _work(self) -> None:
        if sys.platform == "linux":  # there a thread has a priority of its own
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while (project := self._asked.get()) is not None:
            with contextlib.suppress(HandfulError):
                self._draw(project)

    def _draw(self, project: str) -> None:
        samples = [sample.id for sample in self._studio.project(project).samples]
        there = pictures.glimpses(self._studio, samples)
        wanted = [sample for sample in samples if sample not in there]
        for number, sample in enumerate(wanted, 1):
            if self._over.is_set():
                return
            with contextlib.suppress(HandfulError):  # it was deleted meanwhile, or cannot be drawn
                pictures.thumb(self._studio, project, sample)
            if number % TOLD == 0 or number == len(wanted):  # lists that are open have no glimpses of these
                self._studio.publish("project", {"id": project, "revision": self._studio.project(project).revision})
