"""Exports: one format, one file. Every export is run on raw files against what the trained model said of them.

Reads a run directory and writes only below the folder it is given. Knows nothing about training.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from handful.errors import ExportError
from handful.exporting._packing import pack, zip_of
from handful.features import from_spec
from handful.files import inside, sha256_file
from handful.own import remember
from handful.registry import Registry
from handful.runs import Run
from handful.words import both, reason, said

MAX_ERROR = 1e-3  # of the spread of the trained model's logits over the files
LOSSY_ERROR = (
    0.5  # at most the same where weights and activations are rounded on purpose; what that costs is counted in files
)
MIN_MOVEMENT = 100  # times the permitted difference that answers must vary over the files, else any constant would pass
BATCH = 16
# What travels with a model in every format.
CARRIED = ("classes", "frontend", "temperature", "set_quantile", "unknown_below", "licence", "data")


@dataclass(frozen=True)
class Order:
    """What the user wishes of an export, whom to tell, and in which folder the run's samples lie (None: as in training)."""

    accept_drop: bool = False
    say: Callable[[str], None] = lambda line: None
    data: Path | None = None


@dataclass(frozen=True)
class Written:
    """What an exporter wrote. `drop`: what rounding cost, where it was done, see `int8`."""

    path: Path
    notes: tuple[str, ...] = ()
    drop: dict[str, Any] | None = None


@dataclass(frozen=True)
class Opened:
    """A written file, read back. `infer`: decoded items [W, ...] to calibrated logits float [W, classes]."""

    metadata: dict[str, Any]
    infer: Callable[[np.ndarray], np.ndarray]

    def answers(self, files: Sequence[Path]) -> np.ndarray:
        """Calibrated logits [files, classes], a file's windows averaged. What the file says of its front-end counts."""
        frontend = from_spec(self.metadata["frontend"])
        rows = []
        for file in files:
            items = frontend.read(file)[0]
            parts = [self.infer(items[i : i + BATCH]) for i in range(0, len(items), BATCH)]
            rows.append(np.concatenate(parts).mean(axis=0))
        return np.stack(rows)


class Exporter(Protocol):
    """One format. `file` is the name of what it writes, `engine` what runs it, `tolerance` what `agreement` may say.

    `extra`, where a class has it, is what must be installed to write it; `programs`, where it has that, that opening a file of
    this format can run a program in it.
    """

    file: str
    engine: str
    tolerance: float

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        """Write `folder / file`. Raises ExportError or MissingExtra, with nothing left behind."""
        ...

    def open(self, path: Path) -> Opened:
        """Read back what was written. Raises ExportError."""
        ...


@dataclass
class Elsewhere:
    """A format that cannot be written and proven here: says why (`unavailable`) and how to get it elsewhere (`how`)."""

    file: str
    engine: str
    unavailable: str
    how: str
    tolerance: float = MAX_ERROR

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        raise ExportError(self.unavailable, self.how)

    def open(self, path: Path) -> Opened:
        raise ExportError(self.unavailable, self.how)


exporters: Registry[Exporter] = Registry("export format", "handful.exporting")


@dataclass(frozen=True)
class Exported:
    """One export and its proof: it agrees on `agree` of `n` raw files, logits differ by at most `max_error` of their spread.

    `zip`: what is a folder lies beside it as one file, too.
    """

    format: str
    path: str
    bytes: int
    max_error: float
    agree: int
    n: int
    latency_ms: float
    notes: tuple[str, ...] = ()
    drop: dict[str, Any] | None = None
    zip: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value not in (None, ())}


