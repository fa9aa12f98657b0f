"""What to do next: the most urgent first, what concerns the data before what concerns the model.

Knows the keys of run.json; a line is a sentence of `words`. Knows nothing about HTML.
"""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import PurePath
from typing import Any

from handful.extras import EXTRAS
from handful.files import shown
from handful.metrics.intervals import wilson
from handful.reporting.words import Name, Number, Sentence, chance, load, shortcut_name
from handful.reporting.words import finding as finding_said

WIDE_INTERVAL = 0.2
GOOD = 0.95  # accuracy from which no other method is advised
# Of a head on frozen features, below which fine-tuning may be worth minutes; benchmarks/STUDIES.md has what it brought and cost.
FINE_TUNING_BELOW = 0.85
POOR_CALIBRATION = 0.1
SMALL_ECE = 0.03  # below, nobody would notice
POOR_NOVELTY = 0.5  # share of unknown things that pass as known
CLASSES_NAMED = 2
FEW_NAMED = 5  # classes with hardly any samples
SHORTCUT_CLASSES = 5  # named, of those that a shortcut tells apart


def advice(result: dict[str, Any], lang: str = "en", place: str = "") -> list[str]:
    """What to do next, most urgent first; never empty."""
    texts = load(lang, place)
    return [texts.say(sentence) for sentence in advise(result)]


def advise(result: dict[str, Any]) -> list[Sentence]:
    """`advice` as sentences. What concerns the data comes before what concerns the model."""
    parts = (
        _about_data,
        _about_splits,
        _about_weights,
        _about_fine_tuning,
        _about_score,
        _about_classes,
        _about_more,
        _about_unknown,
        _about_confidence,
    )
    return [sentence for part in parts for sentence in part(result)] or [Sentence("advice.good")]


def _about_data(result: dict[str, Any]) -> list[Sentence]:
    findings = result.get("findings") or []
    urgent = [finding for finding in findings if finding.get("severity") == "error"]
    # What has a line of its own is not counted a second time.
    told = {kind for kind, key in (("wrong-label", "doubtful"), ("shortcut", "shortcuts")) if result.get(key)}
    few = [finding.get("values") or {} for finding in findings if finding.get("name") == "few"]
    warnings = [f for f in findings if f.get("severity") == "warning" and f.get("kind") not in told | {"leak"}]
    warnings = [finding for finding in warnings if finding.get("name") != "few"]
    found = []
    if few:  # nothing else that is said of the model is worth more than this
        names = [Name(str(row.get("name"))) for row in few[:FEW_NAMED]] + [Name("...")] * (len(few) > FEW_NAMED)
        found.append(Sentence("advice.few", {"names": names, "more": max(int(row.get("more", 0)) for row in few)}))
    for finding in findings:  # a figure that may be far too good comes first
        if finding.get("kind") == "leak" and finding.get("severity") == "warning":
            message, fix = finding_said(finding)
            found.append(Sentence("advice.sources", {"message": message, "fix": fix}))
    if urgent:
        found.append(Sentence("advice.errors", {"n": len(urgent), "first": finding_said(urgent[0])[0]}))
    if doubtful := result.get("doubtful"):
        first = {key: Name(str(doubtful[0].get(key, ""))) for key in ("file", "label", "suggested")}
        found.append(Sentence("advice.doubtful", {"n": len(doubtful), **first}))
    found += _about_shortcuts(result)
    if warnings:
        found.append(Sentence("advice.warnings", {"n": len(warnings)}))
    untested = result.get("untested") or []
    if untested:
        found.append(Sentence("advice.untested", {"n": len(untested), "names": Name(", ".join(untested[:5]))}))
    return found


def _about_shortcuts(result: dict[str, Any]) -> list[Sentence]:
    """One sentence, however many there are: what helps is the same."""
    rows = [(i, row) for i, row in enumerate(result.get("shortcuts") or []) if row.get("above_chance")]
    if not rows:
        return []
    scores = [
        Number((row.get("score") or {}).get("value"), "percent", ("shortcuts", i, "score", "value")) for i, row in rows
    ]
    named = [shortcut_name(row) for _, row in rows]
    values: dict[str, Any] = {
        "classes": _listed(result.get("classes") or []),
        "chance": Number(rows[0][1].get("chance"), "percent"),
    }
    if len(rows) == 1:
        return [Sentence("advice.shortcut", {**values, "name": named[0], "score": scores[0]})]
    each = [
        Sentence("advice.shortcut_of", {"name": name, "score": score})
        for name, score in zip(named, scores, strict=True)
    ]
    return [Sentence("advice.shortcuts", {**values, "names": each})]


def _listed(names: list[str]) -> Name | Sentence:
    shown = Name(", ".join(names[:SHORTCUT_CLASSES]))
    left = len(names) - SHORTCUT_CLASSES
    return Sentence("change.and_more", {"names": shown, "more": left}) if left > 0 else shown


def _about_splits(result: dict[str, Any]) -> list[Sentence]:
    flatters = (result.get("leak") or {}).get("flatters") or {}
    if (flatters.get("low") or 0) <= 0:
        return []
    return [Sentence("advice.leak", {"points": Number(flatters.get("value"), "points", ("leak", "flatters", "value"))})]


