"""Repeat an export's proof on this machine."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from handful.errors import ExportError, RunError
from handful.files import shown

MAX_BYTES = 2_000_000_000  # of an unpacked bundle


def verify(bundle: str | os.PathLike[str]) -> dict[str, Any]:
    """Whether a model predicts here what the trained model predicted: its test vectors, read from the raw files.

    Args:
        bundle: a bundle (folder or zip), a run directory, or a file in RUN/exports. No code of a bundle is run: its model is
            read by this program. TorchScript and pt2 files can hold code of their own; verify only those you trust.

    Returns:
        {"schema", "model", "format", "max_error" (share of the logits' spread; None where nothing could be compared), "agree",
        "n", "ok", "why"}

    Raises:
        RunError: there is no model.
        ExportError: there are no test vectors, or they were changed.
    """
    from handful.exporting import disagreement, exporters, tolerance_of, vectors
    from handful.inference import Predictor

    place = Path(bundle).expanduser().absolute()
    if not place.exists():
        raise RunError(f"there is no model at {shown(str(place))}", "give a bundle that `handful export` made")
    with tempfile.TemporaryDirectory(prefix="handful-verify-") as unpacked:
        if place.is_file() and zipfile.is_zipfile(place) and place.suffix.lower() == ".zip":
            place = _unpack(place, Path(unpacked))
        if (place / "model.onnx").is_file():
            name, path, home = "onnx", place / "model.onnx", place
        else:
            name, path, home = _format(place), place, place.parent.parent
        exporter = exporters.get(name)
        files, expected = vectors(home)
        metadata = Predictor.load(home / "model.onnx").metadata
        opened = exporter.open(path)
        tolerance = tolerance_of(exporter, opened.metadata)
        error, agree, why = disagreement(opened, metadata, files, expected, tolerance)
    return {
        "schema": 1, "model": os.fspath(bundle), "format": name, "max_error": error if error < float("inf") else None, "agree": agree,
        "n": len(files), "ok": not why, "why": why,
    }  # fmt: skip


def _format(path: Path) -> str:
    """The format of an exported file, by its name."""
    from handful.exporting import exporters

    name = next((name for name in exporters.names() if exporters.get(name).file == path.name), None)
    if name is None:
        raise RunError(f"{shown(str(path))} is no model that can be verified", "give a bundle or a file in RUN/exports")
    return name


def _unpack(archive: Path, folder: Path) -> Path:
    """The folder with model.onnx of a zipped bundle; only what a proof reads is unpacked."""
    with zipfile.ZipFile(archive) as packed:
        model = next((n for n in packed.namelist() if n.rsplit("/", 1)[-1] == "model.onnx"), None)
        if model is None:
            raise RunError(f"{shown(archive.name)} holds no model.onnx", "give a bundle that `handful export` made")
        root = model.removesuffix("model.onnx")
        wanted = [
            n for n in packed.namelist() if n in (model, f"{root}vectors.json") or n.startswith(f"{root}vectors/")
        ]
        if sum(packed.getinfo(n).file_size for n in wanted) > MAX_BYTES:
            raise ExportError(f"{shown(archive.name)} is too large", "unpack it and verify the folder")
        for name in wanted:
            packed.extract(name, folder)  # keeps names inside `folder`
    return folder / root
