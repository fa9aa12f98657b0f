"""Finished runs: what they say, what is tried, exported and compared."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from handful.web.studio.schema.base import Method, Score, Shape, Told
from handful.web.studio.schema.projects import Sample


class RunCard(Shape):
    id: str
    name: str
    number: int | None = Field(
        None, description="which training it is, where nobody named it; pages say that in their language"
    )
    created: float
    model: str
    strategy: str
    head: str | None = None
    method: Method = Field(description="how it learns, for people")
    score: Score | None
    macro_f1: float | None = None
    test: Score | None = None
    samples: int
    classes: list[str]
    parameters: int | None = None
    macs: int | None = None
    bytes: int | None = None
    latency_ms: float | None = None
    seconds: float | None = None
    peak_rss_bytes: int | None = None
    stale: bool = Field(description="labels or samples changed since")


class RunDetail(Shape):
    card: RunCard
    headline: list[str] = Field(description="in words")
    advice: list[str]
    result: dict[str, Any] = Field(description="run.json")
    named: dict[str, str] = Field(
        default_factory=dict, description="technical texts of the result -> the same in words"
    )
    curve: dict[str, Any] | None = None
    changed: list[str] = Field(default_factory=list, description="sample ids whose label changed since")
    gone: int = 0


class Prediction(Shape):
    """What a model that had not seen the sample said of it."""

    sample: Sample | None = Field(description="None: it is no longer in the project")
    id: str
    file: str
    true: str
    predicted: str
    confidence: float
    scores: dict[str, float]


class ExplanationCard(Shape):
    sample: str | None
    file: str
    label: str
    predicted: str
    confidence: float
    method: str
    original: str = Field(description="name below explanations/")
    picture: str
    sound: str | None = None
    words: str


class Answer(Shape):
    label: str
    confidence: float
    scores: dict[str, float]
    set: list[str]
    unknown: bool
    below: float | None = Field(None, description="confidence under which it is called unknown")
    milliseconds: float
    window_seconds: float | None = Field(None, description="what it hears at once; None: it looks at pictures")


class Format(Shape):
    name: str
    title: str
    about: str
    available: bool
    why_not: str | None = None
    command: str | None = Field(None, description="what would make it available")


class ExportCard(Shape):
    format: str
    name: str = Field(description="its place below exports/")
    file: str = Field(description="what it is saved as")
    bytes: int
    max_error: float | None
    agree: int | None
    n: int | None
    latency_ms: float | None
    accuracy_change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    snippet: str
    language: str
    made: float


class ComparedRun(Shape):
    card: RunCard
    tied_with_best: bool
    pareto: bool = Field(description="no other is both faster and better")
    difference: float | None = Field(None, description="to the best, on samples both were tested on")
    low: float | None = None
    high: float | None = None
    n: int | None = None


class Difference(Shape):
    setting: str
    label: str = Field(description="what the setting is called")
    values: dict[str, Any] = Field(description="run id -> value")


class RaceRow(Shape):
    """One candidate of a race (a compare job): measured on the race's folds, not kept as a run."""

    name: str
    model: str
    strategy: str
    settings: dict[str, Any] = Field(description="what a train job takes to make it a run")
    score: Score
    macro_f1: float | None = None
    parameters: int | None = None
    macs: int | None = None
    bytes: int | None = None
    latency_ms: float | None = None
    seconds: float | None = None
    tied_with_best: bool
    recommended: bool
    difference: float | None = Field(None, description="to the best of the race")
    low: float | None = None
    high: float | None = None


class Unfinished(Shape):
    name: str
    why: Told
    folds_done: int
    of: int


class Race(Shape):
    id: str
    made: float
    folds: str = Field(description="how it was measured")
    why: str = Field(description="why this one is recommended")
    rows: list[RaceRow]
    unfinished: list[Unfinished]


class Comparison(Shape):
    rows: list[ComparedRun]
    differences: list[Difference]
    why: str = Field(description="how ties were decided, in words")
    cost: Literal["latency_ms", "parameters"] = Field("parameters", description="by what `pareto` was decided")
    races: list[Race] = Field(default_factory=list, description="leaderboards of compare jobs, the newest first")
