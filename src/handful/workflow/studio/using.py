"""Trying a run on a file, and what was exported of it. What comes back has the shapes of the wire.

Formats are read from the registry of exporters: a new one appears by itself, with what it needs or why it cannot be written.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import HandfulError
from handful.extras import EXTRAS
from handful.projects import NotFound
from handful.words import Words, both, load, retold
from handful.workflow.studio import records, runs, shapes
from handful.workflow.studio.records import Record

if TYPE_CHECKING:
    from handful.exporting import Exporter
    from handful.projects import Project
    from handful.workflow.serve import ServedModel
    from handful.workflow.studio import Studio

HELD = 2  # loaded models; each takes memory for as long as it is held
IDLE_S = 300.0  # without a question, after which they are let go
PATIENCE_S = 120.0
PAGE_PORT = 8000  # pages say the address as well
_EXAMPLES = {"image": "photo.jpg", "audio": "sound.wav"}


class Models:
    """Loaded models, the least recently used first; never more than `most` at once, none after `idle_seconds` without a
    question. Safe for threads."""

    def __init__(self, most: int = HELD, idle_seconds: float = IDLE_S) -> None:
        self._most, self._idle_seconds = most, idle_seconds
        self._asked = 0.0
        self._timer: threading.Timer | None = None
        self._held: OrderedDict[tuple[Path, int], ServedModel] = OrderedDict()
        self._users: dict[tuple[Path, int], int] = {}
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def use(self, path: Path) -> Iterator[ServedModel]:
        """The model of the run at `path`, loaded where it is not held. Waits while all that are held are in use."""
        model_file = path / "model.onnx"
        key = (path, model_file.stat().st_mtime_ns if model_file.is_file() else 0)
        with self._changed:
            model = self._take(key)
            self._users[key] = self._users.get(key, 0) + 1
        try:
            yield model
        finally:
            with self._changed:
                self._users[key] -= 1
                self._asked = time.monotonic()
                if self._timer is None:
                    self._wait(self._idle_seconds)
                self._changed.notify_all()

    def _take(self, key: tuple[Path, int]) -> ServedModel:
        from handful.workflow.serve import ServedModel

        while key not in self._held and len(self._held) >= self._most:
            idle = next((old for old in self._held if not self._users.get(old)), None)
            if idle is not None:
                self._users.pop(idle, None)
                self._held.pop(idle).close()
            elif not self._changed.wait(PATIENCE_S):
                raise HandfulError(*both("error.models_busy"))
        if key not in self._held:
            self._held[key] = ServedModel("run", key[0])
        self._held.move_to_end(key)
        return self._held[key]

    def __len__(self) -> int:
        return len(self._held)

    def _wait(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._rest)
        self._timer.daemon = True
        self._timer.start()

    def _rest(self) -> None:
        """Let go of all when nobody has asked for so long, else look again later."""
        with self._changed:
            left = self._asked + self._idle_seconds - time.monotonic()
            if left > 0:
                self._wait(left)
                return
        self.close()

    def close(self) -> None:
        """Let go of all that are not in use."""
        with self._changed:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            for key in [key for key in self._held if not self._users.get(key)]:
                self._held.pop(key).close()


def predict(studio: Studio, models: Models, project_id: str, run: str, content: bytes) -> dict[str, Any]:
    """What the run says of one file. Raises FileError where it cannot be read."""
    record = records.find(studio.project(project_id), run)
    with models.use(record.path) as model:
        start = time.perf_counter()
        said = model.predict(content).result(PATIENCE_S)
        taken = (time.perf_counter() - start) * 1000
        kept = {key: said[key] for key in ("label", "confidence", "scores", "set", "unknown")}
        return kept | {
            "below": model.unknown_below, "milliseconds": round(taken, 2),
            "window_seconds": model.window_seconds,
        }  # fmt: skip


# -- formats ------------------------------------------------------------------------------------------------------------------------


def formats(lang: str = "en") -> list[dict[str, Any]]:
    from handful.exporting import exporters

    texts = load(lang, "studio")
    return [_format(name, exporters.get(name), texts) for name in exporters.names()]


def _format(name: str, exporter: Exporter, texts: Words) -> dict[str, Any]:
    from handful.exporting import Elsewhere

    about = _about(name, exporter)
    found: dict[str, Any] = {
        "name": name, "title": re.split(r"[:,(]", about, maxsplit=1)[0].strip(" .") or name, "about": about,
        "available": True, "why_not": None, "command": None,
    }  # fmt: skip
    if isinstance(exporter, Elsewhere):
        return found | {"available": False, "why_not": retold(exporter.unavailable, texts), "command": exporter.how}
    extra = EXTRAS.get(getattr(exporter, "extra", ""))
    if extra and extra.missing:
        why = texts.text("export.not_installed", library=extra.missing)
        return found | {"available": False, "why_not": why, "command": extra.command}
    return found


def _about(name: str, exporter: Exporter) -> str:
    """The first paragraph that the format's own file says of it, else its class."""
    package = type(exporter).__module__
    with contextlib.suppress(ImportError):
        package = importlib.import_module(f"handful.exporting.{name}").__name__
    text = importlib.import_module(package).__doc__ or type(exporter).__doc__ or name
    return " ".join(text.strip().split("\n\n")[0].split())


