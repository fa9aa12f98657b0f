"""What training would do, and how long it takes as far as earlier runs tell. Fetches nothing and trains nothing."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handful import config
from handful.config import Recipe
from handful.errors import HandfulError
from handful.reporting import plans, words
from handful.words import load, retold, said
from handful.workflow.studio import orders, records, training

if TYPE_CHECKING:
    from handful.projects import Project
    from handful.training.automatic import Choice
    from handful.workflow.studio import Studio
    from handful.workflow.studio.rehearsing import Rehearsals

OTHERS = 50  # runs of other projects that are asked
_EMBEDDING = ("decode", "export", "embed")  # stages whose results are kept, and need no time the second time
_FITTING = ("fit", "study")  # stages that take longer with more samples


def plan(
    studio: Studio, rehearsals: Rehearsals, project_id: str, settings: Mapping[str, Any], preset: str | None,
    lang: str = "en",
) -> dict[str, Any]:  # fmt: skip
    """The shape Plan of the wire. What is wrong with the settings is a problem as well, in one line.

    Where nothing is known of the time, a rehearsal begins, and the next plan knows more.
    """
    project, texts = studio.project(project_id), words.load(lang)
    counted, (kept, torn) = orders.counted(project), orders.divided(project)
    answer: dict[str, Any] = {
        "ready": False, "sentence": "", "model": None, "strategy": None, "method": None, "seconds": None, "why": "",
        "problems": [texts.text("plan.problem", message=why, hint=fix) for why, fix in plans.problems(*counted, kept)],
        "notes": plans.notes(texts, *counted, kept, torn),
    }  # fmt: skip
    if importlib.util.find_spec("onnx") is None:
        answer["problems"].append(retold(said("error.no_training"), texts))
    try:
        if preset and config.preset(preset).keys() & set(orders.RACE):
            answer |= _race(project, settings, preset, texts)
        elif len(project.samples):
            recipe = orders.recipe(project, settings, preset)
            answer |= _training(studio, rehearsals, project, recipe, texts, bool(answer["problems"]))
            answer["notes"] += answer.pop("more")
    except HandfulError as error:
        said_here = load(lang, "studio")
        answer["problems"].append(": ".join(retold(text, said_here) for text in (error.message, error.hint) if text))
    return answer | {"ready": not answer["problems"]}


def foreseen(studio: Studio, rehearsals: Rehearsals, project_id: str, wish: orders.Wish) -> float | None:
    """Seconds that a job will probably work: a training as `plan` says, a check as the last one did, else each as the other.

    None where nothing is known; what is wrong with the wish is for the order to say.
    """
    from handful.training.automatic import GRADIENT

    project = studio.project(project_id)
    if wish.kind not in ("train", "check"):
        return None
    checks = [job for job in studio.queue.list(project.id) if job.kind == "check" and job.state == "done"]
    if wish.kind == "check" and checks:
        return checks[-1].worked_seconds
    try:
        recipe = orders.recipe(project, wish.settings, wish.preset)
        choice = orders.choose(project, recipe)
    except HandfulError:
        return None
    if choice is None:
        return None
    seconds = estimate(studio, project, choice, recipe) or _timed(rehearsals, project, choice, recipe)
    if seconds is None and checks and choice.strategy not in GRADIENT:
        return checks[-1].worked_seconds  # which reads, embeds and cross-validates as well
    return seconds


def _training(
    studio: Studio, rehearsals: Rehearsals, project: Project, recipe: Recipe, texts: words.Words, hindered: bool
) -> dict[str, Any]:  # fmt: skip
    choice = orders.choose(project, recipe)
    if choice is None:
        method = orders.method(recipe.model, recipe.strategy)
        found = {"model": recipe.model, "strategy": recipe.strategy, "method": method}
        return {"sentence": plans.sentence(texts, method, None), **found, "more": []}
    seconds = estimate(studio, project, choice, recipe)
    if seconds is None and not hindered:
        seconds = _rehearsed(studio, rehearsals, project, choice, recipe)
    fetched = choice.weights is not None and not choice.weights.sha256 and choice.model.network
    name, strategy, asked = choice.model.name, choice.strategy, recipe.model != "auto" or recipe.strategy == "scratch"
    method = orders.method(name, strategy)
    return {
        "sentence": plans.sentence(texts, method, seconds), "model": name, "strategy": strategy, "method": method,
        "seconds": seconds, "why": plans.why(texts, asked, choice.weights is not None),
        "more": [plans.fetched(texts, fetched.weights_bytes)] if fetched else [],
    }  # fmt: skip


def _race(project: Project, settings: Mapping[str, Any], preset: str, texts: words.Words) -> dict[str, Any]:
    """A race takes what it is given, and its trainings cannot be foreseen."""
    orders.recipe(project, settings, preset, race=True)
    budget = settings.get("budget") or config.preset(preset).get("budget")
    seconds = config.seconds(str(budget)) if budget else None
    return {
        "sentence": plans.race(texts, training.title(preset, texts.lang), seconds),
        "seconds": seconds,
        "strategy": None,
    }


@dataclass(frozen=True)
class _Spent:
    """What an earlier run took: seconds of making embeddings, of fitting and of the rest, on how many samples and epochs."""

    embedding: float
    fitting: float
    rest: float
    samples: int
    epochs: int | None
    seen: frozenset[str]


def estimate(studio: Studio, project: Project, choice: Choice, recipe: Recipe) -> float | None:
    """Seconds from the click to the run, from earlier runs of the same model and strategy; None where there are none.

    Of this project's runs, else of other projects on this machine. Embeddings that are kept cost nothing: only samples that
    none of these runs has seen are counted.
    """
    own = [_spent(record) for record in records.all_of(project) if _alike(record, choice, project)]
    spent = own or [_spent(record) for record in _elsewhere(studio, project) if _alike(record, choice, project)]
    spent = [one for one in spent if one.samples]
    if not spent:
        return None
    n, last = len(project.samples), spent[0]
    seen = frozenset[str]().union(*(one.seen for one in own))
    fresh = sum(sample.id not in seen for sample in project.samples)
    # A run that found everything embedded says nothing of how long that takes: the slowest one does.
    each = max(one.embedding / one.samples for one in spent)
    fitting = last.fitting * n / last.samples
    if last.epochs and recipe.epochs:
        fitting *= recipe.epochs / last.epochs
    return round(_beginning(studio) + fresh * each + fitting + last.rest, 1)


def _rehearsed(
    studio: Studio, rehearsals: Rehearsals, project: Project, choice: Choice, recipe: Recipe
) -> float | None:
    """Seconds by a rehearsal, which begins where there was none; None: not known, or it would train by gradient."""
    from handful.training.automatic import GRADIENT

    fetched = choice.weights is not None and not choice.weights.sha256
    if choice.strategy in GRADIENT or fetched or studio.read_only:
        return None
    seconds = _timed(rehearsals, project, choice, recipe)
    if seconds is None:
        asked = recipe.model_dump(exclude_unset=True, exclude={"per_class", "classes"})
        rehearsals.begin(_key(project, choice, recipe), project, orders.sets(asked))
    return seconds


def _timed(rehearsals: Rehearsals, project: Project, choice: Choice, recipe: Recipe) -> float | None:
    """Seconds by a rehearsal that was made."""
    known = rehearsals.known(_key(project, choice, recipe))
    if known is None:
        return None
    return round(float(known["rest"]) + float(known["each"]) * len(project.samples), 1)


def _key(project: Project, choice: Choice, recipe: Recipe) -> str:
    weights = choice.weights.sha256 if choice.weights else ""
    named = (choice.model.name, weights, choice.strategy, project.modality, recipe.head, recipe.views, recipe.repeats)
    return "|".join(map(str, named))


def _alike(record: records.Record, choice: Choice, project: Project) -> bool:
    result = record.result
    same = (result.get("model"), result.get("strategy"), result.get("modality"))
    return same == (choice.model.name, choice.strategy, project.modality)


def _spent(record: records.Record) -> _Spent:
    seconds = record.result.get("seconds") or {}
    embedding, fitting = (sum(float(seconds.get(s) or 0.0) for s in stages) for stages in (_EMBEDDING, _FITTING))
    total = float(seconds.get("total") or 0.0)
    epochs = record.recipe.get("epochs")
    try:
        seen = frozenset(record.samples())
    except HandfulError:
        seen = frozenset()
    return _Spent(
        embedding, fitting, max(0.0, total - embedding - fitting), int(record.result.get("samples") or 0),
        epochs if isinstance(epochs, int) else None, seen,
    )  # fmt: skip


def _elsewhere(studio: Studio, project: Project) -> Iterable[records.Record]:
    """Runs of the other projects, the newest first of each."""
    found = 0
    for summary in studio.projects.list():
        if summary.id == project.id or summary.problem:
            continue
        for record in records.all_of(studio.project(summary.id)):
            found += 1
            if found > OTHERS:
                return
            yield record


def _beginning(studio: Studio) -> float:
    """Seconds that a worker takes beside what its run counts: starting, loading libraries, writing the report."""
    taken = []
    for job in studio.queue.list()[-20:]:
        if job.kind == "train" and job.state == "done" and job.attempt == 1 and job.run_folder is not None:
            try:
                counted = records.read(job.run_folder).result["seconds"]["total"]
            except (HandfulError, OSError, KeyError, TypeError):
                continue
            taken.append(max(0.0, job.worked_seconds - counted))
    return statistics.median(taken) if taken else 0.0
