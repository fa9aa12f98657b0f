"""The command that opens the studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handful.cli._app import app


@app.command()
def studio(
    data: Annotated[
        Path | None, typer.Argument(help="folder to begin with: it becomes a project, ready to import")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="0 takes any that is free; the first free one from 8420 on by default"),
    ] = None,
    host: Annotated[str, typer.Option(help="address to listen on; 0.0.0.0: the network, with a token")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="a name under which browsers reach it; may be repeated")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="only print the link")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="look, change nothing")] = False,
    database: Annotated[str | None, typer.Option(help="index in another database: postgresql://...")] = None,
) -> None:
    """Collect, check, train, understand, try and export in the browser, on this machine.

    handful studio

    handful studio photos

    Prints a link that works once and opens the browser with it. Where a studio runs already, it opens that one. Training
    goes on when the studio is closed. HANDFUL_TOKEN sets a token for programs; HANDFUL_NO_BROWSER=1 opens no browser.
    """
    from handful import studio as use_case

    use_case(
        data, host=host, port=port, browser=not no_browser, read_only=read_only, database=database,
        allow_hosts=allow_host or (),
    )  # fmt: skip
