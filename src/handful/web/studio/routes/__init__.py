"""One file an area of the interface; each makes a router over a studio. Paths stand below /api."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path

ProjectId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
SampleId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
ImportId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

BYTES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def binary(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers with a file of one of these media types."""
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"content": dict.fromkeys(kinds, schema), "description": "the file"}}
