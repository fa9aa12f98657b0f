"""The arithmetic of training: rates, losses, mixing, averaging. Knows tensors and steps, no pictures and no epochs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

    from handful.models import Network

Scheduler = Literal["cosine", "plateau", "one_cycle", "constant"]

# Of `one_cycle`, as in torch's OneCycleLR: the share of steps that rise, and the rates at both ends, beside the peak.
RISING, FIRST, LAST = 0.3, 1 / 25, 1 / 25e4


def rate_factor(scheduler: Scheduler, step: int, steps: int, warmup: float) -> float:
    """What the learning rate is multiplied with at `step` of `steps`, from 0.

    A linear warm-up over the share `warmup` of all steps, then constant or half a cosine down to 0; `one_cycle` (Smith and
    Topin 2017, arXiv:1708.07120) has a rise of its own. `plateau` is `constant` here, see `Plateau`.
    """
    if scheduler == "one_cycle":
        top = max(RISING * steps - 1, 0.0)
        if step <= top:
            return _cosine(FIRST, 1.0, step / top if top else 1.0)
        return _cosine(1.0, LAST, (step - top) / (steps - 1 - top))
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return _cosine(1.0, 0.0, (step - rising) / max(1, steps - rising)) if scheduler == "cosine" else 1.0


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@dataclass
class Plateau:
    """Halves the rate after more than `patience` epochs without a smaller loss (by 0.01 %)."""

    patience: int = 3
    factor: float = 1.0
    best: float | None = None
    bad: int = 0

    def see(self, loss: float) -> None:
        if self.best is None or loss < self.best * (1 - 1e-4):
            self.best, self.bad = loss, 0
            return
        self.bad += 1
        if self.bad > self.patience:
            self.factor, self.bad = self.factor / 2, 0


def unfreeze(model: Network, module: nn.Module, head: nn.Module, wanted: int) -> list[nn.Module]:
    """Let the head and the last `wanted` blocks learn (-1: everything); returns the blocks that stay as they are."""
    module.requires_grad_(wanted < 0)
    frozen: list[nn.Module] = []
    if wanted >= 0:
        blocks = list(model.blocks(module))
        frozen = blocks[: max(0, len(blocks) - wanted)]
        for block in blocks[len(frozen) :]:
            block.requires_grad_(True)
    head.requires_grad_(True)
    return frozen


def parameter_groups(
    model: Network, module: nn.Module, head: nn.Module, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Groups for an optimiser of what learns; `scale` is the factor of a group's learning rate.

    The head has scale 1, the last block `layer_decay`, the one before its square and so on; what lies outside all blocks
    (position embeddings) counts as before the first. Vectors (biases, norms) have no weight decay.
    """
    blocks = list(model.blocks(module)) if layer_decay != 1 else []
    depth = {id(p): len(blocks) - i for i, block in enumerate(blocks) for p in block.parameters()}
    depth |= {id(p): 0 for p in head.parameters()}
    found: dict[tuple[int, bool], dict[str, Any]] = {}
    for parameter in module.parameters():
        if not parameter.requires_grad:
            continue
        level, decayed = depth.get(id(parameter), len(blocks) + 1 if blocks else 0), parameter.ndim > 1
        empty = {"params": [], "weight_decay": weight_decay if decayed else 0.0, "scale": layer_decay**level}
        found.setdefault((level, decayed), empty)["params"].append(parameter)
    return [found[key] for key in sorted(found)]


def make_optimizer(name: str, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
    """AdamW, Adam, or SGD with Nesterov momentum 0.9; one fused kernel for all parameters."""
    import torch

    kind: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": torch.optim.AdamW,
        "adam": torch.optim.Adam,
        "sgd": lambda groups, **kw: torch.optim.SGD(groups, momentum=0.9, nesterov=True, **kw),
    }
    return kind[name](groups, lr=rate, fused=True)


def balanced(labels: np.ndarray, classes: int) -> np.ndarray:
    """float32 [classes]: weights that make every class count alike, n / (classes present x n of the class)."""
    counts = np.bincount(labels, minlength=classes)
    return np.asarray(len(labels) / (max(1, (counts > 0).sum()) * np.maximum(counts, 1)), np.float32)


def losses(logits: torch.Tensor, y: torch.Tensor, smoothing: float) -> torch.Tensor:
    """[N]: cross-entropy for class numbers [N], the mean binary cross-entropy for tags [N, classes]."""
    from torch.nn import functional

    if y.ndim == 1:
        return functional.cross_entropy(logits, y.long(), label_smoothing=smoothing, reduction="none")
    target = y.to(logits.dtype) * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(1)


@dataclass
class Target:
    """What a batch should answer: `y`, or after mixup `share` of it and the rest of `other`. `weights` [classes] or None."""

    y: torch.Tensor
    other: torch.Tensor | None = None
    share: float = 1.0
    weights: torch.Tensor | None = None

    def part(self, rows: slice) -> Target:
        return Target(self.y[rows], None if self.other is None else self.other[rows], self.share, self.weights)

    def loss(self, logits: torch.Tensor, smoothing: float) -> torch.Tensor:
        """The weighted sum over the batch, to be divided by `mass`."""
        total = self._one(logits, self.y, smoothing)
        if self.other is not None:
            total = self.share * total + (1 - self.share) * self._one(logits, self.other, smoothing)
        return total

    def _one(self, logits: torch.Tensor, y: torch.Tensor, smoothing: float) -> torch.Tensor:
        each = losses(logits, y, smoothing)
        return each.sum() if self.weights is None else (each * self.weights[y.long()]).sum()

    @property
    def mass(self) -> float:
        if self.weights is None:
            return float(len(self.y))
        own = float(self.weights[self.y.long()].sum())
        if self.other is None:
            return own
        return self.share * own + (1 - self.share) * float(self.weights[self.other.long()].sum())


def mix(
    x: torch.Tensor, y: torch.Tensor, strength: float, rng: np.random.Generator, weights: torch.Tensor | None = None
) -> tuple[torch.Tensor, Target]:
    """Mixup (Zhang et al. 2018, arXiv:1710.09412): each picture with another, share ~ Beta(strength, strength)."""
    import torch

    if not strength:
        return x, Target(y, weights=weights)
    share = float(rng.beta(strength, strength))
    other = torch.from_numpy(rng.permutation(len(x))).to(x.device)
    return share * x + (1 - share) * x[other], Target(y, y[other], share, weights)


class Average:
    """Exponential moving average of a network's numbers.

    After t updates the decay is min(`decay`, (1 + t) / (10 + t)), so that the beginning is soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay, self.updates = module, decay, 0
        self.state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    def update(self) -> None:
        import torch

        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            for name, tensor in self.module.state_dict().items():
                if tensor.is_floating_point():
                    self.state[name].lerp_(tensor, 1 - decay)
                else:
                    self.state[name].copy_(tensor)
