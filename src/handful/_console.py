"""How the command line speaks while it works, and how its commands are typed here.

Knows streams and names of commands; knows nothing of what is being done.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from handful.words import Said, load, packed, said, shown

FIRST_S = 3.0  # until something is said of what takes longer
SILENCE_S = 10.0  # of silence after that, while steps are counted
EVENT_S = 0.2  # between two events of one stage at least


class Events:
    """Messages and progress as JSON lines in the file that HANDFUL_EVENTS names, for whoever started this program."""

    def __init__(self) -> None:
        self._path = os.environ.get("HANDFUL_EVENTS")
        self._stage, self._written = "", 0.0

    def say(self, line: str, sentence: str = "") -> None:
        """`line` as it stands in the log, and the sentence that it is: whoever reads the log can say it in other languages."""
        sentence = sentence or line
        again = {"said": packed(sentence)} if isinstance(sentence, Said) else {}
        self._write({"kind": "say", "text": shown(line), **again})

    def progress(self, stage: str, done: int, of: int) -> None:
        now = time.monotonic()
        if stage == self._stage and done < of and now - self._written < EVENT_S:
            return
        self._stage, self._written = stage, now
        self._write({"kind": "progress", "stage": stage, "done": done, "of": of})

    def error(self, message: str, hint: str, cause: str = "") -> None:
        """Why it ended, in a form that can be said in other languages. `cause`: "memory" or "disk" where that is full."""
        self._write({"kind": "error", "message": packed(message), "hint": packed(hint), "cause": cause})

    def _write(self, event: dict[str, Any]) -> None:
        if not self._path:
            return
        line = json.dumps({"time": round(time.time(), 3), **event}) + "\n"
        with contextlib.suppress(OSError), open(self._path, "a", encoding="utf-8") as file:  # must not stop the work
            file.write(line)


class Screen:
    """Messages and progress on stderr: a bar on a terminal, otherwise a line a stage, and one whenever it was silent long.

    Also as events for the program that started this one, quiet or not.
    """

    def __init__(self, quiet: bool, bars: bool) -> None:
        self.quiet = quiet
        self.bars = bars and not quiet and sys.stderr.isatty()
        self._drawn = 0.0
        self._stage = ("", 0, 0)
        self._told = ""  # the stage of which a step was said last
        self._open = False  # a bar that is not at its end stands on the line
        self._spoke = self._began = time.monotonic()
        self._over: threading.Event | None = None
        self._events = Events()

    def say(self, line: str) -> None:
        """One line, on a line of its own."""
        self._told = ""
        self._events.say(line)
        self._print(line)

    def _print(self, line: str) -> None:
        if self.quiet:
            return
        print(("\n" if self._open else "") + line, file=sys.stderr, flush=True)
        self._open = False
        self._spoken()

    def progress(self, stage: str, done: int, of: int) -> None:
        """`done` of `of` steps of a stage are behind us; a stage of one step is no news for people, only where we are."""
        if not self.quiet and of > 1:
            self._draw(stage, done, of)
        self._events.progress(stage, done, of)

    def _draw(self, stage: str, done: int, of: int) -> None:
        now = time.monotonic()
        if stage != self._stage[0] or done < self._stage[1]:
            self._began = now
        self._stage = (stage, done, of)
        if not self.bars:
            if done == of:
                self.say(said("say.stage_done", stage=_named(stage), n=of))
            elif now - self._spoke >= (SILENCE_S if self._told == stage else FIRST_S):
                self.say(said("say.stage", stage=_named(stage), done=done, of=of))
                self._told = stage
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
        wait = FIRST_S
        heard = self._spoke
        while not over.wait(0.5):
            if self._spoke != heard:
                heard, wait = self._spoke, FIRST_S
            # A bar that is seen, or a stage that was heard of, needs no word so soon.
            if time.monotonic() - heard < max(wait, SILENCE_S if self._open or self._told else 0.0):
                continue
            stage, done, of = self._stage
            seconds = f"{time.monotonic() - heard:.0f}"
            what = (
                said("say.stage", stage=_named(stage), done=done, of=of)
                if done < of
                else said("say.working", seconds=seconds)
            )
            self._events.say(what)
            print(("\n" if self._open else "") + what, file=sys.stderr, flush=True)
            self._open = False
            self._told = stage if done < of else ""
            wait = max(SILENCE_S, 2 * wait)


def _named(stage: str) -> str:
    key = f"log.{stage}"
    return said(key) if key in load("en") else stage


def program(name: str = "handful") -> str:
    """What to type for this installation's `handful` (or `pip`): its name where the PATH leads to it, else its place."""
    own = Path(sys.executable).parent / name
    found = shutil.which(name)
    strange = not own.exists()
    if found and (
        name == "handful" if strange else os.path.samefile(found, own)
    ):  # a pip elsewhere is another Python's
        return name
    if strange:
        return shlex.join([sys.executable, "-m", name])
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))


def typed(text: str, commands: Iterable[str]) -> str:
    """`text` with each `handful COMMAND` and `pip install` in it as it can be typed here."""
    names = "|".join(map(re.escape, commands))
    call = re.compile(rf"(?<!uv )(?<![\w./'-])(?:handful(?= (?:{names})\b)|pip(?= install ))")
    return call.sub(lambda found: program(found[0]), text)
