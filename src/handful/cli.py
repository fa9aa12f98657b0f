"""The command line: parse, call one use case, print. Results go to stdout, messages and progress to stderr."""

from __future__ import annotations

import functools
import inspect
import shlex
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.core import TyperCommand

from handful import __version__
from handful._console import Screen, typed
from handful.config import Recipe, assignments, load_recipe, preset
from handful.files import shown, to_json

app = typer.Typer(
    add_completion=True, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Train image and sound classifiers you can trust from a handful of examples, on your own machine.\n\n"
    "  handful demo                      see it work, offline\n\n"
    "  handful train photos              photos/cat/*.jpg, photos/dog/*.jpg -> model and report\n\n"
    "  handful predict RUN new.jpg       use it",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="print JSON for machines")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no messages")]


def _version(asked: bool) -> None:
    if asked:
        print(f"handful {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
    home: Annotated[Path | None, typer.Option(help="folder for cache, runs and settings")] = None,
    debug: Annotated[bool, typer.Option(help="show where an error comes from")] = False,
) -> None:
    if home:
        import os

        os.environ["HANDFUL_HOME"] = str(home)


# -- options made from the recipe --------------------------------------------------------------------------------------


def _flag_type(annotation: Any) -> tuple[Any, str]:
    """(type for the command line, choices as text) of a recipe field. Values are checked by the recipe itself."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(a for a in get_args(annotation) if a is not type(None))
        return _flag_type(annotation)
    if get_origin(annotation) is Literal:
        return str, "|".join(map(str, get_args(annotation)))
    return (annotation, "") if annotation in (bool, int, float) else (str, "")


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command(settings, ...)` one option for each field of the recipe, besides the data."""
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
    made = []
    for name, field in Recipe.model_fields.items():
        if name == "data":
            continue
        kind, choices = _flag_type(field.rebuild_annotation())
        flags = ["--" + name.replace("_", "-"), *(["--from"] if name == "start" else [])]
        option = typer.Option(*flags, help=field.description, metavar=choices or None, show_default=False)
        made.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
            )
        )

    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        settings = {p.name: values.pop(p.name) for p in made}
        return command(settings=settings, **values)

    ordered = own + made
    wrapper.__signature__ = inspect.Signature([p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in ordered])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in ordered}
    return wrapper


def _layers(
    preset_name: str | None, config: Path | None, pairs: list[str] | None, race: bool = False
) -> list[dict[str, Any]]:
    layers = []
    if preset_name:
        layers.append(preset(preset_name))
        if not race and layers[0].keys() & {"models", "strategies", "vary", "budget"}:
            from handful.errors import UsageError

            raise UsageError(f"{preset_name} is a race", f"handful compare FOLDER --preset {preset_name}")
    if config:
        layers.append(load_recipe(config))
    if pairs:
        layers.append(assignments(pairs))
    return layers


def here(text: str) -> str:
    """`text` with the commands in it as they can be typed where this program was called."""
    return typed(text, [c.name or c.callback.__name__ for c in app.registered_commands if c.callback])


def _print_json(value: Any) -> None:
    print(to_json(value, indent=1))


# -- commands ----------------------------------------------------------------------------------------------------------


