"""EfficientNetV2-S with ghost modules (Han et al. 2019, arXiv:1911.11907) in every expansion and projection.

A design of this project: stages, strides, squeeze-and-excitation and activations are EfficientNetV2-S's. A ghost module computes half
of its channels by the usual convolution and the other half from those by one 3x3 filter a channel, so that the 1x1 and 3x3
convolutions cost half. Nobody publishes weights: it is trained from scratch. A block is the stem, one unit or the last 1x1 convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.models import Network, models
from handful.models._torchvision import pooled_body, replace_last
from handful.models.efficientnet import blocks
from handful.registry import optional
from handful.words import said

if TYPE_CHECKING:
    from torch import nn


def create(classes: int) -> nn.Module:
    """Random `ghost_efficientnet_v2_s`: float32 [N, 3, H, W] to logits [N, classes]."""
    optional("torchvision", "torch", said("extra.building", name="ghost_efficientnet_v2_s"))
    from handful.models._ghost_modules import GhostEfficientNet

    return GhostEfficientNet(classes)


models.add(
    "ghost_efficientnet_v2_s",
    Network(
        name="ghost_efficientnet_v2_s",
        family="efficientnet_v2",
        input_size=384,
        pretrained=False,
        summary="EfficientNetV2-S with ghost modules: about half the operations; from scratch",
        create=create,
        body=pooled_body,
        blocks=blocks,
        replace_head=replace_last,
    ),
)
