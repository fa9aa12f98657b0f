"""One decoding: whatever a camera or program writes becomes the same RGB pixels."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handful.errors import FileError
from handful.features import frontends
from handful.features.image import ImageFrontend


def gradient(width: int = 60, height: int = 40) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def read(data: bytes, size: int = 32) -> np.ndarray:
    return ImageFrontend(size=size).read(data)[0][0].astype(int)


PLAIN = gradient()
GREY = np.asarray(PLAIN.convert("L"))


@pytest.mark.parametrize(
    "data",
    [
        saved(PLAIN, "PNG"),
        saved(PLAIN, "JPEG", quality=98, subsampling=0),
        saved(PLAIN.convert("CMYK"), "JPEG", quality=98),
        saved(PLAIN, "WEBP", lossless=True),
        saved(PLAIN, "BMP"),
        saved(PLAIN, "TIFF"),
        saved(PLAIN.convert("RGBA"), "PNG"),
        saved(PLAIN.quantize(256), "PNG"),
    ],
    ids=["png", "jpeg", "cmyk", "webp", "bmp", "tiff", "rgba", "palette"],
)
def test_every_mode_is_the_same_picture(data: bytes) -> None:
    difference = np.abs(read(data) - read(saved(PLAIN, "PNG")))
    assert difference.mean() < 6


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(GREY.astype(np.uint16) * 257),
        Image.fromarray(GREY.astype(np.int32) * 257),
        Image.merge("LA", [Image.fromarray(GREY), Image.new("L", (60, 40), 255)]),
        Image.fromarray(GREY),
    ],
    ids=["16 bit", "32 bit", "with alpha", "8 bit"],
)
def test_grey_is_scaled_not_clipped(picture: Image.Image) -> None:
    kind = "TIFF" if picture.mode == "I" else "PNG"
    assert np.abs(read(saved(picture, kind)) - read(saved(Image.fromarray(GREY), "PNG"))).max() <= 2


def test_float_pictures_with_holes_are_finite() -> None:
    values = np.linspace(-5, 5, 2400, dtype=np.float32).reshape(40, 60)
    values[0, 0], values[1, 1] = np.nan, np.inf
    pixels = read(saved(Image.fromarray(values), "TIFF"))
    assert pixels.min() < 30 and pixels.max() > 225


def test_what_is_transparent_is_white() -> None:
    assert (read(saved(Image.new("RGBA", (40, 40), (200, 0, 0, 0)), "PNG")) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_camera_orientation_is_applied_once(orientation: int) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = PLAIN if orientation == 1 else PLAIN.transpose(turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(stored, "JPEG", quality=98, subsampling=0, exif=exif)
    assert np.abs(read(data) - read(saved(PLAIN, "JPEG", quality=98, subsampling=0))).max() <= 12


def test_large_jpegs_take_the_short_way_to_the_same_pixels() -> None:
    large = gradient(3000, 2000)
    short, exact = read(saved(large, "JPEG", quality=95), 224), read(saved(large, "PNG"), 224)
    assert np.abs(short - exact).mean() < 1.5


def bomb(width: int, height: int) -> bytes:
    """A one-bit PNG of any size in a few kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    pack = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(pack.compress(row) for _ in range(height)) + pack.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8000, 13_000, 30_000])
def test_absurdly_large_pictures_are_refused_before_they_are_decoded(side: int) -> None:
    import tracemalloc

    data = bomb(side, side)
    tracemalloc.start()
    with pytest.raises(FileError, match="million"):
        read(data)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


JPEG = saved(gradient(300, 200), "JPEG")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        JPEG[: len(JPEG) // 8],
        JPEG[: len(JPEG) // 2],
        JPEG[:-200],
        bytes(1000),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ]
    + [
        b"%PDF-1.4\n" + bytes(50),
        b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(50),
        b"SIMPLE  =                    T" + bytes(3000),
        b"\x7fELF" + bytes(100),
    ],
)
def test_broken_and_foreign_files_are_named_not_raised(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    with pytest.raises(FileError) as caught:
        ImageFrontend(size=32).read(path)
    assert caught.value.message


def test_only_the_named_decoders_are_ever_called(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda f, formats=None: asked.append(formats) or original(f, formats=formats))
    read(saved(PLAIN, "PNG"))
    assert asked and set(asked[0]) <= {"JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"}


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (2, 500), (500, 2), (1, 1), (64, 17)])
def test_odd_sizes_pass_reading_and_augmentation_or_are_refused(size: tuple[int, int]) -> None:
    frontend = ImageFrontend(size=24)
    data = saved(gradient(*size), "PNG")
    if min(size) < 2:
        with pytest.raises(FileError):
            frontend.read(data)
        return
    items, _ = frontend.read(data)
    for seed in range(5):
        changed = frontend.augment(items[0], np.random.default_rng(seed))
        assert changed.shape == items[0].shape and changed.dtype == np.uint8


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("red", "blue")]
    items, facts = ImageFrontend(size=24).read(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert items[0, 12, 12, 0] > 200 and facts["frames"] == 2


def test_augmentation_is_drawn_from_the_generator_alone() -> None:
    frontend = ImageFrontend(size=32)
    item = frontend.read(saved(PLAIN, "PNG"))[0][0]
    same = [frontend.augment(item, np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], frontend.augment(item, np.random.default_rng(4)))


def test_copies_are_found_and_strangers_are_not() -> None:
    rng = np.random.default_rng(0)
    frontend = ImageFrontend(size=64)
    scenes = [
        Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)).resize((300, 240), Image.Resampling.BICUBIC)
        for _ in range(12)
    ]
    copies: list[Callable[[], bytes]] = [
        lambda: saved(scenes[0], "PNG"), lambda: saved(scenes[0], "JPEG", quality=60), lambda: saved(scenes[0].resize((150, 120)), "PNG"),
        lambda: saved(scenes[0].point(lambda v: min(255, int(v * 1.04))), "PNG"),
    ]  # fmt: skip
    files = [make() for make in copies] + [saved(scene, "PNG") for scene in scenes[1:]]
    pairs = set(frontend.alike([frontend.read(data)[1] for data in files]))
    assert pairs == {(i, j) for i in range(4) for j in range(i + 1, 4)}


def test_frontends_rebuild_from_their_spec() -> None:
    from handful.features import from_spec

    for cls in frontends:
        made = cls.suited([], {})
        assert from_spec(made.spec()) == made
