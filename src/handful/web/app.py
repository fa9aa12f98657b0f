"""The application: routes over a service, behind the door. Made from models alone, so that a test makes it in one line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from handful import __version__
from handful.files import to_json
from handful.web import files, inference_protocol
from handful.web.figures import CONTENT_TYPE, exposition
from handful.web.guard import LOOPBACK, OPEN, Bounds, Guard, Tokens
from handful.web.page import POLICY, page
from handful.web.problems import answered
from handful.web.service import Limits, Service
from handful.web.turns import Turns
from handful.workflow.serve import ServedModel

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("application/octet-stream", "image/*", "audio/*")
        }
        | {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            }
        },
    }
}  # fmt: skip


class Application:
    """ASGI. `service` is what it holds; `api` answers, behind the door."""

    def __init__(
        self, models: dict[str, ServedModel], limits: Limits | None = None, hosts: Iterable[str] = LOOPBACK,
        token: str | None = None,
    ) -> None:  # fmt: skip
        self.service = Service(models, limits or Limits())
        self.api = _api(self.service, bool(token))
        most = self.service.limits
        bounds = Bounds(most.body, most.silence, most.body_time)
        self._door = Guard(
            Turns(self.api, OPEN), self.service, lambda scope: bounds, Tokens(self.service, token), hosts,
            send_time=most.body_time,
        )  # fmt: skip

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._door(scope, receive, send)


def _api(service: Service, token: bool) -> FastAPI:
    api = FastAPI(
        title="handful", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False,
        description="Predictions of files by trained models. Errors are application/problem+json.",
    )  # fmt: skip

    @api.post("/predict", summary="Predict a file (its bytes), or the files of a form", openapi_extra=_BODY)
    async def predict(request: Request, model: Annotated[str | None, Query(max_length=64)] = None) -> Response:
        return await files.predict(service, request, model)

    @api.get("/models", summary="The models: classes, versions, how good they were found to be")
    async def models() -> Response:
        return Response(to_json(service.about()), media_type="application/json")

    api.include_router(inference_protocol.router(service))

    @api.get("/metrics", summary="Counts and times for Prometheus")
    async def metrics() -> Response:
        return PlainTextResponse(exposition(service.figures), media_type=CONTENT_TYPE)

    @api.get("/openapi.json", summary="This interface for programs", include_in_schema=False)
    async def openapi() -> Response:
        return Response(to_json(api.openapi()), media_type="application/json")

    async def docs(request: Request) -> Response:
        html = page(api.openapi(), service.about(), f"{request.url.scheme}://{request.headers['host']}", token)
        return HTMLResponse(html, headers={"Content-Security-Policy": POLICY})

    for path in ("/", "/docs"):
        api.add_api_route(path, docs, methods=["GET"], include_in_schema=False)
    answered(api)
    return api
