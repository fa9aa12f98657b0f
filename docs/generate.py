"""Writes docs/reference.md from the program itself: python docs/generate.py. A test compares it with what is there."""

from __future__ import annotations

import re
from pathlib import Path

from typer.main import get_command

from handful.cli import app
from handful.config import Recipe, presets
from handful.models import facts, models

HERE = Path(__file__).parent


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _table(header: list[str], rows: list[list[object]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return "\n".join(lines + ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows])


def reference() -> str:
    """The whole reference as Markdown."""
    parts = ["# Reference", "", "Made by `python docs/generate.py`; do not edit.", "", "## Commands", ""]
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name in sorted(commands):
        command = commands[name]
        options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
        arguments = " ".join(p.name.upper() for p in command.params if p.param_type_name == "argument")
        heading = f"handful {name} {arguments}".strip()
        summary = re.split(r"\n\s*\n", (command.help or "").strip())[0]
        parts += [f"### `{heading}`", "", summary, ""]
        recipe = set(Recipe.model_fields)
        own = [p for p in options if name != "train" or p.name not in recipe]
        if own:
            parts += [_table(["option", "meaning"], [["`" + ", ".join(p.opts) + "`", p.help or ""] for p in own]), ""]
        if name == "train":
            parts += ["and every setting below.", ""]
    rows: list[list[object]] = [
        [f"`--{n.replace('_', '-')}`", f.description or "", "" if f.default is None else f"`{f.default}`"]
        for n, f in Recipe.model_fields.items()
        if n != "data"
    ]
    parts += [
        "## Settings",
        "",
        "Flags of `handful train`, keys of a recipe, arguments of `handful.train`. An empty default is found from the data.",
        "",
    ]
    parts += [_table(["setting", "meaning", "default"], rows), "", "## Presets", ""]
    parts += [
        _table(["preset", "what it is"], [[f"`{n}`", p["summary"]] for n, p in presets().items()]),
        "",
        "## Models",
        "",
    ]
    catalogue: list[list[object]] = []
    for model in models:
        figures = facts(model.name)
        size, macs = figures.get("parameters"), figures.get("macs")
        catalogue.append(
            [
                f"`{model.name}`",
                model.family,
                f"{size / 1e6:.2f} M" if size else "",
                f"{macs / 1e6:.0f} M" if macs else "",
                model.input_size,
                model.top1 or "",
                model.licence,
            ]
        )
    parts += [
        "Parameters with the published head of 1,000 classes; multiply-adds by torch's flop counter / 2; top-1 as published by torchvision.",
        "",
    ]
    parts += [_table(["name", "family", "parameters", "MACs", "input", "top-1", "licence"], catalogue), ""]
    return "\n".join(parts)


if __name__ == "__main__":
    (HERE / "reference.md").write_text(reference(), encoding="utf-8")
