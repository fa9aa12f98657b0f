"""Statistics of what is seen or heard, computed without any weights: edge directions and colours, or tones over time.

Knows nothing about heads; every value is finite for silence and for pictures of one colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from handful.graph import Graph
from handful.models import Extractor, models
from handful.registry import late

if TYPE_CHECKING:
    import numpy as np

    from handful.features import Frontend
    from handful.features.audio import AudioFrontend
else:
    np = late("numpy")


TIME = (2,)  # the axis
N_MELS, N_MFCC = 40, 20
SCALES = (4, 16, 64)  # frames of 10 ms


def deviation(g: Graph, x: str, mean: str | None = None) -> str:
    """Root mean square over time of [N, bands, T], around `mean` where given: [N, bands, 1]."""
    centred = g.op("Sub", x, mean) if mean else x
    return str(g.op("Sqrt", g.op("ReduceMean", g.op("Mul", centred, centred), TIME, keepdims=1)))


def change(g: Graph, x: str, step: int) -> str:
    """[N, bands, T] -> what is `step` frames later minus what is now, [N, bands, T - step]."""
    later = g.op("Slice", x, np.array([step]), np.array([2**31]), TIME)
    return str(g.op("Sub", later, g.op("Slice", x, np.array([0]), np.array([-step]), TIME)))


def over_time(g: Graph, x: str, bands: int, frames: int) -> tuple[str, int]:
    """[N, bands, frames] -> [N, width]: level, spread and change of each band, also after smoothing over 40 to 640 ms.

    How much is left of the spread at each scale tells rattling from humming from single calls, as the modulation
    statistics of McDermott & Simoncelli (2011) do for textures. Scales longer than a third of the clip are left out.
    """
    mean = g.op("ReduceMean", x, TIME, keepdims=1)
    parts = [mean, deviation(g, x, mean), g.op("ReduceMax", x, TIME, keepdims=1), deviation(g, change(g, x, 2))]
    for scale in SCALES:
        if 3 * scale > frames:
            continue
        smooth = g.op("AveragePool", x, kernel_shape=[scale], strides=[scale // 2])
        parts += [
            deviation(g, smooth, g.op("ReduceMean", smooth, TIME, keepdims=1)),
            g.op("ReduceMax", smooth, TIME, keepdims=1),
            g.op("ReduceMin", smooth, TIME, keepdims=1),
            deviation(g, change(g, smooth, 1)),
        ]
    return g.op("Squeeze", g.op("Concat", *parts, axis=1), TIME), bands * len(parts)


def sound(g: Graph, x: str, frontend: Frontend) -> tuple[str, int]:
    """Statistics over time of 40 log-mel bands and their 20 MFCCs: 960 numbers for clips of 2 s and more."""
    audio = cast("AudioFrontend", frontend)
    mel, mel_width = over_time(g, audio.log_mel(g, x, N_MELS), N_MELS, audio.frames())
    mfcc, mfcc_width = over_time(g, audio.mfcc(g, x, N_MFCC, N_MELS), N_MFCC, audio.frames())
    return g.op("Concat", mel, mfcc, axis=1), mel_width + mfcc_width


def oriented_gradients(g: Graph, grey: str, size: int, directions: int, cell: int) -> tuple[str, int]:
    """Histograms of gradient directions, normalised over 2 x 2 cells (Dalal & Triggs 2005), from grey [N, 1, S, S].

    Each pixel votes for every direction by the positive part of its gradient along it, sharpened, instead of for the
    nearest ones by angle: smooth, and one convolution.
    """
    angle = np.arange(directions) * 2 * np.pi / directions
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float64) / 8
    kernels = np.cos(angle)[:, None, None] * sobel + np.sin(angle)[:, None, None] * sobel.T
    padded = g.op("Pad", grey, np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), None, mode="edge")
    votes = g.op("Relu", g.op("Conv", padded, kernels[:, None].astype(np.float32)))
    strength = g.op("ReduceMax", votes, np.array([1], np.int64), keepdims=1)
    share = g.op("Div", votes, g.op("Add", strength, 1e-6))
    share = g.op("Mul", g.op("Mul", share, share), g.op("Mul", share, share))
    votes = g.op("Mul", share, strength)
    cells = g.op("AveragePool", votes, kernel_shape=[2 * cell, 2 * cell], strides=[cell, cell], pads=[cell // 2] * 4)
    side = (size + 2 * (cell // 2) - 2 * cell) // cell + 1
    corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
    axes = np.array([2, 3], np.int64)
    block = g.op(
        "Concat",
        *[g.op("Slice", cells, np.array([a, b]), np.array([side - 1 + a, side - 1 + b]), axes) for a, b in corners],
        axis=1,
    )
    length = g.op("Sqrt", g.op("ReduceSum", g.op("Mul", block, block), np.array([1], np.int64), keepdims=1))
    block = g.op("Div", block, g.op("Add", length, 1e-2))
    width = 4 * directions * (side - 1) ** 2
    return g.op("Sqrt", g.op("Reshape", block, np.array([0, width], np.int64))), width


def colour_cells(g: Graph, picture: str, cells: int) -> tuple[str, int]:
    """Mean and deviation of each colour in `cells` x `cells` fields of [N, 3, 64, 64]."""
    step = 64 // cells
    window: dict[str, Any] = {"kernel_shape": [step, step], "strides": [step, step]}
    mean = g.op("AveragePool", picture, **window)
    square = g.op("AveragePool", g.op("Mul", picture, picture), **window)
    deviation = g.op("Sqrt", g.op("Relu", g.op("Sub", square, g.op("Mul", mean, mean))))
    width = 3 * cells * cells
    parts = [g.op("Reshape", part, np.array([0, width], np.int64)) for part in (mean, deviation)]
    return g.op("Concat", *parts, axis=1), 2 * width


def photo(g: Graph, x: str, frontend: Frontend) -> tuple[str, int]:
    """Gradient directions on cells of 8 pixels of the picture at 96 x 96, and colours in 4 x 4 fields: 3,968 + 96 numbers."""
    grey = g.op("Conv", frontend.picture(g, x, 96), np.array([0.299, 0.587, 0.114], np.float32).reshape(1, 3, 1, 1))
    edges, edge_width = oriented_gradients(g, grey, 96, directions=8, cell=8)
    colours, colour_width = colour_cells(g, frontend.picture(g, x, 64), 4)
    return g.op("Concat", edges, colours, axis=1), edge_width + colour_width


models.add(
    "statistics",
    Extractor(
        name="statistics",
        family="extractors",
        version=2,
        licence="Apache-2.0",
        summary="edge directions and colours, or tones and their change over time; no weights",
        functions={"image": photo, "audio": sound},
    ),
)
