"""The networks of 002 for short sounds such as spoken digits, trained from scratch on 32 time steps.

They see 13 MFCCs, or the bands of `--features mel` or `spectrogram` (513). Convolutions start from Kaiming's random numbers
(He et al. 2015), the transformer from Xavier's. Sizes are those that the description names, with ten classes; `advanced` follows
its 2.5 million parameters, `advanced_layout` its table of layers, which makes 11 million of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handful.models._sound import add

if TYPE_CHECKING:
    from torch import nn


def _advanced(bands: int, classes: int) -> nn.Module:
    """SE-ResNet with spatial attention, a narrow one."""
    from handful.models._sound_modules import advanced

    return advanced(classes, 30, attended=True)


def _advanced_layout(bands: int, classes: int) -> nn.Module:
    """The layers of 002's table, to the letter."""
    from handful.models._sound_modules import advanced

    return advanced(classes, 64, attended=False)


def _efficient(bands: int, classes: int) -> nn.Module:
    """Mobile inverted bottlenecks with squeeze-and-excitation."""
    from handful.models._sound_modules import efficient

    return efficient(classes)


def _transformer(bands: int, classes: int) -> nn.Module:
    """Self-attention over time; the bands of a time step are one token."""
    from handful.models._sound_modules import transformer

    return transformer(bands, classes)


def _ensemble(bands: int, classes: int) -> nn.Module:
    """`advanced`, `efficient` and `transformer` together; how much each counts is learned."""
    from handful.models._sound_modules import ensemble

    return ensemble([_advanced(bands, classes), _efficient(bands, classes), _transformer(bands, classes)], classes)


def _lightweight(bands: int, classes: int) -> nn.Module:
    from handful.models._sound_modules import plain

    return plain((32, 64, 96, 128), 96, classes)


def _mini(bands: int, classes: int) -> nn.Module:
    from handful.models._sound_modules import plain

    return plain((16, 24, 32), 32, classes)


for name, make, summary in (
    ("advanced", _advanced, "residual, squeeze-and-excitation, spatial attention; for accuracy"),
    ("advanced_layout", _advanced_layout, "the residual network of 002's table of layers, four times as wide"),
    ("efficient", _efficient, "mobile inverted bottlenecks; balanced, for production"),
    ("transformer", _transformer, "self-attention over time; for research"),
    ("ensemble", _ensemble, "advanced, efficient and transformer with learned weights"),
    ("lightweight", _lightweight, "four convolutions; for small devices"),
    ("mini", _mini, "three convolutions; the fastest"),
):
    add(name, make, family="spoken", summary=f"short sounds: {summary}; from scratch", classes=10)
