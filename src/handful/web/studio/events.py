"""Server-sent events: what happens to jobs and projects, numbered, so that a page that was away can go on where it was.

`event: job` carries a Job, `event: project` {id, revision}, `event: hello` {id}: the page does not say where it was, or has
missed more than is kept, and asks for everything again. A page that is sent carries the number at which it begins. Knows HTTP and the studio's `subscribe`; knows nothing of what the events mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from handful.files import to_json

if TYPE_CHECKING:
    from handful.workflow.studio import Studio

KEPT = 1000  # events that a page can have missed
HEARTBEAT_S = 15.0  # proxies and browsers take a longer silence for death
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Feed:
    """The last events, numbered upwards, and who waits for more. `put` and `close` may be called from any thread.

    Numbers begin at the clock's milliseconds: those of a server that was there before are below, and are not resumed.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._lock = threading.Lock()
        self._events: deque[tuple[int, str]] = deque(maxlen=kept)
        self._last = time.time_ns() // 1_000_000
        self._closed = False
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @property
    def last(self) -> int:
        return self._last

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, kind: str, data: Any) -> None:
        with self._lock:
            self._last += 1
            self._events.append((self._last, f"id: {self._last}\nevent: {kind}\ndata: {to_json(data)}\n\n"))
        self._wake()

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        self._wake()

    def since(self, number: int) -> list[tuple[int, str]] | None:
        """(number, text) of the events after `number`; None where some of them are no longer kept, or it is none of ours."""
        with self._lock:
            oldest = self._events[0][0] if self._events else self._last + 1
            if not oldest - 1 <= number <= self._last:
                return None
            return [event for event in self._events if event[0] > number]

    @contextlib.contextmanager
    def listening(self) -> Any:
        """An asyncio.Event of this loop that is set whenever there is something new."""
        woken = asyncio.Event()
        with self._lock:
            self._waiting[woken] = asyncio.get_running_loop()
        try:
            yield woken
        finally:
            with self._lock:
                self._waiting.pop(woken, None)

    def _wake(self) -> None:
        with self._lock:
            waiting = list(self._waiting.items())
        for woken, loop in waiting:
            with contextlib.suppress(RuntimeError):  # its loop ended
                loop.call_soon_threadsafe(woken.set)


def router(studio: Studio, feed: Feed) -> APIRouter:
    """GET /api/events; whatever happens in the studio is put into `feed`."""
    api = APIRouter(prefix="/api", tags=["events"])

    def happened(kind: str, data: dict[str, Any]) -> None:
        if kind == "bye":
            feed.close()
        else:
            feed.put(kind, data)

    studio.subscribe(happened)

    @api.get(
        "/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "job, project and hello events"}},
        summary="What happens, as server-sent events; resumes after `Last-Event-ID` or `after`",
    )
    async def events(
        last_event_id: Annotated[str | None, Header(max_length=40)] = None,
        after: Annotated[str | None, Query(max_length=40)] = None,
    ) -> StreamingResponse:
        # A browser that reconnects asks the same address again: what its header says is newer.
        return StreamingResponse(
            _stream(feed, last_event_id or after), media_type="text/event-stream", headers=_HEADERS
        )

    return api


async def _stream(feed: Feed, after: str | None) -> AsyncIterator[str]:
    number = int(after) if after and after.isascii() and after.isdigit() else -1
    yield "retry: 1000\n\n"
    with feed.listening() as woken:
        while not feed.closed:
            woken.clear()
            found = feed.since(number)
            if found is None:
                number = feed.last
                yield f"id: {number}\nevent: hello\ndata: {to_json({'id': number})}\n\n"
                continue
            for number, text in found:  # noqa: B007  the last one is where to go on
                yield text
            try:
                await asyncio.wait_for(woken.wait(), HEARTBEAT_S)
            except TimeoutError:
                yield ": still here\n\n"
