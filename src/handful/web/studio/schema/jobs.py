"""Training: the recipe as a form, what the button would do, and jobs while they work."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from handful.web.studio.schema.base import Kind, Method, Modality, Shape, State, Told


class RecipeField(Shape):
    name: str
    label: str = Field(description="what it is called for people who never trained a model")
    group: Literal["basic", "data", "model", "training", "evaluation"]
    help: str
    type: Literal["text", "integer", "number", "boolean", "choice", "list"]
    default: Any = None
    choices: list[str] = Field(default_factory=list)
    names: dict[str, str] = Field(default_factory=dict, description="what choices are called, where not by themselves")
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    modality: Modality | None = Field(None, description="the kind of data that it says something of; None: any")


class RecipeForm(Shape):
    fields: list[RecipeField]


class Preset(Shape):
    name: str
    title: str
    summary: str
    settings: dict[str, Any]
    sets: list[str] = Field(description="the settings in words")
    race: bool = Field(description="compares several; starts a compare job")


class ModelCard(Shape):
    name: str
    family: str
    modality: Modality | None
    parameters: int | None
    macs: int | None
    blocks: int | None
    top1: float | None
    licence: str | None
    pretrained: bool
    at_hand: bool = Field(description="its weights are here, or it needs none")
    extra: str | None
    lacks: str | None = Field(None, description="the extra without which it cannot be used here, see /api/about")
    tier: str | None = None


class PlanRequest(Shape):
    settings: dict[str, Any] = Field(default_factory=dict)
    preset: str | None = None


class Plan(Shape):
    """What the button would do."""

    ready: bool
    sentence: str = Field(description='e.g. "with a ready-made network, about 12 s"')
    model: str | None = None
    strategy: str | None = None
    method: Method | None = Field(None, description="how it would learn, for people")
    seconds: float | None = Field(None, description="estimate; None: not known")
    why: str = ""
    problems: list[str] = Field(default_factory=list, description="what keeps it from starting, each with what to do")
    notes: list[str] = Field(default_factory=list, description="what to know before, though it can start")


class Augmented(Shape):
    before: str = Field(description="data URL of a picture, or of a sound's spectrogram")
    after: list[str]


class NewJob(Shape):
    kind: Kind
    settings: dict[str, Any] = Field(default_factory=dict, description="recipe settings, or options of the command")
    preset: str | None = None
    run: str | None = Field(None, description="export, explain, curve: of this run; train: start from it")
    formats: list[str] = Field(default_factory=list, description="export")
    accept_drop: bool = False
    title: str = Field("", max_length=120)


class Progress(Shape):
    stage: str
    done: int
    of: int


class Job(Shape):
    id: str
    project: str
    kind: Kind
    title: str = Field(description="what it was called, empty where nobody did")
    number: int | None = Field(None, description="which training of the project it is, or uses")
    state: State
    position: int | None = Field(None, description="place in the queue, from 1")
    created: float
    started: float | None = None
    ended: float | None = None
    progress: Progress | None = None
    share: float | None = Field(None, description="of the whole job, 0 to 1; None: not known")
    eta_seconds: float | None = None
    rss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    run: str | None = Field(None, description="the run it makes or uses")
    error: str | None = None
    hint: str | None = None
    told: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="language -> {error, hint}, where they can be said in it"
    )
    can_accept_drop: bool = Field(False, description="an export that was refused for what it costs could be kept")
    can_pause: bool = False
    can_resume: bool = False
    can_stop: bool = False


class LogLine(Shape):
    n: int
    time: float
    text: Told


class LogPart(Shape):
    lines: list[LogLine]
    next: int


class Series(Shape):
    """Points of curves: raw values, by name."""

    next: int
    points: list[dict[str, Any]] = Field(description="{n, time, fold, epoch, step, loss, accuracy, learning_rate, ...}")
