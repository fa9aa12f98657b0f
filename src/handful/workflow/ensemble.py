"""Join finished runs into one model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from handful.runs import Run
from handful.runs import Teller as Teller
from handful.workflow.train import TrainedRun


def ensemble(
    runs: Sequence[str | os.PathLike[str]],
    *,
    run: str | os.PathLike[str] | None = None,
    teller: Teller | None = None,
    command: str = "",
    lang: str = "en",
) -> TrainedRun:
    """One model of several finished runs: the mean of their calibrated probabilities. Nothing is trained.

    Its headline comes from what each member said of samples that it had not seen, so that the members may have other folds;
    "gain" of the result holds it against the best member on the same samples.

    Args:
        runs: run directories, at least two, of the same samples, classes and groups, that read files alike.
        run: the directory to make; below the user's data folder when not given.
        lang: language of the report.

    Returns:
        The run; its report lies at `run.report`. It predicts and exports like any other.

    Raises:
        UsageError: fewer than two runs, or they do not fit together; says which differ, and how to train them alike.
        RunError: one of them is missing or damaged.
    """
    from handful.config import several
    from handful.errors import UsageError
    from handful.reporting import write
    from handful.training.ensemble import join

    members = [Path(member) for member in several(runs)]
    if len(members) < 2:
        raise UsageError("an ensemble needs at least two runs", "handful ensemble RUN RUN")
    if run:
        Run.vacant(run)
    finished = join(members, Path(run) if run else None, teller, command)
    write(finished.path, lang)
    return TrainedRun(finished)
