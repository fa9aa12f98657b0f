"""A server on a socket: opened, said in one line, stopped without losing an answer.

On SIGTERM it is not ready first, so that whoever balances load looks elsewhere; then it takes nothing new, answers what
it began and ends. Knows sockets, signals and slow clients; nothing of routes.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from handful.errors import HandfulError, UsageError
from handful.files import shown
from handful.web.app import Application
from handful.web.guard import LOOPBACK
from handful.web.service import Limits
from handful.workflow.serve import load_models

PORT = 8000
LEAVING_S = 0.5  # not ready, but still answering
DRAIN_S = 30.0
MAX_CONNECTIONS = 1000
MIN_TOKEN = 16


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
    """uvicorn's loop with a stop in two steps."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application
        self._leave_at = float("inf")

    def handle_exit(self, sig: int, frame: Any) -> None:
        if self._leave_at < float("inf"):
            self.force_exit = sig == signal.SIGINT
            self.should_exit = True
        self.leave()

    def leave(self) -> None:
        """Not ready from now on; in a moment nothing new is taken."""
        self._application.service.ready = False
        self._leave_at = min(self._leave_at, time.monotonic() + LEAVING_S)

    async def on_tick(self, counter: int) -> bool:
        if time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)


class Server:
    """Models at `url`, `token` where one is needed. `run` stays until it is stopped; `start` and `stop` do it beside."""

    def __init__(
        self, models: Sequence[str | os.PathLike[str]], *, host: str = "127.0.0.1", port: int = PORT,
        allow_hosts: Sequence[str] = (), token: str | None = None, threads: int | None = None,
        limits: Limits | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            models: run directories, exported files or bundles, each as PATH or NAME=PATH.
            host: 127.0.0.1 for this machine only; another address or 0.0.0.0 for the network, which needs a token.
            port: 0 takes any that is free.
            allow_hosts: names under which clients reach this machine, besides `host` and its addresses.
            token: what clients send as `Authorization: Bearer TOKEN`; made where one is needed and none is given.
            threads: of each model; as many as there are cores by default.

        Raises:
            UsageError: the token is short, or there is no such address.
            RunError: there is no model at a path.
        """
        self.token = (
            token or os.environ.get("HANDFUL_TOKEN") or (None if _loopback(host) else secrets.token_urlsafe(32))
        )
        if self.token and (len(self.token) < MIN_TOKEN or not self.token.isascii()):
            raise UsageError(f"the token is shorter than {MIN_TOKEN} plain characters", "leave it away: one is made")
        self._socket = _bound(host, port)
        try:
            self._models = load_models(models, threads)
        except BaseException:
            self._socket.close()
            raise
        self.host, self.port = self._socket.getsockname()[:2]
        hosts = {*LOOPBACK, *allow_hosts} if _loopback(host) else {*LOOPBACK, host, socket.gethostname(), *allow_hosts}
        self.application = Application(self._models, limits, hosts, self.token)
        for name in ("uvicorn.error", "python_multipart"):  # what strangers send is no news
            logging.getLogger(name).setLevel(logging.ERROR)
        _Connection.head_s = self.application.service.limits.silence
        config = uvicorn.Config(
            self.application, loop="asyncio", http=_Connection, ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=15, timeout_graceful_shutdown=int(DRAIN_S),
        )  # fmt: skip
        self._loop = _Loop(config, self.application)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it can be reached from this machine, or under its name where it listens to all."""
        name = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}"

    def line(self) -> str:
        """What is said when it stands."""
        names = ", ".join(f"{m.name} ({len(m.classes)} classes of {_KINDS[m.modality]})" for m in self._models.values())
        where = "" if _loopback(self.host) else ", for everybody who can reach this machine and has the token"
        return f"serving {names} at {self.url}{where}"

    def run(self) -> None:
        """Answer until a signal or `stop` comes and everything that was begun is answered."""
        try:
            self._loop.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self.application.service.close()

    def start(self) -> Server:
        """`run` in a thread of its own; returns when it answers."""
        self._thread = threading.Thread(target=self.run, name="handful-serve", daemon=True)
        self._thread.start()
        while not self._loop.started and self._thread.is_alive():
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        """As SIGTERM does; returns when all is answered."""
        self._loop.leave()
        if self._thread:
            self._thread.join()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()


_KINDS = {"image": "pictures", "audio": "sounds"}


def serve(*models: str | os.PathLike[str], **options: Any) -> None:
    """Serve models until stopped; prints the address, and the token where one is needed. Options as of `Server`.

        handful.serve("runs/cats", port=8000)

    `Server(models, ...)` does it beside other work: `with Server(["runs/cats"], port=0) as server: server.url`.
    """
    server = Server(models, **options)
    print(shown(server.line()), flush=True)
    if server.token and not options.get("token") and not os.environ.get("HANDFUL_TOKEN"):
        print(f"token: {server.token}", flush=True)
    server.run()


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket, or the reason why there is none."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    except (OSError, OverflowError, UnicodeError) as error:
        raise UsageError(f"{shown(host)} is no address of this machine", "--host 127.0.0.1") from error
    listener = socket.socket(family, kind)
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
