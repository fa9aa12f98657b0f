"""Exports: one format, one file. Every export is run on raw files against what the trained model said of them.

Reads a run directory and writes only below the folder it is given. Knows nothing about training.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from handful.errors import ExportError
from handful.files import shown
from handful.registry import Registry
from handful.runs import Run

MAX_ERROR = 1e-3  # of the spread of the trained model's logits over the files


@dataclass(frozen=True)
class Exported:
    """One export and its proof: it agrees on `agree` of `n` raw files, logits differ by at most `max_error` of their spread."""

    format: str
    path: str
    bytes: int
    max_error: float
    agree: int
    n: int
    latency_ms: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Exporter(Protocol):
    """Writes one format into `folder`; returns (path, function from raw file to calibrated logits by the *written* file)."""

    def __call__(self, run: Run, folder: Path) -> tuple[Path, Callable[[list[Path]], np.ndarray]]: ...


exporters: Registry[Exporter] = Registry("export format", "handful.exporting")


def vectors(run: Run) -> tuple[list[Path], np.ndarray]:
    """The raw files kept with a run and the trained model's calibrated logits [n, classes] of them.

    Raises:
        ExportError: the run has none, or they were changed.
    """
    import json

    from handful.files import sha256_file

    if not run.has("vectors.json"):
        raise ExportError("the run has no test vectors, so an export could not be proven", "train again")
    rows = json.loads(run.file("vectors.json").read_text(encoding="utf-8"))
    for row in rows:
        if not run.has(row["file"]) or sha256_file(run.file(row["file"])) != row["sha256"]:
            raise ExportError(f"the test vector {shown(row['file'])} is missing or was changed", "train again")
    return [run.file(row["file"]) for row in rows], np.array([row["logits"] for row in rows], np.float64)


def agreement(expected: np.ndarray, found: np.ndarray) -> tuple[float, int]:
    """(largest difference as a share of the spread, files with the same label) of logits [n, classes].

    A model whose answers hardly vary over the files proves nothing: it counts as full disagreement.
    """
    spread = float(np.ptp(expected, axis=0).max()) if len(expected) > 1 else float(np.ptp(expected))
    difference = float(np.abs(found - expected).max())
    if not np.isfinite(found).all() or spread < 1e-6:
        return float("inf"), 0
    return difference / spread, int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())


def export(run: Run, name: str, folder: Path) -> Exported:
    """Write one format and prove it.

    Raises:
        UsageError: there is no such format.
        ExportError: the written file does not predict what the trained model predicts; it is removed.
    """
    import shutil

    files, expected = vectors(run)
    path, predict = exporters.get(name)(run, folder)
    found = predict(files)
    error, agree = agreement(expected, found)
    if error > MAX_ERROR or agree < len(files):
        (shutil.rmtree if path.is_dir() else Path.unlink)(path)
        raise ExportError(
            f"the {name} export disagrees with the trained model (error {error:.2g} of the spread, {agree} of {len(files)} labels)",
            "the file was removed; please report this with `handful --version`",
        )
    timings = []
    for _ in range(5):
        start = time.perf_counter()
        predict(files[:1])
        timings.append((time.perf_counter() - start) * 1000)
    size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) if path.is_dir() else path.stat().st_size
    return Exported(name, str(path), size, error, agree, len(files), float(np.median(timings)))
