"""Commands that learn from data, and ask what a run learned."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from handful._console import Screen
from handful.cli._app import (
    Budget,
    Csv,
    Data,
    Json,
    NoProgress,
    Quiet,
    Set,
    app,
    here,
    layers,
    listed,
    print_json,
    recipe_options,
    run_argument,
)
from handful.files import shown


@app.command()
@recipe_options
def train(
    settings: dict[str, Any],
    data: Annotated[str | None, typer.Argument(help="folder with one folder of files for each class")] = None,
    preset: Annotated[str | None, typer.Option(help="a named set of settings, see `handful presets`")] = None,
    config: Annotated[Path | None, typer.Option(help="recipe file, e.g. RUN/recipe.yaml to replay a run")] = None,
    set: Set = None,
    run: Annotated[Path | None, typer.Option(help="directory to make for the run")] = None,
    resume: Annotated[bool, typer.Option(help="go on in an existing directory after an interruption")] = False,
    budget: Annotated[
        str | None, typer.Option(help="time for all of it, e.g. 10m: finetune and scratch take fewer epochs")
    ] = None,
    lang: Annotated[str, typer.Option(help="language of the report: en, ru")] = "en",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="ask nothing")] = False,
    json: Json = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Train one model: fit, evaluate, save, report.

    handful train photos

    handful train clips --pattern "{label}_{group}_{}" --test new_clips
    """
    from handful.config import seconds
    from handful.reporting.terminal import lines
    from handful.workflow.train import Teller
    from handful.workflow.train import train as use_case

    screen = Screen(quiet, not no_progress)
    done = use_case(
        data, run=run, resume=resume, lang=lang, layers=layers(preset, config, set, None if settings["labels"] else data), teller=Teller(screen.say, screen.progress),
        command=shlex.join(["handful", *sys.argv[1:]]), budget=seconds(budget) if budget else None, **settings,
    )  # fmt: skip
    if json:
        print_json(done.result)
    else:
        print(here("\n".join(lines(done.result))))


