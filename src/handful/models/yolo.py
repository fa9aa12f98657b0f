"""YOLO11's classifiers (Ultralytics 2024), n to x, with the extra `yolo`: a library and weights under the AGPL-3.0.

That licence asks whoever serves such a network over a network to publish the whole program, so nothing here is taken unless it is
named, and the library is imported only then. It is told to keep offline and to install nothing; training, augmentation and export are
this project's own. A block is one of the ten layers before the classifier, or the last 1x1 convolution.

The published files are pickled modules. They are opened by torch's restricted loader, with the classes that these networks are
made of and no others.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.files import cache_dir
from handful.models import Network, models
from handful.models._extras import library

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

RELEASE = "https://github.com/ultralytics/assets/releases/download/v8.3.0/"
WIDTH = 1280
_SETTINGS = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
_BLOCKS = ("Attention", "Bottleneck", "C2PSA", "C3k", "C3k2", "PSABlock")
_LAYERS = (
    "AdaptiveAvgPool2d", "BatchNorm2d", "Conv2d", "Dropout", "Identity", "Linear", "ModuleList", "Sequential", "SiLU",
)  # fmt: skip


def _library(part: str, what: str) -> Any:
    """A module of ultralytics, which looks nothing up and installs nothing."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if "YOLO_CONFIG_DIR" not in os.environ:  # it writes a file of settings on import
        folder = cache_dir() / "ultralytics"
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["YOLO_CONFIG_DIR"] = str(folder)
    return library(f"ultralytics.{part}", "yolo", f"{what} (AGPL-3.0)")


def create(name: str, classes: int) -> nn.Module:
    """A random network for float32 [N, 3, H, W] in 0..1, to logits [N, classes]; its tensors are named as in the files."""
    from handful.models._convert import quiet

    with quiet():
        whole = _library("nn.tasks", name).ClassificationModel(f"{name}.yaml", nc=classes, verbose=False)
    from handful.models._yolo_modules import Classifier

    layers = list(whole.model)
    made: nn.Module = Classifier(layers[:-1], layers[-1])
    return made


def body(module: Any) -> nn.Module:
    result: nn.Module = module.body()
    return result


def blocks(module: Any) -> Sequence[nn.Module]:
    return [*module.model[:-1], module.model[-1].conv]


def replace_head(module: Any, classes: int) -> nn.Module:
    from torch import nn

    module.model[-1].linear = nn.Linear(WIDTH, classes)
    head: nn.Module = module.model[-1].linear
    return head


def read(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a published file, or of a plain one.

    Raises:
        WeightsError: it holds something else than such a network.
    """
    import torch

    from handful.models._state import read_modules

    allowed = [getattr(torch.nn, name) for name in _LAYERS]
    allowed += [getattr(_library("nn.modules.block", path.name), name) for name in _BLOCKS]
    allowed += [_library("nn.modules.conv", path.name).Conv, _library("nn.modules.head", path.name).Classify]
    allowed += [_library("nn.tasks", path.name).ClassificationModel]
    allowed += [_library("utils", path.name).IterableSimpleNamespace]
    return read_modules(path, allowed)


# name, top-1, top-5 as Ultralytics publishes them; parameters, each two bytes in the file. No hashes are published.
VARIANTS = (
    ("yolo11n-cls", 70.0, 89.4, 2_812_104),
    ("yolo11s-cls", 75.4, 92.7, 6_724_008),
    ("yolo11m-cls", 77.3, 93.9, 11_634_216),
    ("yolo11l-cls", 78.3, 94.3, 14_115_624),
    ("yolo11x-cls", 79.5, 94.9, 29_637_064),
)
for name, top1, top5, parameters in VARIANTS:
    models.add(
        name,
        Network(
            name=name,
            family="yolo",
            extra="yolo",
            library="ultralytics",
            licence="AGPL-3.0",
            top1=top1,
            top5=top5,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            url=f"{RELEASE}{name}.pt",
            weights_bytes=2 * parameters,
            summary="YOLO11's classifier; library and weights under the AGPL-3.0",
            create=partial(create, name),
            body=body,
            blocks=blocks,
            replace_head=replace_head,
            read=read,
        ),
    )
