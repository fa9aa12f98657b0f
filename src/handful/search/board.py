"""From the standings of a race to leaderboard.json. Trains and measures nothing."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from handful.metrics import paired
from handful.search.candidates import Candidate
from handful.search.race import Race, Standing
from handful.words import Said, packed, said

_SMALL_BYTES, _FAST_MS = 5e6, 5.0
_ALIKE = 1.5  # costs that differ by less are one: latencies are noisy


def leaderboard(race: Race) -> dict[str, Any]:
    """Rows best first, unfinished ones apart, the smallest and fastest of the tied recommended."""
    ranked = race.ranked(1)
    repeats = counted(race)
    p = race.first.prepared
    method = _method(race.folds.method, repeats, len(race.folds.folds))
    scored = [race.scored(standing, slice(0, repeats), method) for standing in ranked]
    rows = [
        _row(standing, result.summary, _settings(race, standing.candidate))
        for standing, result in zip(ranked, scored, strict=True)
    ]
    if rows:
        tested = race.folds.tested
        hits = np.stack([result.right(p.labels)[tested] for result in scored])
        _, tied, gaps = paired.ties(hits, p.groups[tested] if p.grouped else None, race.recipe.seed)
        rows = [
            row | {"tied_with_best": bool(t), "difference": gap} for row, t, gap in zip(rows, tied, gaps, strict=True)
        ]
    rows.sort(key=lambda row: (-row["score"]["value"], -(row["macro_f1"] or 0), row["name"]))
    best = _best(rows)
    for row in rows:
        row["recommended"] = row is best
    why = _why(rows, best, len(race.standings) - len(rows))
    return {
        "schema": 1, "run": str(race.folder), "data": str(race.dataset.root), "folds": method, "rows": rows,
        "said": {"folds": packed(method), "why": packed(why)},
        "unfinished": [_unfinished(race, s) for s in race.standings.values() if s not in ranked],
        "recommended": _recommended(race, best), "why": why, "budget_s": race.budget,
        "seconds": sum(sum(s.seconds.values()) for s in race.standings.values()),
    }  # fmt: skip


def counted(race: Race) -> int:
    """How many repeats count: those that every ranked row has."""
    ranked = race.ranked(1)
    return next((r for r in range(len(race.folds.folds), 1, -1) if len(race.ranked(r)) == len(ranked)), 1)


def _row(standing: Standing, summary: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": standing.candidate.name, **standing.size, "score": summary["score"], "macro_f1": summary["macro_f1"],
        "seconds": standing.cost(), "settings": settings,
    }  # fmt: skip


def _unfinished(race: Race, standing: Standing) -> dict[str, Any]:
    settings = dict(standing.candidate.settings)
    why = standing.why or said("say.out_of_budget")
    row = race.folds.folds[0]
    return {
        "name": standing.candidate.name, "model": settings["model"], "strategy": settings["strategy"],
        "why": why, "said": {"why": packed(why)},
        "folds_done": len([f for r, f in standing.logits if r == 0]), "of": len(np.unique(row[row >= 0])),
    }  # fmt: skip


def _recommended(race: Race, best: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if best is None:
        return None
    winner = next(s.candidate for s in race.standings.values() if s.candidate.name == best["name"])
    options = [word for key, value in _settings(race, winner).items() for word in _option(key, value)]
    command = shlex.join(["handful", "train", str(race.recipe.data), *options])
    return {"name": best["name"], "model": best["model"], "strategy": best["strategy"], "command": command}


def _settings(race: Race, candidate: Candidate) -> dict[str, Any]:
    """What tells the candidate's recipe from the default, but for the place of the data."""
    recipe = race.recipe_of(candidate).model_dump(exclude_none=True, exclude_defaults=True)
    return {key: value for key, value in recipe.items() if key != "data"}


def _option(key: str, value: Any) -> Iterable[str]:
    flag = "--" + key.replace("_", "-")
    if value is True:
        return [flag]
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def cost(row: Mapping[str, Any]) -> float:
    """Size times latency; below 5 MB and 5 ms nobody minds either."""
    return max(row["bytes"], _SMALL_BYTES) * max(row["latency_ms"], _FAST_MS)


def _best(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of the tied rows about as small and fast as the smallest and fastest, the one that is right most often."""
    tied = [row for row in rows if row["tied_with_best"]]
    if not tied:
        return None
    least = min(map(cost, tied))
    alike = [row for row in tied if cost(row) <= _ALIKE * least]
    return min(alike, key=lambda row: (-row["score"]["value"], row["parameters"] or math.inf, row["name"]))


def _method(method: str, repeats: int, of: int) -> str:
    if not isinstance(method, Said) or method.sentence.values.get("repeats") != of:
        return method
    return said(method.sentence.key, **{**method.sentence.values, "repeats": repeats})


def _why(rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any] | None, unfinished: int) -> Said:
    if best is None:
        return said("compared.race_none")
    tied = sum(row["tied_with_best"] for row in rows)
    if len(rows) == 1:
        others = said("compared.race_others", n=unfinished)
        return (
            said("say.colon", what=said("compared.race_one"), more=others) if unfinished else said("compared.race_one")
        )
    return said("compared.race_clear") if tied == 1 else said("compared.race_tied", n=tied)
