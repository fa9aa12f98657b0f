"""LiteRT (TensorFlow Lite), for Android. Its converter asks for other releases of libraries that handful needs: none is written."""

from __future__ import annotations

from handful.exporting import Elsewhere, exporters

exporters.add(
    "litert",
    Elsewhere(
        file="model.tflite",
        engine="litert",
        unavailable="the converter to LiteRT (litert-torch) needs other releases of libraries than handful does",
        how="export pt2 here; in an environment of its own: pip install litert-torch, then litert_torch.convert(...)",
    ),
)
