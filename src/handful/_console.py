"""How the command line speaks while it works, and how its commands are typed here.

Knows streams and names of commands; knows nothing of what is being done.
"""

from __future__ import annotations

import atexit
import os
import re
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

SILENCE_S = 10.0  # of silence at most, while something is being done


class Screen:
    """Messages and progress on stderr: a bar on a terminal, otherwise a line a stage, and one whenever it was silent long."""

    def __init__(self, quiet: bool, bars: bool) -> None:
        self.quiet = quiet
        self.bars = bars and not quiet and sys.stderr.isatty()
        self._drawn = 0.0
        self._stage = ("", 0, 0)
        self._open = False  # a bar that is not at its end stands on the line
        self._spoke = self._began = time.monotonic()
        self._over: threading.Event | None = None

    def say(self, line: str) -> None:
        """One line, on a line of its own."""
        if self.quiet:
            return
        print(("\n" if self._open else "") + line, file=sys.stderr, flush=True)
        self._open = False
        self._spoken()

    def progress(self, stage: str, done: int, of: int) -> None:
        """`done` of `of` steps of a stage are behind us."""
        if self.quiet:
            return
        now = time.monotonic()
        if stage != self._stage[0] or done < self._stage[1]:
            self._began = now
        self._stage = (stage, done, of)
        if not self.bars:
            if done == of:
                self.say(f"{stage}: {of} done")
            elif now - self._spoke >= SILENCE_S:
                self.say(f"{stage}: {done} of {of}")
            return
        if done < of and now - self._drawn < 0.1:
            return
        self._drawn = now
        width = 28
        filled = width * done // max(of, 1)
        bar = f"\r{stage} [{'#' * filled}{'.' * (width - filled)}] {done}/{of}"
        print(bar, end="\n" if done == of else "", file=sys.stderr, flush=True)
        self._open = done < of
        self._spoken()

    def _spoken(self) -> None:
        self._spoke = time.monotonic()
        if self._over is None:
            self._over = threading.Event()
            atexit.register(self._over.set)
            threading.Thread(target=self._beat, args=(self._over,), daemon=True).start()

    def _beat(self, over: threading.Event) -> None:
        """Fitting heads or drawing a report has no steps to count: say at least that it goes on, more and more rarely."""
        wait = SILENCE_S
        heard = self._spoke
        while not over.wait(0.5):
            if self._spoke != heard:
                heard, wait = self._spoke, SILENCE_S
            if time.monotonic() - heard < wait:
                continue
            stage, done, of = self._stage
            what = f"{stage}: {done} of {of}" if done < of else f"still working, {time.monotonic() - heard:.0f} s"
            print(("\n" if self._open else "") + what, file=sys.stderr, flush=True)
            self._open = False
            wait += max(SILENCE_S, wait)


def program() -> str:
    """What to type for this installation's `handful`: its name where the PATH leads to it, else its place."""
    own = Path(sys.executable).parent / "handful"
    found = shutil.which("handful")
    if found and (not own.exists() or os.path.samefile(found, own)):
        return "handful"
    if not own.exists():
        return shlex.join([sys.executable, "-m", "handful"])
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))


def typed(text: str, commands: Iterable[str]) -> str:
    """`text` with each `handful COMMAND` in it as it can be typed here."""
    called = program()
    names = "|".join(map(re.escape, commands))
    return re.sub(rf"(?<![\w./'-])handful(?= (?:{names})\b)", lambda _: called, text)
