"""Power laws with known truth."""

from __future__ import annotations

import numpy as np
import pytest

from handful.metrics import learning_curve

SHOTS = np.array([4.0, 8, 16, 24])
TRUTHS = [(0.8, 0.5, 0.02), (1.0, 0.3, 0.0), (0.9, 1.0, 0.05), (0.6, 0.7, 0.1), (0.4, 0.2, 0.0), (1.2, 1.5, 0.02)]


def curve(truth: tuple[float, float, float], shots: np.ndarray) -> np.ndarray:
    a, b, c = truth
    return a * shots**-b + c


@pytest.mark.parametrize("truth", TRUTHS)
def test_power_law_finds_what_made_the_points(truth: tuple[float, float, float]) -> None:
    found = learning_curve.power_law(SHOTS, curve(truth, SHOTS), np.ones(4))
    assert found == pytest.approx(truth, abs=0.02)


@pytest.mark.parametrize("errors", [[0.2, 0.2, 0.2, 0.2], [0.1, 0.15, 0.2, 0.25], [0.0, 0.0, 0.0, 0.0], [0.5, 0, 0, 0]])
def test_power_law_stays_within_its_bounds(errors: list[float]) -> None:
    """Points that do not fall, as few samples often give, make a flat line, not a rising or a negative one."""
    a, b, c = learning_curve.power_law(SHOTS, np.array(errors))
    assert a >= 0 and c >= 0 and 0.05 <= b <= 2
    assert 0 <= curve((a, b, c), np.array(96.0)) <= np.mean(errors) + 1e-9


def test_weights_decide_what_counts() -> None:
    errors = curve((0.8, 0.5, 0.02), SHOTS)
    wrong = errors + [0.3, 0, 0, 0]
    heavy = learning_curve.power_law(SHOTS, wrong, np.array([1e-9, 1, 1, 1]))
    assert heavy == pytest.approx((0.8, 0.5, 0.02), abs=0.02)
    assert learning_curve.power_law(SHOTS, wrong) != pytest.approx((0.8, 0.5, 0.02), abs=0.02)


@pytest.mark.parametrize("draws", [5, 10])
def test_band_holds_the_truth_at_four_times_the_samples(draws: int) -> None:
    """Own test samples for every point: 93 to 95 % were measured, in the mean over these curves."""
    rng, inside = np.random.default_rng(0), []
    ahead = SHOTS[-1] * np.array([1, 2, 4])
    for truth in TRUTHS:
        for study in range(40):
            errors = rng.binomial(100, curve(truth, SHOTS), size=(draws, 4)) / 100
            low, mid, high = learning_curve.band(SHOTS, errors, ahead, study, refits=300)
            assert (low <= mid).all() and (mid <= high).all()
            inside.append((low <= curve(truth, ahead)) & (curve(truth, ahead) <= high))
    assert (np.mean(inside, axis=0) >= 0.87).all()


def test_band_knows_that_the_same_samples_were_tested() -> None:
    """A test part that is easy by luck is easy in every draw: the scatter of the draws does not show it."""
    rng, seen, unseen = np.random.default_rng(0), [], []
    truth, ahead = (0.8, 0.5, 0.02), np.array([96.0])
    for study in range(150):
        hard = rng.random(60)  # a sample is wrong where the curve is above its threshold
        errors = (curve(truth, SHOTS)[:, None] + rng.normal(0, 0.05, (10, 4, 60)) > hard).mean(axis=2)
        for tested, found in ((60, seen), (None, unseen)):
            low, _, high = learning_curve.band(SHOTS, errors, ahead, study, tested, refits=300)
            found.append(low[0] <= curve(truth, ahead)[0] <= high[0])
    assert np.mean(seen) >= 0.9
    assert np.mean(unseen) < 0.85


def test_band_is_the_same_for_the_same_seed() -> None:
    errors = np.random.default_rng(0).random((6, 4)) * 0.1 + curve((0.8, 0.5, 0.0), SHOTS)
    one, two = (learning_curve.band(SHOTS, errors, np.array([48.0]), seed=3) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
