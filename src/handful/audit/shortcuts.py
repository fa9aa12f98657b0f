"""What a model could learn in place of the class: backgrounds, levels, sizes, formats.

Turns facts into blocks of numbers and results into findings. How well a block tells the classes is measured elsewhere
(`training.shortcuts`): nothing is fitted here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from handful.data import Finding
from handful.words import Number, Sentence, load

_LEVELS = 12  # most common values of a name that get a column
_Row = Callable[[Mapping[str, Any]], list[float]]
_Name = Callable[[Mapping[str, Any]], str]


def _size(seen: Mapping[str, Any]) -> list[float]:
    unit = seen["width"] * seen["height"] if "width" in seen else max(seen["seconds"], 1e-3)
    return [np.log(seen["bytes"] + 1), np.log((seen["bytes"] + 1) / unit)]


def _dimensions(seen: Mapping[str, Any]) -> list[float]:
    return [np.log(seen["width"]), np.log(seen["height"]), np.log(seen["width"] / seen["height"])]


def _loudness(seen: Mapping[str, Any]) -> list[float]:
    return [20 * np.log10(max(seen["rms"], 1e-6)), 20 * np.log10(max(seen["peak"], 1e-6))]


# Numbers of a file, and names that stand for themselves. A block is there where every file has what it needs.
_NUMBERS: dict[str, _Row] = {
    "border": lambda seen: seen["border"],
    "brightness": lambda seen: [seen["brightness"], seen["colour"]],
    "dimensions": _dimensions,
    "edges of the sound": lambda seen: seen["edges"],
    "loudness": _loudness,
    "length": lambda seen: [np.log(max(seen["seconds"], 1e-3))],
    "file size": _size,
}
_NAMES: dict[str, _Name] = {
    "sample rate": lambda seen: str(seen["sample_rate_hz"]),
    "channels": lambda seen: str(seen["channels"]),
    "file format": lambda seen: " ".join(str(seen.get(key)) for key in ("format", "encoding", "mode")),
    "camera": lambda seen: seen.get("camera", ""),
}


def features(facts: Iterable[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Blocks float64 [samples, k] by the name of the shortcut, of those that are known of every sample and differ at all."""
    rows: dict[str, list[list[float]]] = {name: [] for name in _NUMBERS}
    names: dict[str, list[str]] = {name: [] for name in _NAMES}
    count = 0
    for seen in facts:
        count += 1
        for name, numbers in _NUMBERS.items():
            _append(rows[name], numbers, seen)
        for name, word in _NAMES.items():
            _append(names[name], word, seen)
    blocks = {name: np.array(values, float) for name, values in rows.items() if len(values) == count}
    blocks |= {name: _columns(values) for name, values in names.items() if len(values) == count}
    return {name: block for name, block in blocks.items() if block.size and np.ptp(block, axis=0).max() > 0}


def _append(values: list[Any], of: Callable[[Mapping[str, Any]], Any], seen: Mapping[str, Any]) -> None:
    try:
        values.append(of(seen))
    except KeyError:  # this kind of file has no such thing
        return


def _columns(values: Sequence[str]) -> np.ndarray:
    """0 or 1 for each of the most common values: float64 [samples, values]."""
    common = [value for value, _ in Counter(values).most_common(_LEVELS)]
    return np.array([[float(value == name) for name in common] for value in values]).reshape(len(values), len(common))


def to_findings(shortcuts: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Warnings from the rows `shortcuts` of run.json: only what tells the classes better than chance."""
    findings = []
    for row in shortcuts:
        if not row.get("above_chance"):
            continue
        name, score = str(row["name"]), row["score"]
        key = f"shortcut.{name.replace(' ', '_')}"
        known = key in load("en")
        values = {
            "name": Sentence(key) if known else name,
            "advice": Sentence(f"{key}.fix" if known else "shortcut.other.fix"),
            "chance": Number(row["chance"], "percent"),
            **{part: Number(score[part], "percent") for part in ("value", "low", "high")},
        }
        findings.append(Finding("shortcut", "warning", "shortcut", values))
    return findings
