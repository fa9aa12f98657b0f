"""Tuning: proposes recipes, races each of them on the same folds, and measures what choosing among them flattered.

Proposals follow from seed, space and earlier results alone. A search that was killed makes the same ones again, finds their
results in the race's directory, and goes on. Knows spaces and proposals; the race knows how a recipe is evaluated.
"""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.config import Recipe, resolve
from handful.data.splits import Plan, plan
from handful.errors import UsageError
from handful.models import find
from handful.registry import optional
from handful.runs import Teller
from handful.search.board import counted, leaderboard
from handful.search.candidates import Candidate, varies
from handful.search.race import Race, Standing
from handful.training.automatic import CONCERNS, GRADIENT, JOINED, OF_SOUNDS, WITHOUT_WEIGHTS, check
from handful.training.heads import heads
from handful.training.trial import Trial
from handful.words import Number, packed, said

TRIALS = 30
_LISTED = 10_000  # combinations that are worth listing, so that none is tried twice


@dataclass(frozen=True)
class Values:
    """Some values to try; None leaves a setting to what `handful train` does by itself."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, whole ones or not, evenly or by order of magnitude."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


Space = dict[str, Values | Range]


def read_space(given: Mapping[str, Any]) -> Space:
    """A space as people write it: {"head": "lda,ridge", "learning_rate": "1e-4..1e-2log"}, or a list of values.

    Raises:
        UsageError: an unknown setting, one that all recipes share, or values that it cannot have.
    """
    import yaml

    space: Space = {}
    for key, text in given.items():
        name = key.replace("-", "_")
        resolve({name: None})
        varies([name])
        if name in ("strategy", "seed"):
            raise UsageError(f"{name} is not tuned", f"give it once: --{name} VALUE")
        found = re.fullmatch(r"\s*(\S+?)\.\.(\S+?)\s*(log|\[log\])?\s*", text) if isinstance(text, str) else None
        part: Values | Range
        if found:
            part = _range(name, *found.groups())
        else:
            part = Values(
                tuple(yaml.safe_load(v) for v in text.split(",") if v.strip()) if isinstance(text, str) else tuple(text)
            )
        ends = part.values if isinstance(part, Values) else (part.low, part.high)
        if not ends:
            raise UsageError(f"--space {key} has no values", f"write --space {key}=VALUE,VALUE or LOW..HIGH")
        for value in ends:
            resolve({name: value})
        space[name] = part
    return space


def _range(name: str, low: str, high: str, log: str | None) -> Range:
    try:
        bottom, top = float(low), float(high)
    except ValueError:
        bottom, top = math.nan, math.nan
    whole = not any(c in low + high for c in ".eE")
    if not bottom < top < math.inf or (log and bottom <= 0):
        raise UsageError(
            f"{low}..{high} is no range of {name}", "write --space learning_rate=1e-4..1e-2log, or epochs=10..60"
        )
    return Range(int(bottom) if whole else bottom, int(top) if whole else top, bool(log), whole)


def default_space(strategy: str, trial: Trial) -> Space:
    """What is worth trying with a strategy on these data; `trial` has chosen what `handful train` would take."""
    chosen, domain = trial.choice.model.name, trial.frontend.domain
    if strategy in GRADIENT:
        tuned = strategy == "finetune"
        space: Space = {
            "model": Values((chosen,)),
            "learning_rate": Range(3e-5, 3e-3, log=True) if tuned else Range(2e-4, 2e-2, log=True),
            "batch_size": Values((8, 16, 32)),
            "epochs": Values((10, 20, 40) if tuned else (30, 60, 120)),
            "label_smoothing": Values((0.0, 0.05, 0.1, 0.2)),
            "weight_decay": Range(1e-4, 0.3, log=True),
        }
        if tuned:
            space["trainable_blocks"] = Values((-1, 0, 1, 2, 4))
        return {name: part for name, part in space.items() if name in Recipe.model_fields}
    without = WITHOUT_WEIGHTS[domain]
    network = trial.choice.model.network
    with_network = [network.name, network.name + (JOINED[domain] or "+statistics")] if network else []
    models = (
        [chosen]
        if trial.recipe.model != "auto"
        else [chosen, *with_network, without, *without.split("+"), "statistics"]
    )
    space = {"model": Values(tuple(dict.fromkeys(models))), "views": Values((None, 0, 8))}
    if strategy == "probe":
        space["head"] = Values((None, *heads.names()))
    if trial.dataset.modality == "audio" and network:
        space |= {"features": Values((None, "mfcc", "spectrogram")), "n_mels": Values((None, 40, 128))}
    return space


class Tuning:
    """One search. `run` begins it or goes on with it and returns a leaderboard; see `Race`."""

    def __init__(
        self, recipe: Recipe, space: Mapping[str, Any], trials: int, folder: Path | None, budget: float | None, teller: Teller
    ) -> None:  # fmt: skip
        """
        Args:
            space: what to try instead of the default, by setting; see `read_space`.
            trials: recipes to try, the one of `handful train` among them.
            budget: seconds for all of it together; None: no limit.

        Raises:
            MissingExtra: Optuna is not installed.
        """
        began = time.perf_counter()
        self._optuna = optional("optuna", "tune", "handful tune")
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        given = read_space(space)
        self.strategy = "probe" if recipe.strategy == "auto" else recipe.strategy
        _concern(given, self.strategy)
        for name in ("model", "head"):
            for value in getattr(given.get(name), "values", ()):
                check(recipe.model_copy(update={name: str(value), "strategy": self.strategy}))
        named = given.get("model")
        if isinstance(named, Values):
            recipe = recipe.model_copy(update={"model": str(named.values[0])})
        check(recipe.model_copy(update={"strategy": self.strategy}))
        first = Trial(recipe.model_copy(update={"strategy": self.strategy}), teller)
        said = {name for name, field in Recipe.model_fields.items() if getattr(recipe, name) != field.default}
        default = default_space(self.strategy, first)
        self.space = {name: part for name, part in default.items() if name == "model" or name not in said} | given
        self.trials = trials
        self.baseline = Candidate((("model", first.choice.model.name), ("strategy", self.strategy)))
        shared = recipe.model_copy(update={"model": "auto", "strategy": "auto"})
        kind = {"space": {name: repr(part) for name, part in self.space.items()}, "strategy": self.strategy}
        self.race = Race(shared, [self.baseline], folder, budget, teller, kind, began)
        self.race.dataset = first.dataset

    # -- proposals -------------------------------------------------------------------------------------------------

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        """The recipe that a proposal means, without what has no effect in it."""
        model = params.get("model", self.baseline.settings[0][1])
        settings: dict[str, Any] = {"model": model, "strategy": self.strategy}
        hears = find(model).network is not None
        for name, value in params.items():
            if value is None or value == "auto" or name == "model" or (name in OF_SOUNDS[:2] and not hears):
                continue
            settings[name] = float(f"{value:.3g}") if isinstance(value, float) else value
        return Candidate(tuple(settings.items()))

    def _distributions(self) -> dict[str, Any]:
        kinds = self._optuna.distributions
        return {
            name: kinds.CategoricalDistribution(part.values) if isinstance(part, Values)
            else kinds.IntDistribution(part.low, part.high, log=part.log) if part.whole
            else kinds.FloatDistribution(part.low, part.high, log=part.log)
            for name, part in self.space.items()
        }  # fmt: skip

    def _combinations(self) -> Iterable[dict[str, Any]] | None:
        """All proposals, in the order of the space; None when there are too many to list."""
        choices = [
            part.values if isinstance(part, Values) else range(int(part.low), int(part.high) + 1) if part.whole else None
            for part in self.space.values()
        ]  # fmt: skip
        listed = [values for values in choices if values is not None]
        if len(listed) < len(choices) or math.prod(map(len, listed)) > _LISTED:
            return None
        return (dict(zip(self.space, values, strict=True)) for values in itertools.product(*listed))

    def _propose(self, study: Any, rng: np.random.Generator) -> tuple[Candidate, Any] | None:
        """A recipe that was not tried yet, and the study's name for it; None when there is none left."""
        space = self._distributions()
        for _ in range(20):
            asked = study.ask(space)
            candidate = self.candidate(asked.params)
            if candidate.id not in self.race.standings:
                return candidate, asked
            study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
            every = self._combinations()
            if every is not None:  # where all can be listed, one that is left over is drawn
                left = [params for params in every if self.candidate(params).id not in self.race.standings]
                if not left:
                    return None
                study.enqueue_trial(left[rng.integers(len(left))])
        return None

    def _tell(self, study: Any, asked: Any, standing: Standing) -> None:
        states = self._optuna.trial.TrialState
        done = [row for row, _ in standing.logits if row == 0]
        if standing in self.race.ranked(1):
            study.tell(asked, self._value(standing))
        elif standing.why and done:  # given up as clearly behind
            asked.report(0.0, len(done))
            study.tell(asked, state=states.PRUNED)
        else:
            study.tell(asked, state=states.FAIL)

    def _value(self, standing: Standing) -> float:
        return float(self.race.scored(standing, slice(0, 1), "").summary["score"]["value"])

    # -- searching -------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Search until the trials or the budget are spent.

        Returns:
            The race's leaderboard with "remeasured": the recommended row's rate on other folds (null where there are none),
            "remeasured" in each row that has one, "baseline": the name of what `handful train` does untuned, "trials".
        """
        race = self.race
        fresh = self._fresh()
        race.rows = np.vstack([race.folds.folds, fresh.folds]) if fresh else race.folds.folds
        seed = race.recipe.seed
        study = self._optuna.create_study(direction="maximize", sampler=self._optuna.samplers.TPESampler(seed=seed))
        rng = np.random.default_rng([seed, 11])
        with race.opened():
            race.go(race.standings[self.baseline.id], 0)
            while len(race.standings) < self.trials and race.left() > self._reserve(fresh):
                proposed = self._propose(study, rng)
                if proposed is None:
                    race.teller.say(said("say.tried_all"))
                    break
                candidate, asked = proposed
                standing = race.enter(candidate)
                race.go(standing, 0)
                self._tell(study, asked, standing)
            race.repeat()
            return self._remeasured(leaderboard(race), fresh)

    def _reserve(self, fresh: Plan | None) -> float:
        """Seconds to keep for measuring again: at most three rows, each as dear as the dearest."""
        return 3 * max((s.cost() for s in self.race.ranked(1)), default=0.0) if fresh else 0.0

    def _fresh(self) -> Plan | None:
        """Other folds of the same samples; None where a validation part, given folds or few groups leave no choice."""
        p, recipe = self.race.first.prepared, self.race.recipe
        if not self.race.folds.crossed:
            return None
        made = plan(
            p.labels, p.groups, p.grouped, [s.fold for s in p.samples], seed=recipe.seed + 1, folds=recipe.folds,
            repeats=len(self.race.folds.folds),
        )  # fmt: skip
        return None if np.array_equal(made.folds, self.race.folds.folds) else made

    def _remeasured(self, board: dict[str, Any], fresh: Plan | None) -> dict[str, Any]:
        """The board with what the recommended, the best and the untuned row score on other folds."""
        race, rows = self.race, {row["name"]: row for row in board["rows"]}
        board |= {"trials": len(race.standings), "baseline": self.baseline.name, "remeasured": None}
        if not rows:
            return board
        before, repeats = len(race.folds.folds), counted(race)
        names = [board["recommended"]["name"], board["rows"][0]["name"], self.baseline.name]
        for standing in [s for name in dict.fromkeys(names) for s in race.ranked(1) if s.candidate.name == name]:
            if fresh is None:
                break
            for row in range(before, before + repeats):
                race.go(standing, row)
            if all(race.has(standing, row) for row in range(before, before + repeats)):
                method = board["folds"].replace("out-of-fold", "other folds, out-of-fold")
                result = race.scored(standing, slice(before, before + repeats), method)
                rows[standing.candidate.name]["remeasured"] = result.summary["score"]
        winner = rows[names[0]]
        board["remeasured"] = winner.get("remeasured")
        honest = _honest(winner["score"]["value"], board["remeasured"], len(rows), fresh is not None)
        board["why"] = said("import.and", first=board["why"], then=honest)
        board["said"]["why"] = packed(board["why"])
        return board


def _honest(chosen: float, again: Mapping[str, Any] | None, among: int, possible: bool) -> str:
    """What to think of a score that was chosen among others."""
    if among < 2:
        return said("tuned.alone")
    first = said("tuned.chosen", n=among, value=Number(chosen, "percent"))
    then = said("tuned.no_time" if possible else "tuned.no_folds")
    if again is not None:
        then = said("tuned.again", value=Number(again["value"], "percent"))
    return said("tuned.both", first=first, then=then)


def _concern(space: Iterable[str], strategy: str) -> None:
    for name in space:
        if strategy not in CONCERNS.get(name, (strategy,)):
            raise UsageError(f"{name} has no effect with {strategy}", f"add --strategy {CONCERNS[name][0]}")
