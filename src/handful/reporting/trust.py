"""How far the result can be trusted and what would make it better: leak, labels, shortcuts, confidence, novelty, learning
curve, map, explanations. Prepares what `templates/report.html` shows.

Each function takes run.json or the evidence and returns None where its part of the run is missing.
"""

from __future__ import annotations

import math
from typing import Any

from handful.reporting import figures, words
from handful.reporting.evidence import EXPLANATIONS, Evidence, Media, Prediction
from handful.reporting.samples import Gallery, Tile, tile
from handful.reporting.words import Name, Number, Sentence

DOUBTFUL = 24
UNSURE = 12
ALONE = 0.9


def doubtful(found: Evidence, media: Media) -> dict[str, Any] | None:
    """Labels that are probably wrong; for runs that did not look for them, what the model gave least probability."""
    listed = found.result.get("doubtful")
    by_file = {p.file: p for p in found.predictions}
    if listed is None:
        # What is right and sure of itself is not in doubt.
        ranked = sorted((p for p in found.predictions if p.own < ALONE), key=lambda p: (p.own, p.file))
        tiles = [tile(p, media) for p in ranked[:UNSURE]]
        return {"title": "unsure.title", "lead": "unsure.lead", "summary": None, "tiles": tiles} if tiles else None
    rows = []
    for i, row in enumerate(listed[:DOUBTFUL]):
        named = {key: Name(str(row.get(key))) for key in ("label", "suggested")}
        said = {**named, **words.numbers(row, ("doubtful", i), given="probability", confidence="probability")}
        shown = _tile_of(str(row.get("file")), row, by_file, found, media)
        rows.append({"tile": shown, "said": Sentence("doubtful.said", said)})
    n = Number(len(listed), "count")
    summary = Sentence("doubtful.summary", {"n": n}) if listed else Sentence("doubtful.none")
    more = max(0, len(listed) - DOUBTFUL)
    return {
        "title": "doubtful.title",
        "lead": "doubtful.lead" if listed else "",
        "summary": summary,
        "rows": rows,
        "more": more,
    }


def _tile_of(file: str, row: dict[str, Any], by_file: dict[str, Prediction], found: Evidence, media: Media) -> Tile:
    if file in by_file:
        return tile(by_file[file], media)
    shows = found.samples.get(file, {})
    label = str(row.get("label"))
    return tile(Prediction(file, label, "", {}, label, shows.get("preview"), shows.get("sound")), media)


def leak(result: dict[str, Any]) -> dict[str, Any] | None:
    """What a random split would have reported, beside the headline; paired difference and why."""
    found = result.get("leak") or {}
    naive, honest = words.rate(result, "leak", "naive"), words.rate(result, "score")
    if not naive or not honest:
        return None
    flatters, path = found.get("flatters") or {}, ("leak", "flatters")
    gap = words.numbers(flatters, path, value="change", low="bound", high="bound")
    low, high = flatters.get("low"), flatters.get("high")
    kind = "leak.flatters" if (low or 0) > 0 else "leak.harms" if high is not None and high < 0 else "leak.same"
    torn = Number(found.get("torn"), "count", ("leak", "torn"))
    why = Sentence("leak.copies" if "duplicate" in str(found.get("by")) else "leak.groups", {"n": torn})
    points = Number(flatters.get("value"), "points", (*path, "value"))
    said = {"naive": naive["value"], "points": points, "low": gap["low"], "high": gap["high"], "why": why}
    rows = [
        ("leak.honest", honest, str((result.get("score") or {}).get("method") or "")),
        ("leak.naive", naive, str(found["naive"].get("method") or "")),
    ]
    return {"summary": Sentence(kind, said), "rows": rows, "gap": gap if points.value is not None else None}


def shortcuts(result: dict[str, Any]) -> dict[str, Any] | None:
    rows: list[dict[str, Any]] = []
    for i, row in enumerate(result.get("shortcuts") or []):
        path = ("shortcuts", i)
        if rate := words.rate(result, *path, "score"):
            figures_of = words.numbers(row, path, chance="percent", p_value="p_value")
            above = bool(row.get("above_chance"))
            rows.append({"name": words.shortcut_name(row), "score": rate, "above": above, **figures_of})
    if not rows:
        return None
    above_chance = [row for row in rows if row["above"]]
    if not above_chance:
        return {"rows": rows, "summary": Sentence("shortcuts.none", {"n": len(rows)})}
    first = max(above_chance, key=lambda row: row["score"]["value"].value)
    said = {"name": first["name"], "score": first["score"]["value"], "chance": first["chance"]}
    return {"rows": rows, "summary": Sentence("shortcuts.some", {"n": len(above_chance), "of": len(rows), **said})}


