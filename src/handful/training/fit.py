"""`fit(recipe)`: from a folder to a finished run directory. The one place that knows the order of things."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from handful.audit.doctor import unreadable
from handful.audit.parts import apart
from handful.config import Recipe, to_yaml
from handful.data import Dataset, Finding, Sample, load_data
from handful.data.splits import join
from handful.errors import DataError
from handful.metrics import calibration
from handful.models import figures
from handful.runs import Run, Teller
from handful.sources import vouch
from handful.training import evaluation, record, studies
from handful.training.evaluation import Scored
from handful.training.trial import Trial
from handful.words import both, packed, said

UNFINISHED = "unfinished"  # folder of a run with what --resume needs; gone when the run is finished


def fit(
    recipe: Recipe, run_path: Path | None = None, teller: Teller | None = None, command: str = "", resume: bool = False,
    budget: float | None = None,
) -> Run:  # fmt: skip
    """Train, evaluate and save one model.

    Args:
        recipe: the settings; what is None or "auto" is found and written back into the run's recipe.
        run_path: the directory to make; below the user's data folder when None.
        teller: receives progress.
        command: what to note as the command.
        budget: seconds for all of it: a training by gradient takes as many epochs as fit in; None: no limit.

    Returns:
        The finished run, without report.

    Raises:
        HandfulError: with what to do.
    """
    began = time.perf_counter()
    trial = Trial(recipe, teller)
    choice, clock = trial.choice, trial.clock
    test = _test_part(recipe, trial.dataset)
    trial.teller.say(said("say.chosen", strategy=choice.strategy, model=choice.model.name, why=choice.why))
    run = Run.create(run_path, f"{Path(recipe.data).name}-{choice.strategy}", resume)
    with run.lock():
        trial.prepare(run.log)
        trial.strategy.keep = run.file(UNFINISHED)
        trial.strategy.deadline = began + budget if budget is not None else None
        scored = trial.evaluate()
        if budget is not None and not trial.strategy.quick:
            trial.teller.say(f"in the time that was given: {trial.strategy.note}")
        tested = _score_test(test, trial, scored) if test else None
        found = studies.study(trial, scored)
        if trial.teller.progress:
            trial.teller.progress("save", 0, 1)
        with clock.stage("save"):
            result = _result(trial, scored, tested, found, run, command)
            record.write_model(run, trial, result, scored)
            record.write_vectors(run, trial, scored)
            result["augmentation"] = record.write_previews(run, trial, scored)
            record.write_rows(run, trial, scored, tested, found.map)
        run.write("recipe.yaml", to_yaml(_resolved(trial)))
        vouch(run)
        record.finish(run, result, clock, trial.strategy.quick)
        shutil.rmtree(run.file(UNFINISHED), ignore_errors=True)
    if budget is not None and (taken := time.perf_counter() - began) > budget:
        trial.teller.say(f"it took {taken:.0f} s, more than the {budget:.0f} s that were given")
    return run


def _resolved(trial: Trial) -> Recipe:
    """The recipe with everything that was found; paths are absolute, so that it can be repeated from anywhere."""
    choice, given = trial.choice, trial.recipe
    paths = {
        name: str(Path(value).expanduser().absolute())
        for name in ("data", "labels", "test", "start")
        if (value := getattr(given, name))
    }
    return given.model_copy(update={
        "model": choice.model.name, "strategy": choice.strategy, "modality": trial.dataset.modality,
        "weights": str(choice.weights.path.absolute()) if choice.weights else given.weights,
    } | paths | trial.strategy.resolved)  # fmt: skip


def _result(
    trial: Trial, scored: Scored, tested: Tested | None, found: studies.Found, run: Run, command: str
) -> dict[str, Any]:
    """run.json, but for costs and versions."""
    choice, prepared, dataset = trial.choice, trial.prepared, trial.dataset
    findings = prepared.findings + found.findings + (tested.findings if tested else [])
    return {
        "schema": 1, "format": 1, "run": str(run.path), "modality": dataset.modality, "task": "classification",
        "model": choice.model.name, "strategy": choice.strategy, "head": trial.strategy.note, "why": choice.why,
        "said": {"why": packed(choice.why), "method": packed(trial.prepared.plan.method)},
        "weights": choice.weights.name if choice.weights else None,
        "classes": prepared.names, "samples": len(prepared.samples), "groups": int(len(np.unique(prepared.groups))),
        **scored.summary,
        "test": tested.summary if tested else None,
        **_size(trial),
        **found.summary,
        "candidates": trial.strategy.candidates, "findings": [f.to_dict() for f in findings],
        "data": {"path": str(dataset.root), "fingerprint": dataset.fingerprint, "ignored": dataset.ignored},
        "seed": trial.recipe.seed, "command": command,
    }  # fmt: skip


def _size(trial: Trial) -> dict[str, Any]:
    """Parameters and multiply-adds of the whole model, where the catalogue knows them."""
    body, strategy = figures(trial.choice.model, trial.frontend), trial.strategy
    frozen = body.get("body_parameters", 0) if strategy.quick else 0
    return {"parameters": strategy.parameters + frozen, "macs": body.get("body_macs")}


def _test_part(recipe: Recipe, dataset: Dataset) -> Dataset | None:
    """The data of `--test`, else the test part of the data itself."""
    if recipe.test:
        other = load_data(recipe.test, modality=dataset.modality, pattern=recipe.pattern, classes=None)
        known = [s for s in other.samples if s.label in dataset.classes]
        if not known:
            raise DataError(*both("error.test_classes", names=list(dataset.classes)))
        strange = sorted(set(other.classes) - set(dataset.classes))
        note = Finding("format", "warning", "test_classes", {"names": strange})
        return Dataset(other.root, other.modality, tuple(known), other.findings + ((note,) if strange else ()))
    part = replace(dataset.part("test"), findings=())  # they are those of the data, told already
    return part if len(part) else None


@dataclass
class Tested:
    """The result on the test part: rows for test.jsonl, the summary for run.json."""

    samples: list[Sample]
    probabilities: np.ndarray
    summary: dict[str, Any]
    findings: list[Finding]


def _score_test(test: Dataset, trial: Trial, scored: Scored) -> Tested | None:
    prepared = trial.prepared
    samples, logits, errors = trial.strategy.predict(test.samples)
    if not samples:
        return None
    probabilities = calibration.softmax(logits / scored.temperature)
    labels = np.array([prepared.names.index(s.label) for s in samples])
    groups = (
        join(len(samples), [s.group for s in samples], [s.sha256 for s in samples])
        if any(s.group for s in samples)
        else None
    )
    part = evaluation.score_part(probabilities, labels, prepared.names, groups, trial.recipe.seed)
    score = part.pop("score")
    findings = list(test.findings) + [unreadable(sample, error) for sample, error in errors]
    findings += _leaks(samples, trial)
    return Tested(samples, probabilities, score | part, findings)


def _leaks(samples: list[Sample], trial: Trial) -> list[Finding]:
    """Test files that are training files, or nearly, or share a group with them."""
    trained, reader = trial.prepared.samples, trial.reader
    both = [*trained, *samples]
    known = {s.sha256 for s in trained}
    same = {s.file for s in samples if s.sha256 in known}
    near = {
        samples[b - len(trained)].file
        for a, b in reader.frontend.alike(reader.facts(both))
        if a < len(trained) <= b and both[a].sha256 != both[b].sha256
    }
    shared = {s.group for s in trained} & {s.group for s in samples}
    found = apart(
        replace(s, split="test" if i >= len(trained) else "train") for i, s in enumerate(both) if s.group in shared
    )
    for files, name in ((same, "test_trained"), (near - same, "test_alike")):
        if files:
            found.append(Finding("leak", "error", name, {"n": len(files)}, tuple(sorted(files))))
    return found
