"""Races as a use case: several models and strategies on the same folds, one leaderboard."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handful.config import resolve, seconds, several
from handful.runs import Teller as Teller


def compare(
    data: str | os.PathLike[str] | None = None,
    *,
    models: Sequence[str] = (),
    strategies: Sequence[str] = (),
    vary: Mapping[str, Sequence[Any]] | None = None,
    budget: float | str | None = None,
    run: str | os.PathLike[str] | None = None,
    teller: Teller | None = None,
    lang: str = "en",
    layers: Sequence[dict[str, Any]] = (),
    **settings: Any,
) -> dict[str, Any]:
    """Race models and strategies on the same folds.

    Started again with the same data and settings it goes on where it was stopped, and ends with the same table.

    Args:
        data: a folder as for `train`.
        models: names of the catalogue; what `auto` would choose and the method that needs no weights, when none are given.
        strategies: prototype, probe, probe:HEAD, finetune, finetune:BLOCKS, scratch; all when none are given.
        vary: further recipe fields and the values to try, e.g. {"n_mels": [20, 40, 80]}.
        budget: seconds for all of it, or a text such as "10m".
        run: directory of the race; found from data and settings when not given.
        settings: fields of the recipe that all share.

    Returns:
        The leaderboard; RUN/leaderboard.json, .csv and .html hold it too.
    """
    from handful.errors import UsageError
    from handful.search import STRATEGIES, Race, candidates, default_models

    began = time.perf_counter()
    own = {"models", "strategies", "vary", "budget"}  # a preset may bring the race's own settings
    given = {key: value for layer in layers for key, value in layer.items() if key in own}
    recipe = resolve(*({k: v for k, v in layer.items() if k not in own} for layer in layers), {
        **settings, "data": os.fspath(data) if data is not None else None,
    })  # fmt: skip
    if not recipe.data:
        raise UsageError("no data was given", "handful compare FOLDER")
    teller = teller or Teller()
    named = [recipe.model] if recipe.model != "auto" else []
    way = [recipe.strategy] if recipe.strategy != "auto" else []
    entered = candidates(
        several(models or named or given.get("models") or default_models(recipe, teller)),
        several(strategies or way or given.get("strategies") or STRATEGIES),
        dict(vary or given.get("vary") or {}),
        strict=bool(models or named or not given.get("models")),
    )
    limit = budget if budget is not None else given.get("budget")
    limit = seconds(str(limit)) if limit is not None else None
    shared = recipe.model_copy(update={"model": "auto", "strategy": "auto"})
    folder = Path(run).expanduser().absolute() if run else None
    race = Race(shared, entered, folder, limit, teller, began=began)
    return save(race.run(), lang)


def save(board: dict[str, Any], lang: str) -> dict[str, Any]:
    """Write a leaderboard into its race's directory, for programs, spreadsheets and people; returns it."""
    from handful.files import atomic_write, to_json
    from handful.reporting import leaderboard

    folder = Path(board["run"])
    atomic_write(folder / "leaderboard.json", to_json(board, indent=1) + "\n")
    atomic_write(folder / "leaderboard.csv", leaderboard.to_csv(board))
    leaderboard.write(folder, board, lang)
    return board
