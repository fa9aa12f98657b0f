"""The Audio Spectrogram Transformer (Gong et al. 2021, arXiv:2104.01778) with the extra `ast`, through Hugging Face's transformers.

It hears 16 kHz as 1,024 frames of 128 log-mel bands, which is 10.24 s: what is shorter ends in the silence that it was trained
with. A block is the patch embedding, one of twelve layers, or the norms at the end. Slow without a GPU. Nothing is looked up: the
architecture is built here, weights come through this project's own download.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from handful.errors import UsageError
from handful.features.banks import Kaldi, kaldi_log_mel
from handful.models import Network, models
from handful.models._extras import library
from handful.registry import late
from handful.words import both

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from handful.features import Frontend
    from handful.features.audio import AudioFrontend
    from handful.graph import Graph
else:
    np = late("numpy")

URL = "https://huggingface.co/MIT/ast-finetuned-audioset-10-10-0.4593/resolve/main/model.safetensors"
MODELING = "transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer"
BANK = Kaldi(rate_hz=16_000, points=512, window=400, hop=160, n_mels=128)
FRAMES = 1024
LONGEST_SECONDS = 10.24
LAYERS, CLASSES = 12, 527
# Of the logarithms over AudioSet, as published with the weights; the network sees half of a standard score.
MEAN, DEVIATION = -4.2677393, 4.5689974
# The published file has the names of an older transformers.
RENAMED = (
    (r"\.encoder\.layer\.", ".layers."),
    (r"\.attention\.attention\.query\.", ".attention.q_proj."),
    (r"\.attention\.attention\.key\.", ".attention.k_proj."),
    (r"\.attention\.attention\.value\.", ".attention.v_proj."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"(\.layers\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
)


@dataclass(frozen=True, kw_only=True)
class SpectrogramTransformer(Network):
    """Sees a log-mel spectrogram, time downwards: float32 [N, 1, 1024, 128]."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, FRAMES, BANK.n_mels

    def suited(self, frontend: Frontend, features: str | None, n_mels: int | None) -> Frontend:
        """The front-end at 16 kHz.

        Raises:
            UsageError: other features, mel bands or longer windows than the weights were made with.
        """
        if features not in (None, "mel") or n_mels not in (None, BANK.n_mels):
            wish = f"--features {features}" if features not in (None, "mel") else f"--n-mels {n_mels}"
            raise UsageError(*both("model.own_bands", model=self.name, wish=wish, bands=BANK.n_mels))
        audio = cast("AudioFrontend", frontend)
        if audio.seconds > LONGEST_SECONDS:
            seconds = f"{audio.seconds:g}"
            raise UsageError(*both("model.window", model=self.name, seconds=seconds, most=str(LONGEST_SECONDS)))
        changed = replace(audio, sample_rate_hz=BANK.rate_hz, features="mel", n_mels=BANK.n_mels)
        return cast("Frontend", changed)

    def prepare(self, g: Graph, x: str, frontend: Frontend) -> str:
        audio = cast("AudioFrontend", frontend)
        frames = min(FRAMES, BANK.frames(audio.samples))
        value = g.op("Slice", kaldi_log_mel(g, x, BANK), np.array([0]), np.array([frames]), np.array([2]))
        # Logarithms of 0 at the end, as the published preprocessing has it, and not those of silence.
        value = g.op("Pad", value, np.array([0, 0, 0, 0, 0, FRAMES - frames], np.int64))
        value = g.op("Div", g.op("Sub", value, MEAN), 2 * DEVIATION)
        return str(g.op("Unsqueeze", g.op("Transpose", value, perm=[0, 2, 1]), np.array([1], np.int64)))


def create(classes: int, layers: int = LAYERS) -> nn.Module:
    """A random network for float32 [N, 1, 1024, 128], to logits [N, classes]."""
    theirs = library(MODELING, "ast", "the Audio Spectrogram Transformer")
    from handful.models._ast_modules import Transformer

    made: nn.Module = Transformer(theirs, classes, layers)
    return made


def adopt(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors under the names of today's transformers."""
    renamed = {}
    for name, value in state.items():
        for old, new in RENAMED:
            name = re.sub(old, new, name)
        renamed[name] = value
    return renamed


def body(module: Any) -> nn.Module:
    result: nn.Module = module.body()
    return result


def blocks(module: Any) -> Sequence[nn.Module]:
    from torch import nn

    inner = module.audio_spectrogram_transformer
    return [inner.embeddings, *inner.layers, nn.Sequential(inner.layernorm, module.classifier.layernorm)]


def replace_head(module: Any, classes: int) -> nn.Module:
    from torch import nn

    module.classifier.dense = nn.Linear(module.classifier.dense.in_features, classes)
    head: nn.Module = module.classifier.dense
    return head


models.add(
    "ast",
    SpectrogramTransformer(
        name="ast",
        family="ast",
        extra="ast",
        library="transformers",
        modalities=("audio",),
        input_size=FRAMES,
        licence="BSD-3-Clause",
        url=URL,
        weights_bytes=346_000_000,
        classes=CLASSES,
        summary="transformer on spectrograms, trained on AudioSet, mAP 0.459; wants a GPU",
        create=create,
        body=body,
        blocks=blocks,
        replace_head=replace_head,
        adopt=adopt,
    ),
)
