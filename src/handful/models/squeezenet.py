"""SqueezeNet (Iandola et al. 2016, arXiv:1602.07360): fire modules, that is 1x1 squeeze, then 1x1 and 3x3 expand.

A block is the stem or one fire module. The published head is a 1x1 convolution and a ReLU before the pooling; the
embedding is taken before it, averaged over the map (512 numbers), and a fresh head is linear on that: logits behind a
ReLU cannot be negative, which starves training on few samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handful.graph import Graph
from handful.models._torchvision import add

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

WIDTH = 512


def body(module: Any) -> nn.Module:
    from torch import nn

    return nn.Sequential(module.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def blocks(module: Any) -> Sequence[nn.Module]:
    return [layer for layer in module.features if any(True for _ in layer.parameters())]


def replace_head(module: Any, classes: int) -> nn.Module:
    from torch import nn

    head = nn.Linear(WIDTH, classes)
    module.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), head)
    return head


def graph(g: Graph, x: str, tensors: Mapping[str, np.ndarray]) -> str:
    """`body` as ONNX operators, from torchvision's tensors: what stands between two fire modules is a pooling."""

    def convolved(x: str, name: str, **attributes: Any) -> str:
        return str(g.op("Relu", g.op("Conv", x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], **attributes)))

    x = convolved(x, "features.0", strides=[2, 2])
    for layer in (f"features.{number}" for number in range(2, 13)):
        if f"{layer}.squeeze.weight" in tensors:
            x = convolved(x, f"{layer}.squeeze")
            wide = convolved(x, f"{layer}.expand3x3", pads=[1, 1, 1, 1])
            x = g.op("Concat", convolved(x, f"{layer}.expand1x1"), wide, axis=1)
        else:
            x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    return str(g.op("Flatten", g.op("GlobalAveragePool", x), axis=1))


# name, file, MiB, top-1, top-5, summary
VARIANTS = (
    (
        "squeezenet1_0",
        "squeezenet1_0-b66bff10.pth",
        4.778,
        58.092,
        80.420,
        "smallest files; good features for its size",
    ),
    ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth", 4.729, 58.178, 80.624, "as 1_0 with 2.4 times fewer operations"),
)
for name, file, mebibytes, top1, top5, summary in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        family="squeezenet",
        summary=summary,
        body=body,
        blocks=blocks,
        replace_head=replace_head,
        graph=graph,
    )
