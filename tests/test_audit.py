"""The data doctor: what is planted is found, what is sound is left alone, and nothing is changed unasked."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.audit import doctor, labels, mixes, shortcuts, sources
from handful.audit.fix import fixed_table, write_table
from handful.data import Dataset, Finding, Sample, load_data
from handful.data.pattern import Pattern, suggest
from handful.data.splits import plan
from handful.errors import DataError, UsageError
from handful.features import frontends
from handful.features.audio import AudioFrontend
from handful.features.image import ImageFrontend
from handful.training.shortcuts import binomial_tail, holm, measure, shuffled

from .conftest import write_photos, write_sounds


def sample(file: str, label: str = "a", **fields: str) -> Sample:
    return Sample("/data", file, label, fields.pop("sha256", file), **fields)


def read(data: Dataset) -> tuple[Any, list[dict[str, Any]]]:
    frontend = frontends.get(data.modality).suited([s.path for s in data.samples], {})
    return frontend, [frontend.read(s.path)[1] for s in data.samples]


def findings_of(folder: Path, **options: Any) -> list[Finding]:
    data = load_data(folder, **options)
    frontend, facts = read(data)
    found = list(data.findings) + doctor.from_facts(data.samples, facts)
    found += doctor.duplicates(data.samples, frontend.alike(facts)) + doctor.too_few(data.samples)
    return found + sources.from_metadata(data.samples, facts)


def kinds(found: Sequence[Finding], severity: str = "") -> set[str]:
    return {f.kind for f in found if severity in ("", f.severity)}


def folds_of(classes: np.ndarray, groups: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    names = np.arange(len(classes)) if groups is None else groups
    made = plan(classes, names, groups is not None, [""] * len(classes), seed=seed, folds=5, repeats=1)
    return np.asarray(made.folds[0])


# -- duplicates and leaks ----------------------------------------------------------------------------------------------


def test_sound_data_has_no_findings(photos: Path, sounds: Path) -> None:
    assert findings_of(photos) == [] == findings_of(sounds)


def test_planted_duplicates_across_classes_and_renamed_copies_across_splits(tmp_path: Path) -> None:
    from PIL import Image

    for part, n in (("train", 6), ("test", 4)):
        write_photos(tmp_path / part, per_class=n, seed=n)
    shutil.copy(tmp_path / "train/red/00.png", tmp_path / "train/green/again.png")
    shutil.copy(tmp_path / "train/red/01.png", tmp_path / "test/red/IMG_7731.png")
    with Image.open(tmp_path / "train/green/02.png") as picture:
        picture.convert("RGB").resize((96, 96)).save(tmp_path / "test/green/renamed.jpg", quality=85)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    found = [f for f in findings_of(tmp_path) if f.severity == "error"]
    assert {(f.kind, f.files) for f in found} == {
        ("duplicate", ("train/green/again.png", "train/red/00.png")),
        ("leak", ("test/red/IMG_7731.png", "train/red/01.png")),
        ("leak", ("test/green/renamed.jpg", "train/green/02.png")),
    }
    assert all(f.fix for f in found)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_quieter_and_resampled_copies_of_sounds_are_found(tmp_path: Path) -> None:
    import soundfile

    write_sounds(tmp_path, per_class=6)
    wave, rate = soundfile.read(tmp_path / "low/00.wav")
    soundfile.write(tmp_path / "high" / "quiet.flac", wave * 0.4, rate)
    (found,) = [f for f in findings_of(tmp_path) if f.severity == "error"]
    assert (found.kind, found.files) == ("near-duplicate", ("high/quiet.flac", "low/00.wav"))
    assert "classes differ (high, low)" in found.message


def test_a_cluster_is_one_finding() -> None:
    burst = [sample(f"{i}.jpg") for i in range(4)]
    (found,) = doctor.duplicates(burst, [(0, 1), (1, 2), (2, 3)])
    assert (found.kind, found.severity, len(found.files)) == ("near-duplicate", "note", 4)
    assert "stay on one side" in found.fix
    assert doctor.clusters([(5, 3), (0, 1), (3, 7)]) == [[0, 1], [3, 5, 7]]


def test_a_copy_in_another_part_and_another_class_is_both() -> None:
    pair = [sample("a.jpg", "cat", split="train", sha256="x"), sample("b.jpg", "dog", split="test", sha256="x")]
    assert [(f.kind, f.severity) for f in doctor.duplicates(pair, [])] == [("leak", "error"), ("duplicate", "error")]


# -- what was seen of the files ----------------------------------------------------------------------------------------


def test_sounds_that_are_silent_clipped_or_of_another_make(tmp_path: Path) -> None:
    import soundfile

    write_sounds(tmp_path, per_class=10, rate=44_100)
    t = np.arange(44_100) / 44_100
    soundfile.write(tmp_path / "low/silent.wav", np.zeros(22_050), 44_100)
    soundfile.write(tmp_path / "low/loud.wav", np.clip(3 * np.sin(2 * np.pi * 220 * t[:22_050]), -1, 1), 44_100)
    soundfile.write(tmp_path / "high/stereo.wav", np.stack([np.sin(700 * t[:22_050])] * 2, 1) / 3, 44_100)
    soundfile.write(tmp_path / "high/long.wav", np.sin(900 * np.arange(8 * 44_100) / 44_100) / 3, 44_100)
    for i in range(2):
        wave = 0.3 * np.sin(2 * np.pi * (500 + 90 * i) * np.arange(6_000) / 12_000)
        soundfile.write(tmp_path / ("low", "high")[i] / "phone.wav", wave, 12_000)
    found = findings_of(tmp_path)
    about = {f.files: (f.kind, f.severity, f.message) for f in found}
    assert about[("low/silent.wav",)][0] == "silent" and about[("low/loud.wav",)][0] == "clipped"
    assert "two channels" in about[("high/stereo.wav",)][2] and "longer" in about[("high/long.wav",)][2]
    kind, severity, message = about[("high/phone.wav", "low/phone.wav")]
    assert (kind, severity) == ("format", "warning") and "12,000 Hz" in message and "44,100 Hz" in message
    assert "6,000 Hz" in message and len([f for f in found if f.kind == "format"]) == 3


def test_pictures_of_other_size_and_colour(tmp_path: Path) -> None:
    from PIL import Image

    folder = write_photos(tmp_path, per_class=8)
    with Image.open(folder / "red/00.png") as picture:
        picture.resize((480, 400)).save(folder / "red/large.png")
    rng = np.random.default_rng(5)
    for name in ("red", "green"):
        Image.fromarray(rng.integers(0, 255, (48, 48), dtype=np.uint8)).save(folder / name / "grey.png")
    about = {f.files: f.message for f in findings_of(folder) if f.kind == "format"}
    assert "480 x 400" in about[("red/large.png",)]
    assert "2 of 19 pictures are grey" in about[("green/grey.png", "red/grey.png")] and len(about) == 2


def test_a_property_that_goes_with_the_class_is_said() -> None:
    files = [sample(f"{i}.wav", "ab"[i % 2]) for i in range(40)]
    phone = [{"sample_rate_hz": 8_000 if i % 2 and i < 24 else 16_000} for i in range(40)]
    (found,) = mixes.mixes(files, phone)
    assert found.severity == "warning" and "all of them are 'b'" in found.message and len(found.files) == 12
    spread = [{"sample_rate_hz": 44_100 if i < 12 else 48_000} for i in range(40)]
    (found,) = mixes.mixes(files, spread)
    assert found.severity == "note" and "in place of the class" not in found.message
    kinds_of_file = [{"format": "PNG" if i % 2 else "JPEG"} for i in range(40)]
    assert "in place of the class" in mixes.mixes(files, kinds_of_file)[0].message
    assert mixes.mixes(files, [{"format": "PNG" if i < 9 else "JPEG"} for i in range(40)]) == []


def test_chance_of_a_property_going_with_a_class_is_fishers() -> None:
    # 3 of 4 drawn are marked, of 8 with 4 marked: (16 + 1) / 70, the lady tasting tea (Fisher 1935).
    assert mixes._tail(8, 4, 4, 3) == pytest.approx(17 / 70)
    assert mixes._tail(8, 4, 4, 0) == pytest.approx(1)
    assert mixes._tail(5, 4, 4, 0) == pytest.approx(1)


# -- shared sources ----------------------------------------------------------------------------------------------------


def test_recordings_cut_into_takes_and_speakers_are_suggested() -> None:
    rng = np.random.default_rng(0)
    clips, classes = [], []
    for recording in rng.choice(250_000, 60, replace=False):
        fold, takes = 1 + int(recording) % 4, 1 + (int(recording) % 3 == 0) * 2
        clips += [f"{fold}-{recording}-{'ABC'[take]}" for take in range(takes)]
        classes += [("rain", "rooster")[int(recording) // 7 % 2]] * takes
    assert suggest(clips, classes) == "{fold}-{group}-{}"
    words = [f"{digit}_{name}_{i}" for digit in range(5) for name in ("ann", "bob", "cyd") for i in range(6)]
    for given in ([""] * 90, [word[0] for word in words]):
        assert suggest(words, given) == "{label}_{group}_{}"
    assert Pattern("{label}_{group}_{}").match(words[-1]) == {"label": "4", "group": "cyd"}
    numbered = [f"{i}_{name}" for i in range(10) for name in ("ann", "bob", "cyd")]
    assert suggest(numbered * 2, ["a"] * 30 + ["b"] * 30) == "{}_{group}"


@pytest.mark.parametrize(
    ("stems", "classes"),
    [
        ([f"IMG_{4000 + i}" for i in range(40)], ["a", "b"] * 20),
        ([f"{c}-{i:02d}" for c in "ab" for i in range(20)], ["a"] * 20 + ["b"] * 20),
        ([f"{c}_{i}" for c in ("cat", "dog") for i in range(30)], [""] * 60),
        ([f"{c}.{i * 37}" for c in ("cat", "dog") for i in range(30)], ["cat"] * 30 + ["dog"] * 30),
        (
            [f"n0{c}_{i * 91 % 997}" for c in range(3) for i in range(30)],
            ["abc"[c] for c in range(3) for _ in range(30)],
        ),
    ],
)
def test_plain_numbering_is_no_source(stems: list[str], classes: list[str]) -> None:
    assert suggest(stems, classes) is None


def test_suggestions_for_real_collections(shared: Path) -> None:
    wanted = {"esc10": "{fold}-{group}-{}", "yesno": "{group}_{}_{}", "catsdogs/train": None, "faces2/train": None}
    for name, pattern in wanted.items():
        files = sorted(p for p in (shared / name).glob("*/*") if p.suffix in (".wav", ".ogg", ".jpg", ".png", ".pgm"))
        assert suggest([p.stem for p in files], [p.parent.name for p in files]) == pattern, name
    digits = sorted(p.stem for p in (shared / "fsdd/recordings").glob("*.wav"))
    assert suggest(digits, ["recordings"] * len(digits)) == "{label}_{group}_{}"


def test_session_folders_are_suggested_never_applied(tmp_path: Path) -> None:
    for number, day in enumerate(("monday", "tuesday", "friday")):
        for name in ("red", "green"):
            made = write_photos(tmp_path / "new", (name,), 4, seed=10 * number + len(name))
            shutil.move(made / name, tmp_path / "data" / name / day)
    data = load_data(tmp_path / "data")
    (found,) = [f for f in findings_of(tmp_path / "data") if f.kind == "leak"]
    assert found.severity == "warning" and len(found.files) == 24
    assert "--labels" in found.fix and "group" in found.fix and not any(s.group for s in data.samples)
    assert set(sources.folders(data.samples).values()) == {"monday", "tuesday", "friday"}
    hashed = [sample(f"{i % 8:02x}/{i % 8:02x}{i:014x}.png", "ab"[i % 2]) for i in range(80)]
    assert sources.folders(hashed) == {}, "a studio's media lie in folders by the beginning of their names"
    rows = fixed_table(data.samples, [found], sources=sources.folders(data.samples))
    assert {(row["group"], row["suggested_group"]) for row in rows} == {("", "monday"), ("", "tuesday"), ("", "friday")}


def test_bursts_of_one_camera_are_suggested(tmp_path: Path) -> None:
    from PIL import Image

    folder = write_photos(tmp_path, per_class=6)
    seconds = [0, 2, 4, 60, 300, 302]
    for name, camera in (("red", "A1"), ("green", "B2")):
        for i, second in enumerate(seconds):
            with Image.open(folder / name / f"{i:02d}.png") as picture:
                exif = picture.getexif()
                exif[0x0110] = camera
                exif.get_ifd(0x8769)[0x9003] = f"2026:05:03 12:{second // 60:02d}:{second % 60:02d}"
                picture.convert("RGB").save(folder / name / f"{i:02d}.jpg", exif=exif)
            (folder / name / f"{i:02d}.png").unlink()
    data = load_data(folder)
    _, facts = read(data)
    assert facts[0]["camera"] == "B2" and facts[0]["taken"] == "2026:05:03 12:00:00"
    groups = sources.bursts(data.samples, facts)
    by_name: dict[str, set[str]] = {}
    for file, group in groups.items():
        by_name.setdefault(group, set()).add(file)
    assert sorted(map(sorted, by_name.values())) == [
        [f"{name}/{i:02d}.jpg" for i in run] for name in ("green", "red") for run in ((0, 1, 2), (4, 5))
    ]
    assert any("10 pictures" in f.message and f.kind == "leak" for f in findings_of(folder))


# -- shortcuts ---------------------------------------------------------------------------------------------------------


def bordered(folder: Path, planted: bool, seed: int) -> Path:
    """Pictures without a subject in which only the border may tell the class."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    for index, name in enumerate(("cup", "key")):
        (folder / name).mkdir(parents=True)
        for i in range(15):
            pixels = rng.integers(60, 200, (40, 40, 3), dtype=np.uint8)
            table = (90, 120, 150) if planted and index else (120, 110, 90)
            for edge in (np.s_[:4], np.s_[-4:], np.s_[:, :4], np.s_[:, -4:]):
                pixels[edge] = np.clip(np.array(table) + rng.normal(0, 12, 3), 0, 255)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def measured(folder: Path) -> dict[str, dict[str, Any]]:
    data = load_data(folder)
    classes = np.array([data.classes.index(s.label) for s in data.samples])
    blocks = shortcuts.features(read(data)[1])
    rows = measure(blocks, classes, np.arange(len(classes)), folds_of(classes))
    return {row["name"]: row for row in rows}


