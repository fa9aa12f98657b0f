"""Sound files to blocks of samples: what a file is is decided by its first bytes, never by its name.

WAV, AIFF, AU, CAF, W64, RF64, FLAC, Ogg (Vorbis, Opus) and MP3 go to libsndfile; MP4 / M4A, AAC, AMR, ASF and WebM to
PyAV. Blocks are bounded, so memory does not grow with length, and no number in a header is believed: lengths are
counted. Knows nothing about windows, resampling or features.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from handful.errors import FileError, MissingExtra
from handful.registry import optional
from handful.words import Number, Said, reason, said

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
MAX_CHANNELS = 64
BLOCK_VALUES = 1 << 18  # samples times channels decoded at once (1 MiB as float32)
MAX_VALUE = 1e6  # beyond this no recording goes, also not one whose floats were never scaled to -1..1

SNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"caff", b"fLaC", b"OggS")
FOREIGN = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"%PDF": "pdf",
    b"\x7fELF": "program",
    b"PK\x03\x04": "zip",
    b"MThd": "midi",
    b"<": "web",
}
_SAVE = said("file.save_sound")


@dataclass
class SoundStream:
    """One open sound: `blocks` yields float32 [frames, channels]; the fields after it are complete once it has ended."""

    rate_hz: int
    channels: int
    container: str
    encoding: str
    blocks: Iterator[np.ndarray]
    claimed_seconds: float  # what the header says
    notes: list[Said] = field(default_factory=list)  # what is wrong with the file although it can be used


def _seconds(value: float) -> Number:
    return Number(round(value, 2), "count")


def kind_of(head: bytes) -> str:
    """'sndfile', 'mp3', the name of an FFmpeg demuxer, or '' when the bytes are no known sound."""
    if head.startswith(SNDFILE_MAGIC) and head[8:12] not in (b"AVI ", b"WEBP"):
        return "sndfile"
    if head.startswith(b"ID3"):
        return "mp3"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "aac"
    if _mpeg_frame(head, 0) or _mpeg_start(head) >= 0:
        return "mp3"
    if head[4:8] in (b"ftyp", b"moov"):
        return "mp4"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head.startswith(b"#!AMR"):
        return "amr"
    if head.startswith(b"0&\xb2u\x8ef\xcf\x11"):
        return "asf"
    return ""


def _mpeg_frame(data: bytes, at: int) -> int:
    """Length in bytes of the MPEG-1/2 layer III frame whose header is at `at`; 0 where there is none (ISO 11172-3, 2.4.2.3)."""
    header = data[at : at + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2 or header[1] & 0x18 == 0x08:
        return 0
    version_1 = header[1] & 0x18 == 0x18
    kbits = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
    kbits_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
    rate = (44100, 48000, 32000, 0)[header[2] >> 2 & 3] >> {0x18: 0, 0x10: 1, 0x00: 2}[header[1] & 0x18]
    bits = (kbits if version_1 else kbits_2)[header[2] >> 4] * 1000
    if not rate or not bits:
        return 0
    return (144 if version_1 else 72) * bits // rate + (header[2] >> 1 & 1)


def _mpeg_start(data: bytes) -> int:
    """Where three MPEG frames follow each other: the beginning of an MP3 after padding or damage; -1 if nowhere."""
    at = data.find(b"\xff")
    while at >= 0:
        second = at + _mpeg_frame(data, at)
        third = second + _mpeg_frame(data, second)
        if at < second < third and _mpeg_frame(data, third):
            return at
        at = data.find(b"\xff", at + 1)
    return -1


_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_stderr = -1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: libmpg123 prints its notes there and cannot be asked not to.

    Counted, so that threads may nest it; the last one out brings stderr back.
    """
    global _quiet_depth, _quiet_stderr
    with _quiet_lock:
        if _quiet_depth == 0:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            _quiet_stderr = os.dup(2)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                os.dup2(_quiet_stderr, 2)
                os.close(_quiet_stderr)


@contextlib.contextmanager
def open_sound(source: Path | bytes) -> Iterator[SoundStream]:
    """Open a file or its bytes. Raises FileError with kind 'empty', 'format' or 'corrupt'; also while blocks are read."""
    with _binary(source) as file:
        head = file.read(1 << 16)
        file.seek(0)
        if not head:
            raise FileError(said("file.empty_sound"), said("file.empty_sound.fix"), kind="empty")
        kind = kind_of(head)
        if not kind:
            raise _foreign(head)
        if kind not in ("sndfile", "mp3"):
            with _open_av(file, kind) as stream:
                yield _checked(stream)
            return
        if kind == "mp3" and not head.startswith(b"ID3") and (start := _mpeg_start(head)) > 0:
            file.seek(start)
            file = io.BytesIO(file.read())
        with _quiet() if kind == "mp3" else contextlib.nullcontext(), _open_sndfile(file) as stream:
            yield _checked(stream)


@contextlib.contextmanager
def _binary(source: Path | bytes) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        file = open(source, "rb", buffering=0)  # libsndfile reads from the same descriptor: nothing may be read ahead
    except OSError as error:
        message = said("file.closed", reason=reason(error))
        raise FileError(message, said("file.closed.fix")) from error
    with file:
        yield file


