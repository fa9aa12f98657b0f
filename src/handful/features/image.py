"""Photos: from a file to pixels, augmented pixels and the beginning of a graph.

The graph takes uint8 pixels as `_decode_image.decode` makes them; there is no resizing in it. Knows nothing about labels,
models or sounds.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from handful.errors import FileError
from handful.features import close_hashes, frontends
from handful.features._decode_image import Unreadable, _content, decode
from handful.graph import Graph
from handful.words import said

# Copies that were rescaled, recompressed or slightly brightened stay below both; different frames of one scene do not.
_NEAR_BITS = 24  # of 256
_NEAR_LEVELS = 6.0  # standard deviation of the difference of 8 x 8 grey cells
_GRID = 28  # points a side in which the background is seen
_HEAD, _HEAD_JPEG = 1 << 16, 1 << 12  # first bytes in which pictures announce EXIF
_EXIF_MARKS = (b"Exif", b"eXIf", b"EXIF")
_EXIF_IFD, _TAKEN, _CHANGED, _MAKER, _MODEL = 0x8769, 0x9003, 0x0132, 0x010F, 0x0110  # tags of EXIF 2.3


def fingerprint(pixels: np.ndarray) -> tuple[str, str]:
    """Difference hash (256 bits) and 8 x 8 grey cells of uint8 [S, S, 3], both as hex."""
    from PIL import Image

    grey = Image.fromarray(pixels).convert("L")
    edges = np.asarray(grey.resize((17, 16), Image.Resampling.BOX), dtype=np.int16)
    cells = np.asarray(grey.resize((8, 8), Image.Resampling.BOX))
    return np.packbits(edges[:, 1:] > edges[:, :-1]).tobytes().hex(), cells.tobytes().hex()


def background(pixels: np.ndarray) -> dict[str, Any]:
    """What tells pictures apart without their subject, from a grid of about 28 x 28 pixels of uint8 [S, S, 3], in 0..255.

    `border`: of the outer tenth the mean (3) and deviation (3) of red, green and blue, then the colours of its corners
    and sides, clockwise from the upper left (8 x 3). `brightness`: mean of everything. `colour`: mean difference of the
    channels, about 0 in grey pictures.
    """
    step = max(1, len(pixels) // _GRID)
    points = pixels[step // 2 :: step, step // 2 :: step].astype(np.float32)
    inside, places = _ring(len(points))
    points = points.reshape(-1, 3)
    found = places @ points[inside]
    spread = points[inside].std(axis=0)
    level = points.sum(axis=0) / len(points)
    colour = np.abs(points[:, :2] - points[:, 1:]).sum() / (2 * len(points))
    border = np.concatenate([found[0], spread, found[1:].ravel()])
    return {
        "border": [round(value) for value in border.tolist()],
        "brightness": round(float(level.sum()) / 3, 1),
        "colour": round(float(colour), 2),
    }


@lru_cache(maxsize=16)
def _ring(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Of side x side points those in the outer tenth, and float32 [9, points] that averages all, corners and sides."""
    row, column = np.divmod(np.arange(side * side), side)
    depth = np.minimum(np.minimum(row, column), side - 1 - np.maximum(row, column))
    inside = np.flatnonzero(depth < max(1, round(side / 10)))
    third = np.stack([row[inside] * 3 // side, column[inside] * 3 // side], axis=1)
    clockwise = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
    places = np.stack([inside >= 0] + [(third == place).all(axis=1) for place in clockwise]).astype(np.float32)
    return inside, places / np.maximum(places.sum(axis=1, keepdims=True), 1)


def origin(content: bytes, kind: str | None) -> dict[str, str]:
    """When and by which camera a picture was taken, as its EXIF says: {"taken", "camera"}, what is known of them."""
    head = content[: _HEAD_JPEG if kind == "JPEG" else _HEAD]
    if not any(mark in head for mark in _EXIF_MARKS) and (kind != "WEBP" or b"EXIF" not in content[-_HEAD:]):
        return {}
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif = Image.open(io.BytesIO(content)).getexif()
            taken = exif.get_ifd(_EXIF_IFD).get(_TAKEN) or exif.get(_CHANGED)
            camera = " ".join(str(exif.get(tag) or "").strip(" \0") for tag in (_MAKER, _MODEL))
    except Exception:  # metadata decides nothing: a picture with damaged EXIF is a picture without
        return {}
    found = {"taken": str(taken or "").strip(" \0"), "camera": camera.strip()}
    return {key: value[:40] for key, value in found.items() if value}


def refused(error: Unreadable) -> FileError:
    """The same in the words of `locales/`."""
    return FileError(said(f"file.{error.name}", **error.values), said(f"file.{error.name}.fix"), error.kind)


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

    def reading(self) -> dict[str, Any]:
        return {"input_size": self.size, "fit": self.fit}

    def read(self, source: Path | bytes) -> tuple[np.ndarray, dict[str, Any]]:
        try:
            content = source if isinstance(source, bytes) else _content(source)
            pixels, facts = decode(content, self.size, self.fit)
        except Unreadable as error:
            raise refused(error) from error
        channels = np.ascontiguousarray(pixels.reshape(-1, 3).T, np.float32)  # in rows it takes a tenth of the time
        code, cells = fingerprint(pixels)
        facts |= {"hash": code, "cells": cells, "constant": bool(channels.std(axis=1).max() < 1.0)}
        return pixels[None], facts | {"bytes": len(content)} | background(pixels) | origin(content, facts["format"])

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

    def mask(self, seen: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
        return seen

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
        return scaled(g, x, self.size, size)


def scaled(g: Graph, x: str, side: int, size: int) -> str:
    """Pictures float32 [N, C, side, side] as [N, C, size, size], by triangles as wide as what becomes one pixel.

    The operator Resize would say it shorter, but engines differ in it: OpenVINO leaves the smoothing out, and torch weighs the
    border otherwise.
    """
    if size == side:
        return x
    weights = g.constant(triangles(side, size))
    return str(g.op("MatMul", g.op("MatMul", weights, x), g.op("Transpose", weights, perm=[1, 0])))


def triangles(side: int, size: int) -> np.ndarray:
    """Weights float32 [size, side] of `side` pixels in a row for `size`; beyond the ends the last pixel goes on."""
    step = side / size
    reach = max(step, 1.0)
    beyond = int(np.ceil(reach))
    places = np.arange(-beyond, side + beyond)
    centres = (np.arange(size) + 0.5) * step
    heights = np.maximum(0.0, 1 - np.abs(places + 0.5 - centres[:, None]) / reach)
    weights = heights @ np.eye(side)[np.clip(places, 0, side - 1)]
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


frontends.add("image", ImageFrontend)
