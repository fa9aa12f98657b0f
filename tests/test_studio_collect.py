"""Collecting, checking and looking over a real socket: imports, takes, pictures, sounds, findings and their fixes."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import soundfile
from PIL import Image

from handful.web.studio.server import StudioServer
from handful.workflow.studio import Studio, pictures

from .conftest import write_photos
from .test_studio_server import TOKEN, Answer, Client, waited_for


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioServer]:
    folder = tmp_path_factory.mktemp("beside") / "studio"  # what is beside it is looked at again and again
    with StudioServer(folder=folder, port=0, token=TOKEN) as server:
        yield server


class Project:
    """A new project over the wire."""

    def __init__(self, server: StudioServer, name: str = "x") -> None:
        self.client = Client(server.port, token=TOKEN)
        self.id = self.client("POST", "/api/projects", {"name": name}).json["id"]

    def __call__(self, method: str, path: str = "", body: Any = None, **headers: str) -> Answer:
        return self.client(method, f"/api/projects/{self.id}{path}", body, **headers)

    def good(self, method: str, path: str = "", body: Any = None) -> Any:
        answer = self(method, path, body)
        assert answer.status == 200, answer.body
        return answer.json

    def bring(self, folder: Path) -> Any:
        """Import a folder as a page does."""
        name = self.good("POST", "/imports")["id"]
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            where = quote(path.relative_to(folder).as_posix(), safe="")
            assert self.good("PUT", f"/imports/{name}/files?path={where}", path.read_bytes())["reason"] is None
        return self.good("POST", f"/imports/{name}/confirm", {})

    @property
    def samples(self) -> list[Any]:
        return list(self.good("GET", "/samples?limit=1000")["samples"])

    @property
    def counts(self) -> dict[str, int]:
        return {card["name"]: card["count"] for card in self.good("GET")["classes"]}


@pytest.fixture
def project(server: StudioServer) -> Project:
    return Project(server)


def png(seed: int = 0, size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


def tone(seconds: float, rate: int = 16_000, level: float = 0.3, hz: float = 440.0, channels: int = 1) -> bytes:
    wave = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([wave] * channels, axis=1), rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


# -- from nothing to a labelled project --------------------------------------------------------------------------------


def test_an_import_says_what_will_happen_and_undo_takes_it_back(project: Project, photos: Path) -> None:
    name = project.good("POST", "/imports")["id"]
    for path in sorted(photos.rglob("*.png")):
        project.good("PUT", f"/imports/{name}/files?path={path.relative_to(photos).as_posix()}", path.read_bytes())
    refused = project.good("PUT", f"/imports/{name}/files?path=red/page.png", b"<html><script>alert(1)</script></html>")
    twin = project.good("PUT", f"/imports/{name}/files?path=red/twin.png", (photos / "red" / "00.png").read_bytes())
    preview = project.good("GET", f"/imports/{name}")
    assert preview["modality"] == "image" and preview["problem"] is None
    assert {c["name"]: c["exists"] for c in preview["classes"]} == {"red": False, "green": False}
    assert preview["duplicates"] == 1 and twin["files"] == 1
    assert [row["path"] for row in preview["rejects"]] == ["red/page.png"] and refused["reason"]
    assert project.counts == {}  # nothing has happened yet
    done = project.good("POST", f"/imports/{name}/confirm", {"classes": {"green": "blue"}})
    assert project.counts == {"red": 12, "blue": 12} and done["project"]["samples"] == 24 and done["said"]
    project("GET", f"/imports/{name}").problem(404)
    assert project.good("POST", "/undo")["project"]["samples"] == 0
    assert project.good("POST", "/redo")["project"]["samples"] == 24
    table = (Path(project.good("GET")["folder"]) / "labels.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == 24 and {row["label"] for row in rows} == {"red", "blue"}


def test_a_zip_is_opened_and_one_that_leads_out_is_refused_whole(project: Project, photos: Path) -> None:
    """F-81, F-87"""

    def zipped(*names: str) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for number, name in enumerate(names):
                archive.writestr(name, png(number))
        return buffer.getvalue()

    name = project.good("POST", "/imports")["id"]
    found = project.good(
        "PUT", f"/imports/{name}/files?path=photos.zip", zipped("all/cat/1.png", "all/dog/2.png", "__MACOSX/x.png")
    )
    assert found["files"] == 2 and found["reason"] is None
    before = sorted(Path(project.good("GET")["folder"]).parents[1].rglob("*"))
    for evil in ("../../x.png", "/etc/x.png", "a/../../../x.png", "C:\\x.png", "..\\..\\x.png"):
        answer = project("PUT", f"/imports/{name}/files?path=evil.zip", zipped("cat/9.png", evil))
        assert answer.status == 422 or answer.json["reason"], answer.body
    assert sorted(Path(project.good("GET")["folder"]).parents[1].rglob("*")) == before
    assert {c["name"]: c["count"] for c in project.good("GET", f"/imports/{name}")["classes"]} == {"cat": 1, "dog": 1}


def test_a_labels_table_replaces_folders(project: Project) -> None:
    name = project.good("POST", "/imports")["id"]
    for number in range(4):
        project.good("PUT", f"/imports/{name}/files?path=all/{number}.png", png(number))
    table = "﻿file_name;label\r\n" + "".join(f"{n}.png;{'день' if n % 2 else 'ночь'}\r\n" for n in range(4))
    preview = project.good("PUT", f"/imports/{name}/table?path=labels.csv", table.encode())
    found = preview["tables"][0]
    assert (found["file_column"], found["label_column"], found["delimiter"], found["matched"]) == (
        "file_name",
        "label",
        ";",
        4,
    )
    project.good("POST", f"/imports/{name}/confirm", {"table": found["path"]})
    assert project.counts == {"ночь": 2, "день": 2}


def test_classes_and_samples_can_be_changed_and_changed_back(project: Project, photos: Path) -> None:
    project.bring(photos)
    ids = [s["id"] for s in project.samples]
    for path, body, counts in (
        ("/classes", {"name": "empty"}, {"red": 12, "green": 12, "empty": 0}),
        ("/classes/rename", {"name": "red", "to": "rot"}, {"rot": 12, "green": 12, "empty": 0}),
        ("/samples/move", {"ids": ids[:3], "label": "empty"}, None),
        ("/samples/group", {"ids": ids[:2], "group": "walk"}, None),
        ("/samples/split", {"ids": ids[:2], "split": "test"}, None),
        ("/samples/delete", {"ids": ids[-2:]}, None),
        ("/classes/merge", {"names": ["rot", "empty"], "to": "rot"}, None),
        ("/classes/delete", {"name": "rot"}, None),
    ):
        done = project.good("POST", path, body)
        assert done["said"] and (counts is None or project.counts == counts), path
    for _ in range(8):
        project.good("POST", "/undo")
    assert project.counts == {"red": 12, "green": 12} and [s["id"] for s in project.samples] == ids
    project("POST", "/samples/move", {"ids": ["0" * 16], "label": "red"}).problem(404)
    project("POST", "/classes/rename", {"name": "nothing", "to": "x"}).problem(404)


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "=cmd|' /C calc'!A0", "‮evil", "None", "007", "日本 🦜", "a/b\\c", "-rf", "constructor"])  # fmt: skip
def test_hostile_names_stay_names(project: Project, name: str) -> None:
    """F-74, F-75, F-77, F-80, F-89"""
    project.good("POST", "/classes", {"name": name})
    take = project.good("POST", "/takes", {"label": name, "source": "webcam"})
    project.good("PUT", f"/takes/{take['id']}/samples", png())
    assert project.counts == {name: 1}
    page = project("GET", "/samples?label=" + quote(name))
    assert page.json["total"] == 1 and page.headers["content-type"] == "application/json"
    project.good("PATCH", "", {"name": name})
    archive = project("GET", "/archive")
    assert (
        archive.headers["content-disposition"].startswith("attachment; ")
        and "\n" not in archive.headers["content-disposition"]
    )
    assert project.client("POST", "/api/projects/archive", archive.body).json["classes"][0]["name"] == name


def test_undo_means_one_change(project: Project, photos: Path) -> None:
    older = project.bring(photos)["action"]
    newer = project.good("POST", "/classes", {"name": "third"})["action"]
    assert project.good("GET")["undo_change"]["action"] == newer
    refused = project("POST", f"/undo?action={older}").problem(409)
    assert "add the class “third”" in refused["detail"] and refused["hint"] and project.counts["third"] == 0
    assert project.good("POST", f"/undo?action={newer}")["action"] == newer
    assert project.good("POST", f"/undo?action={older}")["project"]["samples"] == 0
    project("POST", f"/redo?action={newer}").problem(409)
    assert project.good("POST", f"/redo?action={older}")["project"]["samples"] == 24
    assert (
        project.good(
            "POST", "/samples/move", {"ids": [project.samples[0]["id"]], "label": project.samples[0]["label"]}
        )["action"]
        is None
    )
    project("POST", "/undo?action=../x").problem(422)


def test_the_trash_says_what_is_in_it_and_is_emptied(project: Project, photos: Path) -> None:
    project.bring(photos)
    project.good("POST", "/classes/delete", {"name": "red"})
    there = project.good("GET", "/trash")
    assert there["files"] == 12 and there["bytes"] == sum(p.stat().st_size for p in (photos / "red").iterdir())
    done = project.good("DELETE", "/trash")
    assert done["action"] is None and done["project"]["undo"] is None and done["project"]["samples"] == 12
    assert project.good("GET", "/trash") == {"files": 0, "bytes": 0}
    project("POST", "/undo").problem(422)


def test_labels_of_jobs_are_kept_as_long_as_something_needs_them(project: Project, server: StudioServer) -> None:
    from handful.workflow.studio import records, training

    opened = server.studio.project(project.id)
    made = []
    for number in range(4):
        opened.add(png(number), "cat")
        made.append(records.snapshot(opened))
        os.utime(made[-1], (1, 1))  # long ago
    run, gone = opened.runs / "one", opened.folder / "trash" / "runs" / "two"
    for folder, table in ((run, made[0]), (gone, made[1])):
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(f"labels: {table}\n")
    os.utime(made[3])  # of a job that is being queued
    training.sweep(server.studio, opened)
    assert [path.is_file() for path in made] == [True, True, False, True]
    project.good("DELETE", "/trash")
    assert [path.is_file() for path in made] == [True, False, False, True]


def test_parts_of_the_data_are_told_and_no_model_is_fitted_on_them(project: Project, server: StudioServer) -> None:
    from handful.workflow.studio import orders, records

    name = project.good("POST", "/imports")["id"]
    for number in range(12):
        part = "test" if number < 4 else "train"
        where = f"{part}/{'cat' if number % 2 else 'dog'}/{number}.png"
        project.good("PUT", f"/imports/{name}/files?path={where}", png(number))
    assert project.good("GET", f"/imports/{name}")["parts"] == {"train": 8, "test": 4}
    project.good("POST", f"/imports/{name}/confirm", {})
    assert [(c["count"], c["test"], c["validation"]) for c in project.good("GET")["classes"]] == [(6, 2, 0), (6, 2, 0)]
    assert sum(s["split"] == "test" for s in project.samples) == 4
    opened = server.studio.project(project.id)
    assert orders.counted(opened)[0] == {"dog": 4, "cat": 4}
    rows = [json.loads(line) for line in records.snapshot(opened).read_text().splitlines()]
    assert sum(row["split"] == "test" for row in rows) == 4


def test_what_samples_are_used_for_is_chosen_filtered_and_taken_back(project: Project, photos: Path) -> None:
    project.bring(photos)
    ids = [s["id"] for s in project.samples]
    done = project.good("POST", "/samples/split", {"ids": ids[:3], "split": "test"})
    assert done["said"] == "change what 3 samples are used for"
    assert done["project"]["undo_change"] | {"action": ""} == {
        "kind": "split", "action": "", "n": 3, "name": "", "to": "test", "names": [], "number": None,
    }  # fmt: skip
    done = project.good("POST", "/samples/split", {"ids": ids[2:5], "split": "validation"})
    cards = {card["name"]: (card["validation"], card["test"]) for card in done["project"]["classes"]}
    assert sorted(cards.values()) == [(0, 0), (3, 2)]
    for part, expected in (("test", ids[:2]), ("validation", ids[2:5]), ("train", ids[5:])):
        assert [s["id"] for s in project.good("GET", f"/samples?split={part}&limit=1000")["samples"]] == expected
    assert project("GET", "/samples?split=elsewhere").status == 422
    assert project("POST", "/samples/split", {"ids": ids[:1], "split": "elsewhere"}).status == 422
    project("POST", "/samples/split", {"ids": ["0" * 16], "split": "test"}).problem(404)
    assert project.good("POST", "/samples/split", {"ids": ids[5:], "split": ""})["action"] is None
    project.good("POST", "/undo")
    assert [s["split"] for s in project.samples][:6] == ["test", "test", "test", "", "", ""]
    project.good("POST", "/redo")
    assert [s["split"] for s in project.samples][:6] == ["test", "test", "validation", "validation", "validation", ""]


def test_training_says_what_is_wrong_with_the_parts(project: Project, photos: Path) -> None:
    project.bring(photos)
    ids = [s["id"] for s in project.samples if s["label"] == "red"]

    def notes(lang: str = "en") -> str:
        asked = {"settings": {"weights": "none", "model": "statistics"}}
        return "\n".join(project("POST", f"/plan?lang={lang}", asked).json["notes"])

    assert "kept" not in notes() and "partly" not in notes()
    project.good("POST", "/samples/group", {"ids": ids[:4], "group": "monday"})
    project.good("POST", "/samples/split", {"ids": ids[:2], "split": "test"})
    assert "monday" in notes() and "1 take is used partly" in notes()
    assert "частью" in notes("ru")
    project.good("POST", "/samples/split", {"ids": ids, "split": "validation"})
    assert "partly" not in notes() and "All samples of red are kept" in notes() and "has no samples" not in notes()
    refused = project("POST", "/jobs", {"kind": "train", "settings": {"model": "statistics"}}).problem(422)
    assert "All samples of the class red are kept" in refused["detail"] and refused["hint"].startswith("use some")


@pytest.mark.slow
def test_a_look_finds_parts_that_are_wrong_until_they_are_mended(project: Project, tmp_path: Path) -> None:
    project.bring(write_photos(tmp_path / "photos", ("red", "green", "blue"), per_class=8))
    label = {s["id"]: s["label"] for s in project.samples}
    blue, red = ([i for i in label if label[i] == name] for name in ("blue", "red"))
    project.good("POST", "/samples/group", {"ids": red[:3], "group": "monday"})
    project.good("POST", "/samples/split", {"ids": [*blue, red[0]], "split": "test"})
    job = project("POST", "/jobs", {"kind": "check", "settings": {"weights": "none"}})
    assert finished(project, job.json["id"])["state"] == "done"
    waited_for(lambda: project.good("GET", "/findings")["made"] is not None)

    def found() -> dict[str, Any]:
        return {card["message"]: card for card in project.good("GET", "/findings")["findings"]}

    untrained, torn = (next(m for m in found() if word in m) for word in ("nothing to learn", "partly"))
    assert set(found()[untrained]["samples"]) == set(blue) and "'blue'" in untrained
    assert set(found()[torn]["samples"]) == set(red[:3]) and "monday" in torn and found()[torn]["severity"] == "warning"
    project.good("POST", "/samples/split", {"ids": red[:3], "split": "test"})
    assert torn not in found() and untrained in found() and project.good("GET", "/findings")["fresh"] is False
    project.good("POST", "/samples/split", {"ids": blue[:4], "split": ""})
    assert untrained not in found()
    job = project("POST", "/jobs", {"kind": "train", "settings": {"weights": "none", "model": "statistics"}})
    assert finished(project, job.json["id"])["state"] == "done"
    (run,) = project.good("GET", "/runs")
    assert (run["score"]["n"], run["test"]["n"], run["stale"]) == (17, 7, False)
    project.good("POST", "/samples/split", {"ids": blue[:1], "split": "test"})
    assert project.good("GET", "/runs")[0]["stale"] is True


def test_files_that_cannot_be_taken_are_called_as_their_user_knows_them(project: Project) -> None:
    name = project.good("POST", "/imports")["id"]
    assert project.good("PUT", f"/imports/{name}/files?path=cat/.localized", b"")["reason"] is None
    empty = project.good("PUT", f"/imports/{name}/files?path=cat/none.png", b"")
    assert empty["reason"] == "cat/none.png is an empty file"
    for content in (b"no zip" * 100_000, b"", b"PK\x03\x04" + bytes(100)):
        answer = project.client("POST", "/api/projects/archive?name=birds.zip", content)
        assert answer.status in (400, 415, 422) and ".upload" not in json.dumps(answer.json), answer.json
        assert "birds.zip" in answer.json["detail"] or not content


def test_a_name_that_is_too_long_is_refused_in_a_sentence(project: Project) -> None:
    """Never cut off in silence."""
    take = {"source": "webcam"}
    for path, body, what in (
        ("/classes", {"name": "x" * 201}, "class name"), ("/takes", take | {"label": "x" * 201}, "class name"),
        ("", {"name": "x" * 121}, "project name"),
    ):  # fmt: skip
        refused = project("POST" if path else "PATCH", path, body).problem(422)
        assert (
            what in refused["detail"]
            and "characters" in refused["detail"]
            and refused["hint"].startswith("use at most")
        )
    project.good("POST", "/classes", {"name": "é" * 200})
    bring = project.good("POST", "/imports")["id"]
    project.good("PUT", f"/imports/{bring}/files?path={'x' * 240}/1.png", png(1))
    assert "240 characters" in project.good("GET", f"/imports/{bring}")["rejects"][0]["reason"]


def test_lists_are_cut_into_pages_and_sorted(project: Project, photos: Path) -> None:
    project.bring(photos)
    everything = project.samples
    pages = [project.good("GET", f"/samples?limit=10&offset={start}") for start in (0, 10, 20)]
    assert [s["id"] for page in pages for s in page["samples"]] == [s["id"] for s in everything]
    assert {p["total"] for p in pages} == {24}
    names = [s["name"] for s in project.good("GET", "/samples?sort=name&limit=1000")["samples"]]
    assert names == sorted(names)
    assert {s["label"] for s in project.good("GET", "/samples?label=red")["samples"]} == {"red"}
    assert project.good("GET", "/samples?query=RED")["total"] == 12
    wanted = [everything[5]["id"], everything[2]["id"]]
    found = project.good("GET", f"/samples?ids={','.join(wanted)},{'0' * 16}")
    assert [s["id"] for s in found["samples"]] == wanted
    assert {(s["width"], s["height"]) for s in everything} == {(48, 48)}


def test_the_same_name_is_the_same_class_however_it_is_written(project: Project) -> None:
    """F-73, F-97"""
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    for number, name in enumerate((composed, decomposed, f" {composed} ")):
        take = project.good("POST", "/takes", {"label": name, "source": "webcam"})["id"]
        project.good("PUT", f"/takes/{take}/samples", png(number))
    assert project.counts == {composed: 3}
    bring = project.good("POST", "/imports")["id"]
    project.good("PUT", f"/imports/{bring}/files?path=caf%C3%A9/1.png", png(9))
    found = project.good("GET", f"/imports/{bring}")["classes"]
    assert [(c["name"], c["exists"], c["similar"]) for c in found] == [
        ("caf\u00e9", False, composed)
    ]  # asked, never merged


@pytest.mark.parametrize(
    "path", ["CON.png", "nul", "a/../../../etc/cron.d/x.png", "..\\..\\x.png", "C:\\x\\y.png", "/etc/x.png", "a//b/./c.png", "\x1b[31m\n.png",
             "x" * 255 + ".png", "🦜" * 190 + "/1.png", "-rf/--help.png", "a:b/$(id).png", "a\x00b.png", " ./ .png"],
)  # fmt: skip
def test_names_of_uploads_are_never_places(project: Project, server: StudioServer, path: str) -> None:
    """F-75, F-76, F-78"""
    home = server.studio.folder
    before = {p for p in home.parent.rglob("*") if home not in p.parents}
    bring = project.good("POST", "/imports")["id"]
    found = project.good("PUT", f"/imports/{bring}/files?path={quote(path, safe='')}", png())
    assert found["reason"] is None
    project.good("POST", f"/imports/{bring}/confirm", {"unlabelled": "kept"})
    sample = project.samples[0]
    assert sample["name"].isprintable() and ".." not in sample["name"].split("/")
    folder = Path(project.good("GET")["folder"])
    assert [p.stem for p in (folder / "media").rglob("*.*")] == [sample["id"]]
    assert {p for p in home.parent.rglob("*") if home not in p.parents} == before


# -- recording ---------------------------------------------------------------------------------------------------------


def test_a_long_recording_is_cut_into_clips_of_one_take(project: Project) -> None:
    take = project.good("POST", "/takes", {"label": "hum", "source": "microphone", "device": "Built-in <b>"})
    rate = 44_100
    recorded = project.good("PUT", f"/takes/{take['id']}/samples?seconds=1", tone(3.6, rate, hz=431.7))
    clips = recorded["samples"]
    assert len(clips) == 4 and {c["group"] for c in clips} == {take["id"]} and {c["label"] for c in clips} == {"hum"}
    assert [c["seconds"] for c in clips] == [1.0, 1.0, 1.0, pytest.approx(0.6)] and {c["rate_hz"] for c in clips} == {
        rate
    }
    whole = project.good("PUT", f"/takes/{take['id']}/samples", tone(2.0, rate, hz=200))["samples"]
    assert [c["seconds"] for c in whole] == [2.0]
    card = project.good("GET")["classes"][0]
    assert (card["count"], card["takes"]) == (5, 1)
    # Samples of one take in a row are one change.
    assert project.good("POST", f"/undo?action={recorded['action']}")["project"]["samples"] == 0


def test_what_cannot_be_a_take_is_said(project: Project) -> None:
    """F-69, F-71"""
    take = project.good("POST", "/takes", {"label": "a", "source": "microphone"})["id"]
    silence, webm = tone(2.0, level=0.0), b"\x1aE\xdf\xa3" + bytes(5000)
    quiet_offset = io.BytesIO()
    soundfile.write(quiet_offset, np.full(16_000, 0.25), 16_000, format="WAV")
    mp4 = b"\x00\x00\x00\x18ftypmp42" + bytes(5000)
    for content, words in (
        (silence, "silent"), (quiet_offset.getvalue(), "silent"), (webm, "WebM"), (mp4, "MP4"), (b"OggS" + bytes(5000), "Ogg"),
        (tone(0.0), "0 samples"), (b"<svg onload=alert(1)>", "no WAV"), (b"RIFF\x00\x00\x00\x00WAVEfmt ", "damaged"), (b"x", "no WAV"),
    ):  # fmt: skip
        found = project("PUT", f"/takes/{take}/samples?seconds=1", content)
        assert found.status in (415, 422), words
        assert words in found.json["detail"] and found.json["hint"], found.json
    assert project.counts == {"a": 0} or project.counts == {}
    project("PUT", "/takes/take-99/samples", tone(1)).problem(404)
    answer = project("PUT", f"/takes/{take}/samples", b"\xff\xd8\xff" + bytes(100)).problem(422)
    assert answer["detail"] == "the picture: not a picture that can be read"


def test_clips_that_are_here_already_are_counted(project: Project) -> None:
    for label in ("a", "b"):
        take = project.good("POST", "/takes", {"label": label, "source": "microphone"})["id"]
        first = project.good("PUT", f"/takes/{take}/samples?seconds=1", tone(2 if label == "a" else 3, hz=400))
        # Every second of such a tone is the same, of every take.
        assert (len(first["samples"]), first["known"]) == ((1, 1) if label == "a" else (0, 3))
        assert first["known_in"] == ["a"] and bool(first["action"]) == bool(first["samples"])
    assert project.counts == {"a": 1}


def test_clips_of_silence_within_a_take_are_left_out(project: Project) -> None:
    take = project.good("POST", "/takes", {"label": "a", "source": "microphone"})["id"]
    rate = 8_000
    wave = np.concatenate(
        [
            soundfile.read(io.BytesIO(tone(1, rate)))[0],
            np.zeros(rate),
            soundfile.read(io.BytesIO(tone(1, rate, hz=99)))[0],
        ]
    )
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format="WAV", subtype="PCM_16")
    recorded = project.good("PUT", f"/takes/{take}/samples?seconds=1", buffer.getvalue())
    assert (len(recorded["samples"]), recorded["known"], recorded["silent"]) == (2, 0, 1)


# -- what is seen and heard --------------------------------------------------------------------------------------------


def picture(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_pictures_are_drawn_upright_and_kept_by_content(project: Project, server: StudioServer) -> None:
    """F-50"""
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, :300] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the red half comes to the top
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", exif=exif, quality=95)
    take = project.good("POST", "/takes", {"label": "a", "source": "webcam"})["id"]
    sample = project.good("PUT", f"/takes/{take}/samples", buffer.getvalue())["samples"][0]
    assert (sample["width"], sample["height"]) == (300, 600)
    thumb = project("GET", f"/samples/{sample['id']}/thumb")
    drawn = picture(thumb.body).convert("RGB")
    assert thumb.headers["content-type"] == "image/jpeg" and drawn.size == (96, 192)
    assert drawn.getpixel((48, 20))[0] > 200 > 60 > drawn.getpixel((48, 170))[0]
    assert "immutable" in thumb.headers["cache-control"] and "private" in thumb.headers["cache-control"]
    assert project("GET", f"/samples/{sample['id']}/thumb", If_None_Match=thumb.headers["etag"]).status == 304
    assert picture(project("GET", f"/samples/{sample['id']}/preview").body).size == (300, 600)
    file = project("GET", f"/samples/{sample['id']}/file")
    assert file.body == buffer.getvalue()
    assert file.headers["content-type"] == "application/octet-stream" and file.headers[
        "content-disposition"
    ].startswith("attachment")
    other = Project(server)  # what another project holds is not to be had through this one
    other("GET", f"/samples/{sample['id']}/thumb").problem(404)
    assert other.good("GET", f"/thumbs?ids={sample['id']}") == {}
    assert project.good("GET", f"/thumbs?ids={sample['id']},{'0' * 16},x") == {
        sample["id"]: f"data:image/jpeg;base64,{base64.b64encode(thumb.body).decode()}"
    }
    other("GET", f"/samples/{sample['id']}/file").problem(404)


def test_thumbnails_are_drawn_before_they_are_asked_for(project: Project, server: StudioServer, photos: Path) -> None:
    project.bring(photos)
    keys = [f"thumb-{pictures.VERSION}-{sample['id']}" for sample in project.samples]
    until = time.monotonic() + 30
    while len(drawn := dict(server.studio.cache().get(keys))) < len(keys) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(drawn) == len(keys) > 0
    assert all(content.startswith(b"\xff\xd8") for content in drawn.values())
    while not all(sample["glimpse"] for sample in project.samples) and time.monotonic() < until:
        time.sleep(0.05)
    for sample in project.samples:  # the same picture, 4 x 4 pixels large
        small = np.frombuffer(base64.b64decode(sample["glimpse"]), np.uint8).reshape(4, 4, 3)[:, :, ::-1]
        content = drawn[f"thumb-{pictures.VERSION}-{sample['id']}"]
        whole = np.asarray(picture(content).convert("RGB").resize((4, 4), Image.Resampling.BOX), int)
        assert np.abs(small - whole).mean() < 2


def test_sounds_can_be_seen_and_heard(project: Project) -> None:
    take = project.good("POST", "/takes", {"label": "a", "source": "microphone"})["id"]
    rate = 22_050
    sample = project.good("PUT", f"/takes/{take}/samples", tone(2.5, rate, hz=3000, channels=2))["samples"][0]["id"]
    wave = project.good("GET", f"/samples/{sample}/wave")
    assert wave["seconds"] == pytest.approx(2.5) and wave["rate_hz"] == rate
    assert len(wave["low"]) == len(wave["high"]) == 1000
    assert min(wave["low"]) == pytest.approx(-0.3, abs=0.01) and max(wave["high"]) == pytest.approx(0.3, abs=0.01)
    answer = project("GET", f"/samples/{sample}/spectrogram")
    share = np.asarray(picture(answer.body).convert("L"), float)
    assert answer.headers["content-type"] == "image/png"
    low, high = (float(answer.headers[name]) for name in ("x-low-hz", "x-high-hz"))
    assert float(answer.headers["x-seconds"]) == pytest.approx(2.5) and high == rate / 2
    mel = [2595 * np.log10(1 + hz / 700) for hz in (low, 3000, high)]
    row = (1 - (mel[1] - mel[0]) / (mel[2] - mel[0])) * share.shape[0]  # low tones are below
    assert abs(int(share.mean(axis=1).argmax()) - row) < 4
    heard = project("GET", f"/samples/{sample}/preview")
    samples, found = soundfile.read(io.BytesIO(heard.body))
    assert heard.headers["content-type"] == "audio/wav" and found == rate and samples.shape == (round(2.5 * rate), 2)
    part = project("GET", f"/samples/{sample}/preview", Range="bytes=100-199")
    assert part.status == 206 and part.body == heard.body[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(heard.body)}"
    assert project("GET", f"/samples/{sample}/preview", Range=f"bytes={len(heard.body)}-").status == 416
    assert picture(project("GET", f"/samples/{sample}/thumb").body).size == (192, 96)


@pytest.mark.parametrize("rate", [4000, 8000, 96_000, 192_000])
def test_odd_rates_are_played(project: Project, rate: int) -> None:
    """F-64"""
    name = project.good("POST", "/imports")["id"]
    project.good("PUT", f"/imports/{name}/files?path=a/x.wav", tone(1.0, rate, hz=500))
    project.good("POST", f"/imports/{name}/confirm", {})
    sample = project.samples[0]["id"]
    wave, played = soundfile.read(io.BytesIO(project("GET", f"/samples/{sample}/preview").body))
    assert played == min(max(rate, 8000), 96_000) and len(wave) / played == pytest.approx(1.0, abs=0.01)
    assert project("GET", f"/samples/{sample}/thumb").status == 200


def test_bombs_and_foreign_files_are_refused_before_they_are_decoded(project: Project) -> None:
    """F-48, F-53, F-55, F-56"""
    bomb = io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(bomb, "PNG")
    name = project.good("POST", "/imports")["id"]
    files = {
        "bomb.png": bomb.getvalue(), "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "page.jpg": b"<!doctype html><script>alert(1)</script>", "run.png": b"\x7fELF" + bytes(500), "empty.png": b"\0",
        "paper.jpg": b"%PDF-1.7 " + bytes(500), "script.png": b"%!PS-Adobe-3.0 EPSF-3.0",
    }  # fmt: skip
    for path, content in files.items():
        assert project.good("PUT", f"/imports/{name}/files?path=a/{path}", content)["reason"], path
    project.good("PUT", f"/imports/{name}/files?path=a/good.png", png())
    preview = project.good("GET", f"/imports/{name}")
    assert {Path(row["path"]).name for row in preview["rejects"]} == set(files) and all(
        row["reason"] for row in preview["rejects"]
    )
    project.good("POST", f"/imports/{name}/confirm", {})
    assert [s["name"] for s in project.samples] == ["good.png"]


def test_damaged_files_are_left_out_with_the_reason(project: Project) -> None:
    """F-47, F-60"""
    whole, photo = png(size=(400, 400)), io.BytesIO()
    Image.effect_noise((300, 300), 60).convert("RGB").save(photo, "JPEG")
    name = project.good("POST", "/imports")["id"]
    files = {
        "cut.png": whole[: len(whole) // 2],
        "cut.jpg": photo.getvalue()[:2000],
        "head.png": whole[:40],
        "zero.jpg": b"",
    }
    for path, content in files.items():
        answer = project("PUT", f"/imports/{name}/files?path=a/{path}", content)
        reason = answer.json["reason"]
        assert "empty" in reason if not content else "damaged" in reason or "not a picture" in reason, path
    assert project.good("PUT", f"/imports/{name}/files?path=a/whole.png", whole)["reason"] is None
    project.good("POST", f"/imports/{name}/confirm", {})
    assert [s["name"] for s in project.samples] == ["whole.png"]


# -- looking for what is wrong -----------------------------------------------------------------------------------------


def finished(project: Project, job: str) -> Any:
    deadline = time.monotonic() + 120
    while (found := project.client("GET", f"/api/jobs/{job}").json)["state"] in ("queued", "running", "stopping"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


@pytest.mark.slow
def test_findings_are_found_flagged_fixed_and_taken_back(project: Project, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", per_class=14)
    os.rename(photos / "red" / "00.png", photos / "green" / "wrong.png")
    (photos / "Green").mkdir()
    for number in (3, 4):
        os.rename(photos / "green" / f"{number:02d}.png", photos / "Green" / f"{number:02d}.png")
    Image.new("RGB", (48, 48), "red").save(photos / "red" / "plain.png")
    project.bring(photos)
    assert project.good("GET", "/findings") == {"made": None, "fresh": False, "findings": [], "skipped": []}
    job = project("POST", "/jobs", {"kind": "check", "settings": {"weights": "none"}})
    assert job.status == 201 and finished(project, job.json["id"])["state"] == "done"
    deadline = time.monotonic() + 20
    while (found := project.good("GET", "/findings"))["made"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert found["fresh"] is True
    kinds = {card["kind"]: card for card in found["findings"]}
    names = {s["id"]: s["name"] for s in project.samples}
    assert {"silent", "label-spelling", "wrong-label"} <= kinds.keys()
    assert [names[i] for i in kinds["silent"]["samples"]] == ["plain.png"] and "plain.png" in kinds["silent"]["message"]
    russian = project("GET", "/findings", Accept_Language="ru-RU,ru;q=0.9").json["findings"]
    assert [card["id"] for card in russian] == [card["id"] for card in found["findings"]]
    assert all(re.search("[а-я]", card["message"]) and re.search("[а-я]", card["fix"]) for card in russian)
    assert any("plain.png" in card["message"] for card in russian) and "Green" in kinds["label-spelling"]["message"]
    wrong = kinds["wrong-label"]
    assert "wrong.png" in [names[i] for i in wrong["samples"]] and set(wrong["suggestions"]) == set(wrong["samples"])
    doubtful = project.good("GET", "/samples?sort=doubt")["samples"]
    assert doubtful[0]["id"] == wrong["samples"][0] and "wrong-label" in doubtful[0]["flags"]

    # What a model says of a label is never followed in one go: it would confirm itself in the next training.
    assert wrong["action"] is None
    project("POST", f"/findings/{wrong['id']}/fix").problem(422)
    project.good("POST", "/samples/move", {"ids": [i for i in names if names[i] == "wrong.png"], "label": "red"})
    for kind in ("silent", "label-spelling"):
        done = project.good("POST", f"/findings/{kinds[kind]['id']}/fix")
        assert done["said"]
        assert kind not in {card["kind"] for card in project.good("GET", "/findings")["findings"]}
        project("POST", f"/findings/{kinds[kind]['id']}/fix").problem(404)
    assert project.good("GET", "/findings")["fresh"] is False
    assert "plain.png" not in {s["name"] for s in project.samples} and "Green" not in project.counts
    assert next(s["label"] for s in project.samples if s["name"] == "wrong.png") == "red"
    for _ in range(3):
        project.good("POST", "/undo")
    assert set(project.counts) == {"red", "green", "Green"} and len(project.samples) == len(names)
    assert project.good("GET", "/findings")["fresh"] is True


# -- the index ---------------------------------------------------------------------------------------------------------


def test_the_index_can_be_deleted_at_any_time(tmp_path: Path, photos: Path, sounds: Path) -> None:
    with StudioServer(folder=tmp_path, port=0, token=TOKEN) as server:
        for folder in (photos, sounds):
            Project(server, folder.name).bring(folder)
        client = Client(server.port, token=TOKEN)
        before = client("GET", "/api/projects").json
        server.studio.settled()
    assert (
        len(before) == 2
        and {card["samples"] for card in before} == {24, 20}
        and all(2 <= len(c["covers"]) <= 4 for c in before)
    )
    for path in tmp_path.glob("studio.sqlite*"):
        path.unlink()
    with StudioServer(folder=tmp_path, port=0, token=TOKEN) as server:
        after = Client(server.port, token=TOKEN)("GET", "/api/projects").json
        assert [card | {"updated": 0} for card in after] == [card | {"updated": 0} for card in before]
        rows = {row["id"]: row["samples"] for row in server.studio.settled().projects()}
        assert rows == {card["id"]: card["samples"] for card in before}


def test_a_deleted_project_is_gone_and_one_that_works_stays(server: StudioServer, photos: Path) -> None:
    """F-42"""
    project = Project(server)
    project.bring(photos)
    job = project("POST", "/jobs", {"kind": "check", "settings": {"weights": "none"}}).json["id"]
    answer = project("DELETE")
    if answer.status != 204:  # it had begun
        assert answer.problem(409)["hint"]
        assert len(project.samples) == 24
        project.client("POST", f"/api/jobs/{job}/stop")
        finished(project, job)
        assert project("DELETE").status == 204
    project("GET").problem(404)
    assert project.id not in {card["id"] for card in project.client("GET", "/api/projects").json}


@pytest.mark.parametrize("kind", [pytest.param("digits", marks=pytest.mark.slow), "sounds"])
def test_a_sample_project_needs_no_network(server: StudioServer, kind: str) -> None:
    client = Client(server.port, token=TOKEN)
    made = client("POST", "/api/projects/sample", {"kind": kind})
    assert made.status == 200, made.body
    assert made.json["modality"] == {"digits": "image", "sounds": "audio"}[kind]
    assert made.json["samples"] == {"digits": 300, "sounds": 48}[kind] and len(made.json["classes"]) in (10, 4)


def test_a_use_case_needs_no_server(tmp_path: Path, photos: Path) -> None:
    from handful.workflow.studio import collect, importing

    heard: list[tuple[str, Any]] = []
    with Studio(tmp_path) as studio:
        forget = studio.subscribe(lambda kind, data: heard.append((kind, data)))
        project, bring = collect.bring_folder(studio, photos)
        done = importing.confirm(studio, project, bring, {})
        assert done["project"]["samples"] == 24
        assert ("project", {"id": project, "revision": done["project"]["revision"]}) in heard
        forget()
        count = len(heard)
        collect.rename(studio, project, "other")
        assert len(heard) == count
    assert json.loads((tmp_path / "projects" / project / "project.json").read_text())["name"] == "other"
