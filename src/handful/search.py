"""Races: many ways of training on the same folds under one budget, and one leaderboard.

Every piece of work is written to the race's directory when it is done, so that a race that was killed goes on where it
stopped and ends with the same table. Rows that are ranked share one complete set of folds; what did not finish is listed.
Knows trials and folds; knows nothing about how a leaderboard looks.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from handful.files import atomic_write, shown, to_json
from handful.metrics import paired
from handful.models import facts as model_facts
from handful.models import find
from handful.runs import Teller
from handful.training.automatic import WITHOUT_WEIGHTS, belonging
from handful.training.record import peak_memory, reset_peak_memory, whole_graph
from handful.training.trial import Trial

# From cheap to dear. `NAME:DETAIL` is a probe's head or the number of blocks to fine-tune.
STRATEGIES = ("prototype", "probe", "probe:mlp", "finetune:0", "finetune:2", "finetune", "scratch")
_COST = {"prototype": 0, "probe": 1, "scratch": 3, "finetune": 4}
_BEHIND = 0.01  # p value of the paired test at which a row is given up before its folds are complete


class OutOfBudget(Exception):
    """The budget ended inside a training."""


@dataclass(frozen=True)
class Candidate:
    """One way of training: settings that go over the race's own."""

    settings: tuple[tuple[str, Any], ...]

    @property
    def name(self) -> str:
        said = dict(self.settings)
        strategy = str(said.pop("strategy"))
        for key in ("head", "trainable_blocks"):
            if key in said:
                strategy += f":{said.pop(key)}"
        rest = [f"{key}={value}" for key, value in said.items() if key != "model"]
        return ", ".join([f"{strategy} on {said['model']}", *rest])

    @property
    def id(self) -> str:
        return hashlib.sha256(to_json(self.settings).encode()).hexdigest()[:16]

    @property
    def cost(self) -> tuple[float, float]:
        """Cheap ones first: by kind of training, then by the size of what is frozen or trained."""
        said = dict(self.settings)
        blocks = said.get("trainable_blocks", -1)
        kind = _COST.get(said["strategy"], 2) + (0 if blocks < 0 else -1 / (1 + blocks))
        return kind, sum(model_facts(part).get("macs", 0) for part in str(said["model"]).split("+"))


def candidates(models: Sequence[str], strategies: Sequence[str], vary: Mapping[str, Sequence[Any]]) -> list[Candidate]:
    """The product of models, strategies and varied settings, without combinations that mean nothing, cheapest first.

    Raises:
        UsageError: an unknown name.
    """
    made: dict[str, Candidate] = {}
    for model, strategy, *values in itertools.product(models, strategies, *vary.values()):
        name, _, detail = strategy.partition(":")
        settings: dict[str, Any] = {"model": model, "strategy": name, **dict(zip(vary, values, strict=True))}
        if detail:
            settings["head" if name == "probe" else "trainable_blocks"] = detail if name == "probe" else _blocks(detail)
        resolve(settings)
        network = None if model == "auto" else find(model).network
        if name in ("finetune", "scratch") and model != "auto" and (network is None or "+" in model):
            continue
        if name != "scratch" and network is not None and not network.pretrained:
            continue
        candidate = Candidate(tuple(settings.items()))
        made.setdefault(candidate.id, candidate)
    if not made:
        raise UsageError("no model goes with any of the strategies", "networks: `handful models`; --strategies probe")
    return sorted(made.values(), key=lambda c: c.cost)


def _blocks(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"finetune:{text} is not understood", "write finetune:2 for the last two blocks") from None


