"""The studio's door over a real socket: links, sessions, tokens, other pages, sizes, slow clients, one studio for each home."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from handful.web.studio.openapi import document
from handful.web.studio.server import PORT, StudioServer
from handful.workflow.studio import Limits

from .conftest import write_photos
from .test_serve import BASE, received

TOKEN = "a-token-for-programs-1234"
OWN = {"X_Handful": "1"}


class Answer:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int) -> Any:
        assert self.status == status, self.body
        assert self.headers["content-type"] == "application/problem+json"
        found = self.json
        assert found["status"] == status and found["detail"] and "Traceback" not in found["detail"]
        return found


class Client:
    """A browser without pages: `cookie` is its session, `token` a program's."""

    def __init__(self, port: int, cookie: str = "", token: str = "") -> None:
        self.port, self.cookie, self.token = port, cookie, token

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body).encode(), {"Content_Type": "application/json"} | headers
        if self.cookie:
            headers = {"Cookie": self.cookie} | headers
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}"} | headers
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def raw(self, content: bytes, timeout: float = 20.0) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(content)
            return received(connection)


def entered(url: str) -> Client:
    """A client with the session that a link gives."""
    port, path = re.fullmatch(r"http://[^/]+:(\d+)(/.*)", url).groups()  # type: ignore[union-attr]
    client = Client(int(port))
    answer = client("GET", path)
    assert answer.status == 303, answer.body
    client.cookie = answer.headers["set-cookie"].partition(";")[0]
    return client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StudioServer]:
    with StudioServer(folder=tmp_path / "data", port=0, token=TOKEN) as server:
        yield server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioServer]:
    """For tests that change nothing."""
    with StudioServer(folder=tmp_path_factory.mktemp("studio"), port=0, token=TOKEN) as server:
        yield server


@pytest.fixture(scope="module")
def inside(shared_server: StudioServer) -> Client:
    return entered(shared_server.link())


@pytest.fixture(scope="module")
def outside(shared_server: StudioServer) -> Client:
    return Client(shared_server.port)


# -- the link, the session, the token ----------------------------------------------------------------------------------


def test_a_link_works_once_and_leaves_the_address_bar(server: StudioServer) -> None:
    link = server.link()
    key = link.rpartition("key=")[2]
    assert len(key) >= 22  # 128 bits and more
    client = Client(server.port)
    answer = client("GET", f"/?key={key}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie and "domain" not in cookie
    assert key not in str(answer.headers) and answer.headers["cache-control"] == "no-store"
    assert client("GET", f"/?key={key}").status == 401
    used = {
        lang: client("GET", f"/?key={key}", Accept="text/html", **{"Accept-Language": lang}) for lang in ("en", "ru")
    }
    assert all(page.status == 401 and b"<code>handful studio</code>" in page.body for page in used.values())
    assert b"used already" in used["en"].body and "уже использована".encode() in used["ru"].body
    client.cookie = answer.headers["set-cookie"].partition(";")[0]
    assert client("GET", "/api/projects").status == 200
    again = client("GET", f"/?key={key}")  # who has a session is led on without the key
    assert (again.status, again.headers["location"]) == (303, "/")


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "///evil.example", "javascript:alert(1)", "/%2f/evil.example"])  # fmt: skip
def test_a_link_leads_nowhere_else(server: StudioServer, wanted: str) -> None:
    """F-122"""
    for name in ("next", "url", "redirect", "target"):
        answer = Client(server.port)("GET", f"{server.link().rpartition(str(server.port))[2]}&{name}={wanted}")
        assert (answer.status, answer.headers["location"]) == (303, "/")


def test_without_a_session_there_is_nothing_but_how_to_get_one(outside: Client) -> None:
    for path in ("/?key=", "/?key", "/?xkey=1", "/?a=key=1", "/?%6bey=x"):
        assert outside("GET", path).status == 401, path
    for path in ("/", "/p/abc/collect", "/api/projects", "/api/events", "/api/docs", "/assets/x.js", "/memory/status"):
        found = outside("GET", path).problem(401)
        assert "handful studio" in found["hint"]
        page = outside("GET", path, Accept="text/html,*/*")
        assert page.status == 401 and b"<code>handful studio</code>" in page.body
        assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/api/projects", "/api/link", "/api/projects/x/undo"):
        outside("POST", path, {}, **OWN).problem(401)


