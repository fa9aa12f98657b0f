"""Finished runs of a project, read from their directories and remembered until a file changes.

Knows the run directory and ids; knows nothing of HTTP or words. A run is found by its id among what is there, so that no
name that came from outside ever becomes a path.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.config import load_recipe
from handful.errors import HandfulError, RunError
from handful.files import atomic_write, to_json
from handful.folders import KEPT, split_named
from handful.projects import NotFound
from handful.projects.names import visible
from handful.reporting.evidence import Prediction, averaged
from handful.runs import Run
from handful.words import both
from handful.workflow.studio import shapes

if TYPE_CHECKING:
    from handful.projects import Project

RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
NAME = "name.json"  # what the user calls the run; beside the files that training wrote
TRASH = "trash"
_NUMBERED = re.compile(r"(\d{1,9})-[0-9a-f]{16}", re.ASCII)
_FRESH_S = 3600.0  # a snapshot this young may be of a job that is being queued
SNAPSHOTS = "snapshots"  # labels as they were when a job was queued, by content


@dataclass(frozen=True)
class Record:
    """One finished run. `result` is run.json, `recipe` recipe.yaml; both are shared: change neither."""

    id: str
    path: Path
    created: float
    result: dict[str, Any]
    recipe: dict[str, Any]

    @property
    def run(self) -> Run:
        return Run(self.path)

    @property
    def name(self) -> str:
        """As the user called it, else its number, else what it is. Pages say the number in their language."""
        given = shapes.read(self.path / NAME)
        if isinstance(given, dict) and isinstance(given.get("name"), str):
            return visible(given["name"])
        numbered = number(self.id)
        method = f"{self.result.get('model', '?')}, {self.result.get('strategy', '?')}"
        return method if numbered is None else f"Training {numbered}"

    @property
    def named(self) -> bool:
        return (self.path / NAME).is_file()

    def rename(self, name: str) -> None:
        atomic_write(self.path / NAME, to_json({"name": name}) + "\n")

    def samples(self) -> dict[str, dict[str, Any]]:
        """Rows of samples.jsonl by sample id."""
        return _samples(self.path, _changed(self.path / "samples.jsonl"))

    def predictions(self) -> dict[str, Prediction]:
        """What models that had not seen a sample said of it, averaged over repeats, by sample id."""
        return _predictions(self.path, _changed(self.path / "out_of_fold.jsonl"))

    @property
    def fingerprint(self) -> str:
        """Of the labels that it was trained on, see `fingerprint`; empty where they are damaged."""
        table = self.path.parent.parent / SNAPSHOTS / Path(str(self.recipe.get("labels") or "")).name
        try:
            if table.is_file():
                return _table_fingerprint(table, _changed(table))
            learnt = {sample: (str(row["label"]), str(row.get("split"))) for sample, row in self.samples().items()}
            return fingerprint((sample, *told) for sample, told in (learnt | self._tested()).items())
        except HandfulError:
            return ""

    def _tested(self) -> dict[str, tuple[str, str]]:
        """Label and "test" of what was kept for testing, by sample id: a project's media are called by it."""
        with shapes.readable(self.path):
            rows = Run(self.path).rows("test.jsonl")
        if not shapes.fits(rows, list[shapes.TestRow]):
            raise RunError(*both("error.run_damaged", run=self.path.name, why="test.jsonl"))
        return {Path(row["file"]).stem: (str(row["label"]), "test") for row in rows}


def all_of(project: Project) -> list[Record]:
    """The newest first; directories that cannot be read are left out."""
    found = []
    for path in sorted(project.runs.iterdir()) if project.runs.is_dir() else []:
        if RUN_ID.fullmatch(path.name) and (path / "run.json").is_file():
            try:
                found.append(_record(path, _changed(path / "run.json")))
            except (HandfulError, OSError):
                continue
    return sorted(found, key=lambda record: (-record.created, record.id))


def find(project: Project, run: str) -> Record:
    """Raises NotFound, or RunError for one that is damaged."""
    return read(folder(project, run))


def folder(project: Project, run: str) -> Path:
    """The directory of a finished run, damaged or not. Raises NotFound."""
    if RUN_ID.fullmatch(run) and (project.runs / run / "run.json").is_file():
        return project.runs / run
    raise NotFound(*both("error.no_run"))


def number(run: str | None) -> int | None:
    """Which training of its project a run is, as its id says; None for one that came from elsewhere."""
    found = _NUMBERED.fullmatch(run or "")
    return int(found[1]) if found else None


