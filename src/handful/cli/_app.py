"""Options and output that all commands share."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from handful import __version__
from handful._console import typed
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
NoProgress = Annotated[bool, typer.Option("--no-progress", help="no bars")]
Csv = Annotated[bool, typer.Option("--csv", help="print the leaderboard as CSV")]
Data = Annotated[
    Path | None,
    typer.Option(help="folder of the run's samples, where it was not trained here or they were moved"),
]


def run_argument(help: str, parser: Callable[[str], str] | None = None) -> Any:
    """The argument of a command that takes a run or a model: a path, the name of a run, or "last" for the newest."""
    return typer.Argument(help=f"{help}; a run by its name, or last for the newest", parser=parser or run_path)


def run_path(given: str) -> str:
    """The path that `given` means; which run was the last one is said."""
    import sys

    from handful.runs import LAST, named

    path = named(given)
    if path != given and given.partition("/")[0] == LAST and not {"-q", "--quiet"} & set(sys.argv):
        print(f"{LAST}: {shown(path)}", file=sys.stderr)
    return path


Set = Annotated[list[str] | None, typer.Option("--set", help="any setting as key=value; may be repeated")]
Budget = Annotated[str | None, typer.Option(help="time for all of it, e.g. 90s, 10m, 2h")]


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
        flag = name.replace("_", "-")
        switch = f"--{flag}/--no-{flag}" if kind is bool and field.default is None else f"--{flag}"
        flags = [switch, *(["--from"] if name == "start" else [])]
        option = typer.Option(*flags, help=field.description, metavar=choices or None, show_default=False)
        made.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
            )
        )

    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        settings = {p.name: values.pop(p.name) for p in made}
        if settings["start"]:
            settings["start"] = run_path(settings["start"])
        return command(settings=settings, **values)

    ordered = own + made
    wrapper.__signature__ = inspect.Signature([p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in ordered])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in ordered}
    return wrapper


def layers(
    preset_name: str | None, config: Path | None, pairs: list[str] | None, data: str | None = None, race: bool = False
) -> list[dict[str, Any]]:
    """Settings from coarse to fine. `data`: the folder, unless a labels table says what is in it."""
    return [settings for _, settings in named_layers(preset_name, config, pairs, data, race)]


def named_layers(
    preset_name: str | None, config: Path | None, pairs: list[str] | None, data: str | None = None, race: bool = False
) -> list[tuple[str, dict[str, Any]]]:
    """(origin, settings) of all but the options, coarse to fine. `race`: whether presets of races are welcome."""
    layers: list[tuple[str, dict[str, Any]]] = []
    if preset_name:
        from handful.workflow.catalogue import named

        layers.append((f"preset {preset_name}", preset(preset_name, functools.partial(named, data))))
        if not race and layers[0][1].keys() & {"models", "strategies", "vary", "budget"}:
            from handful.errors import UsageError

            raise UsageError(f"{preset_name} is a race", f"handful compare FOLDER --preset {preset_name}")
    if config:
        layers.append((f"file {config}", load_recipe(config)))
    if pairs:
        layers.append(("--set", assignments(pairs)))
    return layers


def here(text: str) -> str:
    """`text` with the commands in it as they can be typed where this program was called."""
    names = [c.name or c.callback.__name__ for c in app.registered_commands if c.callback]
    return typed(text, [*names, *(group.name for group in app.registered_groups if group.name)])


def print_json(value: Any) -> None:
    print(to_json(value, indent=1))


def listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
