"""What a run is asked beyond its headline: does a random split flatter, are unknown things noticed, what do the errors hint at.

Everything here rehearses with the strategy at hand; the shipped model stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handful.audit import labels, shortcuts
from handful.data import Finding
from handful.data.splits import Plan, plan
from handful.metrics import calibration, intervals, paired
from handful.training.evaluation import Scored, per_group
from handful.training.reading import Reader
from handful.training.shortcuts import measure
from handful.training.trial import Prepared, Trial
from handful.words import Said, packed, said

LEFT_OUT = 30  # classes that play the unknown, at most; fewer where each fit takes long
LEFT_OUT_SAMPLES = 6000  # samples times left-out classes
MAP_SAMPLES = 5000


@dataclass
class Found:
    """Keys for run.json, findings, and the embedding map float [samples, 2]."""

    summary: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    map: np.ndarray | None = None


def study(trial: Trial, scored: Scored) -> Found:
    """All of it that costs little beside the training."""
    found = Found()
    p = trial.prepared
    if p.grouped:
        found.summary["per_group"] = per_group(
            scored.probabilities, p.labels, [s.group for s in p.samples], p.plan.tested
        )
    with trial.clock.stage("study"):
        torn = at_random(trial)
        rows = likely_wrong(trial, scored, torn)
        found.summary["doubtful"] = rows
        found.summary["shortcuts"] = shortcut_rows(trial.prepared, trial.reader, trial.recipe.seed)
        found.findings += labels.to_findings(rows) + shortcuts.to_findings(found.summary["shortcuts"])
        found.summary["unknown"] = unknown(trial, scored)
        found.summary["leak"] = leak(trial, scored, torn)
        found.map, share = embedding_map(trial)
        if found.map is not None:
            found.summary["map"] = {"explained": share}
    return found


def likely_wrong(trial: Trial, scored: Scored, torn: tuple[Scored, Plan] | None) -> list[dict[str, Any]] | None:
    """Samples whose label is likely wrong, most suspicious first; None where the model is too weak to tell.

    `torn`: see `at_random`. A speaker unheard of may say a nine as others say a five; a model that has heard the speaker
    knows better, and what it confirms is not doubted. Not so where a group is of one class: there it has only learned the label.
    """
    p = trial.prepared
    witness = None
    if p.grouped and torn is not None:
        classes = np.zeros((p.groups.max() + 1, len(p.names)), bool)
        classes[p.groups, p.labels] = True
        mixed = (classes.sum(axis=1) > 1)[p.groups]
        witness = np.where(mixed[:, None], torn[0].probabilities.mean(axis=0), np.nan)
    files = [s.file for s in p.samples]
    return labels.doubtful(files, p.labels, p.names, scored.probabilities.mean(axis=0), witness)


def shortcut_rows(prepared: Prepared, reader: Reader, seed: int) -> list[dict[str, Any]]:
    """How far the classes can be told apart by what should not matter: borders, loudness, file size. Needs no model."""
    seen = shortcuts.features(reader.facts(prepared.samples))
    return measure(seen, prepared.labels, prepared.groups, prepared.plan.folds[0], seed)


def at_random(trial: Trial) -> tuple[Scored, Plan] | None:
    """The same evaluation with samples torn apart that belong together; None where there are none, or where it would mean
    training networks again."""
    p = trial.prepared
    if np.bincount(p.groups).max() < 2 or not trial.strategy.quick or not p.plan.crossed:
        return None
    n = len(p.labels)
    alone = np.arange(n)
    random = plan(
        p.labels, alone, False, [""] * n, seed=trial.recipe.seed, folds=trial.recipe.folds, repeats=len(p.plan.folds)
    )
    return trial.score(trial.rehearse(random, alone), random), random


def leak(trial: Trial, scored: Scored, torn: tuple[Scored, Plan] | None) -> dict[str, Any] | None:
    """What a random split would have reported where samples belong together, and by how much that flatters.

    None where `at_random` is.
    """
    if torn is None:
        return None
    p, (naive, random) = trial.prepared, torn
    sizes = np.bincount(p.groups)
    both = p.plan.tested & random.tested
    hits = [s.right(p.labels)[both] for s in (naive, scored)]
    apart = sum(len(np.unique(random.folds[0][p.groups == g])) > 1 for g in np.flatnonzero(sizes > 1))
    return {
        "by": "given groups" if p.grouped else "near-duplicates",
        "torn": apart,
        "naive": {**intervals.rate(hits[0], None), "method": random.method},
        "flatters": paired.difference(hits[0], hits[1], p.groups[both] if p.grouped else None, trial.recipe.seed),
    }


def unknown(trial: Trial, scored: Scored) -> dict[str, Any]:
    """How often known things are called unknown, and how often unknown things pass for known.

    The threshold of each fold comes from the other folds. Whole classes play the unknown: for each, a model is trained
    without it and without one fold, which plays the known.
    """
    p, folds = trial.prepared, trial.prepared.plan.folds[0]
    tested = folds >= 0
    result = false_alarm(scored, p.plan, p.groups if p.grouped else None, trial.recipe.seed)
    classes = len(p.names)
    if classes < 3:
        return result | _without(said("unknown.two_classes"))
    if not trial.strategy.quick:
        return result | _without(said("unknown.slow"))
    left = _left_out(trial)
    names = np.unique(folds[tested])
    fold_of = {c: int(names[number % len(names)]) for number, c in enumerate(left)}
    masks = np.stack([(folds != fold_of[c]) & (p.labels != c) for c in left])
    held = np.stack([((folds == fold_of[c]) | (p.labels == c)) for c in left])
    logits = trial.strategy.rehearse(p.labels, p.groups, classes, masks, held) / scored.temperature
    missed: list[np.ndarray] = []
    known: list[np.ndarray] = []
    strange: list[np.ndarray] = []
    for number, c in enumerate(left):
        others = np.delete(np.arange(classes), c)
        sureness = calibration.softmax(logits[number][:, others].astype(np.float64)).max(axis=1)
        own = sureness[held[number] & (p.labels != c)]
        new = sureness[p.labels == c]
        known.append(own)
        strange.append(new)
        missed.append(new >= scored.unknown_below)
        result["classes"][p.names[c]] = {
            "miss": float(missed[-1].mean()), "auroc": calibration.auroc(own, new) if len(own) else None, "n": len(new),
        }  # fmt: skip
    every = np.concatenate([np.full(len(m), c) for c, m in zip(left, missed, strict=True)])
    # Samples of one left-out class stand or fall together: the class is the unit.
    return result | {
        "miss": intervals.rate(np.concatenate(missed), every, trial.recipe.seed),
        "auroc": calibration.auroc(np.concatenate(known), np.concatenate(strange)),
    }


def _without(why: Said) -> dict[str, Any]:
    return {"why": why, "said": {"why": packed(why)}}


def false_alarm(scored: Scored, folds: Plan, groups: np.ndarray | None, seed: int) -> dict[str, Any]:
    """How often known things are called unknown, the threshold of each fold from the others; `groups` where they were named."""
    row, sure = folds.folds[0], scored.probabilities[0].max(axis=1)
    tested, alarms = folds.tested, np.zeros(len(row), bool)
    parts = row if folds.crossed else np.where(tested, np.arange(len(row)) % 2, -1)
    for part in np.unique(parts[tested]):
        held = parts == part
        alarms[held] = sure[held] < calibration.threshold(sure[tested & ~held], scored.false_alarm)
    return {
        "below": scored.unknown_below, "asked": scored.false_alarm,
        "false_alarm": intervals.rate(alarms[tested], None if groups is None else groups[tested], seed),
        "miss": None, "auroc": None, "classes": {},
    }  # fmt: skip


def _left_out(trial: Trial) -> list[int]:
    classes, n = len(trial.prepared.names), len(trial.prepared.labels)
    count = min(classes, LEFT_OUT, max(4, LEFT_OUT_SAMPLES // n))
    return sorted(int(c) for c in np.random.default_rng([trial.recipe.seed, 3]).permutation(classes)[:count])


def embedding_map(trial: Trial) -> tuple[np.ndarray | None, list[float]]:
    """Two principal components of the samples' l2-normalised embeddings, float [samples, 2] in -1..1, and their share."""
    found = trial.strategy.embeddings() if len(trial.prepared.samples) <= MAP_SAMPLES else None
    if found is None:
        return None, []
    x = found[1] / np.maximum(np.linalg.norm(found[1], axis=1, keepdims=True), 1e-12)
    x = x - x.mean(axis=0)
    small = len(x) < x.shape[1]
    values, vectors = np.linalg.eigh((x @ x.T if small else x.T @ x).astype(np.float64))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1][:, :2]
    places = vectors * np.sqrt(values[:2]) if small else x @ vectors
    places = places * np.where(places[np.abs(places).argmax(axis=0), [0, 1]] < 0, -1, 1)  # the sign is arbitrary
    return places / max(float(np.abs(places).max()), 1e-12), [float(v / max(values.sum(), 1e-12)) for v in values[:2]]
