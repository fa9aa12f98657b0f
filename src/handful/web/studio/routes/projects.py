"""The machine, the projects on it, their classes, undo and the archive of a whole project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from handful.web.studio.media import attachment, received
from handful.web.studio.routes import BYTES, ProjectId, binary
from handful.web.studio.schema.projects import (
    About,
    Done,
    MemoryStatus,
    Merged,
    Named,
    NewProject,
    Project,
    ProjectCard,
    ProjectName,
    Renamed,
    SampleProject,
    Trash,
)
from handful.workflow.studio import Studio, collect, machine

ActionId = Annotated[
    str | None,
    Query(pattern=r"^([0-9]{1,15}|run-[A-Za-z0-9_-]{1,64})$", description="the change that is meant; 409 when it is not the last"),
]  # fmt: skip


def router(studio: Studio, entry: Callable[[], str | None]) -> APIRouter:
    """Routes below /api. `entry`: see `Pages`."""
    routes = APIRouter(prefix="/api", tags=["projects"])

    @routes.get("/about", response_model=About, summary="What this installation can do")
    def about() -> object:
        return machine.about(studio) | {"pages": entry()}

    @routes.get("/memory/status", response_model=MemoryStatus, summary="Memory, disk and jobs of this machine")
    def memory_status() -> object:
        return machine.memory_status(studio)

    @routes.get("/projects", response_model=list[ProjectCard], summary="All projects, the last changed first")
    def projects() -> object:
        return collect.cards(studio)

    @routes.post("/projects", response_model=Project, summary="A new, empty project")
    def create_project(new: NewProject) -> object:
        return collect.create(studio, new.name, new.modality)

    @routes.post("/projects/sample", response_model=Project, summary="A project with data that handful makes itself")
    def create_sample_project(new: SampleProject) -> object:
        return collect.create_sample(studio, new.kind)

    @routes.get("/projects/{p}", response_model=Project, summary="A project")
    def project(p: ProjectId) -> object:
        return collect.project(studio, p)

    @routes.patch("/projects/{p}", response_model=Project, summary="Give a project another name")
    def rename_project(p: ProjectId, new: ProjectName) -> object:
        return collect.rename(studio, p, new.name)

    @routes.delete("/projects/{p}", status_code=204, summary="Delete a project; its files are kept for 30 days")
    def delete_project(p: ProjectId) -> None:
        collect.delete(studio, p)

    @routes.post("/projects/{p}/recover", response_model=Project, summary="Bring back a project that was deleted")
    def recover_project(p: ProjectId) -> object:
        return collect.recover(studio, p)

    @routes.post("/projects/{p}/undo", response_model=Done, summary="Take the last change back")
    def undo(p: ProjectId, action: ActionId = None) -> object:
        return collect.undo(studio, p, action)

    @routes.post("/projects/{p}/redo", response_model=Done, summary="Make the change again that was taken back last")
    def redo(p: ProjectId, action: Annotated[str | None, Query(pattern="^[0-9]{1,15}$")] = None) -> object:
        return collect.redo(studio, p, action)

    @routes.get(
        "/projects/{p}/trash", response_model=Trash, summary="How much was deleted and can still be brought back"
    )
    def trash(p: ProjectId) -> object:
        return collect.trash(studio, p)

    @routes.delete("/projects/{p}/trash", response_model=Done, summary="Empty the trash; nothing can be undone then")
    def empty_trash(p: ProjectId) -> object:
        return collect.empty_trash(studio, p)

    _classes(routes, studio)
    _archive(routes, studio)
    return routes


def _classes(routes: APIRouter, studio: Studio) -> None:
    @routes.post("/projects/{p}/classes", response_model=Done, summary="A new class")
    def add_class(p: ProjectId, new: Named) -> object:
        return collect.add_class(studio, p, new.name)

    @routes.post("/projects/{p}/classes/rename", response_model=Done, summary="Give a class another name")
    def rename_class(p: ProjectId, wanted: Renamed) -> object:
        return collect.rename_class(studio, p, wanted.name, wanted.to)

    @routes.post("/projects/{p}/classes/merge", response_model=Done, summary="Make one class of several")
    def merge_classes(p: ProjectId, wanted: Merged) -> object:
        return collect.merge_classes(studio, p, wanted.names, wanted.to)

    @routes.post("/projects/{p}/classes/delete", response_model=Done, summary="Delete a class with its samples")
    def delete_class(p: ProjectId, named: Named) -> object:
        return collect.delete_class(studio, p, named.name)


def _archive(routes: APIRouter, studio: Studio) -> None:
    @routes.get("/projects/{p}/archive", responses=binary("application/zip"), response_class=Response,
                summary="The whole project as one file")  # fmt: skip
    def archive(p: ProjectId) -> Response:
        path, name = collect.archive(studio, p)
        return attachment(path, name, "application/zip", temporary=True)

    @routes.post("/projects/archive", response_model=Project, openapi_extra=BYTES, summary="A project from such a file")
    async def import_archive(
        request: Request,
        name: Annotated[str, Query(max_length=1000, description="what the user calls the file")] = "the file",
    ) -> object:
        async with received(request, studio.upload_folder(), studio.limits.archive_bytes) as upload:
            return await run_in_threadpool(collect.import_archive, studio, upload, name)
