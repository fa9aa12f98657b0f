"""Does full fine-tuning beat a probe on a handful of photos? python benchmarks/finetuning.py [--draws 5] -> JSON lines.

SqueezeNet 1.0 with ImageNet weights on catsdogs and faces2, their own test parts, 15 and all training samples of each class. Both
strategies learn from the same draws (all samples: another seed each time) and answer the same test files; `gain` is the mean of
the draws' differences in accuracy with a 95 % t interval over the draws. Hours on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from run import DATA, WEIGHTS  # noqa: E402

from handful.config import resolve
from handful.data import Dataset, load_data
from handful.metrics.intervals import student_t
from handful.training.trial import Trial

FEW = 15


def rights(data: Path, strategy: str, size: int | None, seed: int) -> np.ndarray:
    """bool [test files]: which a model trained on one draw answers rightly."""
    whole = load_data(data)
    tests = {s.file for s in whole.samples if s.split == "test"}
    plain = Dataset(whole.root, whole.modality, tuple(replace(s, split="") for s in whole.samples))
    settings = {
        "data": str(data),
        "model": "squeezenet1_0",
        "weights": str(WEIGHTS),
        "strategy": strategy,
        "seed": seed,
    }
    trial = Trial(resolve(settings | ({"trainable_blocks": -1} if strategy == "finetune" else {})), dataset=plain)
    trial.prepare()
    p = trial.prepared
    test = np.array([s.file in tests for s in p.samples])
    rng, mask = np.random.default_rng(seed), np.zeros(len(test), bool)
    for label in range(len(p.names)):
        there = np.flatnonzero((p.labels == label) & ~test)
        mask[rng.permutation(there)[: size or len(there)]] = True
    logits = trial.strategy.rehearse(p.labels, p.groups, len(p.names), mask[None], test[None])[0]
    found: np.ndarray = logits[test].argmax(1) == p.labels[test]
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--draws", type=int, default=5)
    options.add_argument("--data", nargs="*", default=["catsdogs", "faces2"])
    asked = options.parse_args()
    for name in asked.data:
        counts = Counter(s.label for s in load_data(DATA / name).samples if s.split != "test")
        scarce = max(counts.values()) <= FEW
        for size in (None,) if scarce else (FEW, None):
            rates: dict[str, list[float]] = {"probe": [], "finetune": []}
            for seed in range(asked.draws):
                for strategy, values in rates.items():
                    values.append(float(rights(DATA / name, strategy, size, seed).mean()))
            gains = np.subtract(rates["finetune"], rates["probe"])
            half = student_t(len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
            row: dict[str, Any] = {
                "data": name, "per_class": size or (f"all, {FEW} or fewer" if scarce else "all"), "draws": asked.draws,
                **{kind: float(np.mean(values)) for kind, values in rates.items()},
                "gain": float(gains.mean()), "low": float(gains.mean() - half), "high": float(gains.mean() + half),
            }  # fmt: skip
            print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}), flush=True)


if __name__ == "__main__":
    main()
