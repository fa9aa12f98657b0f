"""Scores and intervals with numbers that a reader can check."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks import coverage

from handful.metrics import calibration, intervals, scores


def test_wilson_is_the_textbook_value() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263 gives 0.2553 to 0.3662, 0 of 20 gives 0 to 0.1611
    assert intervals.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert intervals.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@pytest.mark.parametrize("p", [0.6, 0.8, 0.95])
def test_wilson_covers_in_simulation(p: float) -> None:
    hits = np.random.default_rng(1).binomial(60, p, 4000)
    inside = [low <= p <= high for low, high in (intervals.wilson(h, 60) for h in hits)]
    assert 0.93 <= np.mean(inside) <= 0.975


@pytest.mark.parametrize(("count", "size"), [(5, 20), (30, 6)])
def test_intervals_by_group_cover_where_wilson_does_not(count: int, size: int) -> None:
    """Groups that are easy or hard as a whole: the interval must be about new groups."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(count), size)
    grouped, plain = [], []
    for draw in range(400):
        easy = np.clip(rng.normal(0.75, 0.15, count), 0, 1)
        hits = rng.random(count * size) < easy[groups]
        truth = 0.75
        a, b = intervals.accuracy(hits, groups, draw), intervals.accuracy(hits)
        grouped.append(a["low"] <= truth <= a["high"])
        plain.append(b["low"] <= truth <= b["high"])
    assert np.mean(grouped) >= 0.91
    assert np.mean(grouped) > np.mean(plain)


def test_few_groups_use_t_over_group_means() -> None:
    hits = np.array([1, 1, 1, 0] * 2 + [1, 1, 0, 0] * 2, bool)
    found = intervals.accuracy(hits, np.repeat([0, 1, 2, 3], 4))
    # group means 0.75, 0.75, 0.5, 0.5: mean 0.625, sd 0.1443, t(3) = 3.1824 -> 0.625 +- 0.2297
    assert (found["low"], found["high"]) == pytest.approx((0.3953, 0.8547), abs=1e-4)
    assert found["interval"] == "t over 4 group means"


def test_all_right_is_not_certainty() -> None:
    assert intervals.accuracy(np.ones(20, bool))["low"] < 0.9
    assert intervals.accuracy(np.ones(40, bool), np.repeat(np.arange(20), 2))["low"] < 0.9
    assert intervals.accuracy(np.ones(40, bool), np.repeat(np.arange(4), 10))["low"] < 0.6


@pytest.mark.parametrize("count", [4, 15])
def test_groups_never_make_a_score_surer(count: int) -> None:
    """Groups that all do equally well have no spread between them; the samples' own luck remains."""
    hits = np.tile([1] * 8 + [0] * 2, count).astype(bool)
    grouped, plain = intervals.accuracy(hits, np.repeat(np.arange(count), 10)), intervals.accuracy(hits)
    assert (grouped["low"], grouped["high"]) == (plain["low"], plain["high"])


def test_student_t_is_the_tables() -> None:
    for freedom, value in ((3, 3.1824), (11, 2.2010), (20, 2.0860), (120, 1.9799)):
        assert intervals.student_t(freedom) == pytest.approx(value, abs=1e-3)


def test_interval_coverage_in_simulated_studies() -> None:
    """Accuracies from 0.7 to 0.97; benchmarks/coverage.py prints the same for more studies."""
    assert 0.935 <= coverage.plain(2000).covered <= 0.97
    for count in coverage.GROUPS:
        for correlation in coverage.CORRELATIONS:
            # 92 to 97 % measured in 2,000 studies; three standard errors of 200 studies are 5 points
            assert 0.88 <= coverage.grouped(200, count, correlation).covered <= 0.995


