"""Models held ready for many callers at once: decoded in parallel, predicted in batches, never more than can be held.

Knows models, media and tensors; nothing of HTTP. The graph runs on one thread per model with whatever is waiting, so a
lone request never waits for company and a crowd shares each run.
"""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from handful.data import media
from handful.errors import FileError, HandfulError, UsageError
from handful.files import shown
from handful.words import Number, both

BATCH = 16  # items in one run of the graph
MAX_RECORDING_S = 3600.0  # a longer recording is for `handful listen --file`
_STOP = object()


class Batcher:
    """Runs `run` (items [n, ...] -> rows [n, ...]) on one thread, on all that waits, `most` items at once.

    `put` blocks while `2 * most` jobs wait: whoever decodes faster than the graph runs is slowed down.
    """

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], most: int = BATCH) -> None:
        self._run = run
        self._most = most
        self._queue: queue.Queue[Any] = queue.Queue(2 * most)
        self.sizes: Callable[[int], None] = lambda items: None  # told the size of each run
        self._thread = threading.Thread(target=self._work, name="handful-graph", daemon=True)
        self._thread.start()

    def put(self, items: np.ndarray, answer: Future[np.ndarray]) -> None:
        """Queue `items`; `answer` gets their rows."""
        self._queue.put((items, answer))

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        self._queue.put(_STOP)
        self._thread.join()

    def _work(self) -> None:
        stopping = False
        while not stopping:
            jobs = [self._queue.get()]
            while sum(len(job[0]) for job in jobs if job is not _STOP) < self._most:
                try:
                    jobs.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            stopping = _STOP in jobs
            self._answer([job for job in jobs if job is not _STOP])

    def _answer(self, jobs: list[tuple[np.ndarray, Future[np.ndarray]]]) -> None:
        if not jobs:
            return
        try:
            items = jobs[0][0] if len(jobs) == 1 else np.concatenate([items for items, _ in jobs])
            parts = []
            for start in range(0, len(items), self._most):
                part = items[start : start + self._most]
                self.sizes(len(part))
                parts.append(self._run(part))
            rows = np.concatenate(parts)
        except Exception as error:  # the runtime has no exception base of its own
            for _, answer in jobs:
                answer.set_exception(error)
            return
        at = 0
        for items, answer in jobs:
            answer.set_result(rows[at : at + len(items)])
            at += len(items)


