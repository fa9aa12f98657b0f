"""Trains a network by gradient, in plain torch: head first, then as many blocks as asked, or everything from scratch.

Knows modules and what a training consists of; knows nothing of files, front-ends, folds or runs: pictures arrive ready for
the network, from a callable. Same inputs, seed and thread count give the same bits on a CPU, also when training was
interrupted in between: every random number follows from the seed and the number of the step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from handful.graph import run_threads
from handful.models import Network, Weights
from handful.registry import optional
from handful.training import _memory, _optimise
from handful.training._checkpoint import Checkpoint
from handful.training._feed import EVALUATION_BATCH, Pictures, forward, tensor
from handful.training._steps import LoopSettings, Tell, Training
from handful.words import said

if TYPE_CHECKING:
    from torch import nn


@dataclass
class TrainedNetwork:
    """A network that was trained. `history` has a row an epoch; `note` says what did not go as asked, if anything."""

    model: Network
    module: nn.Module
    device: str = "cpu"
    threads: int | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    def logits(self, pictures: np.ndarray) -> np.ndarray:
        """float32 [N, *shape], normalised, to float32 [N, classes]; computed by torch in eval mode."""
        with _threads(self.threads):
            return forward(self.module, pictures, self.device)

    def state(self) -> dict[str, np.ndarray]:
        """Every array of the network by name, as torch calls it."""
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in self.module.state_dict().items()}

    def to_onnx(self) -> bytes:
        """The network as ONNX, float32 [N, *shape] to `logits` [N, classes]; proved against torch."""
        from handful.models._convert import to_onnx

        try:
            return to_onnx(self.module.cpu().eval(), self.model.shape, "logits")
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
    progress: Tell | None = None,
    validation: np.ndarray | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainedNetwork:
    """Train `model` on pictures 0 .. len(labels) - 1.

    `labels`: int [N] (one class each; softmax), or 0/1 [N, classes] (tags; sigmoid). `validation`: bool [N], pictures that
    are kept out of training and tell when to stop (needs `patience`). `progress` gets each row of the history. With a
    `checkpoint`, training goes on where that stands, and is kept there from time to time.
    Raises HandfulError if the loss is not finite before anything was learned, or not even one picture fits into memory.
    """
    torch = optional("torch", "torch", said("extra.gradient"))
    _memory.tune_allocator()
    held_out = np.zeros(len(labels), bool) if validation is None else np.asarray(validation, bool)
    train, valid = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    with _threads(settings.threads), torch.random.fork_rng(devices=[]), _fastest_convolutions():
        trained, head = _built(model, weights, classes, settings)
        kept = checkpoint.load() if checkpoint else None
        if weights is not None and kept is None:
            _fit_head(trained, head, pictures, labels, train)
        if weights is None or settings.trainable_blocks != 0:
            run = Training(trained, head, pictures, labels, classes, train, settings, weights is not None, checkpoint)
            if kept:
                run.restore(*kept)
            run.train(valid, progress)
        trained.module.requires_grad_(False).eval()
    return trained


def find_batch_size(
    model: Network,
    weights: Weights | None,
    pictures: Pictures,
    labels: np.ndarray,
    classes: int,
    settings: LoopSettings,
    share: float,
) -> int:
    """The largest batch whose forward pass, backward pass and step were run and took at most `share` of the memory."""
    torch = optional("torch", "torch", said("extra.gradient"))
    _memory.tune_allocator()
    total, rows = _memory.total_bytes(settings.device), np.arange(len(labels))
    with _threads(settings.threads), torch.random.fork_rng(devices=[]):
        trained, head = _built(model, weights, classes, settings)
        run = Training(trained, head, pictures, labels, classes, rows, settings, weights is not None, None)
        run.part = len(rows)  # no halving: running out of memory is what is asked for
        run.mode()

        def step(size: int) -> None:
            _memory.reset_peak(settings.device)
            run.gradients(tensor(pictures(rows[:size], 0), run.device), rows[:size], 0).tolist()
            run.update()

        def peak() -> int:
            return _memory.peak_bytes(settings.device)

        limit = None if total is None else int(total * share)
        return _memory.largest_batch(step, peak, len(rows), limit)


def _built(
    model: Network, weights: Weights | None, classes: int, settings: LoopSettings
) -> tuple[TrainedNetwork, nn.Module]:
    """The network on its device with a fresh head, and that head."""
    import torch

    from handful.models._state import build

    torch.manual_seed(settings.seed)
    module = build(model, weights, settings.seed)
    head = model.replace_head(module, classes)
    module.to(settings.device).to(memory_format=torch.channels_last)
    return TrainedNetwork(model, module.eval(), settings.device, settings.threads), head


def _fit_head(trained: TrainedNetwork, head: Any, pictures: Pictures, labels: np.ndarray, train: np.ndarray) -> None:
    """Fit the last layer to the embeddings of the untouched pictures: a convex problem, solved to its end by L-BFGS.

    Embeddings are standardised and the squared weights enter as in logistic regression with C = 1; the scaling is then
    folded into the layer.
    """
    import torch

    body = trained.model.body(trained.module).eval()
    batches = [train[i : i + EVALUATION_BATCH] for i in range(0, len(train), EVALUATION_BATCH)]
    embedded = np.concatenate([forward(body, pictures(batch, None), trained.device) for batch in batches])
    x = torch.from_numpy(embedded).double()
    y = torch.from_numpy(labels[train])
    mean, std = x.mean(0), x.std(0, correction=0).clamp_min(1e-6)
    x = (x - mean) / std
    weight = torch.zeros(head.out_features, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(head.out_features, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        solver.zero_grad()
        value = _optimise.losses(x @ weight.T + bias, y, 0.0).mean() + weight.square().sum() / (2 * len(x))
        value.backward()
        return float(value.detach())

    solver.step(loss)
    with torch.no_grad():
        folded = weight / std
        head.weight.copy_(folded)
        head.bias.copy_(bias - folded @ mean)


@contextlib.contextmanager
def _fastest_convolutions() -> Iterator[None]:
    """On a GPU, each shape of a convolution is tried out once."""
    import torch

    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextlib.contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(run_threads(threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)