def vectors(folder: Path) -> tuple[list[Path], np.ndarray]:
    """The raw files kept in a run or bundle and the trained model's calibrated logits [n, classes] of them.

    Raises:
        ExportError: there are none, or they were changed.
    """
    path = folder / "vectors.json"
    if not path.is_file():
        raise ExportError(*both("export.no_vectors", folder=folder.name))
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        named = [(str(row["file"]), str(row["sha256"])) for row in rows]
        expected = np.array([row["logits"] for row in rows], np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(*both("export.vectors_damaged")) from error
    files = []
    for name, sha256 in named:
        file = inside(folder, name)
        if file is None or sha256_file(file) != sha256:
            raise ExportError(*both("export.vector_changed", file=name.rpartition("/")[2]))
        files.append(file)
    return files, expected


def agreement(expected: np.ndarray, found: np.ndarray, tolerance: float = MAX_ERROR) -> tuple[float, int]:
    """(largest difference as a share of the spread, files with the same label) of logits [n, classes].

    The spread is that of the class whose logit varies most over the files. Answers that hardly vary prove nothing: they
    count as full disagreement.
    """
    none = float("inf"), 0
    if expected.shape != found.shape or len(expected) < 2 or not np.isfinite(found).all():
        return none
    spread = float(np.ptp(expected, axis=0).max())
    moved = float(np.ptp(found, axis=0).max())
    if spread < 1e-6 or moved < min(MIN_MOVEMENT * tolerance, 0.5) * spread:
        return none
    difference = float(np.abs(found - expected).max())
    return difference / spread, int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())


def disagreement(
    opened: Opened, metadata: dict[str, Any], files: list[Path], expected: np.ndarray, tolerance: float
) -> tuple[float, int, str]:
    """(error, files with the same label, why it is no proof: empty where it is one) of an opened export."""
    lost = [name for name in CARRIED if opened.metadata.get(name) != metadata.get(name)]
    if lost:
        return float("inf"), 0, said("export.lost", names=lost)
    error, agree = agreement(expected, opened.answers(files), tolerance)
    # Labels that differ within the permitted error are ties.
    if error <= tolerance:
        return error, agree, ""
    return error, agree, said("export.apart", error=f"{error:.2g}", agree=agree, of=len(files))


def tolerance_of(exporter: Exporter, metadata: dict[str, Any]) -> float:
    """What an export may differ: what its format says, or what the file itself says of weights that were rounded."""
    said = metadata.get("tolerance") if metadata.get("precision") == "int8" else None
    return float(said) if isinstance(said, int | float) else exporter.tolerance


def export(run: Run, name: str, folder: Path, order: Order | None = None) -> Exported:
    """Write one format and prove it.

    Raises:
        UsageError: there is no such format.
        MissingExtra: its library is not installed.
        RunError: the run holds no model.
        ExportError: there can be no such folder, or the written file does not predict what the trained model predicts; it is
            removed.
    """
    from handful.inference import Predictor

    order = order or Order()
    files, expected = vectors(run.path)
    exporter = exporters.get(name)
    metadata = Predictor.load(run.path).metadata
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as why_not:
        raise ExportError(*both("error.unwritten", path=str(folder), reason=reason(why_not))) from why_not
    written = exporter.write(run, folder, order)
    path = written.path
    try:
        opened = exporter.open(path)
        accepted = written.drop and order.accept_drop
        tolerance = float("inf") if accepted else min(tolerance_of(exporter, opened.metadata), LOSSY_ERROR)
        error, agree, why = disagreement(opened, metadata, files, expected, tolerance)
    except BaseException:
        _withdraw(path)
        raise
    if why:
        _withdraw(path)
        plain = name in ("onnx", "bundle", "page")  # the same graph in each: another format would say the same
        hint = "export.disagrees_plain.fix" if plain else "export.disagrees.fix"
        hint = "export.disagrees_drop.fix" if written.drop else hint
        raise ExportError(said("export.disagrees", format=name, why=why), said(hint))
    latency = _milliseconds(lambda: opened.answers(files[:1]))
    if getattr(exporter, "programs", False):
        remember(path)
    packed = str(pack(path, run.path.resolve().name)) if path.is_dir() else None
    return Exported(
        name, str(path), size(path), error, agree, len(files), latency, written.notes, written.drop, packed
    )  # fmt: skip


def _withdraw(path: Path) -> None:
    """Remove what cannot be stood by, and what was packed of an earlier one."""
    remove(path)
    zip_of(path).unlink(missing_ok=True)


def _milliseconds(call: Callable[[], Any], times: int = 5, enough: float = 500.0) -> float:
    """Median of `times` calls, of fewer where they have taken `enough` together."""
    taken: list[float] = []
    while len(taken) < times and sum(taken) < enough:
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    return float(np.median(taken))


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) if path.is_dir() else path.stat().st_size


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
