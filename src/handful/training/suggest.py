"""Which unlabelled files to label next: those that stand for most of what the model is unsure of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handful.data import Sample
from handful.errors import FileError
from handful.metrics.calibration import softmax
from handful.training.trial import Trial

_LEAST = 0.05  # what a file counts that the model is sure of
_BLOCK = 1024


@dataclass(frozen=True)
class Suggestion:
    """One file worth labelling: what the model takes it for, how sure it is, how new it looks (0: seen, 1: like nothing seen)."""

    sample: Sample
    label: str
    confidence: float
    novelty: float


def suggest(
    trial: Trial, samples: Sequence[Sample], count: int, temperature: float
) -> tuple[list[Suggestion], list[tuple[Sample, FileError]]]:
    """The `count` files to label first, best first, and those that cannot be read.

    Greedy facility location: each next file is the one that stands for most of what is still in doubt, that is, brings the
    files the model is unsure of nearest to something labelled (Nemhauser, Wolsey and Fisher 1978; for active learning Wei,
    Iyer and Bilmes 2015). So a burst of equal files is asked for once, and an odd one out is not asked for at all. A strategy
    without embeddings compares files by the model's answers.

    Args:
        trial: evaluated.
        samples: without labels.
        temperature: of the run.
    """
    labelled = {s.sha256 for s in trial.prepared.samples}
    fresh = list({s.sha256: s for s in samples if s.sha256 not in labelled}.values())
    read, logits, errors = trial.strategy.predict(fresh)
    if not read:
        return [], errors
    p = softmax(logits.astype(np.float64) / temperature)
    top = np.sort(p, axis=1)[:, ::-1]
    doubt = 1 - (top[:, 0] - top[:, 1])
    found, known = trial.strategy.embeddings(read), trial.strategy.embeddings()
    if found is None or known is None:
        x, seen = _unit(p), _unit(np.eye(p.shape[1]))
    else:
        centre = found[1].mean(axis=0)
        x, seen = _unit(found[1] - centre), _unit(known[1] - centre)
    chosen: list[Suggestion] = []
    near = (x @ seen.T).max(axis=1)
    novelty = np.clip(1 - near, 0, 1)
    left = np.ones(len(read), bool)
    for _ in range(min(count, len(read))):
        gain = np.zeros(len(read))
        for start in range(0, len(read), _BLOCK):
            part = slice(start, start + _BLOCK)
            gain += np.maximum(x @ x[part].T - near[part], 0) @ (doubt[part] + _LEAST)
        i = int(np.where(left, gain, -1.0).argmax())
        chosen.append(
            Suggestion(read[i], trial.prepared.names[int(p[i].argmax())], float(p[i].max()), float(novelty[i]))
        )
        left[i] = False
        near = np.maximum(near, x @ x[i])
    return chosen, errors


def _unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))
