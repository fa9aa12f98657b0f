"""ResNet (He et al. 2015, arXiv:1512.03385): basic blocks in 18 and 34 layers, bottlenecks in 50, 101 and 152.

A block is one residual unit; the first block is the 7x7 stem. The embedding is the average over the last feature map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, replace_fc

if TYPE_CHECKING:
    from torch import nn


def body(module: Any) -> nn.Module:
    from torch import nn

    return nn.Sequential(*list(module.children())[:-1], nn.Flatten())


def blocks(module: Any) -> Sequence[nn.Module]:
    from torch import nn

    stages = (module.layer1, module.layer2, module.layer3, module.layer4)
    return [nn.Sequential(module.conv1, module.bn1), *(unit for stage in stages for unit in stage)]


# name, file, MiB, top-1, top-5
VARIANTS = (
    ("resnet18", "resnet18-f37072fd.pth", 44.661, 69.758, 89.078),
    ("resnet34", "resnet34-b627a593.pth", 83.275, 73.314, 91.420),
    ("resnet50", "resnet50-0676ba61.pth", 97.781, 76.130, 92.862),
    ("resnet101", "resnet101-63fe2227.pth", 170.511, 77.374, 93.546),
    ("resnet152", "resnet152-394f9c45.pth", 230.434, 78.312, 94.046),
)
for name, file, mebibytes, top1, top5 in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        family="resnet",
        summary="residual network, the usual reference",
        body=body,
        blocks=blocks,
        replace_head=replace_fc,
    )
