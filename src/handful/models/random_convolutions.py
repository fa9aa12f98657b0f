"""Random convolutions: thousands of fixed random kernels, each summarised by how often and how much it answers.

After ROCKET (Dempster, Petitjean & Webb 2020): untrained kernels with many dilations and a linear head compete with
trained networks on little data. The kernels come from a fixed seed and are the same on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from handful.features._spectra import cepstrum
from handful.graph import Graph
from handful.models import Extractor, models
from handful.registry import late

if TYPE_CHECKING:
    import numpy as np

    from handful.features import Frontend
    from handful.features.audio import AudioFrontend
else:
    np = late("numpy")

SEED = 20240607


TAPS = 9
N_MELS, N_MFCC = 40, 20


def normalised(g: Graph, x: str, axes: list[int]) -> str:
    """Mean 0 and deviation 1 over `axes`; what is constant becomes zeros."""
    over = np.array(axes, np.int64)
    centred = g.op("Sub", x, g.op("ReduceMean", x, over, keepdims=1))
    deviation = g.op("Sqrt", g.op("ReduceMean", g.op("Mul", centred, centred), over, keepdims=1))
    return str(g.op("Div", centred, g.op("Add", deviation, 1e-3)))


def kernels(rng: np.random.Generator, count: int, bands: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights float32 [count, bands, 9] and biases float32 [count].

    Each kernel listens to a random set of bands, often a small one, is blind to a constant, and has length 1.
    """
    weights = rng.standard_normal((count, bands, TAPS))
    weights -= weights.mean(axis=2, keepdims=True)
    for kernel in weights:
        heard = rng.permutation(bands)[: int(2 ** rng.uniform(0, np.log2(bands)))]
        kernel[np.setdiff1d(np.arange(bands), heard)] = 0
    weights /= np.sqrt(np.square(weights).sum(axis=(1, 2), keepdims=True))
    return weights.astype(np.float32), rng.uniform(-1, 1, count).astype(np.float32)


def answers(
    g: Graph, x: str, bands: int, count: int, dilations: tuple[int, ...], rng: np.random.Generator
) -> tuple[str, int]:
    """[N, bands, T] -> share of time with a positive answer, and the largest answer, of `count` kernels."""
    time = np.array([2], np.int64)
    parts = []
    for dilation, share in zip(dilations, np.array_split(np.arange(count), len(dilations)), strict=True):
        weights, biases = kernels(rng, len(share), bands)
        pad = TAPS // 2 * dilation
        y = g.op("Conv", x, weights, biases, dilations=[dilation], pads=[pad, pad])
        positive = g.op("Cast", g.op("Greater", y, 0.0), to=1)
        parts += [g.op("ReduceMean", positive, time, keepdims=0), g.op("ReduceMax", y, time, keepdims=0)]
    return g.op("Concat", *parts, axis=1), 2 * count


def on_bands(g: Graph, mel: str, dilations: tuple[int, ...]) -> tuple[str, int]:
    """500 kernels over log-mel bands [N, 40, T], relative to the clip, and 500 over their MFCCs, each relative to itself."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    mfcc = cepstrum(g, mel, N_MFCC, N_MELS)
    of_mel, mel_width = answers(g, normalised(g, mel, [1, 2]), N_MELS, 500, dilations, rng)
    of_mfcc, mfcc_width = answers(g, normalised(g, mfcc, [2]), N_MFCC, 500, dilations, rng)
    return g.op("Concat", of_mel, of_mfcc, axis=1), mel_width + mfcc_width


def sound(g: Graph, x: str, frontend: Frontend) -> tuple[str, int]:
    """A frame every 20 ms, 60 dB deep; kernels span 160 ms to 1.3 s: 2,000 numbers."""
    audio = cast("AudioFrontend", frontend)
    return on_bands(g, audio.log_mel(g, x, N_MELS, hop_seconds=0.020, top_db=60.0), (1, 2, 4, 8))


def photo(g: Graph, x: str, frontend: Frontend) -> tuple[str, int]:
    """256 kernels of 5 x 5 over the colours at 64 x 64, answers kept in 4 x 4 fields."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    count = 256
    picture = frontend.picture(g, x, 64)
    picture = normalised(g, picture, [1, 2, 3])
    weights = rng.standard_normal((count, 3, 5, 5))
    weights -= weights.mean(axis=(1, 2, 3), keepdims=True)
    weights /= np.sqrt(np.square(weights).sum(axis=(1, 2, 3), keepdims=True))
    y = g.op("Relu", g.op("Conv", picture, weights.astype(np.float32), pads=[2, 2, 2, 2]))
    fields = g.op("AveragePool", y, kernel_shape=[16, 16], strides=[16, 16])
    return g.op("Sqrt", g.op("Reshape", fields, np.array([0, count * 16], np.int64))), count * 16


models.add(
    "random_convolutions",
    Extractor(
        name="random_convolutions",
        family="extractors",
        version=2,
        summary="random kernels, summarised by how often and how much they answer; no weights",
        functions={"image": photo, "audio": sound},
    ),
)
