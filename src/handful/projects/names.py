"""Names that people give to classes, files and projects: made safe to store, matched, and compared for near misses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from handful.projects.reasons import ProjectError
from handful.words import Sentence, both

_DRIVE = re.compile(r"[A-Za-z]:")
# Small letters of other scripts and the Latin ones they are mistaken for.
_LOOKS_LIKE = str.maketrans("авекмнорстухіѕјοαενρτυικχ", "abekmhopctyxisjoaevptuikx")
LONGEST = {"class": 200, "project": 120, "model": 200, "group": 200}  # characters of a name, by whose it is
_TYPO_FROM = 5  # letters; shorter words one letter apart are usually two words


def clean_name(name: str, what: str = "class") -> str:
    """`name` in NFC without space around it; control characters and undecodable bytes become visible escapes.

    Args:
        what: whose name it is: one of LONGEST.

    Raises:
        ProjectError: nothing is left, or it is longer than LONGEST says.
    """
    text = visible(name)
    if not any(not c.isspace() and unicodedata.category(c) != "Cf" for c in text):
        raise ProjectError(*both("error.name_empty", what=Sentence(f"named.{what}")))
    if len(text) > LONGEST[what]:
        begin, kind = f"{text[:20]}…", Sentence(f"named.{what}")
        raise ProjectError(*both("error.name_long", what=kind, name=begin, n=len(text), most=LONGEST[what]))
    return text


def visible(name: str) -> str:
    """`name` in NFC without space around it, line breaks and the like written out."""
    text = name.strip() if name.isascii() else unicodedata.normalize("NFC", name).strip()
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape", "surrogatepass").decode("ascii")
        if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
        else c
        for c in text
    )


@lru_cache(maxsize=4096)
def bare(name: str) -> str:
    """What is left of a name without case, spaces, invisible characters, and with look-alike letters made one."""
    text = unicodedata.normalize("NFKC", name).casefold()
    text = "".join(c for c in text if unicodedata.category(c) != "Cf" and not c.isspace())
    if any(c.isalpha() for c in text):
        text = text.replace("-", "").replace("_", "")
    return text.translate(_LOOKS_LIKE).rstrip("/")


def similar(name: str, others: Iterable[str]) -> str | None:
    """The one of `others` that may be meant: same but for case, spaces, invisible or look-alike letters, or one typo."""
    mine = bare(name)
    close = None
    for other in others:
        if other == name:
            continue
        theirs = bare(other)
        if theirs == mine:
            return other
        if close is None and _one_typo(mine, theirs):
            close = other
    return close


def _one_typo(a: str, b: str) -> bool:
    """Whether one letter was added, left out, changed or swapped with the next; digits tell things apart, so they do not count."""
    if len(a) > len(b):
        a, b = b, a
    if len(a) < _TYPO_FROM or len(b) - len(a) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if len(a) < len(b):
        return a[start:] == b[start + 1 :] and b[start].isalpha()
    if not (a[start].isalpha() and b[start].isalpha()):
        return False
    swapped = a[start : start + 2] == b[start : start + 2][::-1] and a[start + 2 :] == b[start + 2 :]
    return a[start + 1 :] == b[start + 1 :] or swapped


def relative(path: str) -> str:
    """A path as a browser or an old zip gives it, with `/` between its parts and nothing that leads elsewhere.

    Raises:
        ProjectError: no name is left.
    """
    parts = _DRIVE.sub("", visible(path).replace("\\", "/"), count=1) if _DRIVE.match(path) else visible(path)
    kept = [part for part in parts.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not kept:
        raise ProjectError(*both("error.file_unnamed"))
    return "/".join(kept)[-2000:]
