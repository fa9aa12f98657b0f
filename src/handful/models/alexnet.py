"""AlexNet (Krizhevsky et al. 2012; the one-tower variant of arXiv:1404.5997): five convolutions, two hidden linear layers.

A block is one of those seven; the embedding is the second hidden layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, hidden_body, learning, replace_last

if TYPE_CHECKING:
    from torch import nn


def blocks(module: Any) -> Sequence[nn.Module]:
    return learning([*module.features, *module.classifier[:-1]])


add(
    "alexnet",
    "alexnet-owt-7be5be79.pth",
    233.087,
    top1=56.522,
    top5=79.066,
    family="alexnet",
    summary="the network of 2012; of historical interest",
    body=hidden_body,
    blocks=blocks,
    replace_head=replace_last,
)
