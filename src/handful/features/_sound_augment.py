"""Random changes of one waveform that leave its class alone: numpy and soxr only.

Every function takes float32 [samples] and the drawn value, and returns the same length; `AudioFrontend.augment` draws.
"""

from __future__ import annotations

import numpy as np


def volume(wave: np.ndarray, decibel: float) -> np.ndarray:
    return np.asarray(wave * np.float32(10.0 ** (decibel / 20.0)))


def noise(wave: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """White Gaussian noise `snr_db` below the wave's mean power; silence stays silent."""
    level = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) * 10.0 ** (-snr_db / 20.0)
    return np.asarray(wave + rng.standard_normal(len(wave), dtype=np.float32) * np.float32(level))


def equalise(wave: np.ndarray, decibels: np.ndarray) -> np.ndarray:
    """As another room and microphone colour it: louder by `decibels` at as many frequencies, evenly from 0 to half the rate."""
    spectrum = np.fft.rfft(wave)
    gain = np.interp(np.linspace(0, 1, len(spectrum)), np.linspace(0, 1, len(decibels)), decibels)
    return np.fft.irfft(spectrum * 10.0 ** (gain / 20.0), len(wave)).astype(np.float32)


def shift(wave: np.ndarray, samples: int) -> np.ndarray:
    """Later (positive) or earlier; what leaves at one end is replaced by silence at the other."""
    moved = np.zeros_like(wave)
    count = len(wave) - abs(samples)
    if count > 0:
        moved[max(0, samples) : max(0, samples) + count] = wave[max(0, -samples) : max(0, -samples) + count]
    return moved


def fit(wave: np.ndarray, samples: int) -> np.ndarray:
    """Cut, or pad with zeros at the end."""
    if len(wave) >= samples:
        return wave[:samples]
    return np.pad(wave, (0, samples - len(wave)))


def stretch(wave: np.ndarray, speed: float, n_fft: int = 512) -> np.ndarray:
    """The same pitch at another speed, length / speed samples: the phase vocoder of Flanagan & Golden (1966).

    Phases are kept as points of the unit circle and added by multiplying them, so that none is computed or unwrapped.
    """
    hop = n_fft // 4
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    padded = np.pad(wave, (n_fft // 2, n_fft + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    spectrum = np.fft.rfft(frames * window, axis=1)
    size = np.sqrt(spectrum.real**2 + spectrum.imag**2)
    phase = np.divide(spectrum, size, out=np.ones_like(spectrum), where=size > 0)
    position = np.arange(0, len(spectrum) - 1, speed)
    left = position.astype(np.int64)
    share = (position - left)[:, None].astype(np.float32)
    magnitude = size[left] + share * (size[left + 1] - size[left])
    turns = phase[1:] * phase[:-1].conj()  # of each frequency from one frame to the next
    turned = np.cumprod(np.concatenate([phase[:1], turns[left[:-1]]]), axis=0)
    pieces = np.fft.irfft(magnitude * turned, n=n_fft, axis=1) * window
    out = np.zeros(hop * (len(pieces) - 1) + n_fft, np.float32)
    for quarter in range(4):  # frames four hops apart do not overlap: add them in one go
        part = pieces[quarter::4]
        out[quarter * hop : quarter * hop + part.size] += part.reshape(-1)
    return fit(out[n_fft // 2 :] / np.float32(1.5), round(len(wave) / speed))


def pitch(wave: np.ndarray, semitones: float, rate_hz: int) -> np.ndarray:
    """The same duration at another pitch: stretched, then resampled back."""
    import soxr

    factor = 2.0 ** (semitones / 12.0)
    longer = stretch(wave, 1.0 / factor)
    return fit(soxr.resample(longer, rate_hz * factor, rate_hz, quality="MQ"), len(wave))


def mask(seen: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """SpecAugment (Park et al. 2019, arXiv:1904.08779): of float32 [..., bands, T] up to two bands and two stretches of time, each
    at most `share` of all, become the mean."""
    masked = np.array(seen, np.float32)
    mean = masked.mean(axis=(-2, -1), keepdims=True)
    for axis in (-2, -1, -2, -1):
        size = masked.shape[axis]
        width = int(rng.integers(0, int(size * share) + 1))
        start = int(rng.integers(0, size - width + 1))
        where = (..., slice(start, start + width)) if axis == -1 else (..., slice(start, start + width), slice(None))
        masked[where] = mean
    return masked
