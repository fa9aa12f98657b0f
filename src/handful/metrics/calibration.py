"""Probabilities that mean something: temperature, expected calibration error, conformal sets, telling the unknown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood in nats; logits [n, classes], labels int [n]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]))


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T > 0 that minimises the log-loss of logits / T (Guo et al. 2017, arXiv:1706.04599).

    The loss is unimodal in log T, so a golden-section search finds it. One half sample of doubt is mixed in, which keeps T
    finite when every prediction is right.
    """
    if len(labels) == 0 or not np.ptp(logits):
        return 1.0
    classes = logits.shape[1]
    scale = float(np.abs(logits - logits.mean(axis=1, keepdims=True)).mean()) or 1.0
    doubt = 0.5 / len(labels)

    def loss(log_t: float) -> float:
        scores = logits / (scale * math.exp(log_t))
        shifted = scores - scores.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return float(
            -(1 - doubt) * log_p[np.arange(len(labels)), labels].mean() - doubt * log_p.sum(axis=1).mean() / classes
        )

    low, high, ratio = -5.0, 5.0, (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    loss_a, loss_b = loss(a), loss(b)
    while high - low > 1e-4:
        if loss_a < loss_b:
            high, b, loss_b = b, a, loss_a
            a = high - ratio * (high - low)
            loss_a = loss(a)
        else:
            low, a, loss_a = a, b, loss_b
            b = low + ratio * (high - low)
            loss_b = loss(b)
    return scale * math.exp((low + high) / 2)


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over equally filled bins of confidence."""
    if len(labels) == 0:
        return 0.0
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    return float(
        sum(abs(confidence[part].sum() - right[part].sum()) for part in _parts(confidence, bins)) / len(labels)
    )


def bins(probabilities: np.ndarray, labels: np.ndarray, count: int = 10) -> list[dict[str, Any]]:
    """The bins of `expected_calibration_error`, the least confident first: [{"confidence", "accuracy", "n"}]."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    return [
        {"confidence": float(confidence[part].mean()), "accuracy": float(right[part].mean()), "n": len(part)}
        for part in _parts(confidence, count)
    ]


def ece_limit(probabilities: np.ndarray, bins: int = 10, seed: int = 0, draws: int = 500) -> float:
    """95th percentile of the expected calibration error if every confidence were true.

    Few samples show a gap even where there is none: up to this much proves nothing. Predictions are right with probability
    equal to their confidence, drawn anew each time (Vaicenavicius et al. 2019, arXiv:1902.06977).

    Args:
        probabilities: [n, classes], or [repeats, n, classes] where the same samples are predicted several times: those
            share their luck, which leaves less of it to average out.
    """
    confidence = probabilities.max(axis=-1)
    samples = confidence.shape[-1]
    if confidence.size == 0:
        return 0.0
    flat = confidence.reshape(-1)
    order = np.concatenate(_parts(flat, bins))
    starts = np.cumsum([0, *(len(part) for part in _parts(flat, bins)[:-1])])
    rng, found = np.random.default_rng(seed), np.empty(draws)
    for draw in range(draws):  # one at a time: nothing as large as draws times samples
        gaps = (flat - (rng.random(samples) < confidence).reshape(-1))[order]
        found[draw] = np.abs(np.add.reduceat(gaps, starts)).sum() / len(flat)
    return float(np.quantile(found, 0.95))


def _parts(confidence: np.ndarray, count: int) -> list[np.ndarray]:
    """Indices of equally filled bins of confidence [n], the lowest first; none is empty."""
    order = np.argsort(confidence, kind="stable")
    return np.array_split(order, min(count, len(order))) if len(order) else []


def conformal_quantile(probabilities: np.ndarray, labels: np.ndarray, coverage: float = 0.9) -> float:
    """Sets of all classes with p >= 1 - q hold the true class of `coverage` of new samples (split conformal prediction)."""
    n = len(labels)
    scores = np.sort(1 - probabilities[np.arange(n), labels])
    rank = math.ceil((n + 1) * coverage)
    return float(scores[rank - 1]) if 0 < rank <= n else 1.0


def conformal_sets(probabilities: np.ndarray, quantile: float) -> np.ndarray:
    """bool [n, classes]: the classes in each sample's set; a set may be empty."""
    return np.asarray(probabilities >= 1 - quantile)


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """Chance that a known sample is surer than an unknown one, equals counting half (Mann & Whitney 1947).

    Args:
        known, unknown: sureness [n] and [m], for example the largest probability; neither is empty.
    """
    ranked = np.sort(unknown)
    below, up_to = np.searchsorted(ranked, known, "left"), np.searchsorted(ranked, known, "right")
    return float((below + up_to).mean() / (2 * len(ranked)))


def threshold(sureness: np.ndarray, false_alarm: float) -> float:
    """What is less sure than this is called unknown: of new known samples, at most `false_alarm`.

    As in conformal prediction the limit is a sample of rank (n + 1) * false_alarm. Where there are too few for a first rank
    it is the least sure sample, and 1 / (n + 1) of the new ones fall below.

    Args:
        sureness: [n] of known samples that the model has not seen, for example their largest probability.
    """
    if len(sureness) == 0:
        return 0.0
    rank = math.floor((len(sureness) + 1) * false_alarm + 1e-9)
    return float(np.sort(sureness)[min(max(rank, 1), len(sureness)) - 1])
