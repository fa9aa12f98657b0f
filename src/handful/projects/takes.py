"""Takes: what was recorded in one go. Their samples share a group, which no split divides.

Knows `takes.jsonl`, which only grows.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from handful.errors import HandfulError
from handful.files import to_json
from handful.projects.names import visible
from handful.projects.reasons import NotFound
from handful.words import both, reason

_ID = re.compile(r"take-([1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True)
class Take:
    """`id` (`take-<n>`) is the group of its samples; `source`: microphone, webcam or try; `created`: seconds since 1970."""

    id: str
    label: str
    source: str
    device: str
    created: float


class Takes:
    """The takes of one project, oldest first. A line that cannot be read is left alone and counts as none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._takes: dict[str, Take] = {}
        if path.is_file():
            with open(path, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        row = json.loads(line)
                        take = Take(
                            str(row["id"]), str(row["label"]), str(row["source"]), str(row["device"]),
                            float(row["created"]),
                        )  # fmt: skip
                    except (ValueError, KeyError, TypeError, RecursionError):
                        continue
                    if _ID.fullmatch(take.id):
                        self._takes[take.id] = take

    @property
    def listed(self) -> list[Take]:
        return list(self._takes.values())

    def get(self, take: str) -> Take:
        """Raises: NotFound."""
        if take not in self._takes:
            raise NotFound(*both("error.no_take"))
        return self._takes[take]

    def begin(self, label: str, source: str, device: str, groups: Iterable[str]) -> Take:
        """A new take, whose id none of `groups` has either."""
        used = [int(match[1]) for name in (*self._takes, *groups) if (match := _ID.fullmatch(name))]
        take = Take(
            f"take-{max(used, default=0) + 1}",
            label,
            visible(source)[:40],
            visible(device)[:300],
            round(time.time(), 3),
        )
        try:
            with open(self._path, "a+b") as file:
                # A line torn by a crash must not swallow this one.
                file.seek(0, os.SEEK_END)
                torn = False
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    torn = file.read(1) != b"\n"
                file.write((b"\n" if torn else b"") + to_json(asdict(take)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise HandfulError(*both("error.take_unbegun", reason=reason(error))) from error
        self._takes[take.id] = take
        return take
