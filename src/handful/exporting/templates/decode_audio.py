"""Any sound file to float32 windows of one rate and length, mono. Needs numpy, soundfile and soxr."""

import math

import numpy as np
import soundfile
import soxr

UNCOVERED = 0.1  # share of a window that is not worth another window
LIMIT = 1e6  # no recording has larger values; what is beyond, or not a number, becomes silence


def decode(path, sample_rate_hz, seconds, max_windows):
    """Windows float32 [W, n]: as few as cover the sound, evenly spread; a short sound is padded with zeros at its end."""
    try:
        wave, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"cannot be decoded ({error})") from error
    if not len(wave):
        raise ValueError("holds no sound")
    wave = np.where(np.isfinite(wave) & (np.abs(wave) <= LIMIT), wave, 0).mean(axis=1).astype(np.float32)
    if rate != sample_rate_hz:
        wave = soxr.resample(wave, rate, sample_rate_hz, quality="HQ")
    size = round(sample_rate_hz * seconds)
    total = max(1, len(wave))
    wave = np.pad(wave, (0, max(0, size - len(wave))))
    count = min(max_windows, max(1, math.ceil(total / size - UNCOVERED)))
    spare = total - size
    starts = [max(0, spare // 2)] if count == 1 else [round(i * spare / (count - 1)) for i in range(count)]
    return np.stack([wave[start : start + size] for start in starts])
