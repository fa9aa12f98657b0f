"""Labelled files that a run can still reach: its own training files, and what it was tested on.

Training keeps paths and hashes, not copies: a file counts while it lies where it lay and has the same content.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handful.files import sha256_file
from handful.runs import Run

CALIBRATION = 100  # files are enough to know the range of activations
SCORED = 1000


@dataclass(frozen=True)
class Labelled:
    """Files with labels int [n]. `of`: "test files" that the model never saw, "training files", or "test vectors"."""

    files: list[Path]
    labels: np.ndarray
    of: str


def training(run: Run, limit: int = CALIBRATION) -> Labelled:
    """Training files, classes in turn, that are where they were; the run's test vectors where none are."""
    classes = run.result["classes"]
    root = Path(str(run.result["data"]["path"]))
    rows = [row for row in run.rows("samples.jsonl") if row["split"] == "train" and row["label"] in classes]
    rank: dict[str, int] = {}
    order = []
    for row in rows:
        rank[row["label"]] = rank.get(row["label"], 0) + 1
        order.append(rank[row["label"]])
    found = []
    for i in np.argsort(order, kind="stable"):
        path = root / rows[i]["file"]
        if path.is_file() and sha256_file(path) == rows[i]["sha256"]:
            found.append((path, classes.index(rows[i]["label"])))
        if len(found) == limit:
            break
    if len(found) < 2:
        return kept(run)
    return Labelled([path for path, _ in found], np.array([label for _, label in found]), "training files")


def kept(run: Run) -> Labelled:
    """The test vectors: a few training files of which the run holds copies."""
    import json

    classes = run.result["classes"]
    rows = json.loads(run.file("vectors.json").read_text(encoding="utf-8"))
    return Labelled(
        [run.file(row["file"]) for row in rows], np.array([classes.index(row["label"]) for row in rows]), "test vectors"
    )


def scored(run: Run) -> Labelled:
    """What a change is counted on: the files the run was tested on where they are at hand, else `training`."""
    from handful.config import load_recipe

    classes = run.result["classes"]
    root = Path(str(load_recipe(run.file("recipe.yaml")).get("test") or run.result["data"]["path"]))
    rows = [row for row in run.rows("test.jsonl") if row["label"] in classes and (root / row["file"]).is_file()]
    if not rows:
        return training(run, SCORED)
    labels = np.array([classes.index(row["label"]) for row in rows[:SCORED]])
    return Labelled([root / row["file"] for row in rows[:SCORED]], labels, "test files")
