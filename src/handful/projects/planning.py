"""What an import would do: which class each received file goes to, what is there already, what cannot be used.

Decides from paths, hashes and a labels table; changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from handful.folders import are_parts, split_named
from handful.projects.contents import KINDS
from handful.projects.names import bare, clean_name, similar
from handful.projects.reasons import ProjectError
from handful.words import said

if TYPE_CHECKING:
    from handful.projects.project import Project

_DIGITS = re.compile(r"([0-9]+)")
_COMPARED = 400  # classes; where there are more, only those that look the same are told


class Meant(NamedTuple):
    """What folders or a table say of a file: its class, its group, its part ("train", "validation", "test"); "" where nothing."""

    label: str
    group: str = ""
    split: str = ""


@dataclass(frozen=True)
class Reject:
    path: str
    reason: str


@dataclass(frozen=True)
class Elsewhere:
    """A received file that the project has already as `sample`, in class `there`; `label`: the class it comes with, "" for none."""

    path: str
    sample: str
    there: str
    label: str


@dataclass(frozen=True)
class Torn:
    """A received file that came in class `there` as well, as `first`: that one is taken, and this one, in class `label` or loose
    (""), is not."""

    path: str
    label: str
    first: str
    there: str


@dataclass(frozen=True)
class FoundClass:
    """`exists`: the project has it already; `similar`: a class of the project, or of the import, that may be meant."""

    name: str
    count: int
    exists: bool
    similar: str | None = None


@dataclass(frozen=True)
class Entry:
    """A received path. `kind`: image, audio, table, reject, ignored or archive; `file`: its name in the import's folder."""

    path: str
    kind: str
    file: str = ""
    sha256: str = ""
    bytes: int = 0
    reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ImportChoice:
    """`classes`: found name -> wanted name, '' leaves it out; `unlabelled`: class of files outside any class folder, None
    leaves them out; `table`: path of the labels table to use instead of folders, whose columns can be named; `move`: what the
    project has in another class goes into the one it comes with; `keep_parts`: what was kept for testing stays so."""

    classes: Mapping[str, str] = field(default_factory=dict)
    unlabelled: str | None = None
    table: str | None = None
    file_column: str | None = None
    label_column: str | None = None
    move: bool = False
    keep_parts: bool = True


@dataclass(frozen=True)
class Plan:
    """`duplicates`: what is in the project already or, `twice`, in what came. `labelled`: files to add and what is said of them, in natural order of their paths; `parts`: how many of them each part
    of the data has, where they are divided."""

    modality: str | None
    labelled: list[tuple[Entry, Meant]]
    unlabelled: list[Entry]
    duplicates: int
    rejects: list[Reject]
    classes: list[FoundClass]
    problem: str | None = None
    elsewhere: list[Elsewhere] = field(default_factory=list)
    twice: int = 0
    torn: list[Torn] = field(default_factory=list)

    @property
    def parts(self) -> dict[str, int]:
        return dict(Counter(meant.split for _, meant in self.labelled if meant.split))


