"""Every setting as it would be in effect, and where it comes from.

From coarse to fine: the default, a preset, a recipe file, `--set`, an option; beside them variables of the environment, which
move folders and switch the network. There is no file of settings that is read unasked: a recipe says all there is about a run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handful.config import resolve
from handful.environment import given, switched_on
from handful.files import place

DEFAULT = "default"


def effective(layers: Sequence[tuple[str, Mapping[str, Any]]] = (), home_option: bool = False) -> dict[str, Any]:
    """All settings.

    Args:
        layers: (origin, settings), coarse to fine; as `config.resolve` takes them.
        home_option: whether HANDFUL_HOME was set by the option --home.

    Returns:
        {"schema", "settings": [{"group", "name", "value", "origin"}]}. Groups: recipe, folders, network, studio. A value of
        None in the recipe is found from the data.

    Raises:
        UsageError: an unknown key or a value out of bounds.
    """
    rows = [*_recipe(layers), *_folders(home_option), *_switches()]
    return {"schema": 1, "settings": rows}


def _row(group: str, name: str, value: Any, origin: str) -> dict[str, Any]:
    return {"group": group, "name": name, "value": value, "origin": origin}


def _recipe(layers: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    from handful.graph import run_threads

    recipe = resolve(*(settings for _, settings in layers))
    origins = {
        key.replace("-", "_"): origin for origin, settings in layers for key, value in settings.items() if value is not None
    }  # fmt: skip
    rows = []
    for name, value in recipe.model_dump().items():
        rows.append(_row("recipe", name, value, origins.get(name, DEFAULT)))
    threads = next(row for row in rows if row["name"] == "threads")
    if threads["value"] is None:
        said = os.environ.get("OMP_NUM_THREADS", "") == str(run_threads(None))
        threads |= {"value": run_threads(None), "origin": _variable("OMP_NUM_THREADS") if said else DEFAULT}
    return rows


def _folders(home_option: bool) -> list[dict[str, Any]]:
    from handful.models._weights import hugging_face_folder, torch_folder

    home = "--home" if home_option else _variable("HANDFUL_HOME")
    rows = []
    for kind in ("cache", "data", "config", "state"):
        platform = _first(f"XDG_{kind.upper()}_HOME", absolute=True) or DEFAULT
        rows.append(_row("folders", kind, str(place(kind)), home if os.environ.get("HANDFUL_HOME") else platform))
    torch = _first("TORCH_HOME", "XDG_CACHE_HOME") or DEFAULT
    hugging_face = _first("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME") or DEFAULT
    rows.append(_row("folders", "weights of torch", str(torch_folder()), torch))
    rows.append(_row("folders", "weights of Hugging Face", str(hugging_face_folder()), hugging_face))
    return rows


def _switches() -> list[dict[str, Any]]:
    """What the environment switches, with what holds where it says nothing."""
    shown = {variable.name: value for variable, value in given()}
    offline = switched_on("HANDFUL_OFFLINE", "HF_HUB_OFFLINE")
    browser = "HANDFUL_NO_BROWSER" not in shown
    rows = [
        _row("network", "offline", bool(offline), _variable(offline) if offline else DEFAULT),
        _row("studio", "opens a browser", browser, DEFAULT if browser else _variable("HANDFUL_NO_BROWSER")),
    ]
    index = str(place("data") / "studio.sqlite")
    for group, name, variable, unsaid in (
        ("network", "mirror of weights", "HANDFUL_WEIGHTS_MIRROR", None),
        ("network", "address of Hugging Face", "HF_ENDPOINT", "https://huggingface.co"),
        ("studio", "index", "HANDFUL_DATABASE_URL", index), ("studio", "token", "HANDFUL_TOKEN", None),
        ("studio", "events", "HANDFUL_EVENTS", None),
    ):  # fmt: skip
        origin = _variable(variable) if variable in shown else DEFAULT
        rows.append(_row(group, name, shown.get(variable, unsaid), origin))
    return sorted(rows, key=lambda row: str(row["group"]))


def _first(*names: str, absolute: bool = False) -> str:
    """The first of these variables that is set (to an absolute path), as an origin."""
    for name in names:
        if (value := os.environ.get(name)) and (not absolute or Path(value).is_absolute()):
            return _variable(name)
    return ""


def _variable(name: str) -> str:
    return f"environment {name}"
