"""How much more data would bring, and of which class: the procedure rehearsed with fewer samples.

Two experiments. Shots: every class cut down to 2, 4, 8, ... samples; a power law through the errors is continued. Halves: one
class at a time loses half of its training samples while the others keep theirs; what that costs in accuracy is that class's
share of the gain still to be had.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from handful.errors import UsageError
from handful.metrics import intervals, learning_curve, paired
from handful.training.trial import Trial
from handful.words import both, packed, said

DRAWS = 2  # of the training samples, for each fold
AHEAD = 4  # times the samples there are: beyond, a power law is a guess
WORTH = 0.03  # of accuracy: the gain for which "so many more of this class" is named
DONE = 0.01  # of accuracy: a class whose doubling surely brings less is done
HALVED_CLASSES = 30


def curve(trial: Trial) -> dict[str, Any]:
    """The key "curve" of run.json.

    Raises:
        UsageError: the strategy trains a network for each point.
    """
    refuse_slow(trial)
    p = trial.prepared
    counts = np.bincount(p.labels, minlength=len(p.names))
    folds = p.plan.folds[0]
    parts = np.unique(folds[folds >= 0])
    usual = float(np.median(counts)) * (
        1 - 1 / max(len(parts), 2)
    )  # samples of a class in training; small ones give what they have
    shots = [s for s in (2**i for i in range(1, 12)) if s < 0.9 * usual]
    if len(shots) < 2 or not p.plan.crossed:
        why = said("curve.too_few")
        return {"points": [], "band": [], "classes": {}, "why": why, "said": {"why": packed(why)}}
    hits, full = _shots(trial, shots, parts)
    trained = float(np.mean([(folds != part).sum() for part in parts])) / len(p.names)
    points = [_point(row, s) for row, s in zip(hits, shots, strict=True)] + [_point(full, trained)]
    part_of = folds[folds >= 0]
    # One row a fold, over its draws: each has its own test samples, so that the scatter holds their luck as well.
    errors = 1 - np.array([[row[:, part_of == part].mean() for row in [*hits, full]] for part in parts])
    ahead = np.unique(np.round(np.geomspace(shots[0], AHEAD * counts.mean(), 24)))
    sizes = np.array([*shots, trained])
    low, middle, high = learning_curve.band(sizes, errors, ahead, trial.recipe.seed)
    band = [
        {"per_class": float(n), "value": float(1 - m), "low": float(1 - h), "high": float(1 - lo)}
        for n, m, lo, h in zip(ahead, middle, low, high, strict=True)
    ]
    _, slope, _ = learning_curve.power_law(sizes, errors.mean(axis=0))
    return {"points": points, "band": band, "classes": _classes(trial, slope, counts), "worth": WORTH, "why": None}


def refuse_slow(trial: Trial) -> None:
    """Raise UsageError where each point would take a training of its own."""
    if not trial.strategy.quick:
        raise UsageError(*both("error.slow_curve", strategy=trial.choice.strategy))


def _point(hits: np.ndarray, per_class: float) -> dict[str, Any]:
    """hits bool [draws, tested]: the samples are the same in each draw, so that they limit how sure the point can be."""
    rate = intervals.wilson(float(hits.mean(axis=0).sum()), hits.shape[1])
    return {"per_class": per_class, "value": float(hits.mean()), "low": rate[0], "high": rate[1], "draws": len(hits)}


def _shots(trial: Trial, shots: list[int], parts: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """bool [draws, tested samples] for each number of shots, and for all samples there are."""
    p = trial.prepared
    folds = p.plan.folds[0]
    tested = np.flatnonzero(folds >= 0)
    masks, held = [], []
    for draw in range(DRAWS):
        for part in parts:
            order = np.random.default_rng([trial.recipe.seed, draw, int(part)]).permutation(len(folds))
            order = order[folds[order] != part]
            rank = _rank(p.labels[order])
            for s in shots:  # nested: the first two are among the first four
                mask = np.zeros(len(folds), bool)
                mask[order[rank < s]] = True
                masks.append(mask)
                held.append(folds == part)
    masks += [folds != part for part in parts]
    held += [folds == part for part in parts]
    right = _right(trial, np.stack(masks), np.stack(held))
    many = len(parts) * len(shots)
    found = np.zeros((DRAWS, len(shots), len(folds)), bool)
    for number, (row, wanted) in enumerate(zip(right[: -len(parts)], held, strict=False)):
        found[number // many, number % len(shots), wanted] = row[wanted]
    full = np.zeros(len(folds), bool)
    for row, wanted in zip(right[-len(parts) :], held[-len(parts) :], strict=True):
        full[wanted] = row[wanted]
    return [found[:, i][:, tested] for i in range(len(shots))], np.repeat(full[None, tested], DRAWS, axis=0)


def _rank(labels: np.ndarray) -> np.ndarray:
    """How many of the same label came before."""
    seen: dict[int, int] = {}
    ranks = []
    for label in labels.tolist():
        ranks.append(seen.get(label, 0))
        seen[label] = ranks[-1] + 1
    return np.array(ranks)


def _right(trial: Trial, masks: np.ndarray, held: np.ndarray) -> np.ndarray:
    p = trial.prepared
    logits = trial.strategy.rehearse(p.labels, p.groups, len(p.names), masks, held)
    return np.asarray(np.nan_to_num(logits, nan=-np.inf).argmax(axis=2) == p.labels)


def _classes(trial: Trial, slope: float, counts: np.ndarray) -> dict[str, Any]:
    """What more of each class alone would bring, from what losing half of it costs."""
    p = trial.prepared
    folds = p.plan.folds[0]
    tested = folds >= 0
    parts = np.unique(folds[tested])
    chosen = list(range(len(p.names)))[:HALVED_CLASSES]
    masks, held = [], []
    for c in [None, *chosen]:
        for part in parts:
            mask = folds != part
            if c is not None:
                own = np.flatnonzero(mask & (p.labels == c))
                rng = np.random.default_rng([trial.recipe.seed, 5, c, int(part)])
                mask[rng.permutation(own)[: len(own) // 2]] = False
            masks.append(mask)
            held.append(folds == part)
    right = _right(trial, np.stack(masks), np.stack(held))
    merged = np.zeros((1 + len(chosen), len(folds)), bool)
    for number, (row, wanted) in enumerate(zip(right, held, strict=True)):
        merged[number // len(parts), wanted] = row[wanted]
    groups = p.groups[tested] if p.grouped else None
    costs = [paired.difference(merged[0, tested], row[tested], groups, trial.recipe.seed) for row in merged[1:]]
    error = 1 - float(merged[0, tested].mean())
    shares = np.array([max(0.0, cost["value"]) for cost in costs]) / (2**slope - 1)
    # Together the classes cannot contribute more than the error there is: a flat curve would promise that.
    scale = min(1.0, error / shares.sum()) if shares.sum() > 0 else 1.0
    return {p.names[c]: _gain(cost, slope, int(counts[c]), scale, error) for c, cost in zip(chosen, costs, strict=True)}


def _gain(cost: dict[str, float], slope: float, count: int, scale: float, error: float) -> dict[str, Any]:
    """From the cost of half the samples to the gain of more, along the error's power law.

    If a class contributes A n^-b to the error, half of it costs A n^-b (2^b - 1) and doubling it gains A n^-b (1 - 2^-b).
    """
    low, value, high = (min(error, scale * max(0.0, cost[key]) / (2**slope - 1)) for key in ("low", "value", "high"))
    doubling = 1 - 2**-slope
    more = None
    if value > WORTH and value * (1 - AHEAD**-slope) >= WORTH:
        more = int(np.ceil(count * ((1 - WORTH / value) ** (-1 / slope) - 1)))
    return {
        "more": more, "gain": value * doubling, "gain_low": low * doubling, "gain_high": high * doubling,
        "done": high * doubling < DONE,
    }  # fmt: skip
