"""Explain files: pictures of what mattered, each with its deletion test, kept beside the run for its report."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.config import several
from handful.errors import FileError, RunError, UsageError
from handful.files import atomic_write, inside, sha256_file, to_json
from handful.runs import Run, Teller
from handful.sources import Sources
from handful.words import both, reason, said

if TYPE_CHECKING:
    from handful.explaining import Explanation

FOLDER = "explanations"
ROWS = "explanations.json"
KEPT = 40  # earlier explanations that stay in a report
OURS = re.compile(r"[0-9a-f]{16}\.(jpg|ogg)")


@dataclass(frozen=True)
class _Asked:
    """A file to explain: its name in the answer, where it lies, and its class where that is known."""

    name: str
    path: Path
    label: str | None


def explain(
    run: str | os.PathLike[str],
    files: Sequence[str | os.PathLike[str]] | None = None,
    out: str | os.PathLike[str] | None = None,
    limit: int = 8,
    *,
    data: str | os.PathLike[str] | None = None,
    teller: Teller | None = None,
    lang: str = "en",
) -> dict[str, Any]:
    """What mattered to a run's model in these files.

    Args:
        files: files or folders. Without any: samples of the run, the most doubtful ones and some that are clearly right.
        out: folder for the pictures, sounds and `explanations.json`. Without: they go into the run, named files beside
            earlier ones and the run's own samples in their place, and its report is made again.
        limit: how many of the run's own samples.
        data: the folder of the run's samples, where it was not trained here or they were moved.
        lang: language of the report.

    Returns:
        {"schema", "folder", "files": [{"file", "label" (None: not known), "predicted", "confidence", "method", "before",
        "overlay", "sound", "filtered" (paths below `folder`, None where there is none), "deletion": {"salient", "random",
        "passed"}}, or {"file", "error"} where one cannot be read]}

    Raises:
        RunError: no such run.
        UsageError: nothing to explain.
    """
    from handful.explaining import explain as explanations
    from handful.reporting import write as write_report

    teller = teller or Teller()
    opened = Run.open(run)
    if limit < 1:
        raise UsageError(f"limit is {limit}", "give at least 1")
    asked = _given(opened, several(files)) if files else _own(Sources(opened, data), limit, teller)
    if not asked:
        raise UsageError(*both("error.nothing_to_explain", run=str(opened.path)))
    folder = Path(out).expanduser().absolute() if out else opened.path
    rows: list[dict[str, Any]] = []
    for one, answer in zip(asked, explanations(_model(opened), [one.path for one in asked]), strict=True):
        rows.append(_row(one, answer, folder, "" if out else FOLDER))
        if teller.progress:
            teller.progress("explain", len(rows), len(asked))
    good = [row for row in rows if "error" not in row]
    if good and files and not out:  # asked for by name: beside what is there
        fresh = {row["file"] for row in good}
        good = [row for row in _earlier(opened) if row.get("file") not in fresh][-KEPT:] + good
    if good:
        atomic_write(folder / ROWS, to_json(good, indent=1) + "\n")
        if not out:
            _sweep(opened.path, good)
            write_report(opened.path, lang)
    return {"schema": 1, "folder": str(folder), "files": rows}


def _earlier(run: Run) -> list[dict[str, Any]]:
    """What was explained before."""
    try:
        found = json.loads(run.file(ROWS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _row(one: _Asked, answer: Explanation | tuple[str, FileError], folder: Path, below: str) -> dict[str, Any]:
    """What is said of one file; its pictures and sounds are written."""
    if isinstance(answer, tuple):
        error = answer[1]
        return {"file": one.name, "error": error.message + (f" ({error.hint})" if error.hint else "")}
    kept = {key: _keep(folder, below, *found) for key, found in answer.artefacts.items()}
    test = answer.deletion
    return {
        "file": one.name, "label": one.label, "predicted": answer.predicted, "confidence": answer.confidence,
        "method": answer.method, "before": kept["before"], "overlay": kept["overlay"], "sound": kept.get("sound"),
        "filtered": kept.get("filtered"),
        "deletion": {"salient": test.salient, "random": test.random, "passed": test.passed},
    }  # fmt: skip


def _model(run: Run) -> bytes:
    try:
        return run.file("model.onnx").read_bytes()
    except OSError as error:
        raise RunError(*both("error.model_unreadable", run=str(run.path), reason=reason(error))) from error


def _keep(folder: Path, below: str, content: bytes, suffix: str) -> str:
    """Write one picture or sound under the hash of its content; returns its path below `folder`."""
    name = f"{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    name = f"{below}/{name}" if below else name
    if not (folder / name).is_file():
        atomic_write(folder / name, content)
    return name


def _sweep(run: Path, rows: list[dict[str, Any]]) -> None:
    """Remove the pictures and sounds of earlier explanations from the run."""
    named = {row.get(key) for row in rows for key in ("before", "overlay", "sound", "filtered")}
    for path in (run / FOLDER).iterdir():
        if OURS.fullmatch(path.name) and f"{FOLDER}/{path.name}" not in named:
            path.unlink(missing_ok=True)


def _given(run: Run, files: Sequence[str | os.PathLike[str]]) -> list[_Asked]:
    """The user's files; the class of one that the run was trained on is known."""
    from handful.workflow.predict import _expand

    labels = {row["sha256"]: str(row["label"]) for row in run.rows("samples.jsonl")}

    def label(path: Path) -> str | None:
        try:
            return labels.get(sha256_file(path))
        except OSError:
            return None  # said when it is read

    return [_Asked(str(path), path, label(path)) for path in _expand(files)]


