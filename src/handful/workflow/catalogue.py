"""The catalogue: list it, make a network of it, fetch its weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import UsageError

if TYPE_CHECKING:
    import torch


def catalogue(modality: str | None = None, family: str | None = None) -> list[dict[str, Any]]:
    """One row a model; figures come from a table, nothing is built. `needs` says what must be installed at its first use."""
    from handful.models import Network, facts, models

    rows = []
    for model in models:
        if (modality and modality not in model.modalities) or (family and family != model.family):
            continue
        figures = facts(model.name)
        plain = isinstance(model, Network) and model.graph is not None
        needs = "" if model.network is None else "torch, or weights as safetensors" if plain else "torch"
        rows.append({
            "name": model.name, "family": model.family, "modality": list(model.modalities), "tasks": list(model.tasks),
            "parameters": figures.get("parameters"), "macs": figures.get("macs"), "blocks": figures.get("blocks"),
            "input": model.input_size, "top1": model.top1, "licence": model.licence, "pretrained": model.pretrained,
            "extra": model.extra, "needs": needs, "summary": model.summary,
        })  # fmt: skip
    return rows


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

    network = find(name).network
    if network is None or not network.url:
        raise UsageError(f"nobody publishes weights of {name}", "choose a pretrained network in `handful models`")
    weights, tried = resolve(network, None, fetch_limit_bytes=None)
    for line in tried:
        say(line)
    if weights is None:
        raise missing(network, tried)
    return weights.path
