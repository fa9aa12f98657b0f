"""What can be seen and heard of a sample: thumbnails, previews, spectrograms, outlines; kept by content.

Pictures and sounds are decoded by the front-ends' own decoders, in blocks where they are long; what is answered was drawn
anew by us, whatever was in the file. Knows no HTTP.
"""

from __future__ import annotations

import base64
import contextlib
import io
import threading
import warnings
import wave as wav
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handful.errors import DataError, FileError
from handful.words import both, said

if TYPE_CHECKING:
    from handful.workflow.studio import Studio

VERSION = 1  # raise it when a picture looks different: browsers keep them for good
THUMB, PREVIEW = 192, 1024  # pixels
GLIMPSE = 4  # pixels: what is shown of a thumbnail until it is there
THUMB_SECONDS, SPECTROGRAM_SECONDS = 10.0, 60.0  # of a long sound that are shown
PREVIEW_SECONDS = 600.0
SPECTROGRAM_SIZE = (1600, 160)  # at most so wide; so high
OUTLINE = 1000  # slices of a sound
RANGE_DB = 70.0
HEARABLE_HZ = (8_000, 96_000)  # rates that browsers play
CHECKED = 64  # pixels: as small as pictures are decoded to see whether they can be
COUNTED_SECONDS = 120.0  # claims up to here are not believed but counted
_NO_SOUND = (said("file.soundless"), said("file.soundless.fix"), "empty")
_ORIENTATION = 0x0112  # tag of EXIF
_LARGE = 12_000_000  # pixels: such pictures are decoded one at a time, for the memory's sake

_one_large = threading.Lock()
_cache = threading.Lock()

Drawn = tuple[bytes, str, dict[str, str]]  # content, media type, headers


def describe(path: Path) -> dict[str, Any]:
    """Facts of a file that can be decoded: {"width", "height"} as shown, or {"seconds", "rate_hz"}.

    Pictures are decoded as small as their format allows. Sounds that claim up to two minutes are decoded and counted; of
    longer ones the beginning is decoded and the claim believed.

    Raises:
        FileError: it is of no kind that handful reads, or damaged.
    """
    from handful.data.media import HEAD_BYTES, sniff

    with open(path, "rb") as file:
        kind = sniff(file.read(HEAD_BYTES))
    if kind == "image":
        with _decoded(path, CHECKED) as (picture, size):
            lying = picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        width, height = reversed(size) if lying else size
        return {"width": width, "height": height}
    if kind == "audio":
        with _open(path) as stream:
            claimed, frames = stream.claimed_seconds, 0
            for block in stream.blocks:
                frames += len(block)
                if claimed > COUNTED_SECONDS:
                    break
            rate_hz = stream.rate_hz
        if not frames:
            raise FileError(*_NO_SOUND)
        seconds = claimed if claimed > COUNTED_SECONDS else frames / rate_hz
        return {"seconds": round(seconds, 4), "rate_hz": rate_hz}
    raise FileError(said("file.no_media"), said("file.no_media.fix"), "format")


def thumb(studio: Studio, project: str, sample: str) -> Drawn:
    """At most 192 pixels: JPEG of a picture, PNG of a sound's mel spectrogram."""

    def draw(path: Path, modality: str | None) -> bytes:
        if modality == "audio":
            return _png(_mel(*_beginning(path, THUMB_SECONDS), 80), (THUMB, 96))
        return _jpeg(path, THUMB, 82)

    return _kept(studio, project, sample, draw)


def drawn(studio: Studio, project: str, samples: Sequence[str]) -> dict[str, str]:
    """Thumbnails as data: URLs, by sample; of those of the project that were drawn already."""
    opened = studio.project(project)
    keys = {_thumb_key(sample): sample for sample in samples if opened.has(sample)}
    with _cache:
        found = list(studio.cache().get(list(keys)))
    return {keys[key]: f"data:{_kind(content)};base64,{base64.b64encode(content).decode()}" for key, content in found}


def glimpses(studio: Studio, samples: Sequence[str]) -> dict[str, str]:
    """The middle of thumbnails as 4 x 4 pixels, base64 of B, G, R, rows from the top; of those that were drawn."""
    with _cache:
        found = dict(studio.cache().get([_glimpse_key(sample) for sample in samples]))
    kept = ((sample, found.get(_glimpse_key(sample))) for sample in samples)
    return {sample: base64.b64encode(content).decode() for sample, content in kept if content}


def preview(studio: Studio, project: str, sample: str) -> Drawn:
    """A picture of at most 1024 pixels, or the first ten minutes of a sound as 16-bit WAV."""
    opened = studio.project(project)
    return _preview(opened.path(sample), opened.modality)


def preview_of(studio: Studio, project: str, content: bytes) -> Drawn:
    """The same of a file that is no sample, for browsers that cannot show its kind. Raises FileError."""
    from handful.workflow.studio.collect import on_disk

    with on_disk(studio, content) as path:
        return _preview(path, studio.project(project).modality)


