"""Frozen model, trained head: embed once, then everything is arithmetic on one matrix.

Which head, how strong its regularisation and whether augmented views help is chosen inside each training fold, never on the
samples that are then scored.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.data import Sample
from handful.data.splits import Plan, inner_folds
from handful.errors import FileError
from handful.graph import Graph
from handful.models import Model
from handful.training.embedding import Embedded, Embedder
from handful.training.heads import Fitted, Problem, heads
from handful.training.strategies import Job, Predicted, strategies

# Samples. Up to so many more right answers are luck as likely as not: the first candidate then stays, unless the log-loss, which
# sees how sure the answers are as well, speaks for the other too.
NEAR_TIE = 2
VIEWS = 8
# Beside parts of the network's last feature map, which cost no pass through it, one view does what eight do without (five faces,
# 15 photos each, cross-validation of the training part: 0.81 against 0.77; parts alone 0.77, neither 0.73).
VIEWS_BESIDE_PARTS = 1
VIEWS_HEAD = (
    "lda"  # the head that gains from views; logistic regression takes ten times as long for a third of the gain
)
# Below this accuracy inside the training folds augmented views are offered: with better features they gain nothing.
VIEWS_BELOW = 0.85
VIEWS_UP_TO = 500  # samples; some minutes on two cores with a large network
MANY = 2000


@dataclass(frozen=True)
class Candidate:
    head: str
    views: int
    parts: bool = False

    @property
    def name(self) -> str:
        views = f"{self.views} augmented view{'s' if self.views > 1 else ''}"
        if self.parts:
            return f"{self.head}, {views} and parts of the picture"
        return f"{self.head}, {views}" if self.views else self.head


class Probe:
    """The strategy `probe`, and `prototype` by its only head. See `strategies.Strategy`."""

    repeats: int | None = None
    quick = True
    resolved: dict[str, Any] = {}
    keep: Path | None = None  # unused: embeddings are cached, and the rest is quick
    deadline: float | None = None  # unused, too

    def __init__(self, job: Job, only: str = "") -> None:
        self.job = job
        self.only = only or (job.recipe.head if job.recipe.head != "auto" else "")
        self.embedder = Embedder(job.reader, job.model, job.weights, job.recipe.threads, job.clock)
        self.candidates: list[dict[str, Any]] = []
        self.note = ""
        self._offered: list[Candidate] = []

    def load(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[tuple[Sample, FileError]]]:
        # Parts may be wanted later and cost nothing now, where they can be had at all.
        parts = self._may_want_views(len(samples)) and self.embedder.has_parts
        self.embedded = self.embedder.embed(samples, self._first_views(), self.job.progress, parts)
        return self.embedded.samples, self.embedded.errors

    def _first_views(self) -> int:
        return self.job.recipe.views or 0

    def rehearse(
        self, labels: np.ndarray, groups: np.ndarray, classes: int, masks: np.ndarray, held: np.ndarray
    ) -> np.ndarray:
        """Heads fitted on each mask; which kind is chosen inside it, among those that `evaluate` offered if it was called."""
        fits, chosen = self._fitted(labels, groups, classes, masks, self._offered or None)
        return self._predicted(fits, chosen, labels, groups, classes, held)

    def evaluate(self, labels: np.ndarray, groups: np.ndarray, classes: int, plan: Plan) -> np.ndarray:
        """Out-of-fold logits [repeats, samples, classes]; fits the shipped head on the way."""
        held = np.stack([plan.folds[repeat] == fold for repeat, fold, _ in plan.masks()])
        masks = np.vstack([~held, np.ones((1, len(labels)), bool)])
        fits, chosen = self._fitted(labels, groups, classes, masks, None)
        self._offered = list(fits)
        self._report(fits, chosen, labels)
        final = fits[chosen[-1]][-1]
        self.head, self.divisor = final.head, self._scale(final, labels)
        self.note = f"{chosen[-1].name} ({final.setting})"
        return plan.gather(self._predicted(fits, chosen, labels, groups, classes, held))

    def _fitted(
        self, labels: np.ndarray, groups: np.ndarray, classes: int, masks: np.ndarray, offered: list[Candidate] | None
    ) -> tuple[dict[Candidate, list[Fitted]], list[Candidate]]:
        """Every candidate on every mask, and the one chosen inside each mask.

        With nothing `offered` yet, augmented views join the candidates where they may help.
        """
        inner = np.stack([inner_folds(labels, groups, mask, self.job.recipe.seed) for mask in masks])
        candidates = offered or [Candidate(name, self._first_views()) for name in self._heads()]
        fits = self._fit(candidates, labels, groups, classes, masks, inner)
        if offered is None and self._wants_views(fits, labels, len(masks) - 1):
            parts = self.embedder.has_parts
            more = Candidate(VIEWS_HEAD, VIEWS_BESIDE_PARTS if parts else VIEWS, parts)
            self.embedded = self.embedder.embed(self.embedded.samples, more.views, self.job.progress, parts)
            fits |= self._fit([more], labels, groups, classes, masks, inner)
        return fits, [self._choose(list(fits), fits, i, labels) for i in range(len(masks))]

    def _predicted(
        self, fits: dict[Candidate, list[Fitted]], chosen: list[Candidate], labels: np.ndarray, groups: np.ndarray, classes: int,
        held: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """Logits [models, samples, classes] of the held samples by the chosen head of each mask."""
        plain = self._problem(Candidate("", 0), labels, groups, classes)
        found = np.full((*held.shape, classes), np.nan, np.float32)
        for number, wanted in enumerate(held):
            fitted = fits[chosen[number]][number]
            # Heads of different kinds speak on different scales; each is brought to one by its own inner samples.
            found[number, wanted] = plain.predict(fitted.head, np.flatnonzero(wanted)) / self._scale(fitted, labels)
        return found

    @staticmethod
    def _scale(fitted: Fitted, labels: np.ndarray) -> float:
        from handful.metrics.calibration import temperature

        known = ~np.isnan(fitted.inner[:, 0])
        return temperature(fitted.inner[known], labels[known]) if known.any() else 1.0

    def _heads(self) -> tuple[str, ...]:
        if self.only:
            return (self.only,)
        return heads_for(self.job.model, self.job.frontend.modality, len(self.embedded.samples))

    def _problem(self, wanted: Candidate, labels: np.ndarray, groups: np.ndarray, classes: int) -> Problem:
        e: Embedded = self.embedded
        rows = (e.view <= wanted.views) & (wanted.parts | (e.view >= 0))
        x, sample, plain = (
            (e.x, e.sample, e.view == 0) if rows.all() else (e.x[rows], e.sample[rows], (e.view == 0)[rows])
        )
        return Problem(x, sample, plain, labels, groups, classes, self.embedder.widths)

    def _fit(
        self, candidates: list[Candidate], labels: np.ndarray, groups: np.ndarray, classes: int, masks: np.ndarray, inner: np.ndarray
    ) -> dict[Candidate, list[Fitted]]:  # fmt: skip
        start = time.perf_counter()
        if self.job.progress:
            self.job.progress("fit", 0, 1)
        fits = {}
        for candidate in candidates:
            problem = self._problem(candidate, labels, groups, classes)
            fits[candidate] = heads.get(candidate.head)(problem, masks, inner, self.job.recipe.seed)
        self.job.clock.add("fit", start)
        if self.job.progress:
            self.job.progress("fit", 1, 1)
        return fits

    def _wants_views(self, fits: dict[Candidate, list[Fitted]], labels: np.ndarray, folds: int) -> bool:
        if not self._may_want_views(len(labels)):
            return False
        best = 0.0
        for fitted in fits.values():
            hits, n = (
                sum(v)
                for v in zip(
                    *((f.score(labels)[0], (~np.isnan(f.inner[:, 0])).sum()) for f in fitted[: folds or 1]), strict=True
                )
            )
            best = max(best, hits / max(n, 1))
        return best < VIEWS_BELOW

    def _may_want_views(self, samples: int) -> bool:
        asked = self.job.recipe.views is not None or self.only.startswith("prototype")
        return not asked and samples <= VIEWS_UP_TO and views_help(self.job.model, self.job.frontend.modality)

    @staticmethod
    def _choose(
        candidates: list[Candidate], fits: dict[Candidate, list[Fitted]], i: int, labels: np.ndarray
    ) -> Candidate:
        """The first candidate, unless another is right on more of the samples held out inside the mask: see NEAR_TIE."""
        best = candidates[0]
        first, first_loss = fits[best][i].score(labels)
        hits = first
        for other in candidates[1:]:
            found, found_loss = fits[other][i].score(labels)
            if found > hits and (found > first + NEAR_TIE or found_loss < first_loss):
                best, hits = other, found
        return best

    def _report(self, fits: dict[Candidate, list[Fitted]], chosen: list[Candidate], labels: np.ndarray) -> None:
        counts = Counter(chosen[:-1] or chosen)
        for candidate, made in fits.items():
            scores = [(*fitted.score(labels), int((~np.isnan(fitted.inner[:, 0])).sum())) for fitted in made]
            scored = [row for row in scores if row[2]]
            self.candidates.append({
                "name": candidate.name,
                "accuracy": sum(row[0] for row in scored) / sum(row[2] for row in scored) if scored else None,
                "log_loss": float(np.mean([row[1] for row in scored])) if scored else None,
                "chosen": counts.get(candidate, 0),
            })  # fmt: skip

    # -- after the evaluation --------------------------------------------------------------------------------------

    def embeddings(self, others: Sequence[Sample] | None = None) -> tuple[list[Sample], np.ndarray] | None:
        """The samples that could be read and float32 [n, width], windows averaged."""
        e = self.embedded if others is None else self.embedder.embed(others, 0, self.job.progress)
        everyone = np.arange(len(e.samples))
        problem = Problem(e.x, e.sample, e.view == 0, np.zeros(len(everyone), int), everyone, 1)
        rows = problem.rows(everyone)
        return e.samples, problem.pooled(problem.x[rows], rows, everyone)

    def predict(self, samples: Sequence[Sample]) -> Predicted:
        """Logits [n, classes] of other samples by the shipped head on (cached) embeddings."""
        other = self.embedder.embed(samples, 0, self.job.progress)
        if not other.samples:
            return Predicted([], np.zeros((0, 0), np.float32), other.errors)
        problem = Problem(
            other.x, other.sample, other.view == 0, np.zeros(len(other.samples), int), np.zeros(0, int), 0
        )
        logits = problem.predict(self.head, np.arange(len(other.samples))) / self.divisor
        return Predicted(other.samples, logits, other.errors)

    def graph(self, g: Graph, x: str) -> str:
        """Append model and head; the value is logits [N, classes]."""
        embedding, _ = self.job.model.embed(g, x, self.job.frontend, self.job.weights)
        return str(g.op("Div", self.head.graph(g, embedding), np.float32(self.divisor)))

    def state(self) -> dict[str, np.ndarray]:
        return self.head.arrays() | {"head.divisor": np.array([self.divisor], np.float32)}

    @property
    def parameters(self) -> int:
        """Of the head alone; the model's own are in the catalogue."""
        return self.head.parameters


def heads_for(model: Model, modality: str, samples: int) -> tuple[str, ...]:
    """What `--head auto` tries, the default first: logistic regression or LDA on a network's features, ridge on others.

    LDA is for few samples; with many it loses to logistic regression and its matrices cost memory. A kernel is for
    hand-made statistics, whose classes are not separated by planes, and for sounds, which no photo network was made for.
    """
    if model.network is not None and modality == "image":
        return ("logistic",) if samples > MANY else ("logistic", "lda")
    return ("ridge",) if samples > MANY or model.rich else ("kernel_ridge",)


def views_help(model: Model, modality: str) -> bool:
    """Augmented views are offered where they were seen to help: photos on networks."""
    return model.network is not None and modality == "image"


@strategies.register("probe")
def probe(job: Job) -> Probe:
    """Frozen model with a trained head."""
    return Probe(job)


@strategies.register("prototype")
def prototype(job: Job) -> Probe:
    """Frozen model, nearest class mean."""
    return Probe(job, only="prototype")