@app.command()
@recipe_options
def train(
    settings: dict[str, Any],
    data: Annotated[str | None, typer.Argument(help="folder with one folder of files for each class")] = None,
    preset: Annotated[str | None, typer.Option(help="a named set of settings, see `handful presets`")] = None,
    config: Annotated[Path | None, typer.Option(help="recipe file, e.g. RUN/recipe.yaml to replay a run")] = None,
    set: Annotated[list[str] | None, typer.Option("--set", help="any setting as key=value; may be repeated")] = None,
    run: Annotated[Path | None, typer.Option(help="directory to make for the run")] = None,
    resume: Annotated[bool, typer.Option(help="go on in an existing directory after an interruption")] = False,
    lang: Annotated[str, typer.Option(help="language of the report: en, ru")] = "en",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="ask nothing")] = False,
    json: Json = False,
    quiet: Quiet = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="no bars")] = False,
) -> None:
    """Train one model: fit, evaluate, save, report.

    handful train photos

    handful train clips --pattern "{label}_{group}_{}" --test new_clips
    """
    from handful.reporting.terminal import lines
    from handful.workflow.train import Teller
    from handful.workflow.train import train as use_case

    screen = Screen(quiet, not no_progress)
    done = use_case(
        data, run=run, resume=resume, lang=lang, layers=_layers(preset, config, set), teller=Teller(screen.say, screen.progress),
        command=shlex.join(["handful", *sys.argv[1:]]), **settings,
    )  # fmt: skip
    if json:
        _print_json(done.result)
    else:
        print(here("\n".join(lines(done.result))))


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="run directory, exported file or bundle")],
    data: Annotated[str, typer.Argument(help="labelled data, laid out like training data")],
    labels: Annotated[str | None, typer.Option(help="table with file_name and label")] = None,
    pattern: Annotated[str | None, typer.Option(help="what file names mean")] = None,
    json: Json = False,
) -> None:
    """Score a trained model on other labelled data."""
    from handful.workflow.train import evaluate as use_case

    result = use_case(run, data, labels=labels, pattern=pattern)
    if json:
        _print_json(result)
        return
    from handful.reporting.terminal import table

    s = result["score"]
    print(
        f"{s['metric']} {s['value']:.3f} ({s['low']:.3f} to {s['high']:.3f}, n={s['n']}), macro F1 {result['macro_f1']:.3f}"
    )
    print("\n".join(table(result["per_class"])))
    for finding in result["findings"]:
        print(f"{finding['severity']}: {shown(finding['message'])}", file=sys.stderr)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="run directory, exported file or bundle")],
    files: Annotated[list[str], typer.Argument(help="files or folders")],
    json: Json = False,
) -> None:
    """Predict files or folders with a trained run, an exported file or a bundle."""
    from handful.workflow.predict import predict as use_case

    failed = rows = 0
    for row in use_case(model, files):
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


@app.command()
def serve(
    models: Annotated[
        list[str], typer.Argument(help="run directories, exported files or bundles; NAME=PATH names one")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free")] = 8000,
    host: Annotated[str, typer.Option(help="address to listen on; 0.0.0.0: the network, with a token")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="a name under which clients reach it; may be repeated")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="threads of each model")] = None,
) -> None:
    """Answer predictions over HTTP: POST /predict, Open Inference Protocol v2, /metrics, and a page that says how.

    handful serve RUN

    HANDFUL_TOKEN sets the token that clients send; without it one is made and printed where the network can reach it.
    """
    from handful import serve as use_case

    use_case(*models, host=host, port=port, allow_hosts=allow_host or (), threads=threads)


@app.command()
def listen(
    model: Annotated[str, typer.Argument(help="run directory, exported file or bundle that knows sounds")],
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
        ignore=_listed(ignore), device=device, out=out, say=screen,
    ):  # fmt: skip
        print(to_json(event), flush=True)


