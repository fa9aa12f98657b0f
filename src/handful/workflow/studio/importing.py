"""Files on their way in: imports with a preview before anything happens, and takes of microphone and camera."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handful.errors import FileError
from handful.projects import NotFound
from handful.words import Said, Sentence, both, said
from handful.workflow.studio.indexing import sample_row

if TYPE_CHECKING:
    from handful.projects import Import, Preview, Received, Sample, Take
    from handful.workflow.studio import Studio


def begin(studio: Studio, project: str) -> Preview:
    return studio.project(project).begin_import().preview()


def preview(
    studio: Studio, project: str, name: str, table: str | None = None, file_column: str | None = None,
    label_column: str | None = None,
) -> Preview:  # fmt: skip
    """What an import would do, by its folders or by a `table` whose columns may be named."""
    from handful.projects import ImportChoice

    choice = ImportChoice(table=table, file_column=file_column, label_column=label_column)
    return _import(studio, project, name).preview(choice)


def cancel(studio: Studio, project: str, name: str) -> None:
    _import(studio, project, name).drop()


def add_file(studio: Studio, project: str, name: str, path: str, content: bytes | Path) -> dict[str, Any]:
    """One file has come: taken, or refused with the reason. The import goes on in both cases."""
    found, size = _received(_import(studio, project, name), path, content)
    reason = found.rejects[0].reason if found.rejects and not found.files else None
    return {"path": path, "bytes": size, "files": len(found.files), "reason": reason}


def add_table(studio: Studio, project: str, name: str, path: str, content: bytes | Path) -> Preview:
    bring = _import(studio, project, name)
    found, _ = _received(bring, path, content, table=True)
    if found.rejects and not found.files:
        raise FileError(found.rejects[0].reason, said("error.table.fix"), "format")
    return bring.preview()


def confirm(studio: Studio, project: str, name: str, choice: Mapping[str, Any]) -> dict[str, Any]:
    from handful.projects import ImportChoice
    from handful.workflow.studio import collect

    made = _import(studio, project, name).confirm(ImportChoice(**choice))
    studio.draw_ahead(project)
    return collect.done(studio.project(project), made.action, made.words)


def _received(bring: Import, path: str, content: bytes | Path, table: bool = False) -> tuple[Received, int]:
    """(what became of it, its size)."""
    with _wanted():
        if isinstance(content, bytes):
            return bring.receive(path, content, len(content), table=table), len(content)
        size = content.stat().st_size
        with open(content, "rb") as file:
            return bring.receive(path, file, size, table=table), size


@contextlib.contextmanager
def _wanted() -> Iterator[None]:
    """Raises NotFound where the place of a file went away while it came."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(*both("error.import_deleted")) from error


def _import(studio: Studio, project: str, name: str) -> Import:
    return studio.project(project).open_import(name)


# -- takes -------------------------------------------------------------------------------------------------------------


def begin_take(studio: Studio, project: str, label: str, source: str, device: str = "") -> Take:
    return studio.project(project).begin_take(label, source, device)


def add_to_take(
    studio: Studio, project: str, name: str, content: bytes | Path, seconds: float | None = None
) -> dict[str, Any]:
    """A recording or a photo becomes samples of the take, in the shape Recorded; a WAV longer than `seconds` becomes clips.

    Clips that hold nothing but digital silence are left out, and so are those that the project has already; what remains at
    the end is a clip from half the length on.

    Raises:
        FileError: it is none of WAV, JPEG and PNG; nothing but silence; or damaged.
    """
    from handful.projects import Sample

    opened = studio.project(project)
    take = opened.take(name)
    suffix = _recorded(_head(content))
    clips: Iterator[bytes | Path | None] = iter([content]) if suffix != "wav" else _clips(content, seconds)
    number = sum(sample.group == take.id for sample in opened.samples)
    added: list[Sample] = []
    known: list[str] = []
    silent = 0
    for clip in clips:
        if clip is None:
            silent += 1
            continue
        number += 1
        called = f"{take.id}-{number:03d}.{suffix}"
        try:
            with _wanted():
                found = opened.add(clip, take.label, called, take=take.id)
        except FileError as error:  # nobody has seen that name yet
            taken = Sentence("named.recording" if suffix == "wav" else "named.picture")
            raise FileError(_called(error.message, taken), error.hint, error.kind) from error
        if isinstance(found, Sample):
            added.append(found)
        else:
            known.append(found.sample.label)
    last = opened.undoable
    mine = last if added and last is not None and last.values.get("take") == take.id else None
    return {
        "samples": [sample_row(sample) | {"flags": []} for sample in added], "known": len(known),
        "known_in": list(dict.fromkeys(known)), "silent": silent, "action": str(mine.seq) if mine else None,
    }  # fmt: skip


def _called(message: str, name: Sentence) -> str:
    """What was said of a file, with another name for it."""
    if isinstance(message, Said) and "file" in message.sentence.values:
        return said(message.sentence.key, **{**message.sentence.values, "file": name})
    return message


def _head(content: bytes | Path) -> bytes:
    if isinstance(content, bytes):
        return content[:64]
    with open(content, "rb") as file:
        return file.read(64)


def _recorded(head: bytes) -> str:
    """The suffix of what pages record. Other containers are named, with what to do about them."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    found = next((kind for start, kind in _CONTAINERS if head[4:8] == start or head.startswith(start)), None)
    what = Sentence(f"container.{found}")
    message = said("error.not_take_named", what=what) if found else said("error.not_take")
    raise FileError(message, said("error.not_take.fix"), "format")


_CONTAINERS = (
    (b"\x1aE\xdf\xa3", "webm"), (b"ftyp", "mp4"), (b"OggS", "ogg"), (b"fLaC", "flac"), (b"ID3", "mp3"), (b"GIF8", "gif"),
    (b"caff", "caf"),
)  # fmt: skip


def _clips(content: bytes | Path, seconds: float | None) -> Iterator[bytes | Path | None]:
    """The recording as it is, or cut into 16-bit WAV clips at its own rate; None for each that is silent."""
    import soundfile

    heard = False
    try:
        with soundfile.SoundFile(io.BytesIO(content) if isinstance(content, bytes) else content) as sound:
            rate_hz, total = sound.samplerate, len(sound)
            size = max(1, round((seconds or total / rate_hz) * rate_hz))
            if total <= size:
                heard = any(map(_heard, sound.blocks(rate_hz * 10, dtype="float32", always_2d=True)))
                if heard:
                    yield content
            else:
                for wave in sound.blocks(size, dtype="float32", always_2d=True):
                    if len(wave) < size / 2:
                        continue
                    if not _heard(wave):
                        yield None
                    else:
                        heard = True
                        buffer = io.BytesIO()
                        soundfile.write(buffer, np.clip(wave, -1, 1), rate_hz, format="WAV", subtype="PCM_16")
                        yield buffer.getvalue()
    except soundfile.LibsndfileError as error:
        raise FileError(said("error.take_damaged"), said("error.take_again.fix")) from error
    if not total:
        raise FileError(said("error.take_empty"), said("error.take_again.fix"), "empty")
    if not heard:
        raise FileError(said("error.take_silent"), said("error.take_silent.fix"), "silent")


def _heard(wave: np.ndarray) -> bool:
    """Whether anything moves above -80 dB of full scale."""
    from handful.features.audio import SILENT_RMS

    finite = np.nan_to_num(wave, nan=0.0, posinf=0.0, neginf=0.0).mean(axis=1)
    return bool(np.std(finite, dtype=np.float64) >= SILENT_RMS)
