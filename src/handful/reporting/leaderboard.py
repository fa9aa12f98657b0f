"""A leaderboard as one HTML file, as lines for a terminal, as CSV: rows by score, what is tied with the best, what is recommended.

Knows the keys of leaderboard.json; never trains or measures.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from handful.files import atomic_write, shown
from handful.reporting import elements, figures, words
from handful.reporting.elements import Html
from handful.reporting.words import Name, Number, Sentence, Words
from handful.words import retold

PAGE = "leaderboard.html"
# Column of the CSV -> where a row has it.
COLUMNS: dict[str, tuple[str, ...]] = {
    "name": ("name",), "model": ("model",), "strategy": ("strategy",), "head": ("head",), "features": ("features",),
    "metric": ("score", "metric"), "score": ("score", "value"), "low": ("score", "low"), "high": ("score", "high"),
    "n": ("score", "n"), "macro_f1": ("macro_f1",), "parameters": ("parameters",), "macs": ("macs",), "bytes": ("bytes",),
    "latency_ms": ("latency_ms",), "latency_ms_32": ("latency_ms_32",), "seconds": ("seconds",),
    "epoch_seconds": ("epoch_seconds",),
    "peak_rss_bytes": ("peak_rss_bytes",), "difference": ("difference", "value"), "difference_low": ("difference", "low"),
    "difference_high": ("difference", "high"), "tied_with_best": ("tied_with_best",), "recommended": ("recommended",),
}  # fmt: skip
# Costs of a row: key, kind of number, name of the column.
COSTS = (
    ("parameters", "compact", "board.parameters"),
    ("macs", "compact", "board.macs"),
    ("bytes", "bytes", "board.bytes"),
    ("latency_ms", "milliseconds", "board.latency"),
    ("latency_ms_32", "milliseconds", "board.latency_32"),
    ("seconds", "seconds", "board.seconds"),
    ("epoch_seconds", "seconds", "board.epoch"),
    ("peak_rss_bytes", "bytes", "board.memory"),
)


def write(folder: Path, board: dict[str, Any], lang: str = "en") -> Path:
    """Make `folder/leaderboard.html` and return its path. Raises UsageError: there is no language `lang`."""
    path = Path(folder) / PAGE
    atomic_write(path, render(board, words.load(lang)))
    return path


def render(board: dict[str, Any], texts: Words) -> str:
    """The whole page as text."""
    rows = ranked(board)
    chart = figures.pareto([row for _, row in rows])
    recommended = board.get("recommended") or {}
    return elements.page(
        "leaderboard.html",
        Html(texts),
        board=board | {"why": _told(board, texts)},
        summary=_summary(rows),
        tied=sum(bool(row.get("tied_with_best")) for _, row in rows) - 1,
        rows=[_shown(i, row, place, _costs(rows)) for place, (i, row) in enumerate(rows)],
        costs=_costs(rows),
        chart=chart,
        front=_front(chart, rows) if chart else None,
        recommended=recommended if recommended.get("name") or recommended.get("model") else None,
        unfinished=[row | {"why": _told(row, texts)} for row in board.get("unfinished") or []],
    )


def ranked(board: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Finished rows with their index in the board, the best score first; without a score they come last."""
    rows = [(i, row) for i, row in enumerate(board.get("rows") or []) if isinstance(row, dict)]
    return sorted(rows, key=lambda item: -_score(item[1]))


def _score(row: dict[str, Any]) -> float:
    value = (row.get("score") or {}).get("value")
    return -1.0 if value is None else float(value)


def name_of(row: dict[str, Any]) -> str:
    return str(row.get("name") or f"{row.get('model', '?')}, {row.get('strategy', '?')}")


def _summary(rows: list[tuple[int, dict[str, Any]]]) -> Sentence:
    rate = words.rate({"rows": {rows[0][0]: rows[0][1]}}, "rows", rows[0][0], "score") if rows else None
    if not rate:
        return Sentence("board.empty")
    return Sentence("board.summary", {"name": Name(name_of(rows[0][1])), **rate, "n": len(rows)})