@app.command()
@recipe_options
def check(
    settings: dict[str, Any],
    data: Annotated[str, typer.Argument(help="folder to look at")],
    fix: Annotated[Path | None, typer.Option(help="write a corrected labels table; no file is changed")] = None,
    strict: Annotated[bool, typer.Option(help="exit 1 when there are errors")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look for trouble in the data; nothing is changed.

    handful check photos

    handful check photos --fix labels.csv, then handful train photos --labels labels.csv
    """
    from handful.workflow.check import Teller
    from handful.workflow.check import check as use_case

    screen = Screen(quiet, True)
    result = use_case(data, fix=fix, teller=Teller(screen.say, screen.progress), **settings)
    if json:
        _print_json(result)
    else:
        from handful.reporting.terminal import checked

        print(here("\n".join(checked(result))))
    if strict and any(f["severity"] == "error" for f in result["findings"]):
        raise typer.Exit(1)


@app.command()
@recipe_options
def compare(
    settings: dict[str, Any],
    data: Annotated[str | None, typer.Argument(help="folder as for `handful train`")] = None,
    models: Annotated[str, typer.Option(help="names with commas; by default what suits the data")] = "",
    strategies: Annotated[
        str, typer.Option(help="with commas, e.g. prototype,probe,probe:mlp,finetune:2,scratch")
    ] = "",
    vary: Annotated[
        list[str] | None, typer.Option(help="a setting and values, n_mels=20,40,80; may be repeated")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="time for all of it, e.g. 90s, 10m, 2h")] = None,
    preset: Annotated[str | None, typer.Option(help="a named race, see `handful presets`")] = None,
    config: Annotated[Path | None, typer.Option(help="recipe file")] = None,
    set: Annotated[list[str] | None, typer.Option("--set", help="any setting as key=value; may be repeated")] = None,
    run: Annotated[
        Path | None, typer.Option(help="directory of the race; the same race goes on where it stopped")
    ] = None,
    lang: Annotated[str, typer.Option(help="language of the leaderboard: en, ru")] = "en",
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="print the leaderboard as CSV")] = False,
    quiet: Quiet = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="no bars")] = False,
) -> None:
    """Race models and strategies on the same folds: a leaderboard with intervals and ties.

    handful compare photos --budget 2m

    handful compare clips --models conv1d_mel --strategies scratch --vary n_mels=20,40,80
    """
    from handful.config import seconds, varied
    from handful.reporting.leaderboard import lines, to_csv
    from handful.workflow.compare import Teller
    from handful.workflow.compare import compare as use_case

    screen = Screen(quiet, not no_progress)
    board = use_case(
        data, models=_listed(models), strategies=_listed(strategies), vary=varied(vary or []),
        budget=seconds(budget) if budget else None, run=run, lang=lang, layers=_layers(preset, config, set, race=True),
        teller=Teller(screen.say, screen.progress), **settings,
    )  # fmt: skip
    if json:
        _print_json(board)
    else:
        print(to_csv(board) if csv else here("\n".join(lines(board, lang))))


@app.command()
@recipe_options
def tune(
    settings: dict[str, Any],
    data: Annotated[str | None, typer.Argument(help="folder as for `handful train`")] = None,
    trials: Annotated[int | None, typer.Option(help="recipes to try, 30 when not given")] = None,
    budget: Annotated[str | None, typer.Option(help="time for all of it, e.g. 90s, 10m, 2h")] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(help="what to try: head=lda,ridge or learning_rate=1e-4..1e-2log; may be repeated"),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="a named set of settings, see `handful presets`")] = None,
    config: Annotated[Path | None, typer.Option(help="recipe file")] = None,
    set: Annotated[list[str] | None, typer.Option("--set", help="any setting as key=value; may be repeated")] = None,
    run: Annotated[
        Path | None, typer.Option(help="directory of the search; the same search goes on where it stopped")
    ] = None,
    lang: Annotated[str, typer.Option(help="language of the leaderboard: en, ru")] = "en",
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="print the leaderboard as CSV")] = False,
    quiet: Quiet = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="no bars")] = False,
) -> None:
    """Search for better settings of one strategy, and measure the winner again on other folds.

    handful tune photos --budget 5m

    handful tune photos --strategy finetune --space learning_rate=1e-5..1e-3log --space epochs=10,20
    """
    from handful.config import seconds
    from handful.reporting.leaderboard import lines, to_csv
    from handful.workflow.tune import Teller
    from handful.workflow.tune import tune as use_case

    screen = Screen(quiet, not no_progress)
    board = use_case(
        data, trials=trials, budget=seconds(budget) if budget else None, space=_pairs(space or []), run=run, lang=lang,
        layers=_layers(preset, config, set), teller=Teller(screen.say, screen.progress), **settings,
    )  # fmt: skip
    if json:
        _print_json(board)
    else:
        print(to_csv(board) if csv else here("\n".join(lines(board, lang))))


def _pairs(given: list[str]) -> dict[str, str]:
    """`--space key=VALUES` as {key: "VALUES"}."""
    from handful.errors import UsageError

    for pair in given:
        if "=" not in pair:
            raise UsageError(f"--space {pair} has no =", "write --space head=lda,ridge")
    return {key.strip(): text for key, _, text in (pair.partition("=") for pair in given)}


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


@app.command()
def curve(
    run: Annotated[str, typer.Argument(help="run directory")],
    lang: Annotated[str, typer.Option(help="language of the report: en, ru")] = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """How much more data would bring, and of which class."""
    from handful.reporting.terminal import curve_lines
    from handful.workflow.curve import Teller
    from handful.workflow.curve import curve as use_case

    screen = Screen(quiet, True)
    result = use_case(run, lang=lang, teller=Teller(screen.say, screen.progress))
    if json:
        _print_json(result)
    else:
        print(here("\n".join(curve_lines(result, lang))))


@app.command()
def suggest(
    run: Annotated[str, typer.Argument(help="run directory")],
    folder: Annotated[str, typer.Argument(help="files that have no label yet")],
    count: Annotated[int, typer.Option(min=1, help="how many files to name")] = 10,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Which unlabelled files to label next: those that would help most."""
    from handful.workflow.suggest import Teller
    from handful.workflow.suggest import suggest as use_case

    screen = Screen(quiet, True)
    result = use_case(run, folder, count=count, teller=Teller(screen.say, screen.progress))
    if json:
        _print_json(result)
        return
    for row in result["files"]:
        print(f"{shown(row['file'])}\tperhaps {shown(row['label'])} ({row['confidence']:.2f})")
    for row in result["errors"]:
        print(f"{shown(row['file'])}: {shown(row['error'])}", file=sys.stderr)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="run directory")],
    open: Annotated[bool, typer.Option("--open", help="show it in the browser")] = False,
    lang: Annotated[str, typer.Option(help="en, ru")] = "en",
) -> None:
    """Make the HTML report of a run again."""
    import os

    from handful.workflow.train import report as use_case

    path = use_case(run, lang)
    print(shown(str(path)))
    if open and not os.environ.get("HANDFUL_NO_BROWSER"):
        import webbrowser

        webbrowser.open(path.as_uri())


