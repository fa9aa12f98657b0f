"""What the data doctor found in a project, kept until the next look, and its one-click fixes.

`findings.json` is what `handful check --json` printed, with a fingerprint of the labels that it looked at. File names become
sample ids when it is read, and what was mended meanwhile is left out. Knows no HTTP.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from handful.errors import DataError
from handful.files import atomic_write, read_json_lines, shown, to_json
from handful.folders import KEPT
from handful.reporting import words
from handful.words import Words, load, retold, said, unpacked
from handful.workflow.studio import shapes

if TYPE_CHECKING:
    from handful.jobs import Job
    from handful.projects import Project, Sample
    from handful.workflow.studio import Studio

FORMAT = 1
KIND = "check"
# What the button says, by the kind of finding that one click mends.
_ACTIONS = {
    "duplicate": "Delete the extra copies", "corrupt": "Delete them", "empty": "Delete them", "silent": "Delete them",
    "label-spelling": "Merge the classes",
}  # fmt: skip
_DELETED = ("corrupt", "empty", "silent")
_ID = re.compile(r"[0-9a-f]{16}")


# -- keeping -----------------------------------------------------------------------------------------------------------


def keep(studio: Studio, job: Job) -> None:
    """Store what a job of kind `check` found, unless a later one is stored already."""
    opened = studio.project(job.project)
    made = job.ended or time.time()
    result = studio.queue.result(job.id)
    if not isinstance(result, dict) or _read(opened.findings).get("made", 0.0) >= made:
        return
    table = next((word.partition("=")[2] for word in job.command if word.startswith("--labels=")), "")
    kept = {
        "format": FORMAT, "made": made, "labels": _table_print(Path(table)), "findings": result.get("findings", []),
        "suggested": result.get("suggested", {}), "skipped": result.get("skipped", []),
    }  # fmt: skip
    atomic_write(opened.findings, to_json(kept, indent=1) + "\n")
    studio.publish("project", {"id": opened.id, "revision": opened.revision})


def _fingerprint(rows: Iterable[tuple[str, ...]]) -> str:
    """Of (sample id, label, group, split) in any order."""
    text = "\n".join(sorted("\x1f".join(row) for row in rows))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _table_print(table: Path) -> str:
    """Of the labels that a job looked at; empty where the table is gone."""
    try:
        rows = read_json_lines(table)
        return _fingerprint(
            (PurePosixPath(row["file_name"]).stem, row["label"], row["group"], row["split"]) for row in rows
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ""


# -- looking -----------------------------------------------------------------------------------------------------------


def findings(studio: Studio, project: str, lang: str = "en") -> dict[str, Any]:
    """In the shape of the wire: what is still to be mended of what was found at the last look."""
    opened = studio.project(project)
    kept = _read(opened.findings)
    if not kept:
        return {"made": None, "fresh": False, "findings": []}
    fresh = kept.get("labels") == _fingerprint((s.id, s.label, s.group, s.split) for s in opened.samples)
    texts = load(lang, "studio")
    cards = [_card(opened, kept, number, row, ids, texts) for number, row, ids in _open(opened, kept)]
    return {
        "made": kept["made"],
        "fresh": fresh,
        "findings": cards,
        "skipped": [_left(row, texts) for row in kept.get("skipped", [])],
    }


def _left(row: Mapping[str, Any], texts: Words) -> dict[str, str]:
    """What was not looked for, why, and what to do."""
    values = row.get("values", {})
    return {key: retold(unpacked(values.get(key, row.get(key, ""))), texts) for key in ("what", "why", "command")}


def flags(studio: Studio, opened: Project) -> dict[str, list[str]]:
    """Kinds of findings by sample id; ids of likely wrong labels first, most suspicious before all."""
    found: dict[str, list[str]] = defaultdict(list)
    rows = [(row["kind"], ids) for _, row, ids in _open(opened, _read(opened.findings))]
    for kind, ids in sorted(rows, key=lambda row: row[0] != "wrong-label"):
        for sample in ids:
            if kind not in found[sample]:
                found[sample].append(kind)
    return dict(found)


def _read(path: Path) -> dict[str, Any]:
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=16)
def _parsed(path: Path, changed: int) -> dict[str, Any]:
    kept = shapes.read(path)
    return kept if shapes.fits(kept, shapes.Findings) else {}


def _open(opened: Project, kept: Mapping[str, Any]) -> list[tuple[int, dict[str, Any], list[str]]]:
    """(number, row, ids of its samples) of the findings that are still to be mended."""
    if not kept.get("findings"):
        return []
    samples = {sample.id: sample for sample in opened.samples}
    suggested = _suggested(kept)
    found = []
    for number, row in enumerate(kept["findings"]):
        named = [_id(file) for file in row["files"]]
        ids = [i for i in named if i in samples]
        if row["kind"] == "wrong-label":
            ids = [i for i in ids if samples[i].label != suggested.get(i)]
        if (named and not ids) or (row["kind"] == "duplicate" and len(ids) < 2):
            continue  # mended, or gone
        if row["kind"] == "label-spelling" and len(_spellings(opened, row)) < 2:
            continue
        if _used_otherwise(row, [samples[i] for i in ids]):
            continue
        found.append((number, row, ids))
    return found


def _used_otherwise(row: Mapping[str, Any], samples: list[Sample]) -> bool:
    """Whether what is wrong with the parts of the data was mended since by using samples for something else."""
    used: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        together = sample.group if row.get("name") == "groups_apart" else ""
        used[together].add(sample.split if sample.split in KEPT else "train")
    if row.get("name") == "untrained":
        return "train" in used[""]
    return row.get("name") in ("groups_apart", "copies_apart") and all(len(parts) < 2 for parts in used.values())


def _suggested(kept: Mapping[str, Any]) -> dict[str, str]:
    return {_id(file): label for file, label in kept.get("suggested", {}).items()}


def _card(
    opened: Project, kept: Mapping[str, Any], number: int, row: dict[str, Any], ids: list[str], texts: Words
) -> dict[str, Any]:
    """In the shape of the wire."""
    message, fix = (retold(text, texts) for text in words.finding(_named(opened, row)))
    suggested = _suggested(kept) if row["kind"] == "wrong-label" else {}
    return {
        "id": _key(number, row), "kind": row["kind"], "severity": row["severity"], "message": message, "samples": ids, "fix": fix,
        "action": _ACTIONS.get(row["kind"]), "suggestions": {i: suggested[i] for i in ids if i in suggested},
    }  # fmt: skip


def _named(opened: Project, row: dict[str, Any]) -> dict[str, Any]:
    """The row with the names that files came with, instead of those by content."""
    files = {file for file in row["files"] if _id(file)}

    def renamed(value: Any) -> Any:
        if isinstance(value, str) and value in files:
            return shown(opened.sample(_id(value)).name) if opened.has(_id(value)) else value
        if isinstance(value, list):
            return [renamed(one) for one in value]
        return {key: renamed(one) for key, one in value.items()} if isinstance(value, dict) else value

    return row | {"values": renamed(row.get("values"))}


def _id(file: str) -> str:
    """The sample of a file below `media/`."""
    stem = PurePosixPath(file).stem
    return stem if _ID.fullmatch(stem) else ""


def _key(number: int, row: Mapping[str, Any]) -> str:
    """An id that stays while the findings stay."""
    text = to_json([number, row["kind"], row["message"], row["files"]])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# -- mending -----------------------------------------------------------------------------------------------------------


def fix(studio: Studio, project: str, finding: str) -> dict[str, Any]:
    """Do what a finding's button says, as one change that undo takes back.

    Raises:
        NotFound: there is no such finding (any more).
        DataError: nothing can be done with one click.
    """
    from handful.projects import NotFound
    from handful.workflow.studio import collect

    opened = studio.project(project)
    kept = _read(opened.findings)
    found = next(((row, ids) for number, row, ids in _open(opened, kept) if _key(number, row) == finding), None)
    if found is None:
        raise NotFound(said("error.mended"), said("error.mended.fix"))
    row, ids = found
    if row["kind"] == "duplicate":
        return collect.delete_samples(studio, project, ids[1:])
    if row["kind"] in _DELETED and ids:
        return collect.delete_samples(studio, project, ids)
    if row["kind"] == "label-spelling":
        names = _spellings(opened, row)
        return collect.merge_classes(studio, project, names[1:], names[0])
    raise DataError(said("error.no_one_click"), said("error.no_one_click.fix"))


def _spellings(opened: Project, row: Mapping[str, Any]) -> list[str]:
    """The classes of a finding that differ only in spelling, the largest first."""
    names = set(row.get("values", {}).get("names", []))
    cards = [card for card in opened.classes if card.name in names]
    return [card.name for card in sorted(cards, key=lambda card: -card.count)]
