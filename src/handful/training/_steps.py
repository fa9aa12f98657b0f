"""The steps of one training by gradient: epochs, gradients, what is kept of them, and where it stands.

Knows batches and optimisers; see `_loop` for what comes before and after.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from handful.errors import HandfulError
from handful.training import _memory, _optimise
from handful.training._checkpoint import Checkpoint
from handful.training._feed import EVALUATION_BATCH, Feed, Pictures, forward
from handful.training._lighter import Lighter
from handful.training._stopping import Stopping
from handful.words import both

if TYPE_CHECKING:
    import torch
    from torch import nn

    from handful.training._loop import TrainedNetwork

Tell = Callable[[dict[str, Any]], None]

UNREAD = 16  # steps of a GPU whose loss is looked at together: each look waits for it
RATES = {True: 3e-4, False: 2e-3}  # of pretrained networks, and from scratch
SMALL, SMALL_RATE = 100_000, 5e-3  # from scratch with fewer parameters; at 2e-3 they had not arrived after 20 epochs


@dataclass(frozen=True)
class LoopSettings:
    """How to train. `learning_rate` None: 3e-4 for pretrained networks, 2e-3 from scratch, 5e-3 below 100,000 parameters.

    `batch_size` is the samples of a step; they are computed in `accumulate` parts. `trainable_blocks`: 0 the head only, N the
    head and the last N blocks (see `Network.blocks`; each family's file says what a block is), -1 everything; a network
    without weights always trains everything. `layer_decay`: each block learns by this factor slower than the one after it.
    `patience` counts epochs without a better validation loss. `warmup` is a share of all steps. `mixup` is the Beta
    distribution's parameter, 0: none. `average` is the decay of an exponential moving average of the weights, 0: none.
    `class_weights` make every class count alike. `precision` auto: bfloat16 on a GPU that has it, else float32.
    """

    epochs: int = 20
    batch_size: int = 16
    accumulate: int = 1
    learning_rate: float | None = None
    layer_decay: float = 1.0
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    scheduler: _optimise.Scheduler = "cosine"
    warmup: float = 0.1
    label_smoothing: float = 0.1
    class_weights: bool = False
    mixup: float = 0.0
    average: float = 0.0
    weight_decay: float = 0.05
    gradient_clip: float = 1.0
    trainable_blocks: int = -1
    patience: int | None = None
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "cpu"
    seed: int = 0
    threads: int | None = None


class Training:
    """The epochs of one training: optimiser, schedule, the best state so far."""

    def __init__(
        self, trained: TrainedNetwork, head: nn.Module, pictures: Pictures, labels: np.ndarray, classes: int,
        train: np.ndarray, settings: LoopSettings, pretrained: bool, checkpoint: Checkpoint | None,
    ) -> None:  # fmt: skip
        import torch

        self.trained, self.module, self.pictures, self.settings = trained, trained.module, pictures, settings
        self.pretrained, self.checkpoint, self.train_rows = pretrained, checkpoint, train
        self.device = torch.device(trained.device)
        self.labels = torch.from_numpy(labels)
        self.weights = None
        if settings.class_weights and labels.ndim == 1:
            self.weights = torch.from_numpy(_optimise.balanced(labels[train], classes)).to(self.device)
        small = not pretrained and sum(parameter.numel() for parameter in self.module.parameters()) < SMALL
        self.rate = settings.learning_rate or (SMALL_RATE if small else RATES[pretrained])
        blocks = settings.trainable_blocks if pretrained else -1
        self.frozen = _optimise.unfreeze(trained.model, self.module, head, blocks)
        groups = _optimise.parameter_groups(
            trained.model, self.module, head, settings.weight_decay, settings.layer_decay
        )
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.optimizer = _optimise.make_optimizer(settings.optimizer, groups, self.rate)
        self.dtype = _dtype(settings.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.plateau = _optimise.Plateau()
        self.average = _optimise.Average(self.module, settings.average) if settings.average else None
        self.part = math.ceil(settings.batch_size / settings.accumulate)  # samples at once
        self.batches = math.ceil(len(train) / settings.batch_size)
        gpu = self.device.type == "cuda"
        self.unread = UNREAD if gpu else 1
        self.feed = Feed(pictures, self.device, settings.batch_size, settings.threads)
        self.lighter = contextlib.nullcontext() if gpu else Lighter(self.module, pretrained)
        self.epoch = self.batch = 0  # the next to be done
        self.total = self.right = 0.0  # of the current epoch
        self.done = False
        self.stopping = Stopping()
        self.best_loss: float | None = None
        self.best_epoch = -1
        self.best = self._snapshot() if pretrained else None

    # -- epochs ----------------------------------------------------------------------------------------------------

    def train(self, valid: np.ndarray, progress: Tell | None) -> None:
        """All epochs that are left. Told to stop, it finishes its step and keeps where it stands, where it can."""
        with self.stopping if self.checkpoint else contextlib.nullcontext():
            self._epochs(valid, progress)

    def _epochs(self, valid: np.ndarray, progress: Tell | None) -> None:
        while self.epoch < self.settings.epochs and not self.done:
            start = time.perf_counter()
            row = {"epoch": self.epoch + 1, "epochs": self.settings.epochs} | self._epoch()
            if not math.isfinite(row["train_loss"]):
                self._diverged()
                break
            if len(valid):
                row |= self._evaluate(valid)
            row |= self._costs(time.perf_counter() - start)
            self.trained.history.append(row)
            if progress:
                progress(row)
            self._judge(row.get("val_loss", row["train_loss"]), len(valid) > 0)
            self.epoch, self.batch, self.total, self.right = self.epoch + 1, 0, 0.0, 0.0
        self.done = True
        if self.checkpoint:
            self.save()
        if self.best is not None:
            self.module.load_state_dict(self.best)

    def _judge(self, watched: float, validated: bool) -> None:
        """Keep the epoch if it is the best, or the last one where nothing was held out; stop when patience ends."""
        if self.settings.scheduler == "plateau":
            self.plateau.see(watched)
        if not validated or self.best_loss is None or watched < self.best_loss:
            self.best_loss, self.best_epoch = watched, self.epoch
            self.best = self._snapshot()
        elif self.settings.patience is not None and self.epoch - self.best_epoch >= self.settings.patience:
            self._note(f"stopped after epoch {self.epoch + 1}, best was {self.best_epoch + 1}")
            self.done = True

    def _epoch(self) -> dict[str, float]:
        """The rest of a pass over the training pictures; a loss that is not finite ends it before it changes anything."""
        order = self.train_rows[self._rng(self.epoch).permutation(len(self.train_rows))]
        size = self.settings.batch_size
        waiting = [order[i : i + size] for i in range(0, len(order), size)]
        if len(waiting) > 1 and len(waiting[-1]) == 1:  # batch norm cannot normalise a single vector
            waiting[-2:] = [np.concatenate(waiting[-2:])]
        waiting = waiting[self.batch :]
        self.mode()
        unread: list[torch.Tensor] = []
        for rows, x in self.feed(waiting, self.epoch):
            step = self.epoch * self.batches + self.batch
            self._schedule(step)
            unread.append(self._halving(x, rows, step))
            due = self.checkpoint is not None and (self.checkpoint.due or self.stopping.asked)
            if (due or len(unread) == self.unread) and not self._finite(unread):
                return {"train_loss": math.nan, "train_accuracy": math.nan}
            self.update()
            self.batch += 1
            if due:
                self.save()
                self.stopping.act()
        if not self._finite(unread):
            return {"train_loss": math.nan, "train_accuracy": math.nan}
        return {"train_loss": self.total / len(order), "train_accuracy": self.right / len(order)}

    def _finite(self, unread: list[torch.Tensor]) -> bool:
        """Add the losses that were computed since the last look; False when one is not finite."""
        for loss, right in [found.tolist() for found in unread]:
            self.total += loss
            self.right += right
        unread.clear()
        return math.isfinite(self.total)

    # -- steps -----------------------------------------------------------------------------------------------------

    def _halving(self, x: torch.Tensor, rows: np.ndarray, step: int) -> torch.Tensor:
        """`gradients`, with half as many samples at once as often as memory runs out."""
        while True:
            try:
                return self.gradients(x, rows, step)
            except (RuntimeError, MemoryError) as error:
                if not _memory.out_of_memory(error):
                    raise
                held = min(self.part, len(rows))
                if held == 1:
                    raise HandfulError(*both("error.single_memory")) from error
            self.part = math.ceil(held / 2)
            self.optimizer.zero_grad(set_to_none=True)
            self._note(_memory.HALVED.format(self.part, held))

    def gradients(self, x: torch.Tensor, rows: np.ndarray, step: int) -> torch.Tensor:
        """Compute the gradients of one step, `part` samples at once; float64 [2]: summed loss, how many were right."""
        import torch

        torch.manual_seed(self.settings.seed * 1_000_003 + step)
        y = self.labels[torch.from_numpy(rows)].to(self.device)
        tensor, target = _optimise.mix(x, y, self.settings.mixup, self._rng(step, 1), self.weights)
        mass, found = target.mass, []
        self.optimizer.zero_grad(set_to_none=True)
        part = math.ceil(len(rows) / math.ceil(len(rows) / self.part))  # equal parts, so that none is a single sample
        for start in range(0, len(rows), part):
            chosen = slice(start, start + part)
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32), self.lighter:
                logits = self.module(tensor[chosen])
            loss = target.part(chosen).loss(logits.float(), self.settings.label_smoothing) / mass
            self.scaler.scale(loss).backward()
            found.append(torch.stack([loss.detach(), _right(logits.detach(), y[chosen]).sum()]))
        each = torch.tensor([len(rows), 1.0], dtype=torch.float64)
        return torch.stack(found).sum(0).double() * each.to(self.device, non_blocking=True)

    def update(self) -> None:
        """Clip the gradients and step."""
        import torch

        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.gradient_clip, foreach=True)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average:
            self.average.update()

    def mode(self) -> None:
        """Training mode, but what is frozen computes as in use, and so do pretrained batch norms: a dozen pictures
        measure no better statistics than theirs."""
        from torch.nn.modules.batchnorm import _BatchNorm

        self.module.train()
        for block in self.frozen:
            block.eval()
        if self.pretrained:
            for layer in self.module.modules():
                if isinstance(layer, _BatchNorm):
                    layer.eval()

    def _schedule(self, step: int) -> None:
        s = self.settings
        factor = self.plateau.factor * _optimise.rate_factor(s.scheduler, step, self.batches * s.epochs, s.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * factor * group["scale"]

    def _rng(self, *parts: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, *parts])

    # -- state -----------------------------------------------------------------------------------------------------

    def _evaluate(self, valid: np.ndarray) -> dict[str, float]:
        import torch

        module = self.module
        if self.average:
            module = copy.deepcopy(module)
            module.load_state_dict(self.average.state)
        batches = [valid[i : i + EVALUATION_BATCH] for i in range(0, len(valid), EVALUATION_BATCH)]
        logits = np.concatenate([forward(module, self.pictures(batch, None), self.trained.device) for batch in batches])
        found, y = torch.from_numpy(logits), self.labels[torch.from_numpy(valid)]
        return {
            "val_loss": float(_optimise.losses(found, y, 0.0).mean()), "val_accuracy": float(_right(found, y).mean()),
        }  # fmt: skip

    def _costs(self, seconds: float) -> dict[str, float]:
        return {
            "seconds": seconds, "samples_per_second": len(self.train_rows) / seconds, "at_once": self.part,
            "learning_rate": max(group["lr"] for group in self.optimizer.param_groups),
            "peak_bytes": _memory.peak_bytes(self.trained.device),
        }  # fmt: skip

    def _snapshot(self) -> dict[str, torch.Tensor]:
        state = self.average.state if self.average else self.module.state_dict()
        return {name: tensor.detach().clone() for name, tensor in state.items()}

    def _note(self, text: str) -> None:
        self.trained.note = "; ".join(filter(None, [self.trained.note, text]))

    def _diverged(self) -> None:
        message, hint = both("error.not_finite", rate=f"{self.rate:g}")
        if self.best is None:
            raise HandfulError(message, hint)
        self._note(f"stopped in epoch {self.epoch + 1}: the loss was not finite; {hint}")

    def save(self) -> None:
        """Everything that the next step depends on."""
        assert self.checkpoint is not None
        tensors = {f"network.{name}": tensor for name, tensor in self.module.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in (self.best or {}).items()}
        if self.average:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.state.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items() if value is not None}
        self.checkpoint.save(tensors, {
            "epoch": self.epoch, "batch": self.batch, "total": self.total, "right": self.right, "done": self.done,
            "best_loss": self.best_loss, "best_epoch": self.best_epoch, "part": self.part, "plateau": asdict(self.plateau),
            "updates": self.average.updates if self.average else 0, "scaler": self.scaler.state_dict(),
            "history": self.trained.history, "note": self.trained.note,
        })  # fmt: skip

    def restore(self, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        """The counterpart of `save`."""
        import torch

        parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "best": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            parts[kind][rest] = tensor
        self.module.load_state_dict(parts["network"])
        if parts["best"]:
            self.best = {name: tensor.to(self.device) for name, tensor in parts["best"].items()}
        if self.average:
            self.average.updates = state["updates"]
            for name, tensor in parts["average"].items():
                self.average.state[name].copy_(tensor)
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            number, _, key = name.partition(".")
            like = self.parameters[int(number)]
            # In the memory layout of the parameter, which fused kernels count on.
            value = (
                torch.empty_like(like).detach().copy_(tensor)
                if tensor.shape == like.shape and key != "step"
                else tensor
            )
            slots.setdefault(int(number), {})[key] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})
        self.scaler.load_state_dict(state["scaler"])
        self.plateau = _optimise.Plateau(**state["plateau"])
        for name in ("epoch", "batch", "total", "right", "done", "best_loss", "best_epoch", "part"):
            setattr(self, name, state[name])
        self.trained.history[:], self.trained.note = state["history"], state["note"]


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    """Of the convolutions. bfloat16 does not make training on a CPU faster, so `auto` leaves that at float32."""
    import torch

    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


def _right(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Per picture: whether the class is right, or the share of tags that are."""
    if y.ndim == 1:
        return (logits.argmax(1) == y).float()
    return ((logits > 0) == (y > 0.5)).float().mean(1)
