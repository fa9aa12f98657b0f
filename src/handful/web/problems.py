"""What went wrong, in one shape: application/problem+json (RFC 9457). Knows errors and status codes only."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from handful.errors import FileError, HandfulError
from handful.files import to_json

_TITLES = {
    400: "Bad request", 401: "Token needed", 403: "Refused", 404: "Not found", 405: "Method not allowed", 408: "Too slow",
    413: "Too large", 415: "Unsupported media type", 421: "Unknown host", 422: "Cannot be processed", 429: "Too busy",
    500: "Internal error", 503: "Not available",
}  # fmt: skip
_STATUS = {"format": 415, "too-long": 413}


class Problem(Exception):
    """An answer that is an error: status, one line why, and what more the document holds."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.more = more


def unreadable(error: FileError) -> Problem:
    """415 for bytes that are no media of this model's kind, 422 for what is damaged."""
    words = error.message if error.message.startswith("the ") else f"the file {error.message}"
    return Problem(_STATUS.get(error.kind, 422), words, hint=error.hint)


def impossible(error: HandfulError) -> Problem:
    return Problem(422, error.message, hint=error.hint)


def document(problem: Problem, request_id: str) -> Response:
    """The response; closes the connection where the rest of a body was not read."""
    body = {
        "type": "about:blank", "title": _TITLES.get(problem.status, "Error"), "status": problem.status,
        "detail": problem.detail, "request_id": request_id,
    } | {key: value for key, value in problem.more.items() if value}  # fmt: skip
    headers = dict(problem.headers)
    if problem.status in (408, 413):
        headers["Connection"] = "close"
    return Response(to_json(body), problem.status, headers, media_type="application/problem+json")