# -- what was exported -----------------------------------------------------------------------------------------------------------------


def exports(studio: Studio, project_id: str, run: str) -> list[dict[str, Any]]:
    """What lies in the run's `exports/`, with what was proven and measured of it."""
    from handful.exporting import exporters

    project = studio.project(project_id)
    record = records.find(project, run)
    folder = record.path / "exports"
    proofs, speeds = (
        runs.measured(folder / "proofs.json", shapes.Proof),
        runs.measured(folder / "benchmark.json", shapes.Speed),
    )
    found = []
    for name in exporters.names():
        exporter = exporters.get(name)
        path = folder / exporter.file
        if name in proofs and path.exists():
            found.append(_card(_title(project, record), record, name, exporter, path, proofs[name], speeds))
    return found


def _card(
    title: str, record: Record, name: str, exporter: Exporter, path: Path, proof: dict[str, Any],
    speeds: dict[str, dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    change = (proof.get("drop") or {}).get("change") or {}
    snippet, language = _snippet(title, record, name, exporter, path)
    measured = speeds.get(name, {}).get("batch_1_ms", proof.get("latency_ms"))
    if path.is_dir() and exporter.engine == "onnxruntime":
        # What proved it was the start of a program; as fast as that is the graph in it.
        measured = speeds.get("int8" if proof.get("drop") else "onnx", {}).get("batch_1_ms")
    return {
        "format": name, "name": _download_name(path), "file": _saved_name(path, title), "bytes": proof["bytes"], "max_error": proof.get("max_error"),
        "agree": proof.get("agree"), "n": proof.get("n"), "latency_ms": measured,
        "accuracy_change": change.get("value"), "change_low": change.get("low"), "change_high": change.get("high"),
        "snippet": snippet, "language": language, "made": path.stat().st_mtime,
    }  # fmt: skip


def _download_name(path: Path) -> str:
    return f"{path.name}.zip" if path.is_dir() else path.name


def _title(project: Project, record: Record) -> str:
    """Project and training in a few words, for names of files; long names of projects are cut."""
    number = records.number(record.id)
    run = record.name if record.named or number is None else f"training {number}"
    return f"{project.name[:30]}-{run[:30]}"


def _saved_name(path: Path, title: str) -> str:
    from handful.exporting._packing import top_folder

    return f"{top_folder(path, title)}.zip" if path.is_dir() else path.name


def _snippet(title: str, record: Record, name: str, exporter: Exporter, path: Path) -> tuple[str, str]:
    """(lines that run as they stand where the download was saved and unpacked, their language)"""
    from handful.exporting._packing import top_folder

    file, example = exporter.file, _EXAMPLES.get(str(record.result.get("modality")), "FILE")
    top = top_folder(path, title)
    if (path / "predict.py").is_file():
        return (
            f"unzip {top}.zip\npip install -r {top}/requirements.txt\npython {top}/predict.py {example}",
            "shell",
        )
    if (path / "index.html").is_file():
        return f"unzip {top}.zip\npython -m http.server {PAGE_PORT} --bind 127.0.0.1 --directory {top}", "shell"
    if exporter.engine == "onnxruntime":
        return f'import handful\n\nprint(handful.load("{file}").predict("{example}"))', "python"
    items, shape = _input(record.path, (record.path / "model.onnx").stat().st_mtime_ns)
    decoded = f"({', '.join(map(str, (1, *shape)))})"
    if exporter.engine == "openvino":
        return (
            f"import numpy\nimport openvino\n\n"
            f'settings = {{"INFERENCE_PRECISION_HINT": "f32"}}\n'
            f'model = openvino.Core().compile_model("{top}/model.xml", "CPU", settings)\n'
            f'print(model(numpy.zeros({decoded}, "{items}"))["probabilities"])',
            "python",
        )
    load = f'torch.export.load("{file}").module()' if name == "pt2" else f'torch.jit.load("{file}")'
    return (
        f"import torch\n\nmodel = {load}\n"
        f"logits, probabilities = model(torch.zeros({decoded}, dtype=torch.{items}))\nprint(probabilities)",
        "python",
    )


@lru_cache(maxsize=64)
def _input(run: Path, changed: int) -> tuple[str, tuple[int, ...]]:
    """(dtype, shape) of one decoded item."""
    from handful.inference import Predictor

    dtype, shape = Predictor.load(run).input
    return str(dtype), shape


@dataclass(frozen=True)
class Download:
    path: Path
    name: str
    kind: str


def download(studio: Studio, project_id: str, run: str, name: str) -> Download:
    """An exported file by the name on its card; a folder as the zip that lies beside it. Raises NotFound."""
    from handful.exporting import exporters
    from handful.exporting._packing import pack, packed_as, zip_of

    project = studio.project(project_id)
    record = records.find(project, run)
    title = _title(project, record)
    for exporter in exporters:
        path = record.path / "exports" / exporter.file
        if path.exists() and _download_name(path) == name:
            if path.is_dir():
                # Made when it was exported, before project and training had the names that they have now.
                packed = zip_of(path) if packed_as(path, title) else pack(path, title)
                return Download(packed, _saved_name(path, title), "application/zip")
            return Download(path, name, "application/octet-stream")
    raise NotFound(*both("error.no_export"))
