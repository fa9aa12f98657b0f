"""torch.export: an ExportedProgram for PyTorch, AOTInductor and ExecuTorch. Any number of items at once.

Made from the run's own graph; classes and settings lie in the archive as `handful.json`.
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


class Pt2:
    """model.pt2."""

    file = "model.pt2"
    engine = "torch"
    extra = "torch"
    tolerance = MAX_ERROR
    programs = True

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        torch = optional("torch", "torch", said("extra.export", format="pt2"))
        onnx = optional("onnx", "learn", said("extra.export", format="pt2"))
        proto = onnx.load_model(run.file("model.onnx"), load_external_data=False)
        network, item = _torch_graph.module(proto), _torch_graph.example(proto)
        metadata = to_json(Predictor.load(run.path).metadata)
        path = folder / self.file
        with warnings.catch_warnings(), torch.no_grad(), atomic_path(path) as temporary:
            warnings.simplefilter("ignore")
            batch = ({0: torch.export.Dim("batch", min=1, max=4096)},)
            program = torch.export.export(network, (item,), dynamic_shapes=batch, strict=False)
            with open(temporary, "wb") as file:
                torch.export.save(program, file, extra_files={"handful.json": metadata})
        return Written(path)

    def open(self, path: Path) -> Opened:
        torch = optional("torch", "torch", said("extra.reading", file=path.name))
        extra = {"handful.json": ""}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network = torch.export.load(str(path), extra_files=extra).module()
            metadata = json.loads(extra["handful.json"])
        except Exception as error:  # torch raises what its zip reader and its parser raise
            raise ExportError(*both("export.unreadable", file=path.name)) from error

        def infer(items: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return np.asarray(network(torch.tensor(items))[0].numpy())

        return Opened(metadata, infer)


exporters.add("pt2", Pt2())
