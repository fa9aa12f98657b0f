"""Changes that people make to classes and samples, as data: from a state and what is wanted to (kind, values, change).

Pure: decides what a change consists of and what cannot be, and makes nothing happen. None: nothing would change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from handful.projects.history import Change
from handful.projects.labels import Sample
from handful.projects.names import clean_name, visible
from handful.projects.reasons import NotFound, ProjectError
from handful.projects.state import State, added
from handful.words import said


class Edit(NamedTuple):
    """`kind` and `values` as in `history.Action`, `change` as in `state`."""

    kind: str
    values: dict[str, Any]
    change: Change


# -- the project and its classes ---------------------------------------------------------------------------------------


def rename(state: State, name: str) -> Edit | None:
    name = clean_name(name, "project")
    return None if name == state.name else Edit("rename", {"to": name}, {"name": [state.name, name]})


def add_class(state: State, name: str) -> Edit:
    name = clean_name(name)
    if name in state.classes:
        raise ProjectError(said("error.class_exists", name=name), said("error.class_exists.fix"))
    return Edit("class", {"to": name}, _with_classes(state, {}, [name]))


def rename_class(state: State, name: str, to: str) -> Edit | None:
    name, to = _class(state, name), clean_name(to)
    if name == to:
        return None
    if to in state.classes:
        raise ProjectError(said("error.class_exists", name=to), said("error.merge.fix"))
    change: Change = {"classes": [state.classes, [to if other == name else other for other in state.classes]]}
    labels = {sample.id: to for sample in state.listed if sample.label == name}
    return Edit("rename-class", {"name": name, "to": to}, _with_labels(state, change, labels))


def merge_classes(state: State, names: Iterable[str], to: str) -> Edit | None:
    to = clean_name(to)
    merged = [name for name in dict.fromkeys(_class(state, name) for name in names) if name != to]
    if not merged:
        return None
    first = to if to in state.classes else merged[0]
    renamed = [to if name == first else name for name in state.classes]
    change: Change = {"classes": [state.classes, [name for name in renamed if name not in merged]]}
    labels = {sample.id: to for sample in state.listed if sample.label in merged}
    return Edit("merge", {"names": merged, "to": to}, _with_labels(state, change, labels))


def delete_class(state: State, name: str) -> Edit:
    name = _class(state, name)
    gone = [sample for sample in state.listed if sample.label == name]
    change: Change = {"classes": [state.classes, [other for other in state.classes if other != name]]}
    if gone:
        change["remove"] = added(gone)
    return Edit("delete-class", {"name": name, "n": len(gone)}, change)


# -- samples -----------------------------------------------------------------------------------------------------------


def add(
    state: State, samples: list[Sample], kind: str, modality: str | None, moves: Mapping[str, str] | None = None
) -> Edit | None:
    """New samples, and `moves` (sample id -> class) of ones that are there, as one change."""
    here = {name: label for name, label in (moves or {}).items() if name in state.samples}
    change = _with_labels(state, {}, here)
    if not samples:
        _with_classes(state, change, here.values())
        return Edit("relabel", {"n": len(here), "moved": len(here)}, change) if "label" in change else None
    change["add"] = added(samples)
    _with_classes(state, change, [*(sample.label for sample in samples), *here.values()])
    if modality != state.modality:
        change["modality"] = [state.modality, modality]
    values: dict[str, Any] = {"n": len(samples)}
    if "label" in change:
        values["moved"] = len(change["label"])
    if kind in ("add", "record"):
        values["to"] = samples[0].label
    if kind == "record":
        values["take"] = samples[0].group
    return Edit(kind, values, change)


def move(state: State, ids: Iterable[str], label: str) -> Edit | None:
    label = clean_name(label)
    return _relabel(state, dict.fromkeys(_here(state, ids), label), "move", {"to": label})


def relabel(state: State, labels: Mapping[str, str]) -> Edit | None:
    wanted = {name: clean_name(labels[name]) for name in _here(state, labels)}
    return _relabel(state, wanted, "relabel", {})


def delete(state: State, ids: Iterable[str]) -> Edit:
    gone = [state.samples[name] for name in _here(state, ids)]
    return Edit("delete", {"n": len(gone)}, {"remove": added(gone)})


def regroup(state: State, groups: Mapping[str, str]) -> Edit | None:
    pairs = {}
    for name in _here(state, groups):
        before, after = state.samples[name].group, clean_name(groups[name], "group") if groups[name].strip() else ""
        if before != after:
            pairs[name] = [before, after]
    return Edit("group", {"n": len(pairs)}, {"group": pairs}) if pairs else None


def resplit(state: State, ids: Iterable[str], split: str) -> Edit | None:
    pairs = {name: [before, split] for name in _here(state, ids) if (before := state.samples[name].split) != split}
    return Edit("split", {"n": len(pairs), "to": split}, {"split": pairs}) if pairs else None


def _relabel(state: State, labels: Mapping[str, str], kind: str, values: dict[str, Any]) -> Edit | None:
    change = _with_labels(state, _with_classes(state, {}, labels.values()), labels)
    return Edit(kind, values | {"n": len(change["label"])}, change) if "label" in change else None


def _class(state: State, name: str) -> str:
    name = visible(name)
    if name not in state.classes:
        raise NotFound(said("error.no_class", name=name), said("error.no_class.fix", names=state.classes[:10]))
    return name


def _here(state: State, ids: Iterable[str]) -> list[str]:
    here = [name for name in dict.fromkeys(ids) if name in state.samples]
    if not here:
        raise NotFound(said("error.no_samples"), said("error.reload.fix"))
    return here


def _with_classes(state: State, change: Change, labels: Iterable[str]) -> Change:
    new = [name for name in dict.fromkeys(labels) if name not in state.classes]
    if new:
        change["classes"] = [state.classes, [*state.classes, *new]]
    return change


def _with_labels(state: State, change: Change, labels: Mapping[str, str]) -> Change:
    pairs = {name: [state.samples[name].label, to] for name, to in labels.items() if state.samples[name].label != to}
    if pairs:
        change["label"] = pairs
    return change
