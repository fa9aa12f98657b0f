"""The studio: projects, their index and the queue of jobs, held together for as long as a server lives.

`Studio` holds and tells; what can be done with it are functions of the modules beside, one module an area:
`collect`, `checking`, `training`, `runs`, `using`, `pictures`. Knows no HTTP.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import HandfulError
from handful.files import cache_dir, data_dir
from handful.words import both, reason

if TYPE_CHECKING:
    from handful.files import Store as Cache
    from handful.jobs import Job, Queue
    from handful.projects import Project, Projects
    from handful.store import Store
    from handful.workflow.studio.drawing import Ahead
    from handful.workflow.studio.indexing import Index

Listener = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Limits:
    """How much is taken in at once, in bytes."""

    file_bytes: int = 500_000_000
    archive_bytes: int = 20_000_000_000
    table_bytes: int = 50_000_000


class Studio:
    """Everything below one folder: `projects/`, `studio.sqlite` (the index, can be deleted), `uploads/` (on their way in).

    Use `project(id)` to open one. Jobs go on when it is closed; the next studio on the same folder finds them.
    """

    projects: Projects
    queue: Queue
    store: Store

    def __init__(
        self, folder: Path | None = None, database: str | None = None, read_only: bool = False,
        limits: Limits | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            folder: the user's data folder when None.
            database: "postgresql://..." or "sqlite:///..." for the index; HANDFUL_DATABASE_URL, or a file in `folder`.
            read_only: nothing is changed; whoever asks for a change is refused before it comes here.

        Raises:
            BusyError: another studio holds the folder.
            HandfulError: the folder cannot be written, or the database cannot be reached.
        """
        from handful.data.media import sniff
        from handful.jobs import Queue
        from handful.projects import Projects
        from handful.store import Store
        from handful.workflow.studio.indexing import Index, source
        from handful.workflow.studio.pictures import describe

        self.folder = folder or data_dir()
        self.read_only = read_only
        self.limits = limits or Limits()
        self._listeners: list[Listener] = []
        self._closers: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._cache: Cache | None = None
        self._ahead: Ahead | None = None
        self._index: Index | None = None
        root = self.folder / "projects"
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HandfulError(*both("job.home_closed", folder=str(self.folder), reason=reason(error))) from error
        with contextlib.ExitStack() as undo:
            self.projects = Projects(root, kind_of=sniff, describe=describe, changed=self._changed, write=not read_only)
            undo.callback(self.projects.close)
            url = database or os.environ.get("HANDFUL_DATABASE_URL") or str(self.folder / "studio.sqlite")
            self.store = Store(url, lambda: source(self))
            undo.callback(self.store.close)
            self.queue = Queue(root, on_change=self._job_changed)
            undo.callback(self.queue.close)
            self._index = Index(self)
            undo.pop_all()
        self._forget_uploads()

    # -- what is there -------------------------------------------------------------------------------------------------

    def project(self, project: str) -> Project:
        """Raises NotFound."""
        return self.projects.open(project)

    def settled(self) -> Store:
        """The index with every change in it."""
        if self._index is not None:
            self._index.settle()
        return self.store

    def best(self, project: str) -> dict[str, Any]:
        """{"runs": how many, "score": of the best one or None}"""
        return {"runs": 0, "score": None} if self._index is None else self._index.best(project)

    def cache(self) -> Cache:
        """Drawn pictures by content; can be deleted at any time."""
        from handful.files import Store as Cache

        with self._lock:
            if self._cache is None:
                self._cache = Cache(cache_dir() / "studio-pictures.sqlite")
            return self._cache

    def draw_ahead(self, project: str) -> None:
        """Thumbnails of what came, before they are asked for."""
        from handful.workflow.studio.drawing import Ahead

        with self._lock:
            if self._ahead is None:
                self._ahead = Ahead(self)
                self._closers.append(self._ahead.close)
        self._ahead.draw(project)

    def upload_folder(self) -> Path:
        """On the disk of the projects, so that what arrived is moved, not copied."""
        folder = self.folder / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def project_gone(self, project: str) -> None:
        """A project was deleted."""
        if self._index is not None:
            self._index.project_changed(project)
        self.publish("project", {"id": project, "revision": 0})

    def runs_changed(self, project: str) -> None:
        """A run was renamed, deleted or has come."""
        if self._index is not None:
            self._index.runs_changed(project)

    # -- what happens --------------------------------------------------------------------------------------------------

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """`listener(kind, data)` is called from any thread, quickly, until the function returned is called.

        kind "job": data has the keys of the wire shape Job. "project": {"id", "revision"}. "bye": {}, the studio closes.
        """
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(kind, data)

    def leave(self) -> None:
        """Tell all listeners that the studio closes."""
        self.publish("bye", {})

    def when_closed(self, call: Callable[[], None]) -> None:
        """`call` lets go of what somebody else holds for as long as the studio is open."""
        self._closers.append(call)

    def close(self) -> None:
        """Let go of everything; running jobs go on."""
        for call in self._closers:
            call()
        if self._index is not None:
            self._index.close()
        self.queue.close()
        self.projects.close()
        self.store.close()
        if self._cache is not None:
            self._cache.close()

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _changed(self, project: Project) -> None:
        if self._index is not None:
            self._index.project_changed(project.id)
        self.publish("project", {"id": project.id, "revision": project.revision})

    def _job_changed(self, job: Job) -> None:
        from handful.workflow.studio.training import shape

        if self._index is not None:
            self._index.job_changed(job)
        self.publish("job", shape(job))

    def _forget_uploads(self) -> None:
        """What was on its way when the last studio ended."""
        for path in self.upload_folder().glob(".upload-*"):
            path.unlink(missing_ok=True)
