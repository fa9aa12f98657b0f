"""A folder, and a zip of it, that predicts without handful: model, code, labels, test vectors, model card.

What is proven is the bundle's own program in a fresh interpreter, not this package.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from handful.errors import ExportError
from handful.exporting import MAX_ERROR, Opened, Order, Written, exporters
from handful.files import shown, to_json
from handful.inference import Predictor
from handful.runs import Run
from handful.words import both

_REQUIREMENTS = {"image": "numpy\nonnxruntime\npillow\n", "audio": "numpy\nonnxruntime\nsoundfile\nsoxr\n"}


class Bundle:
    """bundle/: appears whole by one rename, an older one is replaced."""

    file = "bundle"
    engine = "onnxruntime"
    tolerance = MAX_ERROR

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        return Written(self.filled(run, folder, run.file("model.onnx")))

    def filled(self, run: Run, folder: Path, model: Path, drop: dict[str, Any] | None = None) -> Path:
        """A bundle of `model`, an ONNX file of this run. `drop`: what rounding cost it, for the model card."""
        made = Path(tempfile.mkdtemp(prefix=".bundle.tmp-", dir=folder))
        path = folder / self.file
        try:
            _fill(made, run, model, drop)
            if path.exists():
                old = Path(tempfile.mkdtemp(prefix=".bundle.tmp-", dir=folder))
                path.rename(old / "bundle")
                made.rename(path)
                shutil.rmtree(old)
            else:
                made.rename(path)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        path.chmod(0o755)
        return path

    def open(self, path: Path) -> Opened:
        predictor = Predictor.load(path)
        return _Program(predictor.metadata, predictor.logits, path)


@dataclass(frozen=True)
class _Program(Opened):
    """A bundle whose own program answers."""

    folder: Path

    def answers(self, files: Sequence[Path]) -> np.ndarray:
        return _logits(self.folder, list(files))


def _fill(made: Path, run: Run, model: Path, drop: dict[str, Any] | None) -> None:
    result = run.result
    templates = resources.files("handful.exporting") / "templates"
    decoder = (
        resources.files("handful.features") / "_decode_image.py"
        if result["modality"] == "image"
        else templates / "decode_audio.py"
    )
    shutil.copyfile(model, made / "model.onnx")
    shutil.copyfile(run.file("vectors.json"), made / "vectors.json")
    shutil.copytree(run.file("vectors"), made / "vectors")
    programs = {
        "predict.py": templates / f"predict_{result['modality']}.py",
        "decode.py": decoder,
        **{name: templates / name for name in ("predict.mjs", "predict.cpp", "Dockerfile")},
    }
    for name, source in programs.items():
        (made / name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    (made / "requirements.txt").write_text(_REQUIREMENTS[result["modality"]], encoding="utf-8")
    # Class names reach programs only through these files, never pasted into code. JSON, one string a line: a class name
    # with a line break would shift the lines after it.
    (made / "labels.json").write_text(to_json(result["classes"], indent=1), encoding="utf-8")
    metadata = Predictor.load(model).metadata
    (made / "settings.json").write_text(to_json(metadata, indent=1), encoding="utf-8")
    licence = metadata["licence"]
    (made / "NOTICE").write_text(_NOTICE.format(model=result["model"], licence=licence), encoding="utf-8")
    card = jinja2.Template((templates / "README.md.j2").read_text(encoding="utf-8"), keep_trailing_newline=True)
    text = card.render(
        r=result, names=[_marked(name) for name in result["classes"]], weights=_marked(result["weights"] or "none"), licence=licence,
        front=_front_matter(result, licence), drop=drop,
    )  # fmt: skip
    (made / "README.md").write_text(text, encoding="utf-8")


def _marked(name: str) -> str:
    """A name as it may stand in Markdown: on one line, nothing in it is mark-up or moves a cursor."""
    return shown(" ".join(name.split())).translate(_MARKDOWN)


def _front_matter(result: dict[str, Any], licence: str) -> str:
    """YAML for the Hugging Face hub: what the model is, its licence, its measured figures."""
    import yaml

    kind = "image-classification" if result["modality"] == "image" else "audio-classification"
    parts = [("out-of-fold", result["score"], result["macro_f1"])]
    if test := result.get("test"):
        parts.append(("test", test, test.get("macro_f1")))
    results = [
        {
            "task": {"type": kind},
            "dataset": {"name": Path(result["data"]["path"]).name, "type": "custom", "split": split},
            "metrics": [
                {
                    "type": "accuracy",
                    "value": score["value"],
                    "name": f"{100 * score['value']:.1f} % (n = {score['n']})",
                },
                *([{"type": "f1", "value": f1, "name": "macro F1"}] if f1 is not None else []),
            ],
        }
        for split, score, f1 in parts
        if score["metric"] == "accuracy"
    ]
    front = {
        "license": licence.lower(), "library_name": "handful", "pipeline_tag": kind, "tags": ["handful", "onnx", result["modality"]],
        "metrics": ["accuracy", "f1"], "model-index": [{"name": result["model"], "results": results}],
    }  # fmt: skip
    return str(yaml.safe_dump(front, sort_keys=False, allow_unicode=False))


_NOTICE = """The weights of the backbone ({model}) are under the licence {licence}; what was trained on them is yours, within that licence.
predict.py, decode.py, predict.mjs, predict.cpp and Dockerfile come with handful, under the Apache License 2.0:
https://www.apache.org/licenses/LICENSE-2.0
The files in vectors/ are copies of training data and keep the licence that they have.
"""
_MARKDOWN = {ord(c): f"\\{c}" for c in "\\`*_{}[]<>#|!"}


def _logits(folder: Path, files: list[Path]) -> np.ndarray:
    command = [sys.executable, "-I", "-B", str(folder / "predict.py"), "--logits", "--", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ExportError(*both("export.predict_failed", why=last[0]))
    return np.array([json.loads(line) for line in done.stdout.splitlines()])


exporters.add("bundle", Bundle())
