"""What a confusion matrix says, and who stands among the first k. Rows are true classes, columns predicted ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from handful.metrics.intervals import wilson


def confusion(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int [classes, classes] from int [n] labels."""
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (true, predicted), 1)
    return counts


def per_class(counts: np.ndarray, names: list[str]) -> dict[str, dict[str, Any]]:
    """Each class against all others; None where a ratio has nothing below the line.

    Returns, by class: precision, recall, f1, n (samples of the class), tp, fp, fn, tn, and Wilson's 95 % intervals
    recall_low, recall_high, precision_low, precision_high.
    """
    rows: dict[str, dict[str, Any]] = {}
    total = int(counts.sum())
    for i, name in enumerate(names):
        hit, n, said = int(counts[i, i]), int(counts[i].sum()), int(counts[:, i].sum())
        recall = wilson(hit, n) if n else (None, None)
        precision = wilson(hit, said) if said else (None, None)
        rows[name] = {
            "precision": hit / said if said else None,
            "recall": hit / n if n else None,
            "f1": 2 * hit / (n + said) if n + said else None,
            "n": n,
            "tp": hit,
            "fp": said - hit,
            "fn": n - hit,
            "tn": total - n - said + hit,
            "recall_low": recall[0],
            "recall_high": recall[1],
            "precision_low": precision[0],
            "precision_high": precision[1],
        }
    return rows


def averages(counts: np.ndarray) -> dict[str, dict[str, float]]:
    """{"macro": ..., "weighted": ...}, each {"precision", "recall", "f1"}, over the classes that occur.

    Macro counts every class once, weighted by its samples, which makes weighted recall the accuracy. A class that is never
    predicted has precision 0.
    """
    n, said, hit = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    found = n > 0
    if not found.any():
        return {name: {"precision": 0.0, "recall": 0.0, "f1": 0.0} for name in ("macro", "weighted")}
    each = {
        "precision": hit / np.maximum(said, 1),
        "recall": hit / np.maximum(n, 1),
        "f1": 2 * hit / np.maximum(n + said, 1),
    }
    return {
        "macro": {key: float(values[found].mean()) for key, values in each.items()},
        "weighted": {key: float(values @ n / n.sum()) for key, values in each.items()},
    }


def macro_f1(counts: np.ndarray) -> float:
    """Mean F1 over the classes that occur, the predicted-only ones excluded."""
    return averages(counts)["macro"]["f1"]


def balanced_accuracy(counts: np.ndarray) -> float:
    """Mean recall over the classes that occur."""
    return averages(counts)["macro"]["recall"]


def top_k(probabilities: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """bool [n]: is the true class among the k most probable? Of equals the first counts, as in argmax, which is k = 1."""
    own = probabilities[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]
    return np.asarray(((probabilities > own) | ((probabilities == own) & earlier)).sum(axis=1) < k)
