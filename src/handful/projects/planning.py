"""What an import would do: which class each received file goes to, what is there already, what cannot be used.

Decides from paths, hashes and a labels table; changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handful.projects.contents import KINDS
from handful.projects.names import bare, clean_name, similar
from handful.projects.reasons import ProjectError

if TYPE_CHECKING:
    from handful.projects.project import Project

_DIGITS = re.compile(r"([0-9]+)")
# Folders around the class folders, as `handful train` knows them.
TRAINING = frozenset({"train", "training"})
TESTING = frozenset({"validation", "valid", "val", "dev", "test", "testing"})
_COMPARED = 400  # classes; where there are more, only those that look the same are told
_ONE = {"image": "a picture", "audio": "a sound"}


@dataclass(frozen=True)
class Reject:
    path: str
    reason: str


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
    leaves them out; `table`: path of the labels table to use instead of folders, whose columns can be named."""

    classes: Mapping[str, str] = field(default_factory=dict)
    unlabelled: str | None = None
    table: str | None = None
    file_column: str | None = None
    label_column: str | None = None


@dataclass(frozen=True)
class Plan:
    """`labelled`: (entry, class, group) of files to add, in natural order of their paths."""

    modality: str | None
    labelled: list[tuple[Entry, str, str]]
    unlabelled: list[Entry]
    duplicates: int
    rejects: list[Reject]
    classes: list[FoundClass]
    problem: str | None = None


def plan(project: Project, entries: Iterable[Entry], labels: Mapping[str, tuple[str, str]] | None) -> Plan:
    """What becomes of the received files. `labels`: path -> (class, group) by a table; None: folders say."""
    entries = list(entries)
    rejects = [Reject(entry.path, entry.reason) for entry in entries if entry.kind == "reject"]
    media = sorted((e for e in entries if e.kind in KINDS), key=lambda e: natural(e.path))
    kinds = Counter(entry.kind for entry in media)
    modality = project.modality or (kinds.most_common(1)[0][0] if kinds else None)
    if labels is None:
        labels = {path: (name, "") for path, name in from_folders([entry.path for entry in media]).items()}
    labelled, unlabelled = [], []
    seen: dict[str, tuple[str, str]] = {}  # sample id -> path, class
    duplicates = 0
    for entry in media:
        if entry.kind != modality:
            rejects.append(
                Reject(entry.path, f"{entry.path} is {_ONE[entry.kind]}; the others are {KINDS[str(modality)]}")
            )
            continue
        name, group = labels.get(entry.path, ("", ""))
        try:
            label = clean_name(name, "class name") if name else ""
        except ProjectError as error:
            rejects.append(Reject(entry.path, error.message))
            continue
        key = entry.sha256[:16]
        if project.has(key) or key in seen:
            duplicates += 1
            where, there = ("the project", project.sample(key).label) if project.has(key) else seen[key]
            if label and label != there:
                rejects.append(
                    Reject(entry.path, f"the same content is in {where} already, in class {there or 'none'}")
                )
            continue
        seen[key] = entry.path, label
        if label:
            labelled.append((entry, label, group))
        else:
            unlabelled.append(entry)
    problem = None
    if not media:
        problem = "there is no picture or sound among the files"
    elif not labelled and not unlabelled:
        problem = "everything is in the project already" if duplicates else "none of the files can be used"
    classes = _classes(project.class_names, Counter(label for _, label, _ in labelled))
    return Plan(modality, labelled, unlabelled, duplicates, rejects, classes, problem)


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


def from_folders(paths: list[str]) -> dict[str, str]:
    """Path -> its class: the first folder, as `handful train` reads it; files beside the class folders have none.

    One folder that holds everything, and class folders too, is no class: people drop `photos`, not what is in it. Nor are
    `train` and `test` around the class folders. What lies loose in an archive is of the class that the archive is called by.
    """
    split = [path.split("/") for path in paths]
    while split and all(len(parts) > 1 for parts in split):
        if len({parts[0] for parts in split}) > 1 or all(len(parts) == 2 for parts in split):
            break
        split = [parts[1:] for parts in split]
    split = [parts[1:] if len(parts) > 2 and parts[0].lower().endswith(".zip") else parts for parts in split]
    tops = {parts[0].lower() for parts in split if len(parts) > 2}
    if tops & TRAINING and tops <= TRAINING | TESTING:
        split = [parts[1:] if len(parts) > 2 and parts[0].lower() in tops else parts for parts in split]
    above = {path: parts[0] for path, parts in zip(paths, split, strict=True) if len(parts) > 1}
    return {path: name[:-4] if name.lower().endswith(".zip") else name for path, name in above.items()}


def natural(path: str) -> list[tuple[int, str]]:
    """A sort key with numbers by value: 2.png before 10.png."""
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(_DIGITS.split(path))]
