"""Support vector machine with an RBF kernel, one class against the rest, on standardised embeddings (scikit-learn's SVC)."""

from __future__ import annotations

import numpy as np

from handful.registry import optional
from handful.training.heads import Fitted, Head, Problem, Step, choose, heads, inner_logits
from handful.training.heads.ridge import scaling
from handful.words import said

COSTS = (1.0, 10.0, 100.0)
_GAMMA = 0.5


def _train(problem: Problem, mask: np.ndarray, cost: float) -> Head:
    svc = optional("sklearn.svm", "learn", said("extra.head", name="svm")).SVC
    wanted = mask[problem.sample]
    scale = scaling(problem.x[wanted], problem.blocks)
    x, labels = scale(problem.x[wanted]), problem.labels[problem.sample][wanted]
    rbf = Step("rbf", {"support": x, "gamma": np.array(_GAMMA, np.float32)})
    kernel = rbf(x)
    weight, bias = np.zeros((len(x), problem.classes), np.float32), np.full(problem.classes, -1.0, np.float32)
    for c in np.unique(labels):
        if len(np.unique(labels)) < 2:
            bias[c] = 1.0
            continue
        machine = svc(kernel="precomputed", C=cost, class_weight="balanced").fit(kernel, labels == c)
        weight[machine.support_, c] = machine.dual_coef_[0]
        bias[c] = machine.intercept_[0]
    used = np.flatnonzero(weight.any(axis=1))
    return Head(
        (
            scale,
            Step("rbf", {"support": x[used], "gamma": np.array(_GAMMA, np.float32)}),
            Step("affine", {"weight": weight[used], "bias": bias}),
        )
    )


@heads.register("svm")
def svm(problem: Problem, masks: np.ndarray, inner: np.ndarray, seed: int) -> list[Fitted]:
    """SVM-RBF; cost chosen by log-loss inside each mask."""
    results = []
    for mask, folds in zip(masks, inner, strict=True):
        held = [inner_logits(problem, mask, folds, lambda m, cost=cost: _train(problem, m, cost)) for cost in COSTS]
        fits = [Fitted(Head(()), logits, "") for logits in held]
        best = choose(np.array([fit.score(problem.labels)[1] for fit in fits]), COSTS) if (folds >= 0).any() else 1
        results.append(Fitted(_train(problem, mask, COSTS[best]), held[best], f"C={COSTS[best]:g}"))
    return results
