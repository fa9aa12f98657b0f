"""Swin Transformer (Liu et al. 2021, arXiv:2103.14030) and its second version (arXiv:2111.09883): attention in shifted windows.

A block is the patch embedding, one layer or a merging of patches; the last norm goes with the last layer. Sizes other than the
networks' own are not meant for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, headless, replace_named

if TYPE_CHECKING:
    from torch import nn


HEAD = "head"


def body(module: Any) -> nn.Module:
    return headless(module, HEAD)


def blocks(module: Any) -> Sequence[nn.Module]:
    from torch import nn

    found: list[nn.Module] = []
    for number, stage in enumerate(module.features):
        found += stage if number % 2 else [stage]
    return [*found[:-1], nn.ModuleList([found[-1], module.norm])]


# name, file, MiB, top-1, top-5, input
VARIANTS = (
    ("swin_t", "swin_t-704ceda3.pth", 108.190, 81.474, 95.776, 224),
    ("swin_s", "swin_s-5e29d889.pth", 189.786, 83.196, 96.360, 224),
    ("swin_b", "swin_b-68c6b09e.pth", 335.364, 83.582, 96.640, 224),
    ("swin_v2_t", "swin_v2_t-b137f0e2.pth", 108.626, 82.072, 96.132, 256),
    ("swin_v2_s", "swin_v2_s-637d8ceb.pth", 190.675, 83.712, 96.816, 256),
    ("swin_v2_b", "swin_v2_b-781e5279.pth", 336.372, 84.112, 96.864, 256),
)
for name, file, mebibytes, top1, top5, input_size in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        input_size=input_size,
        family="swin",
        summary="transformer with attention in shifted windows; accurate, slow without a GPU",
        body=body,
        blocks=blocks,
        replace_head=partial(replace_named, HEAD),
    )
