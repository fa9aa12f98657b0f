"""Models on a socket: the address is said in one line, the token where one is needed. Knows nothing of routes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from handful.files import shown
from handful.web.app import Application
from handful.web.listening import Listener, address, bound, loopback, names, token_for
from handful.web.service import Limits
from handful.workflow.serve import load_models

PORT = 8000
NOTICE_S = 0.5
DRAIN_S = 30.0


class Server:
    """Models at `url`, `token` where one is needed. `run` stays until it is stopped; `start` and `stop` do it beside."""

    def __init__(
        self, models: Sequence[str | os.PathLike[str]], *, host: str = "127.0.0.1", port: int = PORT,
        allow_hosts: Sequence[str] = (), token: str | None = None, threads: int | None = None, device: str = "auto",
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
            device: cpu, cuda, or auto: the GPU where onnxruntime-gpu is installed and finds one.

        Raises:
            UsageError: the token is short, or there is no such address or device.
            RunError: there is no model at a path.
        """
        self.token = token_for(token, needed=not loopback(host))
        self._socket = bound(host, port)
        try:
            self._models = load_models(models, threads, device)
        except BaseException:
            self._socket.close()
            raise
        self.host, self.port = self._socket.getsockname()[:2]
        self.application = Application(self._models, limits, names(host, allow_hosts), self.token)
        self._service = self.application.service
        self._listener = Listener(
            self._socket, self.application, silence=self._service.limits.silence, drain=DRAIN_S, leaving=self._leave,
            closed=self._service.close, notice=NOTICE_S,
        )  # fmt: skip

    @property
    def url(self) -> str:
        """Where it can be reached from this machine, or under its name where it listens to all."""
        return address(self.host, self.port)

    def line(self) -> str:
        """What is said when it stands."""
        names = ", ".join(f"{m.name} ({len(m.classes)} classes of {_KINDS[m.modality]})" for m in self._models.values())
        where = "" if loopback(self.host) else ", for everybody who can reach this machine and has the token"
        return f"serving {names} at {self.url}{where}"

    def run(self) -> None:
        """Answer until a signal or `stop` comes and everything that was begun is answered."""
        self._listener.run()

    def start(self) -> Server:
        """`run` in a thread of its own; returns when it answers."""
        self._listener.start()
        return self

    def stop(self) -> None:
        """As SIGTERM does; returns when all is answered."""
        self._listener.stop()

    def _leave(self) -> None:
        self._service.ready = False

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
