"""ResNeXt (Xie et al. 2016, arXiv:1611.05431): ResNet bottlenecks whose 3x3 convolution works in parallel groups.

The module is torchvision's ResNet class, so body and blocks are those of `resnet`.
"""

from __future__ import annotations

from handful.models._torchvision import add, replace_fc
from handful.models.resnet import blocks, body

# name, file, MiB, top-1, top-5; 101_64x4d exists with the second recipe only
VARIANTS = (
    ("resnext50_32x4d", "resnext50_32x4d-7cdf4587.pth", 95.789, 77.618, 93.698),
    ("resnext101_32x8d", "resnext101_32x8d-8ba56ff5.pth", 339.586, 79.312, 94.526),
    ("resnext101_64x4d", "resnext101_64x4d-173b62eb.pth", 319.318, 83.246, 96.454),
)
for name, file, mebibytes, top1, top5 in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        family="resnext",
        summary="ResNet with grouped convolutions: more accuracy for the same operations, more memory",
        body=body,
        blocks=blocks,
        replace_head=replace_fc,
    )
