"""`fit(recipe)`: from a folder to a finished run directory. The one place that knows the order of things."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from handful.audit.doctor import duplicates, from_facts, too_few, unreadable
from handful.config import Recipe, to_yaml
from handful.data import Dataset, Finding, Sample, load_data
from handful.data.splits import Plan, join, join_pairs, plan
from handful.errors import DataError
from handful.features import Frontend, frontends
from handful.files import shown
from handful.metrics import calibration
from handful.models import facts as model_facts
from handful.runs import Run, Teller
from handful.training import automatic, evaluation, record
from handful.training.embedding import Clock
from handful.training.reading import Facts, Reader
from handful.training.strategies import Job, Strategy, strategies

REPEATS = ((300, 5), (1000, 2))  # up to so many samples, so many repeats of the cross-validation; above, one


@dataclass
class Prepared:
    """Readable training samples with everything that decides the folds."""

    samples: list[Sample]
    facts: list[Facts]
    names: list[str]
    labels: np.ndarray
    groups: np.ndarray
    grouped: bool
    plan: Plan
    findings: list[Finding] = field(default_factory=list)


def fit(
    recipe: Recipe, run_path: Path | None = None, teller: Teller | None = None, command: str = "", resume: bool = False
) -> Run:
    """Train, evaluate and save one model.

    Args:
        recipe: the settings; what is None or "auto" is found and written back into the run's recipe.
        run_path: the directory to make; below the user's data folder when None.
        teller: receives progress.
        command: what to note as the command.

    Returns:
        The finished run, without report.

    Raises:
        HandfulError: with what to do.
    """
    teller = teller or Teller()
    clock, begin = Clock(), time.perf_counter()
    dataset = load_data(
        recipe.data, modality=recipe.modality, labels=recipe.labels, pattern=recipe.pattern, classes=recipe.classes,
        per_class=recipe.per_class, seed=recipe.seed,
    )  # fmt: skip
    _enough([s for s in dataset.samples if s.split != "test"], dataset)
    test = _test_part(recipe, dataset)
    teller.say(_found(dataset))
    frontend = _frontend(recipe, dataset)
    clock.add("scan", begin)
    choice = automatic.choose(recipe, frontend, teller.say)
    frontend = frontend.resized(choice.model.input_size)
    teller.say(f"{choice.strategy} on {choice.model.name}: {choice.why}")
    run = Run.create(run_path, f"{Path(recipe.data).name}-{choice.strategy}", resume)
    with run.lock():
        reader = Reader(frontend, recipe.threads)
        job = Job(recipe, reader, choice.model, choice.weights, clock, teller.progress, run.log)
        strategy = strategies.get(choice.strategy)(job)
        prepared = _prepare(recipe, dataset, strategy, frontend)
        logits = strategy.evaluate(prepared.labels, prepared.groups, len(prepared.names), prepared.plan)
        scored = evaluation.evaluate(
            logits,
            prepared.labels,
            prepared.names,
            prepared.plan,
            prepared.groups if prepared.grouped else None,
            recipe.seed,
        )
        tested = _score_test(test, strategy, prepared, scored.temperature, recipe.seed) if test else None
        begin = time.perf_counter()
        network = choice.model.network
        resolved = recipe.model_copy(update={
            "model": choice.model.name, "strategy": choice.strategy, "modality": dataset.modality,
            "weights": str(choice.weights.path) if choice.weights else recipe.weights,
        } | strategy.resolved)  # fmt: skip
        result: dict[str, Any] = {
            "schema": 1, "format": 1, "run": str(run.path), "modality": dataset.modality, "task": "classification",
            "model": choice.model.name, "strategy": choice.strategy, "head": strategy.note, "why": choice.why,
            "weights": choice.weights.name if choice.weights else None,
            "classes": prepared.names, "samples": len(prepared.samples), "groups": int(len(np.unique(prepared.groups))),
            **scored.summary,
            **({"test": tested.summary} if tested else {}),
            "parameters": strategy.parameters + (model_facts(network.name).get("body_parameters", 0) if network and choice.strategy in ("probe", "prototype") else 0),
            "macs": model_facts(network.name).get("body_macs") if network else None,
        }  # fmt: skip
        if prepared.grouped:
            result["per_group"] = evaluation.per_group(
                scored.probabilities, prepared.labels, [s.group for s in prepared.samples], prepared.plan.tested
            )
        result |= {
            "candidates": strategy.candidates, "findings": [f.to_dict() for f in prepared.findings + (tested.findings if tested else [])],
            "data": {"path": str(dataset.root), "fingerprint": dataset.fingerprint, "ignored": dataset.ignored},
            "seed": recipe.seed, "command": command,
        }  # fmt: skip
        record.write_model(run, strategy, frontend, result, scored, choice)
        record.write_vectors(run, prepared, strategy, scored)
        result["augmentation"] = record.write_previews(run, prepared, scored, reader)
        record.write_rows(run, prepared, scored, tested, reader)
        clock.add("save", begin)
        run.write("recipe.yaml", to_yaml(resolved))
        record.finish(run, result, clock)
    return run


def _enough(samples: list[Sample], dataset: Dataset) -> None:
    counts = Counter(sample.label for sample in samples)
    where = shown(str(dataset.root))
    if len(counts) == 1:
        name = shown(next(iter(counts)))
        raise DataError(f"{where} has only one class, {name!r}", "add a folder with examples of something else")
    if not counts:
        rejects = "; ".join(f.message for f in dataset.findings[:3])
        raise DataError(
            f"{where} has nothing to train on" + (f": {rejects}" if rejects else ""),
            "put files into one folder for each class",
        )
    if max(counts.values()) < 2:
        raise DataError(
            "every class has a single sample, so nothing can be tested", "add at least four more to each class"
        )


def _found(dataset: Dataset) -> str:
    kind = {"image": "pictures", "audio": "sounds"}.get(dataset.modality, "samples")
    counts = dataset.counts
    listed = ", ".join(f"{shown(name)} {n}" for name, n in list(counts.items())[:8]) + (
        ", ..." if len(counts) > 8 else ""
    )
    return f"{len(dataset)} {kind} in {len(counts)} classes ({listed})"


def _test_part(recipe: Recipe, dataset: Dataset) -> Dataset | None:
    """The data of `--test`, else the test part of the data itself."""
    if recipe.test:
        other = load_data(recipe.test, modality=dataset.modality, pattern=recipe.pattern, classes=None)
        known = [s for s in other.samples if s.label in dataset.classes]
        if not known:
            raise DataError(
                f"the test folder has none of the classes {', '.join(map(shown, dataset.classes))}",
                "name its folders like the training folders",
            )
        strange = sorted(set(other.classes) - set(dataset.classes))
        note = Finding(
            "format", "warning", f"the test folder has classes that were not trained: {', '.join(map(shown, strange))}"
        )
        return Dataset(other.root, other.modality, tuple(known), other.findings + ((note,) if strange else ()))
    part = dataset.part("test")
    return part if len(part) else None


def _frontend(recipe: Recipe, dataset: Dataset) -> Frontend:
    settings = {
        name: value
        for name in ("sample_rate_hz", "seconds", "features", "n_mels")
        if (value := getattr(recipe, name)) is not None
    }
    return frontends.get(dataset.modality).suited([s.path for s in dataset.samples], settings)


def _prepare(recipe: Recipe, dataset: Dataset, strategy: Strategy, frontend: Frontend) -> Prepared:
    """Read the training samples, group what belongs together, plan the folds."""
    wanted = [s for s in dataset.samples if s.split != "test"]
    samples, facts, errors = strategy.load(wanted)
    findings = list(dataset.findings) + [unreadable(sample, error) for sample, error in errors]
    _enough(samples, Dataset(dataset.root, dataset.modality, (), tuple(findings[-len(errors) :] if errors else ())))
    names = sorted({s.label for s in samples})
    labels = np.array([names.index(s.label) for s in samples])
    grouped = any(s.group for s in samples)
    groups = join(len(samples), [s.group for s in samples], [s.sha256 for s in samples])
    pairs = frontend.alike(f.facts for f in facts)
    groups = join_pairs(groups, pairs)
    findings += duplicates(samples, pairs) + from_facts(samples, (f.facts for f in facts)) + too_few(samples)
    if any(s.split == "validation" for s in samples):
        row = np.array([0 if s.split == "validation" else -1 for s in samples])
        trains = {s.label for s in samples if s.split != "validation"}
        row[[i for i, s in enumerate(samples) if s.label not in trains]] = -1
        if not (row >= 0).any():
            raise DataError(
                "no class has both training and validation samples", "give each class files in both folders"
            )
        return Prepared(samples, facts, names, labels, groups, grouped, Plan(row[None], "validation part"), findings)
    alone = [names[c] for c in range(len(names)) if len(np.unique(groups[labels == c])) < 2]
    for name in alone:
        n = int((labels == names.index(name)).sum())
        message = f"the class {shown(name)!r} cannot be tested: " + (
            "it has one sample" if n == 1 else f"its {n} samples are one group"
        )
        findings.append(Finding("too-few", "warning", message, (), "add samples from other sources"))
    if len(alone) == len(names):
        raise DataError(
            "no class can be tested: each lies in a single group",
            "add samples from another source, or give another --pattern",
        )
    repeats = recipe.repeats or strategy.repeats or next((r for n, r in REPEATS if len(samples) <= n), 1)
    made = plan(
        labels, groups, grouped, [s.fold for s in samples], seed=recipe.seed, folds=recipe.folds, repeats=repeats
    )
    return Prepared(samples, facts, names, labels, groups, grouped, made, findings)


@dataclass
class Tested:
    """The result on the test part: rows for test.jsonl, the summary for run.json."""

    samples: list[Sample]
    probabilities: np.ndarray
    summary: dict[str, Any]
    findings: list[Finding]


def _score_test(test: Dataset, strategy: Strategy, prepared: Prepared, temperature: float, seed: int) -> Tested | None:
    samples, logits, errors = strategy.predict(test.samples)
    if not samples:
        return None
    probabilities = calibration.softmax(logits / temperature)
    labels = np.array([prepared.names.index(s.label) for s in samples])
    groups = (
        join(len(samples), [s.group for s in samples], [s.sha256 for s in samples])
        if any(s.group for s in samples)
        else None
    )
    part = evaluation.score_part(probabilities, labels, prepared.names, groups, seed)
    score = part.pop("score")
    findings = list(test.findings) + [unreadable(sample, error) for sample, error in errors]
    trained = {s.sha256 for s in prepared.samples}
    leaked = tuple(s.file for s in samples if s.sha256 in trained)
    if leaked:
        findings.append(
            Finding(
                "leak",
                "error",
                f"{len(leaked)} test files are also training files",
                leaked,
                "remove them from one side",
            )
        )
    return Tested(samples, probabilities, score | part, findings)
