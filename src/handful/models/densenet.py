"""DenseNet (Huang et al. 2016, arXiv:1608.06993): every layer of a stage sees the outputs of all layers before it.

A block is the stem, one dense layer or a transition between stages; the last norm goes with the last layer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, headless, replace_named

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


HEAD = "classifier"


def blocks(module: Any) -> Sequence[nn.Module]:
    from torch import nn

    parts = dict(module.features.named_children())
    found: list[nn.Module] = [nn.Sequential(parts["conv0"], parts["norm0"])]
    for name, part in parts.items():
        if name.startswith("denseblock"):
            found += part.children()
        elif name.startswith("transition"):
            found.append(part)
    found[-1] = nn.ModuleList([found[-1], parts["norm5"]])
    return found


def body(module: Any) -> nn.Module:
    return headless(module, HEAD)


def adopt(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The published files have a dot in names such as `norm.1`, which modules cannot have any more."""
    return {re.sub(r"(norm|conv)\.([12])\.", r"\1\2.", name): value for name, value in state.items()}


# name, file, MiB, top-1, top-5
VARIANTS = (
    ("densenet121", "densenet121-a639ec97.pth", 30.845, 74.434, 91.972),
    ("densenet161", "densenet161-8d451a50.pth", 110.369, 77.138, 93.560),
    ("densenet169", "densenet169-b2777c0a.pth", 54.708, 75.600, 92.806),
    ("densenet201", "densenet201-c1103571.pth", 77.373, 76.896, 93.370),
)
for name, file, mebibytes, top1, top5 in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        family="densenet",
        summary="layers see all layers before them; few parameters for their accuracy",
        body=body,
        blocks=blocks,
        replace_head=partial(replace_named, HEAD),
        adopt=adopt,
    )
