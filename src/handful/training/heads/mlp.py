"""A small multi-layer perceptron on standardised embeddings (scikit-learn's MLPClassifier)."""

from __future__ import annotations

import warnings

import numpy as np

from handful.registry import optional
from handful.training.heads import Fitted, Head, Problem, Step, heads, inner_logits

_HIDDEN = 64


@heads.register("mlp")
def mlp(problem: Problem, masks: np.ndarray, inner: np.ndarray, seed: int) -> list[Fitted]:
    """One hidden layer of 64 ReLU units, weight decay 1, trained with L-BFGS."""
    classifier = optional("sklearn.neural_network", "learn", "the head mlp").MLPClassifier

    def fit(mask: np.ndarray) -> Head:
        wanted = mask[problem.sample]
        x, labels = problem.x[wanted], problem.labels[problem.sample][wanted]
        std = x.std(axis=0)
        scale = Step(
            "scale",
            {"mean": x.mean(axis=0), "scale": np.where(std > 1e-9, 1 / np.maximum(std, 1e-9), 0).astype(np.float32)},
        )
        network = classifier((_HIDDEN,), solver="lbfgs", alpha=1.0, max_iter=200, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # reaching max_iter is the early stopping meant here
            network.fit(scale(x), labels)
        (w1, w2), (b1, b2) = network.coefs_, network.intercepts_
        if w2.shape[1] == 1:  # two classes share one output
            w2, b2 = np.hstack([-w2 / 2, w2 / 2]), np.array([-b2[0] / 2, b2[0] / 2])
        weight, bias = np.zeros((_HIDDEN, problem.classes)), np.full(problem.classes, -30.0)
        weight[:, network.classes_], bias[network.classes_] = w2, b2
        steps = [
            scale,
            Step("affine", {"weight": w1, "bias": b1}),
            Step("relu", {}),
            Step("affine", {"weight": weight, "bias": bias}),
        ]
        return Head(tuple(Step(step.kind, {k: v.astype(np.float32) for k, v in step.arrays.items()}) for step in steps))

    return [
        Fitted(fit(mask), inner_logits(problem, mask, folds, fit), f"{_HIDDEN} units")
        for mask, folds in zip(masks, inner, strict=True)
    ]
