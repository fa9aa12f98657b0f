"""Samples to embeddings: each (content, view) is computed once on ONNX Runtime and remembered.

A row is found again by the sample's content hash, the front-end's settings, the model with its weights, and the version of
this computation; nothing is ever looked up by path.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from handful.data import Sample
from handful.errors import FileError, HandfulError
from handful.files import Store, cache_dir, to_json
from handful.graph import Graph, session
from handful.models import Model, Weights, digest
from handful.training.reading import Facts, Reader

_VERSION = 1
_WIDTHS = "widths"
_BATCH = 16
_CHUNK = 128  # items decoded before they are embedded
Progress = Callable[[str, int, int], None]


@dataclass
class Embedded:
    """Embeddings of the samples that could be read.

    `x` float32 [rows, width]; `sample` int [rows] (index into `samples`), `view` int [rows] (0: the file as it is);
    `facts` one a sample; `errors` (sample, reason) of those that could not be read; `computed` rows not found in the cache.
    """

    samples: list[Sample]
    x: np.ndarray
    sample: np.ndarray
    view: np.ndarray
    facts: list[Facts]
    errors: list[tuple[Sample, FileError]] = field(default_factory=list)
    computed: int = 0


@dataclass
class Clock:
    """Seconds spent in each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, since: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - since


