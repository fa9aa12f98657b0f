"""Strategies that train a network by gradient: `scratch` and `finetune`.

Sounds and pictures alike: the front-end's graph turns decoded items into what the network sees, so that training sees the
same numbers as the exported model. Knows nothing about torch; the loop does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from handful import __version__
from handful.data import Sample
from handful.data.splits import Plan, inner_folds
from handful.errors import FileError, UsageError
from handful.graph import Graph, session
from handful.models import Network, Weights, digest
from handful.training._checkpoint import Checkpoint
from handful.training._feed import Pictures
from handful.training._loop import TrainedNetwork, find_batch_size, fit_network
from handful.training._steps import LoopSettings, Tell
from handful.training.strategies import Job, Predicted, strategies
from handful.words import both, said

_BATCH = 32
_Task = tuple[Network, Weights | None, Pictures, np.ndarray, int]
EPOCHS = {"finetune": 20, "scratch": 60}
PACED = 0.8  # of the time that is left goes into epochs, the rest into predictions, studies and saving


class Gradient:
    """A network trained on augmented items, fresh ones each epoch. See `strategies.Strategy`."""

    quick = False
    keep: Path | None = None
    deadline: float | None = None
    repeats: int | None = 1  # of the cross-validation: each costs as many trainings as there are folds

    def __init__(self, job: Job, kind: str) -> None:
        network = job.model
        if not isinstance(network, Network):
            raise UsageError(*both("error.no_gradient", model=job.model.name))
        self.job, self.kind, self.network = job, kind, network.on(job.frontend)
        self.candidates: list[dict[str, Any]] = []
        recipe = job.recipe
        blocks = recipe.trainable_blocks if recipe.trainable_blocks is not None else -1
        chosen: dict[str, Any] = {
            "epochs": recipe.epochs or EPOCHS[kind], "batch_size": recipe.batch_size or None, "learning_rate": recipe.learning_rate,
            "optimizer": recipe.optimizer, "scheduler": recipe.scheduler, "label_smoothing": recipe.label_smoothing,
            "patience": recipe.patience, "trainable_blocks": blocks, "seed": recipe.seed, "threads": recipe.threads,
            "device": _device(recipe.device),
        } | {
            name: getattr(recipe, name)
            for name in (
                "accumulate", "warmup", "layer_decay", "weight_decay", "gradient_clip", "class_weights", "mixup", "average", "precision",
            )
        }  # fmt: skip
        self.settings = LoopSettings(**{name: value for name, value in chosen.items() if value is not None})
        self._asked = self.settings, recipe.batch_size, recipe.target_size, recipe.augment, recipe.mask
        self.resolved: dict[str, Any] = {
            "epochs": self.settings.epochs,
            "trainable_blocks": blocks if kind == "finetune" else None,
        }
        self.note = self._noted()

    def _noted(self) -> str:
        blocks = self.settings.trainable_blocks if self.kind == "finetune" else 0
        return f"{self.settings.epochs} epochs" + (f", last {blocks} blocks" if blocks > 0 else "")

    @cached_property
    def _prepare(self) -> Any:
        """Session from items to what the network sees."""
        g = Graph()
        seen = self.network.prepare(g, self.job.frontend.input(g), self.job.frontend)
        g.output(seen, "picture", ["N", *self.network.shape])
        return session(g.build(), self.job.recipe.threads)

    def _pictures(self, items: np.ndarray) -> np.ndarray:
        parts = [
            self._prepare.run(["picture"], {"input": items[i : i + _BATCH]})[0] for i in range(0, len(items), _BATCH)
        ]
        return np.concatenate(parts)

    def _read(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[np.ndarray], list[tuple[Sample, FileError]]]:
        start = time.perf_counter()
        kept, items, errors = [], [], []
        for number, (sample, found) in enumerate(self.job.reader.read(samples)):
            if isinstance(found, FileError):
                errors.append((sample, found))
            else:
                kept.append(sample)
                items.append(found)
            if self.job.progress:
                self.job.progress("decode", number + 1, len(samples))
        self.job.clock.add("decode", start)
        return kept, items, errors

    def load(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[tuple[Sample, FileError]]]:
        kept, items, errors = self._read(samples)
        self.samples = kept
        self.items = np.concatenate(items) if items else np.empty(0)
        self.owner = np.repeat(np.arange(len(kept)), [len(i) for i in items])
        return kept, errors

    def _train(
        self,
        labels: np.ndarray,
        groups: np.ndarray,
        classes: int,
        mask: np.ndarray,
        fold: int | None,
        keep: Path | None = None,
        heard: Tell | None = None,
    ) -> TrainedNetwork:
        rows, stop = np.flatnonzero(mask[self.owner]), None
        trains = mask
        if self.settings.patience:  # one fifth of the training samples, whole groups, tells when to stop
            stops = inner_folds(labels, groups, mask, self.settings.seed, 5) == 0
            stop, trains = stops[self.owner[rows]], mask & ~stops
        if self.job.recipe.target_size:
            copies = copies_for(labels, trains, self.job.recipe.target_size)
            added = np.concatenate([np.flatnonzero(self.owner == sample) for sample in copies] or [rows[:0]])
            rows = np.concatenate([rows, added])
            stop = None if stop is None else np.concatenate([stop, np.zeros(len(added), bool)])
        frontend, seed = self.job.frontend, self.settings.seed
        changed, share = self.job.recipe.augment is not False, self.job.recipe.mask

        def pictures(indices: np.ndarray, epoch: int | None) -> np.ndarray:
            chosen = self.items[rows[indices]]
            if epoch is None:
                return self._pictures(chosen)
            draws = [np.random.default_rng([seed, epoch, int(i)]) for i in indices]
            if changed:
                chosen = np.stack([frontend.augment(item, rng) for item, rng in zip(chosen, draws, strict=True)])
            seen = self._pictures(chosen)
            if not share:
                return seen
            return np.stack([frontend.mask(x, share, rng) for x, rng in zip(seen, draws, strict=True)])

        def tell(row: dict[str, Any]) -> None:
            self.job.log(event="epoch", fold=fold, **row)

        weights = self.job.weights if self.kind == "finetune" else None
        task: _Task = (self.network, weights, pictures, labels[self.owner[rows]], classes)
        if self.job.recipe.batch_size == 0:
            self._size(keep, task)
        checkpoint = Checkpoint(keep / f"{_name(fold)}.safetensors", self._identity(labels, mask)) if keep else None
        return fit_network(*task, self.settings, heard or tell, stop, checkpoint)

    def _size(self, keep: Path | None, task: _Task) -> None:
        """Find the batch size, once for all trainings of a run."""
        if "batch_size" in self.resolved:
            return
        noted = Checkpoint(keep / "batch_size.safetensors", "") if keep else None
        if noted and (found := noted.load()):
            size = int(found[1]["size"])
        else:
            recipe = self.job.recipe
            size = find_batch_size(*task, self.settings, recipe.target_memory_usage * (1 - recipe.safety_margin))
            self.job.log(event="batch_size", size=size)
            if noted:
                noted.save({}, {"size": size})
        self.settings = replace(self.settings, batch_size=size)
        self.resolved["batch_size"] = size

    def _pace(self, labels: np.ndarray, groups: np.ndarray, classes: int, trainings: int) -> None:
        """Choose as many epochs as `trainings` may have before the deadline, once for a run: two are tried and timed."""
        noted = Checkpoint(self.keep / "epochs.safetensors", "") if self.keep else None
        asked = self.settings
        if noted and (found := noted.load()):
            epochs = int(found[1]["epochs"])
        else:
            times = [time.perf_counter()]
            self.settings = replace(asked, epochs=2, patience=None)
            everything = np.ones(len(labels), bool)
            self._train(labels, groups, classes, everything, None, heard=lambda _: times.append(time.perf_counter()))
            each = times[2] - times[1]
            begin = max(0.0, times[1] - times[0] - each)  # of every training: weights, head
            left = PACED * ((self.deadline or 0.0) - time.perf_counter())
            epochs = min(asked.epochs, max(1, int((left / trainings - begin) / each)))
            self.job.log(event="paced", epochs=epochs, seconds_per_epoch=each)
            if noted:
                noted.save({}, {"epochs": epochs})
        self.settings = replace(asked, epochs=epochs, batch_size=self.settings.batch_size)
        self._asked = (self.settings, *self._asked[1:])
        self.resolved["epochs"] = epochs
        self.note = self._noted()

    def _identity(self, labels: np.ndarray, mask: np.ndarray) -> str:
        """Changes with everything that a training depends on."""
        return digest(
            __version__, self.kind, self.network.key(self.job.weights), self.network.shape, self.job.frontend.spec(), self._asked,
            [s.sha256 for s in self.samples], labels.tolist(), np.flatnonzero(mask).tolist(),
        )  # fmt: skip

    def _logits(self, trained: TrainedNetwork, items: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
        """Logits [count, classes], windows averaged."""
        rows = np.concatenate(
            [trained.logits(self._pictures(items[i : i + _BATCH])) for i in range(0, len(items), _BATCH)]
        )
        total = np.zeros((count, rows.shape[1]), np.float32)
        np.add.at(total, owner, rows)
        return np.asarray(total / np.bincount(owner, minlength=count)[:, None])

    def rehearse(
        self, labels: np.ndarray, groups: np.ndarray, classes: int, masks: np.ndarray, held: np.ndarray
    ) -> np.ndarray:
        """Logits [models, samples, classes] of the held samples, one training for each mask."""
        return self._folds(labels, groups, classes, masks, held, None)

    def _folds(
        self,
        labels: np.ndarray,
        groups: np.ndarray,
        classes: int,
        masks: np.ndarray,
        held: np.ndarray,
        keep: Path | None,
    ) -> np.ndarray:
        """As `rehearse`; what is found in `keep` is not trained again."""
        start = time.perf_counter()
        found = np.full((*held.shape, classes), np.nan, np.float32)
        if self.job.progress:
            self.job.progress("train", 0, len(masks) + 1)
        for number, (mask, wanted) in enumerate(zip(masks, held, strict=True)):
            chosen = np.flatnonzero(wanted)
            answers = (
                Checkpoint(keep / f"{_name(number)}-answers.safetensors", self._identity(labels, mask))
                if keep
                else None
            )
            kept = answers.load() if answers else None
            if kept:
                found[number, chosen] = kept[0]["logits"].numpy()
            else:
                trained = self._train(labels, groups, classes, mask, number, keep)
                rows = np.isin(self.owner, chosen)
                owner = np.searchsorted(chosen, self.owner[rows])
                found[number, chosen] = self._logits(trained, self.items[rows], owner, len(chosen))
                if answers and keep:
                    answers.save_arrays({"logits": found[number, chosen]})
                    (keep / f"{_name(number)}.safetensors").unlink(missing_ok=True)
            if self.job.progress:
                self.job.progress("train", number + 1, len(masks) + 1)
        self.job.clock.add("fit", start)
        return found

    def evaluate(self, labels: np.ndarray, groups: np.ndarray, classes: int, plan: Plan) -> np.ndarray:
        held = np.stack([plan.folds[repeat] == fold for repeat, fold, _ in plan.masks()])
        if self.deadline is not None:
            start = time.perf_counter()
            self._pace(labels, groups, classes, len(held) + 1)
            self.job.clock.add("fit", start)
        logits = plan.gather(self._folds(labels, groups, classes, ~held, held, self.keep))
        start = time.perf_counter()
        self.trained = self._train(labels, groups, classes, np.ones(len(labels), bool), None, self.keep)
        self.note = "; ".join(filter(None, [self.note, self.trained.note]))
        if self.job.progress:
            self.job.progress("train", len(held) + 1, len(held) + 1)
        self.job.clock.add("fit", start)
        return logits

    def embeddings(self, others: Sequence[Sample] | None = None) -> tuple[list[Sample], np.ndarray] | None:
        return None

    def predict(self, samples: Sequence[Sample]) -> Predicted:
        kept, items, errors = self._read(samples)
        if not kept:
            return Predicted([], np.zeros((0, 0), np.float32), errors)
        owner = np.repeat(np.arange(len(kept)), [len(i) for i in items])
        return Predicted(kept, self._logits(self.trained, np.concatenate(items), owner, len(kept)), errors)

    def graph(self, g: Graph, x: str) -> str:
        import onnx

        start = time.perf_counter()
        proto = onnx.load_from_string(self.trained.to_onnx())
        self.job.clock.add("export", start)
        (logits,) = g.merge(proto, {proto.graph.input[0].name: self.network.prepare(g, x, self.job.frontend)})
        return logits

    def state(self) -> dict[str, np.ndarray]:
        return self.trained.state()

    @property
    def parameters(self) -> int:
        return self.trained.parameters


def _name(fold: int | None) -> str:
    return "final" if fold is None else f"fold-{fold}"


def copies_for(labels: np.ndarray, mask: np.ndarray, target: int) -> np.ndarray:
    """Which samples to take once more, so that each class in `mask` reaches `target` samples: in turn, as often as needed."""
    copies = [np.empty(0, np.int64)]
    for label in np.unique(labels[mask]):
        there = np.flatnonzero(mask & (labels == label))
        copies.append(np.resize(there, max(0, target - len(there))))
    return np.concatenate(copies)


def _device(asked: str) -> str:
    if asked != "auto":
        return asked
    from handful.registry import optional

    return "cuda" if optional("torch", "torch", said("extra.gradient")).cuda.is_available() else "cpu"


@strategies.register("finetune")
def finetune(job: Job) -> Gradient:
    """Pretrained network: head first, then the last blocks or everything."""
    return Gradient(job, "finetune")


@strategies.register("scratch")
def scratch(job: Job) -> Gradient:
    """Network with random weights, trained whole."""
    return Gradient(job, "scratch")
