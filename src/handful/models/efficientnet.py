"""EfficientNet B0 to B7 (Tan and Le 2019, arXiv:1905.11946): depth, width and input scaled together.

A block is the stem, one MBConv (mobile inverted bottleneck with squeeze-and-excitation) or the last 1x1 convolution.
Input sizes are the paper's; torchvision measured B2's accuracy at 288 instead of 260.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, pooled_body, replace_last

if TYPE_CHECKING:
    from torch import nn


def blocks(module: Any) -> Sequence[nn.Module]:
    stem, *stages, last = module.features
    return [stem, *(block for stage in stages for block in stage), last]


# name, file, MiB, top-1, top-5, input
VARIANTS = (
    ("efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth", 20.451, 77.692, 93.532, 224),
    ("efficientnet_b1", "efficientnet_b1_rwightman-bac287d4.pth", 30.134, 78.642, 94.186, 240),
    ("efficientnet_b2", "efficientnet_b2_rwightman-c35c1473.pth", 35.174, 80.608, 95.310, 260),
    ("efficientnet_b3", "efficientnet_b3_rwightman-b3899882.pth", 47.184, 82.008, 96.054, 300),
    ("efficientnet_b4", "efficientnet_b4_rwightman-23ab8bcd.pth", 74.489, 83.384, 96.594, 380),
    ("efficientnet_b5", "efficientnet_b5_lukemelas-1a07897c.pth", 116.864, 83.444, 96.628, 456),
    ("efficientnet_b6", "efficientnet_b6_lukemelas-24a108a5.pth", 165.362, 84.008, 96.916, 528),
    ("efficientnet_b7", "efficientnet_b7_lukemelas-c5b4e57e.pth", 254.675, 84.122, 96.908, 600),
)
for name, file, mebibytes, top1, top5, input_size in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        input_size=input_size,
        family="efficientnet",
        summary="compound scaling: high accuracy for few parameters",
        body=pooled_body,
        blocks=blocks,
        replace_head=replace_last,
    )