def _foreign(head: bytes) -> FileError:
    for magic, name in FOREIGN.items():
        if head.lstrip().startswith(magic):
            return FileError(
                said("file.foreign", what=said(f"foreign.{name}")), said("file.foreign.fix"), kind="format"
            )
    return FileError(said("file.no_sound"), _SAVE, kind="corrupt")


def _checked(stream: SoundStream) -> SoundStream:
    if not MIN_RATE_HZ <= stream.rate_hz <= MAX_RATE_HZ:
        hint = said("file.rate.fix", low=MIN_RATE_HZ, high=MAX_RATE_HZ)
        raise FileError(said("file.rate", rate=stream.rate_hz), hint)
    if not 1 <= stream.channels <= MAX_CHANNELS:
        raise FileError(said("file.channels", n=stream.channels), said("file.channels.fix", most=MAX_CHANNELS))
    return stream


@contextlib.contextmanager
def _open_sndfile(file: BinaryIO) -> Iterator[SoundStream]:
    import soundfile

    # A descriptor is faster than a Python file, and libsndfile then sees no name to guess a format from.
    source = file if isinstance(file, io.BytesIO) else file.fileno()
    try:
        sound = soundfile.SoundFile(source, closefd=False)
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:
        reason = str(error).split(": ", 1)[-1].rstrip(".")
        message = said("file.undecodable", reason=f"{reason[:1].lower()}{reason[1:]}")
        raise FileError(message, _SAVE) from error
    with sound:
        stream = SoundStream(
            rate_hz=sound.samplerate,
            channels=sound.channels,
            container=sound.format,
            encoding=sound.subtype,
            blocks=iter(()),
            claimed_seconds=max(0, sound.frames) / max(1, sound.samplerate),
        )
        if wrong := re.search(r"data\s*: (\d+) \(should be (\d+)\)", sound.extra_info):
            claimed, there = int(wrong[1]), int(wrong[2])
            if claimed < 0xFFFFFFF0 and there < claimed:  # the highest sizes mean "not known", written by pipes
                stream.claimed_seconds = claimed / max(1, there) * stream.claimed_seconds
                stream.notes.append(said("flaw.header", claimed=claimed, there=there))
        stream.blocks = _sndfile_blocks(sound, stream)
        yield stream


def _sndfile_blocks(sound: Any, stream: SoundStream) -> Iterator[np.ndarray]:
    import soundfile

    frames = max(1, BLOCK_VALUES // sound.channels)
    done = 0
    while True:
        try:
            block = sound.read(frames, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError, RuntimeError) as error:
            if not done:
                raise FileError(said("file.damaged_sound"), _SAVE) from error
            stream.notes.append(said("flaw.breaks", seconds=_seconds(done / sound.samplerate)))
            return
        if not len(block):
            break
        done += len(block)
        yield block
    if sound.frames < 1 << 62 and done < 0.98 * sound.frames - 4096:
        ends, of = _seconds(done / sound.samplerate), _seconds(stream.claimed_seconds)
        stream.notes.append(said("flaw.ends", seconds=ends, of=of))


@contextlib.contextmanager
def _open_av(file: BinaryIO, demuxer: str) -> Iterator[SoundStream]:
    try:
        av = optional("av", "phone", said("extra.phone_sound"))
    except MissingExtra as error:
        raise FileError(error.message, error.hint, kind="format") from error
    try:
        # The demuxer is named, so that no playlist or concatenation script can make FFmpeg open other files.
        container = av.open(file, format=demuxer, metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise FileError(said("file.damaged_container"), _SAVE) from error
    with container:
        if not container.streams.audio:
            raise FileError(said("file.no_track"), _SAVE, kind="format")
        track = container.streams.audio[0]
        context = track.codec_context
        if not context.sample_rate or not context.layout.nb_channels:
            raise FileError(said("file.no_rate"), _SAVE)
        stream = SoundStream(
            rate_hz=context.sample_rate,
            channels=context.layout.nb_channels,
            container=container.format.name.split(",")[0].upper(),
            encoding=context.name.upper(),
            blocks=iter(()),
            claimed_seconds=float((track.duration or 0) * track.time_base) if track.time_base else 0.0,
        )
        stream.blocks = _av_blocks(av, container, track, stream)
        yield stream


def _av_blocks(av: Any, container: Any, track: Any, stream: SoundStream) -> Iterator[np.ndarray]:
    resampler = av.AudioResampler(format="fltp", layout=track.codec_context.layout, rate=stream.rate_hz)
    done = 0
    try:
        for frame in container.decode(track):
            frame.pts = None
            for part in resampler.resample(frame):
                block = np.ascontiguousarray(part.to_ndarray().T, np.float32)
                done += len(block)
                yield block
    except (av.FFmpegError, ValueError) as error:
        if not done:
            raise FileError(said("file.damaged_sound"), _SAVE) from error
        stream.notes.append(said("flaw.breaks", seconds=_seconds(done / stream.rate_hz)))
