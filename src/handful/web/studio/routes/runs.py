"""Runs: their cards, what they say of each sample, their reports and pictures, and how they compare. Knows HTTP only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import FileResponse, Response

from handful.web.studio.media import WholeFile
from handful.web.studio.routes import ProjectId, binary
from handful.web.studio.schema.projects import Done, EmbeddingMap, Named
from handful.web.studio.schema.runs import Comparison, ExplanationCard, Prediction, RunCard, RunDetail
from handful.workflow.studio import runs

if TYPE_CHECKING:
    from handful.workflow.studio import Studio

RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
PartName = Annotated[str, Path(pattern=r"^[0-9a-f]{16}\.(jpg|ogg)$")]
Lang = Annotated[Literal["en", "ru"], Query()]
Name = Annotated[str | None, Query(max_length=1000)]
# The report is one file that needs nothing else; names in it are escaped, and nothing in it may run or reach out.
REPORT_POLICY = (
    "sandbox allow-popups; default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)


def router(studio: Studio) -> APIRouter:
    """Routes below /api."""
    api = APIRouter(prefix="/api/projects/{p}", tags=["runs"])

    @api.get("/runs", response_model=list[RunCard], summary="Runs, the newest first")
    def cards(p: ProjectId) -> Any:
        return runs.cards(studio, p)

    @api.get("/runs/{r}", response_model=RunDetail)
    def detail(p: ProjectId, r: RunId, lang: Lang = "en") -> Any:
        return runs.detail(studio, p, r, lang)

    @api.patch("/runs/{r}", response_model=RunCard, summary="Give a run a name")
    def rename(p: ProjectId, r: RunId, wish: Named) -> Any:
        return runs.rename(studio, p, r, wish.name)

    @api.delete("/runs/{r}", response_model=Done, summary="Delete a run; undo brings it back")
    def delete(p: ProjectId, r: RunId) -> Any:
        return runs.delete(studio, p, r)

    @api.post("/runs/{r}/restore", response_model=Done, summary="Bring a deleted run back")
    def restore(p: ProjectId, r: RunId) -> Any:
        return runs.restore(studio, p, r)

    @api.get("/runs/{r}/predictions", response_model=list[Prediction], summary="What it said of each sample")
    def predictions(
        p: ProjectId,
        r: RunId,
        true: Name = None,
        predicted: Name = None,
        wrong: bool = False,
        sort: Literal["doubt", "confidence", "file"] = "doubt",
        limit: Annotated[int, Query(ge=1, le=20_000)] = 2000,
    ) -> Any:
        return runs.predictions(studio, p, r, true, predicted, wrong, sort, limit)

    @api.get("/runs/{r}/report", response_class=Response, summary="The report, one HTML page")
    def report(p: ProjectId, r: RunId, lang: Lang = "en") -> Response:
        html = runs.report(studio, p, r, lang)
        return Response(html, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})

    @api.get("/runs/{r}/explanations", response_model=list[ExplanationCard])
    def explanations(p: ProjectId, r: RunId, lang: Lang = "en") -> Any:
        return runs.explanations(studio, p, r, lang)

    @api.get(
        "/runs/{r}/explanations/{name}",
        response_class=FileResponse,
        responses=binary("image/jpeg", "audio/ogg"),
        summary="A picture or sound of one",
    )
    def explanation(p: ProjectId, r: RunId, name: PartName) -> FileResponse:
        return WholeFile(runs.explanation(studio, p, r, name))

    @api.get("/map", response_model=EmbeddingMap, summary="Samples as a run's embeddings place them")
    def embedding_map(p: ProjectId, run: Annotated[str | None, Query(max_length=64)] = None) -> Any:
        return runs.embedding_map(studio, p, run)

    @api.get("/comparison", response_model=Comparison, summary="Runs side by side, with ties")
    def comparison(
        p: ProjectId,
        runs_: Annotated[str, Query(alias="runs", max_length=4000, description="ids with commas; empty: all")] = "",
        lang: Lang = "en",
    ) -> Any:
        return runs.comparison(studio, p, [name for name in runs_.split(",") if name], lang)

    return api
