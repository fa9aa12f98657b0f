"""The catalogue: what can turn an image or a sound into numbers, by name.

A `Model` appends operators to a graph: from what the front-end delivers to an embedding. Two kinds exist: an `Extractor`
needs no weights and writes its operators itself; a `Network` is a torch module that is converted to ONNX once and then
needs no torch. Knows nothing about heads, folds or runs.

To add one, write one file in this folder that calls `models.add(...)`; see CONTRIBUTING.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import MissingExtra, UsageError
from handful.graph import Graph
from handful.registry import Registry
from handful.words import both

if TYPE_CHECKING:
    import numpy as np
    import torch

    from handful.features import Frontend

Embed = Callable[[Graph, str, "Frontend"], tuple[str, int]]


@dataclass(frozen=True)
class Weights:
    """Pretrained weights that are at hand. `name` is what run.json shows, `sha256` identifies them in caches."""

    path: Path
    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Model:
    """One line of the catalogue.

    `modalities` are the front-ends it can stand on; `input_size` the side of the picture it was made for;
    `licence` the SPDX id of the pretrained weights (of the method, where there are none); `top1` and `top5` are the
    published ImageNet accuracies of the weights in percent.
    """

    name: str
    family: str
    modalities: tuple[str, ...] = ("image", "audio")
    tasks: tuple[str, ...] = ("classification",)
    input_size: int = 224
    licence: str = "Apache-2.0"
    pretrained: bool = False
    extra: str = ""
    summary: str = ""
    top1: float | None = None
    top5: float | None = None

    def key(self, weights: Weights | None) -> str:
        """Identifies the embedding this model computes: changes whenever its numbers may change."""
        raise TypeError(f"{type(self).__name__} has no key")

    def suited(self, frontend: Frontend, features: str | None, n_mels: int | None) -> Frontend:
        """`frontend` as this model needs it, where the user's wishes (None: none) leave that open."""
        return frontend.resized(self.input_size)

    def embed(self, g: Graph, x: str, frontend: Frontend, weights: Weights | None) -> tuple[str, int]:
        """Append operators from the front-end's value `x` to an embedding; returns (float32 [N, width], width)."""
        raise TypeError(f"{type(self).__name__} has no embedding")

    def embed_blocks(self, g: Graph, x: str, frontend: Frontend, weights: Weights | None) -> list[tuple[str, int]]:
        """The parts of the embedding that heads weigh as units, in order; one part unless models are joined."""
        return [self.embed(g, x, frontend, weights)]

    @property
    def rich(self) -> bool:
        """Whether its features are so many that planes separate the classes and a kernel adds nothing."""
        return False

    @property
    def network(self) -> Network | None:
        """The network in it that takes weights, if any."""
        return None


@dataclass(frozen=True, kw_only=True)
class Extractor(Model):
    """An embedding that needs no weights: one function per modality, written as graph operators.

    `version` goes up whenever a function's numbers change, so that cached embeddings are not mixed. `many`: see `rich`.
    """

    version: int = 1
    functions: Mapping[str, Embed] = field(default_factory=dict)
    many: bool = False

    @property
    def rich(self) -> bool:
        return self.many

    def key(self, weights: Weights | None) -> str:
        return f"{self.name}@{self.version}"

    def embed(self, g: Graph, x: str, frontend: Frontend, weights: Weights | None) -> tuple[str, int]:
        return self.functions[frontend.modality](g, x, frontend)


