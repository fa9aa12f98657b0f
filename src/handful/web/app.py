"""The application: routes over a service, behind the door. Made from models alone, so that a test makes it in one line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import FastAPI, Query
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from handful import __version__
from handful.files import to_json
from handful.web import files, inference_protocol
from handful.web.figures import CONTENT_TYPE, exposition
from handful.web.guard import FAULT, LOOPBACK, Guard
from handful.web.page import POLICY, page
from handful.web.problems import Problem, document
from handful.web.service import Limits, Service
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
        self._door = Guard(self.api, self.service, hosts, token)

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
    _errors(api)
    return api


def _errors(api: FastAPI) -> None:
    """One shape for everything that goes wrong, whoever noticed it."""
    from fastapi.exceptions import RequestValidationError

    def said(request: Request, problem: Problem) -> Response:
        return document(problem, request.scope["handful.request_id"])

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return said(request, error)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return said(request, Problem(error.status_code, str(error.detail), dict(error.headers or {})))

    async def left(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it, but it is counted

    async def fault(request: Request, error: Exception) -> Response:
        return said(request, Problem(500, FAULT))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = "; ".join(f"{row['loc'][-1]}: {row['msg']}" for row in error.errors()[:5])
        return said(request, Problem(422, found or "the request does not fit"))

    api.add_exception_handler(Problem, problem)
    api.add_exception_handler(ClientDisconnect, left)
    api.add_exception_handler(Exception, fault)
    api.add_exception_handler(HTTPException, http)
    api.add_exception_handler(RequestValidationError, invalid)
