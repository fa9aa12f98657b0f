"""Core ML, for iPhones and Macs. Its runtime exists on macOS alone, so no such export can be proven elsewhere: none is written."""

from __future__ import annotations

from pathlib import Path

from handful.errors import ExportError
from handful.exporting import MAX_ERROR, Opened, Order, Written, exporters
from handful.runs import Run

WHY = "a Core ML model runs on macOS only, so this machine cannot prove that it predicts the same"
HOW = "export pt2 here; on a Mac: pip install coremltools, then coremltools.convert(torch.export.load('model.pt2'))"


class CoreMl:
    """Says what stands in the way."""

    file = "model.mlpackage"
    engine = "coreml"
    tolerance = MAX_ERROR
    unavailable = WHY

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        raise ExportError(WHY, HOW)

    def open(self, path: Path) -> Opened:
        raise ExportError(WHY, HOW)


exporters.add("coreml", CoreMl())
