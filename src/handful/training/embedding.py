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
from handful.training._parts import Parts
from handful.training.reading import Reader
from handful.words import both

_VERSION = 1
_WIDTHS = "widths"
ABOUT = "about"  # whose embeddings they are, for whoever looks into the cache
_BATCH = 16
_KEYS = 500  # rows asked of the cache at a time
_CHUNK = 128  # items decoded before they are embedded
_PARTS = "parts"
Progress = Callable[[str, int, int], None]


@dataclass
class Embedded:
    """Embeddings of the samples that could be read.

    `x` float32 [rows, width]; `sample` int32 [rows] (index into `samples`), `view` int8 [rows] (0: the file as it is; above: as
    often augmented anew; below: parts of what the network saw of a view, see `parts_of`); `errors` (sample, reason) of those that could not be read; `computed` how many were not found in the cache.
    """

    samples: list[Sample]
    x: np.ndarray
    sample: np.ndarray
    view: np.ndarray
    errors: list[tuple[Sample, FileError]] = field(default_factory=list)
    computed: int = 0


def parts_of(view: int) -> int:
    """The number under which the parts of a view are kept beside it."""
    return -1 - view


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
    def _graph(self) -> bytes:
        g = Graph()
        blocks = self.model.embed_blocks(g, self.frontend.input(g), self.frontend, self.weights)
        value = g.op("Concat", *[name for name, _ in blocks], axis=1)
        widths = [width for _, width in blocks]
        g.output(value, "embedding", ["N", sum(widths)])
        about = {"model": self.model.name, "weights": self.weights.name if self.weights else None}
        self._store.put([(_WIDTHS, np.array(widths, "<i4").tobytes()), (ABOUT, to_json(about).encode())])
        return g.build()

    @cached_property
    def _session(self) -> Any:
        with self.clock.stage("export"):
            return session(self._graph, self.threads)

    @cached_property
    def _parts(self) -> Parts:
        with self.clock.stage("export"):
            return Parts(self._graph, self.threads)

    @cached_property
    def has_parts(self) -> bool:
        """Whether parts of a picture can be had without a further pass through the network; remembered."""
        if known := dict(self._store.get([_PARTS])):
            return known[_PARTS] == b"1"
        self._store.put([(_PARTS, b"1" if self._parts.found else b"0")])
        return self._parts.found

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the parts of an embedding, known without building the graph once it was built."""
        value = next((value for _, value in self._store.get([_WIDTHS])), None)
        if value is None:
            self._graph  # noqa: B018  building notes them
            value = next((value for _, value in self._store.get([_WIDTHS])), b"")
        return tuple(int(v) for v in np.frombuffer(value, "<i4"))

    def run(self, items: np.ndarray) -> np.ndarray:
        """Embeddings float32 [n, width] of items [n, ...]."""
        return np.asarray(self._session.run(["embedding"], {"input": items})[0])

    def embed(
        self, samples: Sequence[Sample], views: int = 0, progress: Progress | None = None, parts: bool = False
    ) -> Embedded:
        """Embed each sample as it is and `views` times augmented (seeded by its content), from the cache where possible.

        With `parts`, which only a model that `has_parts` knows, those of every view as well. The matrix is filled in place; beside
        it only a few batches are held.
        """
        samples = list(samples)
        wanted = [*range(views + 1), *(parts_of(view) for view in range(views + 1) if parts)]
        windows = self._windows(samples, wanted)
        unread = self.reader.unread(samples)
        missing = {s.sha256: s for s, n in zip(samples, windows, strict=True) if s.sha256 in unread or not n.all()}
        errors = self._compute(list(missing.values()), wanted, progress) if missing else {}
        if missing:
            samples, bad = [s for s in samples if s.sha256 not in errors], [s for s in samples if s.sha256 in errors]
            windows = self._windows(samples, wanted)
        else:
            bad = []
        found = self._assemble(samples, wanted, windows)
        return replace(found, errors=[(s, errors[s.sha256]) for s in bad], computed=len(missing) - len(errors))

    def _stored(self, samples: Sequence[Sample], wanted: Sequence[int]) -> Iterator[tuple[str, int, np.ndarray]]:
        """(content hash, view, vectors [windows, width]) of what is there already, in no particular order."""
        keys = (f"{s.sha256}:{v}" for s in samples for v in wanted)
        while chunk := list(itertools.islice(keys, _KEYS)):
            extra = ((key, self._unsaved[key]) for key in chunk if key in self._unsaved)
            for key, value in itertools.chain(self._store.get(chunk), extra):
                sha256, _, view = key.partition(":")
                yield sha256, int(view), _from_bytes(value)

    def _windows(self, samples: list[Sample], wanted: Sequence[int]) -> np.ndarray:
        """How many rows of each sample and view are stored, int32 [samples, len(wanted)]; 0: none yet."""
        places = _places(samples)
        counts = np.zeros((len(samples), len(wanted)), np.int32)
        for sha256, view, vectors in self._stored(samples, wanted):
            counts[places[sha256], wanted.index(view)] = len(vectors)
        return counts[[places[s.sha256] for s in samples]]

    def _compute(self, samples: list[Sample], wanted: Sequence[int], progress: Progress | None) -> dict[str, FileError]:
        """Fill the cache, a chunk at a time: decode on all cores, then embed on all cores; returns what could not be read.

        Both at once would only make each slower. Vectors go to disk at once, so that memory does not grow with the number
        of samples.
        """
        views, parts = [view for view in wanted if view >= 0], min(wanted) < 0
        self._parts if parts else self._session  # noqa: B018  built first, so that its time is not counted as decoding
        errors: dict[str, FileError] = {}
        size = max(1, _CHUNK // len(views))
        for first in range(0, len(samples), size):
            chunk = samples[first : first + size]
            start = time.perf_counter()
            stored = {(sha256, view) for sha256, view, _ in self._stored(chunk, wanted)}
            items: list[np.ndarray] = []
            owners: list[tuple[str, int]] = []  # of each entry: content hash and view
            for sample, decoded in self.reader.read(chunk):
                if isinstance(decoded, FileError):
                    errors[sample.sha256] = decoded
                    continue
                for view in views:
                    needed = (view, parts_of(view)) if parts else (view,)
                    if any((sample.sha256, kept) not in stored for kept in needed):
                        items.append(decoded if view == 0 else self._augmented(sample, decoded, view))
                        owners.append((sample.sha256, view))
            self.clock.add("decode", start)
            start = time.perf_counter()
            self._remember(items, owners, parts)
            self.clock.add("embed", start)
            if progress:
                progress("embed", first + len(chunk), len(samples))
        return errors

    def _remember(self, items: list[np.ndarray], owners: list[tuple[str, int]], parts: bool) -> None:
        """Embed decoded items and store the vectors."""
        if not items:
            return
        stack = np.concatenate(items)
        batches = [stack[i : i + _BATCH] for i in range(0, len(stack), _BATCH)]
        ends = np.cumsum([len(part) for part in items])[:-1]
        fresh = []
        if parts:
            pairs = [self._parts(batch) for batch in batches]
            plain, pieces = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
            for (sha256, view), rows in zip(owners, np.split(pieces, ends), strict=True):
                fresh.append((f"{sha256}:{parts_of(view)}", _to_bytes(rows.reshape(-1, rows.shape[-1]))))
        else:
            plain = np.concatenate([self.run(batch) for batch in batches])
        for (sha256, view), rows in zip(owners, np.split(plain, ends), strict=True):
            fresh.append((f"{sha256}:{view}", _to_bytes(rows)))
        if not self._store.put(fresh):
            self._unsaved.update(fresh)

    def _augmented(self, sample: Sample, items: np.ndarray, view: int) -> np.ndarray:
        seed = int(sample.sha256[:15], 16)
        return np.stack(
            [self.frontend.augment(item, np.random.default_rng([seed, view, w])) for w, item in enumerate(items)]
        )

    def _assemble(self, samples: list[Sample], wanted: Sequence[int], windows: np.ndarray) -> Embedded:
        """One matrix, filled from the cache in place: rows by sample, then view, then window."""
        starts = np.concatenate([[0], np.cumsum(windows)])[:-1].reshape(windows.shape)
        places = _places(samples)
        x = np.empty((0, 0), np.float32)
        filled = np.zeros(windows.shape, bool)
        for sha256, view, vectors in self._stored(samples, wanted):
            i, column = places[sha256], wanted.index(view)
            if not len(x):
                x = np.empty((int(windows.sum()), vectors.shape[1]), np.float32)
            if len(vectors) == windows[i, column]:
                x[starts[i, column] : starts[i, column] + len(vectors)] = vectors
                filled[i, column] = True
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
        view_of = np.repeat(np.tile(np.array(wanted, np.int8), len(samples)), windows.ravel())
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
