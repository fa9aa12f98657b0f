"""The door every request passes before any route: who may ask, how much, how slowly; and what every answer carries.

Checks the Host against names fixed at the start (DNS rebinding), the Origin (other pages), then whoever `admit`s; counts
and times bodies while they are read; gives each request its id. Knows nothing of models or projects. There is no CORS:
no other page may ask.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handful.web.figures import Counter, Histogram
from handful.web.problems import FAULT, Problem, document
from handful.words import said

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})  # answered without a token: they say nothing but yes or no
MAX_FAILURES, FAILURE_S = 10, 60.0  # wrong tokens of one address
_SECURITY = [
    (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"), (b"x-frame-options", b"DENY"),
]  # fmt: skip
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]/@\s]+)(?::\d{1,5})?")


Headers = dict[str, list[str]]  # by name in small letters


@dataclass(frozen=True)
class Bounds:
    """What is taken of one request.

    Args:
        body: bytes.
        silence: seconds until the next part of a body.
        body_time: seconds for a whole body, besides those that `slowest` gives.
        slowest: bytes a second that are always fast enough; 0: however fast, a body has `body_time`.
        held: it is in memory while it is worked on; not so what streams to disk.
    """

    body: int
    silence: float
    body_time: float
    slowest: float = 0.0
    held: bool = True


class Books(Protocol):
    """Where a door counts, and how much of bodies may be in memory at once (`hold` raises Problem)."""

    refused: Counter
    received: Counter
    requests: Counter
    seconds: Histogram

    def hold(self, size: int) -> None: ...
    def let_go(self, size: int) -> None: ...


@dataclass
class _Request:
    """What is known of one request while it passes."""

    id: str
    began: float = field(default_factory=time.perf_counter)
    status: int = 0
    read: int = 0
    held: int = 0
    complete: bool = False


class Failures:
    """Wrong tokens by address: after ten in a minute that address waits."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    def check(self, client: str, counts: bool) -> None:
        """One more failure of `client`. Raises Problem 429 when there were too many."""
        now = time.monotonic()
        recent = [then for then in self._times.get(client, []) if now - then < FAILURE_S]
        if len(self._times) > 10_000:
            self._times.clear()
        if len(recent) >= MAX_FAILURES:
            raise Problem(429, said("web.tokens"), {"Retry-After": str(int(FAILURE_S))})
        if counts:
            self._times[client] = [*recent, now]


