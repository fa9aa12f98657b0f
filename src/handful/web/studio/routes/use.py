"""Using a run: try it on a file, export it, download what was exported. Knows HTTP; bodies are bounded while they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from handful.web.problems import Problem
from handful.web.studio.media import attachment
from handful.web.studio.routes import BYTES, ProjectId, Spoken, binary, spoken
from handful.web.studio.routes.runs import RunId
from handful.web.studio.schema.runs import Answer, ExportCard, Format
from handful.words import said
from handful.workflow.studio import pictures, using

if TYPE_CHECKING:
    from handful.workflow.studio import Studio

MAX_BYTES = 64_000_000
FileName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


def router(studio: Studio) -> APIRouter:
    """Routes below /api."""
    api = APIRouter(prefix="/api", tags=["use"])
    models = using.Models()
    studio.when_closed(models.close)

    @api.post(
        "/projects/{p}/runs/{r}/predict",
        response_model=Answer,
        summary="What the run says of a file (the body is its bytes)",
        openapi_extra=BYTES,
    )
    async def predict(p: ProjectId, r: RunId, request: Request) -> Any:
        content = await bounded(request, MAX_BYTES)
        return await run_in_threadpool(using.predict, studio, models, p, r, content)

    @api.post(
        "/projects/{p}/preview",
        response_class=Response,
        responses=binary("image/jpeg", "audio/wav"),
        summary="A file as a picture or sound that every browser shows (the body is its bytes)",
        openapi_extra=BYTES,
    )
    async def preview(p: ProjectId, request: Request) -> Response:
        content = await bounded(request, MAX_BYTES)
        drawn, kind, headers = await run_in_threadpool(pictures.preview_of, studio, p, content)
        return Response(drawn, headers=headers, media_type=kind)

    @api.get("/formats", response_model=list[Format], summary="Export formats, and what each would need")
    def formats(accept_language: Spoken = "en") -> Any:
        return using.formats(spoken(accept_language))

    @api.get("/projects/{p}/runs/{r}/exports", response_model=list[ExportCard])
    def exports(p: ProjectId, r: RunId) -> Any:
        return using.exports(studio, p, r)

    @api.get(
        "/projects/{p}/runs/{r}/exports/{name}",
        response_class=Response,
        responses=binary("application/octet-stream", "application/zip"),
        summary="An exported file; a folder comes as zip",
    )
    def download(p: ProjectId, r: RunId, name: FileName) -> Response:
        found = using.download(studio, p, r, name)
        return attachment(found.path, found.name, found.kind)

    return api


async def bounded(request: Request, most: int) -> bytes:
    """The body; refused as soon as it says or shows that it is larger than `most` bytes."""
    claimed = request.headers.get("content-length", "")
    parts, size = [], 0
    if claimed.isdigit() and int(claimed) > most:
        raise Problem(413, said("web.large", most=most // 1_000_000), hint=said("web.large_media.fix"))
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise Problem(413, said("web.large", most=most // 1_000_000), hint=said("web.large_media.fix"))
        parts.append(part)
    if not size:
        raise Problem(400, said("web.empty"), hint=said("web.empty.fix"))
    return b"".join(parts)
