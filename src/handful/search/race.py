"""The race itself: trials on shared folds under one budget, every finished piece kept in the race's directory.

A piece that is damaged or missing is computed again; one process at a time holds the directory. Knows trials and folds;
knows neither why a candidate was entered nor how a leaderboard looks.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from handful import __version__
from handful.config import Recipe, resolve
from handful.data import Dataset, load_data
from handful.data.splits import Plan
from handful.errors import DataError, HandfulError, RunError, UsageError
from handful.files import atomic_write, data_dir, shown, to_json
from handful.metrics import paired
from handful.models import digest, find
from handful.runs import Run, Teller
from handful.search.candidates import Candidate
from handful.search.costs import measure
from handful.training.automatic import CONCERNS, belonging
from handful.training.evaluation import Scored
from handful.training.record import reset_peak_memory
from handful.training.trial import Prepared, Trial, announce
from handful.words import both, packed, said, unpacked

_BEHIND = 0.01  # p value of the paired test at which a row is given up before its folds are complete
_SIZE = {"model", "strategy", "parameters", "latency_ms", "bytes"}  # without which a row cannot be ranked


class OutOfBudget(Exception):
    """The budget has ended, or what comes next would take longer than what is left of it."""


@dataclass
class Standing:
    """What is known of one candidate. `logits` by (row of the folds, fold), [held samples, classes]; `why` it cannot go on."""

    candidate: Candidate
    logits: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    seconds: dict[tuple[int, int], float] = field(default_factory=dict)
    epochs: list[float] = field(default_factory=list)  # seconds of each that this start has trained
    size: dict[str, Any] = field(default_factory=dict)
    why: str = ""

    def cost(self) -> float:
        """Seconds that the first row of the folds took."""
        return sum(seconds for (row, _), seconds in self.seconds.items() if row == 0)


def _parts(row: np.ndarray) -> list[int]:
    return [int(fold) for fold in np.unique(row[row >= 0])]


class Race:
    """One race in its directory: `run` begins it or goes on with it."""

    def __init__(
        self, recipe: Recipe, entered: Sequence[Candidate], folder: Path | None, budget: float | None, teller: Teller | None = None,
        kind: dict[str, Any] | None = None, began: float | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            recipe: what all candidates share, data included.
            folder: of the race; None: below the data folder, the same one for the same race.
            budget: seconds for all of it together, over all starts; None: no limit.
            kind: what else tells this race from others, where candidates are entered on the way.
            began: reading of `time.perf_counter` from which the budget counts, where something was done for the race before.
        """
        self.recipe, self.entered, self.budget = recipe, list(entered), budget
        self.teller = teller or Teller()
        self.standings: dict[str, Standing] = {}
        self.spent = 0.0
        self._since = 0.0
        self._given, self._kind, self._began = folder, kind or {}, began

    # -- what all share --------------------------------------------------------------------------------------------

    @cached_property
    def dataset(self) -> Dataset:
        r = self.recipe
        found = load_data(
            r.data, modality=r.modality, labels=r.labels, pattern=r.pattern, classes=r.classes, per_class=r.per_class, seed=r.seed
        )  # fmt: skip
        announce(found, self.teller.say)
        return found

    @cached_property
    def _weights_of(self) -> str | None:
        """The network that `weights` are made for; others look for their own."""
        given = self.recipe.weights
        return None if given is None or given.lower() == "none" else belonging(given).name

    @cached_property
    def first(self) -> Trial:
        """The trial of the first candidate that can be made: it reads the data and plans the folds."""
        problems = []
        for candidate in self.entered:
            try:
                trial = Trial(self.recipe_of(candidate), Teller(progress=self.teller.progress), self.dataset)
                trial.prepare()
                return trial
            except DataError:
                raise
            except HandfulError as error:
                problems.append(error)
        raise problems[0]

    @cached_property
    def folds(self) -> Plan:
        """By which candidates are ranked."""
        return self.first.prepared.plan

    @cached_property
    def rows(self) -> np.ndarray:
        """int [rows, samples]: the repeats of `folds`, then others that rank nobody."""
        return self.folds.folds

    def recipe_of(self, candidate: Candidate) -> Recipe:
        shared = self.recipe.model_dump(exclude_none=True)
        settings = dict(candidate.settings)
        network = None if settings["model"] == "auto" else find(settings["model"]).network
        if network is None or settings["strategy"] == "scratch" or self._weights_of not in (None, network.name):
            shared.pop("weights", None)
        for name, strategies in CONCERNS.items():
            if settings["strategy"] not in strategies:
                shared.pop(name, None)
        return resolve(shared, settings)

    def _trial(self, candidate: Candidate) -> Trial:
        def check(*_: Any, **event: Any) -> None:
            due = 0.0
            if event.get("event") == "epoch":
                epochs = self.standings[candidate.id].epochs
                epochs.append(event["seconds"])
                if event["epoch"] == event["epochs"]:
                    return  # what is trained may as well be counted
                due = float(np.median(epochs))
            if self.left() <= due:
                raise OutOfBudget

        def progress(stage: str, done: int, of: int) -> None:
            if done < of:
                check()
            if self.teller.progress:
                self.teller.progress(stage, done, of)

        first = self.first
        trial = Trial(self.recipe_of(candidate), Teller(progress=progress), self.dataset)
        trial.prepare(check, self.folds)
        if [s.file for s in trial.prepared.samples] != [s.file for s in first.prepared.samples]:
            raise HandfulError(*both("error.unread_samples"))
        return trial

    # -- the directory ---------------------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """What makes it this race and no other; neither where the data lie nor how fast the machine is."""
        recipe = self.recipe.model_dump(exclude_none=True, exclude={"data", "threads"})
        return {
            "handful": __version__, "data": self.dataset.fingerprint, "recipe": recipe,
            "candidates": [c.settings for c in self.entered], "folds": self.rows.tolist(), **self._kind,
        }  # fmt: skip

    @cached_property
    def folder(self) -> Path:
        if self._given is not None:
            return self._given
        return data_dir() / "races" / f"{Path(self.recipe.data).name}-{digest(self.about())[:12]}"

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the directory, made or taken over from an earlier start, and count the time from here.

        Raises:
            RunError: something else lies there.
            BusyError: another process holds it.
        """
        started = self._began or time.perf_counter()
        text, path = to_json(self.about()), self.folder / "race.json"
        where = shown(str(self.folder))
        if path.is_file():
            if path.read_bytes() != text.encode("utf-8"):
                raise RunError(f"{where} holds a race on other data, folds or settings", "give another --run")
        elif self.folder.exists() and not self.folder.is_dir():
            raise RunError(f"{where} is a file", "give another --run")
        elif self.folder.is_dir() and any(p.name[0] != "." for p in self.folder.iterdir()):
            raise RunError(f"{where} exists and is not empty", "give another --run")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{where} cannot be made ({error.strerror})", "give another --run") from error
        with Run(self.folder).lock():
            if not path.is_file():
                atomic_write(path, text)
            for candidate in self.entered:
                self.enter(candidate)
            self._since = started - self.spent  # a budget counts the work of all starts, not what was lost
            yield

    def enter(self, candidate: Candidate) -> Standing:
        """The standing of a candidate, with everything that an earlier start has kept of it."""
        if candidate.id in self.standings:
            return self.standings[candidate.id]
        standing = self.standings[candidate.id] = Standing(candidate)
        place, before = self.folder / "units" / candidate.id, self.spent
        for path in sorted(place.glob("r*.json")):
            self._take(standing, _read(path))
        size, why = _read(place / "size.json"), _read(place / "why.json")
        standing.size = size if isinstance(size, dict) and size.keys() >= _SIZE else {}
        standing.why = str(unpacked(why) or "")  # text: an earlier release wrote it
        self._since -= self.spent - before
        return standing

    def _take(self, standing: Standing, unit: Any) -> None:
        """One kept piece; what does not fit the folds is as good as absent."""
        classes = len(self.first.prepared.names)
        try:
            row, seconds = int(unit["row"]), float(unit["seconds"])
            found = {int(fold): np.array(rows, np.float32) for fold, rows in unit["logits"].items()}
            fits = all(
                logits.shape == ((self.rows[row] == fold).sum(), classes) and len(logits)
                for fold, logits in found.items()
            )
        except (TypeError, KeyError, ValueError, IndexError, AttributeError):
            return
        if not fits or row < 0 or not 0 <= seconds < math.inf:
            return
        for fold, logits in found.items():
            standing.logits[row, fold] = logits
            standing.seconds[row, fold] = seconds / len(found)
        self.spent += seconds

    def _keep(self, standing: Standing, name: str, value: Any) -> None:
        atomic_write(self.folder / "units" / standing.candidate.id / f"{name}.json", to_json(value))

    # -- running ---------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Race until everybody has finished or the budget is spent; returns the leaderboard (see `leaderboard`)."""
        from handful.search.board import leaderboard

        with self.opened():
            for standing in self.standings.values():
                self.go(standing, 0)
            self.repeat()
            return leaderboard(self)

    def repeat(self) -> None:
        """Further repeats of the cross-validation while every ranked row can have them."""
        for row in range(1, len(self.folds.folds)):
            if not self._all_can(row):
                break
            for standing in self.ranked(1):
                self.go(standing, row)

    def left(self) -> float:
        """Seconds of the budget."""
        return math.inf if self.budget is None else self.budget - (time.perf_counter() - self._since)

    def has(self, standing: Standing, row: int) -> bool:
        return all((row, fold) in standing.logits for fold in _parts(self.rows[row]))

    def ranked(self, rows: int) -> list[Standing]:
        """Those whose first `rows` rows are complete and whose size is known."""
        return [s for s in self.standings.values() if s.size and all(self.has(s, row) for row in range(rows))]

    def scored(self, standing: Standing, rows: slice, method: str) -> Scored:
        """What the kept logits say of some rows of the folds."""
        plan = Plan(self.rows[rows], method)
        logits = np.full((*plan.folds.shape, len(self.first.prepared.names)), np.nan, np.float32)
        for number, row in enumerate(range(*rows.indices(len(self.rows)))):
            for fold in _parts(self.rows[row]):
                if (row, fold) in standing.logits:
                    logits[number, self.rows[row] == fold] = standing.logits[row, fold]
        return self.first.score(logits, plan)

    def _all_can(self, row: int) -> bool:
        """Whether every ranked candidate may have one more repeat: frozen models always, others within a budget."""
        ranked = self.ranked(1)
        if all(self.has(s, row) for s in ranked):
            return True
        if self.budget is None:
            return all(s.candidate.frozen for s in ranked)
        return sum(s.cost() for s in ranked) < self.left()

    def go(self, standing: Standing, row: int) -> None:
        """All folds of one row that are missing, until done, behind, broken or out of budget."""
        if standing.why or (self.has(standing, row) and standing.size):
            return
        name = standing.candidate.name
        if self.left() <= (standing.cost() if row else 0):  # a further row takes as long as the first
            return
        try:
            reset_peak_memory()
            trial = self._trial(standing.candidate)
            (self._go_quick if trial.strategy.quick else self._go_slow)(trial, standing, row)
        except OutOfBudget:
            self.teller.say(said("say.colon", what=name, more=said("say.out_of_budget")))
            return
        except HandfulError as error:  # not kept: weights may be there at the next start
            hint = "" if isinstance(error, UsageError) else error.hint
            standing.why = said("say.colon", what=error.message, more=hint) if hint else error.message
        if standing.why:
            self.teller.say(said("say.colon", what=name, more=standing.why))
        elif row == 0:
            s = self.scored(standing, slice(0, 1), "").summary["score"]
            figures = {key: f"{s[key]:.3f}" for key in ("value", "low", "high")} | {"seconds": f"{standing.cost():.1f}"}
            several = len(self.folds.folds) > 1
            found = said("say.scored_first" if several else "say.scored", repeats=len(self.folds.folds), **figures)
            self.teller.say(said("say.colon", what=name, more=found))

    def _go_quick(self, trial: Trial, standing: Standing, row: int) -> None:
        """A frozen model: all folds at once, in the first row with the model that is measured, which is kept before its folds."""
        p, start = trial.prepared, time.perf_counter()
        folds = self.rows[row]
        plan = Plan(folds[None], "")
        rehearse = (
            trial.rehearse if row else lambda plan: trial.strategy.evaluate(p.labels, p.groups, len(p.names), plan)
        )
        logits = rehearse(plan)
        seconds = time.perf_counter() - start
        if not row:
            standing.size = measure(trial)
            self._keep(standing, "size", standing.size)
        self._note(standing, row, {fold: logits[0, folds == fold] for fold in _parts(folds)}, seconds)

    def _go_slow(self, trial: Trial, standing: Standing, row: int) -> None:
        """A training a fold; given up when clearly behind the best of those that are complete."""
        p, folds = trial.prepared, self.rows[row]
        parts = _parts(folds)
        for done, fold in enumerate(parts):
            if (row, fold) in standing.logits and standing.size:
                continue
            if self.left() <= float(np.mean(list(standing.seconds.values()) or 0)):
                raise OutOfBudget
            start = time.perf_counter()
            held = (folds == fold)[None]
            logits = trial.strategy.rehearse(p.labels, p.groups, len(p.names), ~held, held)
            seconds = time.perf_counter() - start
            if not standing.size:
                epoch = float(np.median(standing.epochs)) if standing.epochs else None  # a head alone has none
                standing.size = measure(trial) | {"epoch_seconds": epoch}
                self._keep(standing, "size", standing.size)
            self._note(standing, row, {fold: logits[0, held[0]]}, seconds)
            if row == 0 and done + 1 < len(parts) and self._behind(standing, p):
                standing.why = said("say.behind", n=done + 1, of=len(parts))
                self._keep(standing, "why", packed(standing.why))
                return

    def _note(self, standing: Standing, row: int, found: dict[int, np.ndarray], seconds: float) -> None:
        if not all(np.isfinite(logits).all() for logits in found.values()):
            raise HandfulError(*both("race.no_numbers"))
        for fold, logits in found.items():
            standing.logits[row, fold] = logits
            standing.seconds[row, fold] = seconds / len(found)
        unit = {
            "row": row, "seconds": seconds, "logits": {str(fold): logits.tolist() for fold, logits in found.items()},
        }  # fmt: skip
        self._keep(standing, f"r{row}" + (f"f{next(iter(found))}" if len(found) == 1 else ""), unit)

    def _behind(self, standing: Standing, p: Prepared) -> bool:
        """Whether the complete row that is best so far beats it on the samples tested so far.

        Where groups were named it has to on the groups as well: one speaker says nothing about others.
        """
        labels = p.labels
        tested = np.isin(self.rows[0], [fold for row, fold in standing.logits if row == 0])

        def hits(other: Standing) -> np.ndarray:
            found = np.zeros(len(labels), int)
            for fold in _parts(self.rows[0][tested]):
                found[self.rows[0] == fold] = other.logits[0, fold].argmax(axis=1)
            return np.asarray(found[tested] == labels[tested])

        own = hits(standing)
        rivals = [hits(other) for other in self.ranked(1) if other is not standing]
        best = max(rivals, key=lambda h: int(h.sum()), default=own)
        if best.sum() <= own.sum() or paired.mcnemar(best, own) >= _BEHIND:
            return False
        return not p.grouped or paired.difference(best, own, p.groups[tested])["low"] > 0


def _read(path: Path) -> Any:
    """The content of a JSON file, None where it is absent or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
