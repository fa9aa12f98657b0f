"""LiteRT (TensorFlow Lite), for Android. Its converter asks for other releases of libraries that handful needs: none is written."""

from __future__ import annotations

from handful.exporting import Elsewhere, exporters
from handful.words import said

exporters.add(
    "litert",
    Elsewhere(
        file="model.tflite",
        engine="litert",
        unavailable=said("export.no_litert"),
        how="export pt2 here; in an environment of its own: pip install litert-torch, then litert_torch.convert(...)",
    ),
)
