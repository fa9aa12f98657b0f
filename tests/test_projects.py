"""Projects: plain files, changes that are whole and can be taken back, and nothing that a stranger's file can do to them."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import random
import re
import shutil
import struct
import tempfile
import threading
import unicodedata
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handful.data import media
from handful.data.scan import load_data
from handful.errors import BusyError, FileError, HandfulError
from handful.projects import (
    ArchiveError,
    Duplicate,
    ImportChoice,
    Limits,
    NewFile,
    NoSpace,
    NotFound,
    Outdated,
    Project,
    ProjectError,
    Projects,
    Sample,
    TooLarge,
    history,
    similar,
)
from handful.projects.history import History
from handful.projects.imports import Import, _Names
from handful.projects.labels import HEADER, parse, render


def png(number: int) -> bytes:
    """A picture of its own for each number."""
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def size_of(path: Path) -> dict[str, Any]:
    try:
        with Image.open(path) as image:
            image.load()
            return {"width": image.width, "height": image.height}
    except (OSError, SyntaxError) as error:
        raise FileError(f"{path} cannot be decoded", "replace it") from error


def wav(hz: int) -> bytes:
    wave = (8000 * np.sin(np.arange(800) * hz / 1000)).astype("<i2").tobytes()
    head = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data" + struct.pack("<I", len(wave))
    return b"RIFF" + struct.pack("<I", 4 + len(head) + len(wave)) + b"WAVE" + head + wave


def opened(folder: Path, **settings: Any) -> Projects:
    return Projects(folder, media.sniff, size_of, **settings)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is room: these tests wait for a disk a thousand times."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < 1 << 30:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="handful-tests-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def projects(tmp_path: Path) -> Iterator[Projects]:
    found = opened(tmp_path / "projects")
    yield found
    found.close()


@pytest.fixture
def project(projects: Projects) -> Project:
    """Three cats, two dogs."""
    made = projects.create("Pets")
    made.add_all([NewFile(png(i), "cat" if i < 3 else "dog", f"{i}.png") for i in range(5)])
    return made


def restart(projects: Projects, project: Project) -> tuple[Projects, Project]:
    projects.close()
    again = opened(projects.folder)
    return again, again.open(project.id)


def on_disk(project: Project) -> tuple[bytes, list[str], list[str], str]:
    """Everything that a project is: its table, its classes, its media, its name."""
    files = sorted(p.relative_to(project.media).as_posix() for p in project.media.rglob("*") if p.is_file())
    document = json.loads((project.folder / "project.json").read_text())
    return project.labels.read_bytes(), document["classes"], files, document["name"]


def tree(folder: Path) -> dict[str, str]:
    """Hashes of all files below a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


CHANGES: dict[str, Callable[[Project], Any]] = {
    "add": lambda p: p.add(png(50), "cat", "new.png"),
    "add to a new class": lambda p: p.add(png(50), "bird", "new.png"),
    "several": lambda p: p.add_all([NewFile(png(60 + i), "bird") for i in range(3)]),
    "take": lambda p: p.add(png(50), "cat", take=p.begin_take("cat", "webcam").id),
    "move": lambda p: p.move([s.id for s in p.samples[1:4]], "dog"),
    "move to a new class": lambda p: p.move([p.samples[1].id], "bird"),
    "relabel": lambda p: p.relabel({p.samples[0].id: "dog", p.samples[4].id: "cat"}),
    "delete": lambda p: p.delete([p.samples[0].id, p.samples[3].id]),
    "group": lambda p: p.set_group([p.samples[0].id, p.samples[1].id], "one day"),
    "split": lambda p: p.set_split([p.samples[0].id, p.samples[4].id], "test"),
    "class": lambda p: p.add_class("bird"),
    "rename a class": lambda p: p.rename_class("cat", "lion"),
    "merge": lambda p: p.merge_classes(["cat", "dog"], "dog"),
    "merge into a new class": lambda p: p.merge_classes(["cat", "dog"], "pet"),
    "delete a class": lambda p: p.delete_class("cat"),
    "rename": lambda p: p.rename("Animals"),
}  # fmt: skip


# -- changes and undo --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("stop", [False, True], ids=["", "restarted"])
def test_every_change_is_undone_and_redone_to_the_byte(
    projects: Projects, project: Project, change: Callable[[Project], Any], stop: bool
) -> None:
    before = on_disk(project)
    change(project)
    projects.close() if stop else None
    after = on_disk(project)
    assert after != before
    if stop:
        projects, project = restart(projects, project)
        assert on_disk(project) == after
    words = project.undo_words
    project.undo()
    assert on_disk(project) == before and project.redo_words == words
    if stop:
        projects, project = restart(projects, project)
    project.redo()
    assert on_disk(project) == after and project.undo_words == words
    projects.close()


def change_at_random(project: Project, rng: random.Random, number: int) -> None:
    ids, known = [s.id for s in project.samples], project.class_names
    some = rng.sample(ids, min(rng.randint(1, 3), len(ids)))
    match rng.randrange(7):
        case 0 | 1:
            project.add(png(100 + number), rng.choice([*known, f"class {number}"]), f"{number}.png")
        case 2:
            project.move(some, rng.choice([*known, "elsewhere"]))
        case 3:
            project.delete(some)
        case 4:
            project.set_group(some, f"day {number % 3}")
        case 5:
            project.set_split(some, rng.choice(["", "train", "validation", "test"]))
        case 6:
            project.merge_classes(rng.sample(known, min(2, len(known))), rng.choice([*known, f"name {number}"]))


def test_any_number_of_changes_is_taken_back_one_by_one(projects: Projects, project: Project) -> None:
    rng = random.Random(0)
    projects, project = restart(projects, project)
    seen = [on_disk(project)]
    for number in range(50):
        revision = project.revision
        with contextlib.suppress(NotFound):
            change_at_random(project, rng, number)
        if project.revision != revision:
            projects, project = restart(projects, project)
            seen.append(on_disk(project))
    assert len(seen) > 30
    for wanted in reversed(seen[:-1]):
        project.undo()
        assert on_disk(project) == wanted
        if rng.random() < 0.3:
            projects, project = restart(projects, project)
    for wanted in seen[1:]:
        project.redo()
        assert on_disk(project) == wanted
    projects.close()


def test_a_new_change_forgets_what_could_be_redone(project: Project) -> None:
    project.move([project.samples[0].id], "dog")
    project.undo()
    assert project.redo_words == "move 1 sample to “dog”"
    project.add_class("bird")
    with pytest.raises(ProjectError, match="nothing to redo"):
        project.redo()


def test_undo_takes_back_the_change_that_is_meant_or_none(projects: Projects, project: Project) -> None:
    older = project.move([project.samples[0].id], "dog")
    newer = project.add_class("bird")
    seen = on_disk(project)
    with pytest.raises(Outdated, match="add the class “bird”") as caught:
        project.undo(older.seq)
    assert caught.value.hint and on_disk(project) == seen
    projects, project = restart(projects, project)
    assert project.undo(newer.seq).seq == newer.seq and project.undo(older.seq).seq == older.seq
    with pytest.raises(Outdated, match="move 1 sample"):
        project.redo(newer.seq)
    assert project.redo(older.seq).seq == older.seq and project.samples[0].label == "dog"
    projects.close()


def test_nothing_to_change_is_no_change(project: Project) -> None:
    revision, first = project.revision, project.samples[0]
    said = [project.move([first.id], first.label), project.rename_class("cat", "cat"), project.rename("Pets")]
    assert [action.kind for action in said] == ["nothing"] * 3 and project.revision == revision
    with pytest.raises(NotFound):
        project.move(["0123456789abcdef"], "dog")
    with pytest.raises(ProjectError, match="merge the two"):
        project.rename_class("cat", "dog")


def test_samples_of_a_take_share_its_group_and_are_one_change(projects: Projects, project: Project) -> None:
    take = project.begin_take("cat", "webcam", "a camera")
    before = on_disk(project)
    for number in range(4):
        project.add(png(200 + number), take.label, f"{number}.png", take=take.id)
        if number == 1:
            projects, project = restart(projects, project)
    assert [s.group for s in project.samples[-4:]] == [take.id] * 4
    assert project.undo_words == "record 4 samples of “cat”" and project.takes == [take]
    second = project.begin_take("cat", "webcam")
    assert second.id != take.id
    project.undo()
    assert on_disk(project)[0] == before[0] and len(project.samples) == 5
    projects.close()


