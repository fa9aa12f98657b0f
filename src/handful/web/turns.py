"""Who begins when many ask at once: a few in each round of the event loop, so that a health check waits for few of them.

Knows requests by their path only. What begins takes most of a millisecond of routing; two hundred in one round would be
all that the loop does for a quarter of a second on a busy machine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Container

from starlette.types import ASGIApp, Receive, Scope, Send

MOST = 4  # requests that begin in one round


class Turns:
    """ASGI middleware. Requests begin in the order in which they came; those for a path in `first` at once."""

    def __init__(self, app: ASGIApp, first: Container[str], most: int = MOST) -> None:
        self._app = app
        self._first = first
        self._most = most
        self._left = most  # less than `most` only while `_round` is to come
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._first:
            await self._turn()
        await self._app(scope, receive, send)

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        if self._left == self._most:
            loop.call_soon(self._round)
        if self._left:
            self._left -= 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _round(self) -> None:
        self._left = self._most
        while self._waiting and self._left:
            turn = self._waiting.popleft()
            if not turn.done():  # who left meanwhile takes nobody's turn
                turn.set_result(None)
                self._left -= 1
        if self._left < self._most:
            asyncio.get_running_loop().call_soon(self._round)
