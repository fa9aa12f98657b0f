"""Nearest class mean by cosine: nothing is tuned, a class needs one sample."""

from __future__ import annotations

import numpy as np

from handful.training.heads import Fitted, Head, Problem, Step, heads, inner_logits


@heads.register("prototype")
def prototype(problem: Problem, masks: np.ndarray, inner: np.ndarray, seed: int) -> list[Fitted]:
    """Cosine to the mean of each class's centred, l2-normalised embeddings (Snell et al. 2017, arXiv:1703.05175)."""

    def fit(mask: np.ndarray) -> Head:
        wanted = mask[problem.sample]
        x = problem.x[wanted]
        weights, labels = problem.row_weights[wanted], problem.labels[problem.sample][wanted]
        centre = (weights @ x) / weights.sum()
        unit = Step("l2", {})(x - centre)
        sums = np.zeros((problem.classes, x.shape[1]), np.float32)
        np.add.at(sums, labels, unit * weights[:, None])
        means = Step("l2", {})(sums)
        shift = Step("scale", {"mean": centre, "scale": np.ones_like(centre)})
        return Head(
            (shift, Step("l2", {}), Step("affine", {"weight": means.T, "bias": np.zeros(problem.classes, np.float32)}))
        )

    return [
        Fitted(fit(mask), inner_logits(problem, mask, folds, fit), "class means")
        for mask, folds in zip(masks, inner, strict=True)
    ]