def calibration(found: Evidence) -> dict[str, Any] | None:
    """The reliability plot: bins of run.json, or made of the predictions."""
    stored = found.result.get("calibration") or {}
    bins = figures.reliability(stored.get("bins"), found.confidences)
    if not bins:
        return None
    path: tuple[str | int, ...] = ("calibration", "bins") if stored.get("bins") else ()
    # An axis from 0 would squeeze what a good model says into one corner.
    floor = min(0.9, math.floor(10 * min(min(b.confidence, b.accuracy) for b in bins)) / 10)
    kinds = {"confidence": "percent", "accuracy": "percent", "n": "count"}
    rows = [
        {
            "bin": b,
            "x": (b.confidence - floor) / (1 - floor),
            "y": (b.accuracy - floor) / (1 - floor),
            **{
                key: Number(getattr(b, key), kind, (*path, i, key) if path else (), f"bin-{i}")
                for key, kind in kinds.items()
            },
        }
        for i, b in enumerate(bins)
    ]
    n = sum(b.n for b in bins)
    means = {key: sum(getattr(b, key) * b.n for b in bins) / n for key in ("confidence", "accuracy")}
    ece, limit = stored.get("ece"), stored.get("ece_limit")
    values = {
        "ece": Number(ece, "percent", ("calibration", "ece")),
        "limit": Number(limit, "percent", ("calibration", "ece_limit")),
    }
    overall = Sentence("reliability.summary", {key: Number(value, "percent") for key, value in means.items()})
    judged = None
    if ece is not None and limit is not None:
        judged = Sentence("reliability.within" if ece <= limit else "reliability.beyond", values)
    elif ece is not None:
        judged = Sentence("reliability.ece", values)
    temperature = Number(stored.get("temperature"), "ratio", ("calibration", "temperature"))
    largest = max(b.n for b in bins)
    return {
        "rows": rows,
        "summary": judged or overall,
        "overall": overall,
        "temperature": temperature,
        "largest": largest,
        "floor": floor,
    }


def sets(result: dict[str, Any]) -> dict[str, Any] | None:
    found = result.get("sets") or {}
    covered = words.rate(result, "sets", "covered")
    if not covered:
        return None
    numbers = {
        "asked": Number(found.get("asked"), "percent", ("sets", "asked")),
        "size": Number(found.get("mean_size"), "ratio", ("sets", "mean_size")),
        "empty": Number(found.get("empty"), "percent", ("sets", "empty")),
        "quantile": Number(found.get("quantile"), "ratio", ("sets", "quantile")),
    }
    return {**numbers, "covered": covered, "summary": Sentence("sets.summary", {**numbers, **covered})}


def unknown(result: dict[str, Any]) -> dict[str, Any] | None:
    found = result.get("unknown") or {}
    alarm, miss = words.rate(result, "unknown", "false_alarm"), words.rate(result, "unknown", "miss")
    if not found or not (alarm or miss or found.get("why")):
        return None
    numbers = words.numbers(found, ("unknown",), below="percent", asked="percent", auroc="ratio")
    rows = [
        {
            "name": name,
            **words.numbers(row or {}, ("unknown", "classes", name), miss="percent", auroc="ratio", n="count"),
        }
        for name, row in (found.get("classes") or {}).items()
    ]
    if alarm and miss:
        summary = Sentence("unknown.summary", {"alarm": alarm["value"], "miss": miss["value"], **numbers})
    elif alarm:
        summary = Sentence("unknown.summary_alarm", {"alarm": alarm["value"], **numbers})
    else:
        summary = Sentence("unknown.unmeasured")
    two = not miss and len(result.get("classes") or []) == 2
    why = Sentence("unknown.two") if two else words.told_why(found)
    return {
        **numbers, "alarm": alarm, "miss": miss, "rows": rows, "why": why, "mute": _mute(found, result), "summary": summary
    }  # fmt: skip


def _mute(found: dict[str, Any], result: dict[str, Any]) -> Sentence | None:
    """Where the threshold lies at what the largest of the probabilities is at least: next to nothing is below."""
    classes, below = len(result.get("classes") or []), found.get("below")
    if not classes or below is None or round(below - 1 / classes, 2) > 0:
        return None
    return Sentence("unknown.mute", {"n": classes, "least": Number(1 / classes, "percent")})


def curve(result: dict[str, Any]) -> dict[str, Any] | None:
    """Accuracy over samples a class, its forecast, and what each class would gain."""
    found = result.get("curve") or {}
    chart = figures.learning(found.get("points") or [], found.get("band") or [])
    why = words.told_why(found)
    if not chart and not why and not found.get("classes"):
        return None
    kinds = {"per_class": "round", "value": "percent", "low": "percent", "high": "percent", "draws": "count"}
    tables = {
        part: [words.numbers(row, ("curve", part, i), **kinds) for i, row in enumerate(found.get(part) or [])]
        for part in ("points", "band")
    }
    rows = [_class_curve(name, row or {}, result) for name, row in (found.get("classes") or {}).items()]
    summary = _forecast(tables["points"], tables["band"]) if chart else None
    return {"chart": chart, "why": why, "summary": summary, "classes": rows, **tables}


