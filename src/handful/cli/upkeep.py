"""Commands that look after the installation: doctor, cache, config, selftest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from handful.cli._app import Json, Quiet, Set, app, here, named_layers, print_json, recipe_options
from handful.files import shown

Yes = Annotated[bool, typer.Option("--yes", "-y", help="ask nothing")]


@app.command()
def doctor(json: Json = False) -> None:
    """What this machine and this installation are, and what to do about what is wrong. Looks only.

    handful doctor
    """
    from handful.workflow.doctor import doctor as use_case

    found = use_case()
    if json:
        print_json(found)
    else:
        print(shown_lines(_diagnosis(found)))
        print(here(shown_lines(_found(found["findings"]))))


def shown_lines(lines: list[str]) -> str:
    return "\n".join(map(shown, lines))


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} bytes"
    unit, name = next((u, n) for u, n in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if count >= u)
    return f"{count / unit:.1f} {name}"


def _diagnosis(found: dict[str, Any]) -> list[str]:
    machine, memory, gpu = found["machine"], found["memory"], found["gpu"]
    limit = f", of which {_size(memory['limit_bytes'])} may be used here" if memory["limit_bytes"] else ""
    lines = [
        f"handful {found['version']}, Python {found['python']}, {found['system']}",
        f"processor   {machine['processors']} x {machine['processor']}, {machine['threads']} threads for handful",
        f"memory      {_size(memory['available_bytes'])} free of {_size(memory['total_bytes'])}{limit}",
        f"GPU         {gpu['name']}, {_size(gpu['free_bytes'])} free of {_size(gpu['total_bytes'])}, driver {gpu['driver']}"
        if gpu
        else "GPU         none",
    ]
    if memory["studio"]:
        lines.append(
            f"studio      runs at {memory['studio']}: {_size(memory['server_bytes'])} of memory, its jobs {_size(memory['jobs_bytes'])}; "
            f"{memory['running']} running, {memory['queued']} queued"
        )
    lines.append("libraries   " + ", ".join(f"{name} {version or 'missing'}" for name, version in _libraries(found)))
    lines += ["", "folders"]
    for kind, folder in found["folders"].items():
        size = (
            f"{'' if folder['complete'] else 'more than '}{_size(folder['bytes'])}"
            if folder["exists"]
            else "not made yet"
        )
        lines.append(f"  {kind:8}{folder['path']}: {size}, {_size(folder['disk_free_bytes'])} free; {folder['holds']}")
    lines += ["", "extras"]
    for name, extra in found["extras"].items():
        state = "installed" if extra["installed"] else extra["command"]
        lines.append(f"  {name:10}{state:35}{extra['brings']}")
    lines += ["", f"pretrained  {', '.join(found['weights']) or 'no weights at hand'}"]
    lines.append(f"network     {'none, by ' + found['offline'] if found['offline'] else 'only to fetch weights'}")
    lines.append(f"browser     {found['devices']['browser'] or 'none: handful studio only prints its link'}")
    lines += [f"{row['name']} = {row['value']}: {row['meaning']}" for row in found["environment"]]
    return [*lines, ""]


def _libraries(found: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(n, v) for n, v in found["libraries"].items() if v or n != "onnxruntime-gpu"]


def _found(findings: list[dict[str, str]]) -> list[str]:
    lines = [f"{row['severity']:9}{row['message']}\n   try: {row['fix']}" for row in findings]
    return [line for both in lines for line in both.split("\n")] or ["nothing is wrong"]


# -- cache ---------------------------------------------------------------------------------------------------------------

cache = typer.Typer(no_args_is_help=True, help="What can be made or fetched again: list it, remove it, verify it.")
app.add_typer(cache, name="cache")


@cache.command("ls")
def cache_ls(json: Json = False) -> None:
    """What the cache holds, how large it is, when it was last used, where it came from."""
    from handful.workflow.cache import ls

    found = ls()
    if json:
        print_json(found)
        return
    width = max((len(row["name"]) for row in found["rows"]), default=0)
    lines = [
        f"{row['name']:{width}}  {_size(row['bytes']):>9}  {row['used'][:10]}  {row['what']}"
        + (f", {row['from']}" if row["from"] else "") + ("  (shared with other programs)" if row["shared"] else "")
        for row in found["rows"]
    ]  # fmt: skip
    shared = (
        f"; {_size(found['shared_bytes'])} more lie in caches that other programs share"
        if found["shared_bytes"]
        else ""
    )
    print(shown_lines([*lines, f"{_size(found['bytes'])} in {found['path']}{shared}"]))


@cache.command("rm")
def cache_rm(
    names: Annotated[list[str] | None, typer.Argument(help="names of ls, kinds such as embeddings, models")] = None,
    all: Annotated[bool, typer.Option("--all", help="everything of handful's own")] = False,
    older_than: Annotated[float | None, typer.Option(min=0, help="only what was not used for so many days")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be removed")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove from the cache. Nothing outside of it is removed: weights that other programs share stay.

    handful cache rm --older-than 30

    handful cache rm embeddings resnet18 --yes
    """
    from handful.workflow.cache import chosen, rm

    picked = chosen(names or [], all, older_than)
    size = _size(sum(entry.bytes for entry in picked))
    if dry_run or (picked and not yes):
        print(shown_lines([entry.name for entry in picked]), file=sys.stderr if json else sys.stdout)
    if dry_run:
        print(f"{size} would be removed", file=sys.stderr)
        if json:
            print_json(
                {"schema": 1, "removed": [], "bytes": 0, "kept": [{"name": e.name, "why": "dry run"} for e in picked]}
            )
        return
    if picked and not yes:
        _agreed(size)
    done = rm(picked)
    if json:
        print_json(done)
    else:
        print(f"{_size(done['bytes'])} removed" if picked else "nothing to remove")
    for row in done["kept"]:
        print(f"{shown(row['name'])} is kept: {row['why']}", file=sys.stderr)
    if done["kept"]:
        raise typer.Exit(1)


