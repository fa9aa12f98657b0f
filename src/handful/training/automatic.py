"""`auto`: which model and strategy, and why, in a sentence.

The choice looks only at what is at hand (weights, caches, libraries) and at the kind of data, never at scores.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from handful.config import Recipe
from handful.errors import UsageError, WeightsError
from handful.features import Frontend
from handful.models import Model, Network, Weights, facts, find, models

# By domain, see `features.Frontend`. The first of these whose weights are at hand or may be fetched. Photos: 004's finding,
# EfficientNet-B0 with a trained head.
FIRST: dict[str, tuple[str, ...]] = {"image": ("efficientnet_b0",), "sound": (), "word": ()}
# What is joined to a photo network that listens.
JOINED = {"image": "", "sound": "+statistics", "word": "+random_convolutions+word_convolutions"}
# The best combination that needs no weights; benchmarks/RESULTS.md has the measurements.
WITHOUT_WEIGHTS = {
    "image": "statistics+random_convolutions", "sound": "statistics", "word": "random_convolutions+word_convolutions",
}  # fmt: skip

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    model: Model
    weights: Weights | None
    strategy: str
    why: str


def choose(recipe: Recipe, frontend: Frontend, tell: Tell) -> Choice:
    """As `_choose`, with the network at the picture size that was asked for."""
    choice = _choose(recipe, frontend, tell)
    if recipe.input_size and isinstance(choice.model, Network):
        return replace(choice, model=replace(choice.model, input_size=recipe.input_size))
    return choice


def _choose(recipe: Recipe, frontend: Frontend, tell: Tell) -> Choice:
    """Resolve `auto` for model, weights and strategy.

    Raises:
        UsageError: names that do not fit together.
        WeightsError: pretrained weights were required and are not to be had.
    """
    strategy, modality = recipe.strategy, frontend.modality
    if recipe.model != "auto":
        model = find(recipe.model)
        if modality not in model.modalities:
            raise UsageError(f"{model.name} is not for {modality} data", f"see `handful models --modality {modality}`")
        return _named(recipe, model, strategy, tell)
    if recipe.weights and recipe.weights.lower() != "none":
        network = _fitting(recipe.weights)
        return _named(recipe.model_copy(update={"model": network.name}), network, strategy, tell)
    if strategy == "scratch":
        return Choice(find("small_cnn"), None, "scratch", "a small network trained from scratch, as asked")
    found = None if (recipe.weights or "").lower() == "none" else _at_hand(recipe, frontend, tell)
    if found:
        return found
    if recipe.require_pretrained or strategy == "finetune":
        raise WeightsError(
            "no pretrained weights are at hand", "give --weights PATH, or fetch some: handful fetch efficientnet_b0"
        )
    name = WITHOUT_WEIGHTS[frontend.domain]
    why = "no pretrained weights at hand, so the best method that needs none"
    return Choice(find(name), None, "probe" if strategy == "auto" else strategy, why)


def _named(recipe: Recipe, model: Model, strategy: str, tell: Tell) -> Choice:
    network = model.network
    if network is None:
        if strategy in ("finetune", "scratch"):
            raise UsageError(
                f"{model.name} is no network, so it cannot be trained by gradient",
                "use --strategy probe, or a network from `handful models`",
            )
        if recipe.require_pretrained:
            raise WeightsError(f"{model.name} has no pretrained weights", "choose a network from `handful models`")
        return Choice(
            model, None, "probe" if strategy == "auto" else strategy, f"{model.name}, as asked; it needs no weights"
        )
    if strategy == "scratch":
        return Choice(model, None, "scratch", f"{model.name} trained from scratch, as asked")
    if not network.pretrained and recipe.weights is None:
        return Choice(
            model,
            None,
            "scratch" if strategy == "auto" else strategy,
            f"{model.name}, as asked; it is trained from scratch",
        )
    weights, tried = _resolve(network, recipe.weights, None if recipe.model != "auto" else 0, tell)
    if weights is None and strategy != "scratch":
        from handful.models._weights import missing

        raise missing(network, tried)
    return Choice(
        model,
        weights,
        "probe" if strategy == "auto" else strategy,
        f"{model.name}, as asked, with a head trained on its features"
        if strategy in ("auto", "probe")
        else f"{model.name}, as asked",
    )


def _resolve(network: Network, asked: str | None, limit: int | None, tell: Tell) -> tuple[Weights | None, list[str]]:
    from handful.models._weights import resolve

    weights, tried = resolve(network, asked, fetch_limit_bytes=limit)
    if weights is None:
        for line in tried:
            tell(line)
    return weights, tried


def _at_hand(recipe: Recipe, frontend: Frontend, tell: Tell) -> Choice | None:
    """A pretrained network that is here or may be fetched unasked, best first."""
    from handful.models._convert import cached
    from handful.models._weights import UNASKED_BYTES

    can_convert = importlib.util.find_spec("torch") is not None
    strategy = "probe" if recipe.strategy == "auto" else recipe.strategy
    preferred = [models.get(name) for name in FIRST[frontend.domain]]
    for model in preferred:
        assert isinstance(model, Network)
        weights, _ = _resolve(model, None, UNASKED_BYTES if can_convert else 0, tell)
        if weights and (can_convert or cached(model, weights)):
            return Choice(model, weights, strategy, f"{model.name}: pretrained on photos, accurate for its size")
        if weights:
            tell(
                f"the weights of {model.name} are here, but turning them into a backbone needs torch: pip install 'handful[torch]'"
            )
    others = [
        m
        for m in models
        if isinstance(m, Network) and m.pretrained and frontend.modality in m.modalities and m not in preferred
    ]
    for model in sorted(others, key=lambda m: facts(m.name).get("macs", 0)):
        weights, _ = _resolve(model, None, 0, lambda line: None)
        if weights and (can_convert or cached(model, weights)):
            joined = find(model.name + JOINED[frontend.domain]) if strategy == "probe" else model
            return Choice(joined, weights, strategy, f"{joined.name}: its weights are on this machine")
    return None


def _fitting(path: str) -> Network:
    """The catalogued network whose tensors a weight file holds, for `--weights PATH` without `--model`."""
    from handful.models._state import read_state, recognise

    if not Path(path).expanduser().is_file():
        raise WeightsError(f"there is no weight file {path}", "check the path given to --weights")
    name = recognise(read_state(Path(path).expanduser()))
    if name is None:
        raise UsageError(
            f"which network do the weights {path} belong to?", "name it: --model NAME (see `handful models`)"
        )
    network = find(name).network
    assert network is not None
    return network
