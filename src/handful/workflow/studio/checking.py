"""What the data doctor found in a project, kept until the next look, and its one-click fixes.

`findings.json` is what `handful check --json` printed, with a fingerprint of the labels that it looked at. File names become
sample ids when it is read, and what was mended meanwhile is left out. Knows no HTTP.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from handful.errors import DataError
from handful.files import atomic_write, read_json_lines, shown, to_json

if TYPE_CHECKING:
    from handful.jobs import Job
    from handful.projects import Project
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


def _fingerprint(rows: Iterable[tuple[str, str, str]]) -> str:
    """Of (sample id, label, group) in any order."""
    text = "\n".join(sorted("\x1f".join(row) for row in rows))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _table_print(table: Path) -> str:
    """Of the labels that a job looked at; empty where the table is gone."""
    try:
        rows = read_json_lines(table)
        return _fingerprint((PurePosixPath(row["file_name"]).stem, row["label"], row["group"]) for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return ""


# -- looking -----------------------------------------------------------------------------------------------------------


def findings(studio: Studio, project: str) -> dict[str, Any]:
    """In the shape of the wire: what is still to be mended of what was found at the last look."""
    opened = studio.project(project)
    kept = _read(opened.findings)
    if not kept:
        return {"made": None, "fresh": False, "findings": []}
    fresh = kept.get("labels") == _fingerprint((s.id, s.label, s.group) for s in opened.samples)
    return {"made": kept["made"], "fresh": fresh, "findings": _cards(opened, kept), "skipped": kept.get("skipped", [])}


def flags(studio: Studio, opened: Project) -> dict[str, list[str]]:
    """Kinds of findings by sample id; ids of likely wrong labels first, most suspicious before all."""
    found: dict[str, list[str]] = defaultdict(list)
    cards = _cards(opened, _read(opened.findings))
    for card in sorted(cards, key=lambda card: card["kind"] != "wrong-label"):
        for sample in card["samples"]:
            if card["kind"] not in found[sample]:
                found[sample].append(card["kind"])
    return dict(found)


def _read(path: Path) -> dict[str, Any]:
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=16)
def _parsed(path: Path, changed: int) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return kept if isinstance(kept, dict) and kept.get("format") == FORMAT else {}
    except ValueError:
        return {}


def _cards(opened: Project, kept: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not kept.get("findings"):
        return []
    samples = {sample.id: sample for sample in opened.samples}
    suggested = {_id(file): label for file, label in kept.get("suggested", {}).items()}
    cards = []
    for number, row in enumerate(kept["findings"]):
        named = [_id(file) for file in row["files"]]
        ids = [i for i in named if i in samples]
        if row["kind"] == "wrong-label":
            ids = [i for i in ids if samples[i].label != suggested.get(i)]
        if (named and not ids) or (row["kind"] == "duplicate" and len(ids) < 2):
            continue  # mended, or gone
        if row["kind"] == "label-spelling" and len(_spellings(opened, row["message"])) < 2:
            continue
        cards.append({
            "id": _key(number, row), "kind": row["kind"], "severity": row["severity"],
            "message": _named(row, samples),
            "samples": ids, "fix": row.get("fix", ""), "action": _ACTIONS.get(row["kind"]),
            "suggestions": {i: suggested[i] for i in ids if i in suggested} if row["kind"] == "wrong-label" else {},
        })  # fmt: skip
    return cards


def _named(row: Mapping[str, Any], samples: Mapping[str, Any]) -> str:
    """The message with the names that files came with, instead of those by content."""
    message: str = row["message"]
    for file in row["files"]:
        if file in message and (sample := samples.get(_id(file))) is not None:
            message = message.replace(file, shown(sample.name))
    return message


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
    card = next((card for card in _cards(opened, kept) if card["id"] == finding), None)
    if card is None:
        raise NotFound("this finding is mended or gone", "look again")
    kind, ids = card["kind"], card["samples"]
    if kind == "duplicate":
        return collect.delete_samples(studio, project, ids[1:])
    if kind in _DELETED and ids:
        return collect.delete_samples(studio, project, ids)
    if kind == "label-spelling":
        names = _spellings(opened, card["message"])
        return collect.merge_classes(studio, project, names[1:], names[0])
    raise DataError("this cannot be mended with one click", card["fix"] or "look at its samples")


def _spellings(opened: Project, message: str) -> list[str]:
    """The classes that a message says differ only in spelling, the largest first."""
    twins: dict[str, list[Any]] = defaultdict(list)
    for card in opened.classes:
        text = unicodedata.normalize("NFKC", card.name).casefold()
        twins["".join(c for c in text if unicodedata.category(c) != "Cf" and not c.isspace())].append(card)
    for cards in twins.values():
        if len(cards) > 1 and all(repr(card.name) in message for card in cards if card.count):
            return [card.name for card in sorted(cards, key=lambda card: -card.count)]
    return []
