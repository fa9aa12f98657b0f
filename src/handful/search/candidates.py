"""What enters a race: settings that go over the race's own, their names, their order from cheap to dear."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handful.config import Recipe, resolve
from handful.errors import UsageError
from handful.files import to_json
from handful.models import facts as model_facts
from handful.models import find
from handful.runs import Teller
from handful.training.automatic import GRADIENT, WITHOUT_WEIGHTS
from handful.training.trial import Trial
from handful.words import both

# From cheap to dear. `NAME:DETAIL` is a probe's head or the number of blocks to fine-tune.
STRATEGIES = ("prototype", "probe", "probe:mlp", "finetune:0", "finetune:2", "finetune", "scratch")
# What decides data and folds, which all share.
SHARED = frozenset({
    "data", "modality", "task", "labels", "pattern", "test", "classes", "per_class", "folds", "repeats", "require_pretrained", "threads",
})  # fmt: skip
_COST = {"prototype": 0, "probe": 1}
_SCRATCH = 3.0  # epochs of a training from nothing, in those of a fine-tuning


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
    def frozen(self) -> bool:
        """Whether nothing but a head is trained, which costs next to nothing."""
        return dict(self.settings)["strategy"] in _COST

    @property
    def cost(self) -> tuple[int, float]:
        """Cheap ones first: frozen models before trainings, and then by multiply-adds for all epochs."""
        said = dict(self.settings)
        macs = sum(model_facts(part).get("macs", 0) for part in str(said["model"]).split("+"))
        if self.frozen:
            return _COST[said["strategy"]], macs
        if said["strategy"] == "scratch":
            return 2, macs * _SCRATCH
        blocks = said.get("trainable_blocks", -1)
        return 2, macs * (1.0 if blocks < 0 else 1 - 0.6 / (1 + blocks))  # the backward pass ends at the last block


def candidates(
    models: Sequence[str], strategies: Sequence[str], vary: Mapping[str, Sequence[Any]], strict: bool = True
) -> list[Candidate]:
    """The product of models, strategies and varied settings, without combinations that mean nothing, cheapest first.

    Args:
        strict: refuse models that the catalogue does not have; otherwise they stay, and the race lists them as unfinished.

    Raises:
        UsageError: an unknown name.
    """
    varies(vary)
    made: dict[str, Candidate] = {}
    for model, strategy, *values in itertools.product(models, strategies, *vary.values()):
        name, _, detail = strategy.partition(":")
        settings: dict[str, Any] = {"model": model, "strategy": name, **dict(zip(vary, values, strict=True))}
        if detail:
            settings["head" if name == "probe" else "trainable_blocks"] = detail if name == "probe" else _blocks(detail)
        resolve(settings)
        if model != "auto" and (strict or _known(model)):
            network = find(model).network
            if name in GRADIENT and (network is None or "+" in model):
                continue
            if name != "scratch" and network is not None and not network.pretrained:
                continue
        candidate = Candidate(tuple(settings.items()))
        made.setdefault(candidate.id, candidate)
    if not made:
        raise UsageError(*both("error.no_models_fit"))
    return sorted(made.values(), key=lambda c: c.cost)


def varies(names: Iterable[str]) -> None:
    """Raises UsageError for a setting that cannot differ between rows of one race."""
    for name in names:
        if name in SHARED:
            option = "--" + name.replace("_", "-")
            raise UsageError(*both("error.same_for_all", name=name, option=option))


def _known(model: str) -> bool:
    try:
        find(model)
    except UsageError:
        return False
    return True


def _blocks(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(*both("error.finetune_blocks", text=text)) from None


def default_models(recipe: Recipe, teller: Teller) -> list[str]:
    """What to race when nobody says: what `auto` would take, the best without weights, a small network from scratch."""
    trial = Trial(recipe.model_copy(update={"strategy": "auto"}), teller)
    found = [trial.choice.model.name, WITHOUT_WEIGHTS[trial.frontend.domain]]
    network = trial.choice.model.network
    return list(dict.fromkeys([*found, *([network.name] if network else []), "small_cnn"]))
