"""What went wrong, in one shape: application/problem+json (RFC 9457). Knows errors and status codes only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from handful.errors import FileError, HandfulError
from handful.files import to_json
from handful.words import Said, Words, load, retold, said

FAULT = said("web.fault")

_TITLES = {
    400: "Bad request", 401: "Token needed", 403: "Refused", 404: "Not found", 405: "Method not allowed", 408: "Too slow",
    409: "Not now", 413: "Too large", 415: "Unsupported media type", 421: "Unknown host", 422: "Cannot be processed", 429: "Too busy",
    500: "Internal error", 503: "Not available", 507: "No space",
}  # fmt: skip
_STATUS = {"format": 415, "too-long": 413}


class Problem(HTTPException):
    """An answer that is an error: status, one line why, and what more the document holds."""

    headers: dict[str, str]

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(status, detail, headers or {})
        self.status = status
        self.more = more


def unreadable(error: FileError, lang: str = "en") -> Problem:
    """415 for bytes that are no media of this model's kind, 422 for what is damaged. The file is not named, unless the error does."""
    named = isinstance(error.message, Said) and "file" in error.message.sentence.values
    words = retold(error.message, load(lang, "" if named else "alone"))
    return Problem(_STATUS.get(error.kind, 422), words, hint=error.hint)


def impossible(error: HandfulError) -> Problem:
    return Problem(422, error.message, hint=error.hint)


def document(problem: Problem, request_id: str, texts: Words | None = None) -> Response:
    """The response, in other words where they are given; closes the connection where the rest of a body was not read."""
    detail, more = problem.detail, {key: value for key, value in problem.more.items() if value}
    if texts is not None:
        detail, more = retold(detail, texts), more | {"hint": retold(more["hint"], texts)} if "hint" in more else more
    body = {
        "type": "about:blank", "title": _TITLES.get(problem.status, "Error"), "status": problem.status,
        "detail": detail, "request_id": request_id,
    } | more  # fmt: skip
    headers = dict(problem.headers)
    if problem.status in (408, 413):
        headers["Connection"] = "close"
    return Response(to_json(body), problem.status, headers, media_type="application/problem+json")


def answered(api: FastAPI, texts: Callable[[Request], Words] | None = None) -> None:
    """One shape for everything that goes wrong in `api`, whoever noticed it. `texts`: in which words to say it."""

    def answer(request: Request, problem: Problem) -> Response:
        return document(problem, request.scope["handful.request_id"], texts(request) if texts else None)

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(request, error)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, AnyHTTPException)
        return answer(request, Problem(error.status_code, str(error.detail), dict(error.headers or {})))

    async def left(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it, but it is counted

    async def fault(request: Request, error: Exception) -> Response:
        return answer(request, Problem(500, FAULT))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if any(row["loc"][0] == "path" for row in error.errors()):
            return answer(request, Problem(404, said("web.nothing")))
        found = "; ".join(f"{row['loc'][-1]}: {row['msg']}" for row in error.errors()[:5])
        return answer(request, Problem(422, found or said("web.unfitting")))

    api.add_exception_handler(Problem, problem)
    api.add_exception_handler(ClientDisconnect, left)
    api.add_exception_handler(Exception, fault)
    api.add_exception_handler(AnyHTTPException, http)
    api.add_exception_handler(RequestValidationError, invalid)
