"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545): a convolutional network with the proportions of a transformer.

A block is the stem, one unit or a halving between stages; the last norm goes with the last unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, replace_last

if TYPE_CHECKING:
    from torch import nn


def body(module: Any) -> nn.Module:
    from torch import nn

    return nn.Sequential(module.features, module.avgpool, *module.classifier[:-1])


def blocks(module: Any) -> Sequence[nn.Module]:
    from torch import nn

    found: list[nn.Module] = []
    for number, stage in enumerate(module.features):
        found += stage if number % 2 else [stage]
    return [*found[:-1], nn.ModuleList([found[-1], module.classifier[0]])]


# name, file, MiB, top-1, top-5
VARIANTS = (
    ("convnext_tiny", "convnext_tiny-983f1562.pth", 109.119, 82.520, 96.146),
    ("convnext_small", "convnext_small-0c510722.pth", 191.703, 83.616, 96.650),
    ("convnext_base", "convnext_base-6075fbad.pth", 338.064, 84.062, 96.870),
    ("convnext_large", "convnext_large-ea097f82.pth", 754.537, 84.414, 96.976),
)
for name, file, mebibytes, top1, top5 in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        family="convnext",
        summary="convolutions in the proportions of a transformer; accurate, large",
        body=body,
        blocks=blocks,
        replace_head=replace_last,
    )
