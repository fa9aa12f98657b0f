"""Latency and memory of an exported file, measured in a process of its own.

`python -m handful.exporting._latency FORMAT PATH FILE` prints one JSON object. Knows the registry of formats and nothing of runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from handful.errors import ExportError
from handful.words import both

BATCHES = (1, 32)
SECONDS = 1.0  # spent on each batch size, at least five times
WARM_UP = 3


def card(name: str, path: Path, file: Path) -> dict[str, Any]:
    """Of decoding nothing, only of the model, on one raw file again and again: {"format", "engine", "bytes", "batch_1_ms", "batch_32_ms", "peak_rss_bytes", "threads"}; medians.

    Raises:
        ExportError: the file could not be run.
    """
    command = [sys.executable, "-m", "handful.exporting._latency", name, str(path), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ExportError(*both("export.no_speed", format=name, why=last[0]))
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measured(name: str, path: Path, file: Path) -> dict[str, Any]:
    """What `card` returns, measured in this process."""
    from handful.exporting import exporters, size
    from handful.features import from_spec
    from handful.graph import run_threads

    exporter = exporters.get(name)
    if exporter.engine == "torch":
        import torch

        torch.set_num_threads(run_threads(None))
    opened = exporter.open(path)
    item = from_spec(opened.metadata["frontend"]).read(file)[0][:1]
    result: dict[str, Any] = {"format": name, "engine": exporter.engine, "bytes": size(path)}
    for batch in BATCHES:
        result[f"batch_{batch}_ms"] = round(_median_ms(opened.infer, np.repeat(item, batch, axis=0)), 3)
    return result | {"peak_rss_bytes": _peak(), "threads": run_threads(None)}


def _median_ms(infer: Any, items: np.ndarray) -> float:
    for _ in range(WARM_UP):
        infer(items)
    taken: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(taken) < 5:
        start = time.perf_counter()
        infer(items)
        taken.append((time.perf_counter() - start) * 1000)
    return float(np.median(taken))


def _peak() -> int:
    """Bytes. What getrusage says would count the parent's memory too, which a process inherits when it starts."""
    import contextlib
    import resource

    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
