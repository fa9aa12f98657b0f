"""The application: every area's routes over one studio, the pages, and the door before them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from handful import __version__
from handful.errors import BusyError, FileError, HandfulError
from handful.files import to_json
from handful.web import page
from handful.web.figures import SECONDS, Counter, Histogram
from handful.web.guard import LOOPBACK, Bounds, Guard
from handful.web.problems import Problem, answered, document, impossible, unreadable
from handful.web.studio import events
from handful.web.studio.pages import CARRIED, STATIC, Pages, problem_page
from handful.web.studio.routes import check, imports, projects, runs, samples, spoken, train, use
from handful.web.studio.schema.base import LANGUAGE
from handful.web.studio.schema.projects import MemoryStatus
from handful.web.studio.session import READ_ONLY, Sessions
from handful.words import Words, load, said
from handful.workflow.studio import Studio, collect, machine

HELD = 256_000_000  # bytes of bodies in memory
_SMALL = Bounds(body=8_000_000, silence=10.0, body_time=60.0)
_MEDIA = Bounds(body=64_000_000, silence=10.0, body_time=60.0, slowest=50_000.0)


class Books:
    """What the door counts."""

    def __init__(self) -> None:
        self.refused = Counter("handful_refused_total", "Requests that were refused, by reason.")
        self.received = Counter("handful_received_bytes_total", "Bytes of bodies that were read.")
        self.requests = Counter("handful_requests_total", "Requests answered.")
        self.seconds = Histogram("handful_request_duration_seconds", "From the first byte to the answer.", SECONDS)
        self.held = 0

    def hold(self, size: int) -> None:
        if self.held + size > HELD:
            self.refused.add(reason="memory")
            raise Problem(429, said("web.busy"), {"Retry-After": "1"})
        self.held += size

    def let_go(self, size: int) -> None:
        self.held -= size


class Application:
    """ASGI. `sessions` hands out links; `secret` lets the next `handful studio` on this home ask for one."""

    def __init__(
        self,
        studio: Studio,
        port: int,
        hosts: Iterable[str] = LOOPBACK,
        token: str | None = None,
        static: Path = STATIC,
    ) -> None:
        self.studio = studio
        self.books = Books()
        self.secret = secrets.token_urlsafe(32)
        tokens = (self.secret, *([token] if token else []))
        self.sessions = Sessions(self.books, studio.folder / "sessions.json", port, tokens, studio.read_only)
        feed = events.Feed()
        pages = Pages(static, lambda: feed.last)
        made = api(studio, pages.entry, feed)
        self._add_link(made)
        self._add_pages(made, pages)
        self._door = Guard(
            made, self.books, _bounds(studio), self.sessions.admit, hosts, CARRIED, pages="/api", shown=problem_page
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door(scope, receive, send)

    def link(self, target: str = "/") -> str:
        """Path and query that let a browser in, once."""
        return f"/?key={self.sessions.key(target)}"

    def _add_link(self, made: FastAPI) -> None:
        @made.post("/api/link", include_in_schema=False)
        async def link(wanted: Wanted, request: Request) -> dict[str, str]:
            """A new link for the next `handful studio`, which may bring a folder."""
            given = {"authorization": request.headers.getlist("authorization")}
            if not self.sessions.is_token(given, self.secret):
                raise Problem(403, said("web.no_links"))
            return {"path": self.link(await run_in_threadpool(self.target, wanted.data))}

    def target(self, data: str | None) -> str:
        """Where a browser is led: to the projects, or to the import of a folder."""
        if data is None:
            return "/"
        if self.studio.read_only:
            raise HandfulError(*READ_ONLY)
        project, bring = collect.bring_folder(self.studio, Path(data))
        return f"/p/{project}/collect?import={bring}"

    def _add_pages(self, made: FastAPI, pages: Pages) -> None:
        async def show(request: Request) -> Response:
            key = request.query_params.get("key")
            if key is not None and request.scope["path"] == "/":
                try:
                    return self.sessions.enter(request.scope, key)
                except Problem as problem:  # whoever opens a link reads a page
                    asked = {name: request.headers.getlist(name) for name in ("accept", "accept-language")}
                    return problem_page(asked, problem, request.scope["handful.request_id"])
            if request.scope["path"].startswith("/api/"):
                raise Problem(404, said("web.no_route"), hint=said("web.no_route.fix"))
            return await pages.answer(request)

        made.add_api_route("/{path:path}", show, methods=["GET"], include_in_schema=False)


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")
    data: str | None = None


def api(studio: Studio, entry: Callable[[], str | None] = lambda: None, feed: events.Feed | None = None) -> FastAPI:
    """The interface without door and pages. `entry`: address of the script with which the pages begin."""
    made = FastAPI(
        title="handful studio", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False,
        generate_unique_id_function=_id, dependencies=[Depends(_speaking)],
        description="Collect, check, train, understand, try, export and compare. Errors are application/problem+json. "
        "Requests that change something need `X-Handful: 1`; programs send `Authorization: Bearer TOKEN` instead.",
    )  # fmt: skip
    made.include_router(projects.router(studio, entry))
    for area in (samples, imports, check, train, runs, use):
        made.include_router(area.router(studio))
    made.include_router(events.router(studio, feed or events.Feed()))

    made.add_api_route(
        "/memory/status", lambda: machine.memory_status(studio), response_model=MemoryStatus, tags=["machine"],
        name="memory_status", summary="The same as /api/memory/status",
    )  # fmt: skip

    @made.get("/api/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(to_json(made.openapi()), media_type="application/json")

    @made.get("/api/docs", include_in_schema=False)
    async def docs() -> Response:
        say = '<p>Programs set HANDFUL_TOKEN before `handful studio` and send it; <a href="/api/openapi.json">openapi.json</a></p>'
        example = (
            "<pre>curl -H &quot;Authorization: Bearer $HANDFUL_TOKEN&quot; http://127.0.0.1:8420/api/projects</pre>"
        )
        html = page.plain("The studio's interface", say + example + page.routes(made.openapi()))
        return HTMLResponse(html, headers={"Content-Security-Policy": page.POLICY})

    answered(made, _texts)
    made.add_exception_handler(HandfulError, _said)
    return made


async def _speaking(request: Request) -> None:
    """The answer is in the language that is asked for. Async: what it sets must be seen by whoever makes the answer."""
    LANGUAGE.set(_texts(request).lang)


def _texts(request: Request) -> Words:
    return load(spoken(request.headers.get("accept-language", "")), "studio")


async def _said(request: Request, error: Exception) -> Response:
    assert isinstance(error, HandfulError)
    texts = _texts(request)
    return document(_problem(error, texts.lang), request.scope["handful.request_id"], texts)


def _problem(error: HandfulError, lang: str) -> Problem:
    """What the user can mend, with its own status."""
    from handful.projects import NoSpace, NotFound, Outdated, TooLarge

    for kind, status in ((NotFound, 404), (TooLarge, 413), (NoSpace, 507), (Outdated, 409), (BusyError, 409)):
        if isinstance(error, kind):
            return Problem(status, error.message, hint=error.hint)
    return unreadable(error, lang) if isinstance(error, FileError) else impossible(error)


def _bounds(studio: Studio) -> Any:
    """What is taken of a request: uploads stream to disk, everything else is small."""
    limits = studio.limits
    archive = Bounds(limits.archive_bytes, 30.0, 60.0, slowest=20_000.0, held=False)
    table = Bounds(limits.table_bytes, 30.0, 60.0, slowest=20_000.0, held=False)
    file = Bounds(limits.file_bytes, 30.0, 60.0, slowest=20_000.0, held=False)
    rules = [
        ("PUT", re.compile(r"/api/projects/[^/]+/imports/[^/]+/files"), archive),
        ("PUT", re.compile(r"/api/projects/[^/]+/imports/[^/]+/table"), table),
        ("PUT", re.compile(r"/api/projects/[^/]+/takes/[^/]+/samples"), file),
        ("POST", re.compile(r"/api/projects/archive"), archive),
        ("POST", re.compile(r"/api/projects/[^/]+/(preview|runs/[^/]+/predict)"), _MEDIA),
    ]

    def bounds(scope: Scope) -> Bounds:
        method, path = scope["method"], scope["path"]
        return next((most for verb, known, most in rules if verb == method and known.fullmatch(path)), _SMALL)

    return bounds


def _id(route: APIRoute) -> str:
    return f"{route.tags[0] if route.tags else 'studio'}_{route.name}"
