"""The studio on a socket: one for each home, opened by a link that works once; a second start opens the first.

Knows sockets, the file that tells where the running studio is, and the browser; nothing of routes.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from handful.errors import BusyError, HandfulError
from handful.files import data_dir, shown, to_json
from handful.web.listening import Listener, address, bound, loopback, names, token_for
from handful.web.studio.app import Application
from handful.words import both
from handful.workflow.studio import Limits, Studio

PORT, PORTS = 8420, 20  # the first that is tried, and how many after it
DRAIN_S = 3.0
RUNNING = "running.json"
WAIT_S = 10.0  # for a studio that begins at this moment
ASK_S = 600.0  # for one that takes a folder in
_EXPOSED = (
    "everybody who can reach this machine and has the link or the token can see and change all projects, and the connection "
    "is not encrypted"
)


class StudioServer:
    """A studio at `url`. `run` stays until it is stopped; `start` and `stop` do it beside. Jobs go on when it stops."""

    def __init__(
        self, *, folder: Path | None = None, host: str = "127.0.0.1", port: int | None = None, database: str | None = None,
        read_only: bool = False, allow_hosts: Sequence[str] = (), token: str | None = None, limits: Limits | None = None,
        static: Path | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            folder: holds projects and index; the user's data folder when None.
            port: 0 takes any that is free; None the first free one from 8420 on.
            token: what programs send; made where the network can reach the studio and none is given.

        Raises:
            BusyError: another studio holds the folder, see `link_of_running`.
        """
        self.token = token_for(token, needed=not loopback(host))
        self.studio = Studio(folder, database, read_only, limits)
        try:
            self._socket = _first_free(host) if port is None else bound(host, port)
        except BaseException:
            self.studio.close()
            raise
        self.host, self.port = self._socket.getsockname()[:2]
        more = {"static": static} if static else {}
        self.application = Application(self.studio, self.port, names(host, allow_hosts), self.token, **more)
        self._listener = Listener(
            self._socket, self.application, silence=10.0, drain=DRAIN_S, leaving=self.studio.leave, closed=self._closed,
            log_level=logging.CRITICAL,
        )  # fmt: skip
        self._file = self.studio.folder / RUNNING
        self._note()

    @property
    def url(self) -> str:
        return address(self.host, self.port)

    def link(self, data: Path | None = None) -> str:
        """An address that lets one browser in; with `data` it leads to the import of that folder."""
        return self.url + self.application.link(self.application.target(str(data.absolute()) if data else None))

    def run(self) -> None:
        """Answer until a signal or `stop` comes."""
        self._listener.run()

    def start(self) -> StudioServer:
        """`run` in a thread of its own; returns when it answers."""
        self._listener.start()
        return self

    def stop(self) -> None:
        self._listener.stop()

    def __enter__(self) -> StudioServer:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _note(self) -> None:
        """Tell the next `handful studio` where this one is; only its user can read it."""
        here = address(self.host if loopback(self.host) else "127.0.0.1", self.port)
        said = {"url": self.url, "ask": here, "secret": self.application.secret, "pid": os.getpid()}
        descriptor = os.open(self._file.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(to_json(said))
        os.replace(self._file.with_suffix(".new"), self._file)
        self.studio.queue.note(self.url)

    def _closed(self) -> None:
        self._file.unlink(missing_ok=True)
        self.studio.close()


def _first_free(host: str) -> socket.socket:
    for port in range(PORT, PORT + PORTS):
        try:
            return bound(host, port)
        except HandfulError as error:
            if "is taken" not in error.message:
                raise
    return bound(host, 0)


def link_of_running(folder: Path, data: Path | None = None) -> str:
    """A link into the studio that holds `folder`, which may begin at this moment.

    Raises:
        BusyError: something holds the folder, but does not answer.
        HandfulError: it does not take `data`.
    """
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            known = json.loads((folder / RUNNING).read_text(encoding="utf-8"))
            return str(known["url"]) + _asked(known, data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if time.monotonic() > deadline:
                raise BusyError(*both("web.studio_silent", folder=str(folder))) from error
            time.sleep(0.2)


def _asked(known: dict[str, str], data: Path | None) -> str:
    wanted = to_json({"data": str(data.absolute()) if data else None}).encode()
    head = {"Authorization": f"Bearer {known['secret']}", "Content-Type": "application/json"}
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with ask.open(urllib.request.Request(known["ask"] + "/api/link", wanted, head), timeout=ASK_S) as answer:
            return str(json.loads(answer.read())["path"])
    except urllib.error.HTTPError as error:
        said = json.loads(error.read())
        raise HandfulError(str(said["detail"]), str(said.get("hint", ""))) from error


def studio(
    data: Path | None = None, *, host: str = "127.0.0.1", port: int | None = None, browser: bool = True,
    read_only: bool = False, database: str | None = None, allow_hosts: Sequence[str] = (),
) -> None:  # fmt: skip
    """Open the studio in the browser, and stay until stopped; where one runs already, open that."""
    try:
        server = StudioServer(host=host, port=port, database=database, read_only=read_only, allow_hosts=allow_hosts)
    except BusyError:
        _opened(link_of_running(data_dir(), data), browser, "opens once")
        return
    if data:
        print(f"reading {shown(str(data))}", file=sys.stderr, flush=True)
    try:
        link = server.link(data)
    except BaseException:
        server._listener.abandon()
        raise
    if not loopback(server.host):
        print(f"token: {server.token}", flush=True)
        print(_EXPOSED, file=sys.stderr, flush=True)
    _opened(link, browser, "opens once, and `handful studio` in another terminal prints a new link; Ctrl-C stops")
    server.run()
    print(
        "stopped; trainings that were begun go on, and `handful studio` shows them again", file=sys.stderr, flush=True
    )


def _opened(link: str, browser: bool, about: str) -> None:
    """The link is all that goes to stdout: programs read it. `about` is for people."""
    print(shown(link), flush=True)
    print(about, file=sys.stderr, flush=True)
    if browser and not os.environ.get("HANDFUL_NO_BROWSER"):
        webbrowser.open(link)
