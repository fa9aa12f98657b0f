"""VGG (Simonyan and Zisserman 2014, arXiv:1409.1556) in 11 to 19 layers, as published and with batch norm.

Nearly all parameters lie in the two hidden linear layers behind the convolutions; the embedding is the second of them. A block is one
convolution with its norm, or one hidden linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, hidden_body, learning, replace_last

if TYPE_CHECKING:
    from torch import nn


def blocks(module: Any) -> Sequence[nn.Module]:
    return learning([*module.features, *module.classifier[:-1]])


# name, file, MiB, top-1, top-5
VARIANTS = (
    ("vgg11", "vgg11-8a719046.pth", 506.840, 69.020, 88.628),
    ("vgg11_bn", "vgg11_bn-6002323d.pth", 506.881, 70.370, 89.810),
    ("vgg13", "vgg13-19584684.pth", 507.545, 69.928, 89.246),
    ("vgg13_bn", "vgg13_bn-abd245e5.pth", 507.590, 71.586, 90.374),
    ("vgg16", "vgg16-397923af.pth", 527.796, 71.592, 90.382),
    ("vgg16_bn", "vgg16_bn-6c64b313.pth", 527.866, 73.360, 91.516),
    ("vgg19", "vgg19-dcbb9e9d.pth", 548.051, 72.376, 90.876),
    ("vgg19_bn", "vgg19_bn-c79401a0.pth", 548.143, 74.218, 91.842),
)
for name, file, mebibytes, top1, top5 in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        family="vgg",
        summary="plain convolutions; large and slow, of historical interest",
        body=hidden_body,
        blocks=blocks,
        replace_head=replace_last,
    )
