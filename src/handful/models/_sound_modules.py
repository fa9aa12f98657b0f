"""The torch modules of the sound networks; imported only when one is built.

Each function gives an `nn.Sequential` of blocks, input side first, whose last one is the head, a linear layer. The input is
float32 [N, 1, bands, frames].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

EMBEDDING = 256  # of the networks that an ensemble joins


def _kaiming(module: nn.Module) -> nn.Module:
    """He et al., "Delving deep into rectifiers", ICCV 2015."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        else:
            continue
        if part.bias is not None:
            nn.init.zeros_(part.bias)
    return module


def _with_head(width: int, classes: int, *body: nn.Module) -> nn.Sequential:
    head = nn.Linear(width, classes)
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return nn.Sequential(*body, head)


# -- 003 -----------------------------------------------------------------------------------------------------------


class _Squeeze(nn.Module):
    """[N, 1, bands, frames] to [N, bands, frames]."""

    def forward(self, x: Any) -> Any:
        return x.squeeze(1)


def conv1d_mel(groups: int, bands: int, classes: int) -> nn.Module:
    """18,850 parameters with 80 bands, one group and two classes."""
    convolutions = []
    for before in (bands, 32, 32):
        convolution = nn.Conv1d(before, 32, 3, padding=1, groups=groups)
        convolutions.append(nn.Sequential(convolution, nn.ReLU(), nn.BatchNorm1d(32), nn.MaxPool1d(2)))
    embedding = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 128), nn.BatchNorm1d(128), nn.ReLU())
    return _with_head(128, classes, _Squeeze(), *(_kaiming(block) for block in convolutions), _kaiming(embedding))


# -- residual ------------------------------------------------------------------------------------------------------


class _Excitation(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): channels are weighed by what the whole map holds."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1), nn.Sigmoid()
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return x * self.weigh(x)


