"""What the sound networks share: they see features [bands, frames] of a sound, not a picture.

A sound network is a torch module for float32 [N, 1, bands, frames]. Its bands depend on the features and mel bands that
the user chose, so that it is built for a front-end (`on`). Knows no single network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from handful.errors import UsageError
from handful.models import Network, Weights, models
from handful.registry import late, optional
from handful.words import both, said

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from handful.features import Frontend
    from handful.features.audio import AudioFrontend
    from handful.graph import Graph
else:
    np = late("numpy")

STEPS = 32
MFCC = 13
BINS = 513  # of a Fourier transform of 1,024 points

Build = Callable[[int, int], "nn.Module"]  # (bands, classes) to a torch module


@dataclass(frozen=True, kw_only=True)
class SoundNetwork(Network):
    """A network that sees features of a sound.

    `build(bands, classes)` gives an `nn.Sequential` of blocks whose last one is the head; `features` and `n_mels` are what it
    sees unless the user says otherwise, `choices` what may be said; `n_mels` has to be a multiple of `groups`. `bands` and
    `frames` are what it is built for; `input_size` is the number of frames as well.
    """

    build: Build = field(kw_only=True)
    features: str = "mfcc"
    choices: tuple[str, ...] = ("mfcc", "mel", "spectrogram")
    n_mels: int = 64
    groups: int = 1
    bands: int = MFCC
    frames: int = STEPS

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, self.bands, self.frames

    def key(self, weights: Weights | None) -> str:
        return f"{super().key(weights)}-{self.features}{self.bands}x{self.frames}"

    def suited(self, frontend: Frontend, features: str | None, n_mels: int | None) -> Frontend:
        """The front-end with this network's own features and number of mel bands where none are asked for.

        Raises:
            UsageError: features or a number of mel bands that this network cannot see.
        """
        chosen, bands = features or self.features, n_mels or self.n_mels
        if chosen not in self.choices:
            raise UsageError(*both("model.features", model=self.name, features=chosen, known=list(self.choices)))
        if bands % self.groups:
            below, above = bands - bands % self.groups, bands - bands % self.groups + self.groups
            fitting = [m.name for m in models if _same_family(m, self) and bands % m.groups == 0]  # type: ignore[attr-defined]
            numbers = {"groups": self.groups, "bands": bands, "below": below, "above": above}
            raise UsageError(*both("model.bands", model=self.name, fitting=fitting, **numbers))
        return cast("Frontend", replace(cast("AudioFrontend", frontend), features=cast("Any", chosen), n_mels=bands))

    def on(self, frontend: Frontend) -> Network:
        audio = cast("AudioFrontend", frontend)
        bands = {"mfcc": MFCC, "mel": audio.n_mels}.get(audio.features, BINS)
        return replace(
            self, features=audio.features, n_mels=audio.n_mels, bands=bands, create=partial(create, self.build, bands)
        )

    def prepare(self, g: Graph, x: str, frontend: Frontend) -> str:
        """Features in `frames` time steps, float32 [N, 1, bands, frames]."""
        value = cast("AudioFrontend", frontend).in_steps(g, x, self.bands, self.frames)
        return str(g.op("Unsqueeze", value, np.array([1], np.int64)))

    def embed(self, g: Graph, x: str, frontend: Frontend, weights: Weights | None) -> tuple[str, int]:
        return Network.embed(cast("SoundNetwork", self.on(frontend)), g, x, frontend, weights)


def _same_family(model: Any, network: Network) -> bool:
    return isinstance(model, SoundNetwork) and model.family == network.family


def create(build: Build, bands: int, classes: int) -> nn.Module:
    """A random network for float32 [N, 1, bands, frames], to logits [N, classes]."""
    optional("torch", "torch", said("extra.building", name=said("extra.sound_network")))
    return build(bands, classes)


def body(module: Any) -> nn.Module:
    result: nn.Module = module[:-1]
    return result


def blocks(module: Any) -> Sequence[nn.Module]:
    """The parts that have parameters."""
    return [part for part in module[:-1] if any(True for _ in part.parameters())]


def replace_head(module: Any, classes: int) -> nn.Module:
    from torch import nn

    module[-1] = nn.Linear(module[-1].in_features, classes)
    head: nn.Module = module[-1]
    return head


def add(name: str, build: Build, cls: type[SoundNetwork] = SoundNetwork, **fields: Any) -> None:
    """Register the sound network that `build(bands, classes)` makes."""
    bands, steps = fields.get("bands", MFCC), fields.get("frames", STEPS)
    models.add(
        name,
        cls(
            name=name,
            modalities=("audio",),
            input_size=steps,
            pretrained=False,
            build=build,
            create=partial(create, build, bands),
            body=body,
            blocks=blocks,
            replace_head=replace_head,
            **fields,
        ),
    )
