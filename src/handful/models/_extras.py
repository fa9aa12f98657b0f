"""Libraries that extras bring. What they make when they are imported must be real, also while a network is built on meta tensors."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from handful.registry import optional


def library(module: str, extra: str, what: str) -> Any:
    """As `registry.optional`; constants that `module` makes of torch's tensors are numbers, whatever the current device."""
    torch = sys.modules.get("torch")
    with torch.device("cpu") if torch else contextlib.nullcontext():
        return optional(module, extra, what)
