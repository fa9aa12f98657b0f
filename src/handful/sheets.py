"""Tables of text as other programs write and open them: encodings, and cells that no spreadsheet runs.

A text that a spreadsheet would take for a formula is written with `'` before it, and read without. Knows no columns.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def guarded(text: str) -> str:
    """`text` as a cell that no spreadsheet runs; `unguarded` gives it back unchanged."""
    return "'" + text if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _GUARDED.match(cell) else cell


def decode(content: bytes) -> tuple[str, str]:
    """(text, encoding). What is not Unicode is taken for a Windows code page, Cyrillic where such letters stand together."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace"), "utf-16"
    try:
        return content.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        encoding = "cp1251" if re.search(rb"[\xc0-\xff]{2}", content) else "cp1252"
        return content.decode(encoding, errors="replace"), encoding
