"""What a run says beyond its headline: planted truths must be found, and nothing may be found where nothing is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful
from handful.config import resolve
from handful.data.splits import plan
from handful.errors import DataError, UsageError
from handful.runs import Run
from handful.training.trial import Trial
from tests.conftest import write_photos, write_sounds

FAST = {"weights": "none", "model": "statistics", "repeats": 2, "threads": 1}


def evaluated(folder: Path, **settings: Any) -> tuple[Trial, Any]:
    trial = Trial(resolve({"data": str(folder), **FAST, **settings}))
    trial.prepare()
    return trial, trial.evaluate()


def blocks(rng: np.random.Generator, base: int, spread: int) -> np.ndarray:
    """A picture of 4 x 4 coloured squares, so that no two are near copies."""
    return np.kron(rng.integers(0, spread, (4, 4, 3)) + base, np.ones((12, 12, 1), int))


def save(pixels: np.ndarray, path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


def tones(folder: Path, classes: tuple[str, ...] = ("black", "white"), per_class: int = 20) -> Path:
    """Pictures that nobody could mix up."""
    rng = np.random.default_rng(0)
    for index, name in enumerate(classes):
        for number in range(per_class):
            save(blocks(rng, 10 + 160 * index, 80), folder / name / f"{number:02d}.png")
    return folder


def same_scene(folder: Path, classes: tuple[str, ...] = ("a", "b"), scenes: int = 6, each: int = 5) -> Path:
    """The class of a scene is no matter of its colours; its photos resemble each other."""
    rng = np.random.default_rng(0)
    for number in range(scenes):
        for name in classes:
            scene = blocks(rng, 0, 250)
            for shot in range(each):
                save(scene + rng.integers(-20, 20, scene.shape), folder / name / f"scene{name}{number}_{shot}.png")
    return folder


def test_a_random_split_is_shown_to_flatter(tmp_path: Path) -> None:
    folder = same_scene(tmp_path / "data")
    result = handful.train(folder, run=tmp_path / "run", pattern="{group}_{}", **FAST).result
    leak = result["leak"]
    assert leak["by"] == "given groups" and leak["torn"] > 6
    assert leak["naive"]["value"] > result["score"]["value"] + 0.2
    assert leak["flatters"]["value"] == pytest.approx(leak["naive"]["value"] - result["score"]["value"])
    assert leak["flatters"]["low"] <= leak["flatters"]["value"] <= leak["flatters"]["high"]


def test_no_leak_is_claimed_where_nothing_belongs_together(photo_run: Any) -> None:
    assert photo_run.result["leak"] is None


def test_unknown_things_are_measured_by_leaving_classes_out(tmp_path: Path) -> None:
    """A grey picture lies between black and white: a model of those two must be unsure of it."""
    rng = np.random.default_rng(0)
    for index, name in enumerate(("black", "grey", "white")):
        for number in range(15):
            save(blocks(rng, 5 + 75 * index, 70), tmp_path / "data" / name / f"{number}.png")
    result = handful.train(tmp_path / "data", run=tmp_path / "run", **FAST).result
    unknown = result["unknown"]
    assert set(unknown["classes"]) == {"black", "grey", "white"}
    assert 0 <= unknown["false_alarm"]["value"] <= 0.2 and unknown["false_alarm"]["n"] == 45
    assert unknown["miss"]["n"] == 45 and unknown["classes"]["grey"]["auroc"] > 0.8
    assert unknown["below"] == handful.load(tmp_path / "run").metadata["unknown_below"]
    assert unknown.get("why") is None


def test_two_classes_say_why_unknowns_were_not_measured(photo_run: Any) -> None:
    unknown = photo_run.result["unknown"]
    assert unknown["miss"] is None and "two classes" in unknown["why"]


def test_sets_cover_and_travel_with_the_model(any_run: Any) -> None:
    sets = any_run.result["sets"]
    assert sets["asked"] == 0.9 and sets["covered"]["n"] == any_run.score["n"]
    assert sets["quantile"] == any_run.model.metadata["set_quantile"]


def test_flipped_labels_are_found(tmp_path: Path) -> None:
    folder = tones(tmp_path / "data")
    for number in (3, 7):
        shutil.move(folder / "black" / f"{number:02d}.png", folder / "white" / f"black{number}.png")
    result = handful.train(folder, run=tmp_path / "run", **FAST).result
    assert {row["file"] for row in result["doubtful"][:2]} == {"white/black3.png", "white/black7.png"}
    assert all(row["suggested"] == "black" and row["given"] < 0.5 for row in result["doubtful"][:2])
    (finding,) = [f for f in result["findings"] if f["kind"] == "wrong-label"]
    assert finding["files"] == [row["file"] for row in result["doubtful"]]


def test_random_labels_and_identical_samples_are_no_better_than_chance(tmp_path: Path) -> None:
    random = write_photos(tmp_path / "random", ("a",), per_class=30)
    (random / "b").mkdir()
    for number in np.random.default_rng(1).permutation(30)[:15]:
        shutil.move(random / "a" / f"{number:02d}.png", random / "b" / f"{number:02d}.png")
    same, one = tmp_path / "same", next((random / "a").iterdir())
    for name in ("a", "b"):
        (same / name).mkdir(parents=True)
        for number in range(8):
            shutil.copy(one, same / name / f"{number}.png")
    for folder in (random, same):
        run = handful.train(folder, run=tmp_path / f"run-{folder.name}", **FAST)
        assert run.score["low"] <= 0.5
        assert "chance" in run.report.read_text(encoding="utf-8")


def test_the_map_is_small_and_keeps_classes_apart(any_run: Any) -> None:
    rows = Run.open(any_run.path).rows("samples.jsonl")
    places = np.array([row["map"] for row in rows])
    assert np.abs(places).max() == pytest.approx(1, abs=1e-3)
    labels = np.array([row["label"] for row in rows])
    names = sorted(set(labels))
    gap = places[labels == names[0]].mean(axis=0) - places[labels == names[1]].mean(axis=0)
    assert np.linalg.norm(gap) > 0.2
    assert 0 < sum(any_run.result["map"]["explained"]) <= 1


def test_rehearsing_leaves_the_shipped_model_alone(photos: Path) -> None:
    trial, _ = evaluated(photos)
    before = {name: array.copy() for name, array in trial.strategy.state().items()}
    n = len(trial.prepared.labels)
    other = plan(trial.prepared.labels, np.arange(n), False, [""] * n, seed=9, folds=3, repeats=1)
    logits = trial.rehearse(other)
    assert logits.shape == (1, n, 2) and np.isfinite(logits).all()
    after = trial.strategy.state()
    assert all(np.array_equal(after[name], array) for name, array in before.items())


def test_more_samples_are_seen_to_help(tmp_path: Path) -> None:
    """Classes that overlap: the darker pictures of one are as dark as the lighter ones of the other."""
    rng = np.random.default_rng(0)
    for index, name in enumerate(("a", "b")):
        for number in range(30):
            save(blocks(rng, 40 + 25 * index, 150), tmp_path / "data" / name / f"{number:02d}.png")
    run = handful.train(tmp_path / "data", run=tmp_path / "run", **FAST)
    found = handful.curve(run.path)["curve"]
    sizes = [point["per_class"] for point in found["points"]]
    assert sizes == sorted(sizes) and sizes[0] == 2 and sizes[-1] == 24
    assert found["points"][-1]["value"] == pytest.approx(run.score["value"], abs=0.1)
    assert max(point["per_class"] for point in found["band"]) == pytest.approx(120, abs=1)
    assert all(point["low"] <= point["value"] <= point["high"] for point in found["band"])
    assert set(found["classes"]) == {"a", "b"}
    error = 1 - found["points"][-1]["value"]
    assert sum(row["gain"] for row in found["classes"].values()) <= error + 1e-9
    assert Run.open(run.path).result["curve"] == found


def test_a_class_that_is_done_is_called_done(tmp_path: Path) -> None:
    """Black against white: two samples are enough, and so it is said."""
    tones(tmp_path / "data", per_class=100)
    run = handful.train(tmp_path / "data", run=tmp_path / "run", **FAST)
    classes = handful.curve(run.path)["curve"]["classes"]
    assert run.score["value"] == 1
    assert all(row["done"] and row["more"] is None and row["gain"] == 0 for row in classes.values())


def test_a_curve_needs_the_data_it_was_trained_on(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "data", per_class=6)
    run = handful.train(folder, run=tmp_path / "run", **FAST)
    (folder / "red" / "00.png").unlink()
    with pytest.raises(DataError, match="changed"):
        handful.curve(run.path)


def test_unlabelled_files_are_suggested_once_and_never_known_ones(photos: Path, photo_run: Any, tmp_path: Path) -> None:
    pool = write_photos(tmp_path / "pool", ("x",), per_class=6, seed=3)
    shutil.copy(photos / "red" / "00.png", pool / "known.png")
    shutil.copy(pool / "x" / "01.png", pool / "twice.png")
    (pool / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = handful.suggest(photo_run.path, pool, count=20)
    names = [Path(row["file"]).name for row in found["files"]]
    assert len(names) == 6 and "known.png" not in names
    assert [Path(row["file"]).name for row in found["errors"]] == ["broken.png"]
    with pytest.raises(DataError, match="no pictures"):
        handful.suggest(photo_run.path, write_sounds(tmp_path / "sounds", per_class=1))


def test_networks_are_not_trained_again_for_a_curve(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    run = handful.train(photos, run=tmp_path / "run", strategy="scratch", epochs=1, folds=2, weights="none")
    with pytest.raises(UsageError, match="learning curve"):
        handful.curve(run.path)
    assert run.result["leak"] is None and run.result["unknown"]["miss"] is None


def test_check_names_wrong_labels_and_writes_a_table_that_loads(tmp_path: Path) -> None:
    folder = tones(tmp_path / "data", per_class=15)
    shutil.move(folder / "black" / "03.png", folder / "white" / "black3.png")
    shutil.copy(folder / "black" / "05.png", folder / "black" / "copy.png")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    found = handful.check(folder, model="statistics", fix=tmp_path / "fixed.csv")
    assert {"wrong-label", "duplicate"} <= {f["kind"] for f in found["findings"]}
    assert found["skipped"] == []
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    again = handful.load_data(folder, labels=tmp_path / "fixed.csv")
    assert len(again.samples) == 30
    with pytest.raises(DataError, match="not replaced"):
        handful.check(folder, model="statistics", fix=tmp_path / "fixed.csv")


def test_other_names_give_the_same_figures(photos: Path, tmp_path: Path) -> None:
    """Folds follow content: who renames files and folders gets the same score."""
    renamed = tmp_path / "renamed"
    for name, other in (("red", "zebra"), ("green", "apple")):
        for number, file in enumerate(sorted((photos / name).iterdir(), reverse=True)):
            (renamed / other).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, renamed / other / f"{number}{file.suffix}")
    scores = [
        handful.train(folder, run=tmp_path / f"run{i}", **FAST).score for i, folder in enumerate((photos, renamed))
    ]
    assert scores[0] == scores[1]


def test_copies_of_training_files_among_the_test_files_are_named(photos: Path, tmp_path: Path) -> None:
    from PIL import Image

    test = write_photos(tmp_path / "test", per_class=3, seed=8)
    shutil.copy(photos / "red" / "02.png", test / "red" / "same.png")
    with Image.open(photos / "red" / "03.png") as picture:
        picture.resize((64, 64)).save(test / "red" / "larger.png")
    result = handful.train(photos, run=tmp_path / "run", test=str(test), **FAST).result
    leaks = [f for f in result["findings"] if f["kind"] == "leak"]
    assert {file for f in leaks for file in f["files"]} >= {"red/same.png", "red/larger.png"}
    assert all(f["severity"] == "error" for f in leaks)
