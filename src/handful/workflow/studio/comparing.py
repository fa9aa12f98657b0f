"""Runs side by side: who is tied with the best, whose settings differ where, who is both faster and better; and races.

Ties are decided on the samples that two runs were both tested on, by the same paired tests as a race's leaderboard.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handful import config
from handful.errors import HandfulError
from handful.metrics import paired
from handful.reporting import plans, words
from handful.words import load, retold
from handful.workflow.studio import orders, records, shapes, training
from handful.workflow.studio.records import Record

if TYPE_CHECKING:
    from handful.projects import Project
    from handful.workflow.studio import Studio

_PLACES = (
    *config.ELSEWHERE,
    "weights",
    "threads",
)  # where things lie and how fast the machine was: no choice of a recipe


def comparison(studio: Studio, project_id: str, wanted: Sequence[str], lang: str = "en") -> dict[str, Any]:
    """The shape Comparison: these runs (all when none are named), the best first, and the project's races."""
    from handful.workflow.studio.runs import card, labels_now

    project, texts = studio.project(project_id), words.load(lang)
    chosen = [records.find(project, run) for run in dict.fromkeys(wanted)] or records.all_of(project)
    now = labels_now(project)
    made = {record.id: card(record, now) for record in chosen}
    ranked = sorted(chosen, key=lambda record: -_value(made[record.id]))
    scored = [record for record in ranked if made[record.id]["score"]]
    best = scored[0] if scored else None
    gaps = {record.id: _gap(record, best) for record in scored if best and record is not best}
    tied = sum(gap.tied for gap in gaps.values())
    apart = sum(not gap.n for gap in gaps.values())
    cost, front = _front([made[record.id] for record in scored])
    return {
        "rows": [_row(record, best, made[record.id], gaps.get(record.id), record.id in front) for record in ranked],
        "differences": _differences(chosen, lang), "cost": cost, "races": _races(project, texts),
        "why": plans.compared(texts, _called(best, texts) if best else None, tied, len(gaps) - tied, apart),
    }  # fmt: skip


def _called(record: Record, texts: words.Words) -> str:
    number = records.number(record.id)
    return record.name if record.named or number is None else texts.text("plan.numbered", number=number)


def _value(card: dict[str, Any]) -> float:
    return float(card["score"]["value"]) if card["score"] else -1.0


@dataclass(frozen=True)
class _Gap:
    """A run's difference to the best one on the `n` samples that both were tested on; 0: on none."""

    tied: bool
    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


def _gap(record: Record, best: Record) -> _Gap:
    """Samples whose label changed between the two runs do not count: they were asked different questions."""
    try:
        own, other, rows = record.predictions(), best.predictions(), record.samples()
    except HandfulError:  # damaged: nothing can be said of it
        return _Gap(False, 0)
    both = sorted(sample for sample in own.keys() & other.keys() if own[sample].label == other[sample].label)
    if not both:
        a, b = record.result["score"], best.result["score"]
        return _Gap(a["high"] >= b["low"], 0)
    hits = [np.array([said[sample].right for sample in both]) for said in (own, other)]
    groups = None
    if any(rows[sample].get("group") for sample in both):
        groups = np.unique([rows[sample].get("cluster") or 0 for sample in both], return_inverse=True)[1]
    gap = paired.difference(hits[0], hits[1], groups, seed=0)
    tied = gap["low"] <= 0 <= gap["high"] or (groups is None and paired.mcnemar(hits[0], hits[1]) > paired.LEVEL)
    return _Gap(tied, len(both), gap["value"], gap["low"], gap["high"])


def _row(record: Record, best: Record | None, card: dict[str, Any], gap: _Gap | None, pareto: bool) -> dict[str, Any]:
    row = {"card": card, "tied_with_best": record is best or bool(gap and gap.tied), "pareto": pareto}
    if gap is not None:
        row |= {"difference": gap.value, "low": gap.low, "high": gap.high, "n": gap.n or None}
    elif record is best:
        row |= {"difference": 0.0, "low": 0.0, "high": 0.0, "n": card["score"]["n"]}
    return row


def _front(cards: Sequence[dict[str, Any]]) -> tuple[str, set[str]]:
    """(what they are weighed against, ids of those that no other beats in both): measured latency where all have it."""
    cost = "latency_ms" if cards and all(card["latency_ms"] is not None for card in cards) else "parameters"
    known = [(card["id"], float(card[cost]), _value(card)) for card in cards if card[cost] is not None]
    beaten = {
        name
        for name, own, value in known
        for _, other, better in known
        if other <= own and better >= value and (other < own or better > value)
    }
    return cost, {name for name, *_ in known} - beaten


def _differences(chosen: Sequence[Record], lang: str) -> list[dict[str, Any]]:
    """Settings in which the runs' resolved recipes differ."""
    found, labels = [], training.labels(lang)
    for name in [name for names in config.form().values() for name in names]:
        values = {record.id: record.recipe.get(name) for record in chosen}
        if name not in _PLACES and len({json.dumps(value, default=str) for value in values.values()}) > 1:
            called = {run: training.worded(name, value, lang) for run, value in values.items()}
            found.append({"setting": name, "label": labels.get(name, name), "values": called})
    return found


def _races(project: Project, texts: words.Words) -> list[dict[str, Any]]:
    """Leaderboards of finished compare jobs."""
    folder = project.folder / orders.RACES
    found = [_race(path, texts) for path in sorted(folder.glob("*/leaderboard.json"))] if folder.is_dir() else []
    return sorted((race for race in found if race), key=lambda race: -race["made"])


def _race(path: Path, texts: words.Words) -> dict[str, Any] | None:
    """None where the file is damaged."""
    from handful.workflow.studio.runs import score

    board = shapes.read(path)
    if not shapes.fits(board, shapes.Board):
        return None
    rows = [
        {
            "score": score(row["score"]), "tied_with_best": bool(row.get("tied_with_best")),
            "recommended": bool(row.get("recommended")), "settings": _trainable(row.get("settings") or {}),
            **{key: row[key] for key in ("name", "model", "strategy")},
            **{key: row.get(key) for key in ("macro_f1", "parameters", "macs", "bytes", "latency_ms", "seconds")},
            **{key: (row.get("difference") or {}).get(name) for key, name in _GAP},
        }
        for row in board["rows"]
    ]  # fmt: skip
    unfinished = [
        {key: row[key] for key in ("name", "folds_done", "of")} | {"why": words.told(row, "why", row["why"])}
        for row in board["unfinished"]
    ]
    return {
        "id": path.parent.name, "made": path.stat().st_mtime, "folds": retold(words.told(board, "folds", board["folds"]), load(texts.lang, "studio")),
        "why": plans.race_why(texts, len(rows), sum(row["tied_with_best"] for row in rows)),
        "rows": rows, "unfinished": unfinished,
    }  # fmt: skip


def _trainable(settings: dict[str, Any]) -> dict[str, Any]:
    """What a train job may be given; the project decides the rest."""
    return {key: value for key, value in settings.items() if key not in config.ELSEWHERE}


_GAP = (("difference", "value"), ("low", "low"), ("high", "high"))
