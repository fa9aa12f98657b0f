"""Commands that use a trained run: predict, serve, listen, report, explain, export, verify."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from handful._console import Screen
from handful.cli._app import Data, Json, Quiet, app, listed, print_json, run_argument, run_path
from handful.errors import HandfulError
from handful.files import shown, to_json

Device = Annotated[str, typer.Option(help="auto, cpu, cuda; auto is the GPU where onnxruntime-gpu finds one")]


@app.command()
def predict(
    model: Annotated[str, run_argument("run directory, exported file or bundle")],
    files: Annotated[list[str], typer.Argument(help="files or folders")],
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Predict files or folders with a trained run, an exported file or a bundle."""
    from handful.workflow.predict import predict as use_case

    failed = rows = 0
    for row in use_case(model, files, device):
        rows += 1
        failed += "error" in row
        if json:
            print(to_json(row), flush=True)
        elif "error" in row:
            print(f"{shown(row['file'])}: {shown(row['error'])}", file=sys.stderr, flush=True)
        else:
            print(
                f"{shown(row['file'])}\t{shown(row['label'])}\t{row['confidence']:.3f}{'  (unknown?)' if row['unknown'] else ''}",
                flush=True,
            )
    if failed:
        if rows > 1:
            print(f"handful: {failed} of {rows} could not be predicted", file=sys.stderr)
        raise typer.Exit(1)


def _served(given: str) -> str:
    """A model to serve, as RUN or NAME=RUN."""
    name, sign, path = given.partition("=")
    return f"{name}={run_path(path)}" if sign and not Path(given).exists() else run_path(given)


@app.command()
def serve(
    models: Annotated[
        list[str], run_argument("run directories, exported files or bundles, NAME=PATH names one", _served)
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free")] = 8000,
    host: Annotated[str, typer.Option(help="address to listen on; 0.0.0.0: the network, with a token")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="a name under which clients reach it; may be repeated")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="threads of each model")] = None,
    device: Device = "auto",
) -> None:
    """Answer predictions over HTTP: POST /predict, Open Inference Protocol v2, /metrics, and a page that says how.

    handful serve RUN

    HANDFUL_TOKEN sets the token that clients send; without it one is made and printed where the network can reach it.
    """
    from handful import serve as use_case

    use_case(*models, host=host, port=port, allow_hosts=allow_host or (), threads=threads, device=device)


