"""Finished runs as members of an ensemble: what each said of samples that it had not seen, and whether they fit together.

Reads run directories; knows nothing of how a member was trained, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.config import Recipe
from handful.data.splits import join
from handful.errors import RunError, UsageError
from handful.files import shown
from handful.inference import Predictor
from handful.runs import Run

DIFFERENCES = 2  # files that are named


@dataclass(frozen=True)
class Member:
    """One run. `rows` are those of samples.jsonl by file, in order; `test` those of test.jsonl.

    `folds` int [repeats, samples], -1 where untested; `probabilities` float64 [repeats, samples, classes], calibrated, of
    models that had not seen the sample, NaN where untested.
    """

    run: Run
    result: dict[str, Any]
    predictor: Predictor
    rows: dict[str, dict[str, Any]]
    test: dict[str, dict[str, Any]]
    folds: np.ndarray
    probabilities: np.ndarray

    @property
    def name(self) -> str:
        return shown(str(self.run.path))

    @property
    def called(self) -> str:
        return f"{self.result['strategy']} on {self.result['model']}"

    @property
    def classes(self) -> list[str]:
        return list(self.result["classes"])

    def hits(self, labels: np.ndarray) -> np.ndarray:
        """bool [samples]: the mean over repeats names the label; False where untested."""
        mean = np.nan_to_num(self.probabilities.mean(axis=0), nan=-1.0)
        return np.asarray((mean.argmax(axis=1) == labels) & (mean.max(axis=1) >= 0))


def read(path: str | Path) -> Member:
    """Raises RunError where there is no such run, or it is damaged."""
    run = Run.open(path)
    try:
        rows = {str(row["file"]): row for row in run.rows("samples.jsonl")}
        places = {file: index for index, file in enumerate(rows)}
        classes = list(run.result["classes"])
        told = run.rows("out_of_fold.jsonl")
        repeats = 1 + max(int(row["repeat"]) for row in told)
        folds = np.full((repeats, len(rows)), -1)
        probabilities = np.full((repeats, len(rows), len(classes)), np.nan)
        for row in told:
            place = int(row["repeat"]), places[row["file"]]
            folds[place] = int(row["fold"])
            probabilities[place] = [row["scores"][name] for name in classes]
        test = {str(row["file"]): row for row in run.rows("test.jsonl")}
        return Member(run, run.result, Predictor.load(run.path), rows, test, folds, probabilities)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"the rows of {shown(str(run.path))} cannot be read", "the run is damaged: train again"
        ) from error


def fit_together(members: Sequence[Member]) -> None:
    """Raises UsageError where runs cannot be members of one ensemble; says which, why, and how to train them alike."""
    first, *others = members
    for number, other in enumerate(others, 1):
        if any(other.run.path.resolve() == earlier.run.path.resolve() for earlier in members[:number]):
            raise UsageError(f"{other.name} is given twice", "name different runs")
        for difference in (_of_classes, _of_samples, _of_decoding, _of_test):
            if found := difference(first, other):
                raise UsageError(*found)
    _unseen(members)


def clusters(members: Sequence[Member]) -> np.ndarray:
    """int [samples]: what any member kept together."""
    columns = [[f"c{row['cluster']}" for row in member.rows.values()] for member in members]
    return join(len(columns[0]), *columns)


def _of_classes(a: Member, b: Member) -> tuple[str, str] | None:
    if a.result["modality"] != b.result["modality"]:
        return (
            f"{a.name} is for {a.result['modality']}, {b.name} for {b.result['modality']}",
            "join runs of one kind of data",
        )
    if a.classes == b.classes:
        return None
    alone = [
        ", ".join(map(shown, sorted(set(x) - set(y)))) or "no others"
        for x, y in ((a.classes, b.classes), (b.classes, a.classes))
    ]
    return (
        f"the classes differ: {a.name} has {alone[0]}, {b.name} has {alone[1]}",
        "train both on the same classes, see --classes",
    )


def _of_samples(a: Member, b: Member) -> tuple[str, str] | None:
    """The same files with the same content, label, group and part."""
    same = "train both on the same data, with the same --labels, --pattern, --classes, --per-class and --seed"
    if a.rows.keys() != b.rows.keys():
        alone = [sorted(x - y) for x, y in ((a.rows.keys(), b.rows.keys()), (b.rows.keys(), a.rows.keys()))]
        said = [
            f"{len(files)} only in {m.name} ({_listed(files)})" for m, files in zip((a, b), alone, strict=True) if files
        ]
        return f"the training samples differ: {', '.join(said)}", same
    for key, word in (("sha256", "contents"), ("label", "labels"), ("group", "groups"), ("split", "parts")):
        if differing := [file for file, row in a.rows.items() if row.get(key) != b.rows[file].get(key)]:
            return (
                f"the {word} of {len(differing)} samples differ between {a.name} and {b.name}: {_listed(differing)}",
                same,
            )
    differing = [file for file, x, y in zip(a.rows, a.folds[0] < 0, b.folds[0] < 0, strict=True) if x != y]
    if differing:
        return f"{len(differing)} samples are tested in only one of {a.name} and {b.name}: {_listed(differing)}", same
    return None


def _listed(files: Sequence[str]) -> str:
    return ", ".join(map(shown, files[:DIFFERENCES])) + (", ..." if len(files) > DIFFERENCES else "")


def _of_decoding(a: Member, b: Member) -> tuple[str, str] | None:
    """One decoding feeds all members: nothing is resized or resampled in a graph."""
    seen = a.predictor.frontend.reading(), b.predictor.frontend.reading()
    differing = [name for name in seen[0] if seen[0][name] != seen[1].get(name)]
    if not differing:
        return None
    said = [", ".join(f"{name} {one[name]}" for name in differing) for one in seen]
    flags = " ".join(f"--{name.replace('_', '-')} {seen[0][name]}" for name in differing if name in Recipe.model_fields)
    return (
        f"{a.name} and {b.name} read files differently: {said[0]} and {said[1]}",
        f"train both with {flags}" if flags else "train both with one release of handful",
    )


def _of_test(a: Member, b: Member) -> tuple[str, str] | None:
    if {file: row["label"] for file, row in a.test.items()} == {file: row["label"] for file, row in b.test.items()}:
        return None
    return f"the test parts of {a.name} and {b.name} differ", "train both with the same --test, or both without"


def _unseen(members: Sequence[Member]) -> None:
    """Whether every member kept what belongs together on one side: nobody may vouch for a sample whose kin it had seen."""
    together = clusters(members)
    for member in members:
        for row in member.folds:
            tested = row >= 0
            pairs = np.unique(np.stack([together[tested], row[tested]]), axis=1)
            if len(np.unique(pairs[0])) < pairs.shape[1]:
                raise UsageError(
                    f"{member.name} was asked about samples whose group or near copy it had seen",
                    "train all members with the same --labels, --pattern and decoding",
                )