@app.command()
def explain(
    run: Annotated[str, typer.Argument(help="run directory")],
    files: Annotated[list[str] | None, typer.Argument(help="files or folders; without: samples of the run")] = None,
    out: Annotated[Path | None, typer.Option(help="folder; the run and its report by default")] = None,
    limit: Annotated[int, typer.Option(help="how many of the run's own samples")] = 8,
    lang: Annotated[str, typer.Option(help="language of the report: en, ru")] = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what mattered to the model: heat maps, and for sounds the part to listen to, each put to the test."""
    from handful.workflow.explain import explain as use_case
    from handful.workflow.train import Teller

    screen = Screen(quiet, True)
    result = use_case(run, files, out, limit, teller=Teller(screen.say, screen.progress), lang=lang)
    failed = [row for row in result["files"] if "error" in row]
    if json:
        _print_json(result)
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
    run: Annotated[str, typer.Argument(help="run directory")],
    format: Annotated[
        str, typer.Option(help="onnx, int8, fp16, torchscript, pt2, openvino, bundle; several with commas")
    ] = "onnx",
    out: Annotated[Path | None, typer.Option(help="folder; RUN/exports by default")] = None,
    benchmark: Annotated[bool, typer.Option("--benchmark", help="measure latency and memory of each format")] = False,
    accept_drop: Annotated[
        bool, typer.Option("--accept-drop", help="keep an INT8 model that is right clearly less often")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the model in other formats, each proven to predict the same."""
    from handful.workflow.export import export as use_case

    screen = Screen(quiet, True)
    result = use_case(run, format.split(","), out=out, accept_drop=accept_drop, benchmark=benchmark, say=screen.say)
    if json:
        _print_json(result)
        return
    print("\n".join(_exported(result)))


def _exported(result: dict[str, Any]) -> list[str]:
    """Exported files and their latency cards, a line each; what is to be known of a file is indented below it."""
    lines = []
    for row in result["files"]:
        lines.append(
            f"{shown(row['path'])}: {row['bytes'] / 1e6:.1f} MB, agrees on {row['agree']} of {row['n']} files (error {row['max_error']:.1e}), {row['latency_ms']:.1f} ms a file"
        )
        if drop := row.get("drop"):
            change = drop["change"]
            lines.append(
                f"  {drop['of']}: {drop['right']} of {drop['n']} right, in fp32 {drop['right_fp32']} (change {100 * change['value']:+.1f} points, "
                f"{100 * change['low']:+.1f} to {100 * change['high']:+.1f}, McNemar p = {drop['p_value']:.2g}); "
                f"{drop['fp32_layers']} of {drop['layers']} layers in fp32"
            )
        lines += [f"  {shown(note)}" for note in row.get("notes", ())]
    for row in result.get("benchmark", ()):
        lines.append(
            f"{row['format']:12}{row['engine']:12}{row['bytes'] / 1e6:8.2f} MB{row['batch_1_ms']:9.2f} ms{row['batch_32_ms']:9.1f} ms for 32"
            f"{row['peak_rss_bytes'] / 1e6:7.0f} MB memory, {row['threads']} thread{'s' * (row['threads'] != 1)}"
        )
    return lines


@app.command()
def verify(
    bundle: Annotated[str, typer.Argument(help="bundle (folder or zip), run directory, or a file in RUN/exports")],
    json: Json = False,
) -> None:
    """Repeat an export's proof on this machine; exit 1 when it fails."""
    from handful.workflow.verify import verify as use_case

    result = use_case(bundle)
    if json:
        _print_json(result)
    else:
        why = f": {result['why']}" if result["why"] else f", error {result['max_error']:.1e} of the spread"
        count = f"agrees on {result['agree']} of {result['n']} files"
        print(f"{'OK' if result['ok'] else 'FAILED'} {shown(result['model'])} ({result['format']}) {count}{why}")
    if not result["ok"]:
        raise typer.Exit(1)


class _BareUseCase(TyperCommand):
    """`--use-case` without a word asks for a recommendation."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        following = [*args[1:], "-"]
        said = [
            "--recommend" if a == "--use-case" and n.startswith("-") else a
            for a, n in zip(args, following, strict=False)
        ]
        return list(super().parse_args(ctx, said))


@app.command(cls=_BareUseCase)
def models(
    modality: Annotated[str | None, typer.Option(help="image or audio")] = None,
    family: Annotated[str | None, typer.Option(help="only this family")] = None,
    size: Annotated[
        str | None, typer.Option(help="light (below 10 M parameters), medium or large (above 50 M)")
    ] = None,
    max_parameters: Annotated[str | None, typer.Option(help="e.g. 5M")] = None,
    use_case: Annotated[
        str | None,
        typer.Option(
            help="advice for mobile, edge, server, research, production, accuracy, speed, balanced or ensemble; bare: as --recommend"
        ),
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="advice for so many samples")] = None,
    need: Annotated[str | None, typer.Option(help="advice for an accuracy: basic, good or high")] = None,
    recommend: Annotated[bool, typer.Option("--recommend", help="where to begin")] = False,
    data: Annotated[str | None, typer.Option(help="advice for this folder; alone: what `auto` takes, and why")] = None,
    json: Json = False,
) -> None:
    """The catalogue: what can be trained, how large it is, what it costs, and which to take.

    handful models --size light --modality image

    handful models --use-case mobile --need good

    handful models --recommend --data photos
    """
    from handful.workflow import catalogue

    if (use_case or samples or need or recommend or data) and (family or size or max_parameters):
        from handful.errors import UsageError

        raise UsageError("advice takes no --family, --size or --max-parameters", "ask for one at a time")
    if use_case or samples or need:
        _tell(catalogue.advise(use_case, samples, need, modality, data), json)
    elif recommend or data:
        _tell(catalogue.recommend(data), json)
    else:
        limit = catalogue.count(max_parameters) if max_parameters else None
        rows = catalogue.catalogue(modality, family, size=size, max_parameters=limit)
        if json:
            _print_json(rows)
        else:
            print("\n".join(_catalogued(rows)))


def _tell(advice: dict[str, Any], json: bool) -> None:
    """Advice, and what to type next."""
    if json:
        _print_json(advice)
        return
    said = [f"for {advice['for']}"] if advice.get("for") else []
    if "why" in advice:
        said.append(
            f"{advice['samples']} samples in {advice['classes']} classes: {advice['strategy']} on {advice['model']}"
        )
        said.append(advice["why"])
    for place in ("primary", "alternative", "minimal"):
        if place in advice:
            said.append(f"{place:12}{advice[place]['name']:24}{advice[place]['reason']}")
    steps = advice.get("steps", [])
    width = max((len(step["command"]) for step in steps), default=0)
    said += [f"{step['command']:{width}}  # {step['why']}" for step in steps]
    said += [advice[key] for key in ("note", "command") if key in advice]
    print(here("\n".join(map(shown, said))))


def _catalogued(rows: list[dict[str, Any]]) -> list[str]:
    """The catalogue for a terminal."""
    lines = [
        f"{'name':24}{'family':18}{'parameters':>12}{'MMACs':>8}{'input':>7}{'top-1':>7}  {'size':8}{'speed':15}{'licence':14}needs"
    ]
    for row in rows:
        count = row["parameters"] or 0
        size = f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count / 1e3:.1f} k" if count else "-"
        macs = row["macs"] or 0
        cost = f"{macs / 1e6:.0f}" if macs >= 1e7 else f"{macs / 1e6:.2f}" if macs else "-"
        lines.append(
            f"{row['name']:24}{row['family']:18}{size:>12}{cost:>8}{row['input']:>7}{row['top1'] or '-':>7}"
            f"  {row['size'] or '-':8}{row['speed'] or '-':15}{row['licence']:14}{row['needs']}".rstrip()
        )
    if any(row["needs"] for row in rows):
        lines += [
            "",
            "needs: at its first use; once converted, a network is used without. pip install 'handful[torch]'",
        ]
    return lines


@app.command()
def presets(json: Json = False) -> None:
    """Named sets of settings."""
    from handful.config import presets as known

    rows = [{"name": name, **content} for name, content in known().items()]
    if json:
        _print_json(rows)
        return
    for row in rows:
        print(f"{row['name']:24}{row['summary']}")


@app.command()
def fetch(name: Annotated[str, typer.Argument(help="a network of the catalogue")]) -> None:
    """Get a network's pretrained weights now."""
    from handful.workflow.catalogue import fetch as use_case

    screen = Screen(False, True)
    print(shown(str(use_case(name, screen.progress, screen.say))))


@app.command()
def demo(
    run: Annotated[Path | None, typer.Option(help="folder to write into")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The main job on data that is at hand without a network: handwritten digits and generated sounds."""
    from handful.reporting.terminal import lines
    from handful.workflow.demo import demo as use_case
    from handful.workflow.train import Teller

    screen = Screen(quiet or json, True)
    results = use_case(run, Teller(screen.say, screen.progress))
    if json:
        _print_json(results)
        return
    for result in results:
        print(here("\n".join(lines(result))), end="\n\n")
    print(here("Now your own folder, with one folder of files for each class:\n  handful train FOLDER"))
