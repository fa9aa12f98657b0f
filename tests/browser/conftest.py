"""A real studio, a real Chromium with a fake camera and microphone, and what tests ask of pages."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "src" / "handful" / "web" / "static"
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
# As root and without a screen; nothing is asked of anybody outside.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
]  # fmt: skip
WAIT_MS = 30_000  # not a promise about speed: the machine may be busy


def missing(what: str) -> None:
    """Skips with a reason; where everything must be there, in CI, it is an error."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{what}; in CI browser tests may not be skipped")
    pytest.skip(what)


@dataclass
class Server:
    """A studio that runs: `base` its address, `link` what lets a browser in, once."""

    base: str
    link: str
    home: Path
    token: str
    process: subprocess.Popen[str]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The parsed answer of a route below /api; `body`: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        headers = {"Authorization": f"Bearer {self.token}", "X-Handful": "1", "Content-Type": kind}
        request = urllib.request.Request(f"{self.base}/api{path}", content, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def project(self, name: str) -> str:
        return str(self.ask("POST", "/projects", {"name": name})["id"])

    def fill(self, project: str, folder: Path) -> None:
        """Import a folder of class folders."""
        bring = self.ask("POST", f"/projects/{project}/imports")["id"]
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            at = urllib.request.quote(path.relative_to(folder).as_posix())
            self.ask("PUT", f"/projects/{project}/imports/{bring}/files?path={at}", path.read_bytes())
        self.ask("POST", f"/projects/{project}/imports/{bring}/confirm", {})

    def classes(self, project: str) -> dict[str, int]:
        return {one["name"]: one["count"] for one in self.ask("GET", f"/projects/{project}")["classes"]}

    def samples(self, project: str) -> list[dict[str, Any]]:
        return list(self.ask("GET", f"/projects/{project}/samples?limit=1000")["samples"])


def start(home: Path, *arguments: str, token: str = "t" * 40) -> Server:
    """A studio in a process of its own, answering."""
    environment = os.environ | {
        "HANDFUL_HOME": str(home), "HANDFUL_NO_BROWSER": "1", "HANDFUL_OFFLINE": "1", "HANDFUL_TOKEN": token,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "handful", "studio", "--port", "0", "--no-browser", *arguments],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"(http://[^/\s]+)(/\S*)", line)
    if not found:
        process.kill()
        process.communicate()
        pytest.fail(f"the studio printed no link but {line!r}")
    return Server(found[1], found[0], home, token, process)


def stop(server: Server) -> None:
    server.process.terminate()
    try:
        server.process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.communicate()


@pytest.fixture(scope="session")
def built() -> Path:
    if not (STATIC / "index.html").is_file():
        missing("the pages are not built: make studio, or npm ci && npm run build in frontend/")
    return STATIC


@pytest.fixture(scope="session")
def server(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start(tmp_path_factory.mktemp("studio"))
    yield running
    stop(running)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not path:
        missing("there is no chromium: install it, or set CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install playwright")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def session(server: Server, chromium: Any) -> dict[str, Any]:
    """The cookie that the one-time link gave."""
    context = chromium.new_context()
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(server.link)
    page.wait_for_selector("h1")
    kept: dict[str, Any] = context.storage_state()
    context.close()
    return kept


@pytest.fixture
def open_page(server: Server, session: dict[str, Any], chromium: Any) -> Iterator[Callable[..., Any]]:
    """Makes pages of any size, theme and language; a fault in any of them fails the test."""
    faults: list[str] = []
    contexts = []

    def told(message: Any) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            faults.append(message.text)

    def make(width: int = 1280, height: int = 800, dark: bool = False, locale: str = "en-US", state: Any = None) -> Any:
        context = chromium.new_context(
            base_url=server.base, storage_state=state or session, viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light", locale=locale, permissions=["camera", "microphone"],
            reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", told)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    return open_page()


@functools.cache
def _axe() -> str:
    if not AXE.is_file():
        missing("axe-core is not installed: npm ci in frontend/")
    return AXE.read_text(encoding="utf-8")


def faults_of(page: Any) -> list[str]:
    """What axe-core finds wrong with the page as it is: WCAG 2.2 AA and best practice, serious or worse.

    Seen from the top: what the head of the page half covers while one scrolls has no smaller target for that.
    """
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    page.evaluate(_axe())
    found = page.evaluate(
        """() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })"""
    )
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def until(seen: Callable[[], Any], seconds: float = WAIT_MS / 1000) -> Any:
    """What `seen` answers as soon as that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := seen():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"still not after {seconds:.0f} s")
