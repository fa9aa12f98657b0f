"""Trains a network by gradient, in plain torch: head first, then as many blocks as asked, or everything from scratch.

Knows modules, batches and schedules; knows nothing of files, front-ends, folds or runs: pictures arrive ready for the
network, from a callable. Same inputs, seed and thread count give the same bits on a CPU.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from handful.errors import HandfulError
from handful.graph import run_threads
from handful.models import Network, Weights
from handful.registry import optional

if TYPE_CHECKING:
    import torch
    from torch import nn

# (indices int [n], epoch from 0, or None for pictures as they are) -> float32 [n, 3, S, S], normalised for the network
Pictures = Callable[[np.ndarray, int | None], np.ndarray]

EVALUATION_BATCH = 32


@dataclass(frozen=True)
class LoopSettings:
    """How to train. `learning_rate` None: 3e-4 for pretrained networks, 2e-3 from scratch.

    `trainable_blocks`: 0 the head only, N the head and the last N blocks, -1 everything; a network without weights always
    trains everything. `patience` counts epochs without a better validation loss. `warmup` is a share of all steps.
    """

    epochs: int = 20
    batch_size: int = 16
    learning_rate: float | None = None
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    scheduler: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup: float = 0.1
    label_smoothing: float = 0.1
    weight_decay: float = 0.05
    gradient_clip: float = 1.0
    trainable_blocks: int = -1
    patience: int | None = None
    mixed_precision: bool = False
    device: str = "cpu"
    seed: int = 0
    threads: int | None = None


@dataclass
class TrainedNetwork:
    """A network that was trained. `history` has a row an epoch; `note` says why training ended early, if it did."""

    model: Network
    module: nn.Module
    device: str = "cpu"
    threads: int | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    def logits(self, pictures: np.ndarray) -> np.ndarray:
        """float32 [N, 3, S, S], normalised, to float32 [N, classes]; computed by torch in eval mode."""
        with _threads(self.threads):
            return _forward(self.module, pictures, self.device)

    def state(self) -> dict[str, np.ndarray]:
        """Every array of the network by name, as torch calls it."""
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in self.module.state_dict().items()}

    def to_onnx(self) -> bytes:
        """The network as ONNX, float32 [N, 3, S, S] to `logits` [N, classes]; proved against torch."""
        from handful.models._convert import to_onnx

        try:
            return to_onnx(self.module.cpu().eval(), self.model.input_size, "logits")
        finally:
            self.module.to(self.device)

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())


def fit_network(
    model: Network,
    weights: Weights | None,
    pictures: Pictures,
    labels: np.ndarray,
    classes: int,
    settings: LoopSettings,
    progress: Callable[[dict[str, Any]], None] | None = None,
    validation: np.ndarray | None = None,
) -> TrainedNetwork:
    """Train `model` on pictures 0 .. len(labels) - 1.

    `labels`: int [N] (one class each; softmax), or 0/1 [N, classes] (tags; sigmoid). `validation`: bool [N], pictures that
    are kept out of training and tell when to stop (needs `patience`). `progress` gets each row of the history.
    Raises HandfulError if the loss is not finite before anything was learned.
    """
    from handful.models._state import build

    torch = optional("torch", "torch", "training a network by gradient")
    tune_allocator()
    held_out = np.zeros(len(labels), bool) if validation is None else np.asarray(validation, bool)
    train, valid = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    with _threads(settings.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        module = build(model, weights, settings.seed)
        head = model.replace_head(module, classes)
        module.to(settings.device).to(memory_format=torch.channels_last)
        trained = TrainedNetwork(model, module.eval(), settings.device, settings.threads)
        if weights is not None:
            _fit_head(trained, head, pictures, labels, train)
        if weights is None or settings.trainable_blocks != 0:
            run = _Run(trained, head, pictures, labels, settings, pretrained=weights is not None)
            run.train(train, valid, progress)
        module.requires_grad_(False).eval()
    return trained


def _fit_head(trained: TrainedNetwork, head: Any, pictures: Pictures, labels: np.ndarray, train: np.ndarray) -> None:
    """Fit the last layer to the embeddings of the untouched pictures: a convex problem, solved to its end by L-BFGS.

    Embeddings are standardised and the squared weights enter as in logistic regression with C = 1; the scaling is then
    folded into the layer.
    """
    import torch

    body = trained.model.body(trained.module).eval()
    batches = [train[i : i + EVALUATION_BATCH] for i in range(0, len(train), EVALUATION_BATCH)]
    embedded = np.concatenate([_forward(body, pictures(batch, None), trained.device) for batch in batches])
    x = torch.from_numpy(embedded).double()
    y = torch.from_numpy(labels[train])
    mean, std = x.mean(0), x.std(0, correction=0).clamp_min(1e-6)
    x = (x - mean) / std
    weight = torch.zeros(head.out_features, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(head.out_features, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        solver.zero_grad()
        value = _loss(x @ weight.T + bias, y, 0.0) + weight.square().sum() / (2 * len(x))
        value.backward()
        return float(value.detach())

    solver.step(loss)
    with torch.no_grad():
        folded = weight / std
        head.weight.copy_(folded)
        head.bias.copy_(bias - folded @ mean)


class _Run:
    """The epochs of one training: optimiser, schedule, the best state so far."""

    def __init__(
        self,
        trained: TrainedNetwork,
        head: nn.Module,
        pictures: Pictures,
        labels: np.ndarray,
        settings: LoopSettings,
        pretrained: bool,
    ) -> None:
        import torch

        self.trained, self.pictures, self.settings, self.pretrained = trained, pictures, settings, pretrained
        self.labels = torch.from_numpy(labels)
        self.rate = settings.learning_rate or (3e-4 if pretrained else 2e-3)
        self.parameters = self._unfreeze(head)
        decayed = [parameter for parameter in self.parameters if parameter.ndim > 1]
        others = [parameter for parameter in self.parameters if parameter.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        kind: dict[str, Callable[..., torch.optim.Optimizer]] = {
            "adamw": torch.optim.AdamW,
            "adam": torch.optim.Adam,
            "sgd": lambda groups, lr: torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True),
        }
        self.optimizer = kind[settings.optimizer](groups, lr=self.rate)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, factor=0.5, patience=3)

    def _unfreeze(self, head: nn.Module) -> list[nn.Parameter]:
        """Let head and the asked blocks learn, freeze the rest; returns what learns."""
        module, wanted = self.trained.module, self.settings.trainable_blocks
        module.requires_grad_(wanted < 0 or not self.pretrained)
        head.requires_grad_(True)
        if wanted > 0:
            for block in list(self.trained.model.blocks(module))[-wanted:]:
                block.requires_grad_(True)
        return [parameter for parameter in module.parameters() if parameter.requires_grad]

    def train(self, train: np.ndarray, valid: np.ndarray, progress: Callable[[dict[str, Any]], None] | None) -> None:
        settings, rng = self.settings, np.random.default_rng(self.settings.seed)
        steps = math.ceil(len(train) / settings.batch_size) * settings.epochs
        best_loss, best_epoch, best = math.inf, -1, self._snapshot() if self.pretrained else None
        for epoch in range(settings.epochs):
            start = time.perf_counter()
            row = {"epoch": epoch + 1, "epochs": settings.epochs} | self._epoch(rng.permutation(train), epoch, steps)
            if not math.isfinite(row["train_loss"]):
                self._diverged(epoch, best)
                return
            if len(valid):
                row |= self._evaluate(valid)
            watched = row.get("val_loss", row["train_loss"])
            if settings.scheduler == "plateau":
                self.plateau.step(watched)
            row["seconds"] = time.perf_counter() - start
            self.trained.history.append(row)
            if progress:
                progress(row)
            if not len(valid) or watched < best_loss:
                best_loss, best_epoch, best = watched, epoch, self._snapshot()
            elif settings.patience is not None and epoch - best_epoch >= settings.patience:
                self.trained.note = f"stopped after epoch {epoch + 1}, best was {best_epoch + 1}"
                break
        if best is not None:
            self.trained.module.load_state_dict(best)

    def _epoch(self, order: np.ndarray, epoch: int, steps: int) -> dict[str, float]:
        """One pass over the training pictures; a loss that is not finite ends it before it changes anything."""
        import torch

        settings, device = self.settings, torch.device(self.trained.device)
        self._mode()
        total = right = 0.0
        batches = [order[i : i + settings.batch_size] for i in range(0, len(order), settings.batch_size)]
        for number, batch in enumerate(batches):
            x = _tensor(self.pictures(batch, epoch), device)
            y = self.labels[torch.from_numpy(batch)].to(device)
            self._schedule(epoch * len(batches) + number, steps)
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.mixed_precision):
                logits = self.trained.module(x)
            loss = _loss(logits.float(), y, settings.label_smoothing)
            if not torch.isfinite(loss):
                return {"train_loss": math.nan, "train_accuracy": math.nan}
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, settings.gradient_clip)
            self.optimizer.step()
            total += float(loss.detach()) * len(batch)
            right += float(_right(logits.detach(), y).sum())
        return {"train_loss": total / len(order), "train_accuracy": right / len(order)}

    def _mode(self) -> None:
        """Training mode, but pretrained batch norms keep their statistics: a dozen pictures measure none better."""
        from torch.nn.modules.batchnorm import _BatchNorm

        self.trained.module.train()
        if self.pretrained:
            for layer in self.trained.module.modules():
                if isinstance(layer, _BatchNorm):
                    layer.eval()

    def _schedule(self, step: int, steps: int) -> None:
        warmup = max(1, round(self.settings.warmup * steps))
        if step >= warmup and self.settings.scheduler == "plateau":
            return
        factor = min(1.0, (step + 1) / warmup)
        if self.settings.scheduler == "cosine" and step >= warmup:
            factor = (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * factor

    def _evaluate(self, valid: np.ndarray) -> dict[str, float]:
        import torch

        batches = [valid[i : i + EVALUATION_BATCH] for i in range(0, len(valid), EVALUATION_BATCH)]
        logits = np.concatenate(
            [_forward(self.trained.module, self.pictures(batch, None), self.trained.device) for batch in batches]
        )
        found, y = torch.from_numpy(logits), self.labels[torch.from_numpy(valid)]
        return {"val_loss": float(_loss(found, y, 0.0)), "val_accuracy": float(_right(found, y).mean())}

    def _snapshot(self) -> dict[str, torch.Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.trained.module.state_dict().items()}

    def _diverged(self, epoch: int, best: dict[str, torch.Tensor] | None) -> None:
        if best is None:
            raise HandfulError(
                "the loss was not finite in the first epoch", f"lower --learning-rate (it was {self.rate:g})"
            )
        self.trained.module.load_state_dict(best)
        self.trained.note = (
            f"stopped in epoch {epoch + 1}: the loss was not finite; lower --learning-rate (it was {self.rate:g})"
        )


def _loss(logits: torch.Tensor, y: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross-entropy for class numbers [N], binary cross-entropy for tags [N, classes]; mean over pictures."""
    from torch.nn import functional

    if y.ndim == 1:
        return functional.cross_entropy(logits, y.long(), label_smoothing=smoothing)
    target = y.to(logits.dtype) * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(logits, target)


