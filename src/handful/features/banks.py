"""Filter banks that pretrained weights were made with: nothing in them may be chosen, every number has to be theirs.

Knows how others computed spectrograms, as graph operators; knows nothing of networks or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from handful.features._spectra import FLOOR, fourier_kernels, once
from handful.graph import Graph
from handful.registry import late

if TYPE_CHECKING:
    import numpy as np
else:
    np = late("numpy")


def hz_to_slaney(hz: Any) -> Any:
    """The mel scale of Slaney's Auditory Toolbox: 200/3 Hz a mel up to 1 kHz, then 27 logarithmic steps to 6.4 kHz."""
    hz = np.asarray(hz, np.float64)
    return np.where(hz < 1000.0, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000.0) / 1000.0) / np.log(6.4))


def slaney_to_hz(mel: Any) -> Any:
    mel = np.asarray(mel, np.float64)
    return np.where(mel < 15.0, mel * 200 / 3, 1000.0 * 6.4 ** ((mel - 15) / 27))


@dataclass(frozen=True)
class Slaney:
    """Log-mel bands on Slaney's scale. `points` is the size of window and Fourier transform, `hop` the samples between frames."""

    rate_hz: int
    points: int
    hop: int
    n_mels: int
    low_hz: float
    high_hz: float

    def frames(self, samples: int) -> int:
        """How many: one is centred on each hop, the first on sample 0."""
        return samples // self.hop + 1


@lru_cache(maxsize=4)
def slaney_filters(bank: Slaney) -> np.ndarray:
    """Triangles of unit area on Slaney's mel scale: float64 [n_mels, points // 2 + 1]."""
    low, high = hz_to_slaney([bank.low_hz, bank.high_hz])
    edges = slaney_to_hz(np.linspace(low, high, bank.n_mels + 2))
    hz = np.arange(bank.points // 2 + 1) * bank.rate_hz / bank.points
    rising = (hz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - hz) / np.diff(edges)[1:, None]
    area = 2.0 / (edges[2:] - edges[:-2])
    return np.asarray(np.clip(np.minimum(rising, falling), 0.0, None) * area[:, None])


def windowed_fourier(bank: Slaney) -> tuple[np.ndarray, np.ndarray]:
    """Real and imaginary part of a Fourier transform behind its Hann window: two float32 [points // 2 + 1, 1, points]."""
    cosines, sines = np.split(fourier_kernels(bank.points) * (bank.points / 4), 2)
    return cosines, -sines


def slaney_log_mel(g: Graph, x: str, bank: Slaney) -> str:
    """float32 [N, n_mels, T] in dB, absolute, from -100: a Hann window, the wave mirrored at both ends by half a window.

    What librosa and torchlibrosa compute. Waves [N, samples] need more samples than half a window.
    """

    def write() -> str:
        half = bank.points // 2
        wave = g.op("Pad", x, np.array([0, half, 0, half], np.int64), mode="reflect")
        wave = g.op("Unsqueeze", wave, np.array([1], np.int64))
        # `fourier_kernels` are for a full-scale sine of power 1.
        full_scale = (bank.points / 4) ** 2
        parts = g.op("Conv", wave, fourier_kernels(bank.points), strides=[bank.hop])
        cosine, sine = g.op("Split", g.op("Mul", parts, parts), outputs=2, axis=1, num_outputs=2)
        filters = (slaney_filters(bank) * full_scale).astype(np.float32)
        bands = g.op("Max", g.op("MatMul", filters, g.op("Add", cosine, sine)), FLOOR)
        return str(g.op("Mul", g.op("Log", bands), float(10.0 / np.log(10.0))))

    return once(g, ("slaney_log_mel", x, bank), write)


@dataclass(frozen=True)
class Kaldi:
    """Log-mel bands as Kaldi computes them, without dither. `points` is the Fourier transform's, `window` what is not zero in it."""

    rate_hz: int
    points: int
    window: int
    hop: int
    n_mels: int
    low_hz: float = 20.0
    preemphasis: float = 0.97

    def frames(self, samples: int) -> int:
        """How many: only those that lie inside the wave."""
        return max(0, 1 + (samples - self.window) // self.hop)


@lru_cache(maxsize=4)
def kaldi_filters(bank: Kaldi) -> np.ndarray:
    """Triangles that are straight in mel, to half the rate: float64 [n_mels, points // 2]."""

    def mel(hz: Any) -> Any:
        return 1127.0 * np.log(1.0 + np.asarray(hz, np.float64) / 700.0)

    edges = np.linspace(mel(bank.low_hz), mel(bank.rate_hz / 2), bank.n_mels + 2)
    at = mel(np.arange(bank.points // 2) * bank.rate_hz / bank.points)
    rising = (at - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - at) / np.diff(edges)[1:, None]
    return np.asarray(np.clip(np.minimum(rising, falling), 0.0, None))


@lru_cache(maxsize=4)
def kaldi_kernels(bank: Kaldi) -> np.ndarray:
    """What Kaldi does to a frame, in one matrix: mean to zero, pre-emphasis, Hann window, Fourier transform.

    float32 [points, 1, window]: real parts of the bins below half the rate, then imaginary ones.
    """
    size = bank.window
    centre = np.eye(size) - 1.0 / size
    emphasis = np.eye(size) - bank.preemphasis * np.eye(size, k=-1)
    emphasis[0, 0] = 1.0 - bank.preemphasis
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / (size - 1))
    angle = 2 * np.pi * np.arange(bank.points // 2)[:, None] * np.arange(size) / bank.points
    whole = np.concatenate([np.cos(angle), -np.sin(angle)]) * window @ emphasis @ centre
    return np.asarray(whole[:, None, :], np.float32)


def kaldi_log_mel(g: Graph, x: str, bank: Kaldi) -> str:
    """float32 [N, n_mels, T] as natural logarithms of waves [N, samples] of at least one window."""

    def write() -> str:
        wave = g.op("Unsqueeze", x, np.array([1], np.int64))
        parts = g.op("Conv", wave, kaldi_kernels(bank), strides=[bank.hop])
        real, imaginary = g.op("Split", g.op("Mul", parts, parts), outputs=2, axis=1, num_outputs=2)
        bands = g.op("MatMul", kaldi_filters(bank).astype(np.float32), g.op("Add", real, imaginary))
        return str(g.op("Log", g.op("Max", bands, float(np.finfo(np.float32).eps))))

    return once(g, ("kaldi_log_mel", x, bank), write)
