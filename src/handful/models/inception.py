"""GoogLeNet (Szegedy et al. 2014, arXiv:1409.4842) and Inception v3 (2015, arXiv:1512.00567): filters of several sizes side by side.

Their auxiliary classifiers, which helped to train them, are left out; the published files have them. A block is one convolution
of the stem or one inception module.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, headless, replace_fc
from handful.registry import optional
from handful.words import said

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


HALF = (0.5, 0.5, 0.5)  # what torchvision's switch `transform_input` makes of ImageNet's normalisation
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


def create(name: str, classes: int) -> nn.Module:
    """torchvision's module with random weights, without auxiliary classifiers."""
    torchvision = optional("torchvision", "torch", said("extra.building", name=name))
    make = getattr(torchvision.models, name)
    module: nn.Module = make(
        weights=None, num_classes=classes, aux_logits=False, init_weights=False, transform_input=False
    )
    return module


def adopt(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value for name, value in state.items() if not name.startswith(AUXILIARY)}


def body(module: Any) -> nn.Module:
    return headless(module, "fc")


def blocks(module: Any) -> Sequence[nn.Module]:
    return [part for part in list(module.children())[:-1] if any(True for _ in part.parameters())]


# name, file, MiB, top-1, top-5, input
VARIANTS = (
    ("googlenet", "googlenet-1378be20.pth", 49.731, 69.778, 89.530, 224),
    ("inception_v3", "inception_v3_google-0cc3c7bd.pth", 103.903, 77.294, 93.450, 299),
)
for name, file, mebibytes, top1, top5, input_size in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        input_size=input_size,
        mean=HALF,
        std=HALF,
        family="inception",
        summary="filters of several sizes side by side",
        create=partial(create, name),
        body=body,
        blocks=blocks,
        replace_head=replace_fc,
        adopt=adopt,
    )
