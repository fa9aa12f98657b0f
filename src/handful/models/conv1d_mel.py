"""The tiny network of 003: three one-dimensional convolutions over a log-mel spectrogram, 6 to 19 thousand parameters.

Three blocks of Conv1d (kernel 3, 32 channels), ReLU, batch norm and pooling, then 128 numbers. `conv1d_mel_gN` convolves
in N groups, the mel bands included, so that it has fewer parameters and the number of bands must be a multiple of N. There are
as many frames as the window has hops of 10 ms, and one more: 16 kHz and a second give 101.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, cast

from handful.models._sound import SoundNetwork, add
from handful.models._sound import create as create_for
from handful.registry import late

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from handful.features import Frontend
    from handful.features.audio import AudioFrontend
    from handful.graph import Graph
    from handful.models import Network
else:
    np = late("numpy")

N_MELS = 80
GROUPS = (1, 2, 4, 8, 16)


@dataclass(frozen=True, kw_only=True)
class MelNetwork(SoundNetwork):
    """Sees every frame of the log-mel spectrogram, -80 to 0 dB as -1 to 1."""

    def on(self, frontend: Frontend) -> Network:
        audio = cast("AudioFrontend", frontend)
        made = partial(create_for, self.build, audio.n_mels)
        return replace(self, n_mels=audio.n_mels, bands=audio.n_mels, frames=audio.frames() + 1, create=made)

    def prepare(self, g: Graph, x: str, frontend: Frontend) -> str:
        from handful.features.audio import HALF_RANGE_DB

        audio = cast("AudioFrontend", frontend)
        # So many zeros at the end that one more frame begins there: frames are centred on 0, 10 ms, ... to the very end.
        hop = round(audio.sample_rate_hz * 0.010)
        missing = (self.frames - 1) * hop + 1 - audio.samples
        longer = g.op("Pad", x, np.array([0, 0, 0, missing], np.int64))
        value = g.op("Add", g.op("Div", audio.log_mel(g, longer, self.bands), HALF_RANGE_DB), 1.0)
        return str(g.op("Unsqueeze", value, np.array([1], np.int64)))


def build(groups: int, bands: int, classes: int) -> nn.Module:
    """float32 [N, 1, bands, frames of at least 8] to logits [N, classes]."""
    from handful.models._sound_modules import conv1d_mel

    return conv1d_mel(groups, bands, classes)


for count in GROUPS:
    add(
        "conv1d_mel" if count == 1 else f"conv1d_mel_g{count}",
        partial(build, count),
        MelNetwork,
        family="conv1d",
        summary="three tiny convolutions over log-mel bands"
        + (f", in {count} groups" if count > 1 else "")
        + "; from scratch, at least 0.25 s",
        features="mel",
        choices=("mel",),
        n_mels=N_MELS,
        groups=count,
        bands=N_MELS,
        frames=101,
        classes=2,
    )
