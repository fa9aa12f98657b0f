"""Folders, tables, patterns and splits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.cli._app import layers
from handful.data import load_data
from handful.data.media import sniff
from handful.data.pattern import Pattern, suggest
from handful.data.splits import join, join_pairs, plan, stratified_group_folds
from handful.errors import DataError, UsageError
from handful.workflow.predict import predict

from .conftest import write_photos


def test_class_folders(photos: Path) -> None:
    data = load_data(photos)
    assert data.counts == {"green": 12, "red": 12}
    assert data.modality == "image"
    assert [s.file for s in data.samples] == sorted(s.file for s in data.samples)


def test_split_folders(tmp_path: Path) -> None:
    for part, n in (("train", 3), ("val", 2), ("test", 1)):
        write_photos(tmp_path / part, per_class=n, seed=n)
    data = load_data(tmp_path)
    assert {part: len(data.part(part)) for part in ("train", "validation", "test")} == {
        "train": 6,
        "validation": 4,
        "test": 2,
    }
    assert data.classes == ["green", "red"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", "file_name,label,group\nred/00.png,a,g1\ngreen/01.png,b,g2\n".encode("utf-8-sig")),
        ("l.csv", "Filename;Category\nred/00.png;a\ngreen/01.png;b\n".encode("utf-16")),
        ("l.tsv", b"file\tclass\r\nred/00.png\ta\r\ngreen/01.png\tb\r\n"),
        ("l.jsonl", b'{"file_name": "red/00.png", "label": "a"}\n{"file_name": "green/01.png", "label": "b"}\n'),
    ],
)
def test_labels_tables_of_any_program(photos: Path, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    data = load_data(photos, labels=tmp_path / name)
    assert {s.file: s.label for s in data.samples} == {"red/00.png": "a", "green/01.png": "b"}


def test_table_rows_that_point_elsewhere_are_findings(photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "l.csv"
    table.write_text(
        "file,label\nred/00.png,a\n../secret.png,b\nhttps://example.org/x.png,b\nnone.png,b\ngreen/00.png,b\n"
    )
    data = load_data(photos, labels=table)
    assert len(data) == 2
    assert sorted(len(f.files) for f in data.findings if "l.csv" in f.message) == [1, 2]


def test_two_labels_for_one_file_stop(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("file,label\nred/00.png,a\nred/00.png,b\n")
    with pytest.raises(DataError, match=r"line 3: b, earlier a"):
        load_data(photos, labels=tmp_path / "l.csv")


def test_labels_stay_text(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(
        "file,label\nred/00.png,007\ngreen/00.png,1e5\nred/01.png,None\ngreen/01.png,true\n"
    )
    assert load_data(photos, labels=tmp_path / "l.csv").classes == ["007", "1e5", "None", "true"]


def test_pattern() -> None:
    assert Pattern("{label}_{group}_{}").match("7_jackson_32") == {"label": "7", "group": "jackson"}
    assert Pattern("{fold}-{group}-{}").match("1-100032-A") == {"fold": "1", "group": "100032"}
    assert Pattern("{label}_{group}_{}").match("nothing") is None
    for bad in ("plain", "{}_{}", "{label}_{label}"):
        with pytest.raises(UsageError):
            Pattern(bad)


def test_pattern_is_suggested_never_applied(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bursts"
    for i, file in enumerate(sorted(photos.glob("*/*.png"))):
        target = folder / file.parent.name / f"burst{i // 3}_{i % 3}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    data = load_data(folder)
    assert not any(s.group for s in data.samples)
    assert any('--pattern "{group}_{}"' in f.fix for f in data.findings)
    assert suggest([f"img_{i:03d}" for i in range(40)], ["a", "b"] * 20) is None
    assert suggest([f"{c}-{i:02d}" for c in "ab" for i in range(20)], ["a"] * 20 + ["b"] * 20) is None


def test_a_preset_reads_names_of_the_data_it_was_made_for_only(tmp_path: Path) -> None:
    """`--preset conv1d-groups` keeps speakers apart where every name says who speaks, and does not touch other data."""

    def files(folder: str, *names: str) -> str:
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return str(tmp_path / folder)

    def pattern(preset: str, data: str | None) -> str | None:
        found: str | None = layers(preset, None, None, data, race=True)[0].get("pattern")
        return found

    commands = files("commands", "yes/0a7c2a8d_nohash_0.wav", "no/0a7c2a8d_nohash_1.wav", "no/readme.txt")
    digits = files("digits", "7_jackson_0.wav", "8_jackson_0.wav")
    assert pattern("conv1d-groups", commands) == "{group}_nohash_{}"
    assert pattern("digits", digits) == "{label}_{group}_{}"
    assert pattern("conv1d-groups", digits) is None
    assert pattern("digits", files("folders", "seven/a_b_0.wav", "eight/a_b_1.wav")) is None
    assert pattern("conv1d-groups", files("commands", "yes/other.wav")) is None
    assert pattern("digits", files("empty", "readme.txt")) is None and pattern("digits", None) is None


def test_a_folder_that_is_not_there_and_one_that_is_packed(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "photos.zip").touch()
    (tmp_path / "My Photos").mkdir()
    for name, message, hint in (
        ("photos.zip", "is a file", "unzip it"), ("my fotos", "does not exist", f"did you mean {tmp_path / 'My Photos'}?"),
        ("else", "does not exist", "one folder for each class"), ("no/where", "does not exist", "one folder for each class"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=message) as caught:
            load_data(tmp_path / name)
        assert hint in caught.value.hint, name


def test_files_in_one_folder_whose_names_say_the_class_are_helped(tmp_path: Path) -> None:
    for digit in range(3):
        for i in range(12):
            (tmp_path / f"{digit}_{('ann', 'bob', 'cem')[i // 4]}_{i % 4}.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    with pytest.raises(DataError) as caught:
        load_data(tmp_path)
    assert '--pattern "{label}_{group}_{}"' in caught.value.hint


def test_per_class_draws_by_seed_and_keeps_groups_apart(photos: Path) -> None:
    files = [{s.file for s in load_data(photos, per_class=5, seed=seed).samples} for seed in (0, 0, 1)]
    assert files[0] == files[1] != files[2]
    parts = load_data(photos, per_class="4/2/3")
    assert {p: len(parts.part(p)) for p in ("train", "validation", "test")} == {"train": 8, "validation": 4, "test": 6}
    with pytest.raises(UsageError):
        load_data(photos, per_class="many")


def test_drawing_more_than_there_is_is_said(photos: Path) -> None:
    (short,) = [f for f in load_data(photos, per_class="9/2/3").findings if f.name == "drawn_short"]
    assert "--per-class 9/2/3" in short.message and "green 1/3 (test)" in short.message
    assert not load_data(photos, per_class=12).findings


def test_classes_subset_and_its_misspelling(photos: Path) -> None:
    assert load_data(photos, classes=["red"]).classes == ["red"]
    with pytest.raises(UsageError, match="rad"):
        load_data(photos, classes=["rad"])


def video(path: Path, container: str) -> Path:
    """Half a second of moving noise, as telephones take it."""
    av = pytest.importorskip("av")
    rng = np.random.default_rng(len(path.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container) as out:
        track = out.add_stream("mpeg4", rate=10)
        track.width = track.height = 64
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8), format="rgb24")
            for packet in track.encode(frame):
                out.mux(packet)
        for packet in track.encode(None):
            out.mux(packet)
    return path


def test_videos_among_photos_are_left_out_as_videos(make_photos: Callable[..., Path], photo_run: Any) -> None:
    folder = make_photos(per_class=3)
    films = [
        video(folder / "red" / f"{n}.{end}", kind) for n, (end, kind) in enumerate((("mp4", "mp4"), ("MOV", "mov")) * 5)
    ]
    data = load_data(folder)
    assert (data.modality, len(data)) == ("image", 6), "more videos than photos do not make sounds of them"
    (said,) = [f for f in data.findings if "video" in f.name]
    assert said.message == "10 files are videos and were left out" and "--modality audio" in said.fix
    assert {Path(file).name for file in said.files} == {film.name for film in films}
    answers = list(predict(photo_run.path, [films[0], films[1]]))
    assert [row["error"] for row in answers] == ["is a video, this model is for pictures"] * 2


def test_a_folder_of_mp4_recordings_is_one_of_sounds(make_photos: Callable[..., Path]) -> None:
    folder = make_photos(classes=("red",), per_class=1)
    for n in range(4):
        name = folder / "low" / f"{n}.mp4"
        name.parent.mkdir(exist_ok=True)
        name.write_bytes(b"\0\0\0\x18ftypmp42" + bytes([n]) * 100)
    data = load_data(folder)
    assert (data.modality, data.classes) == ("audio", ["low"]) and len(data) == 4


def test_what_is_not_media_is_ignored_and_what_is_broken_is_found(photos: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(photos, tmp_path / "data")
    (folder / "red" / "notes.txt").write_text("hello")
    (folder / "red" / ".DS_Store").write_bytes(b"x")
    (folder / "red" / "empty.jpg").touch()
    (folder / "red" / "page.png").write_text("<html>")
    (folder / "red" / "really_png.jpg").write_bytes((photos / "red" / "00.png").read_bytes())
    (folder / "link.png").symlink_to("/etc/passwd")
    (folder / "loop").symlink_to(folder)
    data = load_data(folder)
    kinds = {(f.kind, Path(f.files[0]).name) for f in data.findings if f.files}
    assert {("empty", "empty.jpg"), ("corrupt", "page.png"), ("format", "link.png")} <= kinds
    assert len(data) == 25
    assert data.ignored == 1


@pytest.mark.parametrize("names", [("Cat", "cat "), ("cat", "ca\u200bt")])
def test_classes_that_look_the_same_are_said(tmp_path: Path, names: tuple[str, str]) -> None:
    data = load_data(write_photos(tmp_path, names, 2))
    assert [f.kind for f in data.findings if f.kind == "label-spelling"] == ["label-spelling"]


def test_decomposed_and_composed_names_are_one_class(tmp_path: Path) -> None:
    write_photos(tmp_path, ("caf\u00e9",), 2, seed=1)
    write_photos(tmp_path, ("cafe\u0301", "tea"), 2, seed=2)
    assert load_data(tmp_path).counts == {"caf\u00e9": 4, "tea": 2}


def test_kind_is_told_by_content() -> None:
    assert sniff(b"\xff\xd8\xff\xe0" + bytes(20)) == "image"
    assert sniff(b"RIFF\x00\x00\x00\x00WAVEfmt ") == "audio"
    assert sniff(b"RIFF\x00\x00\x00\x00WEBPVP8 ") == "image"
    assert sniff(b"\x00\x00\x00\x18ftypheic" + bytes(8)) == "image"
    assert sniff(b"<!DOCTYPE html>" + bytes(8)) is None
    assert sniff(b"\x7fELF" + bytes(20)) is None


# -- splits ------------------------------------------------------------------------------------------------------------


def test_folds_keep_groups_whole_and_classes_even() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    labels = np.repeat(rng.integers(0, 4, 40), 5)
    folds = stratified_group_folds(labels, groups, 5, rng)
    assert all(len(set(folds[groups == g])) == 1 for g in range(40))
    for c in range(4):
        shares = [(labels[folds == f] == c).sum() / (labels == c).sum() for f in range(5)]
        assert max(shares) - min(shares) <= 0.35


@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize("folds", range(2, 6))
def test_tiny_classes_never_straddle_and_never_crash(count: int, folds: int) -> None:
    labels = np.array([0] * 8 + [1] * count)
    groups = np.arange(len(labels))
    made = plan(labels, groups, False, [""] * len(labels), seed=0, folds=folds, repeats=2)
    if count == 1:
        assert (made.folds[:, 8:] == -1).all()
    for _, fold, mask in made.masks():
        assert set(labels[mask]) == {0, 1} or count == 1, fold


def test_few_groups_are_left_out_one_at_a_time() -> None:
    groups = np.repeat(np.arange(4), 10)
    made = plan(np.tile([0, 1], 20), groups, True, [""] * 40, seed=0, folds=5, repeats=5)
    assert made.method.startswith("leave one group out (4 groups)")
    assert len(made.masks()) == 4


def test_given_folds_are_used() -> None:
    made = plan(
        np.tile([0, 1], 10), np.arange(20), False, [str(i // 10) for i in range(20)], seed=0, folds=5, repeats=5
    )
    assert made.method.startswith("2 given folds")


def test_groups_join_through_others() -> None:
    assert list(join(4, ["a", "", "a", "b"], ["", "x", "x", ""])) == [0, 0, 0, 1]
    assert list(join_pairs(np.array([0, 1, 2, 3]), [(0, 3), (3, 1)])) == [0, 0, 1, 0]
