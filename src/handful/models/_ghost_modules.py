"""The torch modules of `ghost_efficientnet_v2_s`; imported only when it is built."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torchvision.ops import SqueezeExcitation, StochasticDepth

# Of EfficientNetV2-S: fused, expansion, kernel, stride, channels before, channels after, blocks.
STAGES = (
    (True, 1, 3, 1, 24, 24, 2),
    (True, 4, 3, 2, 24, 48, 4),
    (True, 4, 3, 2, 48, 64, 4),
    (False, 4, 3, 2, 64, 128, 6),
    (False, 6, 3, 1, 128, 160, 9),
    (False, 6, 3, 2, 160, 256, 15),
)
WIDTH = 1280
DROP = 0.2


def _conv(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after, eps=1e-3),
        *([nn.SiLU(inplace=True)] if act else []),
    )


class Ghost(nn.Module):
    """Half of the channels by a convolution, the other half, their ghosts, by one cheap 3 x 3 filter on each of them."""

    def __init__(self, before: int, after: int, kernel: int = 1, stride: int = 1, act: bool = True) -> None:
        super().__init__()
        half = after // 2
        self.primary = _conv(before, half, kernel, stride, act=act)
        self.cheap = _conv(half, half, 3, groups=half, act=act)

    def forward(self, x: Any) -> Any:
        seen = self.primary(x)
        return torch.cat([seen, self.cheap(seen)], dim=1)


class GhostBlock(nn.Module):
    """(Fused-)MBConv whose expansion and projection are ghost modules."""

    def __init__(
        self, fused: bool, expansion: int, kernel: int, stride: int, before: int, after: int, drop: float
    ) -> None:  # fmt: skip
        super().__init__()
        wide = before * expansion
        parts: list[nn.Module]
        if fused:
            parts = [Ghost(before, wide if expansion > 1 else after, kernel, stride)]
        else:
            squeezed = SqueezeExcitation(wide, max(1, before // 4), activation=nn.SiLU)
            parts = [Ghost(before, wide), _conv(wide, wide, kernel, stride, groups=wide), squeezed]
        if expansion > 1:
            parts.append(Ghost(wide, after, act=False))
        self.block = nn.Sequential(*parts)
        self.same = stride == 1 and before == after
        self.drop = StochasticDepth(drop, "row")

    def forward(self, x: Any) -> Any:
        return self.drop(self.block(x)) + x if self.same else self.block(x)


class GhostEfficientNet(nn.Module):
    """float32 [N, 3, H, W] to logits; laid out as torchvision's EfficientNets are."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        total, done = sum(stage[-1] for stage in STAGES), 0
        parts: list[nn.Module] = [_conv(3, STAGES[0][4], 3, 2)]
        for fused, expansion, kernel, stride, before, after, count in STAGES:
            units = []
            for number in range(count):
                shape = (1, after, after) if number else (stride, before, after)
                units.append(GhostBlock(fused, expansion, kernel, *shape, drop=DROP * done / total))
                done += 1
            parts.append(nn.Sequential(*units))
        parts.append(_conv(STAGES[-1][5], WIDTH, 1))
        self.features = nn.Sequential(*parts)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        head = nn.Linear(WIDTH, classes)
        self.classifier = nn.Sequential(nn.Dropout(DROP), head)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)

    def forward(self, x: Any) -> Any:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
