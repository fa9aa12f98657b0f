"""Writes docs/reference.md and the tables of docs/families from the program itself: python docs/generate.py. Tests compare."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from typer.main import get_command

from handful.cli import app
from handful.config import Recipe, presets
from handful.models import facts, models
from handful.models._advice import MEMORY_BATCH
from handful.workflow.catalogue import catalogue, task_matrix

HERE = Path(__file__).parent


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _table(header: list[str], rows: list[list[object]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return "\n".join(lines + ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows])


def _size(number: int | None, digits: int) -> str:
    if not number:
        return ""
    return f"{number / 1e6:.{digits}f} M" if number >= 1e6 else f"{number / 1e3:.1f} k"


def _commands(group: Any, prefix: str = "") -> dict[str, Any]:
    """By name as typed, those of groups included."""
    found = {}
    for name, command in group.commands.items():
        found |= _commands(command, f"{name} ") if hasattr(command, "commands") else {prefix + name: command}
    return found


def reference() -> str:
    """The whole reference as Markdown."""
    parts = ["# Reference", "", "Made by `python docs/generate.py`; do not edit.", "", "## Commands", ""]
    for name, command in sorted(_commands(get_command(app)).items()):
        options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
        arguments = " ".join(p.name.upper() for p in command.params if p.param_type_name == "argument")
        heading = f"handful {name} {arguments}".strip()
        summary = re.split(r"\n\s*\n", (command.help or "").strip())[0]
        parts += [f"### `{heading}`", "", summary, ""]
        recipe = set(Recipe.model_fields)
        own = [p for p in options if name not in ("train", "config") or p.name not in recipe]
        if own:
            parts += [_table(["option", "meaning"], [["`" + ", ".join(p.opts) + "`", p.help or ""] for p in own]), ""]
        if name in ("train", "config"):
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
    listed: list[list[object]] = []
    for model in models:
        figures = facts(model.name)
        size, macs = figures.get("parameters"), figures.get("macs")
        listed.append(
            [
                f"`{model.name}`",
                model.family,
                _size(size, 2),
                _size(macs, 0),
                model.input_size,
                model.top1 or "",
                model.licence,
            ]
        )
    parts += [
        "Parameters with the published head: 1,000 classes, of the family conv1d 2, of spoken 10, of panns and ast 527. Multiply-adds by torch's flop counter / 2 (convolutions and matrix products), of sounds for a second at 16 kHz, 13 MFCCs or 80 mel bands, of panns at 32 kHz, of ast for ten seconds; their input is counted in time steps. Top-1 as published by torchvision, of yolo by Ultralytics.",
        "",
    ]
    parts += [_table(["name", "family", "parameters", "MACs", "input", "top-1", "licence"], listed), ""]
    return "\n".join(parts)


def _million(value: int | None) -> str:
    return "" if not value else f"{value / 1e6:,.0f} M" if value >= 1e8 else f"{value / 1e6:.3g} M"


def _family_table(family: str) -> str:
    """The networks of one family with all their figures."""
    rows: list[list[object]] = []
    for row in catalogue(family=family):
        gb = row["training_gb"]
        rows.append([
            f"`{row['name']}`", _million(row["parameters"]), _million(row["macs"]), row["input"] if row["macs"] else "",
            row["blocks"] or "", row["top1"] or "", row["top5"] or "", row["published_gflops"] or "",
            row["size"] or "", row["speed"] or "", "" if gb is None else f"{gb:.2f} GiB",
        ])  # fmt: skip
    header = ["name", "parameters", "MACs", "input", "blocks", "top-1", "top-5", "GFLOPS", "size", "speed", "training"]
    sources = sorted({row["source"].partition(",")[0] for row in catalogue(family=family) if row["source"]})
    said = f"MACs: multiply-adds counted here. Training: all of it with Adam, {MEMORY_BATCH} samples, float32."
    if sources:
        said += f" Top-1, top-5 (ImageNet, percent) and GFLOPS (multiply-adds, as published): {', '.join(sources)}."
    return f"{_table(header, rows)}\n\n{said}"


def _family_index() -> str:
    """Families with what they can do now."""
    matrix = task_matrix()
    tasks = list(next(iter(matrix.values())))
    rows: list[list[object]] = [[f"[{f}]({f}.md)", *(row[t] for t in tasks)] for f, row in matrix.items()]
    return f"{_table(['family', *tasks], rows)}\n\nPlanned: does not work yet."


# Where the table of the 001 guide puts networks, in GB; its classes are read at batches that it does not name.
GUIDE_MEMORY = {
    "below 4 GB": "shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 mobilenet_v3_small",
    "4 to 8 GB": "mobilenet_v2 mobilenet_v3_large shufflenet_v2_x1_5 shufflenet_v2_x2_0 resnet18 resnet34 efficientnet_b0 "
    "efficientnet_b1 efficientnet_b2 resnext50_32x4d",
    "8 to 16 GB": "resnet50 resnet101 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_v2_s efficientnet_v2_m "
    "resnext101_32x8d resnext101_64x4d",
    "above 16 GB": "resnet152 efficientnet_b6 efficientnet_b7 efficientnet_v2_l",
}  # fmt: skip


def differences() -> dict[str, tuple[str, str, float]]:
    """By network: the guide's tier of memory, the computed one and its GiB, where they differ."""
    rows = {row["name"]: row for row in catalogue()}
    return {
        name: (tier, rows[name]["memory"], rows[name]["training_gb"])
        for tier, names in GUIDE_MEMORY.items()
        for name in names.split()
        if rows[name]["memory"] != tier
    }


def families() -> dict[str, str]:
    """Each page of docs/families by file name: what is written there, with fresh tables. A new family begins as a table."""
    made = {}
    tables = {family: _family_table(family) for family in task_matrix()} | {"README": _family_index()}
    rows: list[list[object]] = [[f"`{n}`", a, b, f"{gb:.2f} GiB"] for n, (a, b, gb) in differences().items()]
    other = _table(["name", "guide", "computed", "training"], rows)
    for name, table in tables.items():
        page = HERE / "families" / f"{name}.md"
        text = page.read_text("utf-8") if page.exists() else f"# {name}\n\n<!-- table -->\n<!-- end -->\n"
        for mark, content in (("table", table), ("differences", other)):
            block = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
            text = block.sub(lambda found, content=content: f"{found[1]}{content}\n{found[2]}", text)  # type: ignore[misc]
        made[page.name] = text
    return made


if __name__ == "__main__":
    (HERE / "reference.md").write_text(reference(), encoding="utf-8")
    (HERE / "families").mkdir(exist_ok=True)
    for name, text in families().items():
        (HERE / "families" / name).write_text(text, encoding="utf-8")
