"""Keeps the index in step with projects, runs and jobs, and makes it again where it is missing or behind.

The folders are the truth: what cannot be written into the index is tried again later and never stops anybody's work.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from handful.errors import HandfulError
from handful.workflow.studio import checking

if TYPE_CHECKING:
    from handful.jobs import Job
    from handful.projects import Project, Sample
    from handful.workflow.studio import Studio

DELAY_S = 0.3  # several changes in a row are written once
RETRY_S = 5.0
SAME_S = 0.5  # between a change and the last file that was written of it
_OVER = ("stopped", "interrupted", "failed", "done")


class Index:
    """Writes what changed from a thread of its own; `settle` does it at once."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._lock = threading.Lock()  # of what waits
        self._writing = threading.Lock()
        self._projects: set[str] = set()
        self._runs: set[str] = set()
        self._jobs: dict[str, Job] = {}
        self._looks: dict[str, Job] = {}  # that found something which is to be kept
        self._states: dict[str, str] = {}
        self._known: dict[str, dict[str, Sample]] = {}
        self._best: dict[str, dict[str, Any]] = {}  # {"runs", "score"} by project, as the index had it last
        self._woken = threading.Event()
        self._closed = False
        self._behind()
        self._thread = threading.Thread(target=self._work, name="handful-index", daemon=True)
        self._thread.start()

    def project_changed(self, project: str) -> None:
        self._wait(projects={project})

    def runs_changed(self, project: str) -> None:
        self._wait(runs={project})

    def job_changed(self, job: Job) -> None:
        """Only a new state is worth writing; memory and progress change every second."""
        if self._states.get(job.id) == job.state:
            return
        self._states[job.id] = job.state
        with self._lock:
            self._jobs[job.id] = job
            if job.kind == checking.KIND and job.state == "done":
                self._looks[job.id] = job
        self._wait(runs={job.project} if job.state in _OVER and job.run else set())

    def best(self, project: str) -> dict[str, Any]:
        """{"runs": how many, "score": of the best}; from memory, so that a list never waits for the database."""
        return self._best.get(project, {"runs": 0, "score": None})

    def settle(self) -> None:
        """Write what waits, now. What cannot be written stays waiting."""
        with self._writing:
            with self._lock:
                projects, runs, jobs = self._projects, self._runs, self._jobs
                looks, self._looks = list(self._looks.values()), {}
                self._projects, self._runs, self._jobs = set(), set(), {}
            for job in looks:
                with contextlib.suppress(HandfulError):  # the project is gone, or the disk is full
                    checking.keep(self._studio, job)
            from handful.workflow.studio import training

            try:
                for project in list(projects):
                    self._put_project(project)
                    projects.discard(project)
                for project in list(runs):
                    self._put_runs(project)
                    runs.discard(project)
                for job in list(jobs.values()):
                    self._studio.store.put_job(training.shape(job))
                    jobs.pop(job.id)
            finally:
                with self._lock:
                    self._projects |= projects
                    self._runs |= runs
                    self._jobs = jobs | self._jobs

    def close(self) -> None:
        self._closed = True
        self._woken.set()
        self._thread.join(timeout=10)

    # -- from here on: how ---------------------------------------------------------------------------------------------

    def _wait(self, projects: set[str] = frozenset(), runs: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        with self._lock:
            self._projects |= projects
            self._runs |= runs
        self._woken.set()

    def _work(self) -> None:
        failed = False
        while True:
            self._woken.wait(RETRY_S if failed else None)
            if not self._closed:
                threading.Event().wait(DELAY_S)
            self._woken.clear()
            try:
                self.settle()
                failed = False
            except Exception:  # the disk is full, the database away: the folders hold the truth, so it can wait
                failed = True
            if self._closed:
                return

    def _behind(self) -> None:
        """Find out which projects the index does not know, knows wrongly, or knows although they are gone."""
        known = {row["id"]: row for row in self._studio.store.projects()}
        there = self._studio.projects.list()
        for row in there:
            indexed = known.pop(row.id, None)
            if indexed is not None:
                self._best[row.id] = {"runs": indexed["runs"], "score": indexed["score"]}
            same = indexed is not None and len(indexed["classes"]) == row.classes and indexed["samples"] == row.samples
            if indexed is None or not same or abs(indexed["updated"] - row.updated) > SAME_S:
                self._projects.add(row.id)
            older = indexed is not None and "chance" not in (indexed["score"] or {"chance": None})
            if indexed is None or older or indexed.get("runs") != self._run_count(row.id):
                self._runs.add(row.id)
        for gone in known:
            self._studio.store.delete_project(gone)
        self._jobs = {job.id: job for job in self._studio.queue.list()}
        self._looks = {i: job for i, job in self._jobs.items() if (job.kind, job.state) == (checking.KIND, "done")}
        self._states = {job.id: job.state for job in self._jobs.values()}
        self._woken.set()

    def _run_count(self, project: str) -> int:
        return sum(1 for _ in (self._studio.folder / "projects" / project / "runs").glob("*/run.json"))

    def _put_project(self, project: str) -> None:
        from handful.projects import NotFound

        try:
            opened = self._studio.project(project)
        except NotFound:
            self._known.pop(project, None)
            self._studio.store.delete_project(project)
            return
        except HandfulError:  # made by a newer release, or damaged: its card says so
            return
        now = {sample.id: sample for sample in opened.samples}
        before = self._known.get(project)
        row = project_row(opened)
        if before is None:
            self._studio.store.put_project(row, map(sample_row, now.values()))
        else:
            changed = [sample for key, sample in now.items() if before.get(key) is not sample]
            gone = [key for key in before if key not in now]
            if list(before) == [key for key in now if key in before] and len(changed) + len(gone) < len(now) // 2:
                self._studio.store.change_samples(project, map(sample_row, changed), gone)
                self._studio.store.put_project(row)
            else:
                self._studio.store.put_project(row, map(sample_row, now.values()))
        self._known[project] = now

    def _put_runs(self, project: str) -> None:
        from handful.projects import NotFound
        from handful.workflow.studio import runs

        try:
            opened = self._studio.project(project)
            self._studio.store.put_runs(project, runs.cards(self._studio, project))
        except NotFound:
            return
        if (row := self._studio.store.project(project)) is not None:
            self._best[project] = {"runs": row["runs"], "score": row["score"]}
            self._studio.publish("project", {"id": project, "revision": opened.revision})


def source(studio: Studio) -> Iterator[tuple[dict[str, Any], Iterator[dict[str, Any]], list[dict[str, Any]]]]:
    """Everything that the index holds, read from the folders: (project, samples, runs)."""
    from handful.workflow.studio import runs

    for row in studio.projects.list():
        with contextlib.suppress(HandfulError):  # damaged, or of a newer release
            opened = studio.project(row.id)
            yield project_row(opened), map(sample_row, opened.samples), runs.cards(studio, row.id)


def project_row(project: Project) -> dict[str, Any]:
    return {
        "id": project.id, "name": project.name, "modality": project.modality, "created": project.created,
        "updated": project.updated, "revision": project.revision, "classes": [c.name for c in project.classes],
    }  # fmt: skip


def sample_row(sample: Sample) -> dict[str, Any]:
    """A sample in the shape of the wire, without flags."""
    return {
        "id": sample.id, "name": sample.name, "label": sample.label, "group": sample.group, "bytes": sample.bytes,
        "added": sample.added, "width": sample.width, "height": sample.height, "seconds": sample.seconds,
        "rate_hz": sample.rate_hz, "split": sample.split,
    }  # fmt: skip
