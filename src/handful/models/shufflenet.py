"""ShuffleNet V2 (Ma et al. 2018, arXiv:1807.11164) in four widths: half the channels pass a unit untouched, then shuffle.

A block is the stem, one shuffle unit or the last 1x1 convolution. The embedding is the average over its feature map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, replace_fc

if TYPE_CHECKING:
    from torch import nn


def body(module: Any) -> nn.Module:
    from torch import nn

    return nn.Sequential(*list(module.children())[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten())


def blocks(module: Any) -> Sequence[nn.Module]:
    units = (unit for stage in (module.stage2, module.stage3, module.stage4) for unit in stage)
    return [module.conv1, *units, module.conv5]


# name, file, MiB, top-1, top-5; the file names of x0_5 and x1_0 are older than the naming of the others
VARIANTS = (
    ("shufflenet_v2_x0_5", "shufflenetv2_x0.5-f707e7126e.pth", 5.282, 60.552, 81.746),
    ("shufflenet_v2_x1_0", "shufflenetv2_x1-5666bf0f80.pth", 8.791, 69.362, 88.316),
    ("shufflenet_v2_x1_5", "shufflenetv2_x1_5-3c479a10.pth", 13.557, 72.996, 91.086),
    ("shufflenet_v2_x2_0", "shufflenetv2_x2_0-8be3c8ee.pth", 28.433, 76.230, 93.006),
)
for name, file, mebibytes, top1, top5 in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        family="shufflenet",
        summary="channel shuffling; the fewest operations of the catalogue",
        body=body,
        blocks=blocks,
        replace_head=replace_fc,
    )
