"""EfficientNetV2 S, M and L (Tan and Le 2021, arXiv:2104.00298): fused MBConv in front, larger inputs.

Same module layout as `efficientnet`; a block is the stem, one (fused) MBConv or the last 1x1 convolution. `efficientnet_v2_s_relu`
is S with ReLU in the place of every SiLU, for hardware and exporters that lack it: the same weights, which were not trained so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from handful.models import Network, models
from handful.models._torchvision import add, create, pooled_body, replace_last
from handful.models.efficientnet import blocks

if TYPE_CHECKING:
    from torch import nn

HALF = (0.5, 0.5, 0.5)
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

# name, file, MiB, top-1, top-5, input, normalisation
VARIANTS = (
    ("efficientnet_v2_s", "efficientnet_v2_s-dd5fe13b.pth", 82.704, 84.228, 96.878, 384, IMAGENET),
    ("efficientnet_v2_m", "efficientnet_v2_m-dc08266a.pth", 208.01, 85.112, 97.156, 480, IMAGENET),
    ("efficientnet_v2_l", "efficientnet_v2_l-59c71312.pth", 454.573, 85.808, 97.788, 480, {"mean": HALF, "std": HALF}),
)
for name, file, mebibytes, top1, top5, input_size, normalisation in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        input_size=input_size,
        family="efficientnet_v2",
        summary="the most accurate of the catalogue, and the slowest",
        body=pooled_body,
        blocks=blocks,
        replace_head=replace_last,
        **normalisation,
    )


def create_with_relu(classes: int) -> nn.Module:
    """torchvision's `efficientnet_v2_s` with random weights and ReLU in the place of SiLU."""
    module = create("efficientnet_v2_s", classes)
    from torch import nn

    for parent in list(module.modules()):
        for child, layer in parent.named_children():
            if isinstance(layer, nn.SiLU):
                setattr(parent, child, nn.ReLU(inplace=True))
    return module


_silu = models.get("efficientnet_v2_s")
assert isinstance(_silu, Network)
models.add(
    "efficientnet_v2_s_relu",
    replace(
        _silu,
        name="efficientnet_v2_s_relu",
        summary="efficientnet_v2_s with ReLU for SiLU; wants fine-tuning",
        top1=None,
        top5=None,
        create=create_with_relu,
    ),
)
