"""A whole project as one zip file, and back: everything in it and nothing else, each file with its hash in `manifest.json`.

The history, the trash, imports and jobs stay behind. What comes back is checked as if a stranger had made it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import HandfulError
from handful.files import atomic_path, atomic_write, inside, to_json
from handful.projects import labels
from handful.projects.archive import Archive, ArchiveError, Limits, Member
from handful.projects.contents import Contents, Reader, need_room
from handful.projects.disk import FORMAT, read_document
from handful.words import both, reason, said

if TYPE_CHECKING:
    from handful.projects.project import Project

_BLOCK = 1 << 20
_TEXTS = ("project.json", "labels.csv", "takes.jsonl", "findings.json")
_MEDIA = re.compile(r"media/([0-9a-f]{2})/(\1[0-9a-f]{14})\.[a-z0-9]{1,5}", re.ASCII)
_RUN = re.compile(r"runs/[^/.][^/]*(/[^/.][^/]*)+")
_LEFT_OUT = (".lock", "unfinished")
_DAMAGED = "bundle.damaged.fix"


def write(project: Project, target: Path) -> None:
    """Raises: HandfulError, the zip could not be written or a file of the project is missing."""
    samples = list(project.samples)
    document = {
        "format": FORMAT, "id": project.id, "name": project.name, "modality": project.modality, "created": project.created,
        "classes": project.class_names, "saved": 0,
    }  # fmt: skip
    manifest: dict[str, Any] = {}
    now = time.localtime()[:6]
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", strict_timestamps=False) as archive:

        def put(name: str, content: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name, now), content, zipfile.ZIP_DEFLATED)
            manifest[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}

        put("project.json", (to_json(document, indent=1) + "\n").encode())
        put("labels.csv", labels.render(samples).encode())
        for name in ("takes.jsonl", "findings.json"):
            if text := inside(project.folder, name):
                put(name, text.read_bytes())
        contents = Contents(project.folder)
        media = ((f"media/{sample.file}", contents.find(sample.file)) for sample in samples)
        for name, path in chain(media, _run_files(project.runs)):
            try:
                if path is None:
                    raise FileNotFoundError
                manifest[name] = _copy(path, archive, zipfile.ZipInfo(name, now))
            except FileNotFoundError:
                raise HandfulError(*both("bundle.missing", file=name)) from None
        content = to_json({"handful": "project", "format": FORMAT, "files": manifest}, indent=1).encode()
        archive.writestr(zipfile.ZipInfo("manifest.json", now), content, zipfile.ZIP_DEFLATED)


def _run_files(runs: Path) -> Iterator[tuple[str, Path]]:
    """Files of finished runs."""
    for run in sorted(runs.iterdir()) if runs.is_dir() else ():
        if not (run / "run.json").is_file():
            continue
        for folder, folders, names in os.walk(run):
            folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                relative = f"runs/{path.relative_to(runs).as_posix()}"
                if path.is_file() and not path.is_symlink() and _RUN.fullmatch(relative):
                    yield relative, path


def _copy(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as source:
        info.file_size = path.stat().st_size
        with archive.open(info, "w") as target:
            while block := source.read(_BLOCK):
                digest.update(block)
                size += len(block)
                target.write(block)
    return {"sha256": digest.hexdigest(), "bytes": size}


def read(path: Path, folder: Path, reader: Reader, limits: Limits, name: str = "") -> None:
    """Unpack into `folder`, which is new and nobody's yet; the caller throws it away when this fails. `name`: what the user
    calls the file.

    Raises:
        ArchiveError: it is no project, or not what its manifest says; TooLarge, NoSpace: it does not fit.
    """
    with Archive(path, limits, name) as archive:
        members = {member.name: member for member in archive.members}
        manifest = _manifest(archive, members, folder)
        if strange := sorted(set(members) ^ {*manifest, "manifest.json"}):
            raise _damaged("strange", file=strange[0])
        need_room(folder, sum(member.bytes for member in archive.members), limits)
        for name, entry in manifest.items():
            if not (name in _TEXTS or _MEDIA.fullmatch(name) or _RUN.fullmatch(name)):
                raise _damaged("foreign", file=name)
            _unpack(archive, members[name], entry, folder)
    _check(folder, set(manifest), reader)
    os.sync()  # once: to wait for each of ten thousand files takes a minute


def _damaged(how: str, **values: str) -> ArchiveError:
    return ArchiveError(said(f"bundle.{how}", **values), said(_DAMAGED))


def _manifest(archive: Archive, members: dict[str, Member], folder: Path) -> dict[str, str]:
    """File name -> SHA-256."""
    if "manifest.json" not in members:
        raise ArchiveError(*both("bundle.none"))
    target = folder / "manifest.json"
    with open(target, "xb") as file:
        archive.copy(members["manifest.json"], file)
    try:
        document = json.loads(target.read_bytes())
        if document["handful"] != "project" or not isinstance(document["format"], int):
            raise ValueError
        if document["format"] > FORMAT:
            raise ArchiveError(*both("bundle.newer", format=str(document["format"]), reads=str(FORMAT)))
        return {str(name): str(entry["sha256"]) for name, entry in document["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _damaged("manifest") from None
    finally:
        target.unlink()


def _unpack(archive: Archive, member: Member, sha256: str, folder: Path) -> None:
    target = folder / member.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as file:
            archive.copy(member, file)
        with open(target, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArchiveError(*both("bundle.stuck", file=member.name, reason=reason(error))) from error
    media = _MEDIA.fullmatch(member.name)
    if found != sha256 or (media and media[2] != found[:16]):
        raise _damaged("differs", file=member.name)


def _check(folder: Path, names: set[str], reader: Reader) -> None:
    """What was unpacked is a project: its table names the media that are there, all of one kind."""
    try:
        document = read_document(folder)
        samples, problems = labels.parse((folder / "labels.csv").read_bytes())
    except (HandfulError, OSError) as error:
        why = error.message if isinstance(error, HandfulError) else said("bundle.file_missing")
        raise _damaged("unusable", why=why) from error
    media = {f"media/{sample.file}" for sample in samples}
    there = {name for name in names if name.startswith("media/")}
    if problems or media != there:
        raise _damaged("unfitting")
    for name in sorted(media):
        with open(folder / name, "rb") as file:
            kind = reader.kind_of(file.read(64))
        if kind is None or kind != (document["modality"] or kind):
            raise _damaged("other_kind", file=name)
    (folder / "media").mkdir(exist_ok=True)
    document |= {"format": FORMAT, "id": folder.name.removeprefix(".new-"), "saved": 0}
    atomic_write(folder / "labels.csv", labels.render(samples))
    atomic_write(folder / "project.json", to_json(document, indent=1) + "\n")
