"""Bytes in and out: bodies streamed to disk with a bound, files as attachments, pictures that never change.

What a user brought is never answered as a page: it is an attachment, or was drawn anew by us. Knows HTTP only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from handful.files import shown
from handful.web.problems import Problem
from handful.words import reason, said

_BLOCK = 1 << 19  # bytes gathered before they are written; what is smaller never is
_SPARE = 64_000_000  # bytes of the disk that uploads leave free
DRAWN_AT_ONCE = 4
_RANGE = re.compile(rb"bytes=(?:(\d{1,18})-(\d{0,18})|-\d{1,18})")
UNCHANGING = "private, max-age=31536000, immutable"

Drawn = tuple[bytes, str, dict[str, str]]  # content, media type, headers


@contextlib.asynccontextmanager
async def received(request: Request, folder: Path, limit: int, empty: bool = False) -> AsyncIterator[bytes | Path]:
    """The body: its bytes where it is small, else a file in `folder`, which is gone when the block ends.

    Raises Problem 413 above `limit` bytes, 507 where the disk has no room, 400 for an empty body unless it may be `empty`.
    """
    claimed = request.headers.get("content-length", "")
    if claimed.isdigit() and (len(claimed) > 18 or int(claimed) > limit):
        raise _large(limit)
    _room(folder, int(claimed) if claimed.isdigit() else 0)
    waiting: list[bytes] = []
    size = held = 0
    file: BinaryIO | None = None
    try:
        async for part in request.stream():
            size, held = size + len(part), held + len(part)
            if size > limit:
                raise _large(limit)
            waiting.append(part)
            if held >= _BLOCK:
                if file is None:
                    file = await run_in_threadpool(_new, folder)
                await run_in_threadpool(_write, file, waiting)
                waiting, held = [], 0
        if file is not None:
            await run_in_threadpool(_write, file, waiting, True)
        if not size and not empty:
            raise Problem(400, said("web.empty"), hint=said("web.empty.fix"))
        yield b"".join(waiting) if file is None else Path(file.name)
    finally:
        if file is not None:
            file.close()
            Path(file.name).unlink(missing_ok=True)


def _new(folder: Path) -> BinaryIO:
    try:
        name = tempfile.mkstemp(".part", ".upload-", folder)
        os.close(name[0])
        return open(name[1], "wb", buffering=0)
    except OSError as error:
        raise _unkept(error) from error


def _write(file: BinaryIO, parts: list[bytes], last: bool = False) -> None:
    try:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[file.write(view) :]
        if last:
            file.close()
    except OSError as error:
        raise _unkept(error) from error


def _unkept(error: OSError) -> Problem:
    return Problem(507, said("web.unkept", reason=reason(error)), hint=said("web.unkept.fix"))


def _room(folder: Path, size: int) -> None:
    found = os.statvfs(folder) if hasattr(os, "statvfs") else None
    free = found.f_bavail * found.f_frsize if found else size + _SPARE
    if free < size + _SPARE:
        words = said("web.no_room", free=free // 1_000_000, needed=(size + _SPARE) // 1_000_000)
        raise Problem(507, words, hint=said("web.no_room.fix"))


def _large(limit: int) -> Problem:
    large = limit >= 1_000_000
    words = said("web.large", most=limit // 1_000_000) if large else said("web.large_bytes", most=limit)
    return Problem(413, words, hint=said("web.large.fix"))


def attachment(path: Path, name: str, kind: str, temporary: bool = False) -> Response:
    """A file to be saved, never shown; `temporary`: it is deleted when it was sent, or could not be."""
    response = _Passing if temporary else WholeFile
    return response(path, headers={"Content-Disposition": disposition(name)}, media_type=kind)


class WholeFile(FileResponse):
    """A file, or one range of it. Many ranges cost more than they are good for, and what is no range is passed over."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = [(name, value) for name, value in scope["headers"] if name != b"range" or _is_range(value)]
        await super().__call__({**scope, "headers": kept}, receive, send)


def _is_range(value: bytes) -> bool:
    found = _RANGE.fullmatch(value)
    return found is not None and int(found[1] or 0) <= int(found[2] or 10**18)


class _Passing(WholeFile):
    """A file that is gone after the answer, also when nobody stayed to read it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            Path(self.path).unlink(missing_ok=True)


def disposition(name: str) -> str:
    """Content-Disposition for a name of any characters: plain ASCII for old programs, UTF-8 for the rest (RFC 6266)."""
    safe = shown(name).replace("/", "_").replace("\\", "_")[:200]
    plain = "".join(c if c.isascii() and c not in '"%;' else "_" for c in safe)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


class Drawing:
    """Draws a few at once, in threads of its own, so that a page full of thumbnails leaves room for everything else."""

    def __init__(self, threads: int = DRAWN_AT_ONCE) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="handful-draw")
        self._places = asyncio.Semaphore(threads)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def unchanging(self, request: Request, tag: str, make: Callable[[], Drawn]) -> Response:
        """What belongs to a content hash: kept by the browser for good, and not drawn for who scrolled on."""
        headers = {"ETag": f'"{tag}"', "Cache-Control": UNCHANGING}
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        async with self._places:
            if await request.is_disconnected():
                return Response(status_code=499)
            content, kind, more = await asyncio.get_running_loop().run_in_executor(self._threads, make)
        return ranged(request, content, kind, headers | more)


def ranged(request: Request, content: bytes, kind: str, headers: dict[str, str]) -> Response:
    """All of it, or the one range asked for: players of sound seek so."""
    headers = headers | {"Accept-Ranges": "bytes"}
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", request.headers.get("range", ""))
    if not match or not any(match.groups()):
        return Response(content, headers=headers, media_type=kind)
    size = len(content)
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
    else:
        first, last = max(0, size - int(match[2])), size - 1
    if first > last:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Response(content[first : last + 1], 206, headers, kind)
