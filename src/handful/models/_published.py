"""What else is known of the catalogue's networks: `python -m handful.models._published` writes `published.json` beside it.

From torchvision's own weights table: top-1, top-5 and what it calls GFLOPS (billions of multiply-adds), with the version that
says so. Counted here: the bytes that autograd keeps of one sample until the backward pass, in float32, on meta tensors.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from handful.errors import MissingExtra
from handful.models import Network, models


@cache
def _table() -> dict[str, dict[str, Any]]:
    text = resources.files("handful.models").joinpath("published.json").read_text("utf-8")
    table: dict[str, dict[str, Any]] = json.loads(text)
    return table


def published(name: str) -> dict[str, Any]:
    """`kept_bytes` of one sample in training; of published weights also `top1` and `top5` (percent), `gflops`, `source`.

    Empty for what is not in the table; needs no torch.
    """
    return _table().get(name, {})


def kept_bytes(network: Network) -> int:
    """Bytes that a forward pass in training keeps for the backward pass, for one sample; parameters not counted.

    Counted as the difference between three samples and two, so that what does not grow with the batch falls out.
    """
    import torch

    def kept(batch: int, module: torch.nn.Module) -> int:
        own = {p.untyped_storage()._cdata for p in (*module.parameters(), *module.buffers())}
        seen: dict[int, torch.UntypedStorage] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in own:
                seen[storage._cdata] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = module(torch.empty(batch, *network.shape)).sum()
        total = sum(storage.nbytes() for storage in seen.values())
        del loss
        return total

    with torch.device("meta"):
        module = network.create(network.classes).train()
        return kept(3, module) - kept(2, module)


def from_torchvision(network: Network) -> dict[str, Any]:
    """Figures of the very file that the catalogue names; empty where torchvision does not publish it."""
    import torchvision

    if network.name not in torchvision.models.list_models():
        return {}
    for weights in torchvision.models.get_model_weights(network.name):
        if weights.url == network.url:
            measured = weights.meta["_metrics"]["ImageNet-1K"]
            return {
                "top1": measured["acc@1"], "top5": measured["acc@5"], "gflops": weights.meta["_ops"],
                "source": f"torchvision {torchvision.__version__.partition('+')[0]}, {weights}",
            }  # fmt: skip
    return {}


def main() -> None:
    table = {}
    for network in models:
        if isinstance(network, Network):
            try:
                table[network.name] = {"kept_bytes": kept_bytes(network), **from_torchvision(network)}
            except MissingExtra:  # what was counted where it is installed stays
                table[network.name] = published(network.name)
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(table.items()))
    Path(__file__).with_name("published.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
