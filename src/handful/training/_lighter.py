"""The same network with less work a step, for training on a processor, where memory is slower than arithmetic.

Knows layers and what their gradients need; knows nothing of losses, steps and data.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

Forward = Callable[..., "torch.Tensor"]


class Lighter(contextlib.AbstractContextManager["Lighter"]):
    """While it is entered, `module` computes the same, up to rounding, in less time.

    Parameters, names and gradients stay as they are; only the `forward` of some layers is another:

    - A batch norm that keeps its statistics (`pretrained`) is a scale and a shift of each channel. They go into the weights and
      the bias of the convolution before it, so that no pass over its output is left; gradients reach both layers' parameters.
    - Activations whose gradient is computed from what came in do not work in place: torch would have to copy that first.
    - A mean over all places is a sum and a division, in this order: the gradient of a sum is one number for all places, while
      that of a mean is written out, in a memory layout that slows down whatever is added to it.
    """

    def __init__(self, module: nn.Module, pretrained: bool) -> None:
        self.forwards: list[tuple[nn.Module, Forward]] = []
        if pretrained:
            for convolution, norm in foldable(module):
                self.forwards += [(convolution, partial(_folded, convolution, norm)), (norm, _same)]
        self.forwards += _without_copies(module) + _means(module)

    def __enter__(self) -> Lighter:
        for layer, forward in self.forwards:
            vars(layer)["forward"] = forward
        return self

    def __exit__(self, *error: object) -> None:
        for layer, _ in self.forwards:
            vars(layer).pop("forward", None)


def foldable(module: nn.Module) -> list[tuple[Any, Any]]:
    """Convolutions, each with the batch norm that alone reads what it computes; none where that cannot be known."""
    from torch import fx, nn

    norms, convolutions = (nn.BatchNorm1d, nn.BatchNorm2d), (nn.Conv1d, nn.Conv2d)
    layers = dict(module.named_modules())
    if not any(isinstance(layer, norms) for layer in layers.values()):
        return []
    try:
        graph = fx.Tracer().trace(module)
    except Exception:  # any error of its own code: what it computes depends on the data, which cannot be written down
        return []
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    found = []
    for node in graph.nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        convolution, norm = layers[str(before.target)], layers[str(node.target)]
        if type(convolution) not in convolutions or type(norm) not in norms:  # others may compute something else
            continue
        if norm.affine and norm.track_running_stats and calls[node.target] == calls[before.target] == 1:
            found.append((convolution, norm))
    return found


def _folded(convolution: Any, norm: Any, x: torch.Tensor) -> torch.Tensor:
    """What `norm` makes of `convolution(x)` by its statistics."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    shift = norm.bias - norm.running_mean * scale
    if convolution.bias is not None:
        shift = shift + convolution.bias * scale
    weight = convolution.weight * scale.reshape(-1, *[1] * (convolution.weight.ndim - 1))
    found: torch.Tensor = convolution._conv_forward(x, weight, shift)
    return found


def _same(x: torch.Tensor) -> torch.Tensor:
    return x


def _without_copies(module: nn.Module) -> list[tuple[nn.Module, Forward]]:
    from torch import nn

    found: list[tuple[nn.Module, Forward]] = []
    for layer in module.modules():
        if isinstance(layer, (nn.SiLU, nn.Hardswish, nn.Mish)) and layer.inplace:
            other = copy.copy(layer)
            other.inplace = False
            found.append((layer, other.forward))
    return found


def _means(module: nn.Module) -> list[tuple[nn.Module, Forward]]:
    from torch import nn

    return [
        (layer, _mean)
        for layer in module.modules()
        if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1))
    ]


def _mean(x: torch.Tensor) -> torch.Tensor:
    return x.sum((-2, -1), keepdim=True) / (x.shape[-2] * x.shape[-1])
