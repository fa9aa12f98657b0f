"""Every network of timm (PyTorch Image Models) as `timm/NAME`, with the extra `timm`.

Nothing is listed: a name is looked up when it is asked for. A block is a direct child of the module, or a member where the
child is a sequence (two levels deep, so that stages open into their units), with the norm layers that follow it; parameters
that lie outside any child, such as position embeddings, train only with all blocks.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from handful.errors import UsageError
from handful.models import Model, Network, models
from handful.registry import optional
from handful.words import meant, said

if TYPE_CHECKING:
    from torch import nn

PREFIX = "timm/"


def create(name: str, classes: int) -> nn.Module:
    module: nn.Module = optional("timm", "timm", said("extra.building", name=f"timm/{name}")).create_model(
        name, num_classes=classes
    )
    return module


def body(module: Any) -> nn.Module:
    """The network up to the last linear layer (timm's `pre_logits`), sharing the parameters of `module`."""
    from torch import nn

    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = module

        def forward(self, x: Any) -> Any:
            return self.network.forward_head(self.network.forward_features(x), pre_logits=True)

    return Body()


def blocks(module: Any) -> Sequence[nn.Module]:
    from torch import nn

    head = module.get_classifier()

    def opened(child: nn.Module, levels: int) -> list[nn.Module]:
        if child is head or not any(True for _ in child.parameters()):
            return []
        inside = getattr(child, "blocks", child)
        if levels and isinstance(inside, nn.Sequential | nn.ModuleList):
            return [block for member in inside for block in opened(member, levels - 1)]
        return [child]

    found: list[nn.Module] = []
    for block in (block for child in module.children() for block in opened(child, 2)):
        if found and all(parameter.ndim <= 1 for parameter in block.parameters()):
            found[-1] = nn.Sequential(found[-1], block)
        else:
            found.append(block)
    return found


def replace_head(module: Any, classes: int) -> nn.Module:
    module.reset_classifier(classes)
    return module.get_classifier()


@cache
def network(name: str) -> Model:
    """The catalogue line of `timm/NAME` (optionally `timm/NAME.TAG`), made from timm's own configuration of it."""
    timm = optional("timm", "timm", f"{PREFIX}{name}")
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        hint = meant([PREFIX + match for match in near]) if near else ""
        raise UsageError(said("model.not_in_timm", name=repr(name)), hint)
    config = timm.get_pretrained_cfg(name)
    repository = config.hf_hub_id or ""
    return Network(
        name=PREFIX + name,
        family="timm",
        extra="timm",
        input_size=config.input_size[-1],
        any_size=not config.fixed_input_size,
        mean=tuple(config.mean),
        std=tuple(config.std),
        licence=(config.license or "unknown") if repository else "unknown",
        pretrained=bool(repository),
        url=f"https://huggingface.co/{repository}/resolve/main/model.safetensors" if repository else "",
        summary=f"timm's {config.architecture or name}",
        create=partial(create, name),
        body=body,
        blocks=blocks,
        replace_head=replace_head,
    )


models.add_prefix(PREFIX, network)