def test_a_planted_border_is_found_and_no_other(tmp_path: Path) -> None:
    rows = measured(bordered(tmp_path / "planted", True, 0))
    assert rows["border"]["above_chance"] and rows["border"]["score"]["value"] > 0.9
    assert set(rows["border"]) == {"name", "score", "chance", "p_value", "above_chance"}
    assert rows["border"]["chance"] == 0.5 and rows["border"]["score"]["n"] == 30
    (found,) = [f for f in shortcuts.to_findings(rows.values()) if "border" in f.message]
    assert (found.kind, found.severity) == ("shortcut", "warning") and "backgrounds" in found.fix
    assert not any(row["above_chance"] for row in measured(bordered(tmp_path / "clean", False, 1)).values())


def test_planted_loudness_rate_and_edges_are_found(tmp_path: Path) -> None:
    import soundfile

    rng = np.random.default_rng(0)
    for index, name in enumerate(("knock", "ring")):
        (tmp_path / name).mkdir()
        for i in range(15):
            rate = 22_050 if index and i < 12 else 16_000
            wave = rng.normal(0, 0.02, 3 * rate) * (1 + 2 * index)
            soundfile.write(tmp_path / name / f"{i}.wav", wave, rate)
    rows = measured(tmp_path)
    assert {n for n, row in rows.items() if row["above_chance"]} == {
        "loudness",
        "edges of the sound",
        "sample rate",
        "file size",
    }
    assert "length" not in rows and "channels" not in rows  # the same everywhere: nothing to learn from


