"""`python -m handful.web.studio.openapi [FILE]`: the interface as an OpenAPI document, of which the pages make their types."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from handful.files import atomic_write, to_json
from handful.web.studio.app import api
from handful.workflow.studio import Limits, Studio


class _Unopened(Studio):
    """A studio that nobody asks anything: routes are only described."""

    def __init__(self) -> None:
        self.limits = Limits()
        self._listeners, self._closers = [], []
        self._lock = threading.Lock()


def document() -> str:
    return to_json(api(_Unopened()).openapi(), indent=1) + "\n"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        atomic_write(Path(sys.argv[1]), document())
    else:
        sys.stdout.write(document())
