"""Export a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from handful.runs import Run


def export(
    run: str | os.PathLike[str], formats: Sequence[str] = ("onnx",), *, out: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Write a run's model in other formats, each proven on raw files to predict what the trained model predicts.

    Returns:
        {"schema", "files": [{"format", "path", "bytes", "max_error", "agree", "n", "latency_ms"}]}

    Raises:
        ExportError: an export disagrees with the trained model.
    """
    from handful.exporting import export as write
    from handful.exporting import exporters

    opened = Run.open(run)
    folder = Path(out).expanduser().absolute() if out else opened.path / "exports"
    names = [name.strip() for name in formats if name.strip()]
    for name in names:
        exporters.get(name)  # an unknown name is said before anything is written
    return {"schema": 1, "files": [write(opened, name, folder).to_dict() for name in names]}
