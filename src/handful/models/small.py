"""A small network for training from scratch with few samples, on pictures of 64 to 96 pixels or spectrogram pictures.

Four blocks of convolution, batch norm, ReLU and pooling (32, 64, 128, 256 channels), then the average over the map. There
are no published weights: the numbers it starts from are random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handful.models import Network, models
from handful.registry import optional
from handful.words import said

if TYPE_CHECKING:
    from torch import nn

CHANNELS = (32, 64, 128, 256)


def create(classes: int) -> nn.Module:
    """Random `small_cnn`: float32 [N, 3, H, W] with H, W of at least 16 to logits [N, classes]."""
    optional("torch", "torch", said("extra.building", name="small_cnn"))
    from torch import nn

    blocks = []
    for before, after in zip((3, *CHANNELS), CHANNELS, strict=False):
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        blocks.append(nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)))
    pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3))
    return nn.Sequential(nn.Sequential(*blocks), pooling, nn.Linear(CHANNELS[-1], classes))


def body(module: Any) -> nn.Module:
    return module[:-1]


def blocks(module: Any) -> Sequence[nn.Module]:
    return list(module[0])


def replace_head(module: Any, classes: int) -> nn.Module:
    from torch import nn

    module[-1] = nn.Linear(CHANNELS[-1], classes)
    return module[-1]


models.add(
    "small_cnn",
    Network(
        name="small_cnn",
        family="small",
        input_size=64,
        pretrained=False,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        summary="four convolutions, trained from scratch",
        create=create,
        body=body,
        blocks=blocks,
        replace_head=replace_head,
    ),
)