class _SpatialAttention(nn.Module):
    """Places are weighed by mean and maximum over the channels (Woo et al., CBAM, 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.Conv2d(2, 1, 7, padding=3, bias=False), nn.Sigmoid())

    def forward(self, x: Any) -> Any:
        seen = torch.cat([torch.mean(x, dim=1, keepdim=True), torch.amax(x, dim=1, keepdim=True)], dim=1)
        return x * self.weigh(seen)


class _Residual(nn.Module):
    """Two 3 x 3 convolutions and a way past them (He et al. 2016), channels weighed where `excited`."""

    def __init__(self, before: int, after: int, stride: int, excited: bool) -> None:
        super().__init__()
        self.way = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
            *([_Excitation(after, max(4, after // 16))] if excited else []),
        )  # fmt: skip
        changed = stride != 1 or before != after
        past = [nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)] if changed else [nn.Identity()]
        self.past = nn.Sequential(*past)
        self.relu = nn.ReLU()

    def forward(self, x: Any) -> Any:
        return self.relu(self.way(x) + self.past(x))


def advanced(classes: int, channels: int, attended: bool) -> nn.Module:
    """7 x 7 convolution, pooling, four stages of two residual blocks, spatial attention, 8 x channels, 256.

    `attended`: squeeze-and-excitation in each block. With 13 bands the maps are 7 x 16, 3 x 8, 3 x 8, 2 x 4, 1 x 2, 1 x 1.
    """
    stem = nn.Sequential(
        nn.Conv2d(1, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(3, 2, (0, 1))
    )
    parts: list[nn.Module] = [stem]
    before = channels
    for stage in range(4):
        after = channels * 2**stage
        for number in range(2):
            parts.append(_Residual(before, after, 2 if stage and not number else 1, attended))
            before = after
    parts += [_SpatialAttention()]
    embedding = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(before, EMBEDDING), nn.ReLU()
    )
    return _with_head(EMBEDDING, classes, *(_kaiming(part) for part in parts), _kaiming(embedding))


# -- inverted bottlenecks ------------------------------------------------------------------------------------------


class _Bottleneck(nn.Module):
    """Mobile inverted bottleneck (Sandler et al. 2018) with squeeze-and-excitation, as in EfficientNet (Tan & Le 2019)."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        widen = [nn.Conv2d(before, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.SiLU()] if expansion > 1 else []
        self.way = nn.Sequential(
            *widen,
            nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.SiLU(),
            _Excitation(wide, max(4, before // 4)),
            nn.Conv2d(wide, after, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.same = stride == 1 and before == after

    def forward(self, x: Any) -> Any:
        return self.way(x) + x if self.same else self.way(x)


# (expansion, channels, blocks, stride, kernel)
_STAGES = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 3, 2, 5), (6, 80, 4, 2, 3), (6, 152, 4, 1, 5))


def efficient(classes: int) -> nn.Module:
    """EfficientNet's stages for maps of 32 columns."""
    parts: list[nn.Module] = [nn.Sequential(nn.Conv2d(1, 24, 3, 1, 1, bias=False), nn.BatchNorm2d(24), nn.SiLU())]
    before = 24
    for expansion, after, count, stride, kernel in _STAGES:
        for number in range(count):
            parts.append(_Bottleneck(before, after, kernel, 1 if number else stride, expansion))
            before = after
    last = nn.Sequential(
        nn.Conv2d(before, EMBEDDING, 1, bias=False), nn.BatchNorm2d(EMBEDDING), nn.SiLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3),
    )  # fmt: skip
    return _with_head(EMBEDDING, classes, *(_kaiming(part) for part in parts), _kaiming(last))


# -- transformer ---------------------------------------------------------------------------------------------------


class _Positions(nn.Module):
    """Bands of a time step to `width` numbers, and sines that tell when (Vaswani et al. 2017)."""

    def __init__(self, bands: int, width: int, steps: int) -> None:
        super().__init__()
        self.project = nn.Linear(bands, width)
        time = torch.arange(steps, dtype=torch.float32)[:, None]
        speed = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
        table = torch.stack([torch.sin(time * speed), torch.cos(time * speed)], dim=2).flatten(1)
        self.register_buffer("positions", table[None], persistent=False)

    def forward(self, x: Any) -> Any:
        return self.project(x.squeeze(1).transpose(1, 2)) + self.positions


class _Layer(nn.Module):
    """Self-attention and two linear layers, each on a normalised input and with a way past it (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, steps: int) -> None:
        super().__init__()
        self.split = (-1, steps, heads, width // heads)
        self.joined = (-1, steps, width)
        self.scale = (width // heads) ** -0.5
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.think = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(4 * width, width))
        self.drop = nn.Dropout(0.1)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)

    def forward(self, x: Any) -> Any:
        seen = self.before(x)
        query = self.query(seen).view(*self.split).transpose(1, 2)
        key = self.key(seen).view(*self.split).transpose(1, 2).transpose(2, 3)
        value = self.value(seen).view(*self.split).transpose(1, 2)
        share = functional.softmax(torch.matmul(query, key) * self.scale, dim=-1)
        heard = torch.matmul(share, value).transpose(1, 2).contiguous().view(*self.joined)
        x = x + self.drop(self.out(heard))
        return x + self.drop(self.think(self.between(x)))


class _MeanOverTime(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.mean(x, dim=1)


def transformer(
    bands: int, classes: int, width: int = 128, layers: int = 6, heads: int = 4, steps: int = 32
) -> nn.Module:
    """Encoder over the time steps, their mean, 256 numbers."""
    parts = [_Positions(bands, width, steps), *(_Layer(width, heads, steps) for _ in range(layers))]
    last = nn.Sequential(nn.LayerNorm(width), _MeanOverTime(), nn.Linear(width, EMBEDDING), nn.ReLU(), nn.Dropout(0.1))
    return _with_head(EMBEDDING, classes, *parts, _kaiming(last))


# -- several -------------------------------------------------------------------------------------------------------


class _Together(nn.Module):
    """The embeddings of several networks side by side, each times its learned share.

    A linear head on them is the weighted sum of one linear classifier a network: an ensemble of their logits.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weights = nn.Parameter(torch.zeros(len(members)))

    def forward(self, x: Any) -> Any:
        share = functional.softmax(self.weights, dim=0)
        found = torch.cat([member(x) for member in self.members], dim=1)
        return (found.view(-1, len(self.members), EMBEDDING) * share.view(1, -1, 1)).flatten(1)


def ensemble(members: Sequence[Any], classes: int) -> nn.Module:
    """`members` are networks with a last layer, which is left out."""
    return _with_head(len(members) * EMBEDDING, classes, _Together([member[:-1] for member in members]))


# -- plain ---------------------------------------------------------------------------------------------------------


def plain(channels: Sequence[int], width: int, classes: int) -> nn.Module:
    """3 x 3 convolutions, pooling after the first three of them, the mean over the map, `width` numbers."""
    parts, before = [], 1
    for number, after in enumerate(channels):
        pool = [nn.MaxPool2d(2)] if number < 3 else []
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        parts.append(nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(), *pool))
        before = after
    last = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, width), nn.ReLU(), nn.Dropout(0.3))
    return _with_head(width, classes, *(_kaiming(part) for part in parts), _kaiming(last))
