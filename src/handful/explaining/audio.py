"""What can be hidden in a sound, how an explained sound looks, and how what mattered in it sounds.

Sounds are taken apart into time and frequency by a short-time Fourier transform and put together again by overlap-add.
"""

from __future__ import annotations

import io
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np

from handful.explaining import _colours
from handful.explaining._canvas import canvases
from handful.explaining._deletion import most_salient
from handful.features import Frontend, _spectra
from handful.features.audio import AudioFrontend

BANDS = 64
CELL_SECONDS = 0.4
SHOWN = (200, 480)  # rows and columns of the picture
SHOWN_DB = 70.0
MOST = 10 ** (-30 / 20)  # gain of what is hidden in a clip without background
QUIET = 20.0  # percentile of a clip's cells that is its background
SILENT = 10 ** (-60 / 20)  # of the loudest cell: what is below is silence, and nothing to hide


class Clip:
    """One window of a sound, see `_canvas.Canvas`: mel bands from low to high, frames of 16 ms.

    What is hidden sinks into the background.
    """

    def __init__(self, frontend: Frontend, item: np.ndarray) -> None:
        self._frontend = cast(AudioFrontend, frontend)
        self._wave = item
        self._rate_hz = self._frontend.sample_rate_hz
        self._hop = max(1, _spectra.samples_of(_spectra.WINDOW_SECONDS, self._rate_hz) // 2)
        # Root of a Hann window before and after: frames half a window apart add up to what was taken apart.
        self._window = np.sin(np.pi * (np.arange(2 * self._hop) + 0.5) / (2 * self._hop)).astype(np.float32)
        frames = -(-len(item) // self._hop) + 1
        self.shape = (BANDS, frames)
        self.grid = (6, int(np.clip(round(len(item) / self._rate_hz / CELL_SECONDS), 6, 12)))

    def from_picture(self, values: np.ndarray) -> np.ndarray:
        """Rows of the picture are bands, lowest first; what is no frequency (MFCC) tells only of time.

        A network may look at silence beside a sound. What speaks for the class counts as far as it can be heard: in
        decibels above the background.
        """
        kind = self._frontend.features
        if kind == "mfcc":
            values = np.repeat(values.mean(axis=0, keepdims=True), 2, axis=0)
        fine = _colours.scaled(values, BANDS * 4, self.shape[1], smooth=True)
        if kind == "spectrogram":
            centres = (self._edges[:-1] + self._edges[1:]) / 2
            place = _spectra.mel_to_hz(centres) / (self._rate_hz / 2) * len(fine) - 0.5
            cells = fine[np.rint(place).clip(0, len(fine) - 1).astype(int)]
        else:
            cells = fine.reshape(BANDS, 4, -1).mean(axis=1)
        return np.where(cells > 0, cells * np.log(self._hidden) / np.log(MOST), cells)

    @cached_property
    def _edges(self) -> np.ndarray:
        """In mel, of the bands [BANDS + 1]."""
        low, high = _spectra.hz_to_mel([_spectra.MIN_HZ, self._rate_hz / 2])
        return np.linspace(low, high, BANDS + 1)

    @cached_property
    def _bins(self) -> np.ndarray:
        """Which bands make up the gain of each bin of the transform: float32 [bins, BANDS], rows add up to one."""
        mel = _spectra.hz_to_mel(np.arange(self._hop + 1) * self._rate_hz / (2 * self._hop))
        place = (mel - self._edges[0]) / (self._edges[1] - self._edges[0]) - 0.5
        distance = np.abs(place.clip(0, BANDS - 1)[:, None] - np.arange(BANDS))
        return np.maximum(0.0, 1.0 - distance).astype(np.float32)

    @cached_property
    def _spectrum(self) -> np.ndarray:
        """complex64 [frames, bins]; frames overlap by half, the first begins half a window before the sound."""
        padded = np.pad(self._wave, (self._hop, (self.shape[1]) * self._hop - len(self._wave)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * self._hop)[:: self._hop]
        return np.fft.rfft(frames * self._window, axis=1).astype(np.complex64)

    @cached_property
    def _hidden(self) -> np.ndarray:
        """Gain of each hidden cell, float32 [bands, frames]: down to the clip's own quiet level, by at most `MOST`.

        Dead silence would be an event of its own, which models answer to as much as to what was there before.
        """
        heard = self._bins.sum(axis=0)[:, None]  # low bands may be narrower than a bin of the transform
        level = np.sqrt(self._bins.T @ np.square(np.abs(self._spectrum)).T / np.maximum(heard, 1e-6))
        quiet = max(float(np.percentile(level[heard[:, 0] > 0], QUIET)), SILENT * float(level.max()))
        return np.clip(quiet / np.maximum(level, 1e-9), MOST, 1.0).astype(np.float32)

    def hide(self, keep: np.ndarray) -> np.ndarray:
        share = keep.astype(np.float32)
        return self._filtered(share + (1 - share) * self._hidden)

    def _filtered(self, gains: np.ndarray) -> np.ndarray:
        """Waves float32 [M, samples] with a gain for each cell, [M, bands, frames]."""
        of_bins = (self._bins @ gains).transpose(0, 2, 1)
        frames = np.fft.irfft(self._spectrum * of_bins, n=2 * self._hop, axis=2).astype(np.float32) * self._window
        halves = frames.reshape(len(gains), -1, 2, self._hop)
        # The second half of a frame lies over the first half of the next.
        joined = (halves[:, :-1, 1] + halves[:, 1:, 0]).reshape(len(gains), -1)
        return np.ascontiguousarray(joined[:, : len(self._wave)])

    def show(self, path: Path, saliency: np.ndarray) -> dict[str, tuple[bytes, str]]:
        rows, columns = SHOWN
        power = _spectra.mel_power(self._wave, self._rate_hz, BANDS, len(self._wave) / self._rate_hz / columns)
        level = 10.0 * np.log10(np.maximum(power, _spectra.FLOOR))
        share = np.clip((level - level.max()) / SHOWN_DB + 1.0, 0.0, 1.0) if np.ptp(level) > 0 else level * 0
        grey = _colours.scaled(share[::-1], rows, columns)
        pixels = np.repeat(np.rint(255 * grey)[..., None], 3, axis=2).astype(np.uint8)
        heat = _colours.overlay(pixels, _colours.shares(_colours.scaled(saliency[::-1], rows, columns)))
        kept = most_salient(saliency).astype(np.float32)
        filtered = self._filtered((MOST + (1 - MOST) * kept)[None])[0]
        return {
            "before": (_colours.encoded(pixels), ".jpg"), "overlay": (_colours.encoded(heat), ".jpg"),
            "sound": (self._ogg(self._wave), ".ogg"), "filtered": (self._ogg(filtered), ".ogg"),
        }  # fmt: skip

    def _ogg(self, wave: np.ndarray) -> bytes:
        import soundfile

        buffer = io.BytesIO()
        soundfile.write(buffer, np.clip(wave, -1, 1), self._rate_hz, format="OGG", subtype="VORBIS")
        return buffer.getvalue()


canvases.add("audio", Clip)