def _preview(path: Path, modality: str | None) -> Drawn:
    if modality == "audio":
        content, seconds = _wav(path)
        return content, "audio/wav", {"X-Seconds": f"{seconds:.3f}"}
    return _jpeg(path, PREVIEW, 88), "image/jpeg", {}


def spectrogram(studio: Studio, project: str, sample: str) -> Drawn:
    """The mel spectrogram of the first minute, low tones below, with what its axes mean."""
    from handful.features._spectra import MIN_HZ

    path = _sound(studio, project, sample)
    wave, rate_hz = _beginning(path, SPECTROGRAM_SECONDS)
    seconds = len(wave) / rate_hz
    columns = int(min(SPECTROGRAM_SIZE[0], max(160, seconds * 100)))
    picture = _png(_mel(wave, rate_hz, SPECTROGRAM_SIZE[1]), (columns, SPECTROGRAM_SIZE[1]))
    axes = {"X-Low-Hz": f"{MIN_HZ:g}", "X-High-Hz": f"{rate_hz / 2:g}", "X-Seconds": f"{seconds:.4f}"}
    return picture, "image/png", axes


def wave(studio: Studio, project: str, sample: str) -> dict[str, Any]:
    """The lowest and highest values of up to 1,000 slices of the whole sound, in the shape of the wire."""
    path = _sound(studio, project, sample)
    rows: list[np.ndarray] = []
    frames = 0
    size = 8  # frames that make one row; doubled when there are too many rows
    rest = np.zeros(0, np.float32)
    with _open(path) as stream:
        rate_hz = stream.rate_hz
        for block in _mono(stream.blocks):
            frames += len(block)
            block = np.concatenate([rest, block])
            whole = len(block) // size * size
            cut, rest = block[:whole].reshape(-1, size), block[whole:]
            if len(cut):
                rows.append(np.stack([cut.min(axis=1), cut.max(axis=1)]))
            while sum(row.shape[1] for row in rows) > 16 * OUTLINE:
                joined = np.concatenate(rows, axis=1)
                joined = joined[:, : joined.shape[1] // 2 * 2].reshape(2, -1, 2)
                rows = [np.stack([joined[0].min(axis=1), joined[1].max(axis=1)])]
                size *= 2
    if len(rest):
        rows.append(np.array([[rest.min()], [rest.max()]], np.float32))
    if not frames:
        raise FileError(*_NO_SOUND)
    low, high = np.concatenate(rows, axis=1)
    edges = np.linspace(0, len(low), min(OUTLINE, len(low)) + 1).astype(int)[:-1]
    low, high = np.minimum.reduceat(low, edges), np.maximum.reduceat(high, edges)
    rounded = [np.round(np.clip(side, -1, 1), 4).astype(float).tolist() for side in (low, high)]
    return {"seconds": frames / rate_hz, "rate_hz": rate_hz, "low": rounded[0], "high": rounded[1]}


# -- pictures ----------------------------------------------------------------------------------------------------------


def _jpeg(path: Path, side: int, quality: int) -> bytes:
    """The picture, turned as EXIF says, on white, at most `side` pixels."""
    from PIL import Image, ImageOps

    from handful.features._decode_image import to_rgb

    buffer = io.BytesIO()
    with _decoded(path, side) as (picture, _):
        rgb = to_rgb(ImageOps.exif_transpose(picture))
        rgb.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
        rgb.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@contextlib.contextmanager
def _decoded(path: Path, side: int) -> Iterator[tuple[Any, tuple[int, int]]]:
    """(the picture, decoded no larger than `side` pixels need where its format allows that; width and height of the whole).

    Raises:
        FileError: it cannot be decoded; also for whatever goes wrong inside the block.
    """
    from handful.features._decode_image import Unreadable, _content, _open
    from handful.features.image import refused

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = _open(_content(path))
            size = picture.size
            picture.draft("RGB" if picture.mode not in ("L", "CMYK") else picture.mode, (2 * side, 2 * side))
            with _one_large if picture.width * picture.height > _LARGE else contextlib.nullcontext():
                picture.load()
                yield picture, size
    except Unreadable as error:
        raise refused(error) from error
    except Exception as error:
        raise FileError(
            said("file.damaged_picture", how=type(error).__name__), said("file.damaged_picture.fix")
        ) from error


# -- sounds ------------------------------------------------------------------------------------------------------------


def _sound(studio: Studio, project: str, sample: str) -> Path:
    opened = studio.project(project)
    if opened.modality != "audio":
        raise DataError(*both("error.no_sound_in_pictures"))
    return opened.path(sample)


def _open(path: Path) -> Any:
    from handful.features._sound_file import open_sound

    return open_sound(path)


def _mono(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """float32 [frames, channels] -> [frames]: the mean, without what is no number."""
    for block in blocks:
        mixed = block.mean(axis=1, dtype=np.float32)
        yield np.clip(np.nan_to_num(mixed, nan=0.0, posinf=0.0, neginf=0.0), -1e6, 1e6)


def _beginning(path: Path, seconds: float) -> tuple[np.ndarray, int]:
    """(mono float32, rate in Hz) of the first seconds; above 48 kHz at 48 kHz, which is all that is heard."""
    with _open(path) as stream:
        rate_hz, wanted = stream.rate_hz, round(seconds * stream.rate_hz)
        kept: list[np.ndarray] = []
        for block in _mono(stream.blocks):
            kept.append(block[:wanted])
            wanted -= len(block)
            if wanted <= 0:
                break
    sound = np.concatenate(kept) if kept else np.zeros(0, np.float32)
    if not len(sound):
        raise FileError(*_NO_SOUND)
    if rate_hz > 48_000:
        import soxr

        return np.asarray(soxr.resample(sound, rate_hz, 48_000, quality="MQ"), np.float32), 48_000
    return sound, rate_hz


def _mel(sound: np.ndarray, rate_hz: int, bands: int) -> np.ndarray:
    """0..1 float64 [bands, T], the highest band first; 70 dB from dark to light."""
    from handful.features import _spectra

    hop = max(_spectra.HOP_SECONDS, len(sound) / rate_hz / SPECTROGRAM_SIZE[0])
    power = np.concatenate(
        [
            _spectra.mel_power(sound[start : start + 10 * rate_hz], rate_hz, bands, hop)
            for start in range(0, len(sound), 10 * rate_hz)
        ],
        axis=1,
    )
    level = 10.0 * np.log10(np.maximum(power, _spectra.FLOOR))
    if np.ptp(level) == 0:
        return np.zeros_like(level)
    return np.asarray(np.clip((level - level.max()) / RANGE_DB + 1.0, 0.0, 1.0)[::-1])


def _png(share: np.ndarray, size: tuple[int, int]) -> bytes:
    from PIL import Image

    from handful.explaining._colours import ramp

    picture = Image.fromarray(np.rint(share * 255).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    picture.putpalette(np.rint(ramp(np.linspace(0, 1, 256))).astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _wav(path: Path) -> tuple[bytes, float]:
    """(16-bit WAV with its one or two channels, seconds), at a rate that browsers play."""
    with _open(path) as stream:
        rate_hz, channels = stream.rate_hz, min(2, stream.channels)
        left = round(PREVIEW_SECONDS * rate_hz)
        parts: list[np.ndarray] = []
        for block in stream.blocks:
            mixed = block if block.shape[1] == channels else block.mean(axis=1, dtype=np.float32)[:, None]
            channels = mixed.shape[1]
            parts.append(np.rint(np.clip(np.nan_to_num(mixed[:left]), -1, 1) * 32767).astype("<i2"))
            left -= len(block)
            if left <= 0:
                break
    if not parts:
        raise FileError(*_NO_SOUND)
    samples = np.concatenate(parts)
    played_hz = int(min(max(rate_hz, HEARABLE_HZ[0]), HEARABLE_HZ[1]))
    if played_hz != rate_hz:
        import soxr

        samples = np.asarray(soxr.resample(samples, rate_hz, played_hz, quality="HQ"), "<i2")
    buffer = io.BytesIO()
    with wav.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(played_hz)
        file.writeframes(samples.tobytes())
    return buffer.getvalue(), len(samples) / played_hz


# -- what was drawn ----------------------------------------------------------------------------------------------------


def _kept(studio: Studio, project: str, sample: str, draw: Callable[[Path, str | None], bytes]) -> Drawn:
    """A thumbnail from the cache, or drawn and put there."""
    opened = studio.project(project)
    opened.sample(sample)  # of this project, not of another whose picture is in the cache
    key = _thumb_key(sample)
    with _cache:
        found = next((value for _, value in studio.cache().get([key])), None)
    if found is None:
        content = draw(opened.path(sample), opened.modality)
        glimpse = _glimpse(content)
        with _cache:
            studio.cache().put([(key, content), (_glimpse_key(sample), glimpse)])
    else:
        content = found
    return content, _kind(content), {}


def _glimpse(thumb: bytes) -> bytes:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(thumb)) as picture:
        small = ImageOps.fit(picture.convert("RGB"), (GLIMPSE, GLIMPSE), Image.Resampling.BOX)
    return small.tobytes("raw", "BGR")


def _kind(thumb: bytes) -> str:
    return "image/png" if thumb.startswith(b"\x89PNG") else "image/jpeg"


def _thumb_key(sample: str) -> str:
    return f"thumb-{VERSION}-{sample}"


def _glimpse_key(sample: str) -> str:
    return f"glimpse-{VERSION}-{sample}"
