"""Why a model said what it said of a file: a map of what mattered, tested by hiding it.

Convolutional networks are opened for Grad-CAM, transformers for attention roll-out; any other model (statistics, joined
models) is asked again and again with parts of the file hidden. Reads a model file and media files; never trains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from handful.errors import FileError, UsageError
from handful.explaining._canvas import Canvas, canvases
from handful.explaining._deletion import Deletion, deletion
from handful.explaining._network import OpenNetwork, log_odds
from handful.explaining._occlusion import occlusion
from handful.inference import Predictor
from handful.metrics.calibration import softmax
from handful.words import both

__all__ = ["Deletion", "Explainer", "Explanation", "explain"]

GRAD_CAM, ROLL_OUT, OCCLUSION = "Grad-CAM", "attention roll-out", "occlusion"
_BATCH = 16


@dataclass(frozen=True)
class Explanation:
    """One file explained.

    `saliency` float [rows, columns] over the decoded item (pixels; or mel bands from low to high by frames): above zero is
    what speaks for `predicted`. `method`: GRAD_CAM, "attention roll-out" or "occlusion". `window` is which part of a long
    sound was looked at, `windows` how many there are. `artefacts`: (content, suffix) of `before`, `overlay` and, for sounds,
    `sound` and `filtered`.
    """

    file: str
    predicted: str
    confidence: float
    method: str
    saliency: np.ndarray
    deletion: Deletion
    window: int = 0
    windows: int = 1
    artefacts: dict[str, tuple[bytes, str]] = field(default_factory=dict, repr=False)


class Explainer:
    """A model that gives reasons. Sounds of several windows are explained by the window that speaks most for the answer."""

    def __init__(self, model: bytes, threads: int | None = None, seed: int = 0) -> None:
        """`model`: the content of an ONNX file that handful wrote. Raises RunError, UsageError, MissingExtra."""
        self.predictor = Predictor(model, threads)
        task = self.predictor.metadata.get("task", "classification")
        if task != "classification":
            raise UsageError(f"a {task} model cannot be explained", "explain a classification run")
        self._network = OpenNetwork(model, threads)
        self._method: str | None = None
        self._seed = seed

    def explain(self, file: str | Path) -> Explanation:
        """Raises FileError where the file cannot be read."""
        path = Path(file)
        items = self._read(path)
        logits = self._logits(items)
        probabilities = softmax(logits.mean(axis=0).astype(np.float64))
        label = int(probabilities.argmax())
        window = int(log_odds(logits, label).argmax())
        item = items[window]
        canvas = canvases.get(self.predictor.frontend.modality)(self.predictor.frontend, item)
        method, saliency = self._saliency(canvas, item, label)
        test = deletion(lambda keep: self._hidden(canvas, keep, label)[1], saliency, self._seed)
        return Explanation(
            str(file), self.predictor.classes[label], float(probabilities[label]), method, saliency, test, window, len(items),
            canvas.show(path, saliency),
        )  # fmt: skip

    def _read(self, path: Path) -> np.ndarray:
        try:
            return self.predictor.frontend.read(path)[0]
        except FileError:
            raise
        except Exception as error:  # a decoder's own fault
            raise FileError(*both("file.decoder", how=type(error).__name__)) from error

    def _logits(self, items: np.ndarray) -> np.ndarray:
        """Logits [n, classes], a few items at a time."""
        return np.concatenate([self.predictor.logits(items[i : i + _BATCH]) for i in range(0, len(items), _BATCH)])

    def _hidden(self, canvas: Canvas, keep: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds and probability [M] of a class for what is kept, float [M, rows, columns]."""
        parts = [self._logits(canvas.hide(keep[i : i + _BATCH])) for i in range(0, len(keep), _BATCH)]
        odds = log_odds(np.concatenate(parts), label)
        return odds, 1.0 / (1.0 + np.exp(-odds))

    def _saliency(self, canvas: Canvas, item: np.ndarray, label: int) -> tuple[str, np.ndarray]:
        network, batch = self._network, item[None]
        if self._method is None:
            self._method = (
                OCCLUSION if "members" in self.predictor.metadata  # no map or attention is that of all members
                else GRAD_CAM if network.find_map(batch)
                else ROLL_OUT if network.find_attention(batch) else OCCLUSION
            )  # fmt: skip
        if self._method == GRAD_CAM:
            return self._method, canvas.from_picture(network.grad_cam(batch, label))
        if self._method == ROLL_OUT:
            return self._method, canvas.from_picture(network.roll_out(batch))
        score = lambda keep: self._hidden(canvas, keep, label)[0]  # noqa: E731
        return self._method, occlusion(score, canvas.grid, canvas.shape, self._seed)


def explain(
    model: bytes, files: Iterable[str | Path], threads: int | None = None, seed: int = 0
) -> Iterator[Explanation | tuple[str, FileError]]:
    """Explanations in the order of `files`; a file that cannot be read gives (name, reason), as `Predictor.stream` does."""
    explainer = Explainer(model, threads, seed)
    for file in files:
        try:
            yield explainer.explain(file)
        except FileError as error:
            yield str(file), error
