"""How large and how fast the exported models are, as `handful export --benchmark` measured them.

Reads `exports/benchmark.json` of a run; a run that was not measured has no such section.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from handful.reporting.words import Name, Number, Sentence

KEPT = "exports/benchmark.json"
# Key of a row -> how its number is read.
FIGURES = {"bytes": "bytes", "batch_1_ms": "milliseconds", "batch_32_ms": "milliseconds", "peak_rss_bytes": "bytes"}


def card(folder: Path) -> dict[str, Any] | None:
    """A row a format, fastest first; None where nothing was measured, or where the file is damaged."""
    try:
        rows = json.loads((folder / KEPT).read_text(encoding="utf-8"))["rows"]
        found = [_row(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not found:
        return None
    found.sort(key=lambda row: float(row["batch_1_ms"].value))
    first = found[0]
    threads = Number(first["threads"], "count")
    values = {"n": first["threads"], "threads": threads, "format": first["format"], "time": first["batch_1_ms"]}
    return {"rows": found, "summary": Sentence("speed.summary", values)}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    numbers = {key: Number(float(row[key]), kind) for key, kind in FIGURES.items()}
    names = {key: Name(str(row[key])) for key in ("format", "engine")}
    return {**numbers, **names, "threads": int(row["threads"])}
