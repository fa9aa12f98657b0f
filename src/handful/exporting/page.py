"""A page: one folder that runs the model in a browser, with camera, microphone or files, and without a network.

What the browser runs is built from `frontend/page` (`make pages`) and lies in templates/page; a model adds its graph, its
metadata and its test vectors as data. The proof here runs that graph and reads that metadata; the page repeats it in the
browser when it is opened as `index.html?check`. Knows nothing about HTML.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from handful.errors import ExportError
from handful.exporting import MAX_ERROR, Elsewhere, Opened, Order, Written, exporters, remove
from handful.files import sha256_file, to_json
from handful.inference import Predictor
from handful.runs import Run
from handful.words import both, said

NOTE = (
    "open it over HTTP: python -m http.server --bind 127.0.0.1 --directory {folder}; index.html?check repeats the proof"
)
TEMPLATE = Path(str(resources.files("handful.exporting") / "templates" / "page"))


class Page:
    """page/: appears whole by one rename, an older one is replaced."""

    file = "page"
    engine = "onnxruntime"
    tolerance = MAX_ERROR

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        made = Path(tempfile.mkdtemp(prefix=".page.tmp-", dir=folder))
        path = folder / self.file
        try:
            _fill(made, run)
            made.chmod(0o755)
            remove(path)
            made.rename(path)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        return Written(path, (NOTE.format(folder=self.file),))

    def open(self, path: Path) -> Opened:
        """The graph as ONNX Runtime runs it, with the metadata that the page reads."""
        predictor = Predictor.load(path / "model.onnx")
        try:
            metadata = json.loads((path / "model.json").read_text(encoding="utf-8"))["metadata"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ExportError(*both("export.unreadable", file=f"{path.name}/model.json")) from error
        return Opened(metadata, predictor.logits)


def _fill(made: Path, run: Run) -> None:
    shutil.copytree(TEMPLATE, made, dirs_exist_ok=True)
    for packed in made.rglob("*.gz"):
        with gzip.open(packed) as content, open(packed.with_suffix(""), "wb") as file:
            shutil.copyfileobj(content, file)
        packed.unlink()
    shutil.copyfile(run.file("model.onnx"), made / "model.onnx")
    shutil.copyfile(run.file("vectors.json"), made / "vectors.json")
    shutil.copytree(run.file("vectors"), made / "vectors")
    # Class names reach the page as JSON that it fetches, and the screen as text: never as part of a program or of HTML.
    (made / "model.json").write_text(to_json(_about(run, made), indent=1), encoding="utf-8")
    licence = Predictor.load(run.path).metadata["licence"]
    (made / "README.md").write_text(_README.format(licence=licence), encoding="utf-8")


def _about(run: Run, made: Path) -> dict[str, Any]:
    result = run.result
    score = result["score"]
    return {
        "format": 1,
        "model": result["model"],
        "samples": result["samples"],
        "score": {key: score[key] for key in ("value", "low", "high", "n")} if score["metric"] == "accuracy" else None,
        "bytes": (made / "model.onnx").stat().st_size,
        "sha256": sha256_file(made / "model.onnx"),
        "tall_first": _tall_first(),
        "metadata": Predictor.load(run.path).metadata,
    }


def _tall_first() -> bool:
    """Whether the Pillow here makes tall pictures lower before it makes them narrower. Pixels are rounded in between, so
    that the page must know it to get the same ones."""
    import PIL

    return int(PIL.__version__.split(".")[0]) >= 13


_README = """# A model in a page

The model runs in the browser that opens this folder: pictures, sounds, camera and microphone never leave the computer, and
no network is needed. A browser loads programs over HTTP only, so the page does not work when index.html is opened as a file:

    python -m http.server --bind 127.0.0.1      # inside this folder; then open http://127.0.0.1:8000

Any web server that serves files can show it to others. Browsers give camera and microphone to https:// and to the computer
itself (127.0.0.1, localhost) only.

http://127.0.0.1:8000/?check runs the files in vectors/ and compares the answers with those of the trained model;
`handful verify` on this folder does the same in Python.

| file | what it is |
| --- | --- |
| index.html, assets/ | the page and ONNX Runtime Web, see NOTICE.txt |
| model.onnx, model.json | the model; its classes, settings and thresholds |
| vectors/, vectors.json | a few files of the training data and what the trained model says of them |

Backbone: {licence}. The files in vectors/ are copies of your training data: remove them (and vectors.json) before you publish
the page if they are private; only the check needs them.
"""

if (TEMPLATE / "index.html").is_file():
    exporters.add("page", Page())
else:
    exporters.add(
        "page",
        Elsewhere(
            file="page",
            engine="onnxruntime",
            unavailable=said("export.no_page"),
            how="make pages (needs Node.js); they come with the wheel",
        ),
    )