def place(project: Project, ordered: Iterable[str | None]) -> Path:
    """The directory of the project's next training. Counts on over what is there, in the trash, and `ordered`: runs of jobs."""
    folders = [path for folder in (project.runs, project.folder / TRASH / "runs") for path in folder.glob("*")]
    last = max((number(run) or 0 for run in [*(path.name for path in folders), *ordered]), default=0)
    return project.runs / f"{last + 1}-{secrets.token_hex(8)}"


def read(path: Path) -> Record:
    """A run by its directory, which the queue named. Raises RunError."""
    return _record(path, _changed(path / "run.json"))


def fingerprint(samples: Iterable[tuple[str, str, str]]) -> str:
    """Of samples (id, label, split) in any order."""
    rows = sorted("\x1f".join((sample, label, *([split] if split in KEPT else []))) for sample, label, split in samples)
    return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()


def snapshot(project: Project) -> Path:
    """The project's labels as they are now, in a file that later changes leave alone; the same labels are the same file.

    Names stand in it as they are, without the marks that keep spreadsheets from running them. A job reads this table, whenever it begins or goes on: what is relabelled meanwhile makes the run stale, not wrong.
    """
    rows = (
        {"file_name": sample.file, "label": sample.label, "group": sample.group, "split": sample.split}
        for sample in project.samples
    )
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()  # ASCII: no name can break a line
    path = project.folder / SNAPSHOTS / f"{hashlib.sha256(content).hexdigest()[:16]}.jsonl"
    if path.is_file():
        os.utime(path)  # as good as new: `sweep` leaves it to the job that is about to be queued
    else:
        atomic_write(path, content)
    return path


def sweep(project: Project, used: str) -> None:
    """Remove snapshots that no run, race or deleted run was trained on and that are not named in `used`, the words of jobs."""
    left = [path for path in (project.folder / SNAPSHOTS).glob("*.jsonl") if path.name not in used]
    left = [path for path in left if path.stat().st_mtime < time.time() - _FRESH_S]
    if not left:
        return
    for pattern in ("runs/*/*.yaml", "trash/runs/*/*.yaml", "races/*/*.yaml", "races/*/*.json"):
        for text in project.folder.glob(pattern):
            said = text.read_text(encoding="utf-8", errors="replace")
            left = [path for path in left if path.name not in said]
    for path in left:
        path.unlink(missing_ok=True)


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


@lru_cache(maxsize=256)
def _record(path: Path, changed: int) -> Record:
    with shapes.readable(path):
        run = Run.open(path)
        result = run.result
        recipe = load_recipe(run.file("recipe.yaml")) if run.has("recipe.yaml") else {}
    if not shapes.fits(result, shapes.Result):
        raise RunError(*both("error.run_damaged", run=path.name, why="run.json"))
    # run.json is written again when a curve is added; the recipe is written once.
    made = run.file("recipe.yaml") if run.has("recipe.yaml") else run.file("run.json")
    return Record(path.name, path, made.stat().st_mtime, result, {key: v for key, v in recipe.items() if _flat(v)})


def _flat(value: Any) -> bool:
    """Settings are; in YAML, a list of lists of itself takes no more room, but for ever to write out."""
    plain = (str, int, float, bool, type(None))
    return isinstance(value, plain) or (isinstance(value, list) and all(isinstance(one, plain) for one in value))


@lru_cache(maxsize=8)
def _samples(path: Path, changed: int) -> dict[str, dict[str, Any]]:
    with shapes.readable(path):
        rows = Run(path).rows("samples.jsonl")
    if not shapes.fits(rows, list[shapes.SampleRow]):
        raise RunError(*both("error.run_damaged", run=path.name, why="samples.jsonl"))
    return {row["id"]: row for row in rows}


@lru_cache(maxsize=8)
def _predictions(path: Path, changed: int) -> dict[str, Prediction]:
    ids = {row["file"]: sample for sample, row in _samples(path, _changed(path / "samples.jsonl")).items()}
    with shapes.readable(path):
        run = Run(path)
        found = averaged(run.rows("out_of_fold.jsonl"), [str(name) for name in run.result.get("classes") or []])
    return {ids[p.file]: p for p in found if p.file in ids}


@lru_cache(maxsize=256)
def _table_fingerprint(path: Path, changed: int) -> str:
    from handful.data.table import read_table

    rows = read_table(path)
    return fingerprint((Path(row["file"]).stem, row["label"], split_named(row.get("split", ""))) for row in rows)