def test_false_alarms_are_rare() -> None:
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        blocks = {f"block {k}": rng.normal(size=(80, k)) for k in (1, 2, 3, 30)}
        classes = rng.permutation(np.arange(80) % 4)
        alarms += any(r["above_chance"] for r in measure(blocks, classes, np.arange(80), folds_of(classes)))
        # Four samples of each source look the same: that is no evidence about the class.
        groups = np.arange(80) // 4
        blocks = {name: block[groups * 4] + rng.normal(0, 0.01, block.shape) for name, block in blocks.items()}
        classes = rng.permutation(np.arange(20) % 4)[groups]
        alarms += any(r["above_chance"] for r in measure(blocks, classes, groups, folds_of(classes, groups)))
    assert alarms <= 2, alarms


def test_groups_are_left_whole_and_inside_their_fold() -> None:
    groups = np.repeat(np.arange(12), 3)
    classes = np.where(groups < 10, groups % 2, np.arange(36) % 2)  # the last two groups have both classes
    folds = groups % 3
    drawn = [shuffled(classes, groups, folds, np.random.default_rng(seed)) for seed in range(20)]
    for result in drawn:
        assert all(len(set(result[groups == g])) == 1 for g in range(10))
        for fold in range(3):
            assert np.bincount(result[folds == fold], minlength=2).tolist() == [
                int((classes[folds == fold] == c).sum()) for c in (0, 1)
            ]
    assert any((result != classes).any() for result in drawn)


