"""Core ML, for iPhones and Macs. Its runtime exists on macOS alone, so no such export can be proven elsewhere: none is written."""

from __future__ import annotations

from handful.exporting import Elsewhere, exporters
from handful.words import said

exporters.add(
    "coreml",
    Elsewhere(
        file="model.mlpackage",
        engine="coreml",
        unavailable=said("export.no_coreml"),
        how="export pt2 here; on a Mac: pip install coremltools, then coremltools.convert(torch.export.load('model.pt2'))",
    ),
)