def bearer(headers: Headers) -> str | None:
    """The token of `Authorization: Bearer TOKEN`; None where there is none, or more than one."""
    given = headers.get("authorization", [])
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else None


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing."""
    return hmac.compare_digest(given.encode("latin-1", "replace"), wanted.encode("latin-1", "replace"))


class Tokens:
    """Admits who knows the token, if there is one."""

    def __init__(self, books: Books, token: str | None) -> None:
        self._books, self._token, self._failures = books, token, Failures()

    def __call__(self, scope: Scope, headers: Headers) -> None:
        """Raises Problem 401 or 429."""
        if not self._token or scope["path"] in OPEN or same(bearer(headers) or "", self._token):
            return
        self._books.refused.add(reason="token")
        self._failures.check((scope.get("client") or ("",))[0], counts=any(headers.get("authorization", [])))
        raise Problem(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})


class Guard:
    """ASGI middleware, the outermost."""

    def __init__(
        self, app: ASGIApp, books: Books, bounds: Callable[[Scope], Bounds], admit: Callable[[Scope, Headers], None],
        hosts: Iterable[str] = LOOPBACK, carried: Iterable[tuple[bytes, bytes]] = (), pages: str = "", send_time: float = 60.0,
        shown: Callable[[Headers, Problem, str], Response] | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            bounds: what is taken of a request.
            admit: raises Problem where the client may not ask this.
            hosts: names that may stand in Host, besides the address that was reached.
            carried: headers of every answer that has none of that name, besides those of all.
            pages: a link elsewhere may lead to what is not below this path; "": there are no pages to come to.
            send_time: seconds for a client to take a part of an answer.
            shown: makes an answer of a problem, for the headers of a request and its id; a problem document by default.
        """
        self._app = app
        self._books = books
        self._bounds = bounds
        self._admit = admit
        self._hosts = frozenset(name.lower().strip("[]") for name in hosts)
        self._carried = [*_SECURITY, *carried]
        self._pages = pages
        self._send_time = send_time
        self._shown = shown or (lambda headers, problem, request_id: document(problem, request_id))

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
            bounds = self._bounds(scope)
            self._sized(headers, bounds)
            await self._app(scope, self._reader(request, receive, bounds), answering)
        except Problem as problem:
            if not request.status:
                await self._shown(headers, problem, request.id)(scope, receive, answering)
        except Exception as error:  # a fault of ours: said to the operator, not to the client
            if isinstance(error, TimeoutError) and request.status:
                return  # the client does not read what it asked for
            print(
                f"handful: request {request.id} failed ({type(error).__name__}: {error})", file=sys.stderr, flush=True
            )
            if not request.status:
                await document(Problem(500, FAULT), request.id)(scope, receive, answering)
        finally:
            self._books.let_go(request.held)
            self._count(scope, request)

    def _allowed(self, scope: Scope, headers: Headers) -> None:
        """Raises Problem 421, 403 or what `admit` raises."""
        host = headers.get("host", [])
        if len(host) != 1 or not scope["raw_path"].startswith(b"/") or not self._known(host[0], scope):
            raise self._refused("host", 421, said("web.host"))
        origin = headers.get("origin", [])
        if origin and origin != [f"{scope['scheme']}://{host[0]}"]:
            raise self._refused("origin", 403, said("web.origin"))
        if headers.get("sec-fetch-site", ["none"])[0] not in ("none", "same-origin") and not self._led_here(
            scope, headers
        ):
            raise self._refused("origin", 403, said("web.origin"))
        self._admit(scope, headers)

    def _led_here(self, scope: Scope, headers: Headers) -> bool:
        """Whether somebody followed a link to a page: nothing of it can be read by the page where the link stood."""
        whole = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == (["navigate"], ["document"])
        return bool(self._pages) and whole and scope["method"] == "GET" and not scope["path"].startswith(self._pages)

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

    def _sized(self, headers: Headers, bounds: Bounds) -> None:
        """Raises Problem before a body is read that says itself that it is too large, or is packed."""
        length = headers.get("content-length", ["0"])[0]
        if length.isdigit() and (len(length) > 18 or int(length) > bounds.body):
            raise self._large(bounds)
        if headers.get("content-encoding", ["identity"])[0].lower() != "identity":
            raise Problem(415, said("web.packed"))

    def _large(self, bounds: Bounds) -> Problem:
        return self._refused(
            "size",
            413,
            said("web.sent_large", most=round(bounds.body / 1e6))
            if bounds.body >= 1_000_000
            else said("web.sent_large_bytes", most=bounds.body),
        )

    def _refused(self, reason: str, status: int, words: str) -> Problem:
        self._books.refused.add(reason=reason)
        return Problem(status, words)

    def _reader(self, request: _Request, receive: Receive, bounds: Bounds) -> Receive:
        """`receive`, counted and timed."""

        async def read() -> Message:
            if request.complete:  # all was read: what comes is that the client left
                return await receive()
            time_given = bounds.body_time + (request.read / bounds.slowest if bounds.slowest else 0.0)
            left = time_given - (time.perf_counter() - request.began)
            try:
                async with asyncio.timeout(min(bounds.silence, max(left, 0.0))):
                    message = await receive()
            except TimeoutError:
                raise self._refused("slow", 408, said("web.slow")) from None
            size = len(message.get("body", b""))
            request.read += size
            if request.read > bounds.body:
                raise self._large(bounds)
            if bounds.held:
                self._books.hold(size)
                request.held += size
            self._books.received.add(size)
            request.complete = not message.get("more_body", False)
            return message

        return read

    def _sender(self, request: _Request, send: Send) -> Send:
        """`send` with the headers of every answer, given up when the client does not read."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
                own: list[tuple[bytes, bytes]] = [(b"x-request-id", request.id.encode()), *self._carried]
                given = {name.lower() for name, _ in message.get("headers", [])}
                message["headers"] = [*message.get("headers", []), *((n, v) for n, v in own if n not in given)]
            async with asyncio.timeout(self._send_time):
                await send(message)

        return answer

    def _count(self, scope: Scope, request: _Request) -> None:
        route: str = getattr(scope.get("route"), "path", "other")
        self._books.requests.add(route=route, status=str(request.status or 499))
        self._books.seconds.add(time.perf_counter() - request.began, route=route)


def _headers(scope: Scope) -> Headers:
    found: Headers = {}
    pairs: Any = scope["headers"]
    for name, value in pairs:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found
