"""What the torchvision families share: how one is built, and where its published weights lie.

Knows the shape of torchvision's modules; knows no family. Where torchvision publishes two sets of weights, the catalogue
takes the first (V1): the second recipe (600 epochs, label smoothing, mixup, cutmix) scores higher on ImageNet, but label
smoothing and its like make the embedding a worse ground for a linear head (Kornblith et al., "Do better ImageNet models
transfer better?", CVPR 2019, table 2, and "Why do better loss functions lead to less transferable features?", NeurIPS 2021).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from handful.models import Network, models
from handful.registry import optional
from handful.words import said

if TYPE_CHECKING:
    from torch import nn

HOST = "https://download.pytorch.org/models/"

Blocks = Callable[[Any], "Sequence[nn.Module]"]


def create(name: str, classes: int) -> nn.Module:
    """torchvision's module called `name` with random weights and a head of `classes` outputs."""
    torchvision = optional("torchvision", "torch", said("extra.building", name=name))
    module: nn.Module = getattr(torchvision.models, name)(weights=None, num_classes=classes)
    return module


def add(name: str, file: str, mebibytes: float, *, top1: float, top5: float, **fields: Any) -> None:
    """Register `name`, whose weights torchvision publishes as `file` (STEM-SHA256PREFIX.pth).

    `mebibytes` and the accuracies (percent, ImageNet-1k validation, single crop) are the ones in torchvision's own
    weights table; the size is therefore exact to a kilobyte only.
    """
    models.add(
        name,
        Network(
            name=name,
            url=HOST + file,
            weights_sha256=file.rpartition("-")[2].removesuffix(".pth"),
            weights_bytes=round(mebibytes * 2**20),
            licence="BSD-3-Clause",
            top1=top1,
            top5=top5,
            **{"create": partial(create, name), **fields},
        ),
    )


def headless(module: Any, name: str) -> nn.Module:
    """`module` without the layer called `name`: the same forward pass and the same parameters, ending in what that layer sees."""
    from torch import nn

    body = copy.copy(module)
    body._modules = dict(module._modules)
    setattr(body, name, nn.Identity())
    result: nn.Module = body
    return result


def hidden_body(module: Any) -> nn.Module:
    """Embedding of a module made of `features`, `avgpool` and a `classifier` with hidden layers: all but its last layer."""
    from torch import nn

    return nn.Sequential(module.features, module.avgpool, nn.Flatten(), *module.classifier[:-1])


def learning(layers: Any) -> list[nn.Module]:
    """Those of `layers` that have parameters, with the norms that follow them."""
    from torch import nn

    found: list[nn.Module] = []
    for layer in layers:
        if found and isinstance(layer, nn.BatchNorm2d):
            found[-1] = nn.Sequential(found[-1], layer)
        elif any(True for _ in layer.parameters()):
            found.append(layer)
    return found


def pooled_body(module: Any) -> nn.Module:
    """Embedding of a module made of `features` and `classifier`: everything up to the last linear layer."""
    from torch import nn

    hidden = module.classifier[:-1]
    return nn.Sequential(module.features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *hidden)


def replace_last(module: Any, classes: int) -> nn.Module:
    """Put a fresh linear layer of `classes` outputs at the end of `module.classifier`; returns it."""
    from torch import nn

    head = nn.Linear(module.classifier[-1].in_features, classes)
    module.classifier[-1] = head
    return head


def replace_named(name: str, module: Any, classes: int) -> nn.Module:
    """Put a fresh linear layer of `classes` outputs in the place of `module.NAME`; returns it."""
    from torch import nn

    head = nn.Linear(getattr(module, name).in_features, classes)
    setattr(module, name, head)
    return head


replace_fc = partial(replace_named, "fc")
