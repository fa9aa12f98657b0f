"""ONNX with 16-bit weights of the network and 32-bit arithmetic: half the file, the same answers within the proof's limit.

ONNX Runtime widens the weights once, when it loads the file, so that it is as fast as fp32. Arithmetic in fp16 would be
slower than fp32 on CPUs, and filter banks would lose their quiet parts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from handful.errors import ExportError
from handful.exporting import MAX_ERROR, Order, Written, _network, agreement, exporters, vectors
from handful.exporting.onnx import Onnx
from handful.files import atomic_write
from handful.registry import optional
from handful.runs import Run
from handful.words import both, said

SHARES = (1.0, 0.5, 0.25)  # of the layers, the largest first, until answers stay the same


class Fp16(Onnx):
    """model.fp16.onnx."""

    file = "model.fp16.onnx"
    extra = "learn"
    tolerance = MAX_ERROR

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        onnx = optional("onnx", "learn", said("extra.export", format="fp16"))
        proto = onnx.load_model(run.file("model.onnx"), load_external_data=False)
        dims = {name: int(np.prod(tensor.dims)) for name, tensor in _network.weights(proto).items()}
        names = sorted({layer.input[1] for layer in _network.layers(proto)}, key=lambda name: -dims[name])
        if not names:
            raise ExportError(*both("export.no_layers", model=str(run.result["model"]), format="fp16"))
        path = folder / self.file
        files, expected = vectors(run.path)
        notes: tuple[str, ...] = ()
        for share in SHARES:
            chosen = names[: max(1, round(share * len(names)))]
            atomic_write(path, _halved(proto, chosen))
            if len(chosen) < len(names):
                notes = (said("export.partly_fp16", n=len(chosen), of=len(names)),)
            if agreement(expected, self.open(path).answers(files))[0] <= self.tolerance:
                break
        return Written(path, notes)


def _halved(proto: Any, names: list[str]) -> bytes:
    """`proto` with the weights `names` as fp16, each followed by a Cast."""
    from onnx import ModelProto, helper, numpy_helper

    copy = ModelProto()
    copy.CopyFrom(proto)
    known = _network.weights(copy)
    for name in names:
        half = np.clip(numpy_helper.to_array(known[name]), -65504, 65504).astype(np.float16)
        known[name].CopyFrom(numpy_helper.from_array(half, f"{name}/half"))
        copy.graph.node.insert(0, helper.make_node("Cast", [f"{name}/half"], [name], to=1))
    return bytes(copy.SerializeToString(deterministic=True))


exporters.add("fp16", Fp16())
