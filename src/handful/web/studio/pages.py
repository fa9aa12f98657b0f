"""The built pages: index.html for the addresses of pages, files by their exact names, a plain page where nothing was built.

What may be answered is listed when the server begins: no part of an address ever becomes a part of a path. Knows the folder
`static` and HTTP; what the pages show is none of its business.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from handful.web import page
from handful.web.problems import Problem, document

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
_HASHED = re.compile(r".+-[A-Za-z0-9_-]{8,}\.[a-z0-9]+")
_KINDS = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".json": "application/json", ".wasm": "application/wasm", ".svg": "image/svg+xml",
    ".png": "image/png", ".ico": "image/x-icon", ".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}  # fmt: skip
_PACKED = (".js", ".mjs", ".css", ".html", ".json", ".svg")


@dataclass(frozen=True)
class _File:
    path: Path
    kind: str
    unchanging: bool


class Pages:
    """The files below `folder`, by the address that each answers to."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder
        self._made = -1
        self._files: dict[str, _File] = {}
        self._packed: dict[tuple[Path, int], bytes] = {}

    async def answer(self, request: Request) -> Response:
        """A file, the pages' index, or Problem 404."""
        path = request.scope["path"]
        self._look()
        if path in self._files and path != "/index.html":
            return await run_in_threadpool(self._sent, self._files[path], request)
        if not _PAGES.fullmatch(path):
            raise Problem(404, "there is nothing here")
        if "/index.html" not in self._files:
            return HTMLResponse(_UNBUILT, 503, {"Content-Security-Policy": page.POLICY})
        return await run_in_threadpool(self._sent, self._files["/index.html"], request)

    def _look(self) -> None:
        """List what is there when it was built anew."""
        index = self._folder / "index.html"
        made = index.stat().st_mtime_ns if index.is_file() else 0
        if made != self._made:
            self._files, self._packed = dict(self._listed()) if made else {}, {}
            self._made = made

    def _listed(self) -> list[tuple[str, _File]]:
        root = self._folder.resolve()
        files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.resolve().is_relative_to(root)]
        return [
            ("/" + path.relative_to(root).as_posix(),
             _File(path, _KINDS[path.suffix], "assets" in path.parts and bool(_HASHED.fullmatch(path.name))))
            for path in files if path.suffix in _KINDS
        ]  # fmt: skip

    def _sent(self, file: _File, request: Request) -> Response:
        headers = {"Cache-Control": UNCHANGING if file.unchanging else "no-cache", "Vary": "Accept-Encoding"}
        content = file.path.read_bytes()
        if file.path.suffix in _PACKED and "gzip" in request.headers.get("accept-encoding", ""):
            key = (file.path, len(content))
            if key not in self._packed or not file.unchanging:
                self._packed[key] = gzip.compress(content, 6, mtime=0)
            content, headers["Content-Encoding"] = self._packed[key], "gzip"
        return Response(content, headers=headers, media_type=file.kind)


_UNBUILT = page.plain(
    "The pages are not built",
    "<p>This is a checkout without built pages. In its folder, say</p><pre>make studio</pre>"
    '<p>The interface works without them: <a href="/api/docs">/api/docs</a></p>',
)


def problem_page(headers: dict[str, list[str]], problem: Problem, request_id: str) -> Response:
    """A problem for whoever asked: a page for people, a document for programs."""
    if not any("text/html" in value for value in headers.get("accept", [])):
        return document(problem, request_id)
    hint = _sentence(str(problem.more.get("hint", "")))
    shown = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(hint))
    again = '<p><a href="/">Try again</a></p>' if problem.status == 401 else ""
    body = f"<p>{shown}</p>{again}"
    kept = {name: value for name, value in problem.headers.items() if name != "WWW-Authenticate"}
    return HTMLResponse(
        page.plain(_sentence(problem.detail), body), problem.status, kept | {"Content-Security-Policy": page.POLICY}
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