@app.command()
def listen(
    model: Annotated[str, run_argument("run directory, exported file or bundle that knows sounds")],
    file: Annotated[Path | None, typer.Option(help="a recording instead of the microphone, in its own time")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="the recording as fast as possible")] = False,
    hop: Annotated[float | None, typer.Option(help="seconds between windows; half a window by default")] = None,
    smoothing: Annotated[
        int | None, typer.Option(help="windows averaged; those that see an instant by default")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="probability that makes an event; the model's by default")
    ] = None,
    cool_down: Annotated[float, typer.Option("--cool-down", help="seconds of silence that end an event")] = 0.0,
    ignore: Annotated[str, typer.Option(help="classes that make no events, with commas")] = "",
    device: Annotated[str | None, typer.Option(help="microphone, by number or part of its name")] = None,
    out: Annotated[
        Path | None, typer.Option(help="table of segments: .csv, .txt (Audacity) or .selections.txt (Raven)")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Listen to the microphone or a long recording: events as JSON lines, with times.

    handful listen RUN

    handful listen RUN --file dawn.flac --fast --out segments.csv
    """
    from handful import listen as use_case

    screen = None if quiet else lambda line: print(line, file=sys.stderr, flush=True)
    for event in use_case(
        model, file=file, fast=fast, hop=hop, smoothing=smoothing, threshold=threshold, cool_down=cool_down,
        ignore=listed(ignore), device=device, out=out, say=screen,
    ):  # fmt: skip
        print(to_json(event), flush=True)


@app.command()
def report(
    run: Annotated[str, run_argument("run directory")],
    open: Annotated[bool, typer.Option("--open", help="show it in the browser")] = False,
    lang: Annotated[str, typer.Option(help="en, ru")] = "en",
    json: Json = False,
) -> None:
    """Make the HTML report of a run again."""
    import os

    from handful.workflow.train import report as use_case

    path = use_case(run, lang)
    if json:
        print_json({"schema": 1, "report": path})
    else:
        print(shown(str(path)))
    if open and not os.environ.get("HANDFUL_NO_BROWSER"):
        import webbrowser

        webbrowser.open(path.as_uri())


@app.command()
def explain(
    run: Annotated[str, run_argument("run directory")],
    files: Annotated[list[str] | None, typer.Argument(help="files or folders; without: samples of the run")] = None,
    out: Annotated[Path | None, typer.Option(help="folder; the run and its report by default")] = None,
    limit: Annotated[int, typer.Option(help="how many of the run's own samples")] = 8,
    data: Data = None,
    lang: Annotated[str, typer.Option(help="language of the report: en, ru")] = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what mattered to the model: heat maps, and for sounds the part to listen to, each put to the test."""
    from handful.workflow.explain import explain as use_case
    from handful.workflow.train import Teller

    screen = Screen(quiet, True)
    result = use_case(run, files, out, limit, data=data, teller=Teller(screen.say, screen.progress), lang=lang)
    failed = [row for row in result["files"] if "error" in row]
    if json:
        print_json(result)
    for row in result["files"]:
        if "error" in row:
            print(f"{shown(row['file'])}: {shown(row['error'])}", file=sys.stderr, flush=True)
        elif not json:
            print(_explained(row, Path(result["folder"])))
    if failed:
        print(f"handful: {len(failed)} of {len(result['files'])} could not be read", file=sys.stderr)
        raise typer.Exit(1)


def _explained(row: dict[str, Any], folder: Path) -> str:
    """One explained file on a line."""
    drop = row["deletion"]
    words = (
        f"hiding the highlighted fifth changes its probability by {-drop['salient']:+.2f}, "
        f"as much elsewhere by {-drop['random']:+.2f}"
    )
    doubt = "" if drop["passed"] else ": do not rely on this picture"
    heard = f", {folder / row['filtered']}" if row["filtered"] else ""
    pictures = shown(f"{folder / row['overlay']}{heard}")
    return f"{shown(row['file'])}\t{shown(row['predicted'])}\t{row['confidence']:.3f}\t{pictures}\t{words}{doubt}"


@app.command()
def export(
    run: Annotated[str, run_argument("run directory")],
    format: Annotated[
        str,
        typer.Option(
            help="onnx, int8, fp16, torchscript, pt2, openvino, bundle, bundle-int8, page; several with commas"
        ),
    ] = "onnx",
    out: Annotated[Path | None, typer.Option(help="folder; RUN/exports by default")] = None,
    benchmark: Annotated[bool, typer.Option("--benchmark", help="measure latency and memory of each format")] = False,
    accept_drop: Annotated[
        bool, typer.Option("--accept-drop", help="keep an INT8 model that is right clearly less often")
    ] = False,
    data: Data = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the model in other formats, each proven to predict the same."""
    from handful.workflow.export import export as use_case

    screen = Screen(quiet, True)
    failed: HandfulError | None = None
    try:
        result = use_case(
            run, format.split(","), out=out, accept_drop=accept_drop, benchmark=benchmark, data=data, say=screen.say
        )
    except HandfulError as error:
        if error.partial is None:
            raise
        result, failed = error.partial, error
    if json:
        print_json(result)
    else:
        print("\n".join(_exported(result)))
    if failed:
        raise failed


def _exported(result: dict[str, Any]) -> list[str]:
    """Exported files and their latency cards, a line each; what is to be known of a file is indented below it."""
    lines = []
    for row in result["files"]:
        # A bundle is proven by its own program, started anew: most of that time is Python's.
        took = "ms from start to answer" if row["format"].startswith("bundle") else "ms a file"
        lines.append(
            f"{shown(row['path'])}: {row['bytes'] / 1e6:.1f} MB, agrees on {row['agree']} of {row['n']} files (error {row['max_error']:.1e}), {row['latency_ms']:.1f} {took}"
        )
        if drop := row.get("drop"):
            change = drop["change"]
            lines.append(
                f"  {drop['of']}: {drop['right']} of {drop['n']} right, in fp32 {drop['right_fp32']} (change {100 * change['value']:+.1f} points, "
                f"{100 * change['low']:+.1f} to {100 * change['high']:+.1f}, McNemar p = {drop['p_value']:.2g}); "
                f"{drop['fp32_layers']} of {drop['layers']} layers in fp32"
            )
        lines += [f"  {shown(row['zip'])}: the same as one file"] if "zip" in row else []
        lines += [f"  {shown(note)}" for note in row.get("notes", ())]
    for row in result.get("benchmark", ()):
        lines.append(
            f"{row['format']:12}{row['engine']:12}{row['bytes'] / 1e6:8.2f} MB{row['batch_1_ms']:9.2f} ms{row['batch_32_ms']:9.1f} ms for 32"
            f"{row['peak_rss_bytes'] / 1e6:7.0f} MB memory, {row['threads']} thread{'s' * (row['threads'] != 1)}"
        )
    return lines


@app.command()
def verify(
    bundle: Annotated[str, run_argument("bundle (folder or zip), run directory, or a file in RUN/exports")],
    trust: Annotated[
        bool,
        typer.Option("--trust", help="open TorchScript and pt2 files from elsewhere, too: they can contain programs"),
    ] = False,
    json: Json = False,
) -> None:
    """Repeat an export's proof on this machine; exit 1 when it fails."""
    from handful.workflow.verify import verify as use_case

    result = use_case(bundle, trust=trust)
    if json:
        print_json(result)
    else:
        why = f": {result['why']}" if result["why"] else f", error {result['max_error']:.1e} of the spread"
        count = f"agrees on {result['agree']} of {result['n']} files"
        print(f"{'OK' if result['ok'] else 'FAILED'} {shown(result['model'])} ({result['format']}) {count}{why}")
    if not result["ok"]:
        raise typer.Exit(1)
