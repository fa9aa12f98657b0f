"""Sentences in several languages: a sentence is a key of `locales/LANG.json` and the values that go into it.

Whoever shows it (terminal, HTML, the studio's server) decides the language, and how a value looks. What has to be passed on as
text, through errors and findings, is `Said`: English that remembers its sentence, so that nobody ever reads English to
translate it. Knows nothing about files, charts or HTML elements.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

LOCALES = Path(__file__).parent / "locales"
NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Number:
    """A number and how it is to be read. `path` is where run.json holds it, empty for what is derived.

    `kind`: percent (of a fraction), points (the size of a difference of fractions), change and drop (the same with its sign;
    a drop has none when it is one), bound (a change without its unit), count, seconds, milliseconds, bytes, round (to a whole), ratio, probability (two decimals), p_value, compact
    (736 k). `opens` names the view of samples behind a derived number.
    """

    value: float | int | None
    kind: str
    path: tuple[str | int, ...] = ()
    opens: str = ""


@dataclass(frozen=True)
class Name:
    """A name that somebody else chose: a class, a file, a group."""

    text: str


@dataclass(frozen=True)
class Sentence:
    key: str
    values: Mapping[str, Any] = field(default_factory=dict)


class Said(str):
    """A sentence as English text."""

    sentence: Sentence

    @classmethod
    def of(cls, sentence: Sentence) -> Said:
        text = cls(load("en").say(sentence))
        text.sentence = sentence
        return text


def said(key: str, **values: Any) -> Said:
    """The sentence in English. Values are numbers, names, other sentences, and lists of these."""
    return Said.of(Sentence(key, values))


def both(key: str, **values: Any) -> tuple[Said, Said]:
    """What happened and what to do about it: the sentences `key` and `key.fix` of the same values."""
    return said(key, **values), said(f"{key}.fix", **values)


def meant(names: Sequence[str]) -> Said:
    """Asks after the names that are nearest to one that does not exist."""
    *others, last = names
    return said("hint.meant", names=said("hint.or", names=others, last=last) if others else last)


def reason(error: OSError) -> str:
    """What the system says went wrong, as `Said` where it says so often."""
    key = f"system.{errno.errorcode.get(error.errno or 0, '')}"
    return said(key) if key in load("en") else error.strerror or type(error).__name__


def shown(name: str) -> str:
    """A name as it may go to a terminal or log: control characters and undecodable bytes become visible escapes."""
    return "".join(
        c
        if c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF
        else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in name
    )


def retold(text: str, texts: Words) -> str:
    """`text` in other words; what was not made of a sentence stays as it is."""
    return texts.say(text.sentence) if isinstance(text, Said) else text


def packed(value: Any) -> Any:
    """A value of a sentence, or a sentence, as JSON; see `unpacked`."""
    if isinstance(value, Said):
        value = value.sentence
    if isinstance(value, Sentence):
        return {"key": value.key, "values": {name: packed(one) for name, one in value.values.items()}}
    if isinstance(value, Number):
        return {"number": value.value, "as": value.kind}
    if isinstance(value, Name):
        return value.text
    return [packed(one) for one in value] if isinstance(value, (list, tuple)) else value


def unpacked(value: Any) -> Any:
    """What `packed` was given, with sentences as `Said`. A sentence that these locales do not know is "?"."""
    if isinstance(value, list):
        return [unpacked(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "number" in value:
        return Number(value["number"], str(value.get("as")))
    try:
        return said(value["key"], **{name: unpacked(one) for name, one in value["values"].items()})
    except (KeyError, TypeError, ValueError, AttributeError):
        return "?"


class Words:
    """The texts of one language. Where `place` has its own text for a key (`KEY@PLACE`), that one."""

    def __init__(self, lang: str, texts: dict[str, Any], place: str = "") -> None:
        self.lang = lang
        self._texts = texts
        self._place = f"@{place}"

    def keys(self) -> set[str]:
        return set(self._texts)

    def __contains__(self, key: str) -> bool:
        return key in self._texts

    def pattern(self, key: str, values: Mapping[str, Any]) -> str:
        """The text of `key`; where it has plural forms, the one that fits the count called `n`."""
        text = self._texts.get(key + self._place) or self._texts[key]
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
        if isinstance(value, Said):
            return self.say(value.sentence)
        if isinstance(value, Sentence):
            return self.say(value)
        if isinstance(value, (list, tuple)):
            return ", ".join(map(self.plain, value))
        return shown(value) if isinstance(value, str) else self.number(Number(value, "count"))

    def number(self, number: Number) -> str:
        value = number.value
        if value is None:
            return "–"
        match number.kind:
            case "percent":
                return self._percent(float(value))
            case "points":
                return self._points(float(value))
            case "change" | "drop" | "bound":
                sign = "" if abs(value) < 0.0005 else "−" if value < 0 else "" if number.kind == "drop" else "+"
                return sign + (self._digits(value) if number.kind == "bound" else self._points(float(value)))
            case "p_value":
                return self._decimal(f"{value:.3f}" if value >= 0.001 else "< 0.001")
            case "probability":
                small, large = 0 < value < 0.005, 0.995 <= value < 1
                return self._decimal("< 0.01" if small else "> 0.99" if large else f"{value:.2f}")
            case "milliseconds":
                return self.text(
                    "unit.milliseconds", value=self._decimal(f"{value:.3g}" if value < 1000 else f"{value:.0f}")
                )
            case "seconds":
                return self._seconds(float(value))
            case "bytes":
                return self._scaled(float(value), (("byte.g", 1e9), ("byte.m", 1e6), ("byte.k", 1e3)), "byte.1")
            case "compact":
                return self._scaled(float(value), (("compact.g", 1e9), ("compact.m", 1e6), ("compact.k", 1e3)), "")
            case "round":
                value = round(value)
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

    def _points(self, value: float) -> str:
        """The size of a difference; who says it, says its direction."""
        digits = self._digits(value)
        # A broken number takes the genitive singular in Russian, which is the form after 2 to 4.
        return self.text("unit.points", n=int(digits) if digits.isdigit() else 2, digits=digits)

    def _digits(self, value: float) -> str:
        points = abs(100 * value)
        whole = points >= 9.95 or abs(points - round(points)) < 0.05
        return self._decimal(f"{points:.0f}" if whole else f"{points:.1f}")

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
def load(lang: str, place: str = "") -> Words:
    """The texts of `lang`, which is one of `languages`.

    Args:
        place: "studio" where there are buttons to press rather than commands to type; "alone" where a file is not named
            beside what is said of it.
    """
    return Words(lang, json.loads((LOCALES / f"{lang}.json").read_text(encoding="utf-8")), place)
