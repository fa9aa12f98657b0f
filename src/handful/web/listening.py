"""A socket, and a server on it: opened, stopped without losing an answer.

On SIGTERM it is not ready first; then it takes nothing new, answers what it began and ends. Knows sockets, signals and
slow clients; nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from handful.errors import HandfulError, UsageError
from handful.files import shown
from handful.web.guard import LOOPBACK

MAX_CONNECTIONS = 1000
MIN_TOKEN = 16
_CUT_S = 2.0  # for what is cut off to end


class _Connection(H11Protocol):
    """One connection; closed when a head does not come in time, or when there are too many."""

    head_s = 10.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect()
        if len(self.connections) > MAX_CONNECTIONS:
            transport.close()

    def on_response_complete(self) -> None:
        self._clock.cancel()
        self._expect()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clock.cancel()
        super().connection_lost(exc)

    def _expect(self) -> None:
        self._clock = self.loop.call_later(self.head_s, self._late)

    def _late(self) -> None:
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()


class _Loop(uvicorn.Server):
    """uvicorn's loop with a stop in two steps, and an end of what does not end by itself."""

    def __init__(self, config: uvicorn.Config, leaving: Callable[[], None], notice: float, drain: float) -> None:
        super().__init__(config)
        self._leaving = leaving
        self._notice = notice
        self._drain = drain
        self._leave_at = float("inf")

    def handle_exit(self, sig: int, frame: Any) -> None:
        if self._leave_at < float("inf"):
            self.force_exit = sig == signal.SIGINT
            self.should_exit = True
        self.leave()

    def leave(self) -> None:
        """Not ready from now on; after the notice nothing new is taken."""
        self._leaving()
        self._leave_at = min(self._leave_at, time.monotonic() + self._notice)

    async def on_tick(self, counter: int) -> bool:
        if time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what was begun, as long as there is time; what is cut off then is counted in one line."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(super().shutdown(sockets), self._drain)
        late = set(self.server_state.tasks)
        if not late:
            return
        log = logging.getLogger("uvicorn.error")
        level = log.level
        log.setLevel(logging.CRITICAL + 1)  # each answer that is cut off would be a traceback
        for task in late:
            task.cancel()
        await asyncio.wait(late, timeout=_CUT_S)
        log.setLevel(level)
        number = "1 answer was" if len(late) == 1 else f"{len(late)} answers were"
        when = "at once" if self.force_exit else f"after {self._drain:.0f} s"
        print(f"handful: stopped {when}: {number} cut off", file=sys.stderr, flush=True)


class Listener:
    """An application on a socket. `run` stays until it is stopped; `start` and `stop` do it beside."""

    def __init__(
        self, listener: socket.socket, application: Any, *, silence: float, drain: float, leaving: Callable[[], None],
        closed: Callable[[], None], notice: float = 0.0, log_level: int = logging.ERROR,
    ) -> None:  # fmt: skip
        """
        Args:
            silence: seconds until the next part of a head.
            drain: seconds for what was begun when it stops.
            leaving: called when it begins to stop, from a signal handler or another thread.
            closed: called when all is answered.
            notice: seconds in which it is not ready, but takes what comes: for whoever balances load to look elsewhere.
            log_level: of what uvicorn says; what strangers send is no news.
        """
        self._socket = listener
        self._closed = closed
        for name in ("uvicorn.error", "python_multipart"):
            logging.getLogger(name).setLevel(log_level)
        connection = type("Connection", (_Connection,), {"head_s": silence})
        config = uvicorn.Config(
            application, loop="asyncio", http=connection, ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=15,
        )  # fmt: skip
        self._loop = _Loop(config, leaving, notice, drain)
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Answer until a signal or `stop` comes and everything that was begun is answered.

        Meanwhile the garbage collector looks at nothing that stands by now: each look at all of it kept every answer waiting,
        for up to 150 ms.
        """
        gc.collect()
        gc.freeze()
        try:
            self._run()
        finally:
            gc.unfreeze()

    def _run(self) -> None:
        try:
            self._loop.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self._closed()

    def abandon(self) -> None:
        """Close what was never run."""
        self._socket.close()
        self._closed()

    def start(self) -> None:
        """Answer in a thread of its own, beside a program whose garbage is its own; returns when it answers."""
        self._thread = threading.Thread(target=self._run, name="handful-serve", daemon=True)
        self._thread.start()
        while not self._loop.started and self._thread.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        """As SIGTERM does; returns when all is answered."""
        self._loop.leave()
        if self._thread:
            self._thread.join()


def token_for(token: str | None, needed: bool) -> str | None:
    """`token`, or HANDFUL_TOKEN, or a new one where one is `needed`. Raises UsageError when it is too short."""
    found = token or os.environ.get("HANDFUL_TOKEN") or (secrets.token_urlsafe(32) if needed else None)
    if found and (len(found) < MIN_TOKEN or not found.isascii()):
        raise UsageError(f"the token is shorter than {MIN_TOKEN} plain characters", "leave it away: one is made")
    return found


def names(host: str, more: Iterable[str]) -> set[str]:
    """What may stand in Host for a server that listens on `host`."""
    return {*LOOPBACK, *more} if loopback(host) else {*LOOPBACK, host, socket.gethostname(), *more}


def address(host: str, port: int) -> str:
    """Where it can be reached from this machine, or under its name where it listens to all."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def bound(host: str, port: int) -> socket.socket:
    """A listening socket, or the reason why there is none."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    except (OSError, OverflowError, UnicodeError) as error:
        raise UsageError(f"{shown(host)} is no address of this machine", "--host 127.0.0.1") from error
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it each answer waits 40 ms.
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise HandfulError(f"port {port} is taken by another program", "--port 0 takes any that is free") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError(f"{shown(host)} is no address of this machine", "--host 127.0.0.1") from error
        raise HandfulError(
            f"port {port} cannot be opened ({error.strerror})", "--port 0 takes any that is free"
        ) from error
    return listener
