"""Spectrograms as graph operators: from waveforms float32 [N, samples] to frames and bands.

The Fourier transform is a convolution with cosines and sines: ONNX Runtime's STFT operator is ten times slower and a
hundred times less exact. Knows nothing about files, windows of a recording or models.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from handful.graph import Graph
from handful.registry import late

if TYPE_CHECKING:
    import numpy as np
else:
    np = late("numpy")

WINDOW_SECONDS = 0.032
HOP_SECONDS = 0.010
MIN_HZ = 20.0
FLOOR = 1e-10  # power below which nothing is told apart: -100 dB of a full-scale sine
TOP_DB = 80.0

# Extractors that stand on the same spectrogram share its operators.
_values: WeakKeyDictionary[Graph, dict[Any, str]] = WeakKeyDictionary()


def once(g: Graph, key: tuple[Any, ...], write: Callable[[], str]) -> str:
    """The value of `write()`, which appends operators to `g` only the first time `key` is asked for."""
    known = _values.setdefault(g, {})
    if key not in known:
        known[key] = write()
    return known[key]


def samples_of(seconds: float, rate_hz: int) -> int:
    return max(1, round(seconds * rate_hz))


def frame_count(samples: int, rate_hz: int, hop_seconds: float = HOP_SECONDS) -> int:
    """Frames T of a spectrogram of `samples` samples: one begins at each hop."""
    return -(-samples // samples_of(hop_seconds, rate_hz))


def hz_to_mel(hz: Any) -> Any:
    """O'Shaughnessy's formula (HTK): 2595 log10(1 + f / 700)."""
    return 2595.0 * np.log10(1.0 + np.asarray(hz, np.float64) / 700.0)


def mel_to_hz(mel: Any) -> Any:
    return 700.0 * (10.0 ** (np.asarray(mel, np.float64) / 2595.0) - 1.0)


@lru_cache(maxsize=16)
def mel_filters(n_mels: int, n_fft: int, rate_hz: int) -> np.ndarray:
    """Triangles of unit height, evenly spaced in mel from 20 Hz to half the rate: float64 [n_mels, n_fft // 2 + 1].

    A bin's weight is the mean of the triangle over the bin's width, so that narrow low triangles are never empty.
    """
    edges = mel_to_hz(np.linspace(hz_to_mel(MIN_HZ), hz_to_mel(rate_hz / 2), n_mels + 2))
    bins = n_fft // 2 + 1
    fine = 16
    hz = ((np.arange(bins * fine) + 0.5) / fine - 0.5) * rate_hz / n_fft
    rising = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.clip(np.minimum(rising, falling), 0.0, None)
    return np.asarray(triangles.reshape(n_mels, bins, fine).mean(axis=2))


@lru_cache(maxsize=16)
def cosine_basis(n_out: int, n_in: int) -> np.ndarray:
    """Orthonormal DCT-II: float64 [n_out, n_in]."""
    basis = np.cos(np.pi / n_in * (np.arange(n_in) + 0.5) * np.arange(n_out)[:, None]) * np.sqrt(2.0 / n_in)
    basis[0] /= np.sqrt(2.0)
    return np.asarray(basis)


@lru_cache(maxsize=16)
def fourier_kernels(n_fft: int) -> np.ndarray:
    """Hann-windowed cosines, then sines: float32 [2 * (n_fft // 2 + 1), 1, n_fft]; a full-scale sine has power 1."""
    time = np.arange(n_fft)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / n_fft)
    angle = 2 * np.pi * np.arange(n_fft // 2 + 1)[:, None] * time / n_fft
    kernels = np.concatenate([np.cos(angle), np.sin(angle)]) * window * (2.0 / window.sum())
    return np.asarray(kernels[:, None, :], np.float32)


def power(g: Graph, x: str, rate_hz: int, hop_seconds: float = HOP_SECONDS) -> str:
    """Power spectrogram float32 [N, bins, T]; frames are centred, T = ceil(samples / hop)."""

    def write() -> str:
        n_fft, hop = samples_of(WINDOW_SECONDS, rate_hz), samples_of(hop_seconds, rate_hz)
        wave = g.op("Unsqueeze", x, np.array([1], np.int64))
        pads = [n_fft // 2, n_fft - n_fft // 2 - 1]
        parts = g.op("Conv", wave, fourier_kernels(n_fft), strides=[hop], pads=pads)
        cosine, sine = g.op("Split", g.op("Mul", parts, parts), outputs=2, axis=1, num_outputs=2)
        return str(g.op("Add", cosine, sine))

    return once(g, ("power", x, rate_hz, hop_seconds), write)


def mel_bands(g: Graph, x: str, rate_hz: int, n_mels: int, hop_seconds: float = HOP_SECONDS) -> str:
    """Power in mel bands, float32 [N, n_mels, T]."""

    def write() -> str:
        filters = mel_filters(n_mels, samples_of(WINDOW_SECONDS, rate_hz), rate_hz).astype(np.float32)
        return str(g.op("MatMul", filters, power(g, x, rate_hz, hop_seconds)))

    return once(g, ("mel_bands", x, rate_hz, n_mels, hop_seconds), write)


def decibel(g: Graph, value: str, top_db: float = TOP_DB) -> str:
    """10 log10 of [N, bands, T], relative to each clip's loudest value and cut off `top_db` below it: -top_db .. 0.

    Relative, so that the distance to the microphone does not matter; silence becomes all zeros.
    """
    log = g.op("Mul", g.op("Log", g.op("Max", value, FLOOR)), float(10.0 / np.log(10.0)))
    loudest = g.op("ReduceMax", log, np.array([1, 2], np.int64), keepdims=1)
    return str(g.op("Max", g.op("Sub", log, loudest), -top_db))


def log_mel(
    g: Graph, x: str, rate_hz: int, n_mels: int, hop_seconds: float = HOP_SECONDS, top_db: float = TOP_DB
) -> str:
    """Mel spectrogram in dB below the clip's loudest value: float32 [N, n_mels, T]."""

    write = lambda: decibel(g, mel_bands(g, x, rate_hz, n_mels, hop_seconds), top_db)  # noqa: E731
    return once(g, ("log_mel", x, rate_hz, n_mels, hop_seconds, top_db), write)


def cepstrum(g: Graph, mel_db: str, n_mfcc: int, n_mels: int) -> str:
    """Cosine transform over the bands of [N, n_mels, T]: [N, n_mfcc, T]."""
    return str(g.op("MatMul", cosine_basis(n_mfcc, n_mels).astype(np.float32), mel_db))


def mfcc(
    g: Graph,
    x: str,
    rate_hz: int,
    n_mfcc: int,
    n_mels: int,
    hop_seconds: float = HOP_SECONDS,
    top_db: float = TOP_DB,
) -> str:
    """Mel-frequency cepstral coefficients, the zeroth included: float32 [N, n_mfcc, T] (Davis & Mermelstein 1980)."""

    def write() -> str:
        return cepstrum(g, log_mel(g, x, rate_hz, n_mels, hop_seconds, top_db), n_mfcc, n_mels)

    return once(g, ("mfcc", x, rate_hz, n_mfcc, n_mels, hop_seconds, top_db), write)


def spectrogram(g: Graph, x: str, rate_hz: int, hop_seconds: float = HOP_SECONDS, top_db: float = TOP_DB) -> str:
    """Linear-frequency spectrogram in dB below the clip's loudest value: float32 [N, bins, T]."""
    write = lambda: decibel(g, power(g, x, rate_hz, hop_seconds), top_db)  # noqa: E731
    return once(g, ("spectrogram", x, rate_hz, hop_seconds, top_db), write)


def in_steps(g: Graph, bands: str, frames: int, steps: int) -> str:
    """The mean of [N, bands, frames] over `steps` stretches of equal length: [N, bands, steps]."""
    edges = np.linspace(0.0, frames, steps + 1)
    index = np.arange(frames)[:, None]
    share = np.clip(np.minimum(index + 1, edges[1:]) - np.maximum(index, edges[:-1]), 0.0, None)
    return str(g.op("MatMul", bands, (share / share.sum(axis=0)).astype(np.float32)))


def fine_spectrogram(g: Graph, x: str, rate_hz: int, points: int, top_db: float = TOP_DB) -> str:
    """As `spectrogram`, by a Fourier transform of `points` points of the same 32 ms: float32 [N, points // 2 + 1, T]."""
    size, hop = samples_of(WINDOW_SECONDS, rate_hz), samples_of(HOP_SECONDS, rate_hz)
    time = np.arange(size)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / size)
    angle = 2 * np.pi * np.arange(points // 2 + 1)[:, None] * time / points
    kernels = np.concatenate([np.cos(angle), np.sin(angle)]) * window * (2.0 / window.sum())
    wave = g.op("Unsqueeze", x, np.array([1], np.int64))
    pads = [size // 2, size - size // 2 - 1]
    parts = g.op("Conv", wave, kernels[:, None, :].astype(np.float32), strides=[hop], pads=pads)
    cosine, sine = g.op("Split", g.op("Mul", parts, parts), outputs=2, axis=1, num_outputs=2)
    return decibel(g, g.op("Add", cosine, sine), top_db)


def mel_power(wave: np.ndarray, rate_hz: int, n_mels: int, hop_seconds: float = HOP_SECONDS) -> np.ndarray:
    """The numpy twin of the graph, for pictures and fingerprints: float32 [samples] -> power float64 [n_mels, T]."""
    n_fft, hop = samples_of(WINDOW_SECONDS, rate_hz), samples_of(hop_seconds, rate_hz)
    padded = np.pad(wave.astype(np.float64), (n_fft // 2, n_fft - n_fft // 2 - 1))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    spectrum = np.abs(np.fft.rfft(frames * window, axis=1) * (2.0 / window.sum())) ** 2
    return np.asarray(mel_filters(n_mels, n_fft, rate_hz) @ spectrum.T)
