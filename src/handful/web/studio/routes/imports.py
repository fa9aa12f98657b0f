"""Bringing files in: imports with a preview before anything happens, and takes of microphone and camera."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from handful.web.studio.media import received
from handful.web.studio.routes import BYTES, ImportId, ProjectId
from handful.web.studio.schema.projects import Done, ImportChoice, ImportPreview, NewTake, Received, Recorded, Take
from handful.workflow.studio import Studio, importing

FilePath = Annotated[str, Query(min_length=1, max_length=4096, description="path of the file in the folder dropped")]


def router(studio: Studio) -> APIRouter:
    routes = APIRouter(prefix="/api", tags=["imports"])
    at = "/projects/{p}/imports"

    @routes.post(at, response_model=ImportPreview, summary="Begin an import")
    def begin_import(p: ProjectId) -> object:
        return importing.begin(studio, p)

    @routes.get(at + "/{i}", response_model=ImportPreview, summary="What an import would do")
    def preview_import(
        p: ProjectId, i: ImportId,
        table: Annotated[str | None, Query(max_length=4096, description="labels table to use instead of folders")] = None,
        file_column: Annotated[str | None, Query(max_length=1000)] = None,
        label_column: Annotated[str | None, Query(max_length=1000)] = None,
    ) -> object:  # fmt: skip
        return importing.preview(studio, p, i, table, file_column, label_column)

    @routes.delete(at + "/{i}", status_code=204, summary="Forget an import")
    def cancel_import(p: ProjectId, i: ImportId) -> None:
        importing.cancel(studio, p, i)

    @routes.put(at + "/{i}/files", response_model=Received, openapi_extra=BYTES,
                summary="Send one file; of a zip archive, the files in it are taken")  # fmt: skip
    async def send_file(p: ProjectId, i: ImportId, path: FilePath, request: Request) -> object:
        async with received(request, studio.upload_folder(), studio.limits.archive_bytes, empty=True) as upload:
            return await run_in_threadpool(importing.add_file, studio, p, i, path, upload)

    @routes.put(at + "/{i}/table", response_model=ImportPreview, openapi_extra=BYTES,
                summary="Send a labels table (CSV, TSV) for the files of the import")  # fmt: skip
    async def send_table(
        p: ProjectId, i: ImportId, request: Request,
        path: Annotated[str, Query(min_length=1, max_length=4096)] = "labels.csv",
    ) -> object:  # fmt: skip
        async with received(request, studio.upload_folder(), studio.limits.table_bytes) as upload:
            return await run_in_threadpool(importing.add_table, studio, p, i, path, upload)

    @routes.post(at + "/{i}/confirm", response_model=Done, summary="Do it, with these choices")
    def confirm_import(p: ProjectId, i: ImportId, choice: ImportChoice) -> object:
        return importing.confirm(studio, p, i, choice.model_dump())

    @routes.post("/projects/{p}/takes", response_model=Take, summary="Begin a take: its samples belong together")
    def begin_take(p: ProjectId, new: NewTake) -> object:
        return importing.begin_take(studio, p, new.label, new.source, new.device)

    @routes.put("/projects/{p}/takes/{t}/samples", response_model=Recorded, openapi_extra=BYTES,
                summary="Add a WAV, JPEG or PNG to a take; a long WAV is cut into clips")  # fmt: skip
    async def add_to_take(
        p: ProjectId, t: ImportId, request: Request,
        seconds: Annotated[float | None, Query(ge=0.1, le=60, description="length of a clip")] = None,
    ) -> object:  # fmt: skip
        async with received(request, studio.upload_folder(), studio.limits.file_bytes) as upload:
            return await run_in_threadpool(importing.add_to_take, studio, p, t, upload, seconds)

    return routes
