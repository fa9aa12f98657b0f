"""The door every request passes before any route: who may ask, how much, how slowly; and what every answer carries.

Checks the Host against names fixed at the start (DNS rebinding), the Origin (other pages), the token; counts and times
bodies while they are read; gives each request its id. Knows nothing of models. There is no CORS: no other page may ask.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
import sys
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handful.web.problems import Problem, document
from handful.web.service import Service

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})  # answered without a token: they say nothing but yes or no
FAULT = "something went wrong that should not"
MAX_FAILURES, FAILURE_S = 10, 60.0  # wrong tokens of one address
_SECURITY = [
    (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"), (b"x-frame-options", b"DENY"),
]  # fmt: skip
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]/@\s]+)(?::\d{1,5})?")


@dataclass
class _Request:
    """What is known of one request while it passes."""

    id: str
    began: float = field(default_factory=time.perf_counter)
    status: int = 0
    read: int = 0
    held: int = 0
    complete: bool = False


class Guard:
    """ASGI middleware, the outermost. `hosts`: names that may stand in Host, besides the address that was reached."""

    def __init__(
        self, app: ASGIApp, service: Service, hosts: Iterable[str] = LOOPBACK, token: str | None = None
    ) -> None:
        self._app = app
        self._service = service
        self._hosts = frozenset(name.lower().strip("[]") for name in hosts)
        self._token = token.encode() if token else None
        self._failures: dict[str, list[float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no sockets to open
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = _headers(scope)
        asked = headers.get("x-request-id", [""])[0]
        request = _Request(asked if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", asked) else uuid.uuid4().hex)
        scope["handful.request_id"] = request.id
        answering = self._sender(request, send)
        try:
            self._allowed(scope, headers)
            self._sized(headers)
            await self._app(scope, self._reader(request, receive), answering)
        except Problem as problem:
            if not request.status:
                await document(problem, request.id)(scope, receive, answering)
        except Exception as error:  # a fault of ours: said to the operator, not to the client
            print(
                f"handful: request {request.id} failed ({type(error).__name__}: {error})", file=sys.stderr, flush=True
            )
            if not request.status:
                await document(Problem(500, FAULT), request.id)(scope, receive, answering)
        finally:
            self._service.let_go(request.held)
            self._count(scope, request)

    def _allowed(self, scope: Scope, headers: dict[str, list[str]]) -> None:
        """Raises Problem 421, 403, 401 or 429."""
        host = headers.get("host", [])
        if len(host) != 1 or not scope["raw_path"].startswith(b"/") or not self._known(host[0], scope):
            raise self._refused("host", 421, "this server does not answer to that name")
        origin = headers.get("origin", [])
        if origin and origin != [f"{scope['scheme']}://{host[0]}"]:
            raise self._refused("origin", 403, "requests from other pages are refused")
        if headers.get("sec-fetch-site", ["none"])[0] not in ("none", "same-origin"):
            raise self._refused("origin", 403, "requests from other pages are refused")
        if self._token and scope["path"] not in OPEN:
            self._signed(headers, (scope.get("client") or ("",))[0])

    def _known(self, host: str, scope: Scope) -> bool:
        match = _HOST.fullmatch(host)
        if not match:
            return False
        name = match[1].strip("[]").lower()
        if name in self._hosts:
            return True
        try:  # an address cannot be rebound: it is the one that was reached, or it is not
            return ipaddress.ip_address(name) == ipaddress.ip_address((scope.get("server") or ("",))[0])
        except ValueError:
            return False

    def _signed(self, headers: dict[str, list[str]], client: str) -> None:
        given = headers.get("authorization", [""])
        scheme, _, token = given[0].partition(" ")
        known = hmac.compare_digest(token.strip().encode("latin-1", "replace"), self._token or b"")
        if len(given) == 1 and scheme.lower() == "bearer" and known:
            return
        now = time.monotonic()
        recent = [then for then in self._failures.get(client, []) if now - then < FAILURE_S]
        if len(self._failures) > 10_000:
            self._failures.clear()
        if len(recent) >= MAX_FAILURES:
            self._service.refused.add(reason="token")
            raise Problem(429, "too many wrong tokens", {"Retry-After": str(int(FAILURE_S))})
        if any(given):
            self._failures[client] = [*recent, now]
        self._service.refused.add(reason="token")
        raise Problem(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})

    def _sized(self, headers: dict[str, list[str]]) -> None:
        """Raises Problem before a body is read that says itself that it is too large, or is packed."""
        length = headers.get("content-length", ["0"])[0]
        if length.isdigit() and (len(length) > 18 or int(length) > self._service.limits.body):
            raise self._large()
        if headers.get("content-encoding", ["identity"])[0].lower() != "identity":
            raise Problem(415, "packed bodies are not read: send it without Content-Encoding")

    def _large(self) -> Problem:
        return self._refused("size", 413, f"the body is larger than {self._service.limits.body:,} bytes")

    def _refused(self, reason: str, status: int, words: str) -> Problem:
        self._service.refused.add(reason=reason)
        return Problem(status, words)

    def _reader(self, request: _Request, receive: Receive) -> Receive:
        """`receive`, counted and timed."""
        limits = self._service.limits

        async def read() -> Message:
            if request.complete:  # all was read: what comes is that the client left
                return await receive()
            left = limits.body_time - (time.perf_counter() - request.began)
            try:
                async with asyncio.timeout(min(limits.silence, max(left, 0.0))):
                    message = await receive()
            except TimeoutError:
                raise self._refused("slow", 408, "the body came too slowly") from None
            size = len(message.get("body", b""))
            request.read += size
            if request.read > limits.body:
                raise self._large()
            self._service.hold(size)
            request.held += size
            self._service.received.add(size)
            request.complete = not message.get("more_body", False)
            return message

        return read

    def _sender(self, request: _Request, send: Send) -> Send:
        """`send` with the headers of every answer, given up when the client does not read."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
                own: list[tuple[bytes, bytes]] = [(b"x-request-id", request.id.encode()), *_SECURITY]
                given = {name.lower() for name, _ in message.get("headers", [])}
                message["headers"] = [*message.get("headers", []), *((n, v) for n, v in own if n not in given)]
            async with asyncio.timeout(self._service.limits.body_time):
                await send(message)

        return answer

    def _count(self, scope: Scope, request: _Request) -> None:
        route: str = getattr(scope.get("route"), "path", "other")
        self._service.requests.add(route=route, status=str(request.status or 499))
        self._service.seconds.add(time.perf_counter() - request.began, route=route)


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    pairs: Any = scope["headers"]
    for name, value in pairs:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found
