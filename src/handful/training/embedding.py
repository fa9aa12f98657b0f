"""Samples to embeddings: each (content, view) is computed once on ONNX Runtime and remembered.

A row is found again by the sample's content hash, the front-end's settings, the model with its weights, and the version of
this computation; nothing is ever looked up by path.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from handful.data import Sample
from handful.errors import FileError, HandfulError
from handful.files import Store, cache_dir, to_json
from handful.graph import Graph, session
from handful.models import Model, Weights, digest
from handful.training.reading import Reader
from handful.words import both

_VERSION = 1
_WIDTHS = "widths"
ABOUT = "about"  # whose embeddings they are, for whoever looks into the cache
_BATCH = 16
_KEYS = 500  # rows asked of the cache at a time
_CHUNK = 128  # items decoded before they are embedded
Progress = Callable[[str, int, int], None]


@dataclass
class Embedded:
    """Embeddings of the samples that could be read.

    `x` float32 [rows, width]; `sample` int32 [rows] (index into `samples`), `view` int8 [rows] (0: the file as it is);
    `errors` (sample, reason) of those that could not be read; `computed` how many were not found in the cache.
    """

    samples: list[Sample]
    x: np.ndarray
    sample: np.ndarray
    view: np.ndarray
    errors: list[tuple[Sample, FileError]] = field(default_factory=list)
    computed: int = 0


@dataclass
class Clock:
    """Seconds spent in each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, since: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - since

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time inside, but for what other stages claim of it."""
        start, before = time.perf_counter(), sum(self.seconds.values())
        yield
        self.add(name, start + sum(self.seconds.values()) - before)


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
        about = {"model": self.model.name, "weights": self.weights.name if self.weights else None}
        self._store.put([(_WIDTHS, np.array(widths, "<i4").tobytes()), (ABOUT, to_json(about).encode())])
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
        windows = self._windows(samples, views)
        unread = self.reader.unread(samples)
        missing = {s.sha256: s for s, n in zip(samples, windows, strict=True) if s.sha256 in unread or not n.all()}
        errors = self._compute(list(missing.values()), views, progress) if missing else {}
        if missing:
            samples, bad = [s for s in samples if s.sha256 not in errors], [s for s in samples if s.sha256 in errors]
            windows = self._windows(samples, views)
        else:
            bad = []
        found = self._assemble(samples, windows)
        return replace(found, errors=[(s, errors[s.sha256]) for s in bad], computed=len(missing) - len(errors))

    def _stored(self, samples: Sequence[Sample], views: int) -> Iterator[tuple[str, int, np.ndarray]]:
        """(content hash, view, vectors [windows, width]) of what is there already, in no particular order."""
        keys = (f"{s.sha256}:{v}" for s in samples for v in range(views + 1))
        while chunk := list(itertools.islice(keys, _KEYS)):
            extra = ((key, self._unsaved[key]) for key in chunk if key in self._unsaved)
            for key, value in itertools.chain(self._store.get(chunk), extra):
                sha256, _, view = key.partition(":")
                yield sha256, int(view), _from_bytes(value)

    def _windows(self, samples: list[Sample], views: int) -> np.ndarray:
        """How many windows of each sample and view are stored, int32 [samples, views + 1]; 0: none yet."""
        places = _places(samples)
        counts = np.zeros((len(samples), views + 1), np.int32)
        for sha256, view, vectors in self._stored(samples, views):
            counts[places[sha256], view] = len(vectors)
        return counts[[places[s.sha256] for s in samples]]

    def _compute(self, samples: list[Sample], views: int, progress: Progress | None) -> dict[str, FileError]:
        """Fill the cache, a chunk at a time: decode on all cores, then embed on all cores; returns what could not be read.

        Both at once would only make each slower. Vectors go to disk at once, so that memory does not grow with the number
        of samples.
        """
        self._session  # noqa: B018  built first, so that its time is not counted as decoding
        errors: dict[str, FileError] = {}
        size = max(1, _CHUNK // (views + 1))
        for first in range(0, len(samples), size):
            chunk = samples[first : first + size]
            start = time.perf_counter()
            stored = {(sha256, view) for sha256, view, _ in self._stored(chunk, views)}
            items: list[np.ndarray] = []
            keys: list[str] = []  # of each entry
            for sample, decoded in self.reader.read(chunk):
                if isinstance(decoded, FileError):
                    errors[sample.sha256] = decoded
                    continue
                for view in (v for v in range(views + 1) if (sample.sha256, v) not in stored):
                    items.append(decoded if view == 0 else self._augmented(sample, decoded, view))
                    keys.append(f"{sample.sha256}:{view}")
            self.clock.add("decode", start)
            start = time.perf_counter()
            self._remember(items, keys)
            self.clock.add("embed", start)
            if progress:
                progress("embed", first + len(chunk), len(samples))
        return errors

    def _remember(self, items: list[np.ndarray], keys: list[str]) -> None:
        """Embed decoded items and store the vectors."""
        if not items:
            return
        stack = np.concatenate(items)
        vectors = np.concatenate([self.run(stack[i : i + _BATCH]) for i in range(0, len(stack), _BATCH)])
        ends = np.cumsum([len(part) for part in items])
        fresh = [(key, _to_bytes(part)) for key, part in zip(keys, np.split(vectors, ends[:-1]), strict=True)]
        if not self._store.put(fresh):
            self._unsaved.update(fresh)

    def _augmented(self, sample: Sample, items: np.ndarray, view: int) -> np.ndarray:
        seed = int(sample.sha256[:15], 16)
        return np.stack(
            [self.frontend.augment(item, np.random.default_rng([seed, view, w])) for w, item in enumerate(items)]
        )

    def _assemble(self, samples: list[Sample], windows: np.ndarray) -> Embedded:
        """One matrix, filled from the cache in place: rows by sample, then view, then window."""
        views = windows.shape[1] - 1
        starts = np.concatenate([[0], np.cumsum(windows)])[:-1].reshape(windows.shape)
        places = _places(samples)
        x = np.empty((0, 0), np.float32)
        filled = np.zeros(windows.shape, bool)
        for sha256, view, vectors in self._stored(samples, views):
            i = places[sha256]
            if not len(x):
                x = np.empty((int(windows.sum()), vectors.shape[1]), np.float32)
            if len(vectors) == windows[i, view]:
                x[starts[i, view] : starts[i, view] + len(vectors)] = vectors
                filled[i, view] = True
        for i, first in enumerate([places[s.sha256] for s in samples]):
            if i != first:  # the same content twice
                for kept in np.flatnonzero(filled[first]):
                    a, b, n = starts[i, kept], starts[first, kept], windows[i, kept]
                    x[a : a + n] = x[b : b + n]
                filled[i] = filled[first]
        if not filled.all():
            raise HandfulError(*both("error.cache_damaged"))
        for rows in range(0, len(x), _KEYS):
            np.nan_to_num(x[rows : rows + _KEYS], copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        owner = np.repeat(np.arange(len(samples), dtype=np.int32), windows.sum(axis=1))
        view_of = np.repeat(np.tile(np.arange(views + 1, dtype=np.int8), len(samples)), windows.ravel())
        return Embedded(samples, x, owner, view_of)


def _places(samples: Sequence[Sample]) -> dict[str, int]:
    """The first sample of each content."""
    places: dict[str, int] = {}
    for i, sample in enumerate(samples):
        places.setdefault(sample.sha256, i)
    return places


def _to_bytes(vectors: np.ndarray) -> bytes:
    return len(vectors).to_bytes(4, "little") + vectors.astype("<f4").tobytes()


def _from_bytes(value: bytes) -> np.ndarray:
    return np.frombuffer(value, "<f4", offset=4).reshape(int.from_bytes(value[:4], "little"), -1)
