"""What a result means, in sentences: see `handful.words`. Knows the keys of run.json; knows nothing about files, charts or HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handful import words
from handful.errors import UsageError
from handful.words import NO_BREAK as NO_BREAK
from handful.words import Name as Name
from handful.words import Number as Number
from handful.words import Said, said, unpacked
from handful.words import Sentence as Sentence
from handful.words import Words as Words
from handful.words import languages as languages


def load(lang: str, place: str = "") -> Words:
    """As `handful.words.load`. Raises UsageError for a language that there is not."""
    if lang not in languages():
        raise UsageError(f"there is no language {lang!r}", f"known: {', '.join(languages())}")
    return words.load(lang, place)


def chance(result: dict[str, Any]) -> tuple[float, str]:
    """(share right, class) when always naming the most frequent class; the class is "" when all are equally frequent."""
    counts = {name: (row or {}).get("n") or 0 for name, row in (result.get("per_class") or {}).items()}
    total = sum(counts.values())
    if not total:
        return 1 / max(1, len(result.get("classes") or [1])), ""
    most = max(counts, key=lambda name: counts[name])
    share = counts[most] / total
    return (share, "") if share < 1.02 / len(counts) else (share, most)


def right_of(score: dict[str, Any]) -> int | None:
    """How many of `score["n"]` were right, where the score is such a share."""
    value, n = score.get("value"), score.get("n")
    if (
        score.get("metric", "accuracy") != "accuracy"
        or value is None
        or not n
        or abs(value * n - round(value * n)) > 0.01
    ):
        return None
    return round(value * n)


def measured(score: dict[str, Any], path: str) -> dict[str, Any]:
    """The values of a score (run.json's `score` or `test`) for a sentence."""
    numbers = {key: Number(score.get(key), "percent", (path, key)) for key in ("value", "low", "high")}
    return {
        **numbers,
        "n": Number(score.get("n"), "count", (path, "n")),
        "right": Number(right_of(score), "count", opens="right" if path == "score" else ""),
    }


def numbers(row: dict[str, Any], path: tuple[str | int, ...], **kinds: str) -> dict[str, Number]:
    """The figures of `row`, which run.json holds at `path`, by name; `kinds` says how each is to be read."""
    return {key: Number(row.get(key), kind, (*path, key)) for key, kind in kinds.items()}


def rate(found: Any, *path: str | int) -> dict[str, Number] | None:
    """{"value", "low", "high", "n"} of run.json at `path` as numbers; None where nothing was measured."""
    for key in path:
        found = found[key] if isinstance(found, list) and isinstance(key, int) else (found or {}).get(key)
    if not isinstance(found, dict) or found.get("value") is None:
        return None
    return numbers(found, path, value="percent", low="percent", high="percent", n="count")


def verdict(result: dict[str, Any]) -> list[Sentence]:
    """What came out, in one or two sentences."""
    score = result.get("score") or {}
    if score.get("value") is None:
        return [Sentence("headline.unmeasured")]
    values = measured(score, "score")
    if score.get("metric", "accuracy") != "accuracy":
        return [Sentence("headline.metric", {**values, "metric": str(score["metric"])})]
    first = Sentence("headline.share" if right_of(score) is None else "headline.right", values)
    by_chance, most = chance(result)
    low = score.get("low")
    better = low is None or low > by_chance
    plain, doubted = "headline.chance", "headline.chance_not_beaten"
    if most:
        plain, doubted = "headline.majority", "headline.majority_not_beaten"
    return [first, Sentence(plain if better else doubted, {"chance": Number(by_chance, "percent"), "name": Name(most)})]


def headline(result: dict[str, Any], lang: str = "en") -> str:
    """One or two plain sentences with the interval in words."""
    texts = load(lang)
    return " ".join(texts.say(sentence) for sentence in verdict(result))


def shortcut_name(row: dict[str, Any]) -> Sentence | Name:
    """What a shortcut is called: known names are translated."""
    name = str(row.get("name", ""))
    key = f"shortcut.{name.replace(' ', '_')}"
    return Sentence(key) if key in load("en") else Name(name)


def told(row: Mapping[str, Any], key: str, text: str) -> str:
    """What `row` has as the English `text`, as `Said` where it kept how it was made (run.json's `said`)."""
    kept = row.get("said")
    again = unpacked(kept.get(key)) if isinstance(kept, dict) else None
    return again if isinstance(again, Said) else text


def told_why(row: Mapping[str, Any]) -> Sentence | str:
    """`why` of a part of run.json."""
    again = told(row, "why", str(row.get("why") or ""))
    return again.sentence if isinstance(again, Said) else again


def finding(row: Mapping[str, Any]) -> tuple[str, str]:
    """(what was found, what to do) by a row of `findings`, as `Said`; what these words do not know is as it was written."""
    try:
        key, values = f"finding.{row['name']}", {name: unpacked(value) for name, value in row["values"].items()}
        return said(key, **values), said(f"{key}.fix", **values)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return str(row.get("message", "")), str(row.get("fix") or "")