def test_shortcut_of_speakers_with_all_classes_is_found() -> None:
    rng = np.random.default_rng(1)
    groups, classes = np.repeat(np.arange(4), 20), np.tile(np.arange(2), 40)
    blocks = {"loudness": classes[:, None] + rng.normal(0, 0.6, (80, 1)) + groups[:, None] * 0.1}
    (row,) = measure(blocks, classes, groups, groups)
    assert row["above_chance"] and row["score"]["value"] > 0.65


def test_two_cameras_are_a_shortcut_and_many_samples_are_drawn_from() -> None:
    classes = np.arange(3000) % 3
    blocks = shortcuts.features({"camera": "Phone A" if i % 3 else "Phone B"} for i in range(3000))
    assert list(blocks) == ["camera"] and blocks["camera"].shape == (3000, 2)
    (row,) = measure(blocks, classes, np.arange(3000), folds_of(classes))
    assert row["above_chance"] and row["score"]["value"] == pytest.approx(2 / 3, abs=0.05)
    assert row["score"]["n"] == 1000
    assert measure(blocks, classes * 0, np.arange(3000), classes) == []


def test_tests_agree_with_textbooks() -> None:
    assert binomial_tail(8, 10, 0.5) == pytest.approx(56 / 1024)
    assert binomial_tail(0, 10, 0.5) == 1 and binomial_tail(10, 10, 0.1) == pytest.approx(1e-10)
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05) == [True, False, False, True]


