"""Decode samples ahead of whoever needs them, and remember what was seen of each file.

Knows front-ends and the cache; knows nothing about models. A file that cannot be read is reported, never raised: the
others go on.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from handful.data import Sample
from handful.errors import FileError
from handful.features import Frontend
from handful.files import Store, cache_dir, to_json
from handful.graph import run_threads
from handful.models import digest

_AHEAD = 16  # files decoded and waiting per thread: enough to hide the disk, small beside a batch


@dataclass(frozen=True, slots=True)
class Facts:
    """What the front-end saw of one file, kept as JSON: twenty thousand parsed dictionaries would outweigh the features."""

    raw: bytes

    @property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads(self.raw))


class Reader:
    """Reads samples through one front-end; facts and thumbnails come from the cache where they are known."""

    def __init__(self, frontend: Frontend, threads: int | None = None) -> None:
        self.frontend = frontend
        self.threads = run_threads(threads)
        self._store = Store(cache_dir() / "facts.sqlite")
        self._space = digest("facts-2", to_json(frontend.spec()))[:16]

    def known(self, samples: Sequence[Sample]) -> dict[str, Facts]:
        """Facts of those samples that were read before, by content hash."""
        keys = {f"{self._space}:{sample.sha256}": sample.sha256 for sample in samples}
        return {keys[key]: Facts(value) for key, value in self._store.get(list(keys))}

    def thumbnails(self, samples: Sequence[Sample]) -> dict[str, bytes]:
        """Small pictures that stand for the samples, by content hash."""
        keys = {f"{self._space}:{sample.sha256}:thumbnail": sample.sha256 for sample in samples}
        found = {keys[key]: value for key, value in self._store.get(list(keys))}
        for sample in samples:
            if sample.sha256 not in found:
                found[sample.sha256] = self.frontend.thumbnail(self.frontend.read(sample.path)[0])
        return found

    def read(self, samples: Sequence[Sample]) -> Iterator[tuple[int, np.ndarray | None, Facts | FileError]]:
        """(index, items [W, ...] or None, facts or the reason) in the order given, decoded ahead in threads."""
        with ThreadPoolExecutor(self.threads) as pool:
            waiting: deque[tuple[int, Future[tuple[np.ndarray, Facts, bytes]]]] = deque()
            fresh: list[tuple[str, bytes]] = []
            upcoming = iter(enumerate(samples))
            try:
                while True:
                    while len(waiting) < _AHEAD * self.threads and (job := next(upcoming, None)) is not None:
                        waiting.append((job[0], pool.submit(self._one, job[1])))
                    if not waiting:
                        break
                    index, future = waiting.popleft()
                    try:
                        items, facts, thumbnail = future.result()
                    except FileError as error:
                        yield index, None, error
                        continue
                    key = f"{self._space}:{samples[index].sha256}"
                    fresh += [(key, facts.raw), (f"{key}:thumbnail", thumbnail)]
                    if len(fresh) >= 256:
                        self._store.put(fresh)
                        fresh.clear()
                    yield index, items, facts
            finally:
                for _, future in waiting:
                    future.cancel()
                self._store.put(fresh)

    def _one(self, sample: Sample) -> tuple[np.ndarray, Facts, bytes]:
        try:
            items, facts = self.frontend.read(sample.path)
            return items, Facts(to_json(facts).encode()), self.frontend.thumbnail(items)
        except FileError:
            raise
        except MemoryError as error:
            raise FileError("too large for the memory of this machine", "make a smaller copy", kind="format") from error
        except Exception as error:  # a decoder's own fault: the file is named, the rest goes on
            raise FileError(f"the decoder failed ({type(error).__name__})", "replace or remove it") from error
