"""Label next: from a folder of unlabelled files, the few that would help most."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from handful.runs import Teller as Teller


def suggest(
    run: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    count: int = 10,
    data: str | os.PathLike[str] | None = None,
    teller: Teller | None = None,
) -> dict[str, Any]:
    """Which files of a folder to label next, best first. The run's data must still be where they were, or in the
    folder `data`.

    Returns:
        {"schema", "run", "files": [{"file", "label", "confidence", "novelty"}], "errors": [{"file", "error"}], "unlabelled": n}

    Raises:
        DataError: the folder holds nothing of the run's kind.
    """
    from handful.config import resolve
    from handful.data import unlabelled
    from handful.errors import DataError, UsageError
    from handful.files import shown
    from handful.runs import Run
    from handful.sources import Sources
    from handful.training.suggest import suggest as choose
    from handful.training.trial import Trial

    opened = Run.open(run)
    trial = Trial(resolve(Sources(opened, data).settings()), Teller(progress=(teller or Teller()).progress))
    samples = unlabelled(Path(folder), trial.dataset.modality)
    if not samples:
        raise DataError(
            f"{shown(str(folder))} holds no {'pictures' if trial.dataset.modality == 'image' else 'sounds'}",
            "give the folder of files that have no label yet",
        )
    if count < 1:
        raise UsageError(f"count is {count}", "ask for at least one file")
    trial.prepare()
    if not trial.strategy.quick:
        raise UsageError(
            f"suggestions from the strategy {trial.choice.strategy} would take another training",
            "train a probe on the same data and ask that run: handful train DATA --strategy probe",
        )
    scored = trial.evaluate()
    chosen, errors = choose(trial, samples, count, scored.temperature)
    return {
        "schema": 1,
        "run": str(opened.path),
        "files": [
            {"file": str(s.sample.path), "label": s.label, "confidence": s.confidence, "novelty": s.novelty}
            for s in chosen
        ],
        "errors": [{"file": str(sample.path), "error": error.message} for sample, error in errors],
        "unlabelled": len(samples),
    }
