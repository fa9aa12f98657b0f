"""The torch modules of the PANNs; imported only when one is built.

Names of parts are those of the published checkpoints. The input is a log-mel spectrogram, float32 [N, 1, frames, 64].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

BANDS = 64
# MobileNetV1: (channels, pooling) after the first convolution. MobileNetV2: (expansion, channels, blocks, pooling).
SEPARABLE = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 2), (6, 160, 3, 1), (6, 320, 1, 1))


class Panns(nn.Module):
    """Each band is normalised, `stages` follow, then maximum plus mean over time and a hidden layer: the embedding.

    Without `head` the module ends there, [N, width]; with it in logits.
    """

    def __init__(
        self, norm: nn.Module, stages: Mapping[str, nn.Module], hidden: nn.Module, drop: nn.Module, head: nn.Module | None
    ) -> None:  # fmt: skip
        super().__init__()
        self.bn0 = norm
        self.order = tuple(stages)
        for name, stage in stages.items():
            self.add_module(name, stage)
        self.drop = drop
        self.fc1 = hidden
        self.relu = nn.ReLU()
        self.headed = head is not None
        if head is not None:
            self.fc_audioset = head

    def forward(self, x: Any) -> Any:
        x = self.bn0(x.transpose(1, 3)).transpose(1, 3)
        for name in self.order:
            x = getattr(self, name)(x)
        x = torch.mean(x, dim=3)
        x = torch.amax(x, dim=2) + torch.mean(x, dim=2)
        x = self.relu(self.fc1(self.drop(x)))
        return self.fc_audioset(x) if self.headed else x


class _Double(nn.Module):
    """Two 3 x 3 convolutions, then averages over 2 x 2 fields where `pooled`."""

    def __init__(self, before: int, after: int, pooled: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
        self.relu = nn.ReLU()
        self.end = nn.Sequential(*([nn.AvgPool2d(2)] if pooled else []), nn.Dropout(0.2))

    def forward(self, x: Any) -> Any:
        x = self.relu(self.bn1(self.conv1(x)))
        return self.end(self.relu(self.bn2(self.conv2(x))))


class _Inverted(nn.Module):
    """Inverted residual that halves the map by averaging instead of a stride."""

    def __init__(self, before: int, after: int, pooling: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        widen = [nn.Conv2d(before, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()] if expansion > 1 else []
        self.conv = nn.Sequential(
            *widen,
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.AvgPool2d(pooling), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, after, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.same = pooling == 1 and before == after

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.same else self.conv(x)


def _first(after: int, activation: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, after, 3, padding=1, bias=False), nn.AvgPool2d(2), nn.BatchNorm2d(after), activation
    )


def _whole(stages: Mapping[str, nn.Module], width: int, hidden: int, drop: float, classes: int) -> Panns:
    network = Panns(
        nn.BatchNorm2d(BANDS), stages, nn.Linear(width, hidden), nn.Dropout(drop), nn.Linear(hidden, classes)
    )
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return network


def cnn14(classes: int) -> Panns:
    widths = (1, 64, 128, 256, 512, 1024, 2048)
    pairs = list(zip(widths, widths[1:], strict=False))
    stages = {f"conv_block{n}": _Double(*pair, pooled=n < len(pairs)) for n, pair in enumerate(pairs, 1)}
    return _whole(stages, 2048, 2048, 0.5, classes)


def mobilenet_v1(classes: int) -> Panns:
    parts, before = [_first(32, nn.ReLU())], 32
    for after, pooling in SEPARABLE:
        parts.append(nn.Sequential(
            nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False), nn.AvgPool2d(pooling), nn.BatchNorm2d(before), nn.ReLU(),
            nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
        ))  # fmt: skip
        before = after
    return _whole({"features": nn.Sequential(*parts)}, 1024, 1024, 0.5, classes)


def mobilenet_v2(classes: int) -> Panns:
    parts, before = [_first(32, nn.ReLU6())], 32
    for expansion, after, count, pooling in INVERTED:
        for number in range(count):
            parts.append(_Inverted(before, after, 1 if number else pooling, expansion))
            before = after
    parts.append(nn.Sequential(nn.Conv2d(before, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()))
    return _whole({"features": nn.Sequential(*parts)}, 1280, 1024, 0.0, classes)


def body(network: Any) -> Panns:
    """The same without the head, on the same parameters."""
    stages = {name: getattr(network, name) for name in network.order}
    return Panns(network.bn0, stages, network.fc1, network.drop, None)
