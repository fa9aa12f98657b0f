"""Commands about what there is: models, presets, weights, the demonstration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from handful._console import Screen
from handful.cli._app import Json, Quiet, app, here, print_json
from handful.files import shown


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
            print_json(rows)
        else:
            print("\n".join(_catalogued(rows)))


def _tell(advice: dict[str, Any], json: bool) -> None:
    """Advice, and what to type next."""
    if json:
        print_json(advice)
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
        print_json({"schema": 1, "presets": rows})
        return
    for row in rows:
        print(f"{row['name']:24}{row['summary']}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="a network of the catalogue")], json: Json = False, quiet: Quiet = False
) -> None:
    """Get a network's pretrained weights now."""
    from handful.workflow.catalogue import fetch as use_case

    screen = Screen(quiet, True)
    path = use_case(name, screen.progress, screen.say)
    if json:
        print_json({"schema": 1, "name": name, "path": path})
    else:
        print(shown(str(path)))


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
        print_json({"schema": 1, "runs": results})
        return
    for result in results:
        print(here("\n".join(lines(result))), end="\n\n")
    print(here("Now your own folder, with one folder of files for each class:\n  handful train FOLDER"))
