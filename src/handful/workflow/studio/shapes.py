"""What files of a project must look like before the studio reads them: a whole project can come from a stranger as one file.

Knows names and types of what is read, not what it means; what is not named here may be anything. A file that does not fit is
damaged: it is left out of lists, and whoever asks for it alone is told.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from handful.errors import RunError
from handful.words import both, shown

# All that reading strange content raises; a RecursionError is what json and yaml say of deep nesting.
_STRANGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError)


class Kept(BaseModel):
    """Strict: what passes can be used as it was, without conversion."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Score(Kept):
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None


class _Map(Kept):
    explained: list[float] | None = None


class Result(Kept):
    """run.json"""

    model: str = ""
    strategy: str = ""
    modality: str | None = None
    head: str | None = None
    classes: list[str] | None = None
    samples: int | None = None
    score: _Score | None = None
    test: _Score | None = None
    macro_f1: float | None = None
    parameters: int | None = None
    macs: int | None = None
    seconds: dict[str, float | None] | None = None
    peak_rss_bytes: int | None = None
    map: _Map | None = None
    curve: dict[str, Any] | None = None


class SampleRow(Kept):
    """A line of samples.jsonl"""

    id: str
    file: str
    label: str
    group: str | None = None
    cluster: int | None = None
    map: tuple[float, float] | None = None


class TestRow(Kept):
    """A line of test.jsonl"""

    file: str
    label: str


class _Change(Kept):
    value: float | None = None
    low: float | None = None
    high: float | None = None


class _Drop(Kept):
    change: _Change | None = None


class Proof(Kept):
    """A row of exports/proofs.json"""

    format: str
    bytes: int
    max_error: float | None = None
    agree: int | None = None
    n: int | None = None
    latency_ms: float | None = None
    drop: _Drop | None = None


class Speed(Kept):
    """A row of exports/benchmark.json"""

    format: str
    batch_1_ms: float | None = None


class _Deletion(Kept):
    passed: bool
    salient: float
    random: float


class Explanation(Kept):
    """A row of explanations.json"""

    file: str
    predicted: str
    label: str | None = None
    confidence: float
    method: str
    before: str
    overlay: str
    filtered: str | None = None
    deletion: _Deletion | None = None


class _Finding(Kept):
    kind: str
    severity: Literal["error", "warning", "note"]
    message: str
    files: list[str]
    fix: str = ""


class Findings(Kept):
    """findings.json"""

    format: Literal[1]
    made: float
    labels: str = ""
    findings: list[_Finding]
    suggested: dict[str, str] = {}
    skipped: list[dict[str, str]] = []


class _Measured(_Score):
    value: float
    low: float
    high: float
    n: int


class _Raced(Kept):
    name: str
    model: str
    strategy: str
    score: _Measured
    settings: dict[str, Any] | None = None
    difference: _Change | None = None
    macro_f1: float | None = None
    parameters: int | None = None
    macs: int | None = None
    bytes: int | None = None
    latency_ms: float | None = None
    seconds: float | None = None


class _Unfinished(Kept):
    name: str
    why: str
    folds_done: int
    of: int


class Board(Kept):
    """leaderboard.json"""

    folds: str
    rows: list[_Raced]
    unfinished: list[_Unfinished]


def fits(value: Any, shape: Any) -> bool:
    """Whether `value`, as it was read from JSON, has this shape and is text and finite numbers throughout."""
    try:
        TypeAdapter(shape).validate_json(json.dumps(value, allow_nan=False))
    except _STRANGE:
        return False
    return True


def read(path: Path) -> Any:
    """The JSON in a file; None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


@contextlib.contextmanager
def readable(run: Path) -> Iterator[None]:
    """Raises RunError for whatever goes wrong with the content of a run's files."""
    try:
        yield
    except _STRANGE as error:
        what = f"{type(error).__name__}: {shown(str(error))[:100]}"
        raise RunError(*both("error.run_damaged", run=run.name, why=what)) from error
