"""LiteRT (TensorFlow Lite), for Android. Its converter asks for other releases of libraries that handful needs: none is written."""

from __future__ import annotations

from pathlib import Path

from handful.errors import ExportError
from handful.exporting import MAX_ERROR, Opened, Order, Written, exporters
from handful.runs import Run

WHY = "the converter to LiteRT (litert-torch) needs other releases of libraries than handful does"
HOW = "export pt2 here; in an environment of its own: pip install litert-torch, then litert_torch.convert(...)"


class LiteRt:
    """Says what stands in the way."""

    file = "model.tflite"
    engine = "litert"
    tolerance = MAX_ERROR
    unavailable = WHY

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        raise ExportError(WHY, HOW)

    def open(self, path: Path) -> Opened:
        raise ExportError(WHY, HOW)


exporters.add("litert", LiteRt())