class ServedModel:
    """One model that many may ask at once. `name` is what it is called in addresses, `version` the hash of its content."""

    def __init__(
        self, name: str, path: str | os.PathLike[str], threads: int | None = None, device: str = "cpu"
    ) -> None:
        from handful.graph import run_threads
        from handful.inference import Predictor

        self.name = name
        self._predictor = Predictor.load(path, threads, device)
        self.version = self._predictor.version
        self.classes = self._predictor.classes
        self.modality = self._predictor.frontend.modality
        self.dtype, self.shape = self._predictor.input
        self.batcher = Batcher(self._predictor.logits)
        self._decoders = ThreadPoolExecutor(run_threads(threads), thread_name_prefix=f"handful-decode-{name}")
        self._predictor.logits(np.zeros((1, *self.shape), self.dtype))  # the first run allocates

    @property
    def unknown_below(self) -> float:
        """The confidence under which an answer is called unknown."""
        return float(self._predictor.metadata["unknown_below"])

    @property
    def window_seconds(self) -> float | None:
        """What it hears at once; None where it looks at pictures."""
        seconds = self._predictor.metadata["frontend"].get("seconds")
        return None if seconds is None else float(seconds)

    @property
    def about(self) -> dict[str, Any]:
        """What the model is and how good it was found to be."""
        known = self._predictor.metadata
        wanted = ("modality", "task", "classes", "model", "strategy", "score", "licence")
        return {"name": self.name, "version": self.version} | {key: known[key] for key in wanted if key in known}

    def predict(self, content: bytes | BinaryIO) -> Future[dict[str, Any]]:
        """The prediction of one file, as `handful predict --json` gives it. FileError if it cannot be read.

        An open file is read when its turn comes to be decoded, and has to stay open until then.
        """
        return self._answered(lambda: self._decoded(content), self._said)

    def infer(self, items: np.ndarray) -> Future[dict[str, np.ndarray]]:
        """`logits` and `probabilities` [n, classes] and `label` [n] of decoded items [n, *shape]."""
        return self._answered(lambda: items, self._inferred)

    def _answered(self, items: Callable[[], np.ndarray], words: Callable[[np.ndarray], Any]) -> Future[Any]:
        """`words` of the logits of `items`. No thread waits for the graph; what was given up before it began is not begun."""
        answer: Future[Any] = Future()

        def finish(rows: Future[np.ndarray]) -> None:
            try:
                answer.set_result(words(rows.result()))
            except Exception as error:  # handed on to whoever waits
                answer.set_exception(error)

        def begin() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                rows: Future[np.ndarray] = Future()
                rows.add_done_callback(finish)
                self.batcher.put(items(), rows)
            except Exception as error:
                answer.set_exception(error)

        self._decoders.submit(begin)
        return answer

    def _decoded(self, content: bytes | BinaryIO) -> np.ndarray:
        try:
            if not isinstance(content, bytes):
                content.seek(0)
                content = content.read()
            self._bounded(content)
            return self._predictor.items(content)
        except HandfulError:
            raise
        except Exception as error:  # a decoder's own fault
            raise FileError(*both("file.decoder", how=type(error).__name__)) from error

    def _said(self, rows: np.ndarray) -> dict[str, Any]:
        answer = self._predictor.prediction("", rows.mean(axis=0)).to_dict()
        del answer["file"]
        return answer | {"model": self.name, "version": self.version}

    def _inferred(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        from handful.metrics.calibration import softmax

        probabilities = softmax(logits.astype(np.float64)).astype(np.float32)
        return {
            "probabilities": probabilities, "logits": logits, "label": np.array(self.classes, object)[logits.argmax(axis=1)],
        }  # fmt: skip

    def _bounded(self, content: bytes) -> None:
        """Refuse hours of silence that were packed into a few bytes: only what the header claims is looked at."""
        if self.modality != "audio" or media.sniff(content[: media.HEAD_BYTES]) != "audio":
            return
        from handful.features.audio import probe

        seconds = probe(content)[0]
        if seconds > MAX_RECORDING_S:
            hours, most = Number(round(seconds / 3600, 1), "count"), round(MAX_RECORDING_S / 3600)
            raise FileError(*both("file.too_long", hours=hours, most=most), kind="too-long")

    def close(self) -> None:
        """Finish what was begun."""
        self._decoders.shutdown(wait=True)
        self.batcher.close()


def load_models(
    models: Sequence[str | os.PathLike[str]], threads: int | None = None, device: str = "cpu"
) -> dict[str, ServedModel]:
    """Models by name. A model is given as a path, or as NAME=PATH; a path's last part is its name.

    Raises:
        UsageError: none was given, a name cannot be part of an address, or there is no such device.
        RunError: there is no model at a path.
    """
    if not models:
        raise UsageError("there is no model to serve", "handful serve RUN")
    named: dict[str, str] = {}
    for model in models:
        name, path = _named(os.fspath(model))
        if name in named:
            raise UsageError(f"two models are called {name}", f"give one another name: OTHER={path}")
        named[name] = path
    return {name: ServedModel(name, path, threads, device) for name, path in named.items()}


def _named(text: str) -> tuple[str, str]:
    name, sign, path = text.partition("=")
    if sign and not Path(text).exists():
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", name):
            raise UsageError(
                f"{shown(name)!r} cannot be a model's name", "use up to 64 letters, digits, dots, - and _: NAME=PATH"
            )
        return name, path
    place = Path(text).expanduser().absolute()
    stem = place.parent.name if place.name == "model.onnx" else place.stem if place.is_file() else place.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:64] or "model", text