class Embedder:
    """One model on one front-end. Building the graph waits until something has to be computed."""

    def __init__(
        self,
        reader: Reader,
        model: Model,
        weights: Weights | None,
        threads: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.reader, self.frontend = reader, reader.frontend
        self.model, self.weights, self.threads = model, weights, threads
        self.clock = clock or Clock()
        space = digest(_VERSION, model.key(weights), to_json(self.frontend.spec()))
        self._store = Store(cache_dir() / "embeddings" / f"{space[:32]}.sqlite")
        self._unsaved: dict[str, bytes] = {}  # what the cache could not take: a full disk slows, it does not stop

    @cached_property
    def _session(self) -> Any:
        start = time.perf_counter()
        g = Graph()
        blocks = self.model.embed_blocks(g, self.frontend.input(g), self.frontend, self.weights)
        value = g.op("Concat", *[name for name, _ in blocks], axis=1)
        widths = [width for _, width in blocks]
        g.output(value, "embedding", ["N", sum(widths)])
        made = session(g.build(), self.threads)
        self._store.put([(_WIDTHS, np.array(widths, "<i4").tobytes())])
        self.clock.add("export", start)
        return made

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the parts of an embedding, known without building the graph once it was built."""
        value = next((value for _, value in self._store.get([_WIDTHS])), None)
        if value is None:
            self._session  # noqa: B018  building notes them
            value = next((value for _, value in self._store.get([_WIDTHS])), b"")
        return tuple(int(v) for v in np.frombuffer(value, "<i4"))

    def run(self, items: np.ndarray) -> np.ndarray:
        """Embeddings float32 [n, width] of items [n, ...]."""
        return np.asarray(self._session.run(["embedding"], {"input": items})[0])

    def embed(self, samples: Sequence[Sample], views: int = 0, progress: Progress | None = None) -> Embedded:
        """Embed each sample as it is and `views` times augmented (seeded by its content), from the cache where possible.

        The matrix is filled in place; beside it only a few batches are held.
        """
        samples = list(samples)
        known = self.reader.known(samples)
        windows = self._cached(samples, views)
        missing = [
            s for s in samples if s.sha256 not in known or any((s.sha256, v) not in windows for v in range(views + 1))
        ]
        errors = self._compute(missing, views, windows, known, progress) if missing else []
        bad = {sample.file for sample, _ in errors}
        kept = [sample for sample in samples if sample.file not in bad]
        result = self._assemble(kept, views, windows)
        return replace(
            result, facts=[known[s.sha256] for s in kept], errors=errors, computed=len(missing) - len(errors)
        )

    def _cached(self, samples: list[Sample], views: int) -> dict[tuple[str, int], int]:
        """Windows of each (content hash, view) that the cache holds whole."""
        keys = {f"{s.sha256}:{v}": (s.sha256, v) for s in samples for v in range(views + 1)}
        return {keys[key]: len(_from_bytes(value)) for key, value in self._store.get(list(keys))}

    def _compute(
        self,
        samples: list[Sample],
        views: int,
        windows: dict[tuple[str, int], int],
        known: dict[str, Facts],
        progress: Progress | None,
    ) -> list[tuple[Sample, FileError]]:
        """Fill the cache, a chunk at a time: decode on all cores, then embed on all cores.

        Both at once would only make each slower. Vectors go to disk at once, so that memory does not grow with the number
        of samples.
        """
        self._session  # noqa: B018  built first, so that its time is not counted as decoding
        errors = []
        size = max(1, _CHUNK // (views + 1))
        for first in range(0, len(samples), size):
            chunk = samples[first : first + size]
            start = time.perf_counter()
            items: list[np.ndarray] = []
            owners: list[tuple[str, int]] = []  # (content hash, view) of each entry
            for index, decoded, facts in self.reader.read(chunk):
                sample = chunk[index]
                if isinstance(facts, FileError) or decoded is None:
                    errors.append((sample, facts if isinstance(facts, FileError) else FileError("nothing in it")))
                    continue
                known[sample.sha256] = facts
                for view in (v for v in range(views + 1) if (sample.sha256, v) not in windows):
                    items.append(decoded if view == 0 else self._augmented(sample, decoded, view))
                    owners.append((sample.sha256, view))
            self.clock.add("decode", start)
            start = time.perf_counter()
            self._remember(items, owners, windows)
            self.clock.add("embed", start)
            if progress:
                progress("embed", first + len(chunk), len(samples))
        return errors

    def _remember(
        self, items: list[np.ndarray], owners: list[tuple[str, int]], windows: dict[tuple[str, int], int]
    ) -> None:
        """Embed decoded items and store the vectors."""
        if not items:
            return
        stack = np.concatenate(items)
        vectors = np.concatenate([self.run(stack[i : i + _BATCH]) for i in range(0, len(stack), _BATCH)])
        fresh, at = [], 0
        for (sha256, view), part in zip(owners, items, strict=True):
            fresh.append((f"{sha256}:{view}", _to_bytes(vectors[at : at + len(part)])))
            windows[sha256, view] = len(part)
            at += len(part)
        if not self._store.put(fresh):
            self._unsaved.update(fresh)

    def _augmented(self, sample: Sample, items: np.ndarray, view: int) -> np.ndarray:
        seed = int(sample.sha256[:15], 16)
        return np.stack(
            [self.frontend.augment(item, np.random.default_rng([seed, view, w])) for w, item in enumerate(items)]
        )

    def _assemble(self, samples: list[Sample], views: int, windows: dict[tuple[str, int], int]) -> Embedded:
        """One matrix, filled from the cache in place."""
        order = [(i, s.sha256, v) for i, s in enumerate(samples) for v in range(views + 1)]
        counts = np.array([windows[sha256, view] for _, sha256, view in order], int)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(int)
        places: dict[str, list[int]] = {}
        for number, (_, sha256, view) in enumerate(order):
            places.setdefault(f"{sha256}:{view}", []).append(number)
        x: np.ndarray | None = None
        filled = 0
        for key, value in itertools.chain(self._store.get(list(places)), self._unsaved.items()):
            vectors = _from_bytes(value)
            if x is None:
                x = np.empty((starts[-1], vectors.shape[1]), np.float32)
            for number in places.pop(key, ()):
                x[starts[number] : starts[number + 1]] = vectors
                filled += 1
        if x is None or filled < len(order):
            if order:
                raise HandfulError("the embedding cache was damaged while it was in use", "run the command again")
            x = np.empty((0, 0), np.float32)
        if not np.isfinite(x).all():
            np.nan_to_num(x, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        sample = np.repeat([i for i, _, _ in order], counts).astype(int)
        return Embedded(samples, x, sample, np.repeat([v for _, _, v in order], counts).astype(int), [])


def _to_bytes(vectors: np.ndarray) -> bytes:
    return len(vectors).to_bytes(4, "little") + vectors.astype("<f4").tobytes()


def _from_bytes(value: bytes) -> np.ndarray:
    return np.frombuffer(value, "<f4", offset=4).reshape(int.from_bytes(value[:4], "little"), -1)
