"""One model and strategy on one data set, ready to be evaluated: what training, the data doctor and races share.

Reads and writes nothing but caches; knows the order of the first half of things, `fit` knows the second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from handful.audit.doctor import duplicates, from_facts, too_few, too_few_of, unreadable
from handful.audit.parts import apart, untrained
from handful.audit.sources import from_metadata
from handful.config import Recipe
from handful.data import Dataset, Finding, Sample, load_data
from handful.data.splits import Plan, join, join_pairs, plan
from handful.errors import DataError, FileError
from handful.features import Frontend, frontends
from handful.files import shown
from handful.runs import Teller
from handful.training import automatic, evaluation
from handful.training.embedding import Clock
from handful.training.evaluation import Scored
from handful.training.reading import Reader
from handful.training.strategies import Job, Strategy, strategies
from handful.words import Said, both, said

REPEATS = ((300, 5), (1000, 2))  # up to so many samples, so many repeats of the cross-validation; above, one


@dataclass
class Prepared:
    """Readable training samples with everything that decides the folds."""

    samples: list[Sample]
    names: list[str]
    labels: np.ndarray
    groups: np.ndarray
    grouped: bool
    plan: Plan
    findings: list[Finding] = field(default_factory=list)


class Trial:
    """A recipe resolved on its data. `prepare` reads and embeds, `evaluate` gives out-of-fold results and fits the model.

    Attributes after construction: recipe, dataset, choice, frontend; after `prepare`: reader, strategy, prepared.
    """

    strategy: Strategy
    prepared: Prepared

    def __init__(self, recipe: Recipe, teller: Teller | None = None, dataset: Dataset | None = None) -> None:
        """Find the data (unless a `dataset` is given) and choose model and strategy."""
        self.recipe, self.teller, self.clock = recipe, teller or Teller(), Clock()
        with self.clock.stage("scan"):
            self.dataset = dataset or load_data(
                recipe.data, modality=recipe.modality, labels=recipe.labels, pattern=recipe.pattern, classes=recipe.classes,
                per_class=recipe.per_class, seed=recipe.seed,
            )  # fmt: skip
            unfit = untrained(self.dataset.samples)
            self.dataset = self.dataset.without({file for found in unfit for file in found.files}, tuple(unfit))
            _enough([s for s in self.dataset.samples if s.split != "test"], self.dataset, self.dataset.findings)
            if dataset is None:
                announce(self.dataset, self.teller.say)
            frontend = _frontend(recipe, self.dataset)
        self.choice = automatic.choose(recipe, frontend, self.teller.say)
        self.frontend = self.choice.model.suited(frontend, recipe.features, recipe.n_mels)
        self.reader = Reader(self.frontend, recipe.threads)

    def prepare(self, log: Callable[..., None] = lambda **event: None, folds: Plan | None = None) -> None:
        """Read the training samples, group what belongs together, plan the folds (or take over those that are given)."""
        job = Job(
            self.recipe, self.reader, self.choice.model, self.choice.weights, self.clock, self.teller.progress, log
        )
        self.strategy = strategies.get(self.choice.strategy)(job)
        # By content: the same files under other names give the same folds and the same figures.
        ordered = sorted((s for s in self.dataset.samples if s.split != "test"), key=lambda s: (s.sha256, s.file))
        torn = _undecided(ordered)
        samples, errors = self.strategy.load([s for s in ordered if s.sha256 not in torn])
        self.prepared = arrange(self.recipe, self.dataset, samples, errors, self.reader, self.strategy.repeats)
        self.prepared.findings += duplicates([s for s in ordered if s.sha256 in torn], [])
        if folds is not None:
            self.prepared.plan = folds

    def evaluate(self) -> Scored:
        """Out-of-fold results by the plan; the strategy then holds the model that is fitted on everything."""
        p = self.prepared
        return self.score(self.strategy.evaluate(p.labels, p.groups, len(p.names), p.plan), p.plan)

    def score(self, logits: np.ndarray, folds: Plan) -> Scored:
        """What out-of-fold logits [repeats, samples, classes] by these folds say."""
        p = self.prepared
        named = p.groups if p.grouped else None
        return evaluation.evaluate(logits, p.labels, p.names, folds, named, self.recipe.seed)

    def rehearse(self, folds: Plan, groups: np.ndarray | None = None) -> np.ndarray:
        """Out-of-fold logits [repeats, samples, classes] by other folds (and other groups); the fitted model stays."""
        p = self.prepared
        held = np.stack([folds.folds[repeat] == fold for repeat, fold, _ in folds.masks()])
        groups = p.groups if groups is None else groups
        return folds.gather(self.strategy.rehearse(p.labels, groups, len(p.names), ~held, held))


def _enough(samples: list[Sample], dataset: Dataset, findings: Sequence[Finding]) -> None:
    """Whether what is left of a dataset can be learned from; `findings` say where the rest has gone."""
    counts = Counter(sample.label for sample in samples)
    where = str(dataset.root)
    unread = [finding for finding in findings if finding.name in ("unreadable", "closed_folder")]
    repair = unread[0].fix if unread else ""
    if len(counts) == 1:
        only: str = said("error.one_class", folder=where, name=repr(shown(next(iter(counts)))))
        lost = Counter(s.label for s in dataset.samples if s.split != "test" and s.label not in counts)
        hollow = [f.message for f in findings if f.name in ("no_pictures_in", "no_sounds_in", "closed_folder")]
        hollow += [said("error.class_unreadable", n=n, name=repr(shown(name))) for name, n in lost.items()]
        raise DataError(reduce(_and, hollow[:3], only), repair or said("error.one_class.fix"))
    if not counts:
        nothing, rejects = said("error.nothing_to_train", folder=where), [f.message for f in findings[:3]]
        message = said("say.colon", what=nothing, more=reduce(_and, rejects)) if rejects else nothing
        raise DataError(message, repair or said("error.nothing_to_train.fix"))
    if max(counts.values()) < 2:
        raise DataError(*both("error.single_samples"))


def _undecided(samples: Sequence[Sample]) -> set[str]:
    """Contents that lie in several classes: which is right nobody knows, and a model could only learn both by heart.

    None where hardly anything else is there: the score will then say that nothing can be told apart.
    """
    first: dict[str, str] = {}
    torn = {s.sha256 for s in samples if first.setdefault(s.sha256, s.label) != s.label}
    return torn if len({s.label for s in samples if s.sha256 not in torn}) > 1 else set()


def _and(first: str, then: str) -> str:
    return said("import.and", first=first, then=then)


def announce(dataset: Dataset, say: Callable[[str], None]) -> None:
    """Say what was found, and before anything takes time, when it is too little for figures to be worth much."""
    say(summary(dataset))
    if few := too_few_of(s for s in dataset.samples if s.split != "test"):
        say(said("say.warning", what=said("say.few", **few)))


def summary(dataset: Dataset) -> Said:
    """What was found, in a line."""
    key = {"image": "say.pictures", "audio": "say.sounds"}.get(dataset.modality, "page.samples")
    counts = dataset.counts
    listed = [f"{name} {n}" for name, n in list(counts.items())[:8]] + ["..."] * (len(counts) > 8)
    samples, classes = said(key, n=len(dataset)), said("page.classes", n=len(counts))
    line = said("say.found", samples=samples, classes=classes, listed=listed)
    groups = len({sample.group for sample in dataset.samples} - {""})
    return said("say.found_groups", found=line, groups=said("page.groups", n=groups)) if groups else line


def _frontend(recipe: Recipe, dataset: Dataset) -> Frontend:
    settings = {
        name: value
        for name in ("sample_rate_hz", "seconds", "features", "n_mels")
        if (value := getattr(recipe, name)) is not None
    }
    return frontends.get(dataset.modality).suited([s.path for s in dataset.samples], settings)


def inspect(samples: list[Sample], errors: list[tuple[Sample, FileError]], reader: Reader) -> list[Finding]:
    """What reading the files has shown; needs no model."""
    found = [unreadable(sample, error) for sample, error in errors]
    found += apart(samples)
    found += duplicates(samples, reader.frontend.alike(reader.facts(samples)))
    found += from_facts(samples, reader.facts(samples))
    return found + too_few(samples) + from_metadata(samples, reader.facts(samples))


def arrange(
    recipe: Recipe, dataset: Dataset, samples: list[Sample], errors: list[tuple[Sample, FileError]], reader: Reader, repeats: int | None
) -> Prepared:  # fmt: skip
    """Group what belongs together and plan the folds of the samples that could be read.

    Args:
        repeats: of the cross-validation; None: by the number of samples.

    Raises:
        DataError: nothing can be tested.
    """
    findings = list(dataset.findings) + inspect(samples, errors, reader)
    _enough(samples, dataset, findings)
    names = sorted({s.label for s in samples})
    labels = np.array([names.index(s.label) for s in samples])
    grouped = any(s.group for s in samples)
    groups = join(len(samples), [s.group for s in samples], [s.sha256 for s in samples])
    groups = join_pairs(groups, reader.frontend.alike(reader.facts(samples)))
    if not grouped and len(np.unique(groups)) == 1:  # copies of one thing under several names: chance will say so
        groups = np.arange(len(samples))
    if any(s.split == "validation" for s in samples):
        folds = _validation(samples)
        return Prepared(samples, names, labels, groups, grouped, folds, findings)
    alone = [c for c in range(len(names)) if len(np.unique(groups[labels == c])) < 2]
    for c in alone:
        n = int((labels == c).sum())
        name = "untested_single" if n == 1 else "untested_group"
        findings.append(Finding("too-few", "warning", name, {"name": names[c], "n": n}))
    if len(alone) == len(names):
        raise DataError(*both("error.single_groups"))
    count = recipe.repeats or repeats or next((r for n, r in REPEATS if len(samples) <= n), 1)
    made = plan(labels, groups, grouped, [s.fold for s in samples], seed=recipe.seed, folds=recipe.folds, repeats=count)
    return Prepared(samples, names, labels, groups, grouped, made, findings)


def _validation(samples: list[Sample]) -> Plan:
    row = np.array([0 if s.split == "validation" else -1 for s in samples])
    trains = {s.label for s in samples if s.split != "validation"}
    row[[i for i, s in enumerate(samples) if s.label not in trains]] = -1
    if not (row >= 0).any():
        raise DataError(*both("error.no_validation"))
    return Plan(row[None], said("folds.validation"))
