"""Tuning as a use case: recipes are proposed, raced on the same folds, and the winner is measured again on others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handful.config import resolve
from handful.runs import Teller as Teller


def tune(
    data: str | os.PathLike[str] | None = None,
    *,
    trials: int | None = None,
    budget: float | None = None,
    space: Mapping[str, Any] | None = None,
    run: str | os.PathLike[str] | None = None,
    teller: Teller | None = None,
    lang: str = "en",
    layers: Sequence[dict[str, Any]] = (),
    **settings: Any,
) -> dict[str, Any]:
    """Search for better settings of one strategy; the first recipe tried is what `train` does by itself.

    The best of many on the same folds looks better than it is. The recommended recipe is therefore measured again on other
    folds of the same samples ("remeasured"), which takes away what luck with the folds gave, not what luck with the samples
    did: only new samples show that. Started again with the same data and settings it goes on where it was stopped.

    Args:
        data: a folder as for `train`.
        trials: recipes to try, 30 when not given.
        budget: seconds for all of it.
        space: what to try instead of the default: {"head": ["lda", "ridge"], "learning_rate": "1e-4..1e-2log"}.
        run: directory of the search; found from data and settings when not given.
        settings: fields of the recipe; `strategy` says what is tuned: probe (when not given), prototype, finetune, scratch.

    Returns:
        The leaderboard of `compare` with "remeasured", "baseline" and "trials"; RUN/leaderboard.json, .csv and .html hold it.

    Raises:
        MissingExtra: Optuna is not installed.
    """
    from handful.errors import UsageError
    from handful.search.tuning import TRIALS, Tuning
    from handful.workflow.compare import save

    recipe = resolve(*layers, {**settings, "data": os.fspath(data) if data is not None else None})
    if not recipe.data:
        raise UsageError("no data was given", "handful tune FOLDER")
    if trials is not None and trials < 1:
        raise UsageError(f"{trials} trials are none", "handful tune FOLDER --trials 30")
    folder = Path(run).expanduser().absolute() if run else None
    search = Tuning(recipe, space or {}, TRIALS if trials is None else trials, folder, budget, teller or Teller())
    return save(search.run(), lang)