def test_rate_is_accuracy_with_fewer_keys() -> None:
    hits = np.arange(60) % 4 > 0
    found, groups = intervals.accuracy(hits, np.arange(60) // 4, 3), np.arange(60) // 4
    assert intervals.rate(hits, groups, 3) == {key: found[key] for key in ("value", "low", "high", "n")}
    assert intervals.rate(np.zeros(0, bool)) == {"value": 0.0, "low": 0.0, "high": 1.0, "n": 0}


def test_scores_of_the_seed_table() -> None:
    """19 TP, 3 FP, 1 FN (and 17 TN): precision 0.8636, recall 0.95, F1 0.9048 of the class; weighted recall is accuracy."""
    counts = np.array([[17, 3], [1, 19]])
    rows = scores.per_class(counts, ["no", "yes"])
    yes = rows["yes"]
    assert (yes["precision"], yes["recall"], yes["f1"]) == pytest.approx((0.8636, 0.95, 0.9048), abs=1e-4)
    assert [yes[key] for key in ("n", "tp", "fp", "fn", "tn")] == [20, 19, 3, 1, 17]
    assert (yes["recall_low"], yes["recall_high"]) == intervals.wilson(19, 20)
    assert (yes["precision_low"], yes["precision_high"]) == intervals.wilson(19, 22)
    averages = scores.averages(counts)
    assert averages["weighted"]["recall"] == pytest.approx(36 / 40)
    assert averages["macro"]["precision"] == pytest.approx((17 / 18 + 19 / 22) / 2)
    assert scores.macro_f1(counts) == pytest.approx((rows["no"]["f1"] + rows["yes"]["f1"]) / 2)


def test_weighted_recall_is_accuracy_and_rare_classes_count_in_macro() -> None:
    counts = np.array([[90, 0, 0], [5, 5, 0], [3, 0, 0]])
    averages = scores.averages(counts)
    assert averages["weighted"]["recall"] == pytest.approx(np.trace(counts) / counts.sum())
    assert scores.balanced_accuracy(counts) == averages["macro"]["recall"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert averages["macro"]["precision"] == pytest.approx((90 / 98 + 1 + 0) / 3)  # never predicted: 0
    assert averages["macro"]["f1"] == scores.macro_f1(counts)


def test_what_cannot_be_known_is_none() -> None:
    rows = scores.per_class(np.array([[4, 0, 1], [0, 0, 0], [2, 0, 0]]), ["a", "never seen", "b"])
    empty = rows["never seen"]
    assert empty["tn"] == 7
    assert all(
        empty[key] is None for key in ("precision", "recall", "f1", "recall_low", "recall_high", "precision_low")
    )


def test_top_k_counts_ties_as_argmax_does() -> None:
    rng = np.random.default_rng(0)
    p, labels = rng.integers(0, 4, (200, 7)) / 4, rng.integers(0, 7, 200)
    assert (scores.top_k(p, labels, 1) == (p.argmax(axis=1) == labels)).all()
    shares = [scores.top_k(p, labels, k).mean() for k in range(1, 8)]
    assert shares == sorted(shares) and shares[-1] == 1
    assert scores.top_k(np.full((7, 7), 1 / 7), np.arange(7), 5).sum() == 5


def test_temperature_undoes_a_scale() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 4)) * 2
    labels = np.array([rng.choice(4, p=p) for p in calibration.softmax(logits)])
    assert calibration.temperature(logits * 3, labels) == pytest.approx(3, rel=0.06)
    assert calibration.temperature(logits * 0.01, labels) == pytest.approx(0.01, rel=0.06)


def test_expected_calibration_error_of_a_known_gap() -> None:
    p = np.tile([0.9, 0.1], (100, 1))
    labels = np.array([0] * 70 + [1] * 30)
    assert calibration.expected_calibration_error(p, labels, bins=1) == pytest.approx(0.2)


def test_conformal_sets_cover() -> None:
    rng = np.random.default_rng(0)
    p = calibration.softmax(rng.normal(size=(3000, 5)))
    labels = np.array([rng.choice(5, p=row) for row in p])
    q = calibration.conformal_quantile(p[:1000], labels[:1000], 0.9)
    inside = p[np.arange(1000, 3000), labels[1000:]] >= 1 - q
    assert 0.87 <= inside.mean() <= 0.93
    sets = calibration.conformal_sets(p[1000:], q)
    assert sets.dtype == bool and sets.shape == (2000, 5)
    assert (sets[np.arange(2000), labels[1000:]] == inside).all()


def test_bins_hold_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    p, labels = calibration.softmax(rng.normal(size=(203, 3)) * 3), rng.integers(0, 3, 203)
    rows = calibration.bins(p, labels)
    assert len(rows) == 10 and {row["n"] for row in rows} == {20, 21}
    assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)
    gap = sum(row["n"] * abs(row["confidence"] - row["accuracy"]) for row in rows) / 203
    assert gap == pytest.approx(calibration.expected_calibration_error(p, labels))


def test_ece_limit_holds_95_of_100_calibrated_models_and_no_overconfident_one() -> None:
    rng = np.random.default_rng(0)
    inside, caught = [], []
    for study in range(200):
        p = calibration.softmax(rng.normal(size=(80, 3)) * 2)
        labels = (p.cumsum(axis=1) > rng.random((80, 1))).argmax(axis=1)
        limit = calibration.ece_limit(p, seed=study, draws=200)
        inside.append(calibration.expected_calibration_error(p, labels) <= limit)
        sharp = calibration.softmax(np.log(p) * 4)
        caught.append(
            calibration.expected_calibration_error(sharp, labels) > calibration.ece_limit(sharp, seed=study, draws=200)
        )
    assert 0.9 <= np.mean(inside) <= 0.99
    assert np.mean(caught) >= 0.95


def test_ece_limit_does_not_take_repeats_for_new_samples() -> None:
    p = calibration.softmax(np.random.default_rng(0).normal(size=(60, 3)))
    once, five = calibration.ece_limit(p), calibration.ece_limit(np.stack([p] * 5))
    assert five == pytest.approx(once, rel=0.15)
    assert calibration.ece_limit(np.concatenate([p] * 5)) < 0.6 * five


def test_auroc_counts_pairs() -> None:
    known, unknown = np.array([0.9, 0.8, 0.8, 0.3]), np.array([0.8, 0.2, 0.5])
    pairs = [(k > u) + (k == u) / 2 for k in known for u in unknown]
    assert calibration.auroc(known, unknown) == pytest.approx(np.mean(pairs))
    assert calibration.auroc(np.ones(5), np.ones(3)) == 0.5


@pytest.mark.parametrize(("n", "asked", "expected"), [(200, 0.05, 0.05), (30, 0.02, 1 / 31)])
def test_threshold_keeps_the_false_alarms(n: int, asked: float, expected: float) -> None:
    rng = np.random.default_rng(0)
    below = [calibration.threshold(rng.random(n), asked) for _ in range(4000)]  # uniform: the limit is the alarm rate
    assert np.mean(below) == pytest.approx(expected, abs=0.003)
    assert calibration.threshold(np.zeros(0), asked) == 0.0
