"""PANNs (Kong et al. 2019, arXiv:1912.10211): networks that were trained on AudioSet, two million clips of 527 kinds of sound.

They hear 32 kHz as 64 absolute log-mel bands, so they stand on a front-end of that rate whatever the files have. The embedding is
what the last layer sees, behind maximum and mean over time. The published files hold their filter banks too: those are compared
with the ones that the graph computes, and left out. CNN14 is large and is fetched only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from handful.errors import UsageError, WeightsError
from handful.features.banks import Slaney, slaney_filters, slaney_log_mel, windowed_fourier
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

RECORD = "https://zenodo.org/records/3987831/files/"
BANK = Slaney(rate_hz=32_000, points=1024, hop=320, n_mels=64, low_hz=50.0, high_hz=14_000.0)
CLASSES = 527
SHORTEST_FRAMES = 32  # five poolings leave one; shorter windows get silence at their end
FRAMES = 101  # of the figures in the catalogue: a second
FILTERS = "spectrogram_extractor.stft.conv_real.weight", "spectrogram_extractor.stft.conv_imag.weight"
MEL = "logmel_extractor.melW"
TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class PannsNetwork(Network):
    """Sees a log-mel spectrogram, time downwards: float32 [N, 1, frames, 64]. `frames` is what it is built for."""

    frames: int = field(default=FRAMES)

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, self.frames, BANK.n_mels

    def key(self, weights: Weights | None) -> str:
        return f"{super().key(weights)}-{self.frames}"

    def suited(self, frontend: Frontend, features: str | None, n_mels: int | None) -> Frontend:
        """The front-end at 32 kHz.

        Raises:
            UsageError: other features or mel bands than the weights were made with.
        """
        if features not in (None, "mel") or n_mels not in (None, BANK.n_mels):
            wish = f"--features {features}" if features not in (None, "mel") else f"--n-mels {n_mels}"
            raise UsageError(*both("model.own_bands", model=self.name, wish=wish, bands=BANK.n_mels))
        audio = cast("AudioFrontend", frontend)
        changed = replace(audio, sample_rate_hz=BANK.rate_hz, features="mel", n_mels=BANK.n_mels)
        return cast("Frontend", changed)

    def on(self, frontend: Frontend) -> Network:
        frames = max(SHORTEST_FRAMES, BANK.frames(cast("AudioFrontend", frontend).samples))
        return replace(self, frames=frames)

    def prepare(self, g: Graph, x: str, frontend: Frontend) -> str:
        audio = cast("AudioFrontend", frontend)
        missing = (self.frames - 1) * BANK.hop - audio.samples
        longer = g.op("Pad", x, np.array([0, 0, 0, missing], np.int64)) if missing > 0 else x
        value = g.op("Transpose", slaney_log_mel(g, longer, BANK), perm=[0, 2, 1])
        return str(g.op("Unsqueeze", value, np.array([1], np.int64)))

    def embed(self, g: Graph, x: str, frontend: Frontend, weights: Weights | None) -> tuple[str, int]:
        return Network.embed(cast("PannsNetwork", self.on(frontend)), g, x, frontend, weights)


def read(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a published file, {"iteration": ..., "model": state dict}, or of a plain one. Raises WeightsError."""
    from handful.models._state import read_state

    return read_state(path)


def adopt(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of the network, without the filter banks that a published file holds beside them.

    Raises:
        WeightsError: the file was made for other filter banks, such as those of the 16 kHz and 8 kHz checkpoints.
    """
    real, imaginary = windowed_fourier(BANK)
    expected = {FILTERS[0]: real, FILTERS[1]: imaginary, MEL: slaney_filters(BANK).T}
    for name, wanted in expected.items():
        found = state.get(name)
        if found is None:
            continue
        if found.shape != wanted.shape or float(np.abs(found - wanted).max()) > TOLERANCE * float(np.abs(wanted).max()):
            raise WeightsError(
                f"the weights were made for other sound than {BANK.n_mels} mel bands at {BANK.rate_hz:,} Hz ({name} differs)",
                "use the checkpoint for 32 kHz, window 1024, hop 320, 50 to 14,000 Hz",
            )
    return {name: value for name, value in state.items() if name not in expected}


def create(kind: str, classes: int) -> nn.Module:
    """A random network for float32 [N, 1, frames, 64], to logits [N, classes]."""
    optional("torch", "torch", said("extra.building", name=f"panns_{kind}"))
    from handful.models import _panns_modules

    make: Callable[[int], nn.Module] = getattr(_panns_modules, kind)
    return make(classes)


def body(module: Any) -> nn.Module:
    from handful.models._panns_modules import body

    return body(module)


def blocks(module: Any) -> Sequence[nn.Module]:
    """The stages of CNN14, the units of the MobileNets, and the hidden layer."""
    from torch import nn

    first, *rest = [
        unit
        for name in module.order
        for unit in (getattr(module, name) if name == "features" else [getattr(module, name)])
    ]
    return [nn.Sequential(module.bn0, first), *rest, module.fc1]


def replace_head(module: Any, classes: int) -> nn.Module:
    from torch import nn

    module.fc_audioset = nn.Linear(module.fc_audioset.in_features, classes)
    head: nn.Module = module.fc_audioset
    return head


# name, function, file, bytes, hashes, summary. Nobody publishes size or hash of MobileNetV2's file: the bytes are those of its tensors.
VARIANTS: tuple[tuple[str, str, str, int, dict[str, str], str], ...] = (
    (
        "panns_cnn14", "cnn14", "Cnn14_mAP%3D0.431.pth", 327_428_481,
        {"weights_sha256": "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31", "weights_md5": "541141fa2ee191a88f24a3219fff024e"},
        "fourteen layers, mAP 0.431; the most accurate, large",
    ),
    (
        "panns_mobilenetv1", "mobilenet_v1", "MobileNetV1_mAP%3D0.389.pth", 23_639_473,
        {"weights_md5": "a419303e1c88aa1b9d2ac3811563d371"}, "separable convolutions, mAP 0.389; what auto takes for sounds",
    ),
    ("panns_mobilenetv2", "mobilenet_v2", "MobileNetV2_mAP%3D0.383.pth", 20_772_580, {}, "inverted residuals, mAP 0.383"),
)  # fmt: skip
for name, kind, file, size, hashes, summary in VARIANTS:
    models.add(
        name,
        PannsNetwork(
            name=name,
            family="panns",
            modalities=("audio",),
            input_size=FRAMES,
            licence="CC-BY-4.0",
            url=RECORD + file,
            weights_bytes=size,
            classes=CLASSES,
            summary=f"trained on AudioSet: {summary}",
            create=partial(create, kind),
            body=body,
            blocks=blocks,
            replace_head=replace_head,
            adopt=adopt,
            read=read,
            **hashes,  # type: ignore[arg-type]
        ),
    )