def test_background_is_the_outer_tenth() -> None:
    pixels = np.full((100, 100, 3), 50, np.uint8)
    pixels[:10], pixels[-10:], pixels[:, :10], pixels[:, -10:] = 200, 200, 200, 200
    _, facts = ImageFrontend(size=100).read(_png(pixels))
    assert facts["border"][:6] == [200, 200, 200, 0, 0, 0] and facts["colour"] == 0
    assert len(facts["border"]) == 30 and facts["bytes"] == len(_png(pixels))
    pixels[:10, :30] = (255, 0, 0)
    assert ImageFrontend(size=100).read(_png(pixels))[1]["border"][6:9] != [200, 200, 200]


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_edges_of_a_sound_are_its_first_and_last_part() -> None:
    import soundfile

    rate = 16_000
    rng = np.random.default_rng(0)
    for seconds, edge in ((3.0, 0.2), (1.0, 0.1)):  # of short sounds a tenth
        wave = 0.3 * rng.normal(size=int(seconds * rate))
        n = int(edge * rate)
        wave[:n], wave[-n:] = 0, 0.01 * np.sin(2 * np.pi * 1000 * np.arange(n) / rate)
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, rate, format="WAV", subtype="FLOAT")
        _, facts = AudioFrontend(seconds=seconds).read(buffer.getvalue())
        levels = np.array(facts["edges"]).reshape(2, 8)
        assert (levels[0] <= -119).all()
        # 1 kHz lies in the fifth of eight bands from 60 Hz to 8 kHz; a sine of 0.01 has -43 dB.
        assert levels[1].argmax() == 4 and levels[1, 4] == pytest.approx(-43, abs=1)


# -- labels ------------------------------------------------------------------------------------------------------------


