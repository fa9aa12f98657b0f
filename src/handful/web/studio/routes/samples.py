"""Samples of a project: lists, changes, and what of them can be seen and heard."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from handful.files import to_json
from handful.web.studio.media import Drawing, attachment
from handful.web.studio.routes import ProjectId, SampleId, binary
from handful.web.studio.schema.projects import Chosen, Divided, Done, Grouped, Moved, SamplePage, Wave
from handful.workflow.studio import Studio, collect, pictures

_PICTURE = binary("image/jpeg", "image/png")


def router(studio: Studio) -> APIRouter:
    routes = APIRouter(prefix="/api", tags=["samples"])

    @routes.get("/projects/{p}/samples", response_model=SamplePage, summary="Samples, a page at a time")
    def samples(
        p: ProjectId,
        label: Annotated[str | None, Query(max_length=200, description="only of this class")] = None,
        query: Annotated[str, Query(max_length=200, description="part of a name, class or take")] = "",
        ids: Annotated[str | None, Query(max_length=20_000, description="only these, with commas")] = None,
        split: Annotated[
            Literal["train", "validation", "test"] | None,
            Query(description="only what is used so; train: all that is not kept"),
        ] = None,
        sort: Literal["added", "name", "doubt"] = "added",
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> Response:
        chosen = None if ids is None else [i for i in ids.split(",") if i]
        found = collect.page(studio, p, label, query, chosen, split, sort, offset, limit)
        return Response(to_json(found), media_type="application/json")  # 1,000 rows: already of the right shape

    @routes.post("/projects/{p}/samples/move", response_model=Done, summary="Put samples into another class")
    def move_samples(p: ProjectId, wanted: Moved) -> object:
        return collect.move(studio, p, wanted.ids, wanted.label)

    @routes.post("/projects/{p}/samples/delete", response_model=Done, summary="Delete samples; undo brings them back")
    def delete_samples(p: ProjectId, chosen: Chosen) -> object:
        return collect.delete_samples(studio, p, chosen.ids)

    @routes.post("/projects/{p}/samples/group", response_model=Done, summary="Say which samples come from one take")
    def group_samples(p: ProjectId, wanted: Grouped) -> object:
        return collect.group(studio, p, wanted.ids, wanted.group)

    @routes.post("/projects/{p}/samples/split", response_model=Done, summary="Say what samples are used for")
    def split_samples(p: ProjectId, wanted: Divided) -> object:
        return collect.split(studio, p, wanted.ids, wanted.split)

    _media(routes, studio)
    return routes


def _media(routes: APIRouter, studio: Studio) -> None:
    at = "/projects/{p}/samples/{s}"
    drawing = Drawing()
    studio.when_closed(drawing.close)

    @routes.get("/projects/{p}/thumbs", response_model=dict[str, str],
                summary="Those thumbnails that are drawn already, by sample, as data: URLs")  # fmt: skip
    def thumbs(p: ProjectId, ids: Annotated[str, Query(max_length=2000, description="with commas")]) -> Response:
        return Response(to_json(pictures.drawn(studio, p, ids.split(","))), media_type="application/json")

    @routes.get(at + "/thumb", responses=_PICTURE, response_class=Response, summary="A picture of at most 192 pixels")
    async def thumb(p: ProjectId, s: SampleId, request: Request) -> Response:
        return await drawing.unchanging(request, f"thumb-{pictures.VERSION}-{s}", lambda: pictures.thumb(studio, p, s))

    @routes.get(at + "/preview", responses=binary("image/jpeg", "audio/wav"), response_class=Response,
                summary="A picture of at most 1024 pixels, or the sound as 16-bit WAV")  # fmt: skip
    async def preview(p: ProjectId, s: SampleId, request: Request) -> Response:
        return await drawing.unchanging(
            request, f"preview-{pictures.VERSION}-{s}", lambda: pictures.preview(studio, p, s)
        )

    @routes.get(at + "/spectrogram", responses=binary("image/png"), response_class=Response,
                summary="A sound's mel spectrogram; X-Low-Hz, X-High-Hz and X-Seconds tell its axes")  # fmt: skip
    async def spectrogram(p: ProjectId, s: SampleId, request: Request) -> Response:
        return await drawing.unchanging(
            request, f"spectrogram-{pictures.VERSION}-{s}", lambda: pictures.spectrogram(studio, p, s)
        )

    @routes.get(at + "/wave", response_model=Wave, summary="The outline of a sound")
    def wave(p: ProjectId, s: SampleId) -> object:
        return pictures.wave(studio, p, s)

    @routes.get(at + "/file", responses=binary("application/octet-stream"), response_class=Response,
                summary="The file as it was added")  # fmt: skip
    def file(p: ProjectId, s: SampleId) -> Response:
        path, name = collect.file(studio, p, s)
        return attachment(path, name, "application/octet-stream")