def test_every_route_needs_a_session(outside: Client) -> None:
    for path, operations in json.loads(document())["paths"].items():
        for method in operations:
            asked = re.sub(r"\{\w+\}", "0123456789abcdef", path)
            assert outside(method.upper(), asked, b"", **OWN).status == 401, (method, path)


def test_programs_send_a_token(server: StudioServer) -> None:
    program = Client(server.port, token=TOKEN)
    made = program("POST", "/api/projects", {"name": "x"})
    assert made.status == 200 and made.json["name"] == "x"
    for wrong in (TOKEN[:-1], TOKEN + "x", "é", " ", "x" * 10_000):
        Client(server.port)("GET", "/api/projects", Authorization=f"Bearer {wrong}").problem(401)
    for wrong in (f"Basic {TOKEN}", TOKEN):
        Client(server.port)("GET", "/api/projects", Authorization=wrong).problem(401)
    assert Client(server.port)("GET", f"/api/projects?token={TOKEN}").status == 401


def test_guessing_is_slowed_down_and_never_locks_its_owner_out(server: StudioServer) -> None:
    """F-121"""
    guesser = Client(server.port)
    codes = [guesser("GET", "/api/projects", Authorization=f"Bearer guess-{i}").status for i in range(14)]
    assert codes[:10] == [401] * 10 and set(codes[10:]) == {429}
    assert guesser("GET", "/?key=guess").status == 429
    assert Client(server.port, token=TOKEN)("GET", "/api/projects").status == 200
    assert entered(server.link())("GET", "/api/projects").status == 200


def test_secrets_are_kept_as_hashes_and_only_for_their_user(server: StudioServer) -> None:
    client = entered(server.link())
    secret = client.cookie.partition("=")[2]
    kept = server.studio.folder / "sessions.json"
    assert secret not in kept.read_text() and stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE((server.studio.folder / "running.json").stat().st_mode) == 0o600


def test_a_session_survives_a_restart(tmp_path: Path) -> None:
    with StudioServer(folder=tmp_path, port=0) as server:
        client, port = entered(server.link()), server.port
    with StudioServer(folder=tmp_path, port=port):
        assert client("GET", "/api/projects").status == 200


# -- other pages -------------------------------------------------------------------------------------------------------


def test_changes_need_their_own_header(server: StudioServer) -> None:
    """F-119"""
    client = entered(server.link())
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json"):
        client("POST", "/api/projects", b'{"name": "x"}', Content_Type=kind).problem(403)
    for header in ("", "0", "true", "1, 1"):
        client("POST", "/api/projects", {"name": "x"}, X_Handful=header).problem(403)
    assert client("GET", "/api/projects").json == []
    assert client("POST", "/api/projects", {"name": "x"}, **OWN).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Sec_Fetch_Site": "nonsense"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
    ],
)  # fmt: skip
def test_other_pages_may_not_ask(inside: Client, headers: dict[str, str]) -> None:
    """F-117, F-119: also not with the session, also not to listen."""
    for method, path in (
        ("GET", "/api/projects"),
        ("GET", "/api/events"),
        ("POST", "/api/projects"),
        ("DELETE", "/api/jobs/x"),
    ):
        answer = inside(method, path, b"{}" if method == "POST" else None, **OWN, **headers)
        assert answer.status == 403
        answer.problem(403)


def test_a_link_on_another_page_may_lead_here_but_no_frame(inside: Client) -> None:
    followed = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert inside("GET", "/", **followed).status in (200, 503)  # 503: the pages are not built
    assert inside("GET", "/", **followed | {"Sec_Fetch_Dest": "iframe"}).status == 403


