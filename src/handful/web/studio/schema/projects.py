"""The machine, projects and their samples, what is brought into them and what a look at them finds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from handful.web.studio.schema.base import LONG, Modality, Score, Severity, Shape, Told

# -- the machine -------------------------------------------------------------------------------------------------------


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


# -- projects and what is in them --------------------------------------------------------------------------------------


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
    validation: int = Field(
        0, description="of its samples, those that models are compared on; the finished model learns from them too"
    )
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


# -- import and recording ----------------------------------------------------------------------------------------------


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


class Torn(Shape):
    """A file that came in another class as well: the first one is taken, this one is not."""

    path: str
    label: str
    first: str = Field(description="path of the one that is taken")
    there: str = Field(description="its class")


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
    twice: int = Field(0, description="of the duplicates, those that are twice in the import")
    torn: list[Torn] = Field(default_factory=list, description="the same content in two classes of the import")
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


# -- checking ----------------------------------------------------------------------------------------------------------


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


# -- what is asked for -------------------------------------------------------------------------------------------------


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
