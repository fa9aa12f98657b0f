"""What a way of training must offer. One strategy, one file; `fit` knows no more than this contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from handful.config import Recipe
from handful.data import Sample
from handful.data.splits import Plan
from handful.errors import FileError
from handful.features import Frontend
from handful.graph import Graph
from handful.models import Model, Weights
from handful.registry import Registry
from handful.training.embedding import Clock, Progress
from handful.training.reading import Reader


@dataclass(frozen=True)
class Job:
    """Everything a strategy gets: settings, what to read with, what to train, and whom to tell."""

    recipe: Recipe
    reader: Reader
    model: Model
    weights: Weights | None
    clock: Clock = field(default_factory=Clock)
    progress: Progress | None = None
    log: Callable[..., None] = lambda **event: None  # one line of metrics.jsonl

    @property
    def frontend(self) -> Frontend:
        return self.reader.frontend


class Predicted(NamedTuple):
    """The samples that could be read, their logits float32 [n, classes], the others with reasons."""

    samples: list[Sample]
    logits: np.ndarray
    errors: list[tuple[Sample, FileError]]


class Strategy(Protocol):
    """Called in this order: load, then rehearse as often as wanted, evaluate, then any of predict, graph, state."""

    repeats: int | None  # of the cross-validation, None: by the number of samples
    quick: bool  # whether rehearsing costs next to nothing, once the samples are loaded
    candidates: list[dict[str, Any]]  # what was tried inside training folds: name, accuracy, log_loss, chosen (folds)
    note: str  # what was trained, for people: "logistic (C=16)"
    resolved: dict[str, Any]  # recipe fields that were found on the way
    keep: Path | None  # folder in which `evaluate` keeps what took long, and finds it again after an interruption

    deadline: float | None  # of `time.perf_counter`, by which `evaluate` should be done

    def load(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[tuple[Sample, FileError]]]:
        """Read the files: (those that could be read, the others with reasons)."""
        ...

    def rehearse(
        self, labels: np.ndarray, groups: np.ndarray, classes: int, masks: np.ndarray, held: np.ndarray
    ) -> np.ndarray:
        """Logits of models made like the shipped one, each trained on some of the samples; the shipped one stays as it is.

        Args:
            labels, groups: int [samples].
            classes: how many there are; a mask may lack some.
            masks: bool [models, samples], who trains.
            held: bool [models, samples], who is predicted.

        Returns:
            float32 [models, samples, classes], NaN where nothing was predicted.
        """
        ...

    def evaluate(self, labels: np.ndarray, groups: np.ndarray, classes: int, plan: Plan) -> np.ndarray:
        """Out-of-fold logits [repeats, samples, classes] (NaN where a sample was not tested); fits the shipped model."""
        ...

    def embeddings(self, others: Sequence[Sample] | None = None) -> tuple[list[Sample], np.ndarray] | None:
        """The samples that could be read and float32 [n, width], windows averaged: of the loaded samples, or of `others`.

        None where the model has no embedding apart from its answers.
        """
        ...

    def predict(self, samples: Sequence[Sample]) -> Predicted:
        """Logits [n, classes] of the shipped model, computed as in training, not by the exported graph."""
        ...

    def graph(self, g: Graph, x: str) -> str:
        """Append the shipped model to a graph: from the front-end's value to logits [N, classes]."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Every trained array by name, for model.safetensors."""
        ...

    @property
    def parameters(self) -> int:
        """Numbers of the whole model that a prediction uses, where known."""
        ...


strategies: Registry[Callable[[Job], Strategy]] = Registry("strategy", "handful.training")