def test_there_is_no_cors(inside: Client) -> None:
    """F-120"""
    own = f"http://127.0.0.1:{inside.port}"
    asked = [
        inside("GET", "/api/projects", Origin=own), inside("GET", "/api/projects", Origin="https://evil.example"),
        inside("OPTIONS", "/api/projects", Origin="https://evil.example", Access_Control_Request_Method="POST"),
        inside("OPTIONS", "/api/projects", Origin=own, Access_Control_Request_Method="DELETE"),
    ]  # fmt: skip
    assert asked[0].status == 200
    for answer in asked:
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "head",
    [
        b"Host: evil.example", b"Host: evil.example:8420", b"Host: localhost.evil.example", b"Host: 127.0.0.1.nip.io",
        b"Host: ", b"Host: 127.0.0.2", b"Host: 127.0.0.1@evil.example", b"Host: [::1", b"Host: localhost, evil.example",
        b"Host: localhost\r\nHost: evil.example", b"X: y",
    ],
)  # fmt: skip
def test_unknown_hosts(outside: Client, head: bytes) -> None:
    """F-118: also with the token."""
    for credential in (b"", b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"):
        answer = outside.raw(b"GET /api/projects HTTP/1.1\r\nConnection: close\r\n" + credential + head + b"\r\n\r\n")
        assert re.match(rb"HTTP/1.1 4\d\d ", answer) and b"[]" not in answer
        if b"\nHost" not in head and head != b"X: y":
            assert b" 421 " in answer
    absolute = b"GET http://evil.example/api/projects HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert not outside.raw(absolute).startswith(b"HTTP/1.1 2")


def test_sockets_are_refused_before_they_open(outside: Client) -> None:
    upgrade = (
        b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    )
    for more in (b"", b"Origin: https://evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", outside.port), timeout=20) as connection:
            connection.sendall(upgrade + more + b"\r\n")
            connection.shutdown(socket.SHUT_WR)
            assert re.match(rb"HTTP/1.1 4\d\d ", received(connection))


# -- addresses, sizes, slowness ----------------------------------------------------------------------------------------

_TRAVERSALS = (
    "..%2f..%2fetc%2fpasswd", "%252e%252e%252fetc", "..%5c..%5cetc", "%2fetc%2fpasswd", "..", "%00", "x%00", "%2e%2e%2f", "C:%5c",
    "%ef%bc%8e%ef%bc%8e", "a%0d%0ab", "....%2f%2f", "%e2%80%ae", "__proto__", "1%27%20or%201=1", "'%3b drop table projects--".replace(" ", "%20"),
)  # fmt: skip


def test_no_address_leads_out(inside: Client) -> None:
    """F-114, F-127: every route with a name or id."""
    for path, operations in json.loads(document())["paths"].items():
        for name in re.findall(r"\{\w+\}", path):
            for payload in _TRAVERSALS:
                asked = re.sub(r"\{\w+\}", "0123456789abcdef", path.replace(name, payload))
                method = next(iter(operations)).upper()
                body = b"{}" if method in ("POST", "PATCH") else b"x" if method == "PUT" else None
                answer = inside(method, asked, body, Content_Type="application/json", **OWN)
                assert 400 <= answer.status < 500, (method, asked, answer.status, answer.body[:200])
                assert b"root:" not in answer.body
    for path in (
        "/..%2f..%2fetc/passwd", "/%252e%252e/", "//etc/passwd", "/assets/..%2f..%2fpages.py", "/proc/self/root/etc/passwd",
        "/index.html%00.js", "/INDEX.HTML", "/p/../../etc/passwd", "/assets/%2e%2e/%2e%2e/app.py", "/.git/config", "/p/x/../../..",
    ):  # fmt: skip
        answer = inside("GET", path)
        assert answer.status in (400, 404) and b"root:" not in answer.body, (path, answer.status)


def test_strange_requests_are_answered_in_one_shape(inside: Client) -> None:
    """F-128"""
    deep = b"[" * 100_000 + b"]" * 100_000
    for body in (b"", b"{", b"[]", b'"x"', b"\xff\xfe", deep, b'{"name": 1e999}', b'{"name": ' + b"9" * 5000 + b"}", b'{"name": "x", "y": 1}',
                 b'{"name": ""}', json.dumps({"name": "x" * 500}).encode()):  # fmt: skip
        answer = inside("POST", "/api/projects", body, Content_Type="application/json", **OWN)
        answer.problem(answer.status)
        assert 400 <= answer.status < 500, (body[:50], answer.status)
    inside("BREW", "/api/projects", **OWN).problem(405)
    inside("PUT", "/api/projects", b"x", **OWN).problem(405)
    inside("GET", "/api/nothing").problem(404)
    inside("GET", "/api/projects/0123456789ab/samples?limit=9999999999999999999999").problem(422)
    inside("GET", "/api/projects/0123456789ab/samples?sort=id;drop").problem(422)


