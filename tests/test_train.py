"""From a folder to a run, a report, predictions and exports: the whole way, as a user goes it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful
from handful.errors import BusyError, DataError, ExportError, RunError, UsageError, WeightsError
from handful.runs import Run

from .conftest import write_photos, write_sounds

FAST = {"weights": "none", "repeats": 2}


def test_result_has_the_keys_of_the_contract(photo_run: Any) -> None:
    result = photo_run.result
    expected = {
        "schema", "run", "modality", "task", "model", "strategy", "why", "weights", "classes", "samples", "groups", "score", "macro_f1",
        "per_class", "test", "calibration", "parameters", "macs", "seconds", "peak_rss_bytes", "peak_gpu_bytes", "gpu_share",
    }  # fmt: skip
    assert expected <= set(result)
    assert set(result["score"]) == {"metric", "value", "low", "high", "n", "method", "interval"}
    assert {"metric", "value", "low", "high", "n"} <= set(result["test"])
    assert {"precision", "recall", "f1", "n", "recall_low", "recall_high"} <= set(result["per_class"]["red"])
    assert {"total", "decode", "export", "embed", "fit"} <= set(result["seconds"])
    assert result["score"]["value"] > 0.9 and result["score"]["n"] == 24
    assert result["score"]["method"] == "2x5-fold, out-of-fold"
    assert result["test"]["n"] == 16


def test_run_directory_is_complete(any_run: Any) -> None:
    names = {p.name for p in any_run.path.iterdir()}
    assert {
        "run.json",
        "recipe.yaml",
        "samples.jsonl",
        "out_of_fold.jsonl",
        "model.safetensors",
        "model.onnx",
        "backbone.json",
        "report.html",
    } <= names
    assert not [n for n in names if ".tmp" in n or n.endswith((".pkl", ".pt"))]
    assert not (any_run.path / ".lock").exists()


def test_headline_follows_from_the_rows(any_run: Any) -> None:
    """Anyone can recompute the score from out_of_fold.jsonl."""
    rows = Run.open(any_run.path).rows("out_of_fold.jsonl")
    by_file: dict[str, list[dict[str, float]]] = {}
    labels = {}
    for row in rows:
        by_file.setdefault(row["file"], []).append(row["scores"])
        labels[row["file"]] = row["label"]
        assert sum(row["scores"].values()) == pytest.approx(1, abs=1e-4)
    right = [max(s[0], key=lambda c: sum(r[c] for r in s)) == labels[f] for f, s in by_file.items()]
    assert any_run.score["value"] == pytest.approx(np.mean(right))
    assert any_run.score["n"] == len(right)


def test_no_group_is_on_both_sides(any_run: Any) -> None:
    run = Run.open(any_run.path)
    cluster = {row["file"]: row["cluster"] for row in run.rows("samples.jsonl")}
    folds: dict[tuple[int, int], set[int]] = {}
    for row in run.rows("out_of_fold.jsonl"):
        folds.setdefault((row["repeat"], cluster[row["file"]]), set()).add(row["fold"])
    assert all(len(found) == 1 for found in folds.values())


def test_predictions_from_run_export_and_bundle_are_the_same(any_run: Any, tmp_path: Path) -> None:
    result = handful.export(any_run.path, ["onnx", "bundle"], out=tmp_path / "out")
    for row in result["files"]:
        assert row["agree"] == row["n"] > 0
        assert row["max_error"] < 1e-4
    data = Path(any_run.result["data"]["path"])
    files = sorted(p for p in data.rglob("*") if p.is_file())[:6]
    models = [
        handful.load(place) for place in (any_run.path, tmp_path / "out" / "model.onnx", tmp_path / "out" / "bundle")
    ]
    answers = [model.predict([str(f) for f in files]) for model in models]
    assert answers[0] == answers[1] == answers[2]
    command = [sys.executable, "-I", str(tmp_path / "out" / "bundle" / "predict.py"), *map(str, files)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for line, answer in zip(lines, answers[0], strict=True):
        file, label, confidence = line.split("\t")
        assert (file, label) == (answer.file, answer.label)
        assert float(confidence) == pytest.approx(answer.confidence, abs=1e-3)


def test_bundle_verifies_itself_and_notices_another_model(any_run: Any, tmp_path: Path) -> None:
    handful.export(any_run.path, ["bundle"], out=tmp_path)
    verify = [sys.executable, "-B", str(tmp_path / "bundle" / "predict.py"), "--verify"]
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 0
    vectors = json.loads((tmp_path / "bundle" / "vectors.json").read_text())
    for row in vectors:
        row["logits"] = row["logits"][::-1]
    (tmp_path / "bundle" / "vectors.json").write_text(json.dumps(vectors))
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 1


def test_an_export_that_disagrees_fails_and_leaves_nothing(photo_run: Any, tmp_path: Path) -> None:
    run = Path(shutil.copytree(photo_run.path, tmp_path / "run"))
    rows = json.loads((run / "vectors.json").read_text())
    rows[0]["logits"][0] += 0.5
    (run / "vectors.json").write_text(json.dumps(rows))
    with pytest.raises(ExportError, match="disagrees"):
        handful.export(run, ["onnx"], out=tmp_path / "out")
    assert not (tmp_path / "out" / "model.onnx").exists()


def test_exporting_twice_replaces_the_bundle(photo_run: Any, tmp_path: Path) -> None:
    for _ in range(2):
        handful.export(photo_run.path, ["bundle"], out=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "bundle.zip"]


def test_prediction_unpacks(any_run: Any) -> None:
    file = next(p for p in Path(any_run.result["data"]["path"]).rglob("*") if p.is_file())
    prediction = any_run.model.predict(file)
    label, confidence = prediction
    assert label in any_run.result["classes"] and 0 < confidence <= 1
    assert any_run.model.predict(file.read_bytes()).scores == prediction.scores
    assert sum(prediction.scores.values()) == pytest.approx(1)


def test_replay_is_bit_identical(any_run: Any, tmp_path: Path) -> None:
    from handful.config import load_recipe

    again = handful.train(run=tmp_path / "again", layers=[load_recipe(any_run.path / "recipe.yaml")])
    for name in ("samples.jsonl", "out_of_fold.jsonl", "model.safetensors", "model.onnx"):
        assert (again.path / name).read_bytes() == (any_run.path / name).read_bytes(), name


def test_a_recipe_can_be_repeated_from_anywhere(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from handful.config import load_recipe

    monkeypatch.chdir(photos.parent)
    run = handful.train(photos.name, run=tmp_path / "run", model="statistics", **FAST)
    monkeypatch.chdir(tmp_path)
    assert load_recipe(run.path / "recipe.yaml")["data"] == str(photos)
    assert handful.curve(run.path)["curve"]["points"]


def test_second_run_embeds_nothing_and_loads_neither_torch_nor_scikit_learn(
    photos: Path, photo_run: Any, tmp_path: Path
) -> None:
    code = (
        "import sys, handful\n"
        "sys.modules['torch'] = None\n"
        f"r = handful.train({str(photos)!r}, run={str(tmp_path / 'r')!r}, weights='none', head='logistic').result\n"
        "print(r['seconds']['embed'], r['seconds']['decode'], 'sklearn' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.0", "0.0", "False"]


def test_evaluate(any_run: Any) -> None:
    result = handful.evaluate(any_run.path, any_run.result["data"]["path"])
    assert {"score", "macro_f1", "per_class", "confusion", "calibration"} <= set(result)
    assert set(result["confusion"]) == {"labels", "counts"}
    assert result["score"]["value"] > 0.9
    with pytest.raises(DataError):
        handful.evaluate(any_run.path, write_photos(any_run.path.parent / "other", ("x", "y"), 2))


def test_what_was_trained_on_is_no_test(photo_run: Any, tmp_path: Path) -> None:
    trained = Path(photo_run.result["data"]["path"])
    alone = handful.evaluate(photo_run.path, trained)
    assert [f["severity"] for f in alone["findings"] if f["name"] == "only_trained_on"] == ["error"]
    mixed = write_photos(tmp_path / "mixed", per_class=5, seed=11)
    for file in sorted(trained.glob("*/*.png"))[:3]:
        shutil.copy(file, mixed / file.parent.name / f"old {file.name}")
    found = handful.evaluate(photo_run.path, mixed)
    assert found["score"]["n"] == len(list(mixed.glob("*/*.png"))) - 3
    assert [len(f["files"]) for f in found["findings"] if f["name"] == "trained_on"] == [3]


def test_a_picture_in_two_classes_is_learned_as_neither(tmp_path: Path) -> None:
    """By heart it would take weights that float32 cannot hold, and every export would be refused."""
    photos = write_photos(tmp_path / "photos", per_class=8)
    shutil.copy(photos / "red" / "00.png", photos / "green" / "copy.png")
    run = handful.train(photos, run=tmp_path / "run", **FAST)
    count = len(list(photos.glob("*/*.png")))
    assert run.result["samples"] == count - 2
    assert "copies_labelled" in {finding["name"] for finding in run.result["findings"]}
    assert "copy.png" not in {Path(row["file"]).name for row in Run.open(run.path).rows("samples.jsonl")}


def test_files_that_cannot_be_read_are_named_with_their_cure(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ("red", "green"), per_class=4)
    for file in photos.glob("red/*.png"):
        file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(DataError, match="none of the 4 files of 'red' can be read") as caught:
        handful.train(photos, run=tmp_path / "run", **FAST)
    assert caught.value.hint == "replace or remove it"
    for file in photos.glob("green/*.png"):
        file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(DataError, match="nothing to train on"):
        handful.train(photos, run=tmp_path / "other", **FAST)
    assert {finding["name"] for finding in handful.check(photos)["findings"]} == {"unreadable"}


def test_existing_run_is_refused_and_a_held_one_is_busy(photos: Path, photo_run: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not empty"):
        handful.train(photos, run=photo_run.path, **FAST)
    run = Run.create(tmp_path / "held", "x")
    with run.lock(), pytest.raises(BusyError, match="pid"), Run(run.path).lock():
        pass


def test_validation_part_is_the_headline(tmp_path: Path) -> None:
    for part, n in (("train", 8), ("validation", 4), ("test", 3)):
        write_photos(tmp_path / "data" / part, per_class=n, seed=n)
    result = handful.train(tmp_path / "data", run=tmp_path / "run", **FAST).result
    assert result["score"]["n"] == 8 and "validation" in result["score"]["method"]
    assert result["test"]["n"] == 6
    assert "test" not in {row["split"] for row in Run.open(result["run"]).rows("samples.jsonl")}


def test_speakers_stay_apart(tmp_path: Path) -> None:
    for speaker in range(3):
        folder = write_sounds(tmp_path / f"s{speaker}", per_class=4, seed=speaker)
        for file in folder.glob("*/*.wav"):
            target = tmp_path / "flat" / f"{file.parent.name}_anna{speaker}_{file.stem}.wav"
            target.parent.mkdir(exist_ok=True)
            file.rename(target)
    result = handful.train(tmp_path / "flat", run=tmp_path / "run", pattern="{label}_{group}_{}", **FAST).result
    assert result["score"]["method"].startswith("leave one group out (3 groups)")
    assert result["score"]["interval"] in (
        "t over 3 group means",
        "wilson over groups",
    )  # the latter when all are right
    assert set(result["per_group"]) == {"anna0", "anna1", "anna2"}


def test_copies_never_straddle(photos: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "data"))
    for i in range(5):
        shutil.copy(folder / "red" / "00.png", folder / "red" / f"copy{i}.png")
    shutil.copy(folder / "red" / "01.png", folder / "green" / "wrong.png")
    result = handful.train(folder, run=tmp_path / "run", **FAST).result
    clusters = {row["file"]: row["cluster"] for row in Run.open(result["run"]).rows("samples.jsonl")}
    assert len({clusters[f"red/copy{i}.png"] for i in range(5)} | {clusters["red/00.png"]}) == 1
    assert {(f["kind"], f["severity"]) for f in result["findings"]} >= {
        ("duplicate", "warning"),
        ("duplicate", "error"),
    }


def test_broken_files_are_findings_and_the_rest_goes_on(photos: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "data"))
    whole = (folder / "red" / "00.png").read_bytes()
    (folder / "red" / "cut.png").write_bytes(whole[:500])
    (folder / "red" / "empty.png").touch()
    (folder / "green" / "-rf.png").write_bytes((folder / "green" / "01.png").read_bytes())
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    result = handful.train(folder, run=tmp_path / "run", **FAST).result
    assert result["samples"] == 25
    assert {"corrupt", "empty"} <= {f["kind"] for f in result["findings"]}
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_what_cannot_be_trained_says_what_to_do(tmp_path: Path, photos: Path) -> None:
    one = write_photos(tmp_path / "one", ("only",), 3)
    single = write_photos(tmp_path / "single", ("a", "b"), 1)
    (tmp_path / "nothing" / "a").mkdir(parents=True)
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (DataError, "only one class", {"data": one}),
        (DataError, "single sample", {"data": single}),
        (DataError, "no pictures or sounds", {"data": tmp_path / "nothing"}),
        (DataError, "does not exist", {"data": tmp_path / "gone"}),
        (UsageError, "no model called", {"data": photos, "model": "resnet81"}),
        (UsageError, "no head called", {"data": photos, "head": "logistics"}),
        (UsageError, "no setting called", {"data": photos, "sed": 1}),
        (UsageError, "epochs", {"data": photos, "epochs": 0}),
        (WeightsError, "no pretrained weights", {"data": photos, "require_pretrained": True}),
        (WeightsError, "no pretrained weights", {"data": photos, "model": "resnet18", "weights": None}),
    ]
    for kind, text, arguments in cases:
        with pytest.raises(kind, match=text) as caught:
            handful.train(arguments.pop("data"), run=tmp_path / "run", **(FAST | arguments))
        assert caught.value.hint  # type: ignore[attr-defined]
        assert not (tmp_path / "run" / "run.json").exists()
        shutil.rmtree(tmp_path / "run", ignore_errors=True)


def test_a_class_with_one_sample_is_kept_but_not_tested(photos: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "data"))
    write_photos(folder, ("lonely",), 1, seed=5)
    result = handful.train(folder, run=tmp_path / "run", **FAST).result
    assert result["untested"] == ["lonely"] and "lonely" in result["classes"]
    assert result["score"]["n"] == 24


@pytest.mark.parametrize("strategy", ["prototype", "probe"])
def test_strategies_without_gradient(strategy: str, photos: Path, tmp_path: Path) -> None:
    result = handful.train(photos, run=tmp_path / "run", strategy=strategy, **FAST).result
    assert result["strategy"] == strategy and result["score"]["value"] > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["scratch"])
@pytest.mark.parametrize("data", ["photos", "sounds"])
def test_strategies_with_gradient(strategy: str, data: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = request.getfixturevalue(data)
    settings = {"strategy": strategy, "epochs": 6, "folds": 2, "threads": 1}
    first, second = (handful.train(folder, run=tmp_path / name, **settings) for name in ("a", "b"))
    assert first.score["value"] > 0.7
    for name in ("out_of_fold.jsonl", "model.safetensors"):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()
    assert handful.export(first.path, ["onnx", "bundle"])["files"][1]["agree"] > 0


def test_names_that_look_like_options_or_code(tmp_path: Path) -> None:
    names = (
        "-rf",
        "--help",
        "a b;`id`$(id)",
        "\u043a\u043e\u0442",
        "x\u202ey",
        "<img src=x onerror=alert(1)>",
        "line\nbreak",
    )
    folder = write_photos(tmp_path / "data", names, 4)
    run = handful.train(folder, run=tmp_path / "run", **FAST)
    assert sorted(run.result["classes"]) == sorted(names)
    handful.export(run.path, ["bundle"])
    rows = [json.loads(line) for line in (run.path / "out_of_fold.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["label"] for row in rows} == set(names)
    assert "<img src=x onerror=alert(1)>" not in run.report.read_text(encoding="utf-8")


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_class_that_is_only_tested_on_is_left_out_and_takes_in_two_parts_are_said(tmp_path: Path, part: str) -> None:
    photos = write_photos(tmp_path / "photos", ("red", "green", "blue"), per_class=8, size=32)
    rows = ["file_name,label,group,split"]
    for number, file in enumerate(sorted(photos.rglob("*.png"))):
        label = file.parent.name
        kept = label == "blue" or number % 4 == 0
        group = "monday" if label == "red" and number % 4 < 2 else ""
        rows.append(f"{label}/{file.name},{label},{group},{part if kept else 'train'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    settings = {"labels": str(tmp_path / "labels.csv"), "weights": "none", "strategy": "prototype"}
    result = handful.train(photos, run=tmp_path / "run", **settings).result  # type: ignore[arg-type]
    said = {row["name"]: row for row in result["findings"]}
    assert (
        result["classes"] == ["green", "red"] and len([r for r in result["findings"] if r["name"] == "untrained"]) == 1
    )
    assert said["untrained"]["values"]["name"] == "blue" and len(said["untrained"]["files"]) == 8
    assert said["groups_apart"]["kind"] == "leak" and "monday" in said["groups_apart"]["message"]
    (tmp_path / "labels.csv").write_text("\n".join(rows).replace(",train", f",{part}"))
    with pytest.raises(DataError, match="nothing to train on.*kept"):
        handful.train(photos, run=tmp_path / "none", **settings)  # type: ignore[arg-type]
