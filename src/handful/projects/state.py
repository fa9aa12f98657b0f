"""What a project holds, and changes to it as data: made, taken back, made again, always with the same outcome.

A change is a JSON object with any of: `name`, `modality`, `classes` ([old, new]); `add`, `remove` (rows of labels.csv);
`label`, `group`, `split` ({sample id: [old, new]}). Making a change sets values, whatever was there: twice is the same as once,
which is what lets a crash be mended by making the last change again. Knows no files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from handful.folders import split_named
from handful.projects.history import Change
from handful.projects.labels import COLUMNS, OLDEST, Sample, cells, from_cells, order
from handful.projects.reasons import ProjectError
from handful.words import both

PAIRED = ("label", "group", "split")  # of a sample: [old, new]


@dataclass(frozen=True)
class ProjectClass:
    """`takes`: how many groups its samples come from; those without a group do not count."""

    name: str
    count: int
    takes: int


class State:
    """Name, kind, classes in order and samples in the order they were added."""

    def __init__(self, name: str, modality: str | None, classes: list[str], samples: Iterable[Sample] = ()) -> None:
        self.name = name
        self.modality = modality
        self.classes = list(classes)
        self.samples = {sample.id: sample for sample in samples}
        self._cards: list[ProjectClass] | None = None
        self._listed: tuple[Sample, ...] | None = None

    def copy(self) -> State:
        return State(self.name, self.modality, self.classes, self.samples.values())

    @property
    def listed(self) -> tuple[Sample, ...]:
        if self._listed is None:
            self._listed = tuple(self.samples.values())
        return self._listed

    @property
    def cards(self) -> list[ProjectClass]:
        if self._cards is None:
            count: Counter[str] = Counter()
            groups: dict[str, set[str]] = defaultdict(set)
            for sample in self.samples.values():
                count[sample.label] += 1
                if sample.group:
                    groups[sample.label].add(sample.group)
            self._cards = [
                ProjectClass(name, count[name], len(groups[name]) if name in groups else 0) for name in self.classes
            ]
        return self._cards

    def complete(self) -> None:
        """Classes that only samples name, as after an edit by another program, get cards too."""
        known = set(self.classes)
        for sample in self.samples.values():
            if sample.label not in known:
                known.add(sample.label)
                self.classes.append(sample.label)
        self._cards = self._listed = None

    def make(self, change: Change) -> None:
        if "name" in change:
            self.name = change["name"][1]
        if "modality" in change:
            self.modality = change["modality"][1]
        if "classes" in change:
            self.classes = list(change["classes"][1])
        for row in change.get("remove", ()):
            sample = from_cells(row)
            if sample is not None:
                self.samples.pop(sample.id, None)
        for key in PAIRED:
            for name, (_, new) in change.get(key, {}).items():
                if name in self.samples:
                    self.samples[name] = replace(self.samples[name], **{key: new})
        if change.get("add"):
            self._add([sample for row in change["add"] if (sample := from_cells(row)) is not None])
        self._cards = self._listed = None

    def _add(self, samples: list[Sample]) -> None:
        samples.sort(key=order)
        last = next(reversed(self.samples.values()), None)
        behind = last is None or order(last) < order(samples[0])
        self.samples |= {sample.id: sample for sample in samples}
        if not behind:
            self.samples = {sample.id: sample for sample in sorted(self.samples.values(), key=order)}


def checked(changes: list[Change]) -> list[Change]:
    """Changes as they were read from a file. Raises: ProjectError, one is none that was written here."""
    if all(isinstance(change, dict) and all(_sound(key, value) for key, value in change.items()) for change in changes):
        return changes
    raise ProjectError(*both("error.history_damaged"))


def _sound(key: str, value: Any) -> bool:
    match key, value:
        case ("name", [str(), str()]) | ("modality", [str() | None, str() | None]):
            return key == "name" or set(value) <= {None, "image", "audio"}
        case "classes", [[*old], [*new]]:
            return all(isinstance(name, str) for name in (*old, *new))
        case (("add" | "remove"), [*rows]):
            return all(_row(row) for row in rows)
        case (("label" | "group"), {**pairs}):
            return all(_pair(pair) for pair in pairs.values())
        case "split", {**pairs}:
            return all(_pair(pair, split_named) for pair in pairs.values())
    return False


def _pair(pair: Any, proper: Callable[[str], str] = str) -> bool:
    """Two texts, each of them `proper`ly written."""
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) and proper(x) == x for x in pair)


def _row(row: Any) -> bool:
    whole = isinstance(row, list) and OLDEST <= len(row) <= len(COLUMNS) and all(isinstance(cell, str) for cell in row)
    return whole and from_cells(row) is not None


def added(samples: Iterable[Sample]) -> list[list[str]]:
    """Rows for `add` or `remove`."""
    return [cells(sample) for sample in samples]


def inverse(change: Change) -> Change:
    """The change that takes `change` back."""
    back: Change = {key: change[key][::-1] for key in ("name", "modality", "classes") if key in change}
    for key, other in (("add", "remove"), ("remove", "add")):
        if key in change:
            back[other] = change[key]
    for key in PAIRED:
        if key in change:
            back[key] = {name: pair[::-1] for name, pair in change[key].items()}
    return back


def files(change: Change, key: str) -> list[str]:
    """The media files of the rows that a change adds or removes."""
    return [sample.file for row in change.get(key, ()) if (sample := from_cells(row)) is not None]