def _agreed(size: str) -> None:
    """Ask; without a terminal nobody can answer."""
    from handful.errors import HandfulError, UsageError

    if not sys.stdin.isatty():
        raise UsageError(f"nobody is there to be asked whether {size} may go", "add --yes, or --dry-run")
    print(f"remove these {size}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise HandfulError("nothing was removed", "add --yes to be asked nothing")


@cache.command("verify")
def cache_verify(json: Json = False) -> None:
    """Whether everything in the cache is whole: weights by their published hashes, the rest by its own."""
    from handful.workflow.cache import verify

    found = verify()
    if json:
        print_json(found)
    else:
        print(shown_lines([
            f"{row['state']:10}{row['name']}" + (f": {row['why']}" if row["why"] else "") for row in found["rows"]
        ] or ["the cache is empty"]))  # fmt: skip
    damaged = [row for row in found["rows"] if row["state"] == "damaged"]
    if damaged:
        _tell_damage(damaged)
        raise typer.Exit(1)


def _tell_damage(damaged: list[dict[str, Any]]) -> None:
    import shlex

    own = [shlex.quote(row["name"]) for row in damaged if not row["shared"]]
    print(f"handful: {len(damaged)} damaged", file=sys.stderr)
    if own:
        print(f"   try: {here(shown(f'handful cache rm {chr(32).join(own)} --yes'))}", file=sys.stderr)
    for row in damaged:
        if row["shared"]:
            print(f"   try: delete {shown(row['name'])}, then {here('handful fetch ' + row['what'])}", file=sys.stderr)


# -- config and selftest -------------------------------------------------------------------------------------------------


@app.command()
@recipe_options
def config(
    settings: dict[str, Any],
    context: typer.Context,
    show_origin: Annotated[bool, typer.Option("--show-origin", help="where each comes from")] = False,
    preset: Annotated[str | None, typer.Option(help="a named set of settings")] = None,
    config: Annotated[Path | None, typer.Option(help="recipe file")] = None,
    set: Set = None,
    json: Json = False,
) -> None:
    """Every setting as it would be in effect: add what you give to `handful train`.

    handful config --show-origin

    handful config --show-origin --preset quick --set epochs=3
    """
    from handful.workflow.settings import effective

    flags = [(f"--{name.replace('_', '-')}", {name: value}) for name, value in settings.items() if value is not None]
    home = context.find_root().params.get("home") is not None
    found = effective([*named_layers(preset, config, set, race=True), *flags], home)
    if json:
        print_json(found)
        return
    group = None
    for row in found["settings"]:
        if row["group"] != group:
            print(("\n" if group else "") + row["group"])
            group = row["group"]
        value = "-" if row["value"] is None else str(row["value"])
        print(shown(f"  {row['name']:24}{value:24}{'  ' + row['origin'] if show_origin else ''}".rstrip()))


@app.command()
def selftest(json: Json = False, quiet: Quiet = False) -> None:
    """Prove this installation on generated data: train, predict, export, verify. Takes about a minute, needs no network.

    handful selftest
    """
    from handful.workflow.selftest import selftest as use_case

    def tell(row: dict[str, Any]) -> None:
        detail = f": {row['detail'] or row['why']}" if row["detail"] or row["why"] else ""
        fix = "" if row["state"] == "ok" or row["fix"] == "see there" else f"\n   try: {here(shown(row['fix']))}"
        line = f"{row['state']:8} {row['name']}{shown(detail)} ({row['seconds']:.1f} s)"
        if not quiet or row["state"] == "failed":
            print(line + fix, file=sys.stderr if json else sys.stdout, flush=True)

    found = use_case(tell)
    if json:
        print_json(found)
    if not found["ok"]:
        raise typer.Exit(1)
