"""Finished runs as the studio shows them: cards, what they say in words, every sample's prediction, reports and pictures.

What comes back has the shapes of the wire. Reads run directories; writes nothing into them but the user's name for a run.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import BusyError, HandfulError
from handful.files import atomic_write, to_json
from handful.projects import NotFound, clean_name
from handful.reporting import advice, evidence, page, words
from handful.reporting.evidence import Prediction
from handful.reporting.words import Name, Number, Sentence
from handful.words import Said, both, said
from handful.workflow.explain import FOLDER as EXPLANATIONS
from handful.workflow.explain import OURS
from handful.workflow.studio import orders, records, shapes
from handful.workflow.studio.comparing import comparison as comparison
from handful.workflow.studio.records import Record

if TYPE_CHECKING:
    from handful.projects import Project, Sample
    from handful.workflow.studio import Studio

DELETION = "run-"  # begins the name of a run's deletion, for undo
_STAMP = "deleted.json"


# -- cards and details --------------------------------------------------------------------------------------------------------


def cards(studio: Studio, project_id: str) -> list[dict[str, Any]]:
    """The newest first."""
    project = studio.project(project_id)
    now, found = labels_now(project), records.all_of(project)
    if not studio.read_only:
        _take_titles(studio, project, found)
    return [card(record, now) for record in found]


def _take_titles(studio: Studio, project: Project, found: list[Record]) -> None:
    """A run is called as the user called its job, also when that is forgotten."""
    if unnamed := [record for record in found if not record.named]:
        titles = {
            job.run: job.title for job in studio.queue.list(project.id) if job.makes_run and job.title != job.kind
        }
        for record in unnamed:
            if record.id in titles:
                record.rename(titles[record.id])


def labels_now(project: Project) -> str:
    return records.fingerprint((sample.id, sample.label, sample.split) for sample in project.samples)


def card(record: Record, now: str) -> dict[str, Any]:
    """The shape RunCard. `now`: fingerprint of the project's labels as they are."""
    result, model = record.result, record.path / "model.onnx"
    seconds = result.get("seconds") or {}
    return {
        "id": record.id, "name": record.name, "number": None if record.named else records.number(record.id), "created": record.created, "model": str(result.get("model", "?")),
        "strategy": str(result.get("strategy", "?")), "head": result.get("head") or None,
        "method": orders.method(str(result.get("model")), str(result.get("strategy"))), "score": tested(result),
        "macro_f1": result.get("macro_f1"), "test": score(result.get("test")), "samples": int(result.get("samples") or 0),
        "classes": [str(name) for name in result.get("classes") or []], "parameters": result.get("parameters"),
        "macs": result.get("macs"), "bytes": model.stat().st_size if model.is_file() else None,
        "latency_ms": latency_ms(record), "seconds": seconds.get("total"), "peak_rss_bytes": result.get("peak_rss_bytes"),
        "stale": record.fingerprint != now,
    }  # fmt: skip


def tested(result: dict[str, Any]) -> dict[str, Any] | None:
    """The headline as Score, with what guessing would reach where both are shares of right answers."""
    found = score(result.get("score"))
    return found and found | {"chance": words.chance(result)[0] if found["metric"] == "accuracy" else None}


def score(found: Any) -> dict[str, Any] | None:
    """The shape Score; None where nothing was measured."""
    if not isinstance(found, dict) or any(found.get(key) is None for key in ("value", "low", "high", "n")):
        return None
    kept = {key: found[key] for key in ("value", "low", "high", "n")}
    return kept | {key: str(found.get(key) or "") for key in ("metric", "method", "interval")}


def latency_ms(record: Record) -> float | None:
    """Of one file at a time, as its ONNX export was measured; None: not exported yet."""
    found: float | None = (
        measured(record.path / "exports" / "benchmark.json", shapes.Speed).get("onnx", {}).get("batch_1_ms")
    )
    return found


def measured(file: Path, shape: type[shapes.Kept]) -> dict[str, dict[str, Any]]:
    """Rows of a file that `handful export` keeps beside its files, by format; none where it is damaged."""
    found = shapes.read(file)
    rows = found.get("rows") if isinstance(found, dict) else None
    return {row["format"]: row for row in rows if shapes.fits(row, shape)} if isinstance(rows, list) else {}


def detail(studio: Studio, project_id: str, run: str, lang: str = "en") -> dict[str, Any]:
    """A run in words, with its run.json."""
    project = studio.project(project_id)
    record, texts = records.find(project, run), words.load(lang)
    result = record.result
    with shapes.readable(record.path):
        said = [texts.say(sentence) for sentence in words.verdict(result)]
        test = result.get("test") or {}
        if test.get("value") is not None:
            key = "headline.test_share" if words.right_of(test) is None else "headline.test"
            said.append(texts.text(key, **words.measured(test, "test")))
        advised, named = advice.advice(result, lang, "studio"), _named(result, words.load(lang, "studio"))
    now = {sample.id: sample.label for sample in project.samples}
    before = {sample: str(row["label"]) for sample, row in record.samples().items()}
    return {
        "card": card(record, labels_now(project)), "headline": said, "advice": advised,
        "result": result, "curve": result.get("curve"), "named": named,
        "changed": [sample for sample, label in before.items() if sample in now and now[sample] != label],
        "gone": sum(sample not in now for sample in before),
    }  # fmt: skip