def blobs(flips: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(probabilities, given labels, which are wrong) of three classes that a good model tells apart."""
    rng = np.random.default_rng(seed)
    true = np.arange(120) % 3
    logits = rng.normal(0, 1, (120, 3)) + 4 * np.eye(3)[true]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = rng.choice(120, flips, replace=False)
    given = true.copy()
    given[wrong] = (true[wrong] + 1 + rng.integers(0, 2, flips)) % 3
    return probabilities, given, wrong


def test_a_model_that_is_often_wrong_accuses_nobody() -> None:
    given = np.repeat([0, 1], 20)
    unsure = np.where(np.arange(40) % 3 == 0, 0.2, 0.8)  # contradicts a third of the labels, all of which are right
    probabilities = np.stack(
        [np.where(given == 0, unsure, 1 - unsure), np.where(given == 0, 1 - unsure, unsure)], axis=1
    )
    assert labels.confirmed(probabilities, given) == pytest.approx(26 / 40)
    assert labels.doubtful([f"{i}.jpg" for i in range(40)], given, ["a", "b"], probabilities) is None
    (finding,) = labels.to_findings(None)
    assert finding.severity == "note" and finding.files == () and "cannot be told" in finding.message


def test_flipped_labels_come_first() -> None:
    probabilities, given, wrong = blobs(12)
    assert len(set(labels.ranking(probabilities, given)[:12]) & set(wrong)) >= 11
    rows = labels.doubtful([f"{i}.jpg" for i in range(120)], given, ["a", "b", "c"], probabilities)
    found = [int(row["file"][:-4]) for row in rows]
    assert len(set(wrong) & set(found)) >= 11 and len(found) <= 16
    assert found == [i for i in labels.ranking(probabilities, given) if i in set(found)]
    for row in rows:
        assert set(row) == {"file", "label", "suggested", "given", "confidence"}
        assert row["suggested"] != row["label"] and row["given"] < row["confidence"]
    (finding,) = labels.to_findings(rows)
    assert finding.kind == "wrong-label" and finding.files == tuple(row["file"] for row in rows)
    assert rows[0]["file"] in finding.message and f"({rows[0]['confidence']:.2f})" in finding.message


def test_what_a_witness_confirms_is_not_doubted() -> None:
    """A model that knows the speaker confirms the label, or says nothing (NaN), or doubts it as well."""
    probabilities, given, wrong = blobs(12)
    files = [f"{i}.jpg" for i in range(120)]
    before = [row["file"] for row in labels.doubtful(files, given, ["a", "b", "c"], probabilities) or []]
    backed, silent, doubting = (int(file[:-4]) for file in before[:3])
    witness = probabilities.copy()
    witness[backed] = np.eye(3)[given[backed]]
    witness[silent] = np.nan
    after = [row["file"] for row in labels.doubtful(files, given, ["a", "b", "c"], probabilities, witness) or []]
    assert after == [file for file in before if file != f"{backed}.jpg"]
    assert {f"{silent}.jpg", f"{doubting}.jpg"} <= set(after)


def test_right_labels_and_untested_samples_are_not_doubted() -> None:
    probabilities, given, _ = blobs(0)
    probabilities[3] = np.nan
    files = [f"{i}.jpg" for i in range(120)]
    rows = labels.doubtful(files, given, ["a", "b", "c"], probabilities)
    assert "3.jpg" not in {row["file"] for row in rows} and len(rows) <= 4
    assert labels.ranking(probabilities, given)[-1] == 3
    assert labels.to_findings([]) == [] == labels.doubtful(files, given, ["a", "b", "c"], probabilities * np.nan)
    assert np.allclose(labels.thresholds(np.array([[0.8, 0.2], [0.6, 0.4]]), np.array([0, 0])), [0.7, 1.0])


# -- the corrected table -----------------------------------------------------------------------------------------------


def test_fixed_table_leaves_out_merges_groups_and_only_suggests_labels() -> None:
    data = [
        sample("1.jpg", "cat", sha256="x"), sample("2.jpg", "cat", sha256="x"),
        sample("3.jpg", "cat", sha256="y"), sample("4.jpg", "dog", sha256="y"),
        sample("5.jpg", "Cat "), sample("6.jpg", "dog"), sample("7.jpg", "dog", group="g"), sample("8.jpg", "dog"),
        sample("9.jpg", "dog"), sample("broken.jpg", "dog"), sample("dark.jpg", "dog"),
    ]  # fmt: skip
    found = [
        Finding("corrupt", "error", "no_media", files=("broken.jpg",)),
        Finding("silent", "warning", "constant", files=("dark.jpg",)),
        Finding("near-duplicate", "note", "alike", files=("6.jpg", "7.jpg")),
        Finding("near-duplicate", "note", "alike", files=("8.jpg", "9.jpg")),
        Finding("leak", "warning", "bursts", files=("1.jpg", "6.jpg")),
    ]
    doubt = {"file": "9.jpg", "label": "dog", "suggested": "cat", "given": 0.01, "confidence": 0.98}
    rows = {row["file_name"]: row for row in fixed_table(data, found, [doubt])}
    assert list(rows) == ["1.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg", "7.jpg", "8.jpg", "9.jpg"]
    assert "2.jpg" in rows["1.jpg"]["note"] and rows["1.jpg"]["group"] == ""
    assert rows["3.jpg"]["label"] == rows["4.jpg"]["label"] == "" and "dog" in rows["3.jpg"]["note"]
    assert rows["5.jpg"]["label"] == "cat" and "'Cat '" in rows["5.jpg"]["note"]
    assert rows["6.jpg"]["group"] == rows["7.jpg"]["group"] == "g"
    assert rows["8.jpg"]["group"] == rows["9.jpg"]["group"] not in ("", "g")
    assert (rows["9.jpg"]["label"], rows["9.jpg"]["suggested"]) == ("dog", "cat") and "0.98" in rows["9.jpg"]["note"]
    assert [row["suggested"] for row in rows.values()].count("") == 7


def test_fixed_table_mends_what_was_found(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "data"
    for part, n in (("train", 6), ("test", 4)):
        write_photos(folder / part, per_class=n, seed=n)
    shutil.copy(folder / "train/red/00.png", folder / "train/green/again.png")
    shutil.copy(folder / "train/red/01.png", folder / "test/red/copy.png")
    with Image.open(folder / "train/green/02.png") as picture:
        picture.convert("RGB").resize((96, 96)).save(folder / "test/green/renamed.jpg", quality=85)
    data = load_data(folder)
    write_table(tmp_path / "fixed.csv", fixed_table(data.samples, findings_of(folder)))
    again = load_data(folder, labels=tmp_path / "fixed.csv")
    assert not [f for f in findings_of(folder, labels=tmp_path / "fixed.csv") if f.severity == "error"]
    kept = {s.file for s in again.samples}
    assert {s.file for s in data.samples} - kept == {
        "train/red/00.png", "train/green/again.png", "train/red/01.png", "train/green/02.png",
    }  # fmt: skip
    assert {s.split for s in again.samples} == {"train", "test"}


AWKWARD = ["-rf.png", 'a,b "c".png', "кошка.png", "=1+1.png", "it's; a|tab.png", "#.png"]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_tables_load_again_whatever_files_are_called(photos: Path, tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "data"
    for i, name in enumerate(AWKWARD):
        target = folder / ("да, нет", "-b")[i % 2] / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / "red" / f"{i:02d}.png", target)
    data = load_data(folder)
    assert len(data) == len(AWKWARD)
    table = tmp_path / f"fixed{ending}"
    write_table(table, fixed_table(data.samples, []))
    assert load_data(folder, labels=table).samples == data.samples


def test_an_existing_table_is_never_replaced(tmp_path: Path) -> None:
    rows = fixed_table([sample("a.png")], [])
    table = tmp_path / "labels.csv"
    write_table(table, rows)
    with open(table, encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file)) == rows[0]
    before = table.read_bytes()
    with pytest.raises(DataError, match="exists") as caught:
        write_table(table, rows)
    assert "labels-2.csv" in caught.value.hint and table.read_bytes() == before
    with pytest.raises(UsageError):
        write_table(tmp_path / "labels.xlsx", rows)
    with pytest.raises(DataError, match="jsonl|bytes"):
        write_table(tmp_path / "other.csv", fixed_table([sample("bad\udcff.png")], []))
    write_table(tmp_path / "other.jsonl", fixed_table([sample("bad\udcff.png")], []))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.csv", "other.jsonl"]
