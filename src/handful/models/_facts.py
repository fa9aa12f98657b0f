"""Counts parameters, multiply-adds, blocks and embedding widths of the catalogue: `python -m handful.models._facts`.

Writes `facts.json` beside this file. Everything runs on meta tensors, so no weights are made and no arithmetic is done.
Multiply-adds are torch's flop counter / 2: convolutions and matrix products, not batch norm, activations or pooling.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from handful.errors import MissingExtra
from handful.models import Network, digest, facts, models


def signature(shapes: dict[str, tuple[int, ...]]) -> str:
    """Identifies an architecture by the names and shapes of its tensors, however they are ordered in a file."""
    counted = sorted((key, shape) for key, shape in shapes.items() if not key.endswith("num_batches_tracked"))
    return digest(*counted)[:16]


def compute(network: Network) -> dict[str, Any]:
    """The figures of one network, as `facts(name)` returns them."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        module = network.create(network.classes).eval()
        body = network.body(module).eval()
        picture = torch.empty(1, *network.shape)
        with FlopCounterMode(display=False) as whole, torch.no_grad():
            module(picture)
        with FlopCounterMode(display=False) as part, torch.no_grad():
            embedding = body(picture)
    return {
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "macs": whole.get_total_flops() // 2,
        "body_parameters": sum(parameter.numel() for parameter in body.parameters()),
        "body_macs": part.get_total_flops() // 2,
        "blocks": len(network.blocks(module)),
        "width": embedding.shape[1],
        "bytes": network.weights_bytes,
        "signature": signature({key: tuple(value.shape) for key, value in module.state_dict().items()}),
    }


def main() -> None:
    table = {}
    for network in models:
        if isinstance(network, Network):
            try:
                table[network.name] = compute(network)
            except MissingExtra:  # what was counted where it is installed stays
                table[network.name] = facts(network.name)
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(table.items()))
    Path(__file__).with_name("facts.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