def _right(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Per picture: whether the class is right, or the share of tags that are."""
    if y.ndim == 1:
        return (logits.argmax(1) == y).float()
    return ((logits > 0) == (y > 0.5)).float().mean(1)


def _tensor(pictures: np.ndarray, device: Any) -> torch.Tensor:
    import torch

    x = torch.from_numpy(np.ascontiguousarray(pictures, np.float32))
    return x.to(device, memory_format=torch.channels_last)


def _forward(module: nn.Module, pictures: np.ndarray, device: str) -> np.ndarray:
    """`module` in eval mode on float32 [N, 3, S, S], in batches; float32 [N, ...]."""
    import torch

    module.eval()
    with torch.no_grad():
        parts = [
            module(_tensor(pictures[i : i + EVALUATION_BATCH], device)).cpu()
            for i in range(0, len(pictures), EVALUATION_BATCH)
        ]
    result: np.ndarray = torch.cat(parts).float().numpy()
    return result


@contextlib.contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(run_threads(threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def tune_allocator() -> None:
    """Let glibc keep freed memory instead of handing it back after every batch; nothing happens elsewhere.

    Convolutions then run up to twice as fast on a CPU, at about the same peak memory. Safe to call again.
    """
    import ctypes
    import platform

    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    # Never map single blocks, never trim the top of the heap, grow it by 256 MiB (constants of malloc.h).
    for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 256 * 2**20)):
        mallopt(option, value)
