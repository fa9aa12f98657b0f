"""Export a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from handful.config import several
from handful.errors import HandfulError
from handful.runs import Run


def export(
    run: str | os.PathLike[str],
    formats: Sequence[str] = ("onnx",),
    *,
    out: str | os.PathLike[str] | None = None,
    accept_drop: bool = False,
    benchmark: bool = False,
    data: str | os.PathLike[str] | None = None,
    lang: str = "en",
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write a run's model in other formats, each proven on raw files to predict what the trained model predicts.

    Args:
        formats: names such as onnx, int8, fp16, torchscript, pt2, openvino, bundle, page.
        out: folder for the files. Without it they go into RUN/exports, what was proven of them into proofs.json there.
        accept_drop: keep an INT8 model that is right less often than the rules allow.
        benchmark: also measure latency and memory, each format in a process of its own; see "benchmark" of the result. With
            the default `out` the measurements are also kept in RUN/exports/benchmark.json, a row a format, and the run's
            report is made again.
        data: the folder of the run's samples, on which INT8 is calibrated, where it was not trained here or they were moved.
        lang: language of the report.
        say: gets warnings.

    Returns:
        {"schema", "files": [{"format", "path", "bytes", "max_error", "agree", "n", "latency_ms", "notes", "drop", "zip"}],
        "benchmark": [{"format", "engine", "bytes", "batch_1_ms", "batch_32_ms", "peak_rss_bytes", "threads"}]}; "notes" (what
        is to be known), "drop" (what rounding costs) and "zip" (path of a folder as one file) only where there are any,
        "benchmark" only when asked for.

    Raises:
        HandfulError: an export disagrees with the trained model, or cannot be made. The others are made nevertheless, and are
            in `partial` of the error; of several that failed the first is raised, the rest is said.
    """
    from handful.exporting import Order, exporters
    from handful.exporting import export as write

    opened = Run.open(run)
    folder = Path(out).expanduser().absolute() if out else opened.path / "exports"
    names = list(dict.fromkeys(name.strip() for name in several(formats) if name.strip()))
    for name in names:
        exporters.get(name)  # an unknown name is said before anything is written
    order = Order(accept_drop, say, Path(data) if data else None)
    files, refused = [], []
    for name in names:
        try:
            files.append(write(opened, name, folder, order))
        except HandfulError as error:
            refused.append(error)
            if len(refused) > 1:
                say(f"{name}: {error.message}")
            continue
        if out is None:  # at once: whoever stops this keeps what is there
            _keep(opened, "exports/proofs.json", [files[-1].to_dict()])
    result: dict[str, Any] = {"schema": 1, "files": [file.to_dict() for file in files]}
    if benchmark:
        rows = result["benchmark"] = _benchmark(opened, {file.format: Path(file.path) for file in files})
        if rows and out is None:
            from handful.reporting import write as write_report

            _keep(opened, "exports/benchmark.json", rows)
            if opened.has("report.html"):
                write_report(opened.path, lang)
    if refused:
        refused[0].partial = result if files else None
        raise refused[0]
    return result


def _benchmark(run: Run, paths: dict[str, Path]) -> list[dict[str, Any]]:
    """Latency cards of exported files. Bundles are left out: they hold a model that is measured as `onnx` or `int8`."""
    from handful.exporting import vectors
    from handful.exporting._latency import card

    file = vectors(run.path)[0][0]
    return [card(name, path, file) for name, path in paths.items() if not name.startswith("bundle")]


def _keep(run: Run, name: str, rows: list[dict[str, Any]]) -> None:
    """Put rows into a file of the run, in place of earlier ones of the same formats."""
    import json

    old = json.loads(run.file(name).read_text(encoding="utf-8"))["rows"] if run.has(name) else []
    fresh = {row["format"] for row in rows}
    run.write_json(name, {"schema": 1, "rows": [*(row for row in old if row["format"] not in fresh), *rows]})
