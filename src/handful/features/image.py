"""Photos: from a file to pixels, augmented pixels and the beginning of a graph.

The graph takes uint8 pixels as `_decode_image.decode` makes them; there is no resizing in it. Knows nothing about labels,
models or sounds.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from handful.errors import FileError
from handful.features import close_hashes, frontends
from handful.features._decode_image import Unreadable, decode
from handful.graph import Graph

# Copies that were rescaled, recompressed or slightly brightened stay below both; different frames of one scene do not.
_NEAR_BITS = 24  # of 256
_NEAR_LEVELS = 6.0  # standard deviation of the difference of 8 x 8 grey cells


def fingerprint(pixels: np.ndarray) -> tuple[str, str]:
    """Difference hash (256 bits) and 8 x 8 grey cells of uint8 [S, S, 3], both as hex."""
    from PIL import Image

    grey = Image.fromarray(pixels).convert("L")
    edges = np.asarray(grey.resize((17, 16), Image.Resampling.BOX), dtype=np.int16)
    cells = np.asarray(grey.resize((8, 8), Image.Resampling.BOX))
    return np.packbits(edges[:, 1:] > edges[:, :-1]).tobytes().hex(), cells.tobytes().hex()


@dataclass(frozen=True)
class ImageFrontend:
    """Photos of one size, see `features.Frontend`. Items are uint8 [size, size, 3], one a file."""

    modality: ClassVar[str] = "image"
    version: ClassVar[int] = 2
    size: int = 224
    fit: Literal["crop", "stretch"] = "stretch"

    @property
    def domain(self) -> str:
        return "image"

    @classmethod
    def suited(cls, paths: Sequence[Path], settings: Mapping[str, Any]) -> Self:
        return cls()

    def resized(self, size: int) -> ImageFrontend:
        return replace(self, size=size)

    def spec(self) -> dict[str, Any]:
        return {"modality": self.modality, "version": self.version, **asdict(self)}

    def read(self, source: Path | bytes) -> tuple[np.ndarray, dict[str, Any]]:
        try:
            pixels, facts = decode(source, self.size, self.fit)
        except Unreadable as error:
            raise FileError(str(error), error.hint, error.kind) from error
        small = pixels.reshape(-1, 3).astype(np.float32)
        code, cells = fingerprint(pixels)
        return pixels[None], facts | {"hash": code, "cells": cells, "constant": bool(small.std(axis=0).max() < 1.0)}

    def alike(self, facts: Iterable[Mapping[str, Any]]) -> list[tuple[int, int]]:
        hashes, cells = [], []
        for seen in facts:
            hashes.append(seen["hash"])
            cells.append(np.frombuffer(bytes.fromhex(seen["cells"]), np.uint8).astype(np.float16))
        pairs = close_hashes(hashes, _NEAR_BITS)
        # The mean grey does not count: a brighter copy is a copy.
        return [
            (int(a), int(b)) for a, b in pairs if float(np.std(cells[a] - cells[b], dtype=np.float32)) <= _NEAR_LEVELS
        ]

    def augment(self, item: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Random resized crop, horizontal flip, rotation by up to 15 degrees, colour jitter."""
        from PIL import Image, ImageEnhance

        flip, angle = rng.random() < 0.5, float(rng.uniform(-15, 15))
        area, ratio = float(rng.uniform(0.6, 1.0)), float(np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3))))
        shift_x, shift_y = rng.random(2)
        brightness, contrast, saturation = (float(v) for v in rng.uniform(0.8, 1.2, size=3))
        side = self.size
        width, height = min(side, side * (area * ratio) ** 0.5), min(side, side * (area / ratio) ** 0.5)
        left, top = float(shift_x) * (side - width), float(shift_y) * (side - height)
        picture = Image.fromarray(item)
        edge = tuple(int(v) for v in item.reshape(-1, 3).mean(axis=0))  # corners that turn in are filled unobtrusively
        picture = picture.rotate(angle, Image.Resampling.BILINEAR, fillcolor=edge)
        picture = picture.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
        if flip:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for enhance, factor in (
            (ImageEnhance.Brightness, brightness),
            (ImageEnhance.Contrast, contrast),
            (ImageEnhance.Color, saturation),
        ):
            picture = enhance(picture).enhance(factor)
        return np.asarray(picture, dtype=np.uint8)

    def thumbnail(self, items: np.ndarray) -> bytes:
        from PIL import Image

        picture = Image.fromarray(items[0])
        picture.thumbnail((112, 112))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        return buffer.getvalue()

    def sound(self, path: Path) -> bytes | None:
        return None

    def input(self, g: Graph) -> str:
        pixels = g.input("input", "uint8", ["N", self.size, self.size, 3])
        values = g.op("Div", g.op("Cast", pixels, to=1), 255.0)
        return str(g.op("Transpose", values, perm=[0, 3, 1, 2]))

    def picture(self, g: Graph, x: str, size: int) -> str:
        if size == self.size:
            return x
        return str(
            g.op("Resize", x, None, None, np.array([size, size], np.int64), axes=[2, 3], mode="linear", antialias=1)
        )


frontends.add("image", ImageFrontend)
