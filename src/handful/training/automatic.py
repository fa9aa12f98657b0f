"""`auto`: which model and strategy, and why, in a sentence.

The choice looks only at what is at hand (weights, caches, libraries) and at the kind of data, never at scores.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from handful.config import Recipe
from handful.errors import MissingExtra, UsageError, WeightsError
from handful.features import Frontend
from handful.models import Model, Network, Weights, facts, find, models
from handful.words import said

# By domain, see `features.Frontend`. The first of these whose weights are at hand or may be fetched. 004's findings: photos,
# EfficientNet-B0 with a trained head; sounds, embeddings of PANNs, of which this is the one that is fetched unasked.
FIRST: dict[str, tuple[str, ...]] = {"image": ("efficientnet_b0",), "sound": ("panns_mobilenetv1",), "word": ()}
SOURCE = {"image": "photos", "sound": "two million sounds", "word": "sounds"}
# What is joined to a photo network that listens.
JOINED = {"image": "", "sound": "+statistics", "word": "+random_convolutions+word_convolutions"}
# The best combination that needs no weights; benchmarks/RESULTS.md has the measurements.
WITHOUT_WEIGHTS = {
    "image": "statistics+random_convolutions", "sound": "statistics", "word": "random_convolutions+word_convolutions",
}  # fmt: skip

# Settings that say something only with some strategies, and with one kind of data; what is not here concerns all.
GRADIENT = ("finetune", "scratch")
CONCERNS: dict[str, tuple[str, ...]] = {
    "head": ("probe",), "views": ("probe", "prototype"), "trainable_blocks": ("finetune",), "device": GRADIENT,
    "epochs": GRADIENT, "batch_size": GRADIENT, "learning_rate": GRADIENT, "optimizer": GRADIENT, "scheduler": GRADIENT,
    "label_smoothing": GRADIENT, "patience": GRADIENT, "accumulate": GRADIENT, "target_memory_usage": GRADIENT,
    "safety_margin": GRADIENT, "warmup": GRADIENT, "layer_decay": ("finetune",), "weight_decay": GRADIENT,
    "gradient_clip": GRADIENT, "class_weights": GRADIENT, "mixup": GRADIENT, "average": GRADIENT, "target_size": GRADIENT, "augment": GRADIENT,
    "mask": GRADIENT,
    "precision": GRADIENT,
}  # fmt: skip
OF_SOUNDS = ("features", "n_mels", "sample_rate_hz", "seconds", "mask")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    model: Model
    weights: Weights | None
    strategy: str
    why: str


def check(recipe: Recipe) -> None:
    """Refuse what can be refused without having seen the data: unknown names, what needs torch where it is not.

    Raises:
        UsageError: there is no such model or head, or the model cannot be trained so.
        MissingExtra: the strategy trains by gradient, and torch is not installed.
    """
    from handful.models._convert import torch_is_here
    from handful.training.heads import heads

    if recipe.head != "auto":
        heads.get(recipe.head)
    model = find(recipe.model) if recipe.model != "auto" else None
    if model and model.network is None and recipe.strategy in GRADIENT:
        raise UsageError(said("error.no_network", model=model.name), said("error.no_network.fix"))
    if recipe.strategy in GRADIENT and not torch_is_here():
        raise MissingExtra(said("extra.strategy", name=recipe.strategy), "torch", said("extra.strategy_without"))
    if recipe.strategy in GRADIENT and model and model.network:
        _installed(model.network)


def idle(recipe: Recipe, strategy: str, modality: str) -> list[str]:
    """Sentences about settings that were given and have no effect."""

    def given(names: Iterable[str]) -> str:
        fields = Recipe.model_fields
        return ", ".join(
            "--" + name.replace("_", "-") for name in names if getattr(recipe, name) not in (None, fields[name].default)
        )

    lines: list[str] = []
    if found := given(name for name, strategies in CONCERNS.items() if strategy not in strategies):
        lines.append(said("say.idle", what=strategy, options=found))
    if modality == "image" and (found := given(OF_SOUNDS)):
        lines.append(said("say.idle_pictures", options=found))
    return lines


def choose(recipe: Recipe, frontend: Frontend, tell: Tell) -> Choice:
    """As `_choose`, with the network at the picture size that was asked for; settings without effect are said."""
    check(recipe)
    choice = _choose(recipe, frontend, tell)
    for line in idle(recipe, choice.strategy, frontend.modality):
        tell(line)
    if recipe.input_size and isinstance(choice.model, Network):
        return replace(choice, model=choice.model.sized(recipe.input_size))
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
            raise UsageError(
                said("error.not_for", model=model.name, modality=modality), said("error.not_for.fix", modality=modality)
            )
        return _named(recipe, model, strategy, tell)
    if recipe.weights and recipe.weights.lower() != "none":
        network = belonging(recipe.weights)
        return _named(recipe.model_copy(update={"model": network.name}), network, strategy, tell)
    if strategy == "scratch":
        return Choice(find("small_cnn"), None, "scratch", said("why.small"))
    found = None if (recipe.weights or "").lower() == "none" else _at_hand(recipe, frontend, tell)
    if found:
        return found
    if recipe.require_pretrained or strategy == "finetune":
        from handful.models._convert import torch_is_here

        if not torch_is_here():
            raise MissingExtra(said("extra.pretrained"), "torch", said("extra.pretrained_without"))
        raise WeightsError(said("error.no_weights"), said("error.no_weights.fix"))
    name = WITHOUT_WEIGHTS[frontend.domain]
    why = said("why.without")
    return Choice(find(name), None, "probe" if strategy == "auto" else strategy, why)


def _named(recipe: Recipe, model: Model, strategy: str, tell: Tell) -> Choice:
    network = model.network
    if network is None:
        if recipe.require_pretrained:
            raise WeightsError(said("error.never_pretrained", model=model.name), said("error.never_pretrained.fix"))
        return Choice(
            model, None, "probe" if strategy == "auto" else strategy, said("why.asked_plain", model=model.name)
        )
    if strategy == "scratch":
        return Choice(model, None, "scratch", said("why.asked_scratch", model=model.name))
    if not network.pretrained and recipe.weights is None:
        _convertible(network, None, recipe, gradient=strategy == "auto")
        return Choice(
            model,
            None,
            "scratch" if strategy == "auto" else strategy,
            said("why.asked_untrained", model=model.name),
        )
    from handful.models._convert import torch_is_here
    from handful.models._weights import missing, resolve

    weights, tried = resolve(network, recipe.weights, fetch_limit_bytes=None if torch_is_here() else 0)
    _convertible(network, weights, recipe)
    if weights is None:
        raise missing(network, tried)
    return Choice(
        model,
        weights,
        "probe" if strategy == "auto" else strategy,
        said("why.asked_head" if strategy in ("auto", "probe") else "why.asked", model=model.name),
    )


def _convertible(network: Network, weights: Weights | None, recipe: Recipe, gradient: bool = False) -> None:
    """Raises MissingExtra where torch has to make a backbone of them, or to train, and is not installed."""
    from handful.models._convert import torch_is_here

    if torch_is_here() and _library_is_here(network):
        return
    if not gradient and _ready(network, weights, recipe):
        return
    _installed(network)
    without = "extra.other_model"
    if network.graph is not None:
        without = "extra.own_weights"
    elif recipe.weights:
        without = "extra.other_model_weights"
    raise MissingExtra(network.name, "torch", said(without))


def lacking(model: Model) -> str:
    """The extra without which the model, as the catalogue has it, cannot be used here; "" where it can."""
    from handful.models._convert import cached, torch_is_here
    from handful.models._weights import resolve

    network = model.network
    if network is None:
        return ""
    if not _library_is_here(network):
        return network.extra
    if torch_is_here():
        return ""
    weights, _ = resolve(network, None, fetch_limit_bytes=0)
    return "" if weights and cached(network, weights) else "torch"


def _library_is_here(network: Network) -> bool:
    return not network.library or importlib.util.find_spec(network.library) is not None


def _installed(network: Network) -> None:
    """Raises MissingExtra where the library that builds the network is not installed."""
    if not _library_is_here(network):
        named = said("extra.licensed", name=network.name, licence=network.licence)
        raise MissingExtra(named, network.extra, said("extra.other_model"))


def _ready(network: Network, weights: Weights | None, recipe: Recipe) -> bool:
    """Whether the backbone, at the size that was asked for, is there or can be written without torch."""
    from handful.models._convert import cached

    return cached(replace(network, input_size=recipe.input_size or network.input_size), weights)


def _at_hand(recipe: Recipe, frontend: Frontend, tell: Tell) -> Choice | None:
    """A pretrained network that is here or may be fetched unasked, best first."""
    from handful.models._convert import torch_is_here
    from handful.models._weights import UNASKED_BYTES, resolve

    can_convert = torch_is_here()
    strategy = "probe" if recipe.strategy == "auto" else recipe.strategy
    preferred = [models.get(name) for name in FIRST[frontend.domain]]
    for model in preferred:
        assert isinstance(model, Network)
        weights, tried = resolve(model, None, fetch_limit_bytes=UNASKED_BYTES if can_convert else 0)
        if weights and (can_convert or _ready(model, weights, recipe)):
            source = frontend.domain
            return Choice(
                model, weights, strategy, said("why.first", model=model.name, source=said(f"source.{source}"))
            )
        if can_convert:
            tell(said("say.no_weights", model=model.name, tried="; ".join(tried)))
        else:
            named = said("extra.pretrained_on", name=model.name, source=said(f"source.{frontend.domain}"))
            lacking = MissingExtra(named, "torch")
            tell(said("say.colon", what=lacking.message, more=lacking.hint))
    others = [
        m
        for m in models
        if isinstance(m, Network) and m.pretrained and frontend.modality in m.modalities and m not in preferred
        if not m.extra  # a library with a licence of its own is used only where it is named
    ]
    # What was made for this kind of data before what only looks at its picture; then the cheapest.
    for model in sorted(others, key=lambda m: (m.modalities[0] != frontend.modality, facts(m.name).get("macs", 0))):
        weights, _ = resolve(model, None, fetch_limit_bytes=0)
        if weights and (can_convert or _ready(model, weights, recipe)):
            looks = model.modalities[0] == "image"  # it sees a sound as a picture, which leaves something to add
            joined = find(model.name + JOINED[frontend.domain]) if strategy == "probe" and looks else model
            return Choice(joined, weights, strategy, said("why.at_hand", model=joined.name))
    return None


def belonging(path: str) -> Network:
    """The catalogued network whose tensors a weight file holds, for `--weights PATH` without `--model`."""
    from handful.models._state import read_state, recognise

    if not Path(path).expanduser().is_file():
        raise WeightsError(f"there is no weight file {path}", "check the path given to --weights")
    known = Path(path).suffix.lower() != ".onnx"  # which says nothing of the network it once was
    name = recognise(read_state(Path(path).expanduser())) if known else None
    if name is None:
        raise UsageError(
            f"which network do the weights {path} belong to?", "name it: --model NAME (see `handful models`)"
        )
    network = find(name).network
    assert network is not None
    return network