def _named(result: dict[str, Any], texts: words.Words) -> dict[str, str]:
    """Technical texts of run.json in words."""
    method, why = str((result.get("score") or {}).get("method") or ""), str(result.get("why") or "")
    found = {method: words.told(result, "method", method), why: words.told(result, "why", why)}
    named = {text: texts.plain(again) for text, again in found.items() if text}
    for part in ("curve", "unknown"):
        if (row := result.get(part) or {}).get("why"):
            named[str(row["why"])] = texts.plain(words.told_why(row))
    for row in result.get("shortcuts") or []:
        named[str(row.get("name", ""))] = texts.plain(words.shortcut_name(row))
    return named


def rename(studio: Studio, project_id: str, run: str, name: str) -> dict[str, Any]:
    project = studio.project(project_id)
    record = records.find(project, run)
    record.rename(clean_name(name, "model") if name.strip() else record.name)
    _tell(studio, project)
    return card(record, labels_now(project))


def _tell(studio: Studio, project: Project) -> None:
    """Runs changed without a job."""
    studio.runs_changed(project.id)
    studio.publish("project", {"id": project.id, "revision": project.revision})


# -- deleting, and taking that back --------------------------------------------------------------------------------------------


def delete(studio: Studio, project_id: str, run: str) -> dict[str, Any]:
    """Into the project's trash; `restore` brings it back. Raises BusyError while a job uses it."""
    from handful.workflow.studio import collect

    project = studio.project(project_id)
    path, name = records.folder(project, run), _called(project, run)
    for job in studio.queue.list(project.id):
        if job.run == run and job.active:
            raise BusyError(*both("error.run_busy", name=name))
    named = (path / records.NAME).is_file()
    target = project.folder / records.TRASH / "runs" / run
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, target)
    stamp = {"name": name, "number": None if named else records.number(run), "revision": project.revision}
    atomic_write(target / _STAMP, to_json(stamp) + "\n")
    _tell(studio, project)
    return {
        "said": deletion_said("change.run_deleted", stamp), "action": DELETION + run, "project": collect.project(studio, project_id),
    }  # fmt: skip


def _called(project: Project, run: str) -> str:
    """The name of a run; its id where it is damaged."""
    try:
        return records.find(project, run).name
    except HandfulError:
        return run


def deletion(project: Project) -> dict[str, Any] | None:
    """The deletion of a run that undo would take back, where that was the project's last change: the shape Change."""
    place = _deleted_last(project)
    if place is None:
        return None
    stamp = _stamp(place)
    return {
        "kind": "delete-run", "action": DELETION + place.name, "name": str(stamp["name"]), "number": stamp.get("number"),
    }  # fmt: skip


def undo_deletion(studio: Studio, project_id: str) -> dict[str, Any] | None:
    """Bring back the run whose deletion was the project's last change; None where that was something else."""
    place = _deleted_last(studio.project(project_id))
    return restore(studio, project_id, place.name) if place else None


def _deleted_last(project: Project) -> Path | None:
    """In the trash, the run deleted last, unless something else was changed since."""
    stamps = [path.parent for path in (project.folder / records.TRASH / "runs").glob(f"*/{_STAMP}")]
    newest = max(stamps, key=lambda place: (place / _STAMP).stat().st_mtime_ns, default=None)
    return newest if newest and _stamp(newest).get("revision") == project.revision else None


def _stamp(place: Path) -> dict[str, Any]:
    found = shapes.read(place / _STAMP)
    return found if isinstance(found, dict) and "name" in found else {}


def restore(studio: Studio, project_id: str, run: str) -> dict[str, Any]:
    """Raises NotFound where the trash has no such run."""
    from handful.workflow.studio import collect

    project = studio.project(project_id)
    place = project.folder / records.TRASH / "runs" / run
    if not records.RUN_ID.fullmatch(run) or not (place / "run.json").is_file() or (project.runs / run).exists():
        raise NotFound(*both("error.run_not_in_trash"))
    stamp = _stamp(place) or {"name": run}
    (place / _STAMP).unlink(missing_ok=True)
    project.runs.mkdir(exist_ok=True)
    os.replace(place, project.runs / run)
    _tell(studio, project)
    return {
        "said": deletion_said("change.run_restored", stamp), "action": None, "project": collect.project(studio, project_id),
    }  # fmt: skip


def deletion_said(key: str, stamp: Mapping[str, Any]) -> Said:
    """What became of a run that nobody named is said by its number."""
    number = stamp.get("number")
    return said(key, name=str(stamp.get("name")) if number is None else Sentence("plan.numbered", {"number": number}))


# -- what it says of samples ---------------------------------------------------------------------------------------------------


