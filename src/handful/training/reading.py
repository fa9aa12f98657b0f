"""Decode samples ahead of whoever needs them, and remember what was seen of each file.

Knows front-ends and the cache; knows nothing about models. A file that cannot be read is reported, never raised: the
others go on.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from handful.data import Sample
from handful.errors import FileError
from handful.features import Frontend
from handful.files import Store, cache_dir, to_json
from handful.graph import run_threads
from handful.models import digest
from handful.words import said

_CHUNK = 500  # samples asked of the cache at a time
_AHEAD = 16  # files decoded and waiting per thread: enough to hide the disk, small beside a batch


class Reader:
    """Reads samples through one front-end; facts and thumbnails come from the cache where they are known.

    Facts stay in the cache and are parsed as they are asked for: those of twenty thousand samples would outweigh the features.
    """

    def __init__(self, frontend: Frontend, threads: int | None = None) -> None:
        self.frontend = frontend
        self.threads = run_threads(threads)
        self._store = Store(cache_dir() / "facts.sqlite")
        self._space = digest("facts-3", to_json(frontend.spec()))[:16]
        self._unsaved: dict[str, bytes] = {}  # what the cache could not take: a full disk slows, it does not stop

    def unread(self, samples: Sequence[Sample]) -> set[str]:
        """Content hashes of those samples that were never read through this front-end."""
        unread = {sample.sha256 for sample in samples}
        for start in range(0, len(samples), _CHUNK):
            for key, _ in self._rows(samples[start : start + _CHUNK]):
                unread.discard(key.partition(":")[2])
        return unread

    def facts(self, samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
        """What the front-end saw of each sample, in their order; they were read before."""
        for start in range(0, len(samples), _CHUNK):
            chunk = samples[start : start + _CHUNK]
            found = dict(self._rows(chunk))
            for sample in chunk:
                yield dict(json.loads(found.get(f"{self._space}:{sample.sha256}", b"{}")))

    def _rows(self, samples: Sequence[Sample]) -> Iterator[tuple[str, bytes]]:
        keys = [f"{self._space}:{sample.sha256}" for sample in samples]
        yield from self._store.get(keys)
        yield from ((key, self._unsaved[key]) for key in keys if key in self._unsaved)

    def thumbnails(self, samples: Sequence[Sample]) -> dict[str, bytes]:
        """Small pictures that stand for the samples, by content hash."""
        keys = {f"{self._space}:{sample.sha256}:thumbnail": sample.sha256 for sample in samples}
        found = {keys[key]: value for key, value in self._store.get(list(keys))}
        for sample in samples:
            if sample.sha256 not in found:
                found[sample.sha256] = self.frontend.thumbnail(self.frontend.read(sample.path)[0])
        return found

    def read(self, samples: Sequence[Sample]) -> Iterator[tuple[Sample, np.ndarray | FileError]]:
        """Each sample with its items [W, ...] or the reason why there are none, in order, decoded ahead in threads."""
        with ThreadPoolExecutor(self.threads) as pool:
            waiting: deque[tuple[Sample, Future[tuple[np.ndarray, bytes, bytes]]]] = deque()
            fresh: list[tuple[str, bytes]] = []
            upcoming = iter(samples)
            try:
                while True:
                    while len(waiting) < _AHEAD * self.threads and (sample := next(upcoming, None)) is not None:
                        waiting.append((sample, pool.submit(self._one, sample)))
                    if not waiting:
                        break
                    sample, future = waiting.popleft()
                    try:
                        items, facts, thumbnail = future.result()
                    except FileError as error:
                        yield sample, error
                        continue
                    key = f"{self._space}:{sample.sha256}"
                    fresh += [(key, facts), (f"{key}:thumbnail", thumbnail)]
                    if len(fresh) >= 256:
                        self._save(fresh)
                        fresh = []
                    yield sample, items
            finally:
                for _, future in waiting:
                    future.cancel()
                self._save(fresh)

    def _save(self, rows: list[tuple[str, bytes]]) -> None:
        if not self._store.put(rows):
            self._unsaved.update((key, value) for key, value in rows if not key.endswith(":thumbnail"))

    def _one(self, sample: Sample) -> tuple[np.ndarray, bytes, bytes]:
        try:
            items, facts = self.frontend.read(sample.path)
            return items, to_json(facts).encode(), self.frontend.thumbnail(items)
        except FileError:
            raise
        except MemoryError as error:
            raise FileError(said("file.memory"), said("file.memory.fix"), kind="format") from error
        except Exception as error:  # a decoder's own fault: the file is named, the rest goes on
            raise FileError(said("file.decoder", how=type(error).__name__), said("file.decoder.fix")) from error
