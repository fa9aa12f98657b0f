"""Repeat an export's proof on this machine."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from handful.errors import ExportError, RunError
from handful.files import shown


def verify(bundle: str | os.PathLike[str], *, trust: bool = False) -> dict[str, Any]:
    """Whether a model predicts here what the trained model predicted: its test vectors, read from the raw files.

    Args:
        bundle: a bundle (folder or zip), a run directory, or a file in RUN/exports. No code of a bundle is run: its model is
            read by this program.
        trust: open TorchScript and pt2 files that were not exported here, too. They can hold programs, which would run.

    Returns:
        {"schema", "model", "format", "max_error" (share of the logits' spread; None where nothing could be compared), "agree",
        "n", "ok", "why"}

    Raises:
        RunError: there is no model.
        ExportError: there are no test vectors, they were changed, or the file could run a program.
    """
    from handful.exporting import disagreement, exporters, tolerance_of, vectors
    from handful.inference import Packed, Predictor
    from handful.own import remembered

    place = Path(bundle).expanduser().absolute()
    if not place.exists():
        raise RunError(f"there is no model at {shown(str(place))}", "give a bundle that `handful export` made")
    with tempfile.TemporaryDirectory(prefix="handful-verify-") as unpacked:
        if place.suffix.lower() == ".zip" and zipfile.is_zipfile(place):
            with Packed(place) as packed:
                packed.unpack(Path(unpacked))
            place = Path(unpacked)
        if (place / "model.onnx").is_file():
            name, path, home = "onnx", place / "model.onnx", place
        else:
            name, path, home = _format(place), place, place.parent.parent
        if not (home / "vectors.json").is_file():
            raise ExportError(
                f"beside {shown(str(bundle))} lie no test vectors, so nothing can be proven",
                "give a bundle, a run directory, or a file in RUN/exports",
            )
        exporter = exporters.get(name)
        files, expected = vectors(home)
        if getattr(exporter, "programs", False) and not trust and not remembered(path):
            raise ExportError(
                f"{shown(path.name)} was not exported here, and such files can contain programs: verifying it could run them",
                "add --trust if you trust where it comes from; the ONNX file or bundle of a run needs none",
            )
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
