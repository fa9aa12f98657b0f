"""Labelled files that a run can still reach: its own training files, and what it was tested on.

Training keeps paths and hashes, not copies: a file counts while `sources` finds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from handful.runs import Run
from handful.sources import Sources

CALIBRATION = 100  # files are enough to know the range of activations
SCORED = 1000


@dataclass(frozen=True)
class Labelled:
    """Files with labels int [n]. `of`: "test files" that the model never saw, "training files", or "test vectors"."""

    files: list[Path]
    labels: np.ndarray
    of: str


def training(sources: Sources, limit: int = CALIBRATION) -> Labelled:
    """Training files, classes in turn, as many as can be found; the run's test vectors where none are."""
    run = sources.run
    classes = run.result["classes"]
    rows = [row for row in run.rows("samples.jsonl") if row["split"] == "train" and row["label"] in classes]
    rank: dict[str, int] = {}
    order = []
    for row in rows:
        rank[row["label"]] = rank.get(row["label"], 0) + 1
        order.append(rank[row["label"]])
    found = _found(sources, sources.folder, [rows[i] for i in np.argsort(order, kind="stable")], limit)
    return Labelled(*found, "training files") if len(found[0]) > 1 else kept(run)


def kept(run: Run) -> Labelled:
    """The test vectors: a few training files of which the run holds copies."""
    import json

    classes = run.result["classes"]
    rows = json.loads(run.file("vectors.json").read_text(encoding="utf-8"))
    return Labelled(
        [run.file(row["file"]) for row in rows], np.array([classes.index(row["label"]) for row in rows]), "test vectors"
    )


def scored(sources: Sources) -> Labelled:
    """What a change is counted on: the files the run was tested on where they can be found, else `training`."""
    found = _found(sources, sources.test_folder, sources.run.rows("test.jsonl"), SCORED)
    return Labelled(*found, "test files") if found[0] else training(sources, SCORED)


def _found(
    sources: Sources, folder: Path | None, rows: Iterable[dict[str, Any]], limit: int
) -> tuple[list[Path], np.ndarray]:
    """The first `limit` files of rows that are there and of a known class, and their labels."""
    classes = sources.run.result["classes"]
    known = ((row, sources.find(folder, row)) for row in rows if row["label"] in classes)
    found = list(islice(((path, classes.index(row["label"])) for row, path in known if path), limit))
    return [path for path, _ in found], np.array([label for _, label in found], int)
