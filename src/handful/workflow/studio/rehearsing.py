"""How long a training takes that was never done on this machine: a small one is timed, beside everything else.

A rehearsal is `handful train` on a few of the project's samples, in a process of its own with the lowest priority. What it
took is kept in the cache, by model, strategy and kind of data; its run is thrown away, its embeddings stay and are not
computed again. Knows processes and the cache; what is asked for is decided by `planning`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.files import Store, cache_dir

if TYPE_CHECKING:
    from handful.projects import Project, Sample
    from handful.workflow.studio import Studio

OF_EACH = 4  # samples of a class
MOST = 60
SECONDS = 180.0  # a rehearsal that takes longer says nothing of use
GROWING = ("decode", "embed", "fit", "study")  # stages of a run whose time grows with the samples


class Rehearsals:
    """At most one at a time; none while a job works, and one that is under way gives way to a job."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._failed: set[str] = set()
        self._busy = self._gave_way = False
        studio.subscribe(self._happened)
        studio.when_closed(self.close)

    def known(self, key: str) -> dict[str, Any] | None:
        """{"each", "rest"}: seconds that each sample takes, and the rest, however many there are; None: not timed yet."""
        with contextlib.closing(_store()) as store:
            return next((json.loads(value) for _, value in store.get([key])), None)

    def begin(self, key: str, project: Project, settings: Sequence[str]) -> None:
        """Time a training with these words of the command; the project's pages are told when `known` has an answer."""
        samples = _few(project.samples)
        with self._lock:
            if self._busy or key in self._failed or self._studio.queue.busy() or len(samples) < 2 * OF_EACH:
                return
            self._busy = True
        arguments = (key, project, samples, list(settings))
        threading.Thread(target=self._rehearse, args=arguments, name="handful-rehearsal", daemon=True).start()

    def close(self) -> None:
        """End what is under way."""
        with self._lock:
            if self._process is not None:
                self._gave_way = True
                self._process.kill()

    def _happened(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "job" and data["state"] == "running":
            self.close()

    def _rehearse(self, key: str, project: Project, samples: list[Sample], settings: list[str]) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="handful-rehearsal-") as folder:
                found = self._time(Path(folder), project, samples, settings)
            if found is None:
                if not self._gave_way:
                    self._failed.add(key)
                return
            with contextlib.closing(_store()) as store:
                store.put([(key, json.dumps(found).encode())])
            self._studio.publish("project", {"id": project.id, "revision": project.revision})
        finally:
            self._busy = False

    def _time(
        self, folder: Path, project: Project, samples: list[Sample], settings: list[str]
    ) -> dict[str, Any] | None:
        """None where it failed, was ended or took too long."""
        rows = ({"file_name": s.file, "label": s.label, "group": s.group} for s in samples)
        table = folder / "labels.jsonl"
        table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
        command = [
            sys.executable, "-m", "handful", "train", str(project.media), f"--labels={table}", f"--run={folder / 'run'}",
            "--json", "--quiet", *settings,
        ]  # fmt: skip
        start = time.perf_counter()
        with self._lock:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self._process, self._gave_way = process, False
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, 19)
        try:
            printed, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None
        finally:
            with self._lock:
                self._process = None
        if process.returncode:
            return None
        result = json.loads(printed)
        seconds = result["seconds"]
        growing = sum(seconds[stage] for stage in GROWING)
        # Making the backbone is done once, and was done now.
        wall = time.perf_counter() - start - seconds["export"]
        return {"each": growing / result["samples"], "rest": max(0.0, wall - growing)}


def _store() -> Store:
    return Store(cache_dir() / "rehearsals.sqlite")


def _few(samples: Sequence[Sample]) -> list[Sample]:
    """Some of each class, of different takes first."""
    by_label: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_label[sample.label].append(sample)
    chosen = []
    for rows in by_label.values():
        first: dict[str, Sample] = {}
        for sample in rows:
            first.setdefault(sample.group or sample.id, sample)
        several = [*first.values(), *rows]
        chosen += list({sample.id: sample for sample in several}.values())[:OF_EACH]
    return chosen[:MOST]
