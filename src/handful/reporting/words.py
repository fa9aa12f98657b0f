"""What a result means, in sentences, in English and Russian.

A sentence is a key of `locales/LANG.json` and the values that go into it; whoever shows it (terminal, HTML) decides how a
value looks. Knows the keys of run.json; knows nothing about files, charts or HTML elements.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from handful.errors import UsageError
from handful.files import shown
from handful.metrics.intervals import wilson

LOCALES = Path(__file__).parent.parent / "locales"
NO_BREAK = "\u00a0"
WIDE_INTERVAL = 0.2
POOR_CALIBRATION = 0.1


@dataclass(frozen=True)
class Number:
    """A number and how it is to be read. `path` is where run.json holds it, empty for what is derived.

    `kind`: percent (of a fraction), count, seconds, bytes, ratio (two decimals), compact (736 k).
    """

    value: float | int | None
    kind: str
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Name:
    """A name that somebody else chose: a class, a file, a group."""

    text: str


@dataclass(frozen=True)
class Sentence:
    key: str
    values: dict[str, Any] = field(default_factory=dict)


class Words:
    """The texts of one language."""

    def __init__(self, lang: str, texts: dict[str, Any]) -> None:
        self.lang = lang
        self._texts = texts

    def keys(self) -> set[str]:
        return set(self._texts)

    def __contains__(self, key: str) -> bool:
        return key in self._texts

    def pattern(self, key: str, values: dict[str, Any]) -> str:
        """The text of `key`; where it has plural forms, the one that fits the count called `n`."""
        text = self._texts[key]
        if isinstance(text, str):
            return text
        n = values.get("n", 0)
        count = n.value if isinstance(n, Number) else n
        return str(text.get(_plural(self.lang, int(count or 0)), text["other"]))

    def text(self, key: str, **values: Any) -> str:
        """Plain text. Names lose nothing but their control characters, which become visible."""
        return self.pattern(key, values).format(**{name: self.plain(value) for name, value in values.items()})

    def say(self, sentence: Sentence) -> str:
        return self.text(sentence.key, **sentence.values)

    def plain(self, value: Any) -> str:
        if isinstance(value, Number):
            return self.number(value)
        if isinstance(value, Name):
            return shown(value.text)
        if isinstance(value, Sentence):
            return self.say(value)
        return shown(value) if isinstance(value, str) else self.number(Number(value, "count"))

    def number(self, number: Number) -> str:
        value = number.value
        if value is None:
            return "–"
        match number.kind:
            case "percent":
                return self._percent(float(value))
            case "seconds":
                return self._seconds(float(value))
            case "bytes":
                return self._scaled(float(value), (("byte.g", 1e9), ("byte.m", 1e6), ("byte.k", 1e3)), "byte.1")
            case "compact":
                return self._scaled(float(value), (("compact.g", 1e9), ("compact.m", 1e6), ("compact.k", 1e3)), "")
            case "ratio":
                return self._decimal(f"{value:.2f}")
        return (
            f"{value:,}".replace(",", NO_BREAK if self.lang == "ru" else ",")
            if isinstance(value, int)
            else self._decimal(f"{value:g}")
        )

    def _decimal(self, digits: str) -> str:
        return digits.replace(".", ",") if self.lang == "ru" else digits

    def _percent(self, value: float) -> str:
        # 997 of 1000 is not "100 %": nothing but all and none is shown as 100 and 0.
        if 0 < value < 1 and round(100 * value) in (0, 100):
            return self._decimal(f"{min(max(100 * value, 0.1), 99.9):.1f}") + " %"
        return f"{100 * value:.0f} %"

    def _seconds(self, value: float) -> str:
        if value >= 60:
            return self.text("unit.minutes", minutes=int(value // 60), seconds=int(value % 60))
        digits = f"{value:.2f}" if value < 1 else f"{value:.1f}"
        return self.text("unit.seconds", seconds=self._decimal(digits))

    def _scaled(self, value: float, units: tuple[tuple[str, float], ...], unit: str) -> str:
        for key, scale in units:
            if value >= scale:
                return f"{self._decimal(f'{value / scale:.3g}' if value < 1e3 * scale else f'{value / scale:.0f}')} {self._texts[key]}"
        return f"{value:g} {self._texts[unit]}" if unit else f"{value:g}"


def _plural(lang: str, n: int) -> str:
    """Plural category by the rules of Unicode CLDR for whole numbers."""
    if lang == "ru":
        if n % 10 == 1 and n % 100 != 11:
            return "one"
        return "few" if 2 <= n % 10 <= 4 and not 12 <= n % 100 <= 14 else "other"
    return "one" if n == 1 else "other"


def languages() -> list[str]:
    return sorted(path.stem for path in LOCALES.glob("*.json"))


@lru_cache
def load(lang: str) -> Words:
    """The texts of `lang`. Raises UsageError for a language that there is not."""
    if lang not in languages():
        raise UsageError(f"there is no language {lang!r}", f"known: {', '.join(languages())}")
    return Words(lang, json.loads((LOCALES / f"{lang}.json").read_text(encoding="utf-8")))


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
    return {**numbers, "n": Number(score.get("n"), "count", (path, "n")), "right": Number(right_of(score), "count")}


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
    key = ("headline.majority" if most else "headline.chance") + ("" if better else "_not_beaten")
    return [first, Sentence(key, {"chance": Number(by_chance, "percent"), "name": Name(most)})]


def headline(result: dict[str, Any], lang: str = "en") -> str:
    """One or two plain sentences with the interval in words."""
    words = load(lang)
    return " ".join(words.say(sentence) for sentence in verdict(result))


def advice(result: dict[str, Any], lang: str = "en") -> list[str]:
    """What to do next, most urgent first; never empty."""
    words = load(lang)
    return [words.say(sentence) for sentence in advise(result)]


def advise(result: dict[str, Any]) -> list[Sentence]:
    """`advice` as sentences. What concerns the data comes before what concerns the model."""
    found = [*_about_data(result), *_about_score(result), *_about_classes(result), *_about_confidence(result)]
    return found or [Sentence("advice.good")]


def _about_data(result: dict[str, Any]) -> list[Sentence]:
    findings = result.get("findings") or []
    urgent = [finding for finding in findings if finding.get("severity") == "error"]
    doubtful = [finding for finding in findings if finding.get("severity") == "warning"]
    found = []
    if urgent:
        found.append(Sentence("advice.errors", {"n": len(urgent)}))
    if doubtful:
        found.append(Sentence("advice.warnings", {"n": len(doubtful)}))
    untested = result.get("untested") or []
    if untested:
        found.append(Sentence("advice.untested", {"n": len(untested), "names": Name(", ".join(untested[:5]))}))
    return found


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
        found.append(Sentence("advice.wide", {"width": Number(high - low, "percent")}))
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


def _about_confidence(result: dict[str, Any]) -> list[Sentence]:
    ece = (result.get("calibration") or {}).get("ece")
    if ece is None or ece <= POOR_CALIBRATION:
        return []
    return [Sentence("advice.confidence", {"ece": Number(ece, "percent", ("calibration", "ece"))})]
