"""What a confusion matrix says. Rows are true classes, columns predicted ones."""

from __future__ import annotations

from typing import Any

import numpy as np


def confusion(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int [classes, classes] from int [n] labels."""
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (true, predicted), 1)
    return counts


def per_class(counts: np.ndarray, names: list[str]) -> dict[str, dict[str, Any]]:
    """Precision, recall, F1 and n of each class; None where a ratio has nothing below the line."""
    rows: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(names):
        hit, n, said = int(counts[i, i]), int(counts[i].sum()), int(counts[:, i].sum())
        rows[name] = {
            "precision": hit / said if said else None,
            "recall": hit / n if n else None,
            "f1": 2 * hit / (n + said) if n + said else None,
            "n": n,
        }
    return rows


def macro_f1(counts: np.ndarray) -> float:
    """Mean F1 over the classes that occur, the predicted-only ones excluded."""
    n, said, hit = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    f1 = 2 * hit / np.maximum(n + said, 1)
    return float(f1[n > 0].mean()) if (n > 0).any() else 0.0