def _own(sources: Sources, limit: int, teller: Teller) -> list[_Asked]:
    """Samples of the run: half of them those whose class was given the least probability, then right ones, class by class."""
    run, folder = sources.run, sources.folder
    rows = {str(row["file"]): row for row in run.rows("samples.jsonl")}
    paths = {file: path for file in rows if folder and (path := inside(folder, file))}
    there = [_Asked(file, path, str(rows[file]["label"])) for file, path in paths.items()]
    if len(there) < len(rows):
        key = "say.samples_gone" if sources.place else "say.samples_strange"
        teller.say(said(key, n=len(rows) - len(there), of=len(rows), folder=sources.place or ""))
    own, right = _unseen(run)
    ranked = sorted((one for one in there if one.name in own), key=lambda one: own[one.name])
    doubtful = ranked[: (limit + 1) // 2]
    by_class: dict[str | None, list[_Asked]] = defaultdict(list)
    for one in reversed(ranked):
        if right[one.name] and one not in doubtful:
            by_class[one.label].append(one)
    turns = [one for turn in zip_longest(*by_class.values()) for one in turn if one is not None]
    wanted = dict.fromkeys(chain(doubtful, turns, ranked, there))
    chosen = list(islice((one for one in wanted if sources.find(folder, rows[one.name])), limit))
    if not chosen:
        chosen = _raw_files(run)[:limit]
        if chosen:
            teller.say(said("say.explaining", n=len(chosen)))
    return chosen


def _unseen(run: Run) -> tuple[dict[str, float], dict[str, bool]]:
    """By file, from the model that had not seen it: mean probability of its own class, and whether that was the largest."""
    scores: dict[str, list[dict[str, float]]] = defaultdict(list)
    labels = {}
    for row in run.rows("out_of_fold.jsonl"):
        scores[str(row["file"])].append(row["scores"])
        labels[str(row["file"])] = str(row["label"])
    own, right = {}, {}
    for file, repeats in scores.items():
        mean = {name: sum(row.get(name, 0.0) for row in repeats) / len(repeats) for name in repeats[0]}
        own[file] = mean.get(labels[file], 0.0)
        right[file] = max(mean, key=lambda name: mean[name]) == labels[file]
    return own, right


def _raw_files(run: Run) -> list[_Asked]:
    """What `vectors.json` keeps of the data for proving exports."""
    try:
        rows = json.loads(run.file("vectors.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    found = ((row, inside(run.path, row["file"])) for row in rows)
    return [_Asked(str(row["file"]), path, str(row["label"])) for row, path in found if path]