def _class_curve(name: str, row: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    own = (result.get("per_class") or {}).get(name) or {}
    recall = Number(own.get("recall"), "percent", ("per_class", name, "recall"))
    numbers = words.numbers(
        row, ("curve", "classes", name), more="count", gain="change", gain_low="bound", gain_high="bound"
    )
    return {"name": name, "done": bool(row.get("done")), "recall": recall, **numbers}


def _forecast(points: list[dict[str, Number]], band: list[dict[str, Number]]) -> Sentence:
    now = max(points, key=lambda row: row["per_class"].value or 0)
    said = {"now": now["value"], "n": now["per_class"]}
    then = max(band, key=lambda row: row["per_class"].value or 0, default=now)
    if (then["per_class"].value or 0) <= (now["per_class"].value or 0):
        return Sentence("curve.measured", said)
    return Sentence(
        "curve.summary",
        {**said, "then": then["value"], "low": then["low"], "high": then["high"], "more": then["per_class"]},
    )


def embedding(found: Evidence, gallery: Gallery) -> dict[str, Any] | None:
    """The map of the samples, its legend and how far neighbours agree."""
    classes = [str(name) for name in found.result.get("classes") or []]
    rows = found.samples.items()
    places = {file: row["map"] for file, row in rows if isinstance(row.get("map"), list) and len(row["map"]) == 2}
    marks = figures.scatter(found.predictions, places, classes)
    if len(marks) < 2:
        return None
    beside = figures.beside_own(marks)
    explained = (found.result.get("map") or {}).get("explained") or []
    total = {"share": Number(sum(explained), "percent")}
    said = {"n": Number(sum(beside.values()), "count"), "of": Number(len(marks), "count")}
    legend = [_legend(i, name, marks, beside.get(name, 0)) for i, name in enumerate(classes)]
    return {
        "marks": [{"mark": mark, "id": gallery.ids.get(mark.prediction.file)} for mark in marks],
        "rows": [row for row in legend if row["n"].value],
        "summary": Sentence("map.summary", said),
        "explained": Sentence("map.explained", total) if explained else None,
        "left_out": sum(p.file in places for p in found.predictions) - len(marks),
    }


def _legend(index: int, name: str, marks: list[figures.Mark], beside: int) -> dict[str, Any]:
    own = [mark.prediction for mark in marks if mark.prediction.label == name]
    shape, colour = figures.sign(index)
    return {
        "name": name,
        "shape": shape,
        "colour": colour,
        "n": Number(len(own), "count", opens=f"is-{index}"),
        "mistakes": Number(sum(not p.right for p in own), "count", opens=f"missed-{index}"),
        "beside": Number(beside, "count"),
    }


def explanations(found: Evidence, media: Media) -> dict[str, Any] | None:
    rows = [_explanation(i, row, media) for i, row in enumerate(found.explanations)]
    if not rows:
        return None
    tested = [row for row in rows if row["test"]]
    passed = {"n": Number(sum(row["passed"] for row in tested), "count"), "of": Number(len(tested), "count")}
    return {
        "rows": rows,
        "summary": Sentence("explain.summary", passed) if tested else None,
        "methods": sorted({row["method"] for row in rows if row["method"]}),
        "sound": any(row["sound"] for row in rows),
    }


def _explanation(index: int, row: dict[str, Any], media: Media) -> dict[str, Any]:
    path = (EXPLANATIONS, index)
    deletion = row.get("deletion") or {}
    drops = words.numbers(deletion, (*path, "deletion"), salient="drop", random="drop")
    tested = all(number.value is not None for number in drops.values())
    right, passed = row.get("predicted") == row.get("label"), bool(deletion.get("passed"))
    said = {key: Name(str(row.get(key))) for key in ("predicted", "label")}
    known = "explain.right" if right else "explain.wrong" if row.get("label") is not None else "explain.unlabelled"
    sure = words.numbers(row, path, confidence="percent")
    return {
        "file": str(row.get("file")),
        "method": str(row.get("method") or ""),
        "sign": "✓" if right else "✕" if row.get("label") is not None else "",
        "passed": passed,
        "said": Sentence(known, {**said, **sure}),
        "test": Sentence("explain.passed" if passed else "explain.failed", {**drops}) if tested else None,
        **{key: media.uri(row.get(key), "image") for key in ("before", "overlay")},
        **{key: media.uri(row.get(key), "audio") for key in ("sound", "filtered")},
    }
