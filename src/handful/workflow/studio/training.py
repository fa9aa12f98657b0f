"""Training as the studio offers it: the recipe as a form, the catalogue, augmentation to look at, and the queue of jobs.

What comes back has the shapes of the wire. Everything that can be chosen is read from the registries and the recipe, so
that a new model, head, setting or preset appears by itself.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shutil
import threading
import types
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np

from handful import config
from handful.config import Recipe
from handful.errors import DataError, HandfulError
from handful.projects import NotFound
from handful.words import both, languages, load, unpacked
from handful.workflow.studio import orders, records

if TYPE_CHECKING:
    from handful.features import Frontend
    from handful.jobs import Job
    from handful.projects import Project
    from handful.workflow.studio import Studio

_ordering = threading.Lock()  # one order at a time is compared with those before it, and numbered
_TYPES = {bool: "boolean", int: "integer", float: "number"}
_BOUNDS = (("ge", "low", "low_open", False), ("gt", "low", "low_open", True), ("le", "high", "high_open", False), ("lt", "high", "high_open", True))  # fmt: skip


# -- what can be chosen -------------------------------------------------------------------------------------------------------


def form(lang: str = "en") -> dict[str, Any]:
    """Every setting that a form asks for, in its groups; what has no words of its own says its name and description."""
    texts = _texts(lang)
    return {"fields": [_field(name, group, texts) for group, names in config.form().items() for name in names]}


@cache
def _texts(lang: str) -> dict[str, dict[str, Any]]:
    """What settings, their choices and presets are called for people who never trained a model; see `locales/recipe/`."""
    text = (resources.files("handful") / "locales" / "recipe" / f"{lang}.json").read_text(encoding="utf-8")
    return {"presets": {}, **json.loads(text)}


def labels(lang: str) -> dict[str, str]:
    """What settings are called."""
    return _texts(lang)["labels"]


def worded(name: str, value: Any, lang: str) -> Any:
    """A value of a setting as its choice is called; what is no choice stays as it is."""
    return _texts(lang)["choices"].get(name, {}).get(value, value) if isinstance(value, str) else value


def _field(name: str, group: str, texts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    from handful.training.automatic import OF_SOUNDS

    field = Recipe.model_fields[name]
    kind, choices = _kind(field.rebuild_annotation())
    # What a registry holds is offered; more than that can be written (a+b, timm/NAME).
    choices = {"head": _heads, "model": _models, "weights": lambda: ["none"]}.get(name, lambda: choices)()
    found: dict[str, Any] = {
        "name": name, "label": texts["labels"].get(name, name), "group": group, "default": field.default, "choices": choices,
        "help": texts["settings"].get(name, field.description or ""), "names": texts["choices"].get(name, {}),
        "type": "choice" if name in ("head", "weights") else kind,
        "modality": "audio" if name in OF_SOUNDS else None,
    }  # fmt: skip
    for limit in field.metadata:
        for attribute, side, openness, is_open in _BOUNDS:
            if (value := getattr(limit, attribute, None)) is not None:
                found |= {side: float(value), openness: is_open}
    return found


def _kind(annotation: Any) -> tuple[str, list[str]]:
    """(type of the form's field, choices)"""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        return _kind(next(a for a in get_args(annotation) if a is not type(None)))
    if get_origin(annotation) is Literal:
        return "choice", [str(value) for value in get_args(annotation)]
    if get_origin(annotation) is list:
        return "list", []
    return _TYPES.get(annotation, "text"), []


def _heads() -> list[str]:
    from handful.training.heads import heads

    return ["auto", *heads.names()]


def _models() -> list[str]:
    from handful.models import models

    return ["auto", *models.names()]


def presets(modality: str | None = None, lang: str = "en") -> list[dict[str, Any]]:
    """The named sets of settings that suit such data."""
    found, texts = [], _texts(lang)
    for name, content in config.presets().items():
        settings = dict(content["settings"])
        if modality is None or modality in _suited(settings):
            told = {key: content.get(key, name) for key in ("title", "summary")} | texts["presets"].get(name, {})
            found.append({
                "name": name, **told, "settings": settings, "race": bool(settings.keys() & set(orders.RACE)),
                "sets": [f"{texts['labels'].get(key, key)}: {_worded(key, value, texts)}" for key, value in settings.items()],
            })  # fmt: skip
    return found


def title(preset: str, lang: str = "en") -> str:
    """What a preset is called."""
    told = _texts(lang)["presets"].get(preset) or config.presets()[preset]
    return str(told.get("title", preset))


def _worded(name: str, value: Any, texts: Mapping[str, Mapping[str, Any]]) -> str:
    """A value of a setting as its choices are called."""
    if isinstance(value, dict):
        return "; ".join(f"{texts['labels'].get(key, key)} {_worded(key, one, texts)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(_worded(name, one, texts) for one in value)
    if name == "strategies":  # finetune:2 says how much of a network is trained
        strategy, _, detail = str(value).partition(":")
        return _worded("strategy", strategy, texts) + (f" {detail}" if detail else "")
    return str(texts["choices"].get(name, {}).get(str(value), value))


def _suited(settings: Mapping[str, Any]) -> set[str]:
    """The kinds of data that settings are for: of sounds alone where they speak of sounds, else what their models take."""
    from handful.features import frontends
    from handful.models import models
    from handful.training.automatic import OF_SOUNDS

    if settings.keys() & set(OF_SOUNDS) or settings.get("vary", {}).keys() & set(OF_SOUNDS):
        return {"audio"}
    named = [*settings.get("models", []), *([settings["model"]] if "model" in settings else [])]
    known = [set(models.get(name).modalities) for name in named if name in models]
    return set.intersection(*known) if known else set(frontends.names())


def models(modality: str | None = None) -> list[dict[str, Any]]:
    """The catalogue, with what is at hand. A model of several modalities is no modality's own: None."""
    from handful.models import models as registered
    from handful.models._weights import at_hand
    from handful.training.automatic import lacking
    from handful.workflow.catalogue import catalogue

    rows = []
    for row in catalogue(modality):
        model, own = registered.get(row["name"]), row["modality"]
        network = model.network
        rows.append({
            "name": row["name"], "family": row["family"], "modality": own[0] if len(own) == 1 else None,
            "parameters": row["parameters"], "macs": row["macs"], "blocks": row["blocks"], "top1": row["top1"],
            "licence": row["licence"], "pretrained": row["pretrained"], "extra": row["extra"] or None,
            "at_hand": network is None or not network.pretrained or at_hand(network), "tier": row.get("size"),
            "lacks": lacking(model) or None,
        })  # fmt: skip
    return rows


# -- what training will see -----------------------------------------------------------------------------------------------------


def augmentation(studio: Studio, project_id: str, sample: str | None, n: int) -> dict[str, Any]:
    """A sample as it is and `n` times as training would change it; the first sample where none is named."""
    from handful.features import frontends

    project = studio.project(project_id)
    if not len(project.samples):
        raise DataError(*both("order.nothing_to_check"))
    chosen = project.sample(sample) if sample else project.samples[0]
    path = project.path(chosen.id)
    frontend = frontends.get(str(project.modality)).suited([path], {})
    item = frontend.read(path)[0][0]
    changed = (frontend.augment(item, np.random.default_rng([int(chosen.id, 16) >> 1, view])) for view in range(n))
    return {"before": _picture(item, frontend), "after": [_picture(one, frontend) for one in changed]}


def _picture(item: np.ndarray, frontend: Frontend) -> str:
    """An item as a data URL: pictures whole, others as reports show them."""
    from PIL import Image

    content = frontend.thumbnail(item[None])
    if item.ndim == 3:
        buffer = io.BytesIO()
        Image.fromarray(item).save(buffer, "JPEG", quality=85)
        content = buffer.getvalue()
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"


# -- jobs -------------------------------------------------------------------------------------------------------------------------


def submit(studio: Studio, project_id: str, wish: orders.Wish, seconds: float | None = None) -> dict[str, Any]:
    """Queue what a page asks for; where the very same already waits or works, that job: a key held down is one wish.

    `seconds`: how long it will probably work, where that is known. Raises what `orders.order` raises.
    """
    project = studio.project(project_id)
    with _ordering:
        jobs = studio.queue.list(project.id)
        order = orders.order(project, wish, [job.run for job in jobs])
        for job in jobs:
            if job.state in ("queued", "running") and orders.same(job.words, order.args):
                return shape(job)
        job = studio.queue.submit(
            project.folder,
            wish.kind,
            order.args,
            title=order.title,
            run=order.run,
            makes_run=order.makes_run,
            expected_seconds=seconds,
        )
    sweep(studio, project)
    return shape(job)


def sweep(studio: Studio, project: Project) -> None:
    """Forget snapshots of labels that nothing needs: no run, and no job that may go on or whose findings may yet be kept."""
    jobs = studio.queue.list(project.id)
    checks = [job.id for job in jobs if job.kind == "check"]
    needed = [job for job in jobs if job.state != "done" or job.id in checks[-1:]]
    records.sweep(project, "\n".join(word for job in needed for word in job.command))


def shape(job: Job) -> dict[str, Any]:
    """The shape Job of the wire."""
    progress, hint = job.progress, (job.said or {}).get("hint")
    return {
        "id": job.id, "project": job.project, "kind": job.kind, "title": "" if job.title == job.kind else job.title,
        "number": records.number(job.run), "state": job.state,
        "position": job.position, "created": job.created, "started": job.started, "ended": job.ended,
        "progress": {"stage": progress.stage, "done": progress.done, "of": progress.of} if progress else None,
        "share": job.share, "eta_seconds": job.eta_seconds, "rss_bytes": job.rss_bytes,
        "peak_rss_bytes": job.peak_rss_bytes, "run": job.run, "error": job.error, "hint": job.hint, "told": _told(job),
        "can_accept_drop": job.state == "failed" and isinstance(hint, dict) and hint.get("key") in orders.ACCEPTABLE, "can_pause": job.can_pause, "can_resume": job.can_resume, "can_stop": job.can_stop,
    }  # fmt: skip


def _told(job: Job) -> dict[str, dict[str, str]]:
    """Error and hint in every language: what is pushed to pages cannot know theirs."""
    if not job.said:
        return {}
    said = {key: unpacked(job.said.get(key)) or "" for key in ("error", "hint")}
    return {lang: {key: load(lang, "studio").plain(text) for key, text in said.items()} for lang in languages()}


def jobs(studio: Studio, project: str | None = None) -> list[dict[str, Any]]:
    """In the order in which they were submitted."""
    return [shape(job) for job in studio.queue.list(project)]


def _there(studio: Studio, job_id: str) -> str:
    """The id of a job that there is. Raises NotFound."""
    try:
        return studio.queue.get(job_id).id
    except HandfulError as error:
        raise NotFound(error.message, error.hint) from error


def job(studio: Studio, job_id: str) -> dict[str, Any]:
    return shape(studio.queue.get(_there(studio, job_id)))


def pause(studio: Studio, job_id: str) -> dict[str, Any]:
    return shape(studio.queue.pause(_there(studio, job_id)))


def resume(studio: Studio, job_id: str) -> dict[str, Any]:
    return shape(studio.queue.resume(_there(studio, job_id)))


def stop(studio: Studio, job_id: str) -> dict[str, Any]:
    return shape(studio.queue.stop(_there(studio, job_id)))


def delete(studio: Studio, job_id: str) -> None:
    """With what a training that did not end left behind; a finished run stays."""
    job = studio.queue.get(_there(studio, job_id))
    studio.queue.delete(job_id)
    run = job.run_folder
    if job.makes_run and run is not None and run.parent.parent.name == job.project and not (run / "run.json").is_file():
        shutil.rmtree(run, ignore_errors=True)
    with contextlib.suppress(HandfulError):  # the project is gone
        sweep(studio, studio.project(job.project))


def log(studio: Studio, job_id: str, after: int) -> dict[str, Any]:
    part = studio.queue.log(_there(studio, job_id), after)
    return {"lines": [{"n": line.n, "time": line.time, "text": line.text} for line in part.lines], "next": part.next}


def series(studio: Studio, job_id: str, after: int) -> dict[str, Any]:
    found = studio.queue.series(_there(studio, job_id), after)
    return {"next": found.next, "points": found.points}
