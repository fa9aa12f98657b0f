"""What one server holds: models, how much it takes on at once, what it counts. Knows nothing of routes or sockets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from handful.errors import FileError, HandfulError
from handful.web.figures import ITEMS, SECONDS, Counter, Gauge, Histogram
from handful.web.problems import Problem, impossible, unreadable
from handful.workflow.serve import ServedModel

T = TypeVar("T")
RETRY_S = "1"


@dataclass(frozen=True)
class Limits:
    """How much is taken on. Times in seconds, sizes in bytes."""

    body: int = 50_000_000  # of one request
    held: int = 512_000_000  # of all requests that are being read or wait, in memory or on disk
    waiting: int = 256  # predictions that wait or run
    parts: int = 32  # files of one request
    silence: float = 10.0  # until the next part of a head or body
    body_time: float = 60.0  # for a whole body
    answer_time: float = 60.0  # for a prediction


class Service:
    """Shared by all requests of a server; only `figures` are touched by other threads."""

    def __init__(self, models: dict[str, ServedModel], limits: Limits) -> None:
        self.models = models
        self.limits = limits
        self.ready = True
        self._waiting = 0
        self._held = 0
        self.started = time.time()
        self.requests = Counter("handful_requests_total", "Requests answered.")
        self.seconds = Histogram(
            "handful_request_duration_seconds", "From the first byte of a head to the answer.", SECONDS
        )
        self.received = Counter("handful_received_bytes_total", "Bytes of bodies that were read.")
        self.predictions = Counter("handful_predictions_total", "Predictions by model and result.")
        self.refused = Counter("handful_refused_total", "Requests that were refused, by reason.")
        self.batches = Histogram("handful_batch_items", "Items in one run of a model's graph.", ITEMS)
        self.figures: list[Counter | Gauge | Histogram] = [
            self.requests, self.seconds, self.received, self.predictions, self.refused, self.batches,
            Gauge("handful_waiting_predictions", "Predictions that wait or run.", lambda: {(): self._waiting}),
            Gauge("handful_held_bytes", "Bytes of bodies that are held, in memory or on disk.", lambda: {(): self._held}),
            Gauge("handful_ready", "1 while new requests are welcome.", lambda: {(): int(self.ready)}),
            Gauge("handful_start_time_seconds", "When the server began, seconds since 1970.", lambda: {(): self.started}),
            Gauge("handful_model_info", "The models and their versions.", lambda: {
                (("model", m.name), ("version", m.version)): 1 for m in self.models.values()
            }),
        ]  # fmt: skip
        for model in models.values():
            model.batcher.sizes = lambda items, name=model.name: self.batches.add(items, model=name)  # type: ignore[misc]

    def model(self, name: str | None, version: str | None = None) -> ServedModel:
        """The model of that name; without a name the only one."""
        if name is None and len(self.models) == 1:
            return next(iter(self.models.values()))
        if name is None:
            raise Problem(400, "there are several models: say which", models=list(self.models), hint="?model=NAME")
        found = self.models.get(name)
        if found is None or (version is not None and version != found.version):
            raise Problem(404, "there is no such model" if found is None else "there is no such version of the model")
        return found

    def hold(self, size: int) -> None:
        """Count `size` more bytes of bodies that are held; 429 when that is too much for the machine."""
        if self._held + size > self.limits.held:
            raise self.busy("memory", "too much is being sent at once")
        self._held += size

    def let_go(self, size: int) -> None:
        self._held -= size

    def busy(self, reason: str, words: str) -> Problem:
        self.refused.add(reason=reason)
        return Problem(429, words, {"Retry-After": RETRY_S})

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place in the bounded queue; 429 when there is none."""
        if self._waiting >= self.limits.waiting:
            raise self.busy("queue", f"{self._waiting} predictions wait already")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def answer(self, model: ServedModel, work: Future[T]) -> T:
        """The result of `work`, counted; what goes wrong as a Problem."""
        try:
            async with asyncio.timeout(self.limits.answer_time):
                found = await asyncio.wrap_future(work)
        except TimeoutError:
            self.predictions.add(model=model.name, result="late")
            raise Problem(503, "the prediction took too long", {"Retry-After": RETRY_S}) from None
        except FileError as error:
            self.predictions.add(model=model.name, result="unreadable")
            raise unreadable(error) from error
        except HandfulError as error:
            self.predictions.add(model=model.name, result="failed")
            raise impossible(error) from error
        self.predictions.add(model=model.name, result="done")
        return found

    def close(self) -> None:
        for model in self.models.values():
            model.close()

    def about(self) -> list[dict[str, Any]]:
        return [model.about for model in self.models.values()]