def _costs(rows: list[tuple[int, dict[str, Any]]]) -> list[tuple[str, str, str]]:
    """The columns of `COSTS` in which any row has something to say: frozen models have no epochs."""
    return [cost for cost in COSTS if any(row.get(cost[0]) is not None for _, row in rows)]


def _shown(index: int, row: dict[str, Any], place: int, costs: list[tuple[str, str, str]]) -> dict[str, Any]:
    path = ("rows", index)
    gap = row.get("difference") or {}
    kinds = {"value": "change", "low": "bound", "high": "bound"}
    settings = [str(row[key]) for key in ("model", "strategy", "head", "features") if row.get(key)]
    return {
        "name": name_of(row),
        "settings": ", ".join(settings),
        "score": words.rate({"rows": {index: row}}, *path, "score"),
        "macro_f1": Number(row.get("macro_f1"), "ratio", (*path, "macro_f1")),
        "gap": {key: Number(gap.get(key), kind, (*path, "difference", key)) for key, kind in kinds.items()}
        if place
        else None,
        "costs": [Number(row.get(key), kind, (*path, key)) for key, kind, _ in costs],
        "marks": _marks(row, place),
        "recommended": bool(row.get("recommended")),
    }


def _marks(row: dict[str, Any], place: int) -> list[str]:
    """Keys of what a row is marked as."""
    marks = ["board.best_mark"] if place == 0 and _score(row) >= 0 else []
    if place and row.get("tied_with_best"):
        marks.append("board.tied_mark")
    return [*marks, "board.recommended_mark"] if row.get("recommended") else marks


def _front(chart: figures.Pareto, rows: list[tuple[int, dict[str, Any]]]) -> Sentence:
    best = sorted((dot for dot in chart.dots if dot.best), key=lambda dot: dot.x)
    names = "; ".join(name_of(rows[dot.index][1]) for dot in best)
    return Sentence("board.pareto_summary", {"n": len(best), "of": len(chart.dots), "names": Name(names)})


def lines(board: dict[str, Any], lang: str = "en") -> list[str]:
    """An aligned table, what is recommended and why, what was not finished."""
    texts = words.load(lang)
    rows = ranked(board)
    printed = [texts.say(_summary(rows))]
    if rows:
        printed += ["", *_table(rows, texts)]
    recommended = board.get("recommended") or {}
    if recommended.get("name") or recommended.get("model"):
        printed += ["", texts.text("board.recommended", name=Name(name_of(recommended)))]
        printed += [f"  {shown(str(text))}" for text in (_told(board, texts), recommended.get("command")) if text]
    unfinished = board.get("unfinished") or []
    if unfinished:
        printed += ["", texts.text("board.unfinished_lead", n=len(unfinished))]
        printed += [f"  {shown(name_of(row))}: {shown(_told(row, texts) or '–')}" for row in unfinished]
    return printed


def _told(row: dict[str, Any], texts: Words) -> str:
    """`why` of a board or of a row that was not finished."""
    return retold(words.told(row, "why", str(row.get("why") or "")), texts)


def _table(rows: list[tuple[int, dict[str, Any]]], texts: Words) -> list[str]:
    costs = _costs(rows)
    heads = ["board.name", "board.score", "board.interval", "board.macro_f1", *(key for *_, key in costs)]
    table = [[*(texts.text(key) for key in heads), ""]]
    for place, (_, row) in enumerate(rows):
        score = row.get("score") or {}
        value, low, high = (texts.number(Number(score.get(key), "percent")) for key in ("value", "low", "high"))
        numbers = [texts.number(Number(row.get("macro_f1"), "ratio"))]
        numbers += [texts.number(Number(row.get(key), kind)) for key, kind, _ in costs]
        marks = ", ".join(texts.text(key) for key in _marks(row, place))
        table.append([shown(name_of(row)), value, f"{low} – {high}", *numbers, marks])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:-1], widths[1:-1]), row[-1]]).rstrip()
        for row in table
    ]


def to_csv(board: dict[str, Any]) -> str:
    """All rows, the best first, with the exact numbers; a name that a spreadsheet would run as a formula begins with a quote."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for _, row in ranked(board):
        writer.writerow([_cell(row, path) for path in COLUMNS.values()])
    return text.getvalue()


def _cell(row: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = row
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{shown(value)}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else shown(value)
    return value
