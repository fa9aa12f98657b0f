"""Heads: the numbers equal scikit-learn's where it has the same method, and every head keeps the same promises."""

from __future__ import annotations

import numpy as np
import pytest

from handful.graph import Graph, session
from handful.training.heads import Fitted, Problem, Unit, heads
from handful.training.heads.lda import solve as solve_lda
from handful.training.heads.logistic import solve as solve_logistic
from handful.training.heads.mlp import mlp
from handful.training.probe import Candidate, Probe


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


class TestMlp:
    def everyone(self, p: Problem) -> tuple[np.ndarray, np.ndarray]:
        n = len(p.labels)
        return np.ones((1, n), bool), np.arange(n)[None] // p.classes % 4

    def test_bends_where_a_plane_cannot_separate(self) -> None:
        rng = np.random.default_rng(0)
        corner = rng.integers(0, 2, (120, 2))
        x = np.hstack([4.0 * corner + rng.normal(size=(120, 2)), 0.1 * rng.normal(size=(120, 2))]).astype(np.float32)
        p = Problem(x, np.arange(120), np.ones(120, bool), corner[:, 0] ^ corner[:, 1], np.arange(120), 2)
        assert mlp(p, *self.everyone(p), 0)[0].score(p.labels)[0] > 0.85 * 120

    @pytest.mark.parametrize("width", [40, 200])
    def test_a_mask_sees_no_features_but_its_own(self, width: int) -> None:
        p = make(60, width)
        mask = (np.arange(60) % 5 != 0)[None]
        moved = np.where(mask[0][:, None], p.x, 50 * p.x + 7).astype(np.float32)
        inner = np.full((1, 60), -1)
        a, b = (
            mlp(Problem(x, p.sample, p.plain, p.labels, p.groups, 3), mask, inner, 0)[0].head.logits(p.x)
            for x in (p.x, moved)
        )
        assert np.array_equal(a, b)

    @pytest.mark.parametrize("elements", [1, 200_000, 10_000_000])
    def test_masks_in_one_stack_do_not_touch_each_other(self, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
        p = make(60, 50)
        masks = np.stack([np.arange(60) % 5 != 0, np.arange(60) < 33, np.ones(60, bool)])
        inner = np.full(masks.shape, -1)
        monkeypatch.setattr("handful.training.heads.mlp._STACK", elements)
        together = mlp(p, masks, inner, 0)
        for i, fitted in enumerate(together):
            (alone,) = mlp(p, masks[i : i + 1], inner[:1], 0)
            found, expected = fitted.head.logits(p.x), alone.head.logits(p.x)
            assert np.abs(found - expected).max() < 0.02 * np.ptp(expected)

    def test_more_rows_than_a_batch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Masks above and below the size of a batch come back in their order."""
        p = make(120, 40)
        monkeypatch.setattr("handful.training.heads.mlp._BATCH", 50)
        masks = np.stack([np.arange(120) < 45, np.arange(120) < 90, np.arange(120) >= 80])
        inner = np.where(masks, np.arange(120) // 3 % 2, -1)
        fits = mlp(p, masks, inner, 0)
        assert ["of 50 rows" in fitted.setting for fitted in fits] == [False, True, False]
        for i, fitted in enumerate(fits):
            (alone,) = mlp(p, masks[i : i + 1], inner[i : i + 1], 0)
            expected = alone.head.logits(p.x)
            assert np.abs(fitted.head.logits(p.x) - expected).max() < 0.02 * np.ptp(expected)
            assert fitted.score(p.labels)[0] > 0.8 * masks[i].sum()

    def test_a_class_without_samples_is_never_named(self) -> None:
        p = make()
        mask = (p.labels != 1)[None]
        (fitted,) = mlp(p, mask, np.full((1, 60), -1), 0)
        assert (fitted.head.logits(p.x).argmax(axis=1) != 1).all()

    def test_two_windows_of_each_sample_are_no_more_evidence_than_one(self) -> None:
        p = make()
        sample = np.repeat(np.arange(60), 2)
        doubled = Problem(p.x[sample], sample, np.ones(120, bool), p.labels, p.groups, 3)
        (a,), (b,) = (mlp(q, *self.everyone(p), 0) for q in (p, doubled))
        expected = a.head.logits(p.x)
        assert np.abs(b.head.logits(p.x) - expected).max() < 0.02 * np.ptp(expected)


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


@pytest.mark.parametrize(
    ("right", "mistaken", "chosen"),
    [
        (18, 0.5, "other"),  # clearly more: wins, however sure its mistakes are
        (18, 9.0, "other"),
        (17, 0.5, "other"),  # a near tie: wins where it is less sure of its mistakes
        (17, 9.0, "first"),
        (15, 0.1, "first"),  # not more
    ],
)
def test_a_near_tie_of_heads_is_decided_by_the_log_loss(right: int, mistaken: float, chosen: str) -> None:
    labels = np.arange(20) % 2

    def fitted(right: int, mistaken: float) -> Fitted:
        """`right` answers right, by a margin of 1, the others wrong by a margin of `mistaken`."""
        margin = np.where(np.arange(20) < right, 1.0, -mistaken) * np.where(labels == 1, 1, -1)
        head = heads.get("prototype")(make(), np.ones((1, 60), bool), (np.arange(60) // 3 % 2)[None], 0)[0].head
        return Fitted(head, np.stack([np.zeros(20), margin], axis=1), "")

    first, other = Candidate("first", 0), Candidate("other", 0)
    fits = {first: [fitted(15, 0.5)], other: [fitted(right, mistaken)]}
    assert Probe._choose(list(fits), fits, 0, labels).name == chosen