@app.command()
def evaluate(
    run: Annotated[str, run_argument("run directory, exported file or bundle")],
    data: Annotated[str, typer.Argument(help="labelled data, laid out like training data")],
    labels: Annotated[str | None, typer.Option(help="table with file_name and label")] = None,
    pattern: Annotated[str | None, typer.Option(help="what file names mean")] = None,
    json: Json = False,
) -> None:
    """Score a trained model on other labelled data."""
    from handful.workflow.train import evaluate as use_case

    result = use_case(run, data, labels=labels, pattern=pattern)
    if json:
        print_json(result)
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
@recipe_options
def check(
    settings: dict[str, Any],
    data: Annotated[str, typer.Argument(help="folder to look at")],
    fix: Annotated[
        Path | None, typer.Option(help="write a labels table, mended as far as that is sure; no file is changed")
    ] = None,
    strict: Annotated[bool, typer.Option(help="exit 1 when there are errors")] = False,
    json: Json = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Look for trouble in the data; nothing is changed.

    handful check photos

    handful check photos --fix labels.csv, then handful train photos --labels labels.csv
    """
    from handful.workflow.check import Teller
    from handful.workflow.check import check as use_case

    screen = Screen(quiet, not no_progress)
    result = use_case(data, fix=fix, teller=Teller(screen.say, screen.progress), **settings)
    if json:
        print_json(result)
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
    budget: Budget = None,
    preset: Annotated[str | None, typer.Option(help="a named race, see `handful presets`")] = None,
    config: Annotated[Path | None, typer.Option(help="recipe file")] = None,
    set: Set = None,
    run: Annotated[
        Path | None, typer.Option(help="directory of the race; the same race goes on where it stopped")
    ] = None,
    lang: Annotated[str, typer.Option(help="language of the leaderboard: en, ru")] = "en",
    json: Json = False,
    csv: Csv = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
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
        data, models=listed(models), strategies=listed(strategies), vary=varied(vary or []),
        budget=seconds(budget) if budget else None, run=run, lang=lang, layers=layers(preset, config, set, None if settings["labels"] else data, race=True),
        teller=Teller(screen.say, screen.progress), **settings,
    )  # fmt: skip
    if json:
        print_json(board)
    else:
        print(to_csv(board) if csv else here("\n".join(lines(board, lang))))


@app.command()
@recipe_options
def tune(
    settings: dict[str, Any],
    data: Annotated[str | None, typer.Argument(help="folder as for `handful train`")] = None,
    trials: Annotated[int | None, typer.Option(help="recipes to try, 30 when not given")] = None,
    budget: Budget = None,
    space: Annotated[
        list[str] | None,
        typer.Option(help="what to try: head=lda,ridge or learning_rate=1e-4..1e-2log; may be repeated"),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="a named set of settings, see `handful presets`")] = None,
    config: Annotated[Path | None, typer.Option(help="recipe file")] = None,
    set: Set = None,
    run: Annotated[
        Path | None, typer.Option(help="directory of the search; the same search goes on where it stopped")
    ] = None,
    lang: Annotated[str, typer.Option(help="language of the leaderboard: en, ru")] = "en",
    json: Json = False,
    csv: Csv = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
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
        data, trials=trials, budget=seconds(budget) if budget else None, space=pairs(space or []), run=run, lang=lang,
        layers=layers(preset, config, set, None if settings["labels"] else data), teller=Teller(screen.say, screen.progress), **settings,
    )  # fmt: skip
    if json:
        print_json(board)
    else:
        print(to_csv(board) if csv else here("\n".join(lines(board, lang))))


@app.command()
def ensemble(
    runs: Annotated[list[str], run_argument("run directories, trained on the same data")],
    run: Annotated[Path | None, typer.Option(help="directory to make for the ensemble")] = None,
    lang: Annotated[str, typer.Option(help="language of the report: en, ru")] = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Join finished runs into one model, the mean of their probabilities; nothing is trained.

    handful ensemble RUN RUN
    """
    from handful.reporting.terminal import lines
    from handful.workflow.ensemble import Teller
    from handful.workflow.ensemble import ensemble as use_case

    screen = Screen(quiet, True)
    done = use_case(
        runs,
        run=run,
        lang=lang,
        teller=Teller(screen.say, screen.progress),
        command=shlex.join(["handful", *sys.argv[1:]]),
    )
    if json:
        print_json(done.result)
    else:
        print(here("\n".join(lines(done.result))))


def pairs(given: list[str]) -> dict[str, str]:
    """`--space key=VALUES` as {key: "VALUES"}."""
    from handful.errors import UsageError

    for pair in given:
        if "=" not in pair:
            raise UsageError(f"--space {pair} has no =", "write --space head=lda,ridge")
    return {key.strip(): text for key, _, text in (pair.partition("=") for pair in given)}


@app.command()
def curve(
    run: Annotated[str, run_argument("run directory")],
    data: Data = None,
    lang: Annotated[str, typer.Option(help="language of the report: en, ru")] = "en",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """How much more data would bring, and of which class."""
    from handful.reporting.terminal import curve_lines
    from handful.workflow.curve import Teller
    from handful.workflow.curve import curve as use_case

    screen = Screen(quiet, True)
    result = use_case(run, data=data, lang=lang, teller=Teller(screen.say, screen.progress))
    if json:
        print_json(result)
    else:
        print(here("\n".join(curve_lines(result, lang))))


@app.command()
def suggest(
    run: Annotated[str, run_argument("run directory")],
    folder: Annotated[str, typer.Argument(help="files that have no label yet")],
    count: Annotated[int, typer.Option(min=1, help="how many files to name")] = 10,
    data: Data = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Which unlabelled files to label next: those that would help most."""
    from handful.workflow.suggest import Teller
    from handful.workflow.suggest import suggest as use_case

    screen = Screen(quiet, True)
    result = use_case(run, folder, count=count, data=data, teller=Teller(screen.say, screen.progress))
    if json:
        print_json(result)
        return
    if not result["files"]:
        print(f"nothing to suggest: all {result['unlabelled']} files are in the training data already", file=sys.stderr)
    for row in result["files"]:
        print(f"{shown(row['file'])}\tperhaps {shown(row['label'])} ({row['confidence']:.2f})")
    for row in result["errors"]:
        print(f"{shown(row['file'])}: {shown(row['error'])}", file=sys.stderr)
