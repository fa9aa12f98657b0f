"""The learning curve of a run."""

from __future__ import annotations

import os
from typing import Any

from handful.runs import Teller as Teller
from handful.words import both


def curve(run: str | os.PathLike[str], *, lang: str = "en", teller: Teller | None = None) -> dict[str, Any]:
    """How the run's accuracy would grow with more samples, and of which class they are worth most.

    The data must still be where the run was trained; embeddings come from the cache. run.json gets the key "curve" and the
    report is made again.

    Returns:
        {"schema", "run", "curve": {"points", "band", "classes", "why"}}

    Raises:
        DataError: the data have changed since.
        UsageError: the run trained a network, of which each point would take another training.
    """
    from handful.config import load_recipe, resolve
    from handful.errors import DataError
    from handful.reporting import write
    from handful.runs import Run
    from handful.training.curve import curve as measure
    from handful.training.curve import refuse_slow
    from handful.training.trial import Trial

    opened = Run.open(run)
    with opened.lock():
        trial = Trial(resolve(load_recipe(opened.file("recipe.yaml"))), Teller(progress=(teller or Teller()).progress))
        if trial.dataset.fingerprint != opened.result["data"]["fingerprint"]:
            raise DataError(*both("error.data_changed"))
        trial.prepare()
        refuse_slow(trial)
        trial.evaluate()  # settles which candidates there are
        found = measure(trial)
        opened.write_json("run.json", opened.result | {"curve": found})
    write(opened.path, lang)
    return {"schema": 1, "run": str(opened.path), "curve": found}
