"""From out-of-fold logits to the numbers of the headline. Knows nothing about how the logits came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from handful.data.splits import Plan
from handful.metrics import calibration, intervals, scores

COVERAGE = 0.9  # of the conformal sets
FALSE_ALARM = 0.02  # share of known samples that may be called unknown


@dataclass(frozen=True)
class Scored:
    """Probabilities of samples that were not in training and what follows from them.

    `probabilities` float32 [repeats, samples, classes], NaN where untested; `summary` the keys of run.json.
    """

    probabilities: np.ndarray
    summary: dict[str, Any]
    temperature: float
    set_quantile: float
    unknown_below: float


def cross_fitted(logits: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Probabilities [n, classes]: each fold's temperature is fitted on the other folds.

    With a single fold (a validation part) its samples lend each other the temperature, odd to even and even to odd.
    """
    parts = folds if len(np.unique(folds)) > 1 else np.arange(len(folds)) % 2
    result = np.empty_like(logits)
    for part in np.unique(parts):
        held = parts == part
        result[held] = calibration.softmax(logits[held] / calibration.temperature(logits[~held], labels[~held]))
    return result


def evaluate(
    logits: np.ndarray, labels: np.ndarray, names: list[str], plan: Plan, groups: np.ndarray | None, seed: int
) -> Scored:
    """Score out-of-fold logits [repeats, samples, classes].

    Args:
        labels: int [samples].
        groups: int [samples] when the user named groups, else None.
    """
    probabilities = np.full_like(logits, np.nan)
    for repeat, row in enumerate(plan.folds):
        tested = row >= 0
        probabilities[repeat, tested] = cross_fitted(logits[repeat, tested], labels[tested], row[tested])
    tested = plan.tested
    mean = probabilities[:, tested].mean(axis=0)
    true = labels[tested]
    counts = scores.confusion(true, mean.argmax(axis=1), len(names))
    hits = mean.argmax(axis=1) == true
    score = intervals.accuracy(hits, None if groups is None else groups[tested], seed)
    interval = score.pop("interval")
    every = np.tile(true, len(logits))
    temperature = calibration.temperature(logits[:, tested].reshape(-1, len(names)), every)
    summary = {
        "score": {**score, "method": plan.method, "interval": interval},
        "macro_f1": scores.macro_f1(counts),
        "per_class": scores.per_class(counts, names),
        "confusion": {"labels": names, "counts": counts.tolist()},
        # One repeat is one model's word; the mean over repeats would be less sure than any model that ships.
        "calibration": {
            "ece": calibration.expected_calibration_error(probabilities[:, tested].reshape(-1, len(names)), every),
            "temperature": temperature,
        },
        "untested": [name for i, name in enumerate(names) if not counts[i].sum()],
    }
    quantile = calibration.conformal_quantile(mean, true, COVERAGE)
    sure = probabilities[:, tested].max(axis=2)
    return Scored(probabilities, summary, temperature, quantile, float(np.quantile(sure, FALSE_ALARM)))


def per_group(
    probabilities: np.ndarray, labels: np.ndarray, groups: list[str], tested: np.ndarray
) -> dict[str, dict[str, Any]]:
    """Accuracy of each named group: speakers differ more than methods."""
    mean = probabilities[:, tested].mean(axis=0)
    hits = mean.argmax(axis=1) == labels[tested]
    names = np.array(groups, dtype=object)[tested]
    return {
        str(name): {"accuracy": float(hits[names == name].mean()), "n": int((names == name).sum())}
        for name in sorted(set(names))
    }


def score_part(
    probabilities: np.ndarray, labels: np.ndarray, names: list[str], groups: np.ndarray | None = None, seed: int = 0
) -> dict[str, Any]:
    """Score of a model on samples that it was not trained on: the keys of `handful evaluate`."""
    counts = scores.confusion(labels, probabilities.argmax(axis=1), len(names))
    return {
        "score": intervals.accuracy(probabilities.argmax(axis=1) == labels, groups, seed),
        "macro_f1": scores.macro_f1(counts),
        "per_class": scores.per_class(counts, names),
        "confusion": {"labels": names, "counts": counts.tolist()},
        "calibration": {"ece": calibration.expected_calibration_error(probabilities, labels)},
    }