@dataclass(frozen=True, kw_only=True)
class Network(Model):
    """A torch network. Everything that needs torch is behind `create`, which imports it late.

    `mean` and `std` are the per-channel normalisation of pictures in 0..1, applied inside the graph. `url` is where the
    published weights lie, `weights_sha256` the leading hex digits of their SHA-256 (empty: not published), `weights_md5` their
    MD5 where that is all that is published.

    `library` is the module that `extra` brings. `any_size`: whether pictures may have another size than `input_size`. `classes` is how many the published head tells apart. A network that does not look at pictures says otherwise in
    `shape`, `prepare` and `on`; see `models/_sound.py`.

    `create(classes)` builds the module, float32 [N, *shape] to logits; `body(module)` is the part of it up to the
    embedding [N, width], with the same parameters; `blocks(module)` are its parts for partial training, input side first;
    `replace_head(module, classes)` puts a fresh last layer in and returns that layer, [N, width] to [N, classes]. Where
    `graph(g, picture, tensors)` is given, it writes the body itself, so that safetensors weights need no torch at all. Where
    `adopt(tensors)` is given, it turns the tensors of the published file into those of the module; where `read(path)` is, that
    opens the published file, which is a pickle of more than tensors, and what it finds is kept as safetensors. Both raise WeightsError.
    """

    pretrained: bool = True
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    url: str = ""
    weights_sha256: str = ""
    weights_md5: str = ""
    weights_bytes: int = 0
    library: str = ""
    any_size: bool = True
    classes: int = 1000
    create: Callable[[int], torch.nn.Module] = field(kw_only=True)
    body: Callable[[torch.nn.Module], torch.nn.Module] = field(kw_only=True)
    blocks: Callable[[torch.nn.Module], Sequence[torch.nn.Module]] = field(kw_only=True)
    replace_head: Callable[[torch.nn.Module, int], torch.nn.Module] = field(kw_only=True)
    graph: Callable[[Graph, str, Mapping[str, np.ndarray]], str] | None = None
    adopt: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] | None = None
    read: Callable[[Path], dict[str, np.ndarray]] | None = None

    @property
    def network(self) -> Network | None:
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one thing it looks at."""
        return 3, self.input_size, self.input_size

    def sized(self, size: int) -> Network:
        """This network for pictures of `size` pixels. Raises UsageError where its weights are for one size only."""
        if size != self.input_size and not self.any_size:
            raise UsageError(*both("model.fixed_size", model=self.name, size=self.input_size))
        return replace(self, input_size=size)

    def on(self, frontend: Frontend) -> Network:
        """This network for what `frontend` shows it."""
        return self

    def key(self, weights: Weights | None) -> str:
        return f"{self.name}@{weights.sha256[:16] if weights else 'random'}"

    def prepare(self, g: Graph, x: str, frontend: Frontend) -> str:
        """What the network sees: float32 [N, *shape], here a picture, normalised as its weights expect."""
        import numpy as np

        picture = frontend.picture(g, x, self.input_size)
        mean = np.array(self.mean, np.float32).reshape(1, 3, 1, 1)
        std = np.array(self.std, np.float32).reshape(1, 3, 1, 1)
        return str(g.op("Div", g.op("Sub", picture, mean), std))

    def embed(self, g: Graph, x: str, frontend: Frontend, weights: Weights | None) -> tuple[str, int]:
        from handful.models._convert import backbone

        proto, width = backbone(self, weights)
        (embedding,) = g.merge(proto, {proto.graph.input[0].name: self.prepare(g, x, frontend)})
        return embedding, width


@dataclass(frozen=True, kw_only=True)
class Concatenation(Model):
    """`a+b`: the embeddings of several models side by side."""

    parts: tuple[Model, ...]

    @property
    def rich(self) -> bool:
        return any(part.rich for part in self.parts)

    @property
    def network(self) -> Network | None:
        return next((part for part in self.parts if isinstance(part, Network)), None)

    def suited(self, frontend: Frontend, features: str | None, n_mels: int | None) -> Frontend:
        """What the network needs; extractors stand on any front-end."""
        suited = self.network.suited(frontend, features, n_mels) if self.network else frontend
        return suited.resized(self.input_size)

    def key(self, weights: Weights | None) -> str:
        return "+".join(part.key(weights if isinstance(part, Network) else None) for part in self.parts)

    def embed_blocks(self, g: Graph, x: str, frontend: Frontend, weights: Weights | None) -> list[tuple[str, int]]:
        return [part.embed(g, x, frontend, weights if isinstance(part, Network) else None) for part in self.parts]

    def embed(self, g: Graph, x: str, frontend: Frontend, weights: Weights | None) -> tuple[str, int]:
        blocks = self.embed_blocks(g, x, frontend, weights)
        return g.op("Concat", *[name for name, _ in blocks], axis=1), sum(width for _, width in blocks)


models: Registry[Model] = Registry("model", "handful.models")


def find(name: str) -> Model:
    """The model called `name`; `a+b` concatenates embeddings. One part may be a network."""
    if "+" not in name:
        return models.get(name)
    parts = tuple(models.get(part) for part in name.split("+"))
    if sum(isinstance(part, Network) for part in parts) > 1:
        raise UsageError(*both("model.two_networks", name=repr(name)))
    shared = tuple(m for m in parts[0].modalities if all(m in part.modalities for part in parts))
    return Concatenation(
        name=name,
        family="concatenation",
        parts=parts,
        modalities=shared,
        input_size=max(part.input_size for part in parts),
    )


@cache
def _all_facts() -> dict[str, dict[str, Any]]:
    facts: dict[str, dict[str, Any]] = json.loads(
        resources.files("handful.models").joinpath("facts.json").read_text("utf-8")
    )
    return facts


def facts(name: str) -> dict[str, Any]:
    """Figures of a catalogued network, without torch: `parameters` (with the published head), `macs` (multiply-adds of one
    picture of `shape`), `body_parameters` and `body_macs` up to the embedding, `blocks`, `width` of the embedding, `bytes` of the published weights, `signature` of their
    tensors. Empty for what is not in the table (extractors, timm). Made by `python -m handful.models._facts`.
    """
    return _all_facts().get(name, {})


def figures(model: Model, frontend: Frontend) -> dict[str, Any]:
    """As `facts`, of the network in `model` as it stands on `frontend`; without multiply-adds where that is not the catalogued
    size and torch, which counts them, is not installed."""
    network = model.network
    if network is None:
        return {}
    seen, known = network.on(frontend), facts(network.name)
    listed = models.get(network.name).network if network.name in models else None
    if listed is None or seen.shape == listed.shape:
        return known
    from handful.models._facts import compute

    try:
        return compute(seen)
    except (ImportError, MissingExtra):
        return {key: value for key, value in known.items() if key not in ("macs", "body_macs")}


def digest(*parts: Any) -> str:
    """Hex SHA-256 over the text of `parts`, for cache keys."""
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()
