"""TorchScript: one file for libtorch in C++ and for mobile programs. PyTorch has deprecated it; `pt2` is its successor.

Kept because much still loads it. The module is traced from the run's own graph; classes and settings lie in the archive
as `handful.json`.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np

from handful.errors import ExportError
from handful.exporting import MAX_ERROR, Opened, Order, Written, _torch_graph, exporters
from handful.files import atomic_path, to_json
from handful.inference import Predictor
from handful.registry import optional
from handful.runs import Run
from handful.words import both, said

NOTE = "TorchScript is deprecated by PyTorch: for new programs use pt2 or onnx"


class TorchScript:
    """model.torchscript.pt."""

    file = "model.torchscript.pt"
    engine = "torch"
    extra = "torch"
    tolerance = MAX_ERROR
    programs = True

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        torch = optional("torch", "torch", said("extra.export", format="TorchScript"))
        onnx = optional("onnx", "learn", said("extra.export", format="TorchScript"))
        proto = onnx.load_model(run.file("model.onnx"), load_external_data=False)
        metadata = to_json(Predictor.load(run.path).metadata)
        network, item = _torch_graph.module(proto), _torch_graph.example(proto)
        path = folder / self.file
        with warnings.catch_warnings(), torch.no_grad(), atomic_path(path) as temporary:
            warnings.simplefilter("ignore")  # of the deprecation, which NOTE tells
            traced = torch.jit.trace(network, item, check_trace=False)
            torch.jit.save(traced, str(temporary), _extra_files={"handful.json": metadata})
        return Written(path, (NOTE,))

    def open(self, path: Path) -> Opened:
        torch = optional("torch", "torch", said("extra.reading", file=path.name))
        extra = {"handful.json": ""}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
            metadata = json.loads(extra["handful.json"])
        except (RuntimeError, ValueError, OSError) as error:
            raise ExportError(*both("export.unreadable", file=path.name)) from error

        def infer(items: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return np.asarray(network(torch.tensor(items))[0].numpy())

        return Opened(metadata, infer)


exporters.add("torchscript", TorchScript())
