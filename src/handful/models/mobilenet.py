"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) and V3 (Howard et al. 2019, arXiv:1905.02244).

A block is the stem, one inverted residual, the last 1x1 convolution or, in V3, the hidden linear layer behind the pooling:
the embedding is what the last linear layer sees, so V3 gives 1024 or 1280 numbers rather than its 576 or 960 channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, pooled_body, replace_last

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