def predictions(
    studio: Studio,
    project_id: str,
    run: str,
    true: str | None,
    predicted: str | None,
    wrong: bool,
    sort: str,
    limit: int,
) -> list[dict[str, Any]]:
    """What a model that had not seen it said of each sample, filtered by the label it had then and by what was said.

    The first `limit` of them; run.json's confusion matrix says how many there are.

    `sort`: "doubt" (least probability given to its own label first), "confidence" (surest first) or "file".
    """
    project = studio.project(project_id)
    record = records.find(project, run)
    there = {sample.id: sample for sample in project.samples}
    found = [
        (sample, said)
        for sample, said in record.predictions().items()
        if (true is None or said.label == true)
        and (predicted is None or said.predicted == predicted)
        and not (wrong and said.right)
    ]
    found.sort(key=lambda item: _order(item[1], sort))
    return [_said(sample, said, there.get(sample)) for sample, said in found[:limit]]


def _order(said: Prediction, sort: str) -> tuple[float, str]:
    first = {"doubt": said.own, "confidence": -said.confidence, "file": 0.0}
    return first[sort], said.file


def _said(sample: str, said: Prediction, now: Sample | None) -> dict[str, Any]:
    from handful.workflow.studio.indexing import sample_row

    return {
        "sample": sample_row(now) if now else None, "id": sample, "file": now.name if now else said.file,
        "true": said.label, "predicted": said.predicted, "confidence": said.confidence, "scores": said.scores,
    }  # fmt: skip


def embedding_map(studio: Studio, project_id: str, run: str | None) -> dict[str, Any]:
    """Samples that are still there, where a run's embeddings place them; of the newest run that has such places."""
    project = studio.project(project_id)
    candidates = [records.find(project, run)] if run else records.all_of(project)
    record = next((record for record in candidates if record.result.get("map")), None)
    if record is None:
        return {"run": None, "points": [], "explained": []}
    places, said = record.samples(), record.predictions()
    points = []
    for sample in project.samples:
        if (place := places.get(sample.id, {}).get("map")) is not None:
            guess = said.get(sample.id)
            points.append({
                "id": sample.id, "label": sample.label, "x": place[0], "y": place[1],
                "predicted": guess.predicted if guess else None,
            })  # fmt: skip
    return {"run": record.id, "points": points, "explained": record.result["map"].get("explained") or []}


# -- reports and explanations --------------------------------------------------------------------------------------------------


def report(studio: Studio, project_id: str, run: str, lang: str = "en") -> str:
    """The report as HTML: the run's own where it is in this language, else made now."""
    record = records.find(studio.project(project_id), run)
    own = record.path / "report.html"
    with shapes.readable(record.path):
        if own.is_file():
            text = own.read_text(encoding="utf-8")
            if re.search(rf'<html[^>]*\slang="{lang}"', text[:500]):
                return text
        return page.render(evidence.read(record.path), words.load(lang))


def explanations(studio: Studio, project_id: str, run: str, lang: str = "en") -> list[dict[str, Any]]:
    """What explain jobs left with the run."""
    project = studio.project(project_id)
    record, texts = records.find(project, run), words.load(lang)
    rows = shapes.read(record.path / "explanations.json")
    kept = [row for row in rows if shapes.fits(row, shapes.Explanation)] if isinstance(rows, list) else []
    ids = {str(row["file"]): sample for sample, row in record.samples().items()}
    there = {sample.id: sample for sample in project.samples}
    return [_explained(row, texts, ids, there) for row in kept if row["overlay"]]


def _explained(
    row: dict[str, Any], texts: words.Words, ids: dict[str, str], there: dict[str, Sample]
) -> dict[str, Any]:
    file, label, predicted = str(row["file"]), row.get("label"), str(row["predicted"])
    stem = Path(file).stem
    sample = ids.get(file) or (stem if stem in there else None)
    known = "explain.right" if label == predicted else "explain.wrong" if label is not None else "explain.unlabelled"
    sure = Number(row["confidence"], "percent")
    said = [texts.text(known, label=Name(str(label)), predicted=Name(predicted), confidence=sure)]
    if test := row.get("deletion"):
        values = {key: Number(test[key], "drop") for key in ("salient", "random")}
        said.append(texts.text("explain.passed" if test["passed"] else "explain.failed", **values))
    now = there.get(sample) if sample else None
    return {
        "sample": now.id if now else None, "file": now.name if now else file, "label": "" if label is None else str(label),
        "predicted": predicted, "confidence": row["confidence"], "method": str(row["method"]),
        "original": _below(row["before"]), "picture": _below(row["overlay"]),
        "sound": _below(row["filtered"]) if row.get("filtered") else None, "words": ". ".join(said),
    }  # fmt: skip


def _below(name: Any) -> str:
    return str(name).removeprefix(f"{EXPLANATIONS}/")


def explanation(studio: Studio, project_id: str, run: str, name: str) -> Path:
    """The file of a picture or sound. Raises NotFound."""
    path = records.find(studio.project(project_id), run).path / EXPLANATIONS / name
    if not OURS.fullmatch(name) or not path.is_file():
        raise NotFound(*both("error.no_picture"))
    return path
