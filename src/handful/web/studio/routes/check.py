"""What the data doctor found, and its one-click fixes. A new look is a job of the kind `check`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from handful.web.studio.routes import ProjectId, Spoken, spoken
from handful.web.studio.schema.projects import Done, Findings
from handful.workflow.studio import Studio, checking

FindingId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def router(studio: Studio) -> APIRouter:
    routes = APIRouter(prefix="/api", tags=["check"])

    @routes.get("/projects/{p}/findings", response_model=Findings, summary="What was found at the last look")
    def findings(p: ProjectId, accept_language: Spoken = "en") -> object:
        return checking.findings(studio, p, spoken(accept_language))

    @routes.post(
        "/projects/{p}/findings/{f}/fix", response_model=Done, summary="Apply a finding's fix; undo takes it back"
    )
    def fix_finding(p: ProjectId, f: FindingId) -> object:
        return checking.fix(studio, p, f)

    return routes
