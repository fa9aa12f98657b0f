"""What the beginning and the end of a recording sound like: background, where the event lies between them.

Knows nothing about files or windows.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SECONDS = 0.2
BANDS = 8
_LOWEST_HZ = 60.0
_FLOOR = 1e-12  # -120 dB: less is told as that


@lru_cache(maxsize=64)
def _bands(count: int, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """A Hann window of unit power [count] and float32 [bins, BANDS], which bin belongs to which band.

    Bands are evenly spaced in octaves from 60 Hz to half the rate; below about 3 bins a band is as wide as a bin.
    """
    window = np.hanning(count + 2)[1:-1]
    hz = np.fft.rfftfreq(count, 1 / rate_hz)
    limits = np.geomspace(_LOWEST_HZ, rate_hz / 2, BANDS + 1)
    owner = np.clip(np.searchsorted(limits, hz, side="right") - 1, 0, BANDS - 1)
    member = (owner[:, None] == np.arange(BANDS)).astype(np.float32)
    member[0] = 0  # a constant offset is not heard
    return (window / np.sqrt((window * window).sum() * count / 2)).astype(np.float32), member


def levels(first: np.ndarray, last: np.ndarray, total: int, rate_hz: int) -> list[float]:
    """Power in dB of full scale of the bands of the first 0.2 s, then of the last.

    Of short sounds a tenth, so that most of the event stays outside.

    Args:
        first, last: float32, the beginning and the end of a recording of `total` samples, or all of it.
    """
    count = min(max(16, min(round(SECONDS * rate_hz), total // 10)), len(first), len(last))
    window, member = _bands(count, rate_hz)
    found = np.fft.rfft(np.stack([first[:count], last[-count:]]) * window)
    power = (found.real**2 + found.imag**2).astype(np.float32) @ member
    return [round(level, 1) for level in (10.0 * np.log10(power.ravel() + _FLOOR)).tolist()]
