"""The learning curve of a run."""

from __future__ import annotations

import os
from typing import Any

from handful.runs import Teller as Teller
from handful.words import both


def curve(
    run: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    lang: str = "en",
    teller: Teller | None = None,
) -> dict[str, Any]:
    """How the run's accuracy would grow with more samples, and of which class they are worth most.

    The data must still be where the run was trained, or in the folder `data`; embeddings come from the cache. run.json gets the key "curve" and the
    report is made again.

    Returns:
        {"schema", "run", "curve": {"points", "band", "classes", "why"}}

    Raises:
        DataError: the data have changed since.
        UsageError: the run trained a network, of which each point would take another training.
    """
    from handful.config import resolve
    from handful.errors import DataError
    from handful.reporting import write
    from handful.runs import Run
    from handful.sources import Sources
    from handful.training.curve import curve as measure
    from handful.training.curve import refuse_slow
    from handful.training.trial import Trial

    opened = Run.open(run)
    sources = Sources(opened, data)
    with opened.lock():
        trial = Trial(resolve(sources.settings()), Teller(progress=(teller or Teller()).progress))
        if trial.dataset.fingerprint != sources.fingerprint:
            raise DataError(*both("error.data_changed"))
        trial.prepare()
        refuse_slow(trial)
        trial.evaluate()  # settles which candidates there are
        found = measure(trial)
        opened.write_json("run.json", opened.result | {"curve": found})
    write(opened.path, lang)
    return {"schema": 1, "run": str(opened.path), "curve": found}
