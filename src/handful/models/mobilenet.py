"""MobileNetV1 (Howard et al. 2017, arXiv:1704.04861), V2 (Sandler et al. 2018, arXiv:1801.04381) and V3 (Howard et al. 2019, arXiv:1905.02244).

A block is the stem, one inverted residual, the last 1x1 convolution or, in V3, the hidden linear layer behind the pooling:
the embedding is what the last linear layer sees, so V3 gives 1024 or 1280 numbers rather than its 576 or 960 channels. V1 has
depthwise-separable convolutions, one a block; torchvision publishes no weights of it (timm does, as `timm/mobilenetv1_100`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handful.models import Network, models
from handful.models._torchvision import add, pooled_body, replace_last
from handful.registry import optional
from handful.words import said

if TYPE_CHECKING:
    from torch import nn


def blocks(module: Any) -> Sequence[nn.Module]:
    hidden = [layer for layer in module.classifier[:-1] if any(True for _ in layer.parameters())]
    return [*module.features, *hidden]


# name, file, MiB, top-1, top-5, summary
VARIANTS = (
    ("mobilenet_v2", "mobilenet_v2-b0353104.pth", 13.555, 71.878, 90.286, "inverted residuals; small, quantises well"),
    (
        "mobilenet_v3_small",
        "mobilenet_v3_small-047dcff4.pth",
        9.829,
        67.668,
        87.402,
        "fastest of the catalogue on a CPU",
    ),
    (
        "mobilenet_v3_large",
        "mobilenet_v3_large-8738ca79.pth",
        21.114,
        74.042,
        91.340,
        "a good trade on phones and CPUs",
    ),
)
for name, file, mebibytes, top1, top5, summary in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        family="mobilenet",
        summary=summary,
        body=pooled_body,
        blocks=blocks,
        replace_head=replace_last,
    )

# Of V1, after the stem of 32 channels: channels and stride.
SEPARABLE = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip


def create_v1(classes: int) -> nn.Module:
    """Random `mobilenet_v1`: float32 [N, 3, H, W] to logits [N, classes]; 4,231,976 parameters with 1,000 classes."""
    optional("torch", "torch", said("extra.building", name="mobilenet_v1"))
    from torch import nn

    def conv(before: int, after: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
        layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        return [layer, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]

    units, before = [nn.Sequential(*conv(3, 32, 3, 2))], 32
    for after, stride in SEPARABLE:
        units.append(nn.Sequential(*conv(before, before, 3, stride, before), *conv(before, after, 1, 1)))
        before = after
    module = nn.Sequential()
    module.add_module("features", nn.Sequential(*units))
    module.add_module("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    module.add_module("classifier", nn.Sequential(nn.Dropout(0.2), nn.Linear(before, classes)))
    return module


models.add(
    "mobilenet_v1",
    Network(
        name="mobilenet_v1",
        family="mobilenet",
        pretrained=False,
        summary="depthwise-separable convolutions; from scratch",
        create=create_v1,
        body=pooled_body,
        blocks=blocks,
        replace_head=replace_last,
    ),
)
