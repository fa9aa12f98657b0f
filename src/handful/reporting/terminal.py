"""What the command line prints when training is done: plain lines, fit for a pipe.

Knows the keys of run.json; the caller prints. Control characters in names are escaped.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from handful.files import shown
from handful.reporting import REPORT, advice, words
from handful.reporting.words import Name, Number, Words

FEW_CLASSES = 12
NAMED_FILES = 3
WIDTH = 50


def lines(result: dict[str, Any], lang: str = "en") -> list[str]:
    """Headline, interval, classes when they are few, choice and reason, where everything lies, what to type next."""
    texts = words.load(lang)
    printed = [words.headline(result, lang)]
    test = result.get("test") or {}
    if test.get("value") is not None:
        key = "headline.test_share" if words.right_of(test) is None else "headline.test"
        printed.append(texts.text(key, **words.measured(test, "test")))
    printed += _interval(result, texts)
    printed += _classes(result, texts)
    printed += [
        "",
        texts.text(
            "terminal.chosen",
            model=Name(str(result.get("model", "?"))),
            strategy=Name(str(result.get("strategy", "?"))),
        ),
    ]
    if result.get("why"):
        printed.append(texts.text("terminal.why", why=words.told(result, "why", str(result["why"]))))
    seconds = Number((result.get("seconds") or {}).get("total"), "seconds")
    printed.append(texts.text("terminal.time", seconds=seconds, memory=Number(result.get("peak_rss_bytes"), "bytes")))
    printed += ["", texts.text("terminal.advice")] + [f"  - {line}" for line in advice.advice(result, lang)]
    if result.get("run"):
        run = str(result["run"])
        printed += [
            "",
            texts.text("terminal.run", path=run),
            texts.text("terminal.report", path=str(PurePath(run) / REPORT)),
        ]
    commands = [f"  {shown(str(line))}" for line in result.get("next") or []]
    return printed + (["", texts.text("terminal.next"), *commands] if commands else [])


def _interval(result: dict[str, Any], texts: Words) -> list[str]:
    """`0 % ----|------[==#==]-- 100 %`: a ruler of WIDTH characters."""
    score = result.get("score") or {}
    if any(score.get(key) is None for key in ("value", "low", "high")):
        return []
    low, value, high = (round(score[key] * (WIDTH - 1)) for key in ("low", "value", "high"))
    ruler = ["=" if low <= i <= high else "-" for i in range(WIDTH)]
    ruler[low], ruler[high] = "[", "]"
    ruler[value] = "#"
    by_chance = round(words.chance(result)[0] * (WIDTH - 1))
    if ruler[by_chance] in "-=":
        ruler[by_chance] = "|"
    return [f"0 % {''.join(ruler)} 100 %", f"    {texts.text('terminal.interval')}"]


def _classes(result: dict[str, Any], texts: Words) -> list[str]:
    per_class = result.get("per_class") or {}
    return ["", *table(per_class, texts.lang)] if 0 < len(per_class) <= FEW_CLASSES else []


def table(per_class: dict[str, Any], lang: str = "en") -> list[str]:
    """run.json's `per_class` as aligned lines: a head, then a line a class."""
    texts = words.load(lang)
    rows = [[texts.text(f"terminal.{key}") for key in ("classes", "recall", "precision", "samples")]]
    for name, row in per_class.items():
        row = row or {"n": 0}
        figures = [
            Number(row.get(key), kind)
            for key, kind in (("recall", "percent"), ("precision", "percent"), ("n", "count"))
        ]
        rows.append([shown(str(name)), *(texts.number(figure) for figure in figures)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def checked(result: dict[str, Any]) -> list[str]:
    """What `handful check` found: a line a finding, then what was skipped and why."""
    counts = ", ".join(f"{shown(name)} {n}" for name, n in result["classes"].items())
    samples, classes = result["samples"], len(result["classes"])
    printed = [f"{samples} sample{'s' * (samples != 1)} in {classes} class{'es' * (classes != 1)}: {counts}"]
    for finding in result["findings"]:
        printed.append(f"{finding['severity']:8}{shown(finding['message'])}")
        files = [shown(file) for file in finding["files"]]
        if files and not any(file in printed[-1] for file in files):
            printed.append(f"{'':8}{', '.join([*files[:NAMED_FILES], *['...'] * (len(files) > NAMED_FILES)])}")
        if finding["fix"]:
            printed.append(f"{'':8}-> {shown(finding['fix'])}")
    if not result["findings"]:
        printed.append("nothing to complain about")
    for part in result.get("skipped") or []:
        printed += [f"not looked for: {part['what']} ({shown(part['why'])})", f"{'':8}-> {shown(part['command'])}"]
    if result.get("fixed"):
        table = shown(str(result["fixed"]))
        if result["suggested"]:
            printed.append(
                f"a labels table is in {table}, with doubtful labels as they were and a column of suggestions"
            )
            printed.append(f"{'':8}-> write the right ones into its column label, then train with --labels {table}")
        else:
            printed.append(f"a labels table is in {table}: train with --labels {table}")
    return printed


def curve_lines(result: dict[str, Any], lang: str = "en") -> list[str]:
    """What `handful curve` found: the points, the forecast, and a line a class."""
    texts, found = words.load(lang), result["curve"]
    if found.get("why"):
        return [shown(str(found["why"]))]

    def row(point: dict[str, Any], key: str) -> str:
        value, low, high = (texts.number(Number(point[name], "percent")) for name in ("value", "low", "high"))
        return f"{point['per_class']:8.0f}  {value:>6}  ({low} – {high})  {texts.text(key)}"

    measured = max(point["per_class"] for point in found["points"])
    beyond = [point for point in found["band"] if point["per_class"] > measured]
    printed = [texts.text("curve.per_class")]
    printed += [row(point, "curve.key_points") for point in found["points"]]
    printed += [row(point, "curve.key_beyond") for point in beyond[:: max(1, len(beyond) // 3)]]
    printed += ["", texts.text("curve.classes")]
    for name, said in found["classes"].items():
        key = "curve.done" if said["done"] else "curve.more" if said["more"] else "curve.unclear"
        printed.append(f"  {shown(name)}: {texts.text(key, n=said['more'] or 0)}")
    return printed