def test_bodies_are_counted_while_they_come(tmp_path: Path) -> None:
    """F-115: said or shown to be too large, and nothing of it is kept."""
    limits = Limits(file_bytes=200_000, archive_bytes=1_000_000, table_bytes=100_000)
    with StudioServer(folder=tmp_path, port=0, token=TOKEN, limits=limits) as server:
        client = Client(server.port, token=TOKEN)
        project = client("POST", "/api/projects", {"name": "x"}).json["id"]
        bring = client("POST", f"/api/projects/{project}/imports").json["id"]
        take = client("POST", f"/api/projects/{project}/takes", {"label": "a", "source": "webcam"}).json["id"]
        routes = (
            ("PUT", f"/api/projects/{project}/imports/{bring}/files?path=a.png", 1_000_000),
            ("PUT", f"/api/projects/{project}/imports/{bring}/table", 100_000),
            ("PUT", f"/api/projects/{project}/takes/{take}/samples", 200_000),
            ("POST", "/api/projects/archive", 1_000_000),
            ("POST", "/api/projects", 8_000_000),
        )
        for method, path, most in routes:
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
            assert b" 413 " in client.raw(head + b"Content-Length: 99999999999\r\n\r\n"), path
            chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
            assert b" 413 " in client.raw(
                head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * (most // 0x10000 + 3)
            ), path
            client(method, path, b"x", Content_Encoding="gzip").problem(415)
        assert not list((tmp_path / "uploads").iterdir())
        assert server.application.books.held == 0


def test_slow_clients_are_left_and_others_are_served(server: StudioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-116"""
    from handful.web.guard import Bounds

    monkeypatch.setattr(server.application._door, "_bounds", lambda scope: Bounds(1_000_000, 0.4, 0.8))
    client = Client(server.port, token=TOKEN)
    head = f"POST /api/projects HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\n"
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(300)]
    try:
        assert b" 408 " in client.raw(head.encode() + b"{")
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as dripping:
            dripping.sendall(head.encode())
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for _ in range(12):  # never silent for long, yet never done
                    dripping.sendall(b"x")
                    time.sleep(0.1)
            assert b" 408 " in received(dripping)
        assert client("GET", "/api/projects").status == 200
    finally:
        for connection in idle:
            connection.close()


def test_an_upload_that_breaks_off_leaves_nothing(server: StudioServer) -> None:
    """F-41"""
    client = Client(server.port, token=TOKEN)
    project = client("POST", "/api/projects", {"name": "x"}).json["id"]
    bring = client("POST", f"/api/projects/{project}/imports").json["id"]
    head = (
        f"PUT /api/projects/{project}/imports/{bring}/files?path=cat/a.png HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: 9000000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + bytes(3_000_000))
    deadline = time.monotonic() + 20
    while list(server.studio.upload_folder().iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client("GET", f"/api/projects/{project}/imports/{bring}").json["files"] == 0


# -- what every answer carries -----------------------------------------------------------------------------------------


def test_every_answer_carries_what_keeps_it_in_its_place(inside: Client, outside: Client) -> None:
    """F-126, F-130"""
    for answer in (
        inside("GET", "/"),
        inside("GET", "/api/projects"),
        inside("GET", "/nothing.js"),
        outside("GET", "/", Accept="text/html"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        assert not answer.headers["server"]
    assert inside("GET", "/api/projects").headers["cache-control"] == "no-store"


def test_the_interface_is_described_offline(inside: Client) -> None:
    page = inside("GET", "/api/docs")
    assert page.status == 200 and b"/api/projects/{p}/samples" in page.body
    assert not re.search(rb"<script|src=|@import|https://", page.body)
    api = inside("GET", "/api/openapi.json").json
    assert api == json.loads(document()) and len(api["paths"]) > 50
    assert all(operation.get("summary") for methods in api["paths"].values() for operation in methods.values())


def test_machine_and_memory(inside: Client) -> None:
    """001-22"""
    about = inside("GET", "/api/about").json
    assert (
        {"learn", "torch"} <= about["extras"].keys()
        and about["processors"] >= 1
        and {"en", "ru"} <= set(about["languages"])
    )
    for path in ("/memory/status", "/api/memory/status"):
        found = inside("GET", path).json
        assert 0 < found["available_bytes"] <= found["total_bytes"] and found["server_bytes"] > 10_000_000
        assert (found["running"], found["queued"]) == (0, 0) and found["disk_free_bytes"] > 0


def test_pages_are_answered_by_name_alone(tmp_path: Path) -> None:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    page = '<!doctype html><title>pages</title><script type="module" crossorigin src="/assets/main-{}.js"></script>'
    (static / "index.html").write_text(page.format("Ab3dEf9_"))
    (static / "assets" / "main-Ab3dEf9_.js").write_text("1;" * 1000)
    (static / "assets" / "note.exe").write_text("no")
    (tmp_path / "secret.txt").write_text("secret")
    (static / "assets" / "out.txt").symlink_to(tmp_path / "secret.txt")
    with StudioServer(folder=tmp_path / "data", port=0, token=TOKEN, static=static) as server:
        client = Client(server.port, token=TOKEN)
        for path in ("/", "/p/abc_D-1/collect", "/p/abc/understand/run-1"):
            answer = client("GET", path)
            assert (
                answer.status == 200
                and b"<title>pages" in answer.body
                and answer.headers["cache-control"] == "no-cache"
            )
        assert client("GET", "/api/about").json["pages"] == "/assets/main-Ab3dEf9_.js"
        (static / "index.html").write_text(page.format("Zz3dEf9_"))
        assert client("GET", "/api/about").json["pages"] == "/assets/main-Zz3dEf9_.js", "old tabs can tell"
        script = client("GET", "/assets/main-Ab3dEf9_.js")
        assert "immutable" in script.headers["cache-control"] and script.headers["content-type"].startswith(
            "text/javascript"
        )
        packed = client("GET", "/assets/main-Ab3dEf9_.js", Accept_Encoding="gzip")
        assert packed.headers["content-encoding"] == "gzip" and len(packed.body) < len(script.body)
        for path in (
            "/assets/out.txt",
            "/assets/note.exe",
            "/assets/",
            "/assets",
            "/index.html/x",
            "/secret.txt",
            "/assets/%2e%2e/index.html",
        ):
            assert client("GET", path).status == 404, path
        assert client("GET", "/parts.json").status == 404
        (static / "index.html").unlink()
        missing = client("GET", "/p/abc/collect")
        assert missing.status == 503 and b"make studio" in missing.body


def test_a_page_comes_with_the_list_of_what_it_will_ask_for(tmp_path: Path) -> None:
    parts = {
        "_shared.js": {"file": "assets/shared-1.js", "css": ["assets/shared-1.css"]},
        "index.html": {"file": "assets/index-1.js", "imports": ["_shared.js"]},
        "src/pages/home/index.tsx": {"file": "assets/home-1.js", "imports": ["_shared.js"]},
        "src/pages/train/index.tsx": {"file": "assets/train-1.js", "css": ["assets/train-1.css"]},
        "src/words/en.ts": {"file": "assets/en-1.js"},
        "src/words/ru.ts": {"file": "assets/ru-1.js"},
    }
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "index.html").write_text("<!doctype html>")
    (tmp_path / "static" / "parts.json").write_text(json.dumps(parts))

    with StudioServer(folder=tmp_path / "data", port=0, token=TOKEN, static=tmp_path / "static") as server:
        client = Client(server.port, token=TOKEN)

        def listed(path: str, language: str) -> list[str]:
            link = client("GET", path, Accept_Language=language).headers["link"]
            return re.findall("<([^>]*)>", link)

        shared = ["/assets/shared-1.css", "/assets/shared-1.js", "/assets/index-1.js"]
        asked = ["/api/about", "/api/jobs"]
        assert listed("/", "en-GB") == [*shared, "/assets/home-1.js", "/assets/en-1.js", *asked, "/api/projects"]
        train = ["/assets/train-1.css", "/assets/train-1.js"]
        assert listed("/p/a-B_1/train/x", "ru") == [*shared, *train, "/assets/ru-1.js", *asked, "/api/projects/a-B_1"]
        assert listed("/p/a/nothing", "de") == [*shared, "/assets/en-1.js", *asked, "/api/projects/a"]


def test_nothing_changes_when_it_is_read_only(tmp_path: Path) -> None:
    with StudioServer(folder=tmp_path, port=0, token=TOKEN) as server:
        project = Client(server.port, token=TOKEN)("POST", "/api/projects", {"name": "kept"}).json["id"]
    with StudioServer(folder=tmp_path, port=0, token=TOKEN, read_only=True) as server:
        client = Client(server.port, token=TOKEN)
        assert client("GET", "/api/about").json["read_only"] is True
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "projects" / project).rglob("*")}
        for path, operations in json.loads(document())["paths"].items():
            for method in set(operations) - {"get"}:
                if path.endswith(("/plan", "/predict", "/preview")) and "{s}" not in path:
                    continue  # they ask, they change nothing
                asked = path.replace("{p}", project)
                found = client(method.upper(), re.sub(r"\{\w+\}", "0123456789abcdef", asked), b"{}").problem(403)
                assert "read-only" in found["detail"] and "--read-only" in found["hint"]
        assert client("GET", "/api/projects").json[0]["name"] == "kept"
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "projects" / project).rglob("*")} == before


def test_many_at_once(server: StudioServer) -> None:
    """F-32, F-124: no answer fails because others ask too."""
    client = Client(server.port, token=TOKEN)
    project = client("POST", "/api/projects", {"name": "x"}).json["id"]

    def ask(i: int) -> int:
        if i % 5:
            return client(
                "GET", ("/api/projects", f"/api/projects/{project}", "/api/jobs", "/memory/status")[i % 4]
            ).status
        return client("POST", f"/api/projects/{project}/classes", {"name": f"class {i}"}).status

    with ThreadPoolExecutor(40) as pool:
        assert list(pool.map(ask, range(200))) == [200] * 200
    assert len(client("GET", f"/api/projects/{project}").json["classes"]) == 40


# -- the command -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def studio(home: Path, *arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`handful studio` as a process of its own: (process, the line it printed)."""
    process = subprocess.Popen(
        [sys.executable, "-c", BASE, "studio", *map(str, arguments)], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"HANDFUL_HOME": str(home)} | environment,
    )  # fmt: skip
    assert process.stdout and process.stderr
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, line.strip()
    finally:
        if process.poll() is None:
            process.terminate()
        rest = process.communicate(timeout=30)
        assert "Traceback" not in rest[1], rest[1]


def test_one_line_then_silence(tmp_path: Path) -> None:
    """F-7, F-121: it ends at SIGTERM although somebody listens, and says nothing that is secret."""
    with studio(tmp_path, "--port", "0") as (process, line):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?key=[\w-]{40,}", line)
        client = entered(line)
        client("GET", "/?key=wrong")
        listening = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
        listening.request("GET", "/api/events", headers={"Cookie": client.cookie})
        assert listening.getresponse().status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        out, err = process.communicate()
        listening.close()
        first, last = err.splitlines()
        assert "opens once" in first and "Ctrl-C stops" in first and last.startswith("stopped;")
        assert out == "" and line.rpartition("=")[2] not in err and client.cookie.partition("=")[2] not in err
    assert not (tmp_path / "data" / "running.json").exists()


@pytest.mark.slow
def test_a_second_studio_opens_the_first(tmp_path: Path) -> None:
    """F-31"""
    photos = write_photos(tmp_path / "animals", per_class=3)
    home = tmp_path / "home"
    with studio(home, "--port", "0") as (_, line):
        first = entered(line)
        with studio(home) as (second, other):
            assert second.wait(20) == 0
        client = entered(other)
        assert client.port == first.port and client("GET", "/api/projects").json == []
        with studio(home, photos) as (third, link):
            assert third.wait(60) == 0
        answer = Client(first.port)("GET", link.rpartition(str(first.port))[2])
        project, bring = re.fullmatch(r"/p/([\w-]+)/collect\?import=([\w-]+)", answer.headers["location"]).groups()  # type: ignore[union-attr]
        assert client("GET", f"/api/projects/{project}").json["name"] == "animals"
        found = client("GET", f"/api/projects/{project}/imports/{bring}")
        assert found.status == 200, found.body
        preview = found.json
        assert (preview["files"], {c["name"] for c in preview["classes"]}) == (6, {"red", "green"})
        done = subprocess.run(
            [sys.executable, "-c", BASE, "studio", str(tmp_path / "nowhere")], capture_output=True, text=True,
            env=os.environ | {"HANDFUL_HOME": str(home)}, timeout=60,
        )  # fmt: skip
        assert done.returncode == 1 and "there is no folder" in done.stderr


@pytest.mark.slow
def test_a_killed_studio_leaves_no_lock(tmp_path: Path) -> None:
    """F-33"""
    with studio(tmp_path, "--port", "0") as (process, line):
        client = entered(line)
        made = client("POST", "/api/projects", {"name": "kept"}, **OWN)
        assert made.status == 200
        process.kill()
        process.wait(20)
    with studio(tmp_path, "--port", client.port) as (_, line):
        assert client("GET", "/api/projects").json[0]["name"] == "kept"  # the session too


def test_the_network_needs_a_token(tmp_path: Path) -> None:
    """F-123"""
    with studio(tmp_path, "--port", "0", "--host", "0.0.0.0") as (process, line):
        assert line.startswith("token: ") and len(line) > 40
        assert process.stdout
        link = process.stdout.readline().strip()
        assert socket.gethostname() in link
        port = int(re.search(r":(\d+)/", link)[1])  # type: ignore[index]
        Client(port)("GET", "/api/projects").problem(401)
        assert Client(port, token=line.removeprefix("token: "))("GET", "/api/projects").status == 200
        Client(port, token=line.removeprefix("token: "))("GET", "/api/projects", Host="evil.example").problem(421)


def test_a_taken_port_is_passed_over_or_said(tmp_path: Path) -> None:
    """F-129"""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", BASE, "studio", "--port", str(port)], capture_output=True, text=True, timeout=60,
            env=os.environ | {"HANDFUL_HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 1 and "is taken" in done.stderr and "--port 0" in done.stderr


def test_the_usual_port_is_not_insisted_on(tmp_path: Path) -> None:
    """F-129"""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # somebody has it: just as good
            stack.enter_context(socket.create_server(("127.0.0.1", PORT)))
        with StudioServer(folder=tmp_path) as server:
            assert server.port != PORT and entered(server.link())("GET", "/api/about").status == 200


def test_a_full_disk_is_said_before_anything_is_read(server: StudioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-17"""
    from handful.web.studio import media

    monkeypatch.setattr(media, "_SPARE", 1 << 60)
    client = Client(server.port, token=TOKEN)
    project = client("POST", "/api/projects", {"name": "x"}).json["id"]
    bring = client("POST", f"/api/projects/{project}/imports").json["id"]
    found = client("PUT", f"/api/projects/{project}/imports/{bring}/files?path=a.png", b"x" * 1000).problem(507)
    assert "MB left" in found["detail"] and "MB are needed" in found["detail"] and found["hint"]
    assert client("GET", f"/api/projects/{project}/imports/{bring}").json["files"] == 0


def test_listeners_do_not_keep_others_waiting(server: StudioServer) -> None:
    """F-41: events reach those that listen; who leaves is forgotten."""
    client = entered(server.link())
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/api/events", headers={"Cookie": client.cookie})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
    found: list[str] = []

    def listen() -> None:
        while line := answer.readline().decode():
            found.append(line)
            if line.startswith("event: project"):
                found.append(answer.readline().decode())
                return

    listener = threading.Thread(target=listen)
    listener.start()
    made = client("POST", "/api/projects", {"name": "x"}, **OWN).json
    client("POST", f"/api/projects/{made['id']}/classes", {"name": "a"}, **OWN)
    listener.join(20)
    connection.close()
    assert any(line.startswith("event: hello") for line in found) and made["id"] in found[-1]


@pytest.mark.slow
def test_jobs_outlive_a_server_that_is_killed(tmp_path: Path) -> None:
    """F-38, F-39, F-41: what worked goes on, what waited waits on, nothing is lost or done twice."""
    photos = write_photos(tmp_path / "photos", per_class=10)
    with studio(tmp_path / "home", photos, "--port", "0") as (process, line):
        client = entered(line)
        project = client("GET", "/api/projects").json[0]["id"]
        folder = Path(client("GET", f"/api/projects/{project}").json["folder"])
        bring = next((folder / "imports").iterdir()).name
        assert client("POST", f"/api/projects/{project}/imports/{bring}/confirm", {}, **OWN).status == 200
        wishes = (
            {"kind": "train", "settings": {"weights": "none"}},
            {"kind": "check", "settings": {"weights": "none"}},
        )
        jobs = [client("POST", f"/api/projects/{project}/jobs", wish, **OWN).json["id"] for wish in wishes]
        waited_for(lambda: client("GET", f"/api/jobs/{jobs[0]}").json["state"] == "running")
        assert client("GET", f"/api/jobs/{jobs[1]}").json["position"] is not None
        assert client("DELETE", f"/api/projects/{project}", **OWN).status == 409  # F-42
        process.kill()
        process.wait(20)
    with studio(tmp_path / "home", "--port", client.port):
        assert sorted(job["id"] for job in client("GET", "/api/jobs").json) == sorted(jobs)
        waited_for(lambda: all(job["state"] == "done" for job in client("GET", "/api/jobs").json), 180)
        lines = client("GET", f"/api/jobs/{jobs[0]}/log").json["lines"]
        assert len({row["n"] for row in lines}) == len(lines)
        runs = client("GET", f"/api/projects/{project}/runs").json
        assert len(runs) == 1 and runs[0]["score"]["value"] > 0.5
        waited_for(lambda: client("GET", f"/api/projects/{project}/findings").json["made"] is not None)
        waited_for(lambda: client("GET", "/api/projects").json[0]["score"] is not None)
        assert client("GET", "/api/projects").json[0]["score"]["value"] == runs[0]["score"]["value"]


def waited_for(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_answers_do_not_wait_for_each_other_s_acknowledgement(server: StudioServer) -> None:
    """asyncio sets TCP_NODELAY only on sockets that name their protocol; without it every answer takes 40 ms."""
    assert server._socket.proto == socket.IPPROTO_TCP


def test_clients_that_never_read_keep_nobody_waiting(server: StudioServer) -> None:
    """F-116"""
    head = f"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    deaf = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(50)]
    try:
        for connection in deaf:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(head * 3)
        client = Client(server.port, token=TOKEN)
        assert client("GET", "/api/projects").status == 200
        assert client("POST", "/api/projects", {"name": "x"}).status == 200
    finally:
        for connection in deaf:
            connection.close()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files as Linux shows them")
def test_opening_and_closing_leaves_nothing_behind(tmp_path: Path, photos: Path) -> None:
    """F-45"""

    def once() -> None:
        with StudioServer(folder=tmp_path, port=0, token=TOKEN) as server:
            client = Client(server.port, token=TOKEN)
            project = client("POST", "/api/projects", {"name": "x"}).json["id"]
            take = client("POST", f"/api/projects/{project}/takes", {"label": "a", "source": "webcam"}).json["id"]
            added = client(
                "PUT", f"/api/projects/{project}/takes/{take}/samples", (photos / "red" / "00.png").read_bytes()
            )
            assert (
                client("GET", f"/api/projects/{project}/samples/{added.json['samples'][0]['id']}/thumb").status == 200
            )

    once()
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    for _ in range(3):
        once()
    waited_for(lambda: threading.active_count() <= before[1] + 2)
    assert len(os.listdir("/proc/self/fd")) <= before[0] + 2
    assert not list((tmp_path / "uploads").iterdir())
