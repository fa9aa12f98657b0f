"""ONNX, fp32: the graph of the run, whole way from decoded array to probabilities, metadata inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from handful.exporting import exporters
from handful.files import copy_file
from handful.inference import Predictor
from handful.runs import Run


@exporters.register("onnx")
def onnx(run: Run, folder: Path) -> tuple[Path, Callable[[list[Path]], np.ndarray]]:
    """model.onnx, read back before it is proven."""
    path = folder / "model.onnx"
    copy_file(run.file("model.onnx"), path)
    predictor = Predictor.load(path)
    return path, lambda files: np.stack([predictor.file_logits(file) for file in files])
