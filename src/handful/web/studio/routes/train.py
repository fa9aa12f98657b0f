"""Training: the recipe's form, what the button would do, and the queue of jobs. Knows HTTP; the use cases know the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query

from handful.web.studio.routes import ProjectId, Spoken, spoken
from handful.web.studio.schema.base import Modality
from handful.web.studio.schema.jobs import (
    Augmented,
    Job,
    LogPart,
    ModelCard,
    NewJob,
    Plan,
    PlanRequest,
    Preset,
    RecipeForm,
    Series,
)
from handful.workflow.studio import planning, training
from handful.workflow.studio.rehearsing import Rehearsals

if TYPE_CHECKING:
    from handful.workflow.studio import Studio

JobId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Lang = Annotated[Literal["en", "ru"], Query()]
OfKind = Annotated[Modality | None, Query()]
After = Annotated[int, Query(ge=0, le=2**53, description="`next` of the part before")]


def router(studio: Studio) -> APIRouter:
    """Routes below /api."""
    api = APIRouter(prefix="/api", tags=["train"])
    rehearsals = Rehearsals(studio)

    @api.get("/recipe", response_model=RecipeForm, summary="Every setting, with type, default, bounds and help")
    def recipe(accept_language: Spoken = "en") -> Any:
        return training.form(spoken(accept_language))

    @api.get("/presets", response_model=list[Preset], summary="Named sets of settings")
    def presets(modality: OfKind = None, accept_language: Spoken = "en") -> Any:
        return training.presets(modality, spoken(accept_language))

    @api.get("/models", response_model=list[ModelCard], summary="The catalogue")
    def models(modality: OfKind = None) -> Any:
        return training.models(modality)

    @api.post("/projects/{p}/plan", response_model=Plan, summary="What training would do, and how long it takes")
    def plan(p: ProjectId, wish: PlanRequest, lang: Lang = "en") -> Any:
        return planning.plan(studio, rehearsals, p, wish.settings, wish.preset, lang)

    @api.get("/projects/{p}/augmentation", response_model=Augmented, summary="A sample as training would change it")
    def augmentation(
        p: ProjectId,
        sample: Annotated[str | None, Query(max_length=64)] = None,
        n: Annotated[int, Query(ge=1, le=16)] = 4,
    ) -> Any:
        return training.augmentation(studio, p, sample, n)

    @api.post("/projects/{p}/jobs", response_model=Job, status_code=201, summary="Queue a job")
    def create(p: ProjectId, wish: NewJob) -> Any:
        return training.submit(studio, p, wish, planning.foreseen(studio, rehearsals, p, wish))

    @api.get("/jobs", response_model=list[Job], summary="Jobs, in the order in which they were submitted")
    def jobs(project: Annotated[str | None, Query(max_length=64)] = None) -> Any:
        return training.jobs(studio, project)

    @api.get("/jobs/{j}", response_model=Job)
    def job(j: JobId) -> Any:
        return training.job(studio, j)

    @api.post("/jobs/{j}/pause", response_model=Job, summary="Save and stop for now")
    def pause(j: JobId) -> Any:
        return training.pause(studio, j)

    @api.post("/jobs/{j}/resume", response_model=Job, summary="Go on where it was stopped")
    def resume(j: JobId) -> Any:
        return training.resume(studio, j)

    @api.post("/jobs/{j}/stop", response_model=Job)
    def stop(j: JobId) -> Any:
        return training.stop(studio, j)

    @api.delete("/jobs/{j}", status_code=204, summary="Forget a job that is over; its run stays")
    def delete(j: JobId) -> None:
        training.delete(studio, j)

    @api.get("/jobs/{j}/log", response_model=LogPart, summary="What the worker said")
    def log(j: JobId, after: After = 0) -> Any:
        return training.log(studio, j, after)

    @api.get("/jobs/{j}/series", response_model=Series, summary="Points of the live curves")
    def series(j: JobId, after: After = 0) -> Any:
        return training.series(studio, j, after)

    return api
