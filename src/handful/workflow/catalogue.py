"""The catalogue: list it, choose from it, make a network of it, fetch its weights."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import MissingExtra, UsageError
from handful.words import said

if TYPE_CHECKING:
    import torch


def catalogue(
    modality: str | None = None,
    family: str | None = None,
    *,
    size: str | None = None,
    max_parameters: float | None = None,
) -> list[dict[str, Any]]:
    """One row a model; figures come from a table, nothing is built. `needs` says what must be installed at its first use.

    Args:
        size: light, medium or large, see `models._advice.SIZES`; models without parameters have none.
        max_parameters: networks above it are left out.

    Raises:
        UsageError: there is no such modality, family or size.
    """
    from handful.models import Network, facts, models
    from handful.models._advice import SIZES, tiers
    from handful.models._published import published

    _known("modality", modality, [m for model in models for m in model.modalities])
    _known("family", family, [model.family for model in models])
    _known("size", size, [name for name, _ in SIZES])
    rows = []
    for model in models:
        figures, tier, more = facts(model.name), tiers(model.name), published(model.name)
        if (modality and modality not in model.modalities) or (family and family != model.family):
            continue
        if (size and size != tier["size"]) or (max_parameters and figures.get("parameters", 0) > max_parameters):
            continue
        plain = isinstance(model, Network) and model.graph is not None
        needs = "" if model.network is None else "torch, or weights as safetensors" if plain else "torch"
        needs += f" and the extra {model.extra}" if model.extra else ""
        rows.append({
            "name": model.name, "family": model.family, "modality": list(model.modalities), "tasks": list(model.tasks),
            "parameters": figures.get("parameters"), "macs": figures.get("macs"), "blocks": figures.get("blocks"),
            "input": model.input_size, "top1": model.top1, "licence": model.licence, "pretrained": model.pretrained,
            "extra": model.extra, "needs": needs, "summary": model.summary, "top5": model.top5,
            "published_gflops": more.get("gflops"), "source": more.get("source"), **tier,
        })  # fmt: skip
    return rows


def named(data: str | None, pattern: str) -> bool:
    """Whether all pictures and sounds in a folder have the names of a preset's `pattern`."""
    from handful.data.scan import fits

    return data is not None and fits(data, pattern)


def _known(what: str, given: str | None, names: list[str]) -> None:
    if given is None or given in names:
        return
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    known = ", ".join(dict.fromkeys(names))
    raise UsageError(f"there is no {what} called {given!r}", f"did you mean {near[0]}?" if near else f"known: {known}")


def count(text: str) -> float:
    """A number of parameters as people write it: 5000000, 5e6, 5M, 200k.

    Raises:
        UsageError: it is none.
    """
    factor = {"k": 1e3, "m": 1e6, "g": 1e9}.get(text[-1:].lower(), 1.0)
    try:
        value = float(text if factor == 1.0 else text[:-1]) * factor
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"{text!r} is no number of parameters", "write 5M, 200k or 5000000")
    return value


PLANNED = ("multilabel", "detection", "segmentation")  # 001's other tasks; nothing of them works yet


def task_matrix() -> dict[str, dict[str, str]]:
    """By family and task: "yes" where a model of the family does it now, "planned" or "no" otherwise (001's table).

    Detection and segmentation are meant to stand on a ResNet-50, so they are planned for that family alone.
    """
    from handful.models import models

    matrix: dict[str, dict[str, str]] = {}
    for model in models:
        row = matrix.setdefault(model.family, dict.fromkeys(("classification", *PLANNED), "no"))
        row |= dict.fromkeys(model.tasks, "yes")
    for family, row in matrix.items():
        for task in PLANNED:
            if row[task] == "no" and (task == "multilabel" or family == "resnet"):
                row[task] = "planned"
    return matrix


def advise(
    use_case: str | None = None,
    samples: int | None = None,
    need: str | None = None,
    modality: str | None = None,
    data: str | None = None,
) -> dict[str, Any]:
    """Which network for a use case, a number of samples and a wanted accuracy, from the catalogue's figures alone.

    `data`, a folder, says what was left open: modality and, for pictures, the number of samples.

    Returns:
        {"schema", "for", "modality", "limits", "primary": {"name", "reason"}, "alternative", "minimal", "note", "command"}
    """
    from handful.models._advice import advise as choose

    if data is not None:
        from handful.data import load_data

        dataset = load_data(data, modality=modality)
        modality = dataset.modality
        samples = len(dataset) if samples is None and modality == "image" else samples
    return choose(use_case, samples, need, modality or "image")


def recommend(data: str | None = None) -> dict[str, Any]:
    """Where to begin: with `data` what `--model auto` takes for this folder and why, without embedding or training anything.

    Pretrained weights that training would fetch unasked are fetched.

    Returns:
        {"schema", "model", "strategy", "weights", "why", "samples", "classes", "steps": [commands with their reason]}
    """
    found: dict[str, Any] = {"schema": 1, "model": "auto"}
    if data is not None:
        found |= _automatic(data)
    where = shlex.quote(data) if data is not None else "FOLDER"
    found["steps"] = [
        {"command": f"handful train {where}", "why": "the best method that this machine allows, measured on your data"},
        {
            "command": f"handful train {where} --model resnet50",
            "why": "the usual first network, where torch is installed",
        },
        {"command": "handful models --use-case mobile", "why": "lighter networks, if it is too slow or too large"},
        {"command": "handful models --need high", "why": "larger ones, if it is not accurate enough"},
        {
            "command": f"handful compare {where} --budget 10m",
            "why": "what suits the data, on the same folds: your data decide",
        },
    ]
    return found


def _automatic(data: str) -> dict[str, Any]:
    from handful.config import resolve
    from handful.training.trial import Trial

    trial = Trial(resolve({"data": data}))
    choice, dataset = trial.choice, trial.dataset
    return {
        "model": choice.model.name, "strategy": choice.strategy, "why": choice.why,
        "weights": choice.weights.name if choice.weights else None, "modality": dataset.modality,
        "samples": len(dataset), "classes": len(dataset.counts),
    }  # fmt: skip


def create_model(name: str, classes: int = 2) -> torch.nn.Module:
    """A network of the catalogue with a fresh head, as a torch module taking float32 [N, 3, S, S].

    Raises:
        UsageError: no network has this name.
        MissingExtra: torch is not installed.
    """
    from handful.models import find
    from handful.registry import optional

    network = find(name).network
    if network is None:
        raise UsageError(f"{name} is no network", "choose one with parameters in `handful models`")
    optional("torch", "torch", "building a network")
    module = network.create(classes)
    return module


def fetch(
    name: str, progress: Callable[[str, int, int], None] | None = None, say: Callable[[str], None] = lambda line: None
) -> Path:
    """Download a network's published weights into the cache, however large; returns their path.

    Raises:
        WeightsError: they could not be had, with what was tried.
    """
    from handful.models import find
    from handful.models._weights import missing, resolve
    from handful.training.automatic import lacking

    network = find(name).network
    if network is None or not network.url:
        raise UsageError(f"nobody publishes weights of {name}", "choose a pretrained network in `handful models`")
    weights, tried = resolve(network, None, fetch_limit_bytes=None)
    for line in tried:
        say(line)
    if weights is None:
        raise missing(network, tried)
    if extra := lacking(network):
        lack = MissingExtra(name, extra)
        say(said("say.colon", what=lack.message, more=lack.hint))
    return weights.path