def test_the_same_content_is_refused_with_its_class(project: Project) -> None:
    found = project.add(png(1), "dog", "copy.png")
    assert isinstance(found, Duplicate) and found.sample.label == "cat" and len(project.samples) == 5


def test_what_is_no_media_is_refused_and_leaves_nothing(project: Project) -> None:
    before = tree(project.folder)
    for content, why in [(b"", "empty"), (b"hello", "not a picture"), (wav(5), "is a sound"), (png(9)[:40], "decoded")]:
        with pytest.raises(FileError, match=why) as caught:
            project.add(content, "cat", "x.png")
        assert str(project.folder) not in caught.value.message and "x.png" in caught.value.message
    assert tree(project.folder) == before


def test_the_trash_can_be_emptied_and_the_history_with_it(project: Project) -> None:
    project.delete([project.samples[0].id])
    revision = project.revision
    assert project.trash == (1, len(png(0)))
    assert project.empty_trash() == len(png(0)) and project.undo_words is None
    assert project.revision > revision and len(project.samples) == 4
    assert isinstance(project.add(png(0), "cat"), Sample) and project.trash == (0, 0)


@pytest.fixture
def three_undoable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "UNDOABLE", 3)


@pytest.mark.usefixtures("three_undoable")
def test_a_long_history_keeps_the_last_actions_and_the_trash(projects: Projects, project: Project) -> None:
    gone = project.samples[0]
    project.delete([gone.id])
    states, largest = [on_disk(project)], 0
    for number in range(20):
        action = (
            project.rename(f"name {number}")
            if number % 2
            else project.move([project.samples[number % 4].id], f"c{number}")
        )
        states.append(on_disk(project))
        largest = max(largest, len((project.folder / "history.jsonl").read_text().splitlines()))
        assert project.undoable == action and project.revision == action.seq
    assert largest <= 5  # three, what lies between, and the line that begins
    projects, project = restart(projects, project)
    for wanted in reversed(states[-4:-1]):
        project.undo()
        assert on_disk(project) == wanted
    for wanted in states[-3:]:
        project.redo()
        assert on_disk(project) == wanted
    assert project.trash[0] == 1 and not project.has(gone.id)
    projects.close()


@pytest.mark.usefixtures("three_undoable")
def test_undo_and_redo_survive_a_shorter_history(projects: Projects, project: Project) -> None:
    """What was taken back and made again names older actions; those stay until nothing names them."""
    rng, seen = random.Random(1), [on_disk(project)]
    place = 0
    for number in range(120):
        way = rng.random()
        if way < 0.3 and project.undoable and place and project.undoable.kind == "rename":
            project.undo()
            place -= 1
            assert on_disk(project) == seen[place], number
        elif way < 0.5 and project.redoable:
            project.redo()
            place += 1
            assert on_disk(project) == seen[place], number
        else:
            project.rename(f"name {number}")
            place += 1
            seen[place:] = [on_disk(project)]
        if number % 10 == 0:
            projects, project = restart(projects, project)
            assert on_disk(project) == seen[place] and project.problems == []
    projects.close()


def test_a_deleted_project_comes_back_whole_until_it_is_old(projects: Projects, project: Project) -> None:
    before = tree(project.folder)
    first = projects.delete(project.id)
    assert not projects.list() and first.is_dir()
    back = projects.recover(project.id)
    assert tree(back.folder) == before and back.undo_words
    for name in (project.id, "../..", "x"):
        with pytest.raises(NotFound):
            projects.recover(name)
    old = projects.delete(project.id)
    old = old.rename(old.with_name(f"{project.id}-{10**18}"))  # in 2001
    young = projects.delete(projects.create("Young").id)
    projects.close()
    again = opened(projects.folder)
    for thread in threading.enumerate():
        if thread.name == "handful-trash":
            thread.join()
    assert not old.exists() and young.is_dir()
    again.close()


def test_a_project_of_ten_thousand_is_read_whole(projects: Projects) -> None:
    made = projects.create("Many", "image")
    names = [hashlib.sha256(str(i).encode()).hexdigest()[:16] for i in range(10_000)]
    samples = [Sample(n, f"{i}.png", f"c{i % 7}", "", "png", 9, 1e9 + i, width=3) for i, n in enumerate(names)]
    projects.close()
    made.labels.write_text(render(samples))
    again, made = restart(projects, made)
    assert list(made.samples) == samples and made.labels.read_text() == render(samples)
    assert {c.name: c.count for c in made.classes}["c0"] == 1429
    again.close()


