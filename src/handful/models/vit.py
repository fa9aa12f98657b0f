"""Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929): patches of 16 or 32 pixels as tokens, base and large.

A block is what turns patches into tokens (class token and positions included), or one layer; the last norm goes with the last layer.
The embedding is the class token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handful.models._torchvision import add, headless

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


def adopt(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The published files have the names of torchvision's first version of the layers behind attention."""
    return {
        name.replace(".mlp.linear_1.", ".mlp.0.").replace(".mlp.linear_2.", ".mlp.3."): value
        for name, value in state.items()
    }


def body(module: Any) -> nn.Module:
    return headless(module, "heads")


def blocks(module: Any) -> Sequence[nn.Module]:
    from torch import nn

    tokens = nn.ParameterList([module.class_token, module.encoder.pos_embedding])
    *layers, last = module.encoder.layers
    return [nn.ModuleList([module.conv_proj, tokens]), *layers, nn.ModuleList([last, module.encoder.ln])]


def replace_head(module: Any, classes: int) -> nn.Module:
    from torch import nn

    module.heads[-1] = nn.Linear(module.heads[-1].in_features, classes)
    head: nn.Module = module.heads[-1]
    return head


# name, file, MiB, top-1, top-5
VARIANTS = (
    ("vit_b_16", "vit_b_16-c867db91.pth", 330.285, 81.072, 95.318),
    ("vit_b_32", "vit_b_32-d86f8d99.pth", 336.604, 75.912, 92.466),
    ("vit_l_16", "vit_l_16-852ce7e3.pth", 1161.023, 79.662, 94.638),
    ("vit_l_32", "vit_l_32-c7638314.pth", 1169.449, 76.972, 93.070),
)
for name, file, mebibytes, top1, top5 in VARIANTS:
    add(
        name,
        file,
        mebibytes,
        top1=top1,
        top5=top5,
        family="vit",
        any_size=False,
        summary="transformer over patches; large, slow without a GPU",
        body=body,
        blocks=blocks,
        replace_head=replace_head,
        adopt=adopt,
    )
