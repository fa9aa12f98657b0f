"""ONNX, fp32: the graph of the run, whole way from decoded array to probabilities, metadata inside."""

from __future__ import annotations

from pathlib import Path

from handful.exporting import MAX_ERROR, Opened, Order, Written, exporters
from handful.files import copy_file
from handful.inference import Predictor
from handful.runs import Run


class Onnx:
    """model.onnx, for ONNX Runtime and everything else that reads ONNX."""

    file = "model.onnx"
    engine = "onnxruntime"
    tolerance = MAX_ERROR

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        path = folder / self.file
        copy_file(run.file("model.onnx"), path)
        return Written(path)

    def open(self, path: Path) -> Opened:
        predictor = Predictor.load(path)
        return Opened(predictor.metadata, predictor.logits)


exporters.add("onnx", Onnx())