@dataclass
class Standing:
    """What is known of one candidate. `logits` by (repeat, fold), [held samples, classes]; `why` when it cannot go on."""

    candidate: Candidate
    logits: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    seconds: dict[tuple[int, int], float] = field(default_factory=dict)
    size: dict[str, Any] = field(default_factory=dict)
    why: str = ""

    def has(self, folds: Plan, repeat: int) -> bool:
        return all((repeat, int(f)) in self.logits for f in np.unique(folds.folds[repeat][folds.folds[repeat] >= 0]))

    def gathered(self, folds: Plan, repeats: int, classes: int) -> np.ndarray:
        """Out-of-fold logits float32 [repeats, samples, classes]."""
        found = np.full((repeats, folds.folds.shape[1], classes), np.nan, np.float32)
        for (repeat, fold), rows in self.logits.items():
            if repeat < repeats:
                found[repeat, folds.folds[repeat] == fold] = rows
        return found


class Race:
    """One race in its directory; `run` begins it or goes on with it."""

    def __init__(
        self, recipe: Recipe, entered: Sequence[Candidate], folder: Path, budget: float | None, teller: Teller | None = None
    ) -> None:  # fmt: skip
        """
        Args:
            recipe: what all candidates share, data included.
            budget: seconds for all of it together, over all starts; None: no limit.
        """
        self.recipe, self.entered, self.folder, self.budget = recipe, list(entered), folder, budget
        self.teller = teller or Teller()
        self.standings = {c.id: Standing(c) for c in self.entered}
        self.spent = 0.0

    # -- what all share --------------------------------------------------------------------------------------------

    @cached_property
    def dataset(self) -> Dataset:
        r = self.recipe
        return load_data(
            r.data, modality=r.modality, labels=r.labels, pattern=r.pattern, classes=r.classes, per_class=r.per_class, seed=r.seed
        )  # fmt: skip

    @cached_property
    def _weights_of(self) -> str | None:
        """The network that `weights` are made for; others look for their own."""
        given = self.recipe.weights
        return None if given is None or given.lower() == "none" else belonging(given).name

    @cached_property
    def _first(self) -> Trial:
        """The trial of the first candidate that can be made: it reads the data and plans the folds."""
        problems = []
        for candidate in self.entered:
            try:
                trial = Trial(self._recipe(candidate), Teller(progress=self.teller.progress), self.dataset)
                trial.prepare()
                return trial
            except DataError:
                raise
            except HandfulError as error:
                problems.append(error)
        raise problems[0]

    @cached_property
    def folds(self) -> Plan:
        return self._first.prepared.plan

    def _recipe(self, candidate: Candidate) -> Recipe:
        shared = self.recipe.model_dump(exclude_none=True)
        settings = dict(candidate.settings)
        network = None if settings["model"] == "auto" else find(settings["model"]).network
        if network is None or settings["strategy"] == "scratch" or self._weights_of not in (None, network.name):
            shared.pop("weights", None)
        return resolve(shared, settings)

    def _trial(self, candidate: Candidate, log: Callable[..., None]) -> Trial:
        first = self._first
        trial = Trial(self._recipe(candidate), Teller(progress=self.teller.progress), self.dataset)
        trial.prepare(log, self.folds)
        if [s.file for s in trial.prepared.samples] != [s.file for s in first.prepared.samples]:
            raise HandfulError("it cannot read all of the samples", "mend what `handful check` finds")
        return trial

    # -- the directory ---------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Make the directory, or take over what an earlier start of the same race left there."""
        about = {
            "handful": __version__, "data": self.dataset.fingerprint, "recipe": self.recipe.model_dump(exclude_none=True),
            "candidates": [c.settings for c in self.entered], "folds": self.folds.folds.tolist(),
        }  # fmt: skip
        about["recipe"].pop("data", None)  # data are the same by content, wherever they lie
        text = to_json(about)
        path = self.folder / "race.json"
        if path.is_file():
            if path.read_text(encoding="utf-8") != text:
                raise RunError(
                    f"{shown(str(self.folder))} holds a race on other data, folds or settings", "give another --run"
                )
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise RunError(f"{shown(str(self.folder))} exists and is not empty", "give another --run")
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic_write(path, text)
        for standing in self.standings.values():
            place = self.folder / "units" / standing.candidate.id
            for unit in sorted(place.glob("r*.json")):
                found = json.loads(unit.read_text(encoding="utf-8"))
                for fold, rows in found["logits"].items():
                    standing.logits[found["repeat"], int(fold)] = np.array(rows, np.float32)
                    standing.seconds[found["repeat"], int(fold)] = found["seconds"] / len(found["logits"])
                self.spent += found["seconds"]
            for name in ("size", "why"):
                if (place / f"{name}.json").is_file():
                    setattr(standing, name, json.loads((place / f"{name}.json").read_text(encoding="utf-8")))

    def _keep(self, standing: Standing, name: str, value: Any) -> None:
        atomic_write(self.folder / "units" / standing.candidate.id / f"{name}.json", to_json(value))

    # -- running ---------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Race until everybody has finished or the budget is spent; returns the leaderboard (see `board`)."""
        started = time.perf_counter()
        self._open()
        self._since = time.perf_counter() - self.spent  # a budget counts the work of all starts, not what was lost
        self.spent += self._since - started
        for standing in self.standings.values():
            self._go(standing, 0)
        for repeat in range(1, len(self.folds.folds)):
            if not self._all_can(repeat):
                break
            for standing in self._ranked(1):
                self._go(standing, repeat)
        return self.board()

    def _left(self) -> float:
        return math.inf if self.budget is None else self.budget - (time.perf_counter() - self._since)

    def _all_can(self, repeat: int) -> bool:
        """Whether every ranked row may have one more repeat: frozen models always, others within a budget."""
        rows = self._ranked(1)
        if all(row.has(self.folds, repeat) for row in rows):
            return True
        if self.budget is None:
            return all(_COST.get(dict(row.candidate.settings)["strategy"], 9) < 2 for row in rows)
        cost = sum(s for row in rows for (r, _), s in row.seconds.items() if r == 0)
        return bool(rows) and cost < self._left()

    def _ranked(self, repeats: int) -> list[Standing]:
        return [s for s in self.standings.values() if all(s.has(self.folds, r) for r in range(repeats))]

    def _go(self, standing: Standing, repeat: int) -> None:
        """All folds of one repeat that are missing, until done, behind, broken or out of budget."""
        if standing.why or (standing.has(self.folds, repeat) and standing.size):
            return
        name = standing.candidate.name
        if self._left() <= 0:
            return

        def check_budget(**event: Any) -> None:
            if self._left() <= 0:
                raise OutOfBudget

        try:
            reset_peak_memory()
            trial = self._trial(standing.candidate, check_budget)
            (self._go_quick if trial.strategy.quick else self._go_slow)(trial, standing, repeat)
        except OutOfBudget:
            self.teller.say(f"{name}: the budget ended before its folds were done")
            return
        except HandfulError as error:
            standing.why = f"{error.message}: {error.hint}" if error.hint else error.message
            self._keep(standing, "why", standing.why)
        if standing.why:
            self.teller.say(f"{name}: {standing.why}")
        elif repeat == 0:
            p = trial.prepared
            found = trial.score(standing.gathered(self.folds, 1, len(p.names)), Plan(self.folds.folds[:1], ""))
            s = found.summary["score"]
            seconds = sum(v for (r, _), v in standing.seconds.items() if r == 0)
            self.teller.say(f"{name}: {s['value']:.3f} ({s['low']:.3f} to {s['high']:.3f}), {seconds:.1f} s")

    def _go_quick(self, trial: Trial, standing: Standing, repeat: int) -> None:
        """A frozen model: all folds at once, the model that is measured among them."""
        p, start = trial.prepared, time.perf_counter()
        row = self.folds.folds[repeat]
        plan = Plan(row[None], "")
        whole = repeat == 0
        logits = trial.strategy.evaluate(p.labels, p.groups, len(p.names), plan) if whole else trial.rehearse(plan)
        self._note(standing, repeat, {int(f): logits[0, row == f] for f in np.unique(row[row >= 0])}, start)
        if whole:
            self._measure(trial, standing)

    def _go_slow(self, trial: Trial, standing: Standing, repeat: int) -> None:
        """A training a fold; given up when clearly behind the best of those that are complete."""
        p, row = trial.prepared, self.folds.folds[repeat]
        parts = [int(f) for f in np.unique(row[row >= 0])]
        for done, fold in enumerate(parts):
            if (repeat, fold) in standing.logits and standing.size:
                continue
            start = time.perf_counter()
            held = (row == fold)[None]
            logits = trial.strategy.rehearse(p.labels, p.groups, len(p.names), ~held, held)
            if not standing.size:
                self._measure(trial, standing)
            self._note(standing, repeat, {fold: logits[0, held[0]]}, start)
            if repeat == 0 and done + 1 < len(parts) and self._behind(standing, p.labels):
                standing.why = f"clearly behind after {done + 1} of {len(parts)} folds"
                self._keep(standing, "why", standing.why)
                return

    def _note(self, standing: Standing, repeat: int, rows: dict[int, np.ndarray], start: float) -> None:
        seconds = time.perf_counter() - start
        for fold, logits in rows.items():
            standing.logits[repeat, fold] = logits
            standing.seconds[repeat, fold] = seconds / len(rows)
        unit = {
            "repeat": repeat,
            "seconds": seconds,
            "logits": {str(fold): logits.tolist() for fold, logits in rows.items()},
        }
        self._keep(standing, f"r{repeat}" + (f"f{next(iter(rows))}" if len(rows) == 1 else ""), unit)

    def _behind(self, standing: Standing, labels: np.ndarray) -> bool:
        """Whether the complete row that is best so far beats it on the samples tested so far."""
        row = self.folds.folds[0]
        tested = np.isin(row, [f for r, f in standing.logits if r == 0])

        def hits(other: Standing) -> np.ndarray:
            logits = other.gathered(self.folds, 1, int(labels.max()) + 1)[0, tested]
            return np.asarray(logits.argmax(axis=1) == labels[tested])

        own = hits(standing)
        rivals = [hits(other) for other in self._ranked(1) if other is not standing]
        best = max(rivals, key=lambda h: int(h.sum()), default=own)
        return bool(best.sum() > own.sum() and paired.mcnemar(best, own) < _BEHIND)

    def _measure(self, trial: Trial, standing: Standing) -> None:
        """Size and speed of the model that would ship."""
        from handful.graph import session

        content = whole_graph(trial, 1.0).build()
        ready = session(content, self.recipe.threads)
        items = trial.reader.frontend.read(trial.prepared.samples[0].path)[0][:1]
        latency = {}
        for batch in (1, 32):
            stack, times = np.repeat(items, batch, axis=0), []
            for _ in range(5):
                start = time.perf_counter()
                ready.run(None, {"input": stack})
                times.append((time.perf_counter() - start) * 1000)
            latency[batch] = float(np.median(times))
        network = trial.choice.model.network
        body = model_facts(network.name) if network else {}
        standing.size = {
            "model": trial.choice.model.name, "strategy": trial.choice.strategy, "head": trial.strategy.note,
            "features": getattr(trial.frontend, "features", None),
            "parameters": trial.strategy.parameters + (body.get("body_parameters", 0) if trial.strategy.quick else 0),
            "macs": body.get("body_macs"), "latency_ms": latency[1], "latency_ms_32": latency[32], "bytes": len(content),
            "peak_rss_bytes": peak_memory(),
        }  # fmt: skip
        self._keep(standing, "size", standing.size)

    # -- the leaderboard -------------------------------------------------------------------------------------------

    def board(self) -> dict[str, Any]:
        """leaderboard.json: rows best first, unfinished ones apart, the smallest and fastest of the tied recommended."""
        repeats = next(
            r for r in range(len(self.folds.folds), -1, -1) if r < 2 or len(self._ranked(r)) == len(self._ranked(1))
        )
        ranked = self._ranked(1)
        p = self._first.prepared
        plan = Plan(self.folds.folds[:repeats], _method(self.folds.method, repeats, len(self.folds.folds)))
        scored = [self._first.score(s.gathered(self.folds, repeats, len(p.names)), plan) for s in ranked]
        rows = [self._row(standing, result.summary) for standing, result in zip(ranked, scored, strict=True)]
        if rows:
            tested = plan.tested
            hits = np.stack([result.right(p.labels)[tested] for result in scored])
            _, tied, gaps = paired.ties(hits, p.groups[tested] if p.grouped else None, self.recipe.seed)
            rows = [
                row | {"tied_with_best": bool(t), "difference": gap}
                for row, t, gap in zip(rows, tied, gaps, strict=True)
            ]
        rows.sort(key=lambda row: (-row["score"]["value"], -(row["macro_f1"] or 0), row["name"]))
        best = min((row for row in rows if row["tied_with_best"]), key=_weight, default=None)
        for row in rows:
            row["recommended"] = row is best
        return {
            "schema": 1, "run": str(self.folder), "data": str(self.dataset.root), "folds": plan.method, "rows": rows,
            "unfinished": [self._unfinished(s) for s in self.standings.values() if s not in ranked],
            "recommended": self._recommended(best), "why": _why(rows, best), "budget_s": self.budget,
            "seconds": sum(sum(s.seconds.values()) for s in self.standings.values()),
        }  # fmt: skip

    def _row(self, standing: Standing, summary: Mapping[str, Any]) -> dict[str, Any]:
        seconds = sum(v for (r, _), v in standing.seconds.items() if r == 0)
        return {
            "name": standing.candidate.name,
            **standing.size,
            "score": summary["score"],
            "macro_f1": summary["macro_f1"],
            "seconds": seconds,
        }

    def _unfinished(self, standing: Standing) -> dict[str, Any]:
        said = dict(standing.candidate.settings)
        row = self.folds.folds[0]
        return {
            "name": standing.candidate.name, "model": said["model"], "strategy": said["strategy"],
            "why": standing.why or "the budget ended before its folds were done",
            "folds_done": len([f for r, f in standing.logits if r == 0]), "of": len(np.unique(row[row >= 0])),
        }  # fmt: skip

    def _recommended(self, best: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if best is None:
            return None
        winner = next(s.candidate for s in self.standings.values() if s.candidate.name == best["name"])
        recipe = self._recipe(winner).model_dump(exclude_none=True, exclude_defaults=True)
        options = [word for key, value in recipe.items() if key != "data" for word in _option(key, value)]
        command = shlex.join(["handful", "train", str(self.recipe.data), *options])
        return {"name": best["name"], "model": best["model"], "strategy": best["strategy"], "command": command}


def _option(key: str, value: Any) -> Iterable[str]:
    flag = "--" + key.replace("_", "-")
    if value is True:
        return [flag]
    return [f"{flag}={value}" if str(value).startswith("-") else flag] + ([] if str(value).startswith("-") else [
        ",".join(map(str, value)) if isinstance(value, list) else str(value)
    ])  # fmt: skip


def _weight(row: Mapping[str, Any]) -> tuple[int, float]:
    """Small and fast, both alike; in steps of a fifth, below which latencies are noise, then by accuracy."""
    return round(math.log(row["bytes"] * row["latency_ms"]) / 0.2), -row["score"]["value"]


def _method(method: str, repeats: int, of: int) -> str:
    return method.replace(f"{of}x", f"{repeats}x", 1) if method.startswith(f"{of}x") else method


def _why(rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any] | None) -> str:
    if best is None:
        return "nothing finished"
    tied = sum(row["tied_with_best"] for row in rows)
    if tied == 1:
        return "right most often, and the others are behind by more than chance explains"
    return f"the smallest and fastest of {tied} that these samples cannot tell apart"


def default_models(recipe: Recipe, teller: Teller) -> list[str]:
    """What to race when nobody says: what `auto` would take, the best without weights, a small network from scratch."""
    trial = Trial(recipe.model_copy(update={"strategy": "auto"}), teller)
    found = [trial.choice.model.name, WITHOUT_WEIGHTS[trial.frontend.domain]]
    network = trial.choice.model.network
    return list(dict.fromkeys([*found, *([network.name] if network else []), "small_cnn"]))
