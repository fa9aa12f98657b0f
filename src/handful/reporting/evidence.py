"""A run directory as the report sees it: the result, one averaged prediction a sample, previews as data URIs.

Only files inside the run directory are read, whatever paths its lines name. Knows nothing about words or HTML.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handful.files import inside
from handful.runs import Run

EXPLANATIONS = "explanations.json"
MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".ogg": "audio/ogg",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
}
# A report is sent by mail and opened on telephones; 15 MB is what common mail servers still take after their own encoding.
MEDIA_BYTES = 14_000_000


@dataclass(frozen=True)
class Prediction:
    """What the model said about one sample that it had not seen, averaged over repeats."""

    file: str
    label: str
    group: str
    scores: dict[str, float]
    predicted: str
    preview: str | None = None  # file of the run directory that shows it
    sound: str | None = None  # ... that one can listen to

    @property
    def right(self) -> bool:
        return self.predicted == self.label

    @property
    def confidence(self) -> float:
        """Probability of the predicted class."""
        return self.scores.get(self.predicted, 0.0)

    @property
    def own(self) -> float:
        """Probability of the class that the label names."""
        return self.scores.get(self.label, 0.0)


@dataclass(frozen=True)
class Evidence:
    """Everything that the run directory holds about the run."""

    folder: Path
    result: dict[str, Any]
    samples: dict[str, dict[str, Any]]  # by file
    predictions: list[Prediction]  # out of fold, or on the validation part
    test: list[Prediction]
    confidences: list[tuple[str, float, bool]]  # file, probability of the predicted class, right: each repeat by itself
    epochs: list[dict[str, Any]]
    explanations: list[dict[str, Any]]


def read(folder: Path) -> Evidence:
    """Read a finished run. Raises RunError for one that is missing, unfinished or damaged."""
    run = Run.open(folder)
    result = _placed(run.result, run.path)
    classes = [str(name) for name in result.get("classes") or []]
    samples = _by_file(run.rows("samples.jsonl"))
    test, rows = run.rows("test.jsonl"), run.rows("out_of_fold.jsonl")
    return Evidence(
        folder=run.path,
        result=result,
        samples=samples,
        predictions=averaged(rows, classes, samples),
        test=averaged(test, classes, _by_file(test)),
        confidences=[(p.file, p.confidence, p.right) for row in rows for p in averaged([row], classes)],
        epochs=[row for row in run.rows("metrics.jsonl") if isinstance(row, dict) and row.get("event") == "epoch"],
        explanations=_explanations(run),
    )


def _explanations(run: Run) -> list[dict[str, Any]]:
    """What the optional explanations.json holds; one that is damaged is as good as none."""
    try:
        rows = json.loads(run.file(EXPLANATIONS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _placed(result: dict[str, Any], path: Path) -> dict[str, Any]:
    """The result with its commands made for where the run lies now."""
    before = shlex.quote(str(result.get("run", "")))
    commands = [str(line).replace(before, shlex.quote(str(path))) for line in result.get("next") or []]
    return result | {"run": str(path), "next": commands}


def _by_file(rows: list[Any]) -> dict[str, dict[str, Any]]:
    return {str(row["file"]): row for row in rows if isinstance(row, dict) and "file" in row}


def averaged(
    rows: list[Any], classes: list[str], previews: dict[str, dict[str, Any]] | None = None
) -> list[Prediction]:
    """One prediction a file: the mean of its probabilities. Equal probabilities go to the class named first.

    `previews`: rows by file with the names `preview` and `sound` of what shows a file.
    """
    by_file: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get("scores"), dict) and row["scores"]:
            by_file[str(row.get("file"))].append(row)
    found = []
    for file, repeats in by_file.items():
        names = classes or list(repeats[0]["scores"])
        scores = {name: sum(float(row["scores"].get(name) or 0.0) for row in repeats) / len(repeats) for name in names}
        predicted = max(names, key=lambda name: scores[name])
        first = repeats[0]
        shows = (previews or {}).get(file, {})
        label, group = str(first.get("label")), str(first.get("group") or "")
        found.append(Prediction(file, label, group, scores, predicted, shows.get("preview"), shows.get("sound")))
    return found


class Media:
    """Previews as data URIs, until the space for them is used up."""

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self._folder = folder
        self._left = MEDIA_BYTES if limit is None else limit
        self.full = False

    def uri(self, name: object, kind: str) -> str | None:
        """The data URI of file `name` of the run, None where there is none, where it is not of `kind` or does not fit.

        Args:
            kind: "image" or "audio".
        """
        path = inside(self._folder, name)
        media_type = MEDIA_TYPES.get(path.suffix.lower(), "") if path else ""
        if path is None or not media_type.startswith(kind):
            return None
        size = len("data:;base64,") + len(media_type) + 4 * -(-path.stat().st_size // 3)
        if size > self._left:
            self.full = True
            return None
        self._left -= size
        return f"data:{media_type};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
