"""Predict files and folders of any size, in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from handful.errors import FileError


def predict(model: str | os.PathLike[str], files: Sequence[str | os.PathLike[str]]) -> Iterator[dict[str, Any]]:
    """One row a file: `Prediction.to_dict()`, or {"file", "error"} where a file cannot be read.

    Folders are searched for media files, sorted; their rows come where the folder stood.
    """
    from handful.inference import Predictor

    predictor = Predictor.load(model)
    for answer in predictor.stream(_expand(files)):
        if isinstance(answer, tuple):
            name, error = answer
            reason = error.message + (f" ({error.hint})" if isinstance(error, FileError) and error.hint else "")
            yield {"file": name, "error": reason}
        else:
            yield answer.to_dict()


def _expand(files: Sequence[str | os.PathLike[str]]) -> Iterator[Path]:
    from handful.data.media import AUDIO_SUFFIXES, IMAGE_SUFFIXES

    for file in files:
        path = Path(file)
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES | IMAGE_SUFFIXES)
            yield from sorted(p for p in inside if p.is_file() and not p.name.startswith("."))
        else:
            yield path
