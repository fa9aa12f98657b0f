"""The built pages: index.html for the addresses of pages, files by their exact names, a plain page where nothing was built.

What may be answered is listed when the server begins: no part of an address ever becomes a part of a path. With index.html
goes the list of what the page at that address will ask for first, so that the browser fetches it at once and not after
the code that asks, and the number of the last event: whatever happens later, the page is told. Knows the folder `static` and HTTP; what the pages show is none of its business.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from handful.web import page
from handful.web.problems import Problem, document
from handful.web.studio.routes import spoken
from handful.words import load, retold, said

STATIC = Path(__file__).resolve().parents[1] / "static"
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' blob:; worker-src 'self' blob:; "
    "script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
CARRIED = [
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(self), geolocation=(), payment=(), usb=()"),
]
UNCHANGING = "public, max-age=31536000, immutable"
_PAGES = re.compile(r"/|/p/[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}){0,4}/?")
_EVENTS = b'<meta name="handful-events" content="%d" />'  # in index.html, as built with 0
_ENTRY = re.compile(r'<script type="module"[^>]* src="([^"]+)"')
_HASHED = re.compile(r".+-[A-Za-z0-9_-]{8,}\.[a-z0-9]+")
_KINDS = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".json": "application/json", ".wasm": "application/wasm", ".svg": "image/svg+xml",
    ".png": "image/png", ".ico": "image/x-icon", ".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}  # fmt: skip
_PACKED = (".js", ".mjs", ".css", ".html", ".json", ".svg")
_PARTS = "/parts.json"  # Vite's manifest: what is built of each source, and what that imports
_PLACE = re.compile(r"/p/(?P<project>[^/]+)(/(?P<step>[^/]+))?.*")


@dataclass(frozen=True)
class _File:
    path: Path
    kind: str
    unchanging: bool


class Pages:
    """The files below `folder`, by the address that each answers to. `last`: number of the newest event."""

    def __init__(self, folder: Path = STATIC, last: Callable[[], int] = lambda: 0) -> None:
        self._folder = folder
        self._last = last
        self._made = -1
        self._files: dict[str, _File] = {}
        self._parts: dict[str, Any] = {}
        self._packed: dict[Path, bytes] = {}

    async def answer(self, request: Request) -> Response:
        """A file, the pages' index, or Problem 404."""
        path = request.scope["path"]
        self._look()
        if path in self._files and path not in ("/index.html", _PARTS):
            return await self._sent(self._files[path], request)
        if not _PAGES.fullmatch(path):
            raise Problem(404, said("web.nothing"))
        if "/index.html" not in self._files:
            return HTMLResponse(_UNBUILT, 503, {"Content-Security-Policy": page.POLICY})
        return await self._index(path, request)

    async def _index(self, path: str, request: Request) -> Response:
        numbered = _EVENTS % self._last()  # first of all: what the page will fetch is newer
        content = await run_in_threadpool(self._files["/index.html"].path.read_bytes)
        content = content.replace(_EVENTS % 0, numbered)
        needed = ", ".join(self._needed(path, request.headers.get("accept-language", "")))
        headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "Link": needed}
        if "gzip" in request.headers.get("accept-encoding", ""):
            content, headers["Content-Encoding"] = gzip.compress(content, 6, mtime=0), "gzip"
        return Response(content, headers=headers, media_type=_KINDS[".html"])

    def entry(self) -> str | None:
        """The script with which the pages begin, as they are now: its name changes with whatever is in them."""
        index = self._folder / "index.html"
        found = _ENTRY.search(index.read_text(encoding="utf-8")) if index.is_file() else None
        return found[1] if found else None

    def _look(self) -> None:
        """List what is there when it was built anew."""
        index = self._folder / "index.html"
        made = index.stat().st_mtime_ns if index.is_file() else 0
        if made != self._made:
            self._files, self._packed = dict(self._listed()) if made else {}, {}
            self._parts = json.loads(self._files[_PARTS].path.read_bytes()) if _PARTS in self._files else {}
            self._made = made

    def _listed(self) -> list[tuple[str, _File]]:
        root = self._folder.resolve()
        files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.resolve().is_relative_to(root)]
        return [
            ("/" + path.relative_to(root).as_posix(),
             _File(path, _KINDS[path.suffix], "assets" in path.parts and bool(_HASHED.fullmatch(path.name))))
            for path in files if path.suffix in _KINDS
        ]  # fmt: skip

    async def _sent(self, file: _File, request: Request) -> Response:
        headers = {"Cache-Control": UNCHANGING if file.unchanging else "no-cache", "Vary": "Accept-Encoding"}
        if file.path.suffix in _PACKED and "gzip" in request.headers.get("accept-encoding", ""):
            if file.path not in self._packed:
                self._packed[file.path] = await run_in_threadpool(_pack, file.path)
            content, headers["Content-Encoding"] = self._packed[file.path], "gzip"
        else:
            content = await run_in_threadpool(file.path.read_bytes)
        return Response(content, headers=headers, media_type=file.kind)

    def _needed(self, path: str, languages: str) -> Iterator[str]:
        """Of a page: its code with words and styles, and what `askAhead` of the pages asks, as values of Link (RFC 8288)."""
        place = _PLACE.fullmatch(path)
        step = (place["step"] or "collect") if place else "home"
        words = "ru" if languages.strip().lower().startswith("ru") else "en"
        for part in dict.fromkeys(
            [
                *self._built("index.html"),
                *self._built(f"src/pages/{step}/index.tsx"),
                *self._built(f"src/words/{words}.ts"),
            ]
        ):
            yield (
                f"</{part}>; "
                + ("rel=preload; as=style" if part.endswith(".css") else "rel=modulepreload")
                + "; crossorigin"
            )
        for asked in ("/api/about", "/api/jobs", f"/api/projects/{place['project']}" if place else "/api/projects"):
            yield f"<{asked}>; rel=preload; as=fetch; crossorigin"

    def _built(self, name: str) -> Iterator[str]:
        """Scripts and styles of a source, with those of what it imports."""
        part = self._parts.get(name, {})
        for imported in part.get("imports", ()):
            yield from self._built(imported)
        yield from part.get("css", ())
        if "file" in part:
            yield part["file"]


def _pack(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), 6, mtime=0)


_UNBUILT = page.plain(
    "The pages are not built",
    "<p>This is a checkout without built pages. In its folder, say</p><pre>make studio</pre>"
    '<p>The interface works without them: <a href="/api/docs">/api/docs</a></p>',
)


def problem_page(headers: dict[str, list[str]], problem: Problem, request_id: str) -> Response:
    """A problem for whoever asked: a page for people, a document for programs."""
    texts = load(spoken(next(iter(headers.get("accept-language", [])), "")), "studio")
    if not any("text/html" in value for value in headers.get("accept", [])):
        return document(problem, request_id, texts)
    hint = _sentence(retold(problem.more.get("hint", ""), texts))
    shown = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(hint))
    again = f'<p><a href="/">{escape(texts.text("web.again"))}</a></p>' if problem.status == 401 else ""
    title, body = _sentence(retold(problem.detail, texts)), f"<p>{shown}</p>{again}"
    kept = {name: value for name, value in problem.headers.items() if name != "WWW-Authenticate"}
    return HTMLResponse(
        page.plain(title, body, texts.lang), problem.status, kept | {"Content-Security-Policy": page.POLICY}
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
