"""Any picture file to RGB pixels of one size. This file needs nothing but numpy and Pillow: exported bundles carry a copy."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np


class Unreadable(ValueError):
    """A file that cannot be used: why, what to do about it, and which kind of finding it is.

    `name` and `values`: the same for who has other languages, see `image.refused`.
    """

    def __init__(self, name: str, message: str, hint: str = "", kind: str = "corrupt", **values: Any) -> None:
        super().__init__(message)
        self.name = name
        self.values = values
        self.hint = hint
        self.kind = kind


# Pillow can open some forty kinds, several of which run interpreters (EPS) or fetch; these are the ones people have.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
PHONE_FORMATS = ("HEIF", "AVIF")
MAX_PIXELS = 50_000_000
MIN_SIDE = 2
BACKGROUND = (255, 255, 255)  # what shows through transparent pixels


def _register_phone_formats() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _open(data: bytes) -> Any:
    from PIL import Image

    formats = list(FORMATS)
    if data[4:8] == b"ftyp":  # ISO media: HEIC or AVIF
        if not _register_phone_formats():
            hint = "pip install 'handful[phone]'"
            raise Unreadable("phone_photo", "a HEIC or AVIF photo needs a decoder", hint, kind="format")
        formats += PHONE_FORMATS
    try:
        picture = Image.open(io.BytesIO(data), formats=[f for f in formats if f in _known(Image)])
    except Exception as error:
        if isinstance(error, Image.DecompressionBombError):
            most = MAX_PIXELS // 1_000_000
            raise Unreadable(
                "huge", f"more than {most} million pixels", "make a smaller copy", kind="format", most=most
            ) from error
        hint = "open it in another program and save it again"
        raise Unreadable("no_picture", "not a picture that can be read", hint) from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        most = MAX_PIXELS // 1_000_000
        message = f"{width} x {height} pixels, the limit is {most} million"
        raise Unreadable("large", message, "make a smaller copy", kind="format", size=f"{width} x {height}", most=most)
    if min(width, height) < MIN_SIDE:
        size = f"{width} x {height}"
        raise Unreadable("small", f"{size} pixels is too small", "remove it", kind="format", size=size)
    return picture


def _known(Image: Any) -> set[str]:
    Image.init()
    return set(Image.OPEN)


def to_rgb(picture: Any) -> Any:
    """Any mode as 8-bit RGB: 16-bit and float grey are scaled (not clipped), transparency lies on white."""
    from PIL import Image

    if picture.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        values = np.nan_to_num(np.asarray(picture, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        if picture.mode == "F" or values.max(initial=0) > 65535 or values.min(initial=0) < 0:
            low, high = float(values.min()), float(values.max())
            values = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
        else:
            values = values / 257.0
        return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode == "RGB":
        return picture
    if picture.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (*BACKGROUND, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return picture.convert("RGB")


def decode(source: Path | bytes, size: int, fit: str) -> tuple[np.ndarray, dict[str, Any]]:
    """One picture as uint8 [size, size, 3] and what was seen of the file.

    Args:
        source: a path, or the content of a file.
        size: side of the result in pixels.
        fit: "crop" scales the shorter side to size * 256 / 224 and takes the centre; "stretch" takes everything.

    Raises:
        Unreadable: the file cannot be read.
    """
    from PIL import Image, ImageOps

    data = source if isinstance(source, bytes) else _content(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about metadata that decides nothing here
        picture = _open(data)
        facts = {"width": picture.width, "height": picture.height, "mode": picture.mode, "format": picture.format}
        shorter = size if fit == "stretch" else round(size * 256 / 224)
        try:
            # JPEG: let the decoder scale down by 2, 4 or 8 first, never below twice the target, which keeps the picture the same to the eye.
            picture.draft("RGB" if picture.mode not in ("L", "CMYK") else picture.mode, (shorter * 2, shorter * 2))
            facts["frames"] = int(getattr(picture, "n_frames", 1))
            picture = ImageOps.exif_transpose(picture)
            rgb = to_rgb(picture)
        except Unreadable:
            raise
        except Exception as error:
            how = type(error).__name__
            raise Unreadable(
                "damaged_picture", f"the picture is damaged ({how})", "replace or remove it", how=how
            ) from error
        if fit == "stretch":
            rgb = rgb.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
        else:
            scale = shorter / min(rgb.size)
            edge = size / scale  # the centre square of `size` after scaling, in source pixels
            left, top = (rgb.width - edge) / 2, (rgb.height - edge) / 2
            rgb = rgb.resize(
                (size, size), Image.Resampling.BILINEAR, box=(left, top, left + edge, top + edge), reducing_gap=2.0
            )
    return np.asarray(rgb, dtype=np.uint8), facts


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise Unreadable("closed", f"cannot be opened ({why})", "check the file's permissions", reason=why) from error
    if not data:
        raise Unreadable("empty", "the file is empty", "remove it", kind="empty")
    return data
