"""handful: image and sound classifiers from a handful of examples, with numbers one can trust.

    import handful
    run = handful.train("photos")
    label, confidence = run.model.predict("x.jpg")

Names are loaded when they are first used, so that `import handful` costs nothing.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "train": "handful.workflow.train",
    "evaluate": "handful.workflow.train",
    "report": "handful.workflow.train",
    "load": "handful.workflow.train",
    "TrainedRun": "handful.workflow.train",
    "check": "handful.workflow.check",
    "compare": "handful.workflow.compare",
    "curve": "handful.workflow.curve",
    "ensemble": "handful.workflow.ensemble",
    "export": "handful.workflow.export",
    "explain": "handful.workflow.explain",
    "suggest": "handful.workflow.suggest",
    "verify": "handful.workflow.verify",
    "serve": "handful.web.server",
    "Server": "handful.web.server",
    "studio": "handful.web.studio.server",
    "listen": "handful.workflow.listen",
    "tune": "handful.workflow.tune",
    "create_model": "handful.workflow.catalogue",
    "load_data": "handful.data",
    "Prediction": "handful.inference",
    "Predictor": "handful.inference",
    "HandfulError": "handful.errors",
}
__all__ = ["__version__", *_WHERE]

logging.getLogger("handful").addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from handful.data import load_data as load_data
    from handful.errors import HandfulError as HandfulError
    from handful.inference import Prediction as Prediction
    from handful.inference import Predictor as Predictor
    from handful.web.server import Server as Server
    from handful.web.server import serve as serve
    from handful.web.studio.server import studio as studio
    from handful.workflow.catalogue import create_model as create_model
    from handful.workflow.check import check as check
    from handful.workflow.compare import compare as compare
    from handful.workflow.curve import curve as curve
    from handful.workflow.ensemble import ensemble as ensemble
    from handful.workflow.explain import explain as explain
    from handful.workflow.export import export as export
    from handful.workflow.listen import listen as listen
    from handful.workflow.suggest import suggest as suggest
    from handful.workflow.train import TrainedRun as TrainedRun
    from handful.workflow.train import evaluate as evaluate
    from handful.workflow.train import load as load
    from handful.workflow.train import report as report
    from handful.workflow.train import train as train
    from handful.workflow.tune import tune as tune
    from handful.workflow.verify import verify as verify


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'handful' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
