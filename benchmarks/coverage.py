"""How often the 95 % intervals hold the truth: python benchmarks/coverage.py [STUDIES].

Each study draws a true accuracy from 0.7 to 0.97 and simulates its hits; plain samples number 30 to 400. Groups differ in
their own accuracy (beta-binomial): an intra-class correlation of 0.05 is little, 0.2 much. A group has 10 samples, or 2 to
18. The truth is the accuracy on new samples, or on new groups. Knows only the intervals; needs neither data nor weights.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

from handful.metrics import intervals

STUDIES = 2000
ACCURACY = (0.7, 0.97)
SAMPLES = (30, 400)
GROUPS = (4, 12, 30)
CORRELATIONS = (0.05, 0.2)


@dataclass(frozen=True)
class Measured:
    """Shares of studies whose interval held the truth, lay wholly above it, and mean width of the intervals."""

    covered: float
    too_high: float
    width: float


def plain(studies: int, seed: int = 0) -> Measured:
    """Independent samples."""
    rng = np.random.default_rng(seed)
    found = []
    for truth in rng.uniform(*ACCURACY, studies):
        hits = rng.random(rng.integers(*SAMPLES, endpoint=True)) < truth
        found.append((truth, intervals.accuracy(hits)))
    return _share(found)


def grouped(studies: int, count: int, correlation: float, even: bool = True, seed: int = 0) -> Measured:
    """`count` groups with their own accuracies; `even`: 10 samples each, else 2 to 18."""
    rng = np.random.default_rng(seed)
    found = []
    for study, truth in enumerate(rng.uniform(*ACCURACY, studies)):
        strength = 1 / correlation - 1
        own = rng.beta(truth * strength, (1 - truth) * strength, count)
        groups = np.repeat(np.arange(count), 10 if even else rng.integers(2, 18, count, endpoint=True))
        found.append((truth, intervals.accuracy(rng.random(len(groups)) < own[groups], groups, study)))
    return _share(found)


def _share(found: list[tuple[float, dict[str, float]]]) -> Measured:
    truth = np.array([row[0] for row in found])
    low, high = (np.array([row[1][key] for row in found]) for key in ("low", "high"))
    return Measured(
        float(np.mean((low <= truth) & (truth <= high))), float(np.mean(low > truth)), float(np.mean(high - low))
    )


def main(studies: int) -> None:
    start = time.perf_counter()
    print(f"| {studies} studies each | correlation | samples a group | covered | too high | mean width |")
    print("|---|---|---|---|---|---|")
    _line("plain samples", "-", "-", plain(studies))
    for count in GROUPS:
        for correlation in CORRELATIONS:
            for even in (True, False):
                result = grouped(studies, count, correlation, even)
                _line(f"{count} groups", f"{correlation:g}", "10" if even else "2 to 18", result)
    print(f"\n{time.perf_counter() - start:.0f} s")


def rows(studies: int) -> list[str]:
    """The same in short, as lines of RESULTS.md."""
    found = [
        f"| 95 % intervals hold the truth, plain samples, {studies} simulated studies | {plain(studies).covered:.1%} | 93.5 to 97 % |"
    ]
    for count in GROUPS:
        shares = [grouped(studies, count, c, even).covered for c in CORRELATIONS for even in (True, False)]
        found.append(
            f"| ... {count} groups, little to much alike inside | {min(shares):.1%} to {max(shares):.1%} | documented |"
        )
    return found


def _line(name: str, correlation: str, sizes: str, result: Measured) -> None:
    numbers = f"{result.covered:.1%} | {result.too_high:.1%} | {result.width:.3f}"
    print(f"| {name} | {correlation} | {sizes} | {numbers} |")


if __name__ == "__main__":
    if "--rows" in sys.argv:
        print("\n".join(rows(STUDIES)))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES)
