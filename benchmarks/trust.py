"""Measures on real data whether handful's promises hold: likely wrong labels, calibration, sets, unknowns, leaks.

Settings are never chosen here; every study draws its own training and test samples. Used by `make bench`, or alone:
`python benchmarks/trust.py flips doubted resplits unknowns leak --studies 200`. Needs the real data sets (HANDFUL_TEST_DATA).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from handful.audit.labels import ranking
from handful.config import Recipe, resolve
from handful.data import Dataset, Sample, load_data
from handful.metrics import calibration
from handful.training import studies
from handful.training.evaluation import Scored
from handful.training.suggest import suggest
from handful.training.trial import Trial

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("HANDFUL_TEST_DATA", HERE.parents[1] / "shared" / "data"))
WEIGHTS = DATA / "weights" / "squeezenet1_0_imagenet.safetensors"
FLIPPED, SUSPICIOUS = 0.05, 0.10


def photos(part: str = "train") -> Recipe:
    return resolve({"data": DATA / "catsdogs" / part, "model": "squeezenet1_0", "weights": WEIGHTS})


def sounds() -> Recipe:
    return resolve({"data": DATA / "esc10", "pattern": "{fold}-{group}-{}", "weights": "none"})


def whole(recipe: Recipe) -> Dataset:
    """All samples of a task, given folds forgotten: they are drawn anew in each study."""
    parts = [load_data(recipe.data, pattern=recipe.pattern)]
    if Path(recipe.data).name == "train":
        parts.append(load_data(Path(recipe.data).parent / "test"))
    samples = [replace(s, split="", fold="") for part in parts for s in part.samples]
    return Dataset(parts[0].root, parts[0].modality, tuple(samples))


def once(recipe: Recipe) -> Recipe:
    """With one repeat of the cross-validation: two hundred studies take long enough."""
    return recipe.model_copy(update={"repeats": 1})


def evaluated(recipe: Recipe, dataset: Dataset) -> tuple[Trial, Scored]:
    trial = Trial(recipe, dataset=dataset)
    trial.prepare()
    return trial, trial.evaluate()


def flips(count: int) -> list[str]:
    """Five in a hundred labels changed at random: how many of them are among the tenth that is most suspicious."""
    lines = []
    for name, recipe in (("cats and dogs", photos()), ("ESC-10", sounds())):
        found = []
        for seed in range(5):
            data = load_data(recipe.data, pattern=recipe.pattern)
            rng = np.random.default_rng(seed)
            wrong = rng.permutation(len(data.samples))[: round(FLIPPED * len(data.samples))]
            changed = list(data.samples)
            for i in wrong:
                others = [c for c in data.classes if c != changed[i].label]
                changed[i] = replace(changed[i], label=others[rng.integers(len(others))])
            flipped = {changed[i].file for i in wrong}
            trial, scored = evaluated(recipe, replace(data, samples=tuple(changed)))
            p = trial.prepared
            order = ranking(scored.probabilities.mean(axis=0), p.labels)[: round(SUSPICIOUS * len(p.samples))]
            found.append(len(flipped & {p.samples[i].file for i in order}) / len(flipped))
        shares = ", ".join(f"{share:.2f}" for share in found)
        lines.append(
            f"| flipped labels among the tenth most suspicious, {name} | {np.mean(found):.2f} ({shares}) | 0.80 |"
        )
    return lines


def doubted(count: int) -> list[str]:
    """Of spoken digits, speakers apart, five in a hundred labels changed: how many of them are doubted, and how many others."""
    hit = named = flipped = 0
    for seed in range(3):
        data, rng = load_data(DATA / "fsdd" / "recordings", pattern="{label}_{group}_{}"), np.random.default_rng(seed)
        cells: dict[tuple[str, str], list[Sample]] = {}
        for i in rng.permutation(len(data.samples)):
            cells.setdefault((data.samples[i].label, data.samples[i].group), []).append(data.samples[i])
        changed = [s for cell in cells.values() for s in cell[:10]]
        wrong = rng.permutation(len(changed))[: round(FLIPPED * len(changed))]
        for i in wrong:
            changed[i] = replace(changed[i], label=str(rng.choice([c for c in data.classes if c != changed[i].label])))
        files = {changed[i].file for i in wrong}
        recipe = resolve({"data": data.root, "repeats": 2})
        trial, scored = evaluated(recipe, replace(data, samples=tuple(sorted(changed, key=lambda s: s.file))))
        rows = {row["file"] for row in studies.likely_wrong(trial, scored, studies.at_random(trial)) or []}
        hit, named, flipped = hit + len(rows & files), named + len(rows), flipped + len(files)
    return [
        f"| flipped labels of digits by {len(cells) // 10} speakers: doubted; others doubted | {hit} of {flipped}; {named - hit} | |"
    ]


def resplits(count: int) -> list[str]:
    """Trained on some, tested on the others, many times: expected calibration error, and what 90 % sets cover."""
    lines = []
    for name, recipe, share in (("cats and dogs", photos(), 1 / 3), ("ESC-10", once(sounds()), 3 / 4)):
        data = whole(recipe)
        keys = np.array([s.group or s.sha256 for s in data.samples])
        errors, limits, covered, right = [], [], [], []
        for seed in range(count):
            rng = np.random.default_rng([seed, 17])
            sources = rng.permutation(np.unique(keys))
            drawn = set(sources[: round(share * len(sources))])
            train = tuple(s for s, key in zip(data.samples, keys, strict=True) if key in drawn)
            test = [s for s, key in zip(data.samples, keys, strict=True) if key not in drawn]
            trial, scored = evaluated(recipe, replace(data, samples=train))
            samples, logits, _ = trial.strategy.predict(test)
            probabilities = calibration.softmax(logits.astype(np.float64) / scored.temperature)
            names = trial.prepared.names
            known = [i for i, s in enumerate(samples) if s.label in names]
            labels = np.array([names.index(samples[i].label) for i in known])
            probabilities = probabilities[known]
            errors.append(calibration.expected_calibration_error(probabilities, labels))
            limits.append(calibration.ece_limit(probabilities, seed=seed))
            sets = calibration.conformal_sets(probabilities, scored.set_quantile)
            covered.append(sets[np.arange(len(labels)), labels].mean())
            right.append((probabilities.argmax(axis=1) == labels).mean())
        lines += [
            f"| calibration error over {count} resplits, {name} (accuracy {np.mean(right):.3f}) | {np.mean(errors):.3f} | at most {np.mean(limits):.3f} (95th percentile of a perfect one) |",
            f"| 90 % sets cover, {count} resplits, {name} | {100 * np.mean(covered):.1f} % | 88.5 to 92 % |",
        ]
    return lines


def unknowns(count: int) -> list[str]:
    """Whole classes left out, and faces shown to a model of cats and dogs."""
    trial, scored = evaluated(sounds(), load_data(sounds().data, pattern=sounds().pattern))
    left = studies.unknown(trial, scored)
    rows = ", ".join(f"{name} {row['auroc']:.2f}" for name, row in left["classes"].items())
    trial, scored = evaluated(photos(), load_data(photos().data))

    def sureness(folder: str) -> np.ndarray:
        logits = trial.strategy.predict(load_data(DATA / folder).samples).logits
        return calibration.softmax(logits.astype(np.float64) / scored.temperature).max(axis=1)

    known, faces = sureness("catsdogs/test"), sureness("faces2/test")
    return [
        f"| unknown by leaving one class out, ESC-10 | AUROC {left['auroc']:.2f}, missed {left['miss']['value']:.2f} at {left['false_alarm']['value']:.2f} false alarms ({rows}) | reported |",
        f"| faces shown to a model of cats and dogs | AUROC {calibration.auroc(known, faces):.2f}, missed {(faces >= scored.unknown_below).mean():.2f}, false alarms {(known < scored.unknown_below).mean():.2f} | reported |",
    ]


def leak(count: int) -> list[str]:
    """What a random split would have said of clips cut from the same recordings."""
    trial, scored = evaluated(sounds(), load_data(sounds().data, pattern=sounds().pattern))
    found = studies.leak(trial, scored, studies.at_random(trial))
    s, f = scored.summary["score"], found["flatters"]
    return [
        f"| ESC-10: by recording; by a random split; difference | {s['value']:.3f}; {found['naive']['value']:.3f}; {f['value']:+.3f} ({f['low']:+.3f} to {f['high']:+.3f}), {found['torn']} recordings torn | reported |"
    ]


def learned(recipe: Recipe, data: Dataset, train: list[Sample], test: list[Sample]) -> tuple[Trial, Scored, float]:
    """Trained on some, with the accuracy on others."""
    trial, scored = evaluated(once(recipe), replace(data, samples=tuple(train)))
    read, logits, _ = trial.strategy.predict(test)
    names = [trial.prepared.names[row.argmax()] for row in logits]
    return trial, scored, float(np.mean([n == s.label for n, s in zip(names, read, strict=True)]))


def suggestions(count: int) -> list[str]:
    """Files to label, suggested or drawn at random: accuracy on the rest, five samples a class to begin with."""
    lines = []
    for name, recipe, ask in (("cats and dogs", photos(), 10), ("ESC-10", sounds(), 30)):
        data, gains = whole(recipe), []
        for seed in range(20):
            rng = np.random.default_rng([seed, 31])
            samples = [data.samples[i] for i in rng.permutation(len(data.samples))]
            first = [s for c in data.classes for s in [s for s in samples if s.label == c][:5]]
            rest = [s for s in samples if s not in first]
            pool, test = rest[: len(rest) // 2], rest[len(rest) // 2 :]
            trial, scored, _ = learned(recipe, data, first, test)
            chosen, _ = suggest(trial, pool, ask, scored.temperature)
            drawn = [pool[i] for i in rng.permutation(len(pool))[:ask]]
            with_suggested = learned(recipe, data, first + [c.sample for c in chosen], test)[2]
            gains.append(with_suggested - learned(recipe, data, first + drawn, test)[2])
        error = np.std(gains, ddof=1) / len(gains) ** 0.5
        lines.append(
            f"| {ask} suggested files against {ask} random ones, {name}, 20 draws | {100 * np.mean(gains):+.1f} points (standard error {100 * error:.1f}) | above 0 |"
        )
    return lines


PARTS: dict[str, Callable[[int], list[str]]] = {
    "flips": flips,
    "doubted": doubted,
    "resplits": resplits,
    "unknowns": unknowns,
    "leak": leak,
    "suggestions": suggestions,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--studies", type=int, default=200, help="resplits of each data set")
    options = parser.parse_args()
    for name in options.parts:
        print("\n".join(PARTS[name](options.studies)), flush=True)


if __name__ == "__main__":
    main()
