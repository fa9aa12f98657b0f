"""A training step on a processor computes with less work what the network computes."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from handful.models import Network, models  # noqa: E402
from handful.training._lighter import Lighter, foldable  # noqa: E402


def pretrained(name: str) -> Any:
    """The network in double precision, as it is fine-tuned: batch norms keep their statistics, which here are not 0 and 1."""
    found = models.get(name)
    assert isinstance(found, Network)
    torch.manual_seed(0)
    module = found.create(3).double()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    module.train()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    return module


def answers(module: Any, lighter: Lighter | None) -> tuple[Any, dict[str, Any]]:
    """Logits and gradients of one step; what is random in it is the same each time."""
    torch.manual_seed(1)
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    module.zero_grad()
    torch.manual_seed(2)
    if lighter:
        with lighter:
            logits = module(x)
    else:
        logits = module(x)
    nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    return logits.detach(), {name: parameter.grad.clone() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v3_small", "resnet18", "squeezenet1_1"])
def test_logits_and_gradients_are_those_of_the_network(name: str) -> None:
    module = pretrained(name)
    lighter = Lighter(module, pretrained=True)
    assert lighter.forwards
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(foldable(module)) == len(norms)  # each of these networks has a convolution before every batch norm
    logits, gradients = answers(module, None)
    found, lighter_gradients = answers(module, lighter)
    torch.testing.assert_close(found, logits, rtol=1e-9, atol=1e-12)
    for key, gradient in gradients.items():
        torch.testing.assert_close(lighter_gradients[key], gradient, rtol=1e-6, atol=1e-10)
    assert not any("forward" in vars(layer) for layer in module.modules())


def test_batch_norms_of_a_network_without_weights_learn_their_statistics() -> None:
    module = pretrained("mobilenet_v3_small").train()
    before = [layer.running_mean.clone() for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    answers(module, Lighter(module, pretrained=False))
    after = [layer.running_mean for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert not any(torch.equal(one, two) for one, two in zip(before, after, strict=True))


class Read(nn.Module):
    """What a convolution computes is read by a batch norm, and, as asked, by something else, once more, or in dependence on data."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.conv, self.norm = kind, nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Any) -> Any:
        y = self.conv(x)
        if self.kind == "data" and y.sum() > 0:
            return y
        z = self.norm(y)
        if self.kind == "again":
            z = self.norm(self.conv(z))
        return y + z if self.kind == "both" else z


@pytest.mark.parametrize(("kind", "pairs"), [("alone", 1), ("both", 0), ("again", 0), ("data", 0)])
def test_only_what_a_batch_norm_alone_reads_is_folded(kind: str, pairs: int) -> None:
    assert len(foldable(Read(kind))) == pairs
