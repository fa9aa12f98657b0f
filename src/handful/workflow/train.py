"""Train, evaluate, report."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.config import ENSEMBLE, Recipe, resolve
from handful.runs import Run as Run
from handful.runs import Teller as Teller
from handful.words import both

if TYPE_CHECKING:
    from handful.inference import Predictor


class TrainedRun:
    """A finished run: `result` is run.json, `score` its headline, `model` predicts."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def path(self) -> Path:
        return self._run.path

    def __fspath__(self) -> str:
        return str(self._run.path)

    @cached_property
    def result(self) -> dict[str, Any]:
        return self._run.result

    @property
    def score(self) -> dict[str, Any]:
        """{"metric", "value", "low", "high", "n", "method", "interval"}"""
        return dict(self.result["score"])

    @cached_property
    def model(self) -> Predictor:
        from handful.inference import Predictor

        return Predictor.load(self.path)

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def __repr__(self) -> str:
        s = self.score
        return f"<run {self.path.name}: {s['metric']} {s['value']:.3f} ({s['low']:.3f} to {s['high']:.3f}, n={s['n']})>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<code>{escape(repr(self))}</code>"


def train(
    data: str | os.PathLike[str] | None = None,
    *,
    run: str | os.PathLike[str] | None = None,
    resume: bool = False,
    teller: Teller | None = None,
    command: str = "",
    lang: str = "en",
    layers: Sequence[dict[str, Any]] = (),
    budget: float | None = None,
    **settings: Any,
) -> TrainedRun:
    """Train one model on a folder: fit, evaluate, save, report.

    Args:
        data: a folder with one folder of pictures or sounds for each class.
        run: the directory to make; below the user's data folder when not given.
        resume: go on in an existing directory.
        settings: fields of the recipe, e.g. `model="squeezenet1_0"`; see `handful train --help`.
        layers: coarser settings (preset, recipe file), which `settings` override.
        budget: seconds for all of it: a training by gradient takes as many epochs as fit in; frozen models are quick anyway.

    Returns:
        The run; its report lies at `run.report`.

    Raises:
        HandfulError: with a hint what to do.
    """
    from handful.errors import UsageError
    from handful.reporting import write
    from handful.training.automatic import check
    from handful.training.fit import fit

    given = {**settings, "data": os.fspath(data) if data is not None else None}
    recipe: Recipe = resolve(*layers, given)
    if not recipe.data:
        raise UsageError("no data was given", "handful train FOLDER")
    if run:
        Run.vacant(run, resume)
    if recipe.start:
        recipe = resolve(started(recipe.start), recipe.model_dump(exclude_unset=True))
    check(recipe)
    finished = fit(recipe, Path(run) if run else None, teller, command, resume, budget)
    if teller and teller.progress:
        teller.progress("report", 0, 1)
    write(finished.path, lang)
    return TrainedRun(finished)


def started(start: str) -> dict[str, Any]:
    """Settings that fine-tune the network of the run `start`, on data that is seen as it saw its own.

    Raises:
        RunError: no such run.
        UsageError: there is no network in it.
    """
    from handful.config import load_recipe
    from handful.errors import UsageError
    from handful.models import find
    from handful.sources import Sources

    earlier = Run.open(start)
    recipe, result = load_recipe(earlier.file("recipe.yaml")), earlier.result
    if result["strategy"] == ENSEMBLE:
        members = [member["run"] for member in result["members"]]
        raise UsageError(*both("train.ensemble_start", run=shlex.quote(members[0])))
    network = find(result["model"]).network
    if network is None:
        raise UsageError(*both("train.no_network_start", model=str(result["model"])))
    weights = recipe.get("weights") if Sources(earlier).own else None
    if result["strategy"] in ("finetune", "scratch"):
        weights = str(earlier.file("model.safetensors"))
    elif copied := earlier.copied_weights():
        weights = str(copied)
    same = ("modality", "input_size", "features", "n_mels", "sample_rate_hz", "seconds")
    return {"model": network.name, "strategy": "finetune", "weights": weights} | {
        name: recipe[name] for name in same if recipe.get(name) is not None
    }


def report(run: str | os.PathLike[str], lang: str = "en") -> Path:
    """Make the HTML report of a run again; returns its path."""
    from handful.reporting import write

    return write(Run.open(run).path, lang)


def evaluate(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    labels: str | None = None,
    pattern: str | None = None,
) -> dict[str, Any]:
    """Score a trained run, exported file or bundle on other labelled data.

    What a run was trained on is left out, by content; where nothing else is there, a finding says that this was no test.

    Returns:
        {"schema", "model", "data", "score", "macro_f1", "per_class", "confusion", "calibration", "findings"}
    """
    import numpy as np

    from handful.audit.doctor import unreadable
    from handful.data import Finding, load_data
    from handful.data.splits import join
    from handful.errors import DataError, FileError
    from handful.files import shown
    from handful.inference import Predictor
    from handful.training.evaluation import score_part

    predictor = Predictor.load(model)
    dataset = load_data(data, modality=predictor.metadata["modality"], labels=labels, pattern=pattern)
    known = [s for s in dataset.samples if s.label in predictor.classes]
    findings = list(dataset.findings)
    if strange := sorted(set(dataset.classes) - set(predictor.classes)):
        findings.append(Finding("format", "warning", "unknown_classes", {"names": strange}))
    learned = _learned(Path(model))
    if seen := tuple(s.file for s in known if s.sha256 in learned):
        unseen, values = [s for s in known if s.sha256 not in learned], {"n": len(seen), "of": len(known)}
        findings.append(
            Finding("leak", "warning", "trained_on", values, seen)
            if unseen
            else Finding("leak", "error", "only_trained_on", values, seen)
        )
        known = unseen or known
    answers = list(predictor.stream(s.path for s in known))
    rows = [(s, a) for s, a in zip(known, answers, strict=True) if not isinstance(a, tuple)]
    for sample, answer in zip(known, answers, strict=True):
        if isinstance(answer, tuple) and isinstance(answer[1], FileError):
            findings.append(unreadable(sample, answer[1]))
    if not rows:
        raise DataError(
            "none of the files has a class that the model knows",
            f"its classes are {', '.join(map(shown, predictor.classes))}: name the folders so",
        )
    p = np.array([[a.scores[c] for c in predictor.classes] for _, a in rows])
    true = np.array([predictor.classes.index(s.label) for s, _ in rows])
    groups = (
        join(len(rows), [s.group for s, _ in rows], [s.sha256 for s, _ in rows])
        if any(s.group for s, _ in rows)
        else None
    )
    return {
        "schema": 1, "model": str(model), "data": str(dataset.root), **score_part(p, true, predictor.classes, groups),
        "findings": [f.to_dict() for f in findings],
    }  # fmt: skip


def _learned(model: Path) -> set[str]:
    """Hashes of what a run was trained on; exported files do not say."""
    from handful.runs import Run

    return (
        {str(row["sha256"]) for row in Run.open(model).rows("samples.jsonl")}
        if model.is_dir() and (model / "run.json").is_file()
        else set()
    )


def load(path: str | os.PathLike[str], device: str = "auto") -> Predictor:
    """A model that predicts: from a run directory, an exported .onnx file or a bundle.

    `device`: cpu, cuda, or auto: the GPU where onnxruntime-gpu is installed and finds one.
    """
    from handful.inference import Predictor

    return Predictor.load(path, device=device)
