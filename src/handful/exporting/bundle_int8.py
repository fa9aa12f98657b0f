"""A bundle with 8-bit weights: the folder that `bundle` makes, around the model that `int8` makes.

What rounding costs stands in its model card; it is refused where `int8` is.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from handful.exporting import LOSSY_ERROR, Order, Written, exporters
from handful.exporting.bundle import Bundle
from handful.exporting.int8 import Int8
from handful.runs import Run


class BundleInt8(Bundle):
    """bundle-int8/."""

    file = "bundle-int8"
    extra = "learn"
    tolerance = LOSSY_ERROR

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        with tempfile.TemporaryDirectory(prefix="handful-bundle-") as place:
            made = Int8().write(run, Path(place), order)
            path = self.filled(run, folder, made.path, made.drop)
        return Written(path, made.notes, made.drop)


exporters.add("bundle-int8", BundleInt8())
