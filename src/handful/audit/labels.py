"""Labels that are likely wrong, from probabilities of models that had not seen the samples. Fits nothing.

Confident learning (Northcutt, Jiang and Chuang 2021, JAIR 70:1373, arXiv:1911.00068): a sample counts as another class
where its probability reaches what samples of that class usually reach. Sure of itself is relative to the class, so that
a model that is sure of everything, or of nothing, finds the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from handful.data import Finding
from handful.words import Number

# Of the given labels, what models that had not seen the samples must confirm before their contradiction says anything: below,
# most of it is their own error, and whoever follows it makes good labels bad.
TRUSTED = 0.75
_NAMED = 6  # files that a message names


def margins(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probability of the given label minus the largest other, [n]: below zero where another class looks likelier."""
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    return np.asarray(probabilities[rows, labels] - others.max(axis=1))


def ranking(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """All samples, most suspicious first: int [n]. What was never tested (NaN) comes last."""
    return np.argsort(np.nan_to_num(margins(probabilities, labels), nan=np.inf), kind="stable")


def thresholds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What samples of each class reach on average for it, [classes]; 1 for a class without samples."""
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, own, minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def confirmed(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of the labels that are the likeliest class; of what was tested."""
    known = np.isfinite(probabilities).all(axis=1)
    return float((probabilities[known].argmax(axis=1) == labels[known]).mean()) if known.any() else 0.0


def doubtful(
    files: Sequence[str],
    labels: np.ndarray,
    names: Sequence[str],
    probabilities: np.ndarray,
    witness: np.ndarray | None = None,
) -> list[dict[str, Any]] | None:
    """The rows `doubtful` of run.json, most suspicious first: {"file", "label", "suggested", "given", "confidence"}.

    None where it cannot be told, see TRUSTED. A row is doubtful where another class reaches its threshold, is the likeliest that does, and the given label falls
    short of its own.

    Args:
        labels: int [n], as given.
        probabilities: float [n, classes], out of fold, the mean over repeats; NaN where a sample was never tested.
        witness: as `probabilities`, of other models; a label that is the likeliest to them is not doubted. NaN: they say nothing.
    """
    known = np.isfinite(probabilities).all(axis=1)
    if not known.any():
        return []
    if confirmed(probabilities, labels) < TRUSTED:
        return None
    limits = thresholds(probabilities[known], labels[known])
    order = ranking(probabilities, labels)
    backed = np.zeros(len(labels), bool) if witness is None else margins(witness, labels) > 0
    rows = []
    for i in order[known[order]]:
        found, given = probabilities[i], int(labels[i])
        sure = np.where(found >= limits, found, -1.0)
        other = int(sure.argmax())
        if backed[i] or sure[other] < 0 or other == given or found[given] >= min(limits[given], found[other]):
            continue
        rows.append(
            {
                "file": files[i],
                "label": names[given],
                "suggested": names[other],
                "given": round(float(found[given]), 4),
                "confidence": round(float(found[other]), 4),
            }
        )
    return rows


def to_findings(rows: Iterable[Mapping[str, Any]] | None) -> list[Finding]:
    """One finding with all files, most suspicious first, and the evidence of the first; a note where it cannot be told."""
    if rows is None:
        return [Finding("wrong-label", "note", "labels_unknown")]
    found = list(rows)
    if not found:
        return []
    first, files = found[0], tuple(str(row["file"]) for row in found)
    values: dict[str, Any] = {
        "file": files[0], "label": first["label"], "suggested": first["suggested"],
        "confidence": Number(float(first["confidence"]), "ratio"),
    }  # fmt: skip
    if len(found) == 1:
        return [Finding("wrong-label", "warning", "doubtful_one", values, files)]
    more = [*files[1:_NAMED], *(["..."] if len(files) > _NAMED else [])]
    return [Finding("wrong-label", "warning", "doubtful", {**values, "n": len(found), "more": more}, files)]
