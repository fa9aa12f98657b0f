"""Heat maps as pictures: one ramp for colour-blind eyes and for print, laid over what it explains."""

from __future__ import annotations

import io

import numpy as np

# Viridis (van der Walt & Smith 2015) at ten even steps: brightness grows evenly from violet to yellow.
VIRIDIS = np.array(
    [(68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
     (31, 158, 137), (53, 183, 121), (109, 205, 89), (180, 222, 44), (253, 231, 37)], np.float64
)  # fmt: skip
LOWEST = 0.2  # of the ramp: the darkest violet is hardly told from shade
HEAT = 0.7  # opacity where it matters most
DIMMED = 0.85


def ramp(share: np.ndarray) -> np.ndarray:
    """Values 0..1 of any shape as colours float64 [..., 3] in 0..255."""
    places = np.linspace(0, 1, len(VIRIDIS))
    return np.stack([np.interp(share, places, VIRIDIS[:, channel]) for channel in range(3)], axis=-1)


def scaled(values: np.ndarray, rows: int, columns: int, smooth: bool = False) -> np.ndarray:
    """A map [h, w] to float64 [rows, columns]: bilinearly, or `smooth`, which may go a little beyond the given values."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(values, np.float32))
    method = Image.Resampling.BICUBIC if smooth else Image.Resampling.BILINEAR
    return np.asarray(picture.resize((columns, rows), method), np.float64)


def shares(values: np.ndarray) -> np.ndarray:
    """What is to be seen of a saliency map, 0..1: what speaks for the class, or, where nothing does, what least against it."""
    positive = np.maximum(values, 0.0) if values.max() > 0 else values - values.min()
    return np.asarray(positive / max(float(positive.max()), 1e-12))


def overlay(pixels: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Heat `share` [h, w] in 0..1 over uint8 [h, w, 3]: the picture stays readable in grey, colour tells what mattered."""
    grey = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    heat = HEAT * np.sqrt(share)[..., None]  # opaque only where it matters
    mixed = DIMMED * grey[..., None] * (1 - heat) + ramp(LOWEST + (1 - LOWEST) * share) * heat
    return np.asarray(np.rint(mixed).clip(0, 255), np.uint8)


def encoded(pixels: np.ndarray) -> bytes:
    """uint8 [h, w, 3] as JPEG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
