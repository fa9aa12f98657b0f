"""Which of two is better on the same samples: numbers that a reader can check, and error rates in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from handful.metrics import paired


def hits_of(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    sizes = (both, only_a, only_b, neither)
    return np.repeat([1, 1, 0, 0], sizes).astype(bool), np.repeat([1, 0, 1, 0], sizes).astype(bool)


def test_mcnemar_is_the_binomial_test() -> None:
    # 1 against 7 of 8 coins: 2 * (1 + 8) / 256
    assert paired.mcnemar(*hits_of(20, 7, 1, 5)) == pytest.approx(2 * 9 / 256)
    assert paired.mcnemar(*hits_of(20, 1, 7, 5)) == pytest.approx(2 * 9 / 256)
    assert paired.mcnemar(*hits_of(20, 0, 0, 5)) == paired.mcnemar(*hits_of(20, 4, 4, 5)) == 1.0
    exact = 2 * sum(math.comb(1500, k) for k in range(701)) / 2**1500
    assert paired.mcnemar(*hits_of(9, 700, 800, 9)) == pytest.approx(exact, rel=1e-9)


def test_difference_of_the_same_procedure_is_not_proven_zero() -> None:
    found = paired.difference(*hits_of(15, 0, 0, 5))
    assert found["value"] == 0
    assert found["low"] < -0.03 and found["high"] > 0.03
    grouped = paired.difference(*hits_of(15, 0, 0, 5), groups=np.repeat(np.arange(4), 5))
    assert grouped["low"] < -0.03 and grouped["high"] > 0.03
    far = paired.difference(*hits_of(0, 12, 0, 0))
    assert far["value"] == far["high"] == 1 and far["low"] < 0.9


def test_difference_changes_sign_with_its_order() -> None:
    a, b = hits_of(60, 12, 4, 24)
    one, other = paired.difference(a, b), paired.difference(b, a)
    assert one["value"] == pytest.approx(0.08)
    assert (one["low"], one["high"]) == pytest.approx((-other["high"], -other["low"]), abs=0.011)  # one sample in 100


@pytest.mark.parametrize("truth", [0.0, 0.1])
@pytest.mark.parametrize("n", [40, 200])
def test_difference_covers(n: int, truth: float) -> None:
    rng, inside = np.random.default_rng(0), []
    for study in range(500):
        only_a, only_b, both = rng.multinomial(n, [0.06 + truth, 0.06, 0.88 - truth])
        found = paired.difference(*hits_of(both, only_a, only_b, 0), seed=study)
        inside.append(found["low"] <= truth + 1e-12 and truth - 1e-12 <= found["high"])
    assert 0.93 <= np.mean(inside) <= 0.995


@pytest.mark.parametrize("count", [0, 5, 12, 30])
def test_two_equally_good_procedures_are_tied(count: int) -> None:
    """Without groups the exact test errs a little less than at 5 %; groups that differ in what suits them are no proof."""
    rng, tied = np.random.default_rng(1), []
    for study in range(300):
        groups = np.repeat(np.arange(count), 10) if count else None
        shift = rng.normal(0, 0.1, (2, count))[:, groups] if groups is not None else np.zeros((2, 150))
        hits = rng.random(shift.shape) < 0.8 + shift
        tied.append(paired.ties(hits, groups, study)[1].all())
    assert 0.91 <= np.mean(tied) <= 0.995


def test_ties_tell_the_clearly_worse() -> None:
    rng = np.random.default_rng(0)
    sure = rng.random(200) < 0.9
    hits = np.stack([rng.random(200) < 0.6, sure, sure ^ (np.arange(200) == 7)])
    best, tied, gaps = paired.ties(hits)
    assert best in (1, 2) and tied.tolist() == [False, True, True]
    assert gaps[best] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert gaps[0]["value"] < 0 and gaps[0]["high"] < 0
    assert gaps[0]["value"] == pytest.approx(hits[0].mean() - hits[best].mean())


def test_a_single_group_proves_nothing() -> None:
    a, b = hits_of(5, 15, 0, 0)
    assert paired.difference(a, b, np.zeros(20, int))["low"] == -1
    assert paired.ties(np.stack([a, b]), np.zeros(20, int))[1].all()