def test_changes_from_many_threads_are_all_there(projects: Projects, project: Project) -> None:
    def work(number: int) -> None:
        for i in range(5):
            project.add(png(1000 + number * 10 + i), f"c{number}", take=None)
            project.move([project.samples[0].id], f"c{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    projects.close()
    after = on_disk(project)
    projects, project = restart(projects, project)
    assert len(project.samples) == 35 and on_disk(project) == after
    assert sorted(s.added for s in project.samples) == [s.added for s in project.samples]
    projects.close()


def test_listeners_hear_of_every_change(tmp_path: Path) -> None:
    heard: list[int] = []
    with_listener = opened(tmp_path, changed=lambda project: heard.append(project.revision))
    made = with_listener.create("x")
    made.add(png(1), "a")
    made.rename("y")
    made.undo()
    assert heard == [1, 2, 3]
    with_listener.close()


# -- death and disks ---------------------------------------------------------------------------------------------------


class Nth:
    """Counts calls of the operating system that make things durable; the `number`-th does `instead`."""

    def __init__(self, number: int, instead: Callable[[], None]) -> None:
        self.number, self.instead, self.count = number, instead, 0

    def wrap(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self.number:
                self.instead()
            return real(*args, **kwargs)

        return call


def die_at(number: int, work: Callable[[], None]) -> int:
    """Fork a child that does `work` and dies without a word at its `number`-th durable call; its exit status."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child touches no thread
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        counting = Nth(number, lambda: os._exit(137))
        for name in ("fsync", "replace", "link", "truncate", "sync", "mkdir", "unlink", "rmdir"):
            setattr(os, name, counting.wrap(getattr(os, name)))
        work()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.parametrize(
    "name", ["add", "move", "delete", "merge", "delete a class", "undo", "import", "shorten", "empty the trash"]
)
def test_killed_at_any_moment_a_project_is_the_old_one_or_the_new_one(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "UNDOABLE", 1 if name == "shorten" else 1000)
    fresh = opened(tmp_path / "first")
    made = fresh.create("Pets")
    made.add_all([NewFile(png(i), "cat" if i < 3 else "dog", f"{i}.png") for i in range(5)])
    made.delete([made.samples[1].id])
    staged = made.begin_import()
    for i in range(3):
        staged.receive(f"new/bird/{i}.png", png(300 + i))
    fresh.close()

    def change(made: Project) -> None:
        if name == "undo":
            made.undo()
        elif name == "import":
            made.open_import(made.imports[0]).confirm()
        elif name == "shorten":
            made.move([made.samples[0].id], "dog")
        elif name == "empty the trash":
            made.move([made.samples[0].id], "dog")
            made.empty_trash()
        else:
            CHANGES[name](made)

    def state(made: Project) -> tuple[list[tuple[str, str]], list[str], bool]:
        there = all(made.path(s.id).read_bytes() and s.id == sha(made.path(s.id)) for s in made.samples)
        return [(s.id, s.label) for s in made.samples], made.class_names, there

    def sha(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]

    seen = []
    for number in range(1, 100):
        folder = tmp_path / str(number)
        shutil.copytree(fresh.folder, folder)

        def work(folder: Path = folder) -> None:
            fresh = opened(folder)
            change(fresh.open(made.id))
            fresh.close()

        status = die_at(number, work)
        again = opened(folder)
        found = again.open(made.id)
        seen.append(state(found))
        assert found.problems == [] and not list(found.folder.rglob("imports/.*"))
        assert parse(found.labels.read_bytes())[0] == list(found.samples)
        if found.undo_words:
            found.undo()  # the history goes on
        again.close()
        if status == 0:
            break
        assert status == 137
    old, new = seen[0], seen[-1]
    assert number > 4 and old != new and old[2] and new[2]
    assert all(one in (old, new) for one in seen), f"after call {[one in (old, new) for one in seen].index(False) + 1}"


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("name", ["add", "move", "delete", "delete a class", "rename a class"])
def test_a_full_disk_at_any_moment_changes_nothing(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = 0
    fresh = opened(tmp_path / "first")
    first = fresh.create("Pets")
    first.add_all([NewFile(png(i), "cat" if i < 3 else "dog", f"{i}.png") for i in range(5)])
    fresh.close()
    for number in range(1, 60):
        shutil.copytree(fresh.folder, tmp_path / f"{number}")
        full = opened(tmp_path / f"{number}")
        made = full.open(first.id)
        before = list(made.samples), made.class_names, made.undo_words, made.revision
        full_disk = OSError(errno.ENOSPC, "No space left on device")
        counting = Nth(number, lambda error=full_disk: raise_(error))
        with monkeypatch.context() as patch:
            for call in ("fsync", "replace"):
                patch.setattr(os, call, counting.wrap(getattr(os, call)))
            try:
                CHANGES[name](made)
                after = list(made.samples), made.class_names, made.undo_words, made.revision
            except HandfulError as error:
                failed += 1
                after = before
                assert error.hint and (list(made.samples), made.class_names, made.undo_words, made.revision) == before
                assert on_disk(made)[2] == sorted(s.file for s in made.samples), (
                    "what came in for nothing stays nowhere"
                )
        full, made = restart(full, made)
        assert (list(made.samples), made.class_names, made.undo_words, made.revision) == after
        assert all(made.path(s.id).is_file() for s in made.samples)
        full.close()
        if counting.count < number:
            break
    assert failed >= 2


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_on_a_full_disk_projects_are_still_let_go_and_deleted(
    projects: Projects, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be saved is in the history, so that nobody is kept from closing."""
    other = projects.create("Others")
    for one in (project, other):
        one.add(png(70), "cat", "late.png")  # joins the table, and waits for the document
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        trashed = projects.delete(other.id)
        projects.close()
    assert (trashed / "history.jsonl").is_file()
    with pytest.raises(ProjectError):
        project.add(png(71), "cat")
    again = opened(projects.folder)
    assert len(again.open(project.id).samples) == 6 and len(again.recover(other.id).samples) == 1
    again.close()


def test_what_cannot_be_made_for_want_of_room_leaves_nothing(
    projects: Projects, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(p.name for p in projects.folder.iterdir())
    for call in ("replace", "mkdir", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full_disk)
            with pytest.raises(HandfulError) as error:
                projects.create("Too much")
        assert error.value.hint and sorted(p.name for p in projects.folder.iterdir()) == before, call


def test_files_of_the_other_kind_come_to_nothing_even_when_both_come_first(projects: Projects) -> None:
    """Two tabs bring the first file of a project, each of its kind: whoever is second is refused and leaves no file."""
    project = projects.create("New")
    picture, sound = project.begin_import(), project.begin_import()
    picture.receive("a/1.png", png(1))
    sound.receive("b/1.png", png(2))
    first, second = (
        list(one._chosen(one._plan(ImportChoice()), _Names(ImportChoice()), True)) for one in (picture, sound)
    )
    project.insert(first)
    with pytest.raises(ProjectError):
        project.insert([replace(second[0], modality="audio")])
    assert on_disk(project)[2] == [s.file for s in project.samples] and len(project.samples) == 1


def test_a_line_after_a_torn_one_is_whole(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk may be so full, or so broken, that not even half a line can be taken back."""
    bring = project.begin_import()
    bring.receive("bird/1.png", png(80))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        for stuck in (
            lambda: bring.receive("bird/2.png", png(81)),
            lambda: project.move([project.samples[0].id], "dog"),
        ):
            with pytest.raises(HandfulError):
                stuck()
    for name in ("history.jsonl", f"imports/{bring.id}/received.jsonl"):
        with open(project.folder / name, "ab") as file:
            file.write(b'{"seq": 99, "half a li')
    bring.receive("bird/3.png", png(82))
    project.move([project.samples[1].id], "dog")
    again = History(project.folder / "history.jsonl")
    assert not again.damaged and again.undoable == project.undoable
    anew = Import(project, project.folder / "imports" / bring.id)
    assert anew.preview().received == ["bird/1.png", "bird/3.png"]


def test_a_torn_or_damaged_history_never_keeps_a_project_from_opening(projects: Projects, project: Project) -> None:
    samples = list(project.samples)
    project.add_class("bird")
    log = project.folder / "history.jsonl"
    projects.close()
    with open(log, "ab") as file:
        file.write(b'{"seq": 99, "do": "del')
    projects, project = restart(projects, project)
    assert project.undo_words == "add the class “bird”" and project.problems == []
    projects.close()
    log.write_bytes(log.read_bytes()[:20] + b"\x00\xff" + log.read_bytes()[22:])
    projects, project = restart(projects, project)
    assert list(project.samples) == samples and project.undo_words is None and "put aside" in project.problems[0]
    revision = project.revision
    project.rename("again")
    assert project.revision == revision + 1
    projects.close()


def test_random_damage_to_its_files_is_an_answer_and_nothing_else(projects: Projects, project: Project) -> None:
    project.begin_take("cat", "webcam")
    project.move([project.samples[0].id], "dog")
    project.delete([project.samples[2].id])
    project.undo()
    projects.close()
    folder, rng = project.folder, random.Random(1)
    files = ["project.json", "labels.csv", "history.jsonl", "takes.jsonl"]
    good = {name: (folder / name).read_bytes() for name in files}
    outcomes = Counter[str]()
    for _ in range(300):
        for name, content in good.items():
            (folder / name).write_bytes(content)
        name = rng.choice(files)
        if rng.random() < 0.5:  # as after a crash: the last changes are not yet in the table
            (folder / "project.json").write_bytes(re.sub(rb'"saved": \d+', b'"saved": 1', good["project.json"]))
        content = bytearray((folder / name).read_bytes())
        if rng.random() < 0.2:
            del content[rng.randrange(len(content)) :]
        else:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (folder / name).write_bytes(content)
        again = opened(projects.folder)
        try:
            found = again.open(project.id)
            found.rename("again")
            outcomes["opened"] += 1
            while found.undo_words:
                found.undo()
        except HandfulError as error:
            outcomes["refused"] += 1
            assert error.hint
        again.close()
    assert outcomes["opened"] > 150 and outcomes.total() >= 300


def test_a_lost_table_is_made_again_from_the_history(projects: Projects, project: Project) -> None:
    project.move([project.samples[0].id], "dog")
    projects.close()
    before = project.labels.read_bytes()
    project.labels.unlink()
    projects, project = restart(projects, project)
    assert project.labels.read_bytes() == before and "made again" in project.problems[0]
    projects.close()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_that_a_spreadsheet_saved_is_read(
    projects: Projects, project: Project, encoding: str, delimiter: str
) -> None:
    projects.close()
    rows = list(csv.DictReader(io.StringIO(project.labels.read_text())))
    rows[0]["label"] = "кошка"
    text = io.StringIO()
    table = csv.DictWriter(text, ["label", "file_name", "added", "original", "bytes"], delimiter=delimiter,
                           extrasaction="ignore", lineterminator="\r\n")  # fmt: skip
    table.writeheader()
    table.writerows(rows)
    project.labels.write_bytes(text.getvalue().encode(encoding))
    projects, project = restart(projects, project)
    assert project.samples[0].label == "кошка" and project.class_names == ["cat", "dog", "кошка"]
    assert len(project.samples) == 5 and project.labels.read_text().startswith(HEADER)
    projects.close()


def test_what_another_program_writes_meanwhile_is_kept_aside(projects: Projects, project: Project) -> None:
    theirs = project.labels.read_bytes().replace(b"cat", b"CAT") + b"and more"
    project.labels.write_bytes(theirs)
    project.add(png(70), "cat", "new.png")
    assert (project.folder / "labels.edited.csv").read_bytes() == theirs and "another program" in project.problems[0]
    assert parse(project.labels.read_bytes())[0] == list(project.samples)


def test_a_second_process_is_told_who_holds_the_projects(projects: Projects, project: Project) -> None:
    with pytest.raises(BusyError, match=f"pid {os.getpid()}"):
        opened(projects.folder)
    looking = opened(projects.folder, write=False)
    seen = looking.open(project.id)
    assert list(seen.samples) == list(project.samples) and looking.list()[0].samples == 5
    with pytest.raises(ProjectError, match="reading only"):
        seen.rename("x")
    project.rename("later")
    assert looking.open(project.id).name == "later" and looking.list()[0].name == "later"
    looking.close()


# -- names -------------------------------------------------------------------------------------------------------------

NAMES = [
    "=cmd|' /C calc'!A0", "'=x", "''=x", "'", "'a", "-1", "+1", "@x", "None", "nan", "true", "1e5", "007", "__proto__", "train",
    'a,b;"c"', "a\tb", "a\nb", "a\x00b", "\x1b[31mred", "\u202egnp", "a\u200bb", "кот", "猫", "🐱" * 50, "CON", "../x", "a/b", "%s{}",
    "--help", "$(id)", "e\u0301", "\udcff",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_survives_the_table_and_no_spreadsheet_runs_it(
    projects: Projects, project: Project, name: str, tmp_path: Path
) -> None:
    project.add(png(70), name, name, name)
    shown = project.samples[-1].label
    assert shown in (unicodedata.normalize("NFC", name), name.encode("unicode_escape", "surrogatepass").decode())
    kept = project.samples[-1]
    assert (kept.name, kept.group) == (shown, shown)
    row = list(csv.reader(io.StringIO(project.labels.read_text(encoding="utf-8"))))[-1]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row) and len(row) == 12
    projects, project = restart(projects, project)
    assert project.samples[-1] == kept and project.class_names[-1] == shown
    # The table given back as an import says the same.
    other = projects.create("other")
    bring = other.begin_import()
    bring.receive(f"media/{kept.file}", project.path(kept.id).read_bytes())
    bring.receive("labels.csv", project.labels.read_bytes())
    bring.confirm(ImportChoice(table="labels.csv"))
    assert [(s.label, s.group) for s in other.samples] == [(shown, shown)]
    projects.close()


@pytest.mark.parametrize("name", ["", "  ", "\u200b", "\u200b \n", "x" * 201])
def test_names_that_cannot_be_are_refused(project: Project, name: str) -> None:
    with pytest.raises(ProjectError):
        project.add_class(name)
    with pytest.raises(ProjectError):
        project.move([project.samples[0].id], name)
    with pytest.raises(ProjectError):
        project.rename(name)


def test_one_spelling_in_unicode_is_one_class(project: Project) -> None:
    project.add(png(70), "caf\u00e9")
    project.add(png(71), "cafe\u0301")
    assert [c.name for c in project.classes if c.name.startswith("caf")] == ["caf\u00e9"]
    with pytest.raises(ProjectError, match="already"):
        project.add_class("cafe\u0301")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("Cat", "cat"), (" cat ", "cat"), ("c\u200bat", "cat"), ("с\u0430t", "cat"), ("cat/", "cat"), ("elephnat", "elephant"),
     ("elephants", "elephant"), ("dog", None), ("class 2", None), ("cat", None), ("2", None)],
)  # fmt: skip
def test_near_misses_are_proposed_and_numbers_are_not(name: str, meant: str | None) -> None:
    assert similar(name, ["cat", "elephant", "class 1", "1"]) == meant


@pytest.mark.parametrize("name", ["../x", "..", ".", "", "a/b", "/etc", "x" * 12 + "\n", ".trash", "A" * 12, "\0" * 12])
def test_ids_of_projects_are_never_paths(projects: Projects, project: Project, name: str) -> None:
    (projects.folder.parent / "x").mkdir(exist_ok=True)
    (projects.folder.parent / "x" / "project.json").write_text("{}")
    for use in (projects.open, projects.delete, projects.summary, project.open_import, project.sample, project.take):
        with pytest.raises(NotFound):
            use(name)


def test_deleted_projects_go_to_the_trash_beside(projects: Projects, project: Project) -> None:
    before = set(tree(project.folder))
    place = projects.delete(project.id)
    assert projects.list() == [] and set(tree(place)) == before
    with pytest.raises(ProjectError):
        project.rename("x")


def test_a_list_of_projects_shows_what_is_broken(projects: Projects, project: Project) -> None:
    broken, newer = projects.create("broken"), projects.create("newer")
    projects.close()
    (broken.folder / "project.json").write_text("{")
    document = json.loads((newer.folder / "project.json").read_text())
    (newer.folder / "project.json").write_text(json.dumps(document | {"format": 2}))
    again = opened(projects.folder)
    found = {summary.id: summary for summary in again.list()}
    assert found[project.id].samples == 5 and len(found[project.id].covers) == 4
    assert "cannot be read" in str(found[broken.id].problem) and "format 2" in str(found[newer.id].problem)
    before = tree(newer.folder)
    with pytest.raises(ProjectError, match="this release reads 1"):
        again.open(newer.id)
    assert tree(newer.folder) == before
    again.close()


def test_training_reads_a_project_as_it_is(project: Project) -> None:
    project.set_group([project.samples[0].id], "take-1")
    data = load_data(project.media, labels=project.labels)
    assert {(s.sha256[:16], s.label, s.group) for s in data.samples} == {
        (s.id, s.label, s.group) for s in project.samples
    }


# -- imports -----------------------------------------------------------------------------------------------------------


def zipped(members: dict[str, bytes], **settings: Any) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", **settings) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def labels_of(project: Project) -> dict[str, str]:
    return {sample.name: sample.label for sample in project.samples}


def test_folders_give_classes_after_a_preview_and_one_undo_takes_all_back(projects: Projects) -> None:
    made = projects.create("Pets")
    bring = made.begin_import()
    for number in range(12):
        bring.receive(f"photos/{'cat' if number % 2 else 'dog'}/{number}.png", png(number))
    bring.receive("photos/notes.txt", b"hello")
    bring.receive("photos/loose.png", png(99))
    bring.receive("photos/cat/song.wav", wav(3))
    bring.receive("photos/dog/again.png", png(0))
    bring.receive("photos/cat/broken.png", png(5)[:50])
    seen = bring.preview()
    assert made.revision == 0 and not list(made.samples)
    assert [(c.name, c.count, c.exists) for c in seen.classes] == [("cat", 6, False), ("dog", 6, False)]
    assert (seen.modality, seen.unlabelled, seen.duplicates, seen.problem) == ("image", 1, 1, None)
    assert {r.path.split("/")[-1] for r in seen.rejects} == {"notes.txt", "song.wav", "broken.png"}
    assert all(r.reason.startswith(r.path) and str(made.folder) not in r.reason for r in seen.rejects)
    done = bring.confirm(ImportChoice(classes={"dog": "hound"}))
    assert (done.added, done.duplicates, done.left_out) == (12, 1, 1)
    assert [c.name for c in made.classes] == ["cat", "hound"] and made.undo_words == "import 12 samples"
    assert [s.name for s in made.samples if s.label == "cat"] == ["1.png", "3.png", "5.png", "7.png", "9.png", "11.png"]
    assert not list((made.folder / "imports").iterdir())
    made.undo()
    assert made.labels.read_text() == HEADER and made.class_names == [] and made.modality is None


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (["cat/1.png", "dog/2.png"], ["cat", "dog"]),
        (["photos/cat/1.png", "photos/dog/2.png", "photos/3.png"], ["cat", "dog", None]),
        (["a/b/cat/1.png", "a/b/dog/2.png"], ["cat", "dog"]),
        (["cat/1.png", "cat/2.png"], ["cat", "cat"]),
        (["1.png", "cat/2.png"], [None, "cat"]),
        (["train/cat/1.png", "test/cat/2.png"], ["cat", "cat"]),
        (["cat\\1.png", "C:\\dog\\2.png"], ["cat", "dog"]),
        (["birds/robin/monday/1.png", "birds/wren/2.png"], ["robin", "wren"]),
        (["train/robin/monday/1.png", "val/wren/2.png"], ["robin", "wren"]),
        (["test/robin/1.png", "other/wren/2.png"], ["test", "other"]),
        (["caf\u00e9/1.png", "cafe\u0301/2.png"], ["caf\u00e9", "caf\u00e9"]),
    ],
)
def test_the_first_folder_is_the_class_as_in_training(
    projects: Projects, paths: list[str], wanted: list[str | None]
) -> None:
    made = projects.create("x")
    bring = made.begin_import()
    for number, path in enumerate(paths):
        bring.receive(path, png(number))
    bring.confirm(ImportChoice(unlabelled="(none)"))
    assert [labels_of(made)[f"{i}.png"] for i in range(1, len(paths) + 1) if f"{i}.png" in labels_of(made)] == [
        label or "(none)" for label in wanted
    ]


@pytest.mark.parametrize(
    "path",
    ["../../evil.png", "/etc/evil.png", "C:\\evil.png", "..\\..\\evil.png", "a/../../evil.png", "cat/\x00evil.png",
     "cat/\nevil.png", "x" * 5000 + ".png", "cat/CON.png", "~/evil.png", "cat/-rf.png", "\u202egnp.live"],
    ids=ascii,
)  # fmt: skip
def test_no_path_of_an_upload_leads_anywhere(projects: Projects, path: str) -> None:
    made = projects.create("x")
    outside = tree(projects.folder.parent)
    bring = made.begin_import()
    bring.receive(path, png(1))
    bring.confirm(ImportChoice(unlabelled="loose"))
    (sample,) = made.samples
    assert made.path(sample.id).read_bytes() == png(1) and made.media in made.path(sample.id).parents
    changed = {name for name in tree(projects.folder.parent) if name not in outside}
    assert all(name.startswith(f"projects/{made.id}/") for name in changed) and len(sample.name) <= 300


LEFT = (
    "__MACOSX/cat/1.png", "cat/.DS_Store", "cat/Thumbs.db", "cat/THUMBS.DB", "cat/desktop.ini", "cat/._1.png", "cat/Icon\r", "@eaDir/1.png",
    "System Volume Information/x", "$RECYCLE.BIN/1.png", ".hidden/2.png",
)  # fmt: skip


def test_what_systems_leave_behind_is_nobody_s_data(project: Project, tmp_path: Path) -> None:
    """One list for the studio and for `handful train`."""
    bring = project.begin_import()
    for number, path in enumerate(LEFT):
        bring.receive(path, png(1500 + number) if number % 2 else b"")
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / path).write_bytes(png(1500 + number) if number % 2 else b"")
    for number in range(2):
        bring.receive(f"cat/{number}.png", png(1600 + number))
        (tmp_path / "data" / "cat" / f"{number}.png").write_bytes(png(1600 + number))
    seen = bring.preview()
    assert (seen.files, seen.rejects, seen.unlabelled, seen.skipped) == (2, [], 0, len(LEFT))
    assert [c.name for c in seen.classes] == ["cat"]
    found = load_data(tmp_path / "data")
    assert [s.file for s in found.samples] == ["cat/0.png", "cat/1.png"] and not found.findings and not found.ignored


def parts_of(project: Project) -> dict[str, str]:
    return {sample.name: sample.split for sample in project.samples}


def test_folders_of_train_and_test_stay_apart(projects: Projects, tmp_path: Path) -> None:
    """As `handful train` on the same folders, and on what the studio made of them."""
    data = tmp_path / "data"
    made = projects.create("Pets")
    bring = made.begin_import()
    paths = [
        f"{part}/{name}/{part}{n}.png"
        for part in ("Train", "val", "testing")
        for name in ("cat", "dog")
        for n in range(2)
    ]
    for number, path in enumerate(paths):
        bring.receive(f"data/{path}", png(1700 + number))
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_bytes(png(1700 + number))
    assert bring.preview().parts == {"train": 4, "validation": 4, "test": 4}
    bring.confirm()
    wanted = {s.sha256[:16]: (s.label, s.split) for s in load_data(data).samples}
    assert {s.id: (s.label, s.split) for s in made.samples} == wanted and len(wanted) == 12
    read = load_data(made.media, labels=made.labels)
    assert {s.sha256[:16]: (s.label, s.split) for s in read.samples} == wanted
    made.undo()
    made.redo()
    archive = projects.archive(made.id, tmp_path / "pets.zip")
    assert {s.id: (s.label, s.split) for s in projects.restore(archive).samples} == wanted
    again, made = restart(projects, made)
    assert {s.id: (s.label, s.split) for s in made.samples} == wanted
    again.close()


def test_archives_called_train_and_test_are_parts(projects: Projects) -> None:
    made = projects.create("Pets")
    bring = made.begin_import()
    for number, part in enumerate(("train", "test")):
        bring.receive(
            f"{part}.zip",
            zipped({f"{name}/{part}.png": png(1900 + number * 10 + len(name)) for name in ("cat", "goat")}),
        )
    assert [(c.name, c.count) for c in bring.preview().classes] == [("cat", 2), ("goat", 2)]
    bring.confirm()
    assert {(s.name, s.split) for s in made.samples} == {("train.png", "train"), ("test.png", "test")}


def test_a_column_split_is_kept_unless_it_is_not_wanted(projects: Projects) -> None:
    for keep in (True, False):
        made = projects.create("Pets")
        bring = made.begin_import()
        for number in range(4):
            bring.receive(f"{number}.png", png(1800 + number))
        bring.receive("t.csv", b"file,label,split\n0.png,a,TRAIN\n1.png,b,dev\n2.png,a,test\n3.png,b,elsewhere\n")
        (table,) = bring.preview().tables
        assert table.parts == {"train": 1, "validation": 1, "test": 1}
        bring.confirm(ImportChoice(table="t.csv", keep_parts=keep))
        parts = ("train", "validation", "test", "") if keep else [""] * 4
        assert parts_of(made) == {f"{number}.png": part for number, part in enumerate(parts)}


def test_a_project_without_parts_is_read_and_changed(projects: Projects, project: Project) -> None:
    """Made before there was a column for them."""
    project.delete([project.samples[4].id])
    projects.close()
    lines = project.labels.read_text().splitlines()
    project.labels.write_text("".join(line.rpartition(",")[0] + "\n" for line in lines))
    log = project.folder / "history.jsonl"
    old = [json.loads(line) for line in log.read_text().splitlines()]
    for line in old:
        for key in ("add", "remove"):
            line["change"][key] = [row[:11] for row in line["change"].get(key, [])]
    log.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in old))
    projects, project = restart(projects, project)
    project.undo()
    assert project.problems == [] and len(project.samples) == 5 and project.labels.read_text().startswith(HEADER)
    assert set(parts_of(project).values()) == {""}
    projects.close()


def test_near_misses_are_proposed_and_never_merged_silently(project: Project) -> None:
    bring = project.begin_import()
    for number, name in enumerate(["Cat", " cat", "c\u200bat", "dog", "Elephant", "elephant", "elephant"]):
        bring.receive(f"x/{name}/{number}.png", png(400 + number))
    found = {c.name: c for c in bring.preview().classes}
    assert (found["Cat"].exists, found["Cat"].similar) == (False, "cat")
    assert found["c\u200bat"].similar == "cat" and found["dog"].exists
    assert found["Elephant"].similar == "elephant" and found["elephant"].similar is None
    bring.confirm(ImportChoice(classes={"Elephant": "elephant", "c\u200bat": ""}))
    assert [c.name for c in project.classes] == ["cat", "dog", "Cat", "elephant"]


def test_a_folder_for_each_of_many_files_is_planned(project: Project) -> None:
    """F-29: neither classes nor rows are compared each with each, which would take hours here."""
    from handful.projects.planning import Entry, plan
    from handful.projects.tables import understand

    names = [f"subject {number:05d}" for number in range(10_000)]
    entries = [Entry(f"{name}/1.png", "image", name, f"{number:064x}"[::-1]) for number, name in enumerate(names)]
    made = plan(project, [*entries, Entry("Subject00007/2.png", "image", "x", "f" * 64)], None)
    assert len(made.classes) == 10_001 and made.problem is None
    assert [(c.name, c.similar) for c in made.classes if c.similar] == [("subject 00007", "Subject00007")]
    rows = [[f"elsewhere/{name}/1.png", "cat"] for name in names] + [["subject 00003/1.png", "dog"]]
    found = understand("labels.csv", ["file_name", "label"], rows, [f"data/{entry.path}" for entry in entries])
    assert found.labels == {"data/subject 00003/1.png": ("dog", "", "")} and found.missing == len(names)


def test_the_same_content_in_two_classes_of_an_import_is_said(project: Project) -> None:
    bring = project.begin_import()
    bring.receive("x/bird/b.png", png(500))
    bring.receive("x/fish/c.png", png(500))
    seen = bring.preview()
    assert (seen.duplicates, seen.twice) == (1, 1) and [r.path for r in seen.rejects] == ["x/fish/c.png"]
    assert [(t.path, t.label, t.there) for t in seen.torn] == [("x/fish/c.png", "fish", "bird")]
    assert "class bird" in seen.rejects[0].reason


@pytest.mark.parametrize("loose", ["a.png", "z.png"], ids=["first", "last"])
def test_a_loose_copy_never_takes_the_place_of_what_has_a_class(project: Project, loose: str) -> None:
    bring = project.begin_import()
    for path, number in ((loose, 500), ("bird/m.png", 500), ("fish/n.png", 501), ("cat/0.png", 0), ("b.png", 0)):
        bring.receive(path, png(number))
    seen = bring.preview()
    assert (seen.duplicates, seen.twice, seen.unlabelled, seen.rejects, seen.elsewhere) == (3, 1, 0, [], [])
    assert [(one.path, one.label, one.first, one.there) for one in seen.torn] == [(loose, "", "bird/m.png", "bird")]
    done = bring.confirm(ImportChoice(unlabelled="dog"))
    assert done.added == 2 and [s.label for s in project.samples[-2:]] == ["bird", "fish"]
    assert done.words == "imported 2 samples; 2 in the project already; 1 twice in what came"


def test_a_loose_file_beside_a_folder_of_classes_hides_none_of_them(project: Project) -> None:
    bring = project.begin_import()
    for number, path in enumerate(["pets/bird/1.png", "pets/fish/2.png", "3.png"]):
        bring.receive(path, png(610 + number))
    seen = bring.preview()
    assert [(found.name, found.count) for found in seen.classes] == [("bird", 1), ("fish", 1)] and seen.unlabelled == 1


def test_loose_files_of_one_name_are_all_kept(projects: Projects, project: Project) -> None:
    """As two cameras call their photos: together, later, and before a restart."""
    bring = project.begin_import()
    for number in (600, 601, 600):
        bring.receive("IMG_1.png", png(number))
    assert bring.preview().received == ["IMG_1.png", "IMG_1 (2).png"]
    projects, project = restart(projects, project)
    bring = project.open_import(bring.id)
    for number in (601, 602, 0):  # one that came already, one that is new, one that the project has
        bring.receive("IMG_1.png", png(number))
    seen = bring.preview()
    assert (seen.files, seen.unlabelled, seen.duplicates) == (4, 3, 1)
    assert bring.confirm(ImportChoice(unlabelled="dog")).added == 3
    added = project.samples[-3:]
    assert len({s.id for s in added}) == 3 and {s.label for s in added} == {"dog"}
    projects.close()


@pytest.mark.parametrize("move", [False, True])
def test_what_is_here_in_another_class_stays_or_moves_as_was_chosen(project: Project, move: bool) -> None:
    bring = project.begin_import()
    for number, name in ((0, "dog"), (1, "cat"), (2, "lion"), (500, "dog")):
        bring.receive(f"x/{name}/{number}.png", png(number))
    before = on_disk(project)
    seen = bring.preview()
    assert [(one.path, one.there, one.label) for one in seen.elsewhere] == [
        ("x/dog/0.png", "cat", "dog"),
        ("x/lion/2.png", "cat", "lion"),
    ]
    assert seen.duplicates == 3 and seen.rejects == [] and seen.problem is None
    done = bring.confirm(ImportChoice(classes={"lion": "tiger"}, move=move))
    assert (done.added, done.moved, done.duplicates) == (1, 2 if move else 0, 1 if move else 3)
    labels = ["dog", "cat", "tiger"] if move else ["cat"] * 3
    assert [s.label for s in project.samples] == [*labels, "dog", "dog", "dog"]
    project.undo(done.action.seq)
    assert on_disk(project) == before
    project.redo()
    assert [s.label for s in project.samples][:3] == labels


def test_an_import_may_only_move(project: Project) -> None:
    for move in (False, True):
        bring = project.begin_import()
        bring.receive("1.png", png(1))  # dropped on a class
        assert bring.preview().problem == "everything is in the project already"
        if not move:
            with pytest.raises(ProjectError, match="already"):
                bring.confirm(ImportChoice(unlabelled="dog"))
            bring.drop()
    done = bring.confirm(ImportChoice(unlabelled="dog", move=True))
    assert (done.added, done.moved, project.samples[1].label) == (0, 1, "dog")
    assert project.undo_words == "relabel 1 sample"


def test_an_import_goes_on_after_an_interruption(projects: Projects, project: Project) -> None:
    bring = project.begin_import()
    bring.receive("x/bird/1.png", png(600))
    bring.receive("y.zip", zipped({"fish/2.png": png(601)}))
    with open(project.folder / "imports" / bring.id / "received.jsonl", "a") as log:
        log.write('{"path": "x/bird/torn')
    (project.folder / "imports" / bring.id / "files" / "0123456789abcdef").write_bytes(b"half")
    projects, project = restart(projects, project)
    assert project.imports == [bring.id]
    bring = project.open_import(bring.id)
    assert bring.preview().received == ["x/bird/1.png", "y.zip", "y.zip/fish/2.png"]
    assert len(list((project.folder / "imports" / bring.id / "files").iterdir())) == 2
    bring.receive("x/bird/3.png", png(602))
    assert bring.confirm().added == 3 and project.imports == []
    for use in (bring.confirm, bring.preview):
        with pytest.raises(NotFound):
            use()
    with pytest.raises(NotFound):
        bring.receive("x/bird/4.png", png(603))
    projects.close()


def test_an_upload_that_comes_too_late_leaves_nothing(project: Project) -> None:
    bring = project.begin_import()
    late = io.BytesIO(png(700))
    reading = late.read
    late.read = lambda size=-1: (bring.drop(), reading(size))[1]  # type: ignore[method-assign]
    with pytest.raises(NotFound):
        bring.receive("cat/1.png", late)
    assert project.imports == [] and not list((project.folder / "imports").iterdir())


def test_media_are_copied_where_there_are_no_links(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", lambda *_: raise_(OSError(errno.EPERM, "no links here")))
    project.add(png(70), "cat")
    bring = project.begin_import()
    for number in range(10):
        bring.receive(f"bird/{number}.png", png(710 + number))
    bring.confirm()
    assert [project.path(s.id).read_bytes() for s in project.samples[-10:]] == [png(710 + n) for n in range(10)]
    assert not [p for p in project.media.rglob("*") if p.is_file() and p.name.startswith(".")]


def test_a_dropped_import_leaves_nothing(project: Project) -> None:
    before = tree(project.folder)
    bring = project.begin_import()
    bring.receive("cat/1.png", png(700))
    bring.drop()
    assert tree(project.folder) == before and project.imports == []
    with pytest.raises(NotFound):
        project.open_import(bring.id)


@pytest.mark.parametrize(
    ("limits", "size", "error"),
    [(Limits(file_bytes=200), None, TooLarge), (Limits(file_bytes=200), 10**12, TooLarge), (Limits(total_bytes=300), None, TooLarge),
     (Limits(files=1), None, TooLarge), (Limits(keep_free=1 << 60), None, NoSpace)],
)  # fmt: skip
def test_imports_are_bounded_and_what_is_over_leaves_nothing(
    tmp_path: Path, limits: Limits, size: int | None, error: type[HandfulError]
) -> None:
    bounded = opened(tmp_path, limits=limits)
    bring = bounded.create("x").begin_import()
    small = b"\x89PNG\r\n\x1a\n"
    with contextlib.suppress(NoSpace):
        bring.receive("cat/0.txt", small)
    before = tree(tmp_path)
    with pytest.raises(error) as caught:
        bring.receive("cat/1.png", io.BytesIO(png(1) + bytes(100)), size)
    assert caught.value.hint and tree(tmp_path) == before
    bounded.close()


def test_an_upload_that_breaks_off_leaves_nothing(project: Project) -> None:
    class Broken(io.RawIOBase):
        sent = False

        def read(self, size: int = -1) -> bytes:
            if self.sent:
                raise ConnectionResetError
            self.sent = True
            return png(1)

    bring = project.begin_import()
    before = tree(project.folder)
    with pytest.raises(HandfulError):
        bring.receive("cat/1.png", Broken())  # type: ignore[arg-type]
    assert tree(project.folder) == before and bring.preview().received == []


# -- labels tables -----------------------------------------------------------------------------------------------------

ROWS = [("1.png", "кот"), ("sub/2.png", "пёс"), ("3.png", "кот"), ("gone.png", "кот")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_labels_table_is_recognised_whatever_wrote_it(
    project: Project, delimiter: str, encoding: str, ending: str
) -> None:
    text = ending.join([f'"File_Name"{delimiter}Label', *(f'{a}{delimiter}"{b}"' for a, b in ROWS)]) + ending
    bring = project.begin_import()
    bring.receive("set/labels.csv", text.encode(encoding))
    for number, path in enumerate(("set/1.png", "set/sub/2.png", "set/sub/3.png", "set/extra.png")):
        bring.receive(path, png(800 + number))
    (table,) = bring.preview().tables
    assert (table.file_column, table.label_column, table.matched, table.missing) == ("File_Name", "Label", 3, 1)
    assert table.delimiter == delimiter and table.encoding == encoding.replace("-sig", "") and table.problem is None
    assert table.rows == [list(row) for row in ROWS]
    done = bring.confirm(ImportChoice(table="set/labels.csv"))
    assert (done.added, done.left_out) == (3, 1)
    assert {s.name: s.label for s in project.samples[5:]} == {"1.png": "кот", "2.png": "пёс", "3.png": "кот"}


def test_a_table_of_json_lines_and_columns_of_other_names(project: Project) -> None:
    bring = project.begin_import()
    bring.receive("t.jsonl", b'{"bild": "1.png", "art": 7}\n{"bild": "2.png", "art": "007"}\n')
    bring.receive("1.png", png(1100))
    bring.receive("2.png", png(1101))
    assert "no column file_name" in str(bring.preview().tables[0].problem)
    choice = ImportChoice(table="t.jsonl", file_column="bild", label_column="art")
    assert bring.preview(choice).tables[0].matched == 2
    bring.confirm(choice)
    assert labels_of(project)["1.png"] == "7" and labels_of(project)["2.png"] == "007"


@pytest.mark.parametrize("name", ["/etc/passwd", "../1.png", "a/../../1.png", "http://x/1.png", "file:///1.png", ""])
def test_tables_name_only_what_was_received(project: Project, name: str) -> None:
    bring = project.begin_import()
    bring.receive("labels.csv", f"file_name,label\n{name},x\n1.png,y\n".encode())
    bring.receive("1.png", png(1200))
    (table,) = bring.preview().tables
    assert (table.matched, table.missing) == (1, 1)


def test_a_file_with_two_classes_keeps_a_table_from_use(project: Project) -> None:
    bring = project.begin_import()
    bring.receive("labels.csv", b"file_name,label\n1.png,x\n1.png,x\n1.png,y\n")
    bring.receive("1.png", png(1300))
    problem = bring.preview().tables[0].problem
    assert problem == "1.png has two classes: x, and y in line 4"
    assert bring.preview(ImportChoice(table="labels.csv")).problem == problem
    with pytest.raises(ProjectError, match="two classes"):
        bring.confirm(ImportChoice(table="labels.csv"))


# -- archives ----------------------------------------------------------------------------------------------------------


def test_a_zip_is_unpacked_with_its_classes_and_without_what_systems_leave(project: Project) -> None:
    rubbish = dict.fromkeys(
        ("__MACOSX/photos/bird/._1.png", "photos/.DS_Store", "photos/bird/Thumbs.db", "photos/._x"), b"x"
    )
    content = zipped(
        {"photos/": b"", "photos/bird/1.png": png(1), "photos\\fish\\2.png": png(900), "photos/bird/3.png": png(901),
         "photos/more.zip": zipped({"x.png": png(3)}), "photos/readme.txt": b"hi"} | rubbish,
    )  # fmt: skip
    bring = project.begin_import()
    got = bring.receive("Downloads/photos.zip", content)
    seen = bring.preview()
    assert {r.path.split("/")[-1] for r in got.rejects} == {"more.zip", "readme.txt"}
    assert "archive inside an archive" in next(r.reason for r in got.rejects if r.path.endswith("more.zip"))
    assert [(c.name, c.count) for c in seen.classes] == [("bird", 1), ("fish", 1)] and seen.duplicates == 1


def test_a_loose_archive_is_a_class_and_collides_with_no_folder(project: Project) -> None:
    bring = project.begin_import()
    bring.receive("bird.zip", zipped({"1.png": png(960), "2.png": png(961)}))
    bring.receive("bird/1.png", png(962))
    bring.receive("fish.ZIP", zipped({"1.png": png(963)}))
    assert [(c.name, c.count) for c in bring.preview().classes] == [("bird", 3), ("fish", 1)]


def test_a_whole_project_is_not_taken_for_pictures(projects: Projects, project: Project, tmp_path: Path) -> None:
    path = projects.archive(project.id, tmp_path / "pets.zip")
    with pytest.raises(ArchiveError, match="whole project"):
        project.begin_import().receive("pets.zip", path.read_bytes())


def test_russian_names_of_old_archives_are_read(project: Project) -> None:
    content = zipped({"XXX/1.png": png(950)}).replace(b"XXX", "кот".encode("cp866"))
    bring = project.begin_import()
    bring.receive("a.zip", content)
    assert [c.name for c in bring.preview().classes] == ["кот"]


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def linked() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(entry("a/link", 0o120777), "/etc")
        archive.writestr(entry("a/link/passwd"), "x")
    return content.getvalue()


def overlapping() -> bytes:
    """Two directory entries for one run of bytes."""
    content = bytearray(zipped({"a/1.png": bytes(5000), "a/2.png": bytes(5000)}, compression=zipfile.ZIP_DEFLATED))
    second = content.rfind(b"PK\x01\x02")
    content[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(content)


def patched(content: bytes, mark: bytes, offset: int, new: bytes) -> bytes:
    """`content` with `new` at `offset` from every `mark`."""
    found = bytearray(content)
    at = found.find(mark)
    while at >= 0:
        found[at + offset : at + offset + len(new)] = new
        at = found.find(mark, at + 4)
    return bytes(found)


def twice() -> bytes:
    return zipped({"a/1.png": png(1), "a/X.png": png(2)}).replace(b"a/X.png", b"a/1.png")


PLAIN = zipped({"a/1.png": png(1), "a/2.png": png(2)})
PACKED = zipped({"a/1.png": b"\x89PNG" + bytes(3000)}, compression=zipfile.ZIP_DEFLATED)
LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
ATTACKS: dict[str, tuple[bytes, str]] = {
    "up": (zipped({"a/1.png": png(1), "../x.png": png(2)}), "leads out"),
    "up inside": (zipped({"a/../../x.png": png(2)}), "leads out"),
    "absolute": (zipped({"/etc/x.png": png(2)}), "leads out"),
    "drive": (zipped({"C:\\x.png": png(2)}), "leads out"),
    "backslashes": (zipped({"..\\x.png": png(2)}), "leads out"),
    "folder that leads out": (zipped({"../x/": b"", "a/1.png": png(1)}), "leads out"),
    "link": (linked(), "link or device"),
    "bomb": (zipped({"a/1.png": bytes(3 << 20)}, compression=zipfile.ZIP_DEFLATED), "times its size"),
    "overlap": (overlapping(), "overlap"),
    "encrypted": (patched(patched(PLAIN, LOCAL, 6, b"\1"), CENTRAL, 8, b"\1"), "encrypted"),
    "AES": (patched(patched(PLAIN, LOCAL, 8, b"\x63"), CENTRAL, 10, b"\x63"), "AES"),
    "bzip2": (zipped({"a/1.png": bytes(3000)}, compression=zipfile.ZIP_BZIP2), "bzip2"),
    "lzma": (zipped({"a/1.png": bytes(3000)}, compression=zipfile.ZIP_LZMA), "lzma"),
    "twice": (twice(), "twice"),
    "file and folder": (zipped({"a": png(1), "a/1.png": png(2)}), "file and a folder"),
    "truncated": (PLAIN[: len(PLAIN) // 2], "cut off"),
    "nearly whole": (PLAIN[:-10], "cut off|damaged"),
    "CRC": (PLAIN.replace(png(2), png(2)[:-3] + b"\0\0\0"), "damaged"),
    "deflate": (PACKED[:60] + b"\xff\xff\xff" + PACKED[63:], "damaged"),
    "claims less": (patched(PLAIN, CENTRAL, 24, struct.pack("<I", 9)), "damaged"),
    "claims more": (patched(PACKED, CENTRAL, 24, struct.pack("<I", 9000)), "damaged|cut off"),
    "other name inside": (PLAIN.replace(b"a/1.png", b"a/9.png", 1), "damaged"),
    "split": (patched(PLAIN, END, 4, b"\1\0"), "split"),
    "part": (b"PK\x07\x08" + PLAIN, "split"),
    "no directory": (patched(PLAIN, END, 16, struct.pack("<I", 1 << 30)), "damaged|overlap"),
    "endless directory": (patched(PLAIN, END, 12, struct.pack("<I", 0x7FFFFFFF)), "lists"),
    "nothing": (b"", "no zip archive"),
    "text": (b"hello, hello, hello, hello", "no zip archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(50), "7z archive, not a zip"),
    "rar": (b"Rar!\x1a\x07\x01" + bytes(50), "rar archive"),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), "gzip archive"),
    "tar": (bytes(257) + b"ustar" + bytes(300), "tar archive"),
    "too many": (zipped({f"a/{i}.png": b"" for i in range(40)}), "more than"),
    "too large": (zipped({f"a/{i}.png": bytes(900_000) for i in range(9)}, compression=zipfile.ZIP_DEFLATED), "unpacks to"),
    "large member": (zipped({"a/1.png": bytes(2_100_000)}), "larger than"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "why"), ATTACKS.values(), ids=ATTACKS)
def test_a_hostile_archive_is_refused_whole_in_one_sentence(tmp_path: Path, content: bytes, why: str) -> None:
    bounded = opened(tmp_path / "projects", limits=Limits(files=30, file_bytes=2_000_000, total_bytes=8_000_000))
    if why == "times its size":
        bounded.close()
        bounded = opened(tmp_path / "projects")
    bring = bounded.create("x").begin_import()
    before = tree(tmp_path)
    with pytest.raises((ArchiveError, TooLarge), match=why) as caught:
        bring.receive("a.zip", content)
    assert tree(tmp_path) == before and bring.preview().received == []
    assert caught.value.hint and "\n" not in caught.value.message
    with pytest.raises((ArchiveError, TooLarge)):
        path = tmp_path / "a.zip"
        path.write_bytes(content)
        bounded.restore(path)
    path.unlink()
    assert tree(tmp_path) == before and not list(bounded.folder.glob(".new-*"))
    bounded.close()


def test_random_damage_to_an_archive_is_an_answer_and_nothing_else(project: Project) -> None:
    good = zipped({f"a/{i}.png": png(i) for i in range(6)}, compression=zipfile.ZIP_DEFLATED)
    rng = random.Random(0)
    refused = 0
    before = {name for name in tree(project.folder.parent.parent) if "/imports/" not in name}
    for _ in range(150):
        content = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        bring = project.begin_import()
        try:
            bring.receive("a.zip", bytes(content))
        except HandfulError as error:
            refused += 1
            assert error.hint
        bring.drop()
    assert refused > 75
    assert set(tree(project.folder.parent.parent)) == before


def test_other_archives_are_named_by_content(project: Project) -> None:
    bring = project.begin_import()
    for name, content, kind in [("x.jpg", PLAIN, "zip"), ("x.rar", b"Rar!\x1a\x07\x01" + bytes(50), "rar"),
                                ("x.tar.gz", b"\x1f\x8b\x08" + bytes(50), "gzip")]:  # fmt: skip
        (reject,) = bring.receive(name, content).rejects
        assert f"{kind} archive" in reject.reason
    assert "Excel" in bring.receive("labels.xlsx", PLAIN).rejects[0].reason


# -- a whole project in one file ---------------------------------------------------------------------------------------


def archived(projects: Projects, project: Project, folder: Path) -> Path:
    project.begin_take("cat", "webcam", "=cam")
    project.add(png(70), "=cmd", "=x.png", "take-1")
    project.delete([project.samples[0].id])
    (project.runs / "r1" / "exports").mkdir(parents=True)
    (project.runs / "r1" / "run.json").write_text("{}")
    (project.runs / "r1" / "exports" / "m.onnx").write_bytes(b"model")
    (project.runs / "r2").mkdir()
    (project.runs / "r2" / "metrics.jsonl").write_text("")
    project.findings.write_text("{}")
    return projects.archive(project.id, folder / "pets.zip")


def test_a_project_comes_back_whole_from_its_archive(projects: Projects, project: Project, tmp_path: Path) -> None:
    path = archived(projects, project, tmp_path)
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))["files"]
        assert set(archive.namelist()) == {*manifest, "manifest.json"} and len(manifest) == 5 + 4 + 2
        assert all(hashlib.sha256(archive.read(n)).hexdigest() == e["sha256"] for n, e in manifest.items())
    back = projects.restore(path)
    assert back.id != project.id and back.problems == []
    assert (back.name, back.modality, back.classes) == (project.name, project.modality, project.classes)
    assert list(back.samples) == list(project.samples) and back.takes == project.takes and back.undo_words is None
    assert back.labels.read_bytes() == project.labels.read_bytes()
    assert all(back.path(s.id).read_bytes() == project.path(s.id).read_bytes() for s in project.samples)
    assert (back.runs / "r1/exports/m.onnx").read_bytes() == b"model" and not (back.runs / "r2").exists()
    back.move([back.samples[0].id], "=cmd")
    projects, back = restart(projects, back)
    assert back.undo_words == "move 1 sample to “=cmd”"
    projects.close()


def altered(path: Path, change: Callable[[dict[str, bytes], dict[str, Any]], None]) -> Path:
    """The archive after `change` to its members and manifest."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    path.write_bytes(zipped({**members, "manifest.json": json.dumps(manifest).encode()}))
    return path


def listed(members: dict[str, bytes], manifest: dict[str, Any], name: str, content: bytes) -> None:
    members[name] = content
    manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def medium(members: dict[str, bytes]) -> str:
    return next(name for name in members if name.startswith("media/"))


DAMAGE: dict[str, Callable[[dict[str, bytes], dict[str, Any]], Any]] = {
    "other content": lambda m, f: m.update({medium(m): png(1234)}),
    "other content, listed": lambda m, f: listed(m, f, medium(m), png(1234)),
    "a file is missing": lambda m, f: m.pop(medium(m)),
    "a file is missing, unlisted": lambda m, f: f["files"].pop(medium(m)) and m.pop(medium(m)),
    "a file too many": lambda m, f: m.update({"media/aa/x.png": b""}),
    "a file too many, listed": lambda m, f: listed(m, f, "media/aa/x.png", png(7)),
    "media nobody names": lambda m, f: listed(
        m, f, f"media/{(h := hashlib.sha256(png(7)).hexdigest())[:2]}/{h[:16]}.png", png(7)
    ),
    "a page": lambda m, f: listed(m, f, "index.html", b"<script>"),
    "a history": lambda m, f: listed(m, f, "history.jsonl", b""),
    "a hidden file": lambda m, f: listed(m, f, "runs/r1/.bashrc", b""),
    "no table": lambda m, f: f["files"].pop("labels.csv") and m.pop("labels.csv"),
    "a table of paths": lambda m, f: listed(m, f, "labels.csv", b"file_name,label\n../../etc/passwd,x\n"),
    "no document": lambda m, f: f["files"].pop("project.json") and m.pop("project.json"),
    "a newer document": lambda m, f: listed(m, f, "project.json", b'{"format": 2}'),
    "a strange document": lambda m, f: listed(m, f, "project.json", b"[]"),
    "sounds": lambda m, f: listed(m, f, "project.json", b'{"modality": "audio"}'),
    "no files": lambda m, f: f.pop("files"),
    "newer": lambda m, f: f.update({"format": 2}),
    "of another program": lambda m, f: f.pop("handful"),
    "a list for files": lambda m, f: f.update({"files": []}),
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_an_archive_that_was_changed_is_refused_and_leaves_nothing(
    projects: Projects, project: Project, tmp_path: Path, change: Callable[[dict[str, bytes], dict[str, Any]], None]
) -> None:
    path = altered(archived(projects, project, tmp_path), change)
    before = tree(tmp_path)
    with pytest.raises(ArchiveError) as caught:
        projects.restore(path)
    assert caught.value.hint and tree(tmp_path) == before and len(projects.list()) == 1
    assert not list(projects.folder.glob(".new-*"))


def test_a_zip_of_pictures_is_no_project(projects: Projects, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(PLAIN)
    with pytest.raises(ArchiveError, match="holds no handful project"):
        projects.restore(tmp_path / "a.zip")
