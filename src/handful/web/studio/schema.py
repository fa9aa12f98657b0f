"""The shapes that go over the wire between the studio's pages and its server; OpenAPI is made of them.

Knows names and types only. Times are seconds since 1970, durations seconds, sizes bytes, probabilities 0 to 1.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from handful.words import load, retold

LONG = 10_000  # characters of a name; what is too long for a class or project is said by who keeps it, in words
Modality = Literal["image", "audio"]
Severity = Literal["error", "warning", "note"]
State = Literal["queued", "running", "pausing", "paused", "stopping", "stopped", "interrupted", "failed", "done"]
Method = Literal["quick", "ready", "adapted", "new", "joined"]
Kind = Literal["train", "compare", "check", "export", "explain", "curve"]
LANGUAGE: ContextVar[str] = ContextVar("language", default="en")  # of the answer that is being made
# A sentence in that language, where it is one.
Told = Annotated[str, BeforeValidator(lambda text: retold(text, load(LANGUAGE.get(), "studio")))]


class Shape(BaseModel):
    """Unknown keys are errors on the way in; on the way out attributes of records will do."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


# -- the machine ----------------------------------------------------------------------------------------------------------


class Extra(Shape):
    installed: bool
    command: str = Field(description="what installs it")


class About(Shape):
    version: str
    pages: str | None = Field(
        None, description="script of the pages as built now; a tab that began with another is old"
    )
    read_only: bool
    languages: list[str]
    extras: dict[str, Extra] = Field(description="learn, torch, ...")
    home: str = Field(description="folder that holds the projects")
    max_file_bytes: int
    processors: int


class MemoryStatus(Shape):
    total_bytes: int
    available_bytes: int
    server_bytes: int
    jobs_bytes: int
    gpu_total_bytes: int | None = None
    gpu_free_bytes: int | None = None
    disk_free_bytes: int
    running: int
    queued: int


# -- projects and what is in them ----------------------------------------------------------------------------------------


class NewProject(Shape):
    name: str = Field(min_length=1, max_length=LONG, description="at most 120 characters")
    modality: Modality | None = None


class ProjectName(Shape):
    name: str = Field(min_length=1, max_length=LONG, description="at most 120 characters")


class ClassCard(Shape):
    name: str
    count: int
    takes: int = Field(description="recordings or other groups its samples come from")
    sources: int = Field(
        description="as takes, and each sample without one counts by itself; with one nothing can be tested"
    )
    validation: int = Field(0, description="of its samples, those that models are compared on and never fitted to")
    test: int = Field(0, description="of its samples, those kept for the last test of a model")


class ProjectCard(Shape):
    id: str
    name: str
    modality: Modality | None
    classes: int
    samples: int
    runs: int
    updated: float
    covers: list[str] = Field(description="up to four sample ids to show")
    score: Score | None = Field(None, description="of the best run")
    busy: bool = Field(description="a job is running")


class Change(Shape):
    """A change that undo takes back or redo makes again, for pages to say in their language."""

    kind: str = Field(
        description="add, record, import, move, relabel, group, split, delete, class, rename-class, merge, ..."
    )
    action: str = Field(description="names it, for undo and redo")
    n: int = Field(0, description="samples")
    name: str = ""
    to: str = ""
    names: list[str] = Field(default_factory=list)
    number: int | None = Field(None, description="delete-run: of a run that nobody named")


class Project(Shape):
    id: str
    name: str
    modality: Modality | None = Field(description="None until the first file says")
    classes: list[ClassCard] = Field(description="in the order of their cards")
    samples: int
    takes: int
    created: float
    updated: float
    revision: int = Field(description="grows with every change")
    undo: Told | None = Field(description="what undo would take back, in words; None: nothing")
    redo: Told | None
    undo_change: Change | None = None
    redo_change: Change | None = None
    runs: int
    folder: str


class Done(Shape):
    """A change was made; `project` is how it stands now."""

    said: Told = Field(description="what happened, in words")
    action: str | None = Field(
        None, description="names the change, for undo (of an undo: for redo); None: nothing to take back"
    )
    project: Project


class Trash(Shape):
    """What was deleted and can still be brought back."""

    files: int
    bytes: int


class Sample(Shape):
    id: str
    name: str = Field(description="as the user called it")
    label: str
    group: str = Field("", description="take or other origin; its samples never straddle a split")
    bytes: int
    added: float
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    rate_hz: int | None = None
    split: str = Field(
        "", description="train, validation or test, as its data came divided or somebody chose; empty: nobody said"
    )
    flags: list[str] = Field(default_factory=list, description="kinds of findings that name it")
    glimpse: str = Field(
        "", description="base64 of 4 x 4 pixels (B, G, R, from the top) to show until the thumbnail is there"
    )


class SamplePage(Shape):
    total: int
    offset: int
    samples: list[Sample]


class Wave(Shape):
    """Lowest and highest value of each of `low`'s slices of a sound, -1 to 1."""

    seconds: float
    rate_hz: int
    low: list[float]
    high: list[float]


# -- import and recording -------------------------------------------------------------------------------------------------


class Reject(Shape):
    path: str
    reason: Told


