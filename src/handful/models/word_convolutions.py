"""Random convolutions for single words: silence is trimmed and what is left stretched to 32 frames, inside the graph.

Speakers differ in speed and pause; after stretching, the same moment of a word lies at the same frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from handful.graph import Graph
from handful.models import Extractor, models
from handful.models.random_convolutions import N_MELS, on_bands
from handful.registry import late

if TYPE_CHECKING:
    import numpy as np

    from handful.features import Frontend
    from handful.features.audio import AudioFrontend
else:
    np = late("numpy")

FRAMES = 32
QUIET_DB = 20.0  # frames this far below the loudest band of the clip are silence


def stretched(g: Graph, mel_db: str, frames_in: int, frames_out: int = FRAMES, quiet_db: float = QUIET_DB) -> str:
    """From the first to the last audible frame of [N, bands, frames_in], linearly interpolated to [N, bands, frames_out].

    Args:
        mel_db: decibel below the clip's loudest value, see `AudioFrontend.log_mel`.
    """
    bands, last_axis = np.array([1], np.int64), np.array([2], np.int64)
    loudness = g.op("ReduceMax", mel_db, bands, keepdims=0)
    audible = g.op("GreaterOrEqual", loudness, -quiet_db)  # the loudest frame is 0 dB: never none
    index = np.arange(frames_in, dtype=np.float32)[None]
    first = g.op("ReduceMin", g.op("Where", audible, index, float(frames_in)), bands, keepdims=1)
    last = g.op("ReduceMax", g.op("Where", audible, index, -1.0), bands, keepdims=1)
    step = g.op("Div", g.op("Sub", last, first), float(frames_out - 1))
    position = g.op("Add", first, g.op("Mul", step, np.arange(frames_out, dtype=np.float32)[None]))
    # One triangle a frame, at least one frame wide: interpolates when stretching, averages when shrinking.
    distance = g.op("Abs", g.op("Sub", g.op("Unsqueeze", position, bands), index.reshape(1, frames_in, 1)))
    reach = g.op("Max", g.op("Unsqueeze", step, last_axis), 1.0)
    weight = g.op("Relu", g.op("Sub", 1.0, g.op("Div", distance, reach)))
    weight = g.op("Div", weight, g.op("ReduceSum", weight, bands, keepdims=1))
    return str(g.op("MatMul", mel_db, weight))


def sound(g: Graph, x: str, frontend: Frontend) -> tuple[str, int]:
    """The kernels of `random_convolutions` on 32 frames that span the word: 2,000 numbers."""
    audio = cast("AudioFrontend", frontend)
    mel = stretched(g, audio.log_mel(g, x, N_MELS, top_db=50.0), audio.frames())
    return on_bands(g, mel, (1, 2, 3))


models.add(
    "word_convolutions",
    Extractor(
        name="word_convolutions",
        family="extractors",
        modalities=("audio",),
        summary="for single words: trimmed, stretched to one length, random kernels; no weights",
        functions={"audio": sound},
        many=True,
    ),
)
