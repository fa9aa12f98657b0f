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


@dataclass(frozen=True)
class Facts:
    """What was seen of one file: `facts` from the front-end, `thumbnail` a small JPEG or PNG."""

    facts: dict[str, Any]
    thumbnail: bytes


class Reader:
    """Reads samples through one front-end; facts and thumbnails come from the cache where they are known."""

    def __init__(self, frontend: Frontend, threads: int | None = None) -> None:
        self.frontend = frontend
        self.threads = run_threads(threads)
        self._store = Store(cache_dir() / "facts.sqlite")
        self._space = digest("facts-1", to_json(frontend.spec()))[:16]

    def known(self, samples: Sequence[Sample]) -> dict[str, Facts]:
        """Facts of those samples that were read before, by content hash."""
        keys = {f"{self._space}:{sample.sha256}": sample.sha256 for sample in samples}
        found = {}
        for key, value in self._store.get(list(keys)):
            head, _, thumbnail = value.partition(b"\n")
            found[keys[key]] = Facts(json.loads(head), thumbnail)
        return found

    def read(self, samples: Sequence[Sample]) -> Iterator[tuple[int, np.ndarray | None, Facts | FileError]]:
        """(index, items [W, ...] or None, facts or the reason) in the order given, decoded ahead in threads."""
        with ThreadPoolExecutor(self.threads) as pool:
            waiting: deque[tuple[int, Future[tuple[np.ndarray, Facts]]]] = deque()
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
                        items, facts = future.result()
                    except FileError as error:
                        yield index, None, error
                        continue
                    fresh.append(
                        (
                            f"{self._space}:{samples[index].sha256}",
                            to_json(facts.facts).encode() + b"\n" + facts.thumbnail,
                        )
                    )
                    if len(fresh) >= 256:
                        self._store.put(fresh)
                        fresh.clear()
                    yield index, items, facts
            finally:
                for _, future in waiting:
                    future.cancel()
                self._store.put(fresh)

    def _one(self, sample: Sample) -> tuple[np.ndarray, Facts]:
        try:
            items, facts = self.frontend.read(sample.path)
            return items, Facts(facts, self.frontend.thumbnail(items))
        except FileError:
            raise
        except MemoryError as error:
            raise FileError("too large for the memory of this machine", "make a smaller copy", kind="format") from error
        except Exception as error:  # a decoder's own fault: the file is named, the rest goes on
            raise FileError(f"the decoder failed ({type(error).__name__})", "replace or remove it") from error
