"""RegNet Y (Radosavovic et al. 2020, arXiv:2003.13678): widths that follow one line, with squeeze-and-excitation.

A block is the stem or one unit. The number is the multiply-adds the network was designed for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, headless, replace_fc
from handful.models._torchvision import create as create_from_torchvision
from handful.registry import optional
from handful.words import said

if TYPE_CHECKING:
    from torch import nn


def create(name: str, classes: int) -> nn.Module:
    """torchvision's module with random weights; it computes its widths with tensors, which no meta device can."""
    torch = optional("torch", "torch", said("extra.building", name=name))
    device = torch.get_default_device()
    with torch.device("cpu"):
        made = create_from_torchvision(name, classes)
    return made.to(device)


def body(module: Any) -> nn.Module:
    return headless(module, "fc")


def blocks(module: Any) -> Sequence[nn.Module]:
    return [module.stem, *(unit for stage in module.trunk_output for unit in stage)]


# name, file, MiB, top-1, top-5
VARIANTS = (
    ("regnet_y_400mf", "regnet_y_400mf-c65dace8.pth", 16.806, 74.046, 91.716),
    ("regnet_y_800mf", "regnet_y_800mf-1b27b58c.pth", 24.774, 76.420, 93.136),
    ("regnet_y_1_6gf", "regnet_y_1_6gf-b11a554e.pth", 43.152, 77.950, 93.966),
    ("regnet_y_3_2gf", "regnet_y_3_2gf-b5a9779c.pth", 74.567, 78.948, 94.576),
    ("regnet_y_8gf", "regnet_y_8gf-d0d0e4a8.pth", 150.701, 80.032, 95.048),
)
for name, file, mebibytes, top1, top5 in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        family="regnet",
        summary="regular design, made for many sizes of machine",
        create=partial(create, name),
        body=body,
        blocks=blocks,
        replace_head=replace_fc,
    )