def _about_weights(result: dict[str, Any]) -> list[Sentence]:
    """Photos without pretrained weights: nothing else helps as much, unless it is right nearly always already."""
    value = (result.get("score") or {}).get("value")
    if result.get("modality") != "image" or result.get("weights") or value is None or value >= GOOD:
        return []
    return (
        [Sentence("advice.weights")]
        if _torch_is_here()
        else [Sentence("advice.weights_torch", {"command": EXTRAS["torch"].command})]
    )


def _torch_is_here() -> bool:
    """Advice is for the installation that gives it: what needs torch is no help where it cannot run."""
    return importlib.util.find_spec("torch") is not None


def _about_fine_tuning(result: dict[str, Any]) -> list[Sentence]:
    """Frozen features that do not tell the classes apart well: whether a fine-tuned network does, a race on the same folds says."""
    value = (result.get("score") or {}).get("value")
    frozen = result.get("strategy") == "probe" and result.get("modality") == "image" and result.get("weights")
    if not frozen or value is None or value >= FINE_TUNING_BELOW or not _torch_is_here():
        return []
    recipe = shlex.quote(shown(str(PurePath(str(result.get("run", ""))) / "recipe.yaml")))
    command = f"handful compare --config {recipe} --strategies probe,finetune --budget 10m"
    return [Sentence("advice.finetune", {"command": command})]


def _about_score(result: dict[str, Any]) -> list[Sentence]:
    score, test = result.get("score") or {}, result.get("test") or {}
    if score.get("value") is None:
        return [Sentence("advice.unmeasured")]
    low, high, found = score.get("low"), score.get("high"), []
    if low is not None and low <= chance(result)[0]:
        found.append(Sentence("advice.no_better"))
    if test.get("high") is not None and low is not None and test["high"] < low:
        found.append(Sentence("advice.test_lower", {"value": Number(test["value"], "percent", ("test", "value"))}))
    if low is not None and high is not None and high - low > WIDE_INTERVAL:
        ends = {
            "low": Number(low, "percent", ("score", "low")), "high": Number(high, "percent", ("score", "high")),
        }  # fmt: skip
        found.append(Sentence("advice.wide", ends))
    return found


def _about_classes(result: dict[str, Any]) -> list[Sentence]:
    classes = {
        name: row
        for name, row in (result.get("per_class") or {}).items()
        if (row or {}).get("recall") is not None and row.get("n")
    }
    if len(classes) < 2:
        return []
    worst = min(classes, key=lambda name: classes[name]["recall"])
    recall, n = classes[worst]["recall"], classes[worst]["n"]
    overall = (result.get("score") or {}).get("value")
    # Only a class whose whole interval lies below the average is called weak; the rest may be luck.
    if overall is None or wilson(round(recall * n), n)[1] >= overall:
        return []
    values = {"name": Name(worst), "recall": Number(recall, "percent")}
    confusion = result.get("confusion") or {}
    labels = confusion.get("labels") or []
    if worst in labels:
        row = list(confusion["counts"][labels.index(worst)])
        row[labels.index(worst)] = 0
        if max(row) > 0:
            taken = {
                "other": Name(labels[row.index(max(row))]),
                "times": Number(max(row), "count"),
                "n": Number(n, "count"),
            }
            return [Sentence("advice.weak_class_confused", {**values, **taken})]
    return [Sentence("advice.weak_class", values)]


def _about_more(result: dict[str, Any]) -> list[Sentence]:
    """Where more samples would help most, and where they would not."""
    curve = result.get("curve") or {}
    classes = {name: row or {} for name, row in (curve.get("classes") or {}).items()}
    wanted = [name for name, row in classes.items() if row.get("more") and row.get("gain") and not row.get("done")]
    found = []
    for name in sorted(wanted, key=lambda name: -classes[name]["gain"])[:CLASSES_NAMED]:
        path, row = ("curve", "classes", name), classes[name]
        if curve.get("worth"):
            said = {
                "n": Number(row["more"], "count", (*path, "more")),
                "gain": Number(curve["worth"], "points", ("curve", "worth")),
            }
            found.append(Sentence("advice.more", {"name": Name(name), **said}))
        else:
            gain = Number(row["gain"], "points", (*path, "gain"))
            found.append(Sentence("advice.double", {"name": Name(name), "gain": gain}))
    done = [name for name, row in classes.items() if row.get("done")]
    if done:
        found.append(Sentence("advice.done", {"n": len(done), "names": Name(", ".join(done))}))
    return found


def _about_unknown(result: dict[str, Any]) -> list[Sentence]:
    miss = (result.get("unknown") or {}).get("miss") or {}
    if (miss.get("value") or 0) <= POOR_NOVELTY:
        return []
    return [Sentence("advice.unknown", {"miss": Number(miss["value"], "percent", ("unknown", "miss", "value"))})]


def _about_confidence(result: dict[str, Any]) -> list[Sentence]:
    calibration = result.get("calibration") or {}
    ece, limit = calibration.get("ece"), calibration.get("ece_limit")
    if ece is None or ece <= (POOR_CALIBRATION if limit is None else max(limit, SMALL_ECE)):
        return []
    return [Sentence("advice.confidence", {"ece": Number(ece, "percent", ("calibration", "ece"))})]
