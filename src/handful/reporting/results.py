"""How good the model is: headline, matrix, classes, averages, groups, test. Prepares what `templates/report.html` shows.

Each function takes run.json or the evidence and returns None, or nothing, where its part of the run is missing.
"""

from __future__ import annotations

from typing import Any

from handful.metrics.intervals import wilson
from handful.reporting import words
from handful.reporting.evidence import Evidence, Media
from handful.reporting.samples import tile
from handful.reporting.words import Name, Number, Sentence

MISTAKES = 24
GROUPS_SHOWN = 10
EVEN = 0.02  # accuracy and balanced accuracy closer than this are said to agree


def score(result: dict[str, Any], path: str) -> dict[str, Any] | None:
    found = result.get(path) or {}
    if found.get("value") is None or found.get("low") is None or found.get("high") is None:
        return None
    return {"path": path, "value": found["value"], "low": found["low"], "high": found["high"]}


def matrix(result: dict[str, Any], views: set[str]) -> dict[str, Any] | None:
    """Rows of cells; a cell with samples names the view that shows them."""
    confusion = result.get("confusion") or {}
    labels, counts = confusion.get("labels") or [], confusion.get("counts") or []
    if not labels or not counts:
        return None
    rows = []
    for i, row in enumerate(counts):
        total = sum(row)
        names = [f"cell-{i}-{j}" for j in range(len(row))]
        rows.append([
            {"count": count, "share": count / total if total else 0.0, "id": name if count and name in views else None}
            for count, name in zip(row, names, strict=True)
        ])  # fmt: skip
    right, n = sum(row[i] for i, row in enumerate(counts)), sum(map(sum, counts))
    times, i, j = max(
        (count, -i, -j) for i, row in enumerate(counts) for j, count in enumerate(row) if i != j or len(labels) == 1
    )
    if right == n:
        summary = Sentence("confusion.perfect", {"n": n})
    else:
        pair = {"truth": Name(labels[-i]), "predicted": Name(labels[-j])}
        worst = Number(times, "count", ("confusion", "counts", -i, -j), opens=f"cell-{-i}-{-j}")
        values = {"right": Number(right, "count", opens="right"), "of": Number(n, "count", opens="all"), "n": worst}
        summary = Sentence("confusion.summary", {**values, **pair})
    return {"labels": labels, "rows": rows, "summary": summary}


def classes(result: dict[str, Any]) -> dict[str, Any] | None:
    """A row a class, with intervals of recall and precision; counted against all other classes where run.json has it."""
    untested = set(result.get("untested") or [])
    rows = []
    for name, row in (result.get("per_class") or {}).items():
        row = row or {}
        n, recall = row.get("n") or 0, row.get("recall")
        known = bool(n) and recall is not None and name not in untested
        low, high = row.get("recall_low"), row.get("recall_high")
        if known and (low is None or high is None):
            low, high = wilson(round((recall or 0.0) * n), n)
        rows.append({"name": name, "row": row, "known": known, "low": low, "high": high})
    if not rows:
        return None
    known_rows = [row for row in rows if row["known"]]
    counted = all((row["row"].get(key) is not None) for row in rows for key in ("tp", "fp", "fn", "tn"))
    return {"rows": rows, "summary": _extremes(known_rows), "counted": counted}


def _extremes(rows: list[dict[str, Any]]) -> Sentence | None:
    """Which class is found most often and which least."""
    if len(rows) < 2:
        return None
    ranked = sorted(rows, key=lambda row: row["row"]["recall"])
    worst, best = ranked[0], ranked[-1]
    recalls = [Number(row["row"]["recall"], "percent", ("per_class", row["name"], "recall")) for row in (best, worst)]
    if recalls[0].value == recalls[1].value:
        return Sentence("classes.summary_equal", {"recall": Number(recalls[0].value, "percent")})
    named = {"best": Name(str(best["name"])), "worst": Name(str(worst["name"]))}
    return Sentence("classes.summary", {**named, "best_recall": recalls[0], "worst_recall": recalls[1]})


def averages(result: dict[str, Any]) -> dict[str, Any] | None:
    """The single figures that others ask for, by their names."""
    kinds = {"precision": "percent", "recall": "percent", "f1": "ratio"}
    rows = [
        (f"averages.{kind}", list(words.numbers(found, ("averages", kind), **kinds).values()))
        for kind in ("macro", "weighted")
        if (found := (result.get("averages") or {}).get(kind))
    ]
    accuracy, top5 = words.rate(result, "score"), words.rate(result, "top5")
    balanced = Number(result.get("balanced_accuracy"), "percent", ("balanced_accuracy",))
    facts: list[tuple[str, dict[str, Number]]] = []
    if accuracy and (result["score"].get("metric") or "accuracy") == "accuracy":
        facts.append(("averages.accuracy", accuracy))
    if balanced.value is not None:
        facts.append(("averages.balanced", {"value": balanced}))
    if top5:
        facts.append(("averages.top5", top5))
    if not rows and len(facts) < 2:
        return None
    summary = None
    if accuracy and facts[0][0] == "averages.accuracy" and balanced.value is not None:
        even = abs(balanced.value - (accuracy["value"].value or 0.0)) < EVEN
        said = {"balanced": balanced, "accuracy": accuracy["value"]}
        summary = Sentence("averages.summary" if even else "averages.summary_uneven", said)
    return {"rows": rows, "facts": facts, "summary": summary}


def groups(result: dict[str, Any]) -> dict[str, Any] | None:
    rows = []
    for name, row in (result.get("per_group") or {}).items():
        n, accuracy = (row or {}).get("n") or 0, (row or {}).get("accuracy")
        if n and accuracy is not None:
            low, high = wilson(round(accuracy * n), n)
            rows.append({"name": name, "accuracy": accuracy, "n": n, "low": low, "high": high})
    if not rows:
        return None
    rows.sort(key=lambda row: (row["accuracy"], -row["n"], row["name"]))
    whole = sum(row["accuracy"] == 1 for row in rows)
    values = {"n": Number(whole, "count"), "of": Number(len(rows), "count"), "name": Name(str(rows[0]["name"]))}
    values["accuracy"] = Number(rows[0]["accuracy"], "percent", ("per_group", rows[0]["name"], "accuracy"))
    summary = Sentence("groups.summary" if whole < len(rows) else "groups.summary_whole", values)
    return {"shown": rows[:GROUPS_SHOWN], "rest": rows[GROUPS_SHOWN:], "summary": summary}


def test(found: Evidence, media: Media) -> dict[str, Any] | None:
    measured = found.result.get("test") or {}
    if measured.get("value") is None:
        return None
    mistakes = sorted((p for p in found.test if not p.right), key=lambda p: (-p.confidence, p.file))
    key = "headline.test_share" if words.right_of(measured) is None else "headline.test"
    return {
        "sentence": Sentence(key, words.measured(measured, "test")),
        "score": score(found.result, "test"),
        "mistakes": [tile(prediction, media) for prediction in mistakes[:MISTAKES]],
        "more": max(0, len(mistakes) - MISTAKES),
    }
