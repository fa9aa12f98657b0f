"""Heads: the numbers equal scikit-learn's where it has the same method, and every head keeps the same promises."""

from __future__ import annotations

import numpy as np
import pytest

from handful.graph import Graph, session
from handful.training.heads import Problem, Unit, heads
from handful.training.heads.lda import solve as solve_lda
from handful.training.heads.logistic import solve as solve_logistic


def make(n: int = 60, width: int = 40, classes: int = 3, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    x = (rng.normal(size=(n, width)) + 1.2 * rng.normal(size=(classes, width))[labels]).astype(np.float32)
    return Problem(x, np.arange(n), np.ones(n, bool), labels, np.arange(n), classes)


@pytest.mark.parametrize("strength", [1.0, 16.0, 256.0])
@pytest.mark.parametrize("shape", [(60, 200), (200, 40)])
def test_logistic_reaches_the_loss_of_scikit_learn(strength: float, shape: tuple[int, int]) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    p = make(*shape)
    unit = Unit(p.x)
    x = unit[slice(None)]
    onehot = np.eye(3, dtype=np.float32)[p.labels]
    (w,), (b,) = solve_logistic(unit, onehot, np.ones((1, len(x)), np.float32), np.array([strength]))
    model = linear_model.LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(x.astype(float), p.labels)

    def loss(weight: np.ndarray, bias: np.ndarray) -> float:
        s = x.astype(float) @ weight + bias
        picked = s[np.arange(len(s)), p.labels] - np.log(np.exp(s).sum(axis=1))
        return float(-picked.sum() + (weight**2).sum() / (2 * strength))

    assert loss(w, b) == pytest.approx(loss(model.coef_.T, model.intercept_), rel=3e-3)


def test_logistic_of_a_mask_is_logistic_of_the_part() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    p = make()
    unit = Unit(p.x)
    x = unit[slice(None)]
    mask = np.arange(len(x)) % 4 > 0
    (w,), (b,) = solve_logistic(
        unit, np.eye(3, dtype=np.float32)[p.labels], mask[None].astype(np.float32), np.array([4.0])
    )
    part = linear_model.LogisticRegression(C=4.0, max_iter=5000, tol=1e-8).fit(x[mask], p.labels[mask])
    found, expected = x @ w + b, part.decision_function(x)
    found -= found.mean(axis=1, keepdims=True)
    expected -= expected.mean(axis=1, keepdims=True)
    assert np.abs(found - expected).max() < 0.03 * np.ptp(expected)


@pytest.mark.parametrize("shape", [(60, 200), (200, 40)])
def test_a_matrix_too_large_to_copy_gives_the_same_head(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    p = make(*shape)
    x = [Unit(p.x)]
    monkeypatch.setattr(Unit, "_SMALL", 0)
    monkeypatch.setattr("handful.training.heads.logistic._SMALL", 0)
    x.append(Unit(p.x))
    onehot, weights = np.eye(3, dtype=np.float32)[p.labels], np.ones((1, shape[0]), np.float32)
    a, b = (solve_logistic(u, onehot, weights, np.array([16.0]))[0] for u in x)
    assert np.abs(a - b).max() < 0.02 * np.abs(a).max()


def test_lda_equals_scikit_learn_with_the_same_shrinkage_target() -> None:
    lda = pytest.importorskip("sklearn.discriminant_analysis").LinearDiscriminantAnalysis
    p = make(300, 20)
    weight, bias = solve_lda(p.x, p.labels, np.ones(300), 3, 20)
    reference = lda(solver="lsqr", shrinkage="auto").fit(p.x, p.labels)
    found = (p.x @ weight + bias).argmax(axis=1)
    assert (found == reference.predict(p.x)).mean() > 0.98


@pytest.mark.parametrize("name", heads.names())
class TestEveryHead:
    """One body a promise, over the registry."""

    def fit(self, name: str, problem: Problem, masks: np.ndarray | None = None) -> list:
        pytest.importorskip("sklearn")
        everyone = np.ones((1, len(problem.labels)), bool) if masks is None else masks
        inner = np.where(everyone, np.arange(len(problem.labels)) // problem.classes % 4, -1)
        return heads.get(name)(problem, everyone, inner, 0)

    def test_learns(self, name: str) -> None:
        p = make()
        (fitted,) = self.fit(name, p)
        hits, loss = fitted.score(p.labels)
        assert hits > 0.8 * len(p.labels)
        assert 0 <= loss < np.log(3)
        assert (p.predict(fitted.head, np.arange(60)).argmax(axis=1) == p.labels).mean() > 0.9

    def test_never_sees_what_it_is_tested_on(self, name: str) -> None:
        """Labels of held-out samples may be anything: the fitted head stays the same, bit for bit."""
        p = make()
        mask = np.arange(60) % 5 != 0
        scrambled = Problem(p.x, p.sample, p.plain, np.where(mask, p.labels, (p.labels + 1) % 3), p.groups, 3)
        a, b = (self.fit(name, q, mask[None])[0].head.logits(p.x) for q in (p, scrambled))
        assert np.array_equal(a, b)

    def test_inner_scores_cover_exactly_the_mask(self, name: str) -> None:
        p = make()
        mask = np.arange(60) % 5 != 0
        (fitted,) = self.fit(name, p, mask[None])
        assert np.array_equal(~np.isnan(fitted.inner[:, 0]), mask)

    def test_graph_equals_numpy(self, name: str) -> None:
        p = make()
        (fitted,) = self.fit(name, p)
        g = Graph()
        g.output(fitted.head.graph(g, g.input("x", "float32", ["N", 40])), "logits", ["N", 3])
        (found,) = session(g.build(), 1).run(None, {"x": p.x})
        expected = fitted.head.logits(p.x)
        assert np.abs(found - expected).max() < 1e-4 * np.ptp(expected)

    def test_bad_columns_do_no_harm(self, name: str) -> None:
        p = make()
        x = p.x.copy()
        x[:, 0], x[:, 1] = 0.0, 7.0
        (fitted,) = self.fit(name, Problem(x, p.sample, p.plain, p.labels, p.groups, 3))
        assert np.isfinite(fitted.head.logits(x)).all()

    def test_a_class_may_be_missing_in_a_mask(self, name: str) -> None:
        p = make()
        (fitted,) = self.fit(name, p, (p.labels != 2)[None])
        assert np.isfinite(fitted.head.logits(p.x)).all()

    def test_same_twice(self, name: str) -> None:
        p = make()
        a, b = (self.fit(name, p)[0].head.logits(p.x) for _ in range(2))
        assert np.array_equal(a, b)
