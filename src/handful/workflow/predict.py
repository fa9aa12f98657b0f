"""Predict files and folders of any size, in order."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from handful.errors import UsageError
from handful.files import shown


def predict(
    model: str | os.PathLike[str], files: Sequence[str | os.PathLike[str]], device: str = "auto"
) -> Iterator[dict[str, Any]]:
    """One row a file: `Prediction.to_dict()`, or {"file", "error"} where a file cannot be read.

    Folders are searched for media files, sorted; their rows come where the folder stood. One without any is a row with
    an error. `device`: cpu, cuda, or auto: the GPU where onnxruntime-gpu is installed and finds one.

    Raises:
        UsageError: the model stands among the files, or there is no such device.
        RunError: there is no model.
    """
    from handful.inference import Predictor

    if not _is_model(model) and (found := next((file for file in files if _is_model(file)), None)) is not None:
        words = [found, model, *(file for file in files if file is not found)]
        raise UsageError(
            f"{shown(os.fspath(model))} is no model: the model comes first, then the files",
            shlex.join(["handful", "predict", *(os.fspath(word) for word in words)]),
        )
    predictor = Predictor.load(model, device=device)
    for answer in predictor.stream(_expand(files)):
        if isinstance(answer, tuple):
            name, error = answer
            yield {"file": name, "error": error.message + (f" ({error.hint})" if error.hint else "")}
        else:
            yield answer.to_dict()


def _is_model(path: str | os.PathLike[str]) -> bool:
    """Whether there is a model, as far as names tell."""
    place = Path(path).expanduser()
    return (place / "model.onnx").is_file() or (place.suffix.lower() in (".onnx", ".zip") and place.is_file())


def _expand(files: Sequence[str | os.PathLike[str]]) -> Iterator[Path]:
    """Files as they are, and what is in folders; a folder without media stands for itself, so that it is not passed over."""
    from handful.data.media import ALL_SUFFIXES

    for file in files:
        path = Path(file)
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.suffix.lower() in ALL_SUFFIXES)
            yield from sorted(p for p in inside if p.is_file() and not p.name.startswith(".")) or [path]
        else:
            yield path
