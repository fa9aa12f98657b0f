"""Layers of a YOLO11 classifier in a module that answers with logits, in training and in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class _Embedding(nn.Module):
    """The last layer without its classifier: a convolution and the mean over the map, [N, 1280]."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Any) -> Any:
        return torch.flatten(self.pool(self.conv(x)), 1)


class _Head(_Embedding):
    def __init__(self, theirs: Any) -> None:
        super().__init__(theirs.conv)
        self.linear = theirs.linear

    def forward(self, x: Any) -> Any:
        return self.linear(super().forward(x))


class Classifier(nn.Module):
    """`layers` one after the other, then the convolution and the linear layer of `last`."""

    def __init__(self, layers: Sequence[nn.Module], last: nn.Module) -> None:
        super().__init__()
        head = _Head(last)
        self.model = nn.Sequential(*layers, head)

    def forward(self, x: Any) -> Any:
        return self.model(x)

    def body(self) -> nn.Module:
        """The same up to the embedding, on the same parameters."""
        head: Any = self.model[-1]
        return nn.Sequential(*self.model[:-1], _Embedding(head.conv))
