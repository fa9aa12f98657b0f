"""From out-of-fold logits to the numbers of the headline. Knows nothing about how the logits came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from handful.data.splits import Plan
from handful.metrics import calibration, intervals, scores

COVERAGE = 0.9  # of the conformal sets
FALSE_ALARM = 0.05  # share of known samples that may be called unknown


@dataclass(frozen=True)
class Scored:
    """Probabilities of samples that were not in training and what follows from them.

    `probabilities` float32 [repeats, samples, classes], NaN where untested; `summary` the keys of run.json; `set_quantile` and
    `unknown_below` travel with the model.
    """

    probabilities: np.ndarray
    summary: dict[str, Any]
    temperature: float
    set_quantile: float
    unknown_below: float
    false_alarm: float = FALSE_ALARM

    def right(self, labels: np.ndarray) -> np.ndarray:
        """bool [samples]: the mean over repeats names the label; False where untested."""
        mean = np.nan_to_num(self.probabilities.mean(axis=0), nan=-1.0)
        return np.asarray((mean.argmax(axis=1) == labels) & (mean.max(axis=1) >= 0))


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
    sets, quantile = _sets(probabilities, labels, plan, groups, seed)
    pooled = probabilities[:, tested].reshape(-1, len(names))
    summary = {
        "score": {**score, "method": plan.method, "interval": interval},
        **_counted(counts, names),
        **({"top5": intervals.rate(scores.top_k(mean, true, 5), None if groups is None else groups[tested], seed)} if len(names) > 5 else {}),
        # One repeat is one model's word; the mean over repeats would be less sure than any model that ships.
        "calibration": {
            "ece": calibration.expected_calibration_error(pooled, every),
            "ece_limit": calibration.ece_limit(probabilities[:, tested], seed=seed),
            "temperature": temperature,
            "bins": calibration.bins(pooled, every),
        },
        "sets": sets,
        "untested": [name for i, name in enumerate(names) if not counts[i].sum()],
    }  # fmt: skip
    sure = probabilities[:, tested].max(axis=2)
    below = float(np.mean([calibration.threshold(row, FALSE_ALARM) for row in sure]))
    return Scored(probabilities, summary, temperature, quantile, below)


def _counted(counts: np.ndarray, names: list[str]) -> dict[str, Any]:
    """What a confusion matrix says, as keys of run.json."""
    return {
        "macro_f1": scores.macro_f1(counts),
        "averages": scores.averages(counts),
        "balanced_accuracy": scores.balanced_accuracy(counts),
        "per_class": scores.per_class(counts, names),
        "confusion": {"labels": names, "counts": counts.tolist()},
    }


def _sets(
    probabilities: np.ndarray, labels: np.ndarray, plan: Plan, groups: np.ndarray | None, seed: int
) -> tuple[dict[str, Any], float]:
    """Conformal sets: what they are measured to cover (each fold by the quantile of the others), and the quantile to ship.

    The quantile is that of single models, as one ships, averaged over repeats.
    """
    tested = plan.tested
    p, true, parts = probabilities[0, tested], labels[tested], plan.folds[0][tested]
    if len(np.unique(parts)) < 2:
        parts = np.arange(len(parts)) % 2
    members = np.zeros(p.shape, bool)
    for part in np.unique(parts):
        held = parts == part
        members[held] = calibration.conformal_sets(
            p[held], calibration.conformal_quantile(p[~held], true[~held], COVERAGE)
        )
    quantile = float(np.mean([calibration.conformal_quantile(row[tested], true, COVERAGE) for row in probabilities]))
    covered = members[np.arange(len(true)), true]
    sizes = members.sum(axis=1)
    return {
        "asked": COVERAGE, "covered": intervals.rate(covered, None if groups is None else groups[tested], seed),
        "mean_size": float(sizes.mean()), "empty": float((sizes == 0).mean()), "quantile": quantile,
    }, quantile  # fmt: skip


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
        **_counted(counts, names),
        "calibration": {"ece": calibration.expected_calibration_error(probabilities, labels)},
    }
