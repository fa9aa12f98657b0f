"""OpenVINO: model.xml and model.bin in a folder, for Intel's CPUs, GPUs and NPUs. Weights and arithmetic in fp32.

On processors with AMX, OpenVINO computes in bfloat16 unless it is asked for fp32 when the model is compiled. That is not
what was proven, so the export says how to ask.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from handful.errors import ExportError
from handful.exporting import MAX_ERROR, Opened, Order, Written, exporters, remove
from handful.files import to_json
from handful.graph import run_threads
from handful.inference import Predictor
from handful.registry import optional
from handful.runs import Run
from handful.words import both, said

NOTE = "proven in fp32: compile it with INFERENCE_PRECISION_HINT=f32, newer processors use bfloat16 otherwise"


class OpenVino:
    """openvino/model.xml, openvino/model.bin. `read_model`, unlike `convert_model`, sends no telemetry."""

    file = "openvino"
    engine = "openvino"
    extra = "openvino"
    tolerance = MAX_ERROR

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        ov = optional("openvino", "openvino", said("extra.export", format="OpenVINO"))
        model = ov.Core().read_model(str(run.file("model.onnx")))
        model.set_rt_info(to_json(Predictor.load(run.path).metadata), ["handful"])
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".openvino.tmp-", dir=folder))
        path = folder / self.file
        try:
            ov.save_model(model, str(made / "model.xml"), compress_to_fp16=False)
            made.chmod(0o755)
            remove(path)
            made.rename(path)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        return Written(path, (NOTE,))

    def open(self, path: Path) -> Opened:
        ov = optional("openvino", "openvino", said("extra.reading", file=path.name))
        core = ov.Core()
        try:
            model = core.read_model(str(path / "model.xml"))
            metadata = json.loads(model.get_rt_info(["handful"]).astype(str))
        except (RuntimeError, ValueError) as error:
            raise ExportError(*both("export.unreadable", file=path.name)) from error
        compiled = core.compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": run_threads(None)}
        )

        def infer(items: np.ndarray) -> np.ndarray:
            return np.array(compiled(items)["logits"])

        return Opened(metadata, infer)


exporters.add("openvino", OpenVino())