class FoundClass(Shape):
    name: str
    count: int
    exists: bool = Field(description="the project has this class already")
    similar: str | None = Field(None, description="an existing class that may be meant")


class Elsewhere(Shape):
    """A file that the project has already, in another class."""

    path: str
    sample: str
    there: str = Field(description="the class it is in")
    label: str = Field(description="the class it comes with; empty: none")


class FoundTable(Shape):
    """A labels table among the files."""

    path: str
    delimiter: str
    encoding: str
    columns: list[str]
    rows: list[list[str]] = Field(description="the first few")
    file_column: str | None
    label_column: str | None
    matched: int = Field(description="rows whose file is here")
    missing: int
    problem: Told | None = Field(None, description="why it cannot be used")
    parts: dict[str, int] = Field(default_factory=dict, description="files by what its column split says")


class ImportPreview(Shape):
    """What would happen; nothing has."""

    id: str
    files: int
    bytes: int
    received: list[str] = Field(description="paths that are here, for going on after an interruption; at most 20,000")
    modality: Modality | None
    classes: list[FoundClass]
    unlabelled: int = Field(description="files outside any class folder")
    duplicates: int = Field(description="already in the project, or twice in the import")
    rejects: list[Reject]
    tables: list[FoundTable]
    problem: Told | None = Field(None, description="why it cannot be confirmed")
    parts: dict[str, int] = Field(default_factory=dict, description="labelled files by part: train, validation, test")
    elsewhere: list[Elsewhere] = Field(default_factory=list, description="here already in another class; choice `move`")
    skipped: int = Field(0, description="files that systems leave behind, such as Thumbs.db")


class ImportChoice(Shape):
    classes: dict[str, str] = Field(default_factory=dict, description="found name -> wanted name; '' leaves it out")
    unlabelled: str | None = Field(None, description="class of files outside any class folder; None leaves them out")
    table: str | None = Field(None, description="path of the labels table to use instead of folders")
    file_column: str | None = Field(None, description="of the table; None: as found")
    label_column: str | None = None
    move: bool = Field(False, description="what is here in another class goes into the one it comes with")
    keep_parts: bool = Field(True, description="what came as validation or test part is kept for testing")


class Received(Shape):
    """One file of an import has arrived."""

    path: str
    bytes: int
    files: int = Field(description="files it brought: 1, those of an archive, or 0 where it was refused")
    reason: Told | None = Field(None, description="why it was refused, in words; None: it was taken")


class NewTake(Shape):
    label: str = Field(min_length=1, max_length=LONG)
    source: Literal["microphone", "webcam", "try"]
    device: str = Field("", max_length=300)


class Recorded(Shape):
    """What became of a recording."""

    samples: list[Sample]
    known: int = Field(0, description="clips left out because the project has the very same")
    known_in: list[str] = Field(default_factory=list, description="the classes that have them")
    silent: int = Field(0, description="clips left out because nothing can be heard in them")
    action: str | None = Field(None, description="names the change, for undo; None: nothing was added")


class Take(Shape):
    id: str
    label: str
    source: str
    created: float


# -- checking ----------------------------------------------------------------------------------------------------------------


class FindingCard(Shape):
    id: str
    kind: str
    severity: Severity
    message: str
    samples: list[str] = Field(description="sample ids, most suspicious first")
    suggestions: dict[str, str] = Field(default_factory=dict, description="sample id -> class that is more likely")
    fix: str = Field("", description="advice in words")
    action: str | None = Field(None, description="label of the one-click fix; None: there is none")


class Findings(Shape):
    made: float | None = Field(description="None: never looked")
    fresh: bool = Field(description="nothing changed since")
    findings: list[FindingCard]
    skipped: list[dict[str, str]] = Field(default_factory=list)


class MapPoint(Shape):
    id: str
    label: str
    x: float
    y: float
    predicted: str | None = None


class EmbeddingMap(Shape):
    run: str | None = Field(description="the run whose embeddings these are; None: train first")
    points: list[MapPoint]
    explained: list[float] = Field(default_factory=list, description="share of the variance each axis shows")


# -- training -----------------------------------------------------------------------------------------------------------------


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


# -- runs -----------------------------------------------------------------------------------------------------------------------


class Score(Shape):
    metric: str
    value: float
    low: float
    high: float
    n: int
    method: str = ""
    interval: str = ""


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
    name: str = Field(description="file name, for the download")
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


class Renamed(Shape):
    name: str = Field(min_length=1, max_length=LONG)
    to: str = Field(min_length=1, max_length=LONG)


class Named(Shape):
    name: str = Field(min_length=1, max_length=LONG)


class Merged(Shape):
    names: list[str] = Field(min_length=1, max_length=1000)
    to: str = Field(min_length=1, max_length=LONG)


class Chosen(Shape):
    ids: list[str] = Field(min_length=1, max_length=100_000)


class Moved(Chosen):
    label: str = Field(min_length=1, max_length=LONG)


class Grouped(Chosen):
    group: str = Field(max_length=LONG)


class Divided(Chosen):
    split: Literal["", "train", "validation", "test"] = Field(
        description="validation and test: kept for that alone; empty: for training and testing as usual"
    )


class SampleProject(Shape):
    kind: Literal["digits", "sounds"]


ProjectCard.model_rebuild()
