"""Gets one file from the network and believes nothing it is told: time-outs, size, redirects and SHA-256 are checked.

A transfer goes into `TARGET.part` and becomes TARGET by a rename once its hash is right; what was interrupted is resumed by
a range request. Proxy variables and SSL_CERT_FILE are obeyed, as urllib does. Knows nothing about models.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import queue
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FIRST_BYTE_SECONDS = 3.0
STALL_SECONDS = 10.0
_CHUNK = 1 << 16
_LOOPBACK = ("127.0.0.1", "::1")

Progress = Callable[[int, int], None]


class DownloadError(Exception):
    """Why a file did not arrive, as one line for the user. `network`: the host did not answer, others on it won't either."""

    def __init__(self, message: str, network: bool = False) -> None:
        super().__init__(message)
        self.network = network


def allowed(url: str) -> bool:
    """https anywhere; plain http on this machine only."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not allowed(newurl):
            fp.close()
            raise DownloadError(f"{urlsplit(req.full_url).hostname} redirects to an unencrypted address; refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(frozen=True)
class _Answer:
    """What the server said before the body. `start` is where in the file the body begins, `total` the whole size or 0."""

    start: int
    total: int


def download(
    url: str, target: Path, sha256: str, *, md5: str = "", limit_bytes: int | None, progress: Progress | None = None
) -> None:
    """Put `url` at `target`. `sha256`: leading hex digits, or "" if nobody published them; so too `md5`.

    `progress` is called with (bytes so far, bytes in all or 0). Raises DownloadError; an interrupt leaves the part for later.
    """
    if not allowed(url):
        raise DownloadError(f"{url} is not https; refused")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _part_file(target) as part:
        resumed = part.stat().st_size > 0
        try:
            _transfer(url, part, limit_bytes, progress)
            _verify(part, sha256, md5)
        except DownloadError:
            if not resumed or part.stat().st_size:
                raise
            # The old part did not belong to this file: once more from the beginning.
            _transfer(url, part, limit_bytes, progress)
            _verify(part, sha256, md5)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, target)


@contextlib.contextmanager
def _part_file(target: Path) -> Iterator[Path]:
    """The file a transfer grows in: `TARGET.part`, or one of our own while another process writes that one."""
    import fcntl

    shared = target.with_name(target.name + ".part")
    with open(shared, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part = shared
        except BlockingIOError:
            part = target.with_name(f"{target.name}.{os.getpid()}.part")
            part.touch()
        try:
            yield part
        finally:
            with contextlib.suppress(FileNotFoundError):
                if part is not shared or part.stat().st_size == 0:
                    part.unlink()


def _verify(part: Path, sha256: str, md5: str) -> None:
    """Empties `part` when it is not what was asked for, so that nobody resumes it."""
    with open(part, "rb") as file:
        start = file.read(64).lstrip().lower()
        file.seek(0)
        wrong = next(filter(None, (difference(file, *wanted) for wanted in (("sha256", sha256), ("md5", md5)))), "")
    if start.startswith((b"<!doctype", b"<html")):
        wrong = "the answer is a web page, not weights (a log-in page of the network?)"
    elif wrong:
        wrong = f"the file has {wrong}"
    if wrong:
        os.truncate(part, 0)
        raise DownloadError(wrong)


def difference(file: BufferedReader, kind: str, wanted: str) -> str:
    """ "" if the hash of a whole file begins with `wanted`, else both in words. MD5 tells damage, not malice."""
    file.seek(0)
    found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest() if wanted else ""
    name = {"sha256": "SHA-256", "md5": "MD5"}[kind]
    return "" if found.startswith(wanted) else f"{name} {found[:12]}..., not {wanted[:12]}..."


def _transfer(url: str, part: Path, limit_bytes: int | None, progress: Progress | None) -> None:
    """Append what is missing of `url` to `part`. The network is watched from outside: a hanging DNS query cannot be timed."""
    have = part.stat().st_size
    parcels: queue.Queue[_Answer | bytes | Exception] = queue.Queue(maxsize=64)
    stop = threading.Event()
    threading.Thread(target=_fetch, args=(url, have, parcels, stop), daemon=True, name="handful-download").start()
    done, total, patience, answered = have, 0, FIRST_BYTE_SECONDS, False
    try:
        with open(part, "r+b") as file:
            while True:
                try:
                    parcel = parcels.get(timeout=patience)
                except queue.Empty:
                    seen = "no progress" if answered else "no answer"
                    raise DownloadError(
                        f"{seen} from {urlsplit(url).hostname} for {patience:.0f} s", network=True
                    ) from None
                if isinstance(parcel, Exception):
                    raise _explained(parcel, url) from parcel
                if isinstance(parcel, _Answer):
                    done, total, patience, answered = parcel.start, parcel.total, STALL_SECONDS, True
                    file.truncate(done)
                    file.seek(done)
                elif parcel:
                    file.write(parcel)
                    done += len(parcel)
                else:
                    break
                if limit_bytes is not None and max(done, total) > limit_bytes:
                    file.truncate(0)
                    raise DownloadError(
                        f"it has {max(done, total) / 1e6:.0f} MB, more than the {limit_bytes / 1e6:.0f} MB fetched unasked"
                    )
                if progress:
                    progress(done, total)
    finally:
        stop.set()
    if done < total:
        raise DownloadError(
            f"the transfer broke off after {done:,} of {total:,} bytes; the next try resumes there", network=True
        )


def _fetch(url: str, have: int, parcels: queue.Queue[_Answer | bytes | Exception], stop: threading.Event) -> None:
    """The only code that touches a socket: answer, pieces, then b"" or what went wrong."""

    def put(parcel: _Answer | bytes | Exception) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                parcels.put(parcel, timeout=0.2)
                return

    headers = {"User-Agent": "handful", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    opener = urllib.request.build_opener(_Redirects)
    try:
        # Longer than the watcher's patience: this only ends the thread it has left behind.
        with opener.open(urllib.request.Request(url, headers=headers), timeout=2 * STALL_SECONDS) as response:
            length = int(response.headers.get("Content-Length") or 0)
            resumes = response.status == 206 and (response.headers.get("Content-Range") or "").startswith(
                f"bytes {have}-"
            )
            start = have if resumes else 0
            put(_Answer(start, start + length if length else 0))
            while not stop.is_set() and (piece := response.read1(_CHUNK)):
                put(piece)
            put(b"")
    except urllib.error.HTTPError as error:
        error.close()
        # 416: the part is already as long as the file, or longer.
        put(_Answer(0, 0) if error.code == 416 and have else error)
        if error.code == 416 and have:
            put(b"")
    except Exception as error:
        put(error)


def _explained(error: Exception, url: str) -> DownloadError:
    host = urlsplit(url).hostname
    if isinstance(error, DownloadError):
        return error
    if isinstance(error, urllib.error.HTTPError):
        return DownloadError(f"{host} answered {error.code} {error.reason}")
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DownloadError(
            f"the certificate of {host} is not trusted ({reason.verify_message}); SSL_CERT_FILE names your own",
            network=True,
        )
    if isinstance(error, http.client.HTTPException | ValueError):
        return DownloadError(f"{host} answered nonsense ({type(error).__name__})")
    return DownloadError(f"{host} cannot be reached ({getattr(reason, 'strerror', None) or reason})", network=True)
