"""What the model of a trial would cost where it is used: size, speed, memory. Knows nothing of races."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from handful.data.splits import Plan
from handful.models import figures
from handful.runs import Teller
from handful.training.record import peak_memory, whole_graph
from handful.training.trial import Trial


def measure(trial: Trial) -> dict[str, Any]:
    """Size and speed of the model that would ship, as keys of a leaderboard's row; a frozen model must be evaluated."""
    from handful.graph import session

    shipped = trial if trial.strategy.quick else _brief(trial)
    content = whole_graph(shipped, 1.0).build()
    ready = session(content, trial.recipe.threads)
    items = trial.reader.frontend.read(trial.prepared.samples[0].path)[0][:1]
    latency = {}
    for batch, runs in ((1, 5), (32, 3)):
        stack, times = np.repeat(items, batch, axis=0), []
        for _ in range(runs):
            start = time.perf_counter()
            ready.run(None, {"input": stack})
            times.append((time.perf_counter() - start) * 1000)
        latency[batch] = float(np.median(times))
    body = figures(trial.choice.model, trial.frontend)
    return {
        "model": trial.choice.model.name, "strategy": trial.choice.strategy, "head": trial.strategy.note,
        "features": getattr(trial.frontend, "features", None),
        "parameters": shipped.strategy.parameters + (body.get("body_parameters", 0) if trial.strategy.quick else 0),
        "macs": body.get("body_macs"), "latency_ms": latency[1], "latency_ms_32": latency[32], "bytes": len(content),
        "peak_rss_bytes": peak_memory(),
    }  # fmt: skip


def _brief(trial: Trial) -> Trial:
    """A trial whose model is as large and fast as the one that would ship, after one epoch."""
    brief = Trial(trial.recipe.model_copy(update={"epochs": 1, "patience": None}), Teller(), trial.dataset)
    row = trial.prepared.plan.folds[0]
    brief.prepare(folds=Plan(np.where(row == row.max(), 0, -1)[None], ""))
    p = brief.prepared
    brief.strategy.evaluate(p.labels, p.groups, len(p.names), p.plan)
    return brief
