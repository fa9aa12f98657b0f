"""Scores and intervals with numbers that a reader can check."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_scores_of_the_seed_table() -> None:
    """19 TP, 3 FP, 1 FN (and 17 TN): precision 0.8636, recall 0.95, F1 0.9048 of the class; weighted recall is accuracy."""
    counts = np.array([[17, 3], [1, 19]])
    rows = scores.per_class(counts, ["no", "yes"])
    assert rows["yes"] == {
        "precision": pytest.approx(0.8636, abs=1e-4),
        "recall": 0.95,
        "f1": pytest.approx(0.9048, abs=1e-4),
        "n": 20,
    }
    weighted = sum(rows[name]["recall"] * rows[name]["n"] for name in rows) / 40
    assert weighted == pytest.approx(36 / 40)
    assert scores.macro_f1(counts) == pytest.approx((rows["no"]["f1"] + rows["yes"]["f1"]) / 2)


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
