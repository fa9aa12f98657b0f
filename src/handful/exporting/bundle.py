"""A folder that predicts without handful: model, code, labels, test vectors, model card.

What is proven is the bundle's own program in a fresh interpreter, not this package.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from handful.errors import ExportError
from handful.exporting import exporters
from handful.runs import Run

_REQUIREMENTS = {"image": "numpy\nonnxruntime\npillow\n", "audio": "numpy\nonnxruntime\nsoundfile\nsoxr\n"}


@exporters.register("bundle")
def bundle(run: Run, folder: Path) -> tuple[Path, Callable[[list[Path]], np.ndarray]]:
    """The folder `bundle/`: appears whole by one rename, an older one is replaced."""
    result = run.result
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".bundle.tmp-", dir=folder))
    try:
        _fill(made, run, result)
        final = folder / "bundle"
        if final.exists():
            old = Path(tempfile.mkdtemp(prefix=".bundle.tmp-", dir=folder))
            final.rename(old / "bundle")
            made.rename(final)
            shutil.rmtree(old)
        else:
            made.rename(final)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    final.chmod(0o755)
    return final, lambda files: _logits(final, files)


def _fill(made: Path, run: Run, result: dict[str, Any]) -> None:
    templates = resources.files("handful.exporting") / "templates"
    decoder = (
        resources.files("handful.features") / "_decode_image.py"
        if result["modality"] == "image"
        else templates / "decode_audio.py"
    )
    shutil.copyfile(run.file("model.onnx"), made / "model.onnx")
    shutil.copyfile(run.file("vectors.json"), made / "vectors.json")
    shutil.copytree(run.file("vectors"), made / "vectors")
    (made / "predict.py").write_text(
        (templates / f"predict_{result['modality']}.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    (made / "decode.py").write_text(decoder.read_text(encoding="utf-8"), encoding="utf-8")
    (made / "requirements.txt").write_text(_REQUIREMENTS[result["modality"]], encoding="utf-8")
    # A class name with a line break would shift the lines after it: JSON, one string a line.
    (made / "labels.json").write_text(json.dumps(result["classes"], ensure_ascii=False, indent=1), encoding="utf-8")
    card = jinja2.Template((templates / "README.md.j2").read_text(encoding="utf-8"), keep_trailing_newline=True)
    backbone = json.loads(run.file("backbone.json").read_text(encoding="utf-8"))
    names = [" ".join(name.translate(_MARKDOWN).split()) for name in result["classes"]]
    (made / "README.md").write_text(card.render(r=result, names=names, licence=backbone["licence"]), encoding="utf-8")


_MARKDOWN = {ord(c): f"\\{c}" for c in "\\`*_{}[]<>#|!"}


def _logits(folder: Path, files: list[Path]) -> np.ndarray:
    command = [sys.executable, "-I", "-B", str(folder / "predict.py"), "--logits", "--", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ExportError(f"the bundle's predict.py failed: {last[0]}", "pip install the bundle's requirements.txt")
    return np.array([json.loads(line) for line in done.stdout.splitlines()])
