"""Who may ask the studio: a link that works once becomes a cookie, programs send a token; changes need a header of their own.

Knows keys, cookies and tokens; nothing of what is asked. Secrets are compared in constant time and only their hashes are
kept, so that a session survives a restart of the server and none can be read from the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import time
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from handful.errors import HandfulError
from handful.files import atomic_write, to_json
from handful.web.guard import Books, Failures, Headers, bearer, same
from handful.web.problems import Problem
from handful.words import both, said

KEPT_S = 30 * 86400.0  # a session nobody used for so long is forgotten
MAX_SESSIONS, MAX_KEYS = 50, 50
LOCKED, HOW = both("web.locked")
READ_ONLY = both("web.read_only")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# What is asked with POST and changes nothing.
_QUESTIONS = re.compile(r"/api/projects/[^/]+/(plan|preview|runs/[^/]+/predict)")


class Sessions:
    """Keys that are handed out, sessions that were made of them, and what lets programs in."""

    def __init__(self, books: Books, file: Path, port: int, tokens: Iterable[str], read_only: bool) -> None:
        """
        Args:
            file: where the hashes of sessions are kept.
            port: cookies do not tell ports apart, so their name does.
            tokens: what programs may send as `Authorization: Bearer TOKEN`.
        """
        self._books, self._file, self._read_only = books, file, read_only
        self._tokens = tuple(tokens)
        self._cookie = f"handful_{port}"
        self._keys: dict[str, str] = {}
        self._failures = Failures()
        self._sessions = self._load()

    def key(self, target: str = "/") -> str:
        """A new key of 256 bits; whoever brings it first is let in and led to `target`."""
        key = secrets.token_urlsafe(32)
        while len(self._keys) >= MAX_KEYS:
            del self._keys[next(iter(self._keys))]
        self._keys[_hash(key)] = target
        return key

    # -- the door asks -----------------------------------------------------------------------------------------------

    def admit(self, scope: Scope, headers: Headers) -> None:
        """Raises Problem 401 without session, key or token, 429 after too many wrong ones, 403 for what may not be."""
        changes = scope["method"] not in _SAFE and not _QUESTIONS.fullmatch(scope["path"])
        if token := bearer(headers):
            if not any(same(token, known) for known in self._tokens):
                raise self._refused(scope, said("web.token"), counts=True)
        elif not self._known(headers):
            if scope["path"] == "/" and scope["method"] == "GET" and _brings_key(scope):
                return  # `enter` looks at it
            raise self._refused(scope, LOCKED, counts=False)
        elif scope["method"] not in _SAFE and headers.get("x-handful") != ["1"]:
            self._books.refused.add(reason="header")
            raise Problem(403, said("web.header"), hint=said("web.header.fix"))
        if changes and self._read_only and scope["path"] != "/api/link":
            raise Problem(403, READ_ONLY[0], hint=READ_ONLY[1])

    def enter(self, scope: Scope, key: str) -> Response:
        """The key becomes a cookie, and the address bar forgets it. Raises Problem 401 or 429."""
        headers: Headers = {n.decode("latin-1"): [v.decode("latin-1")] for n, v in scope["headers"]}
        target = self._keys.pop(_hash(key), None) if "sec-purpose" not in headers else None  # a page looking ahead
        if target is None:
            if self._known(headers):
                return RedirectResponse("/", 303)
            raise self._refused(scope, said("web.link_used"), counts=True)
        session = secrets.token_urlsafe(32)
        self._sessions[_hash(session)] = time.time()
        self._save()
        answer = RedirectResponse(target, 303)
        answer.set_cookie(self._cookie, session, int(KEPT_S), path="/", httponly=True, samesite="strict")
        return answer

    def is_token(self, headers: Headers, token: str) -> bool:
        return same(bearer(headers) or "", token)

    # -- from here on: how -------------------------------------------------------------------------------------------

    def _known(self, headers: Headers) -> bool:
        found = _hash(_cookie(headers, self._cookie))
        last = self._sessions.get(found)
        if last is None or time.time() - last > KEPT_S:
            return False
        if time.time() - last > 3600:
            self._sessions[found] = time.time()
            self._save()
        return True

    def _refused(self, scope: Scope, words: str, counts: bool) -> Problem:
        self._books.refused.add(reason="session")
        try:
            self._failures.check((scope.get("client") or ("",))[0] if counts else "", counts=counts)
        except Problem as problem:
            return problem
        return Problem(401, words, {"WWW-Authenticate": "Bearer"}, hint=HOW)

    def _load(self) -> dict[str, float]:
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            return {str(name): float(last) for name, last in kept["sessions"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _save(self) -> None:
        newest = sorted(self._sessions.items(), key=lambda row: -row[1])[:MAX_SESSIONS]
        self._sessions = {name: last for name, last in newest if time.time() - last <= KEPT_S}
        with contextlib.suppress(HandfulError, OSError):  # then it ends with the server
            atomic_write(self._file, to_json({"sessions": self._sessions}) + "\n")
            self._file.chmod(0o600)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _brings_key(scope: Scope) -> bool:
    return any(part.startswith(b"key=") for part in scope.get("query_string", b"").split(b"&"))


def _cookie(headers: Headers, name: str) -> str:
    for line in headers.get("cookie", []):
        with contextlib.suppress(CookieError):
            if (found := SimpleCookie(line).get(name)) is not None:
                return str(found.value)
    return ""
