"""Collecting: projects, classes, samples and takes, in the shapes of the wire. Each change is one that undo takes back."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import DataError, HandfulError, MissingExtra, UsageError
from handful.folders import KEPT, left_behind
from handful.words import both, said
from handful.workflow.studio import checking, pictures
from handful.workflow.studio.indexing import sample_row

if TYPE_CHECKING:
    from handful.projects import Action, Project
    from handful.workflow.studio import Studio

_SAMPLES = {
    "digits": ("Handwritten digits", "image", "write_digits"), "sounds": ("Generated sounds", "audio", "write_sounds"),
}  # fmt: skip
_MAKE = """
import sys, pathlib
from handful.errors import MissingExtra
from handful.workflow.demo import {write}
try:
    {write}(pathlib.Path(sys.argv[1]))
except MissingExtra:
    sys.exit(3)
"""


# -- projects ----------------------------------------------------------------------------------------------------------


def cards(studio: Studio) -> list[dict[str, Any]]:
    """All projects, the last changed first. Those that cannot be opened are there too, with the reason as their name says."""
    return [
        {
            "id": row.id, "name": row.name, "modality": row.modality, "classes": row.classes, "samples": row.samples,
            "updated": row.updated, "covers": list(row.covers), "busy": studio.queue.busy(row.id), **studio.best(row.id),
        }
        for row in studio.projects.list()
    ]  # fmt: skip


def create(studio: Studio, name: str, modality: str | None = None) -> dict[str, Any]:
    return _shape(studio.projects.create(name, modality))


def create_sample(studio: Studio, kind: str) -> dict[str, Any]:
    """A project with handwritten digits, or with sounds that are generated and called so; no network is needed.

    Raises:
        MissingExtra: the digits come with scikit-learn.
    """
    name, modality, write = _SAMPLES[kind]
    with tempfile.TemporaryDirectory(prefix=".upload-", dir=studio.upload_folder()) as folder:
        # In a process of its own: scikit-learn's memory would stay for as long as the studio.
        made = subprocess.run(
            [sys.executable, "-c", _MAKE.format(write=write), folder], capture_output=True, text=True, check=False
        )
        if made.returncode == 3:
            raise MissingExtra(said("extra.digits"), "learn", said("extra.digits_without"))
        if made.returncode:
            raise HandfulError(*both("error.sample_unmade", why=made.stderr.strip()[-200:]))
        project = studio.projects.create(name, modality)
        bring = project.begin_import()
        for path in sorted(Path(folder).rglob("*.*")):
            with open(path, "rb") as file:
                bring.receive(path.relative_to(folder).as_posix(), file, path.stat().st_size)
        bring.confirm()
    return _shape(project)


def project(studio: Studio, project: str) -> dict[str, Any]:
    return _shape(studio.project(project))


def rename(studio: Studio, project: str, name: str) -> dict[str, Any]:
    opened = studio.project(project)
    opened.rename(name)
    return _shape(opened)


def delete(studio: Studio, project: str) -> None:
    """Raises BusyError while a job of it runs (faults: 42)."""
    studio.project(project)
    studio.queue.forget(project)
    studio.projects.delete(project)
    studio.project_gone(project)


def recover(studio: Studio, project: str) -> dict[str, Any]:
    """Bring back a project that was deleted."""
    opened = studio.projects.recover(project)
    studio.runs_changed(opened.id)
    return _shape(opened)


def undo(studio: Studio, project: str, action: str | None = None) -> dict[str, Any]:
    """Take back the change called `action`, or whichever was the last. Raises Outdated: it is not the last one any more."""
    from handful.workflow.studio import runs

    if action is None and (done := runs.undo_deletion(studio, project)):
        return done
    if action is not None and action.startswith(runs.DELETION):
        return runs.restore(studio, project, action.removeprefix(runs.DELETION))  # it stands in nobody's way
    return change(studio, project, lambda opened: opened.undo(None if action is None else int(action)))


def redo(studio: Studio, project: str, action: str | None = None) -> dict[str, Any]:
    """As `undo`."""
    return change(studio, project, lambda opened: opened.redo(None if action is None else int(action)))


def trash(studio: Studio, project: str) -> dict[str, Any]:
    files, size = studio.project(project).trash
    return {"files": files, "bytes": size}


def empty_trash(studio: Studio, project: str) -> dict[str, Any]:
    """Deleted samples and runs are gone for good, and with them what could be undone. The one change without a way back."""
    from handful.workflow.studio import training

    opened = studio.project(project)
    opened.empty_trash()
    training.sweep(studio, opened)
    return {"said": said("change.trash_emptied"), "action": None, "project": _shape(opened)}


def archive(studio: Studio, project: str) -> tuple[Path, str]:
    """(the project as one file, which the caller deletes; a name for it)."""
    opened = studio.project(project)
    handle, name = tempfile.mkstemp(".zip", ".upload-", studio.upload_folder())
    os.close(handle)
    try:
        path = studio.projects.archive(project, Path(name))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path, f"{opened.name}.handful.zip"


def import_archive(studio: Studio, content: bytes | Path, name: str) -> dict[str, Any]:
    """`name`: what the user calls the file."""
    with on_disk(studio, content) as path:
        opened = studio.projects.restore(path, name)
        studio.runs_changed(opened.id)
        return _shape(opened)


@contextlib.contextmanager
def on_disk(studio: Studio, content: bytes | Path) -> Iterator[Path]:
    """Bytes as a file for the length of a block; a file as it is."""
    if isinstance(content, Path):
        yield content
        return
    with tempfile.NamedTemporaryFile(prefix=".upload-", dir=studio.upload_folder()) as file:
        file.write(content)
        file.flush()
        yield Path(file.name)


# -- classes and samples -----------------------------------------------------------------------------------------------


def change(studio: Studio, project: str, make: Callable[[Project], Action]) -> dict[str, Any]:
    """A change, in the shape of the wire: what happened in words, and the project as it stands."""
    opened = studio.project(project)
    action = make(opened)
    return done(opened, action)


def done(opened: Project, action: Action, words: str = "") -> dict[str, Any]:
    """The shape Done of the wire."""
    named = None if action.kind == "nothing" else str(action.seq)
    return {"said": words or action.words, "action": named, "project": _shape(opened)}


def add_class(studio: Studio, project: str, name: str) -> dict[str, Any]:
    return change(studio, project, lambda opened: opened.add_class(name))


def rename_class(studio: Studio, project: str, name: str, to: str) -> dict[str, Any]:
    return change(studio, project, lambda opened: opened.rename_class(name, to))


def merge_classes(studio: Studio, project: str, names: Sequence[str], to: str) -> dict[str, Any]:
    return change(studio, project, lambda opened: opened.merge_classes(names, to))


def delete_class(studio: Studio, project: str, name: str) -> dict[str, Any]:
    return change(studio, project, lambda opened: opened.delete_class(name))


def move(studio: Studio, project: str, ids: Sequence[str], label: str) -> dict[str, Any]:
    return change(studio, project, lambda opened: opened.move(ids, label))


def delete_samples(studio: Studio, project: str, ids: Sequence[str]) -> dict[str, Any]:
    return change(studio, project, lambda opened: opened.delete(ids))


def group(studio: Studio, project: str, ids: Sequence[str], group: str) -> dict[str, Any]:
    return change(studio, project, lambda opened: opened.set_group(ids, group))


def split(studio: Studio, project: str, ids: Sequence[str], split: str) -> dict[str, Any]:
    return change(studio, project, lambda opened: opened.set_split(ids, split))


def page(
    studio: Studio, project: str, label: str | None, query: str, ids: Sequence[str] | None, split: str | None, sort: str,
    offset: int, limit: int,
) -> dict[str, Any]:  # fmt: skip
    """Samples from `offset`: of one class, with `query` in name, class or take, or those of `ids`, in their order.

    split: "validation" or "test"; "train": all others.
    sort: "added"; "name"; "doubt": those that findings name first, likely wrong labels before all.
    """
    opened = studio.project(project)
    kept: Sequence[Any] = opened.samples
    if ids is not None:
        wanted = {sample.id: sample for sample in kept}
        kept = [wanted[i] for i in dict.fromkeys(ids) if i in wanted]
    if label is not None:
        kept = [sample for sample in kept if sample.label == label]
    if split is not None:
        kept = [sample for sample in kept if (sample.split if sample.split in KEPT else "train") == split]
    if query.strip():
        text = query.strip().casefold()
        kept = [
            s for s in kept if text in s.name.casefold() or text in s.label.casefold() or text in s.group.casefold()
        ]
    flags = checking.flags(studio, opened)
    if sort == "name":
        kept = sorted(kept, key=lambda sample: (sample.name.casefold(), sample.id))
    elif sort == "doubt":
        last = len(flags)
        places = {sample: place for place, sample in enumerate(flags)}
        kept = sorted(kept, key=lambda sample: places.get(sample.id, last))
    part = kept[offset : offset + limit]
    glimpses = pictures.glimpses(studio, [sample.id for sample in part])
    rows = [sample_row(s) | {"flags": flags.get(s.id, []), "glimpse": glimpses.get(s.id, "")} for s in part]
    return {"total": len(kept), "offset": offset, "samples": rows}


def file(studio: Studio, project: str, sample: str) -> tuple[Path, str]:
    """(the file as it was added, the name it came with)."""
    opened = studio.project(project)
    found = opened.sample(sample)
    path, name = opened.path(sample), Path(found.name).name or found.id
    return path, name if name.lower().endswith(f".{found.suffix}") else f"{name}.{found.suffix}"


def _shape(opened: Project) -> dict[str, Any]:
    from handful.workflow.studio import runs

    classes, deletion = opened.classes, runs.deletion(opened)
    alone = Counter(sample.label for sample in opened.samples if not sample.group)
    kept = Counter((sample.label, sample.split) for sample in opened.samples if sample.split in KEPT)
    return {
        "id": opened.id, "name": opened.name, "modality": opened.modality,
        "classes": [
            {"name": c.name, "count": c.count, "takes": c.takes, "sources": c.takes + alone[c.name],
             "validation": kept[c.name, "validation"], "test": kept[c.name, "test"]}
            for c in classes
        ],
        "samples": sum(c.count for c in classes), "takes": len({s.group for s in opened.samples if s.group}),
        "created": opened.created, "updated": opened.updated, "revision": opened.revision, 
        "undo": runs.deletion_said("change.delete-run", deletion) if deletion else opened.undo_words, "redo": opened.redo_words,
        "undo_change": deletion or _change(opened.undoable),
        "redo_change": _change(opened.redoable), "runs": sum(1 for _ in opened.runs.glob("*/run.json")), "folder": str(opened.folder),
    }  # fmt: skip


def _change(action: Action | None) -> dict[str, Any] | None:
    if action is None:
        return None
    values = {key: value for key, value in action.values.items() if key in ("n", "name", "to")}
    return {
        "kind": action.kind,
        "action": str(action.seq),
        **values,
        "names": list(action.values.get("names", ()))[:20],
    }


# -- a folder given on the command line --------------------------------------------------------------------------------


def bring_folder(studio: Studio, data: Path) -> tuple[str, str]:
    """(project, import): a new project called as the folder, whose files are ready to be confirmed.

    Raises:
        UsageError: there is no such folder.
        DataError: nothing in it can be used.
    """
    from handful.projects import NoSpace

    if not data.is_dir():
        raise UsageError(*both("error.no_folder", folder=str(data)))
    project = studio.projects.create(data.absolute().name or "data")
    bring = project.begin_import()
    taken = 0
    try:
        for path in _regular(data):
            try:
                with open(path, "rb") as file:
                    taken += len(bring.receive(path.relative_to(data).as_posix(), file, path.stat().st_size).files)
            except NoSpace:
                raise
            except (HandfulError, OSError):
                continue  # the preview tells what was left out
        if not taken:
            raise DataError(*both("error.no_media_in", folder=str(data)))
    except BaseException:
        delete(studio, project.id)
        raise
    return project.id, bring.id


def _regular(folder: Path) -> Iterator[Path]:
    """Regular files below `folder`, in order of their names; links are not followed."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not left_behind(name))
        for name in sorted(names):
            path = Path(place) / name
            if not left_behind(name) and not path.is_symlink() and path.is_file():
                yield path