def plan(project: Project, entries: Iterable[Entry], labels: Mapping[str, Meant] | None) -> Plan:
    """What becomes of the received files. `labels`: what a table says of paths; None: folders say."""
    entries = list(entries)
    rejects = [Reject(entry.path, entry.reason) for entry in entries if entry.kind == "reject"]
    media = sorted((e for e in entries if e.kind in KINDS), key=lambda e: natural(e.path))
    kinds = Counter(entry.kind for entry in media)
    modality = project.modality or (kinds.most_common(1)[0][0] if kinds else None)
    if labels is None:
        labels = from_folders([entry.path for entry in media])
    labelled, unlabelled = [], []
    seen: dict[str, tuple[str, str]] = {}  # sample id -> path, class
    elsewhere: dict[str, Elsewhere] = {}
    settled: set[str] = set()  # sample ids that came with the class they have here
    torn: list[Torn] = []
    duplicates = twice = 0
    # What lies in a class comes first: a loose copy of it must not take its place and then stay out for want of a class.
    media.sort(key=lambda e: not labels.get(e.path, Meant("")).label)
    for entry in media:
        if entry.kind != modality:
            key = "import.sound_among_pictures" if entry.kind == "audio" else "import.picture_among_sounds"
            rejects.append(Reject(entry.path, said(key, file=entry.path)))
            continue
        meant = labels.get(entry.path, Meant(""))
        try:
            label = clean_name(meant.label) if meant.label else ""
        except ProjectError as error:
            rejects.append(Reject(entry.path, error.message))
            continue
        key = entry.sha256[:16]
        if project.has(key):
            duplicates += 1
            there = project.sample(key).label
            if label == there:
                settled.add(key)
            elif key not in settled:
                elsewhere.setdefault(key, Elsewhere(entry.path, key, there, label))
            continue
        if key in seen:
            duplicates, twice = duplicates + 1, twice + 1
            where, there = seen[key]
            if label and label != there:
                rejects.append(Reject(entry.path, said("import.twice", file=where, label=there)))
            if there and label != there:
                torn.append(Torn(entry.path, label, where, there))
            continue
        seen[key] = entry.path, label
        if label:
            labelled.append((entry, meant._replace(label=label)))
        else:
            unlabelled.append(entry)
    problem = None
    if not media:
        problem = said("import.no_media")
    elif not labelled and not unlabelled:
        problem = said("import.known" if duplicates else "import.unusable")
    classes = _classes(project.class_names, Counter(meant.label for _, meant in labelled))
    return Plan(
        modality, labelled, unlabelled, duplicates, rejects, classes, problem, list(elsewhere.values()), twice, torn
    )


def _classes(existing: list[str], found: Counter[str]) -> list[FoundClass]:
    known = set(existing)
    meant: dict[str, str | None] = {}
    alike: dict[str, list[str]] = defaultdict(list)
    # Of two new ones that look alike, the smaller may be meant as the larger.
    ranked = [*existing, *(name for name, _ in found.most_common() if name not in known)]
    # A folder for each file is no typing error, and to compare thousands with each other takes minutes.
    compared = ranked if len(ranked) <= _COMPARED else []
    for place, name in enumerate(ranked):
        meant[name] = None if name in known else similar(name, [*alike[bare(name)], *compared[:place]])
        alike[bare(name)].append(name)
    return [FoundClass(name, count, name in known, meant[name]) for name, count in found.items()]


def from_folders(paths: list[str]) -> dict[str, Meant]:
    """Path -> its class, the first folder as `handful train` reads it, and its part; files beside the class folders have none.

    One folder that holds everything, and class folders too, is no class: people drop `photos`, not what is in it. Nor are
    `train` and `test` around the class folders, which say the part. What lies loose in an archive is of the class that the archive is called by.
    """
    paths = [path for path in paths if "/" in path]  # what is loose says nothing of the folders beside it
    split = [path.split("/") for path in paths]
    while split and all(len(parts) > 1 for parts in split):
        if len({parts[0] for parts in split}) > 1 or all(len(parts) == 2 for parts in split):
            break
        split = [parts[1:] for parts in split]
    divided = _divided(split)  # train.zip and test.zip are parts too
    if divided is None:
        split = [parts[1:] if len(parts) > 2 and _unzipped(parts[0]) != parts[0] else parts for parts in split]
        divided = _divided(split)
    named, split = divided or ([""] * len(split), split)
    return {
        path: Meant(_unzipped(parts[0]), "", part)
        for path, parts, part in zip(paths, split, named, strict=True)
        if len(parts) > 1
    }


def _divided(split: list[list[str]]) -> tuple[list[str], list[list[str]]] | None:
    """(the part of each path, its folders from the class on); None: the outermost folders are no parts of a data set."""
    if not are_parts({_unzipped(parts[0]) for parts in split if len(parts) > 2}):
        return None
    named = [split_named(_unzipped(parts[0])) if len(parts) > 2 else "" for parts in split]
    return named, [parts[1:] if part else parts for parts, part in zip(split, named, strict=True)]


def _unzipped(name: str) -> str:
    return name[:-4] if name.lower().endswith(".zip") else name


def natural(path: str) -> list[tuple[int, str]]:
    """A sort key with numbers by value: 2.png before 10.png."""
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(_DIGITS.split(path))]
