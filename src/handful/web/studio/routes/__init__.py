"""One file an area of the interface; each makes a router over a studio. Paths stand below /api."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Header, Path

from handful.words import languages

ProjectId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
SampleId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
ImportId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

Spoken = Annotated[str, Header(max_length=200, description="Accept-Language: of the words in the answer")]

BYTES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def spoken(header: str) -> str:
    """The first language of Accept-Language, without its country, where we speak it: the pages send the one they show."""
    found = re.match(r"[a-z]{2,3}(?![a-z])", header.strip().lower())
    return found[0] if found and found[0] in languages() else "en"


def binary(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers with a file of one of these media types."""
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"content": dict.fromkeys(kinds, schema), "description": "the file"}}
