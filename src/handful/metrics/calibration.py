"""Probabilities that mean something: temperature, expected calibration error, conformal sets."""

from __future__ import annotations

import math

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
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return float(sum(abs(confidence[part].mean() - right[part].mean()) * len(part) for part in parts) / len(labels))


def conformal_quantile(probabilities: np.ndarray, labels: np.ndarray, coverage: float = 0.9) -> float:
    """Sets of all classes with p >= 1 - q hold the true class of `coverage` of new samples (split conformal prediction)."""
    n = len(labels)
    scores = np.sort(1 - probabilities[np.arange(n), labels])
    rank = math.ceil((n + 1) * coverage)
    return float(scores[rank - 1]) if 0 < rank <= n else 1.0
