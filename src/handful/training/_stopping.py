"""Ctrl-C and SIGTERM while a network is trained: the step at hand is finished and kept first; a second one acts at once.

Knows signals; knows nothing of what is done or kept.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any


class Stopping:
    """Within its block a first SIGINT or SIGTERM only sets `asked`, and `act` does what it would have done.

    Where the block ends before anybody acted, it is done then. Signals that the program ignores or leaves to the system, and
    blocks in other threads than the main one, are left alone.
    """

    def __init__(self) -> None:
        self.asked = False
        self._number, self._frame = 0, None
        self._before: dict[int, Callable[..., Any]] = {}

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if callable(handler):
                    self._before[number] = handler
                    signal.signal(number, self._note)
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self.act()

    def _note(self, number: int, frame: Any) -> None:
        again, self.asked, self._number, self._frame = self.asked, True, number, frame
        if again:
            self.act()

    def act(self) -> None:
        """Do what the signal asked for, if one came; this usually raises."""
        if self.asked:
            self.asked = False
            self._before[self._number](self._number, self._frame)
