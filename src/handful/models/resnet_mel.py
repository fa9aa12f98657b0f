"""ResNet-18 for sounds: one channel instead of three, begun from the weights for photos.

It sees the mel spectrogram as a grey picture. Its first layer is the sum of the pretrained one over the colours, with kernel, stride
and padding kept: on a grey picture both compute the same but for the normalisation. What is new is trained first, so the
*last* block of `--trainable-blocks` is the first layer: 1 trains it and the head, and leaves all else frozen; 2 to 9 add units
from the back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handful.models import Network, models
from handful.models._torchvision import create as create_for_photos
from handful.models._torchvision import replace_fc
from handful.models.resnet import body
from handful.registry import late

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from handful.features import Frontend
    from handful.graph import Graph
else:
    np = late("numpy")

FIRST = "conv1.weight"
NAME = "resnet18_mel"


@dataclass(frozen=True, kw_only=True)
class GreyNetwork(Network):
    """Sees one channel, float32 [N, 1, S, S], normalised by the mean of the colours' statistics."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, self.input_size, self.input_size

    def prepare(self, g: Graph, x: str, frontend: Frontend) -> str:
        picture = frontend.picture(g, x, self.input_size)
        grey = g.op("Slice", picture, np.array([0]), np.array([1]), np.array([1]))
        return str(g.op("Div", g.op("Sub", grey, float(np.mean(self.mean))), float(np.mean(self.std))))


def create(classes: int) -> nn.Module:
    """A random network for float32 [N, 1, H, W], to logits [N, classes]."""
    module: Any = create_for_photos("resnet18", classes)
    from torch import nn

    old = module.conv1
    module.conv1 = nn.Conv2d(1, old.out_channels, old.kernel_size, old.stride, old.padding, bias=False)
    nn.init.kaiming_normal_(module.conv1.weight, mode="fan_out", nonlinearity="relu")
    result: nn.Module = module
    return result


def adopt(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights for colours as weights for grey; weights for grey as they are."""
    first = state.get(FIRST)
    if first is None or first.ndim != 4 or first.shape[1] != 3:
        return state
    return state | {FIRST: first.sum(axis=1, keepdims=True)}


def blocks(module: Any) -> Sequence[nn.Module]:
    """The units, the first of them with the batch norm before it, and at the end the first layer."""
    from torch import nn

    first, *rest = (unit for stage in (module.layer1, module.layer2, module.layer3, module.layer4) for unit in stage)
    return [nn.Sequential(module.bn1, first), *rest, module.conv1]


_photos = models.get("resnet18")
assert isinstance(_photos, Network)
models.add(
    NAME,
    GreyNetwork(
        name=NAME,
        family="resnet",
        modalities=("audio",),
        licence=_photos.licence,
        url=_photos.url,
        weights_sha256=_photos.weights_sha256,
        weights_bytes=_photos.weights_bytes,
        summary="ResNet-18 with one channel for mel spectrograms; --trainable-blocks 1: first layer and head",
        create=create,
        body=body,
        blocks=blocks,
        replace_head=replace_fc,
        adopt=adopt,
    ),
)
