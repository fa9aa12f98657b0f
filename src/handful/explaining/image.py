"""What can be hidden in a photo, and how an explained photo looks."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from handful.explaining import _colours
from handful.explaining._canvas import canvases
from handful.features import Frontend
from handful.features.image import ImageFrontend

SHOWN_PIXELS = 400
TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


class Photo:
    """One decoded photo, see `_canvas.Canvas`. The map has one cell a pixel; what is hidden gets the photo's mean colour."""

    grid = (8, 8)

    def __init__(self, frontend: Frontend, item: np.ndarray) -> None:
        self._frontend = cast(ImageFrontend, frontend)
        self._pixels = item
        self.shape = (item.shape[0], item.shape[1])

    def from_picture(self, values: np.ndarray) -> np.ndarray:
        return _colours.scaled(values, *self.shape, smooth=True)

    def hide(self, keep: np.ndarray) -> np.ndarray:
        share = keep[..., None].astype(np.float32)
        neutral = self._pixels.mean(axis=(0, 1), dtype=np.float32)
        return np.asarray(np.rint(self._pixels * share + neutral * (1 - share)), np.uint8)

    def show(self, path: Path, saliency: np.ndarray) -> dict[str, tuple[bytes, str]]:
        """As large as is pleasant to look at and in the file's own proportions; the model's own pixels are few."""
        pixels = replace(self._frontend, size=SHOWN_PIXELS).read(path)[0][0]
        width, height = self._proportions(path)
        from PIL import Image

        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
        share = _colours.shares(_colours.scaled(saliency, height, width))
        heat = _colours.overlay(pixels, share)
        return {"before": (_colours.encoded(pixels), ".jpg"), "overlay": (_colours.encoded(heat), ".jpg")}

    def _proportions(self, path: Path) -> tuple[int, int]:
        """Width and height to show: where the whole picture was squeezed into a square, those of the file."""
        width, height = SHOWN_PIXELS, SHOWN_PIXELS
        if self._frontend.fit == "stretch":
            from PIL import Image

            with contextlib.suppress(Exception), Image.open(path) as picture:  # it was read a moment ago
                turned = picture.getexif().get(0x0112, 1) in TRANSPOSED
                width, height = picture.size[::-1] if turned else picture.size
        scale = SHOWN_PIXELS / max(width, height)
        return max(1, round(width * scale)), max(1, round(height * scale))


canvases.add("image", Photo)
