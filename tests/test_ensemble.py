"""Ensembles: figures that a reader can add up from the members' files, exports that agree, and runs that do not fit together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful
from handful.errors import RunError, UsageError
from handful.explaining import OCCLUSION
from handful.exporting import MAX_ERROR
from handful.metrics import paired
from handful.runs import Run
from tests.conftest import write_photos, write_sounds

CLASSES = ("red", "green", "blue")


def _train(data: Path, run: Path, **settings: Any) -> Path:
    given = {"strategy": "probe", "head": "ridge", "repeats": 1, "views": 0} | settings
    return Path(handful.train(data, run=run, **given).path)


@pytest.fixture(scope="module")
def photo_members(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("members")
    data = write_photos(folder / "photos", classes=CLASSES, per_class=10, size=40)
    test = str(write_photos(folder / "new", classes=CLASSES, per_class=4, size=40, seed=9))
    first = _train(data, folder / "first", model="statistics", test=test)
    return first, _train(data, folder / "second", model="random_convolutions", seed=3, test=test)


@pytest.fixture(scope="module")
def photo_ensemble(photo_members: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return handful.ensemble(photo_members, run=tmp_path_factory.mktemp("ensemble") / "photos")


@pytest.fixture(scope="module")
def sound_members(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network trained from scratch, and a probe that sees other features of the same sounds."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("sound_members")
    data = write_sounds(folder / "sounds", per_class=6)
    first = _train(data, folder / "first", model="conv1d_mel", strategy="scratch", head=None, views=None, epochs=2)
    return first, _train(data, folder / "second", model="word_convolutions", repeats=2)


@pytest.fixture(scope="module")
def sound_ensemble(sound_members: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return handful.ensemble(sound_members, run=tmp_path_factory.mktemp("ensemble") / "sounds")


def _rows(run: Path, name: str) -> Iterator[dict[str, Any]]:
    for line in (run / name).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _said(run: Path, name: str = "out_of_fold.jsonl") -> dict[str, dict[str, float]]:
    """Scores by file, of a single repeat."""
    return {row["file"]: row["scores"] for row in _rows(run, name) if row.get("repeat", 0) == 0}


@pytest.mark.parametrize(("name", "key"), [("out_of_fold.jsonl", "score"), ("test.jsonl", "test")])
def test_its_accuracy_is_that_of_the_members_mean(
    name: str, key: str, photo_members: tuple[Path, Path], photo_ensemble: Any
) -> None:
    first, second = (_said(member, name) for member in photo_members)
    labels = {row["file"]: row["label"] for row in _rows(photo_members[0], name)}
    right = [
        max(CLASSES, key=lambda c: first[file][c] + second[file][c]) == label  # noqa: B023
        for file, label in labels.items()
    ]
    assert len(right) == {"score": 30, "test": 12}[key]
    assert photo_ensemble.result[key]["value"] == pytest.approx(np.mean(right))


def test_the_gain_is_paired_with_the_best_member(photo_members: tuple[Path, Path], photo_ensemble: Any) -> None:
    scores = [Run.open(member).result["score"]["value"] for member in photo_members]
    best = photo_members[int(np.argmax(scores))]
    own, other = _said(Path(photo_ensemble.path)), _said(best)
    labels = [row["label"] for row in _rows(best, "samples.jsonl")]
    hits = [
        np.array([max(CLASSES, key=row.__getitem__) == label for row, label in zip(said.values(), labels, strict=True)])
        for said in (own, other)
    ]
    assert photo_ensemble.result["gain"] == {"over": str(best), **paired.difference(*hits)}
    assert f"{100 * max(scores):.1f} %" in photo_ensemble.result["why"]


def test_one_prediction_is_the_mean_of_the_members(
    photo_members: tuple[Path, Path], photo_ensemble: Any, tmp_path: Path
) -> None:
    photo = write_photos(tmp_path / "other", size=64, seed=4) / "red" / "00.png"
    each = [handful.load(member).predict(photo).scores for member in photo_members]
    mean = np.maximum(np.mean([[scores[c] for c in sorted(CLASSES)] for scores in each], axis=0), 1e-6)
    sharper = mean ** (1 / photo_ensemble.result["calibration"]["temperature"])
    found = photo_ensemble.model.predict(photo).scores
    assert [found[c] for c in sorted(CLASSES)] == pytest.approx(sharper / sharper.sum(), abs=1e-4)


def test_a_member_with_fewer_repeats_begins_again(sound_members: tuple[Path, Path], sound_ensemble: Any) -> None:
    repeats = [
        {row["repeat"] for row in _rows(path, "out_of_fold.jsonl")} for path in (*sound_members, sound_ensemble.path)
    ]
    assert repeats == [{0}, {0, 1}, {0, 1}]


@pytest.mark.parametrize("kind", ["photo_ensemble", "sound_ensemble"])
@pytest.mark.parametrize("name", ["onnx", "bundle", "torchscript"])
def test_exports_answer_like_the_members(kind: str, name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if name == "torchscript":
        pytest.importorskip("torch")
    run = request.getfixturevalue(kind)
    (row,) = handful.export(run.path, [name], out=tmp_path)["files"]
    assert row["agree"] == row["n"] == len(list((run.path / "vectors").iterdir())) and row["max_error"] <= MAX_ERROR
    assert handful.verify(run.path)["ok"]


def test_rounding_leaves_filter_banks_and_heads_alone(sound_members: tuple[Path, Path], sound_ensemble: Any) -> None:
    """Layers that INT8 and fp16 may round are those of the members by themselves, no more."""
    import onnx

    from handful.exporting import _network

    counts = [
        len(_network.layers(onnx.load(path / "model.onnx"))) for path in (*sound_members, Path(sound_ensemble.path))
    ]
    assert counts[2] == counts[0] + counts[1] > 0


def test_a_report_names_the_members_and_how_to_repeat(photo_members: tuple[Path, Path], photo_ensemble: Any) -> None:
    page = photo_ensemble.report.read_text(encoding="utf-8")
    assert f"handful ensemble {photo_members[0]} {photo_members[1]}" in page
    assert "probe on random_convolutions" in page


def test_reasons_come_from_hiding_since_members_share_no_map(photo_ensemble: Any, tmp_path: Path) -> None:
    (row,) = handful.explain(photo_ensemble.path, out=tmp_path, limit=1)["files"]
    assert row["method"] == OCCLUSION


def test_what_would_train_is_refused(photo_ensemble: Any, photo_members: tuple[Path, Path], tmp_path: Path) -> None:
    data = Run.open(photo_members[0]).result["data"]["path"]
    calls = [
        lambda: handful.curve(photo_ensemble.path),
        lambda: handful.suggest(photo_ensemble.path, tmp_path),
        lambda: handful.train(data, start=str(photo_ensemble.path), run=tmp_path / "a"),
        lambda: handful.train(data, strategy="ensemble", run=tmp_path / "b"),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="an ensemble"):
            call()
    with pytest.raises(RunError, match="a finished run"):
        handful.train(data, run=photo_ensemble.path, resume=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "said", "hint"),
    [
        ({"classes": ["red", "green"]}, "the classes differ: .* has blue, .* has no others", "--classes"),
        ({"per_class": "8"}, "the training samples differ: 6 only in", "--per-class"),
        ({"pattern": "{group}"}, "the groups of 30 samples differ", "--pattern"),
        ({}, "the test parts of .* differ", "--test"),
    ],
)  # fmt: skip
def test_runs_that_do_not_fit_are_refused(
    change: dict[str, Any], said: str, hint: str, photo_members: tuple[Path, Path], tmp_path: Path
) -> None:
    data = Path(Run.open(photo_members[0]).result["data"]["path"])
    other = _train(data, tmp_path / "other", **{"model": "statistics"} | change)
    with pytest.raises(UsageError, match=said) as caught:
        handful.ensemble([photo_members[0], other], run=tmp_path / "joined")
    assert hint in caught.value.hint
    assert not (tmp_path / "joined").exists()


@pytest.mark.slow
def test_members_must_read_files_alike(
    photo_members: tuple[Path, Path], sound_members: tuple[Path, Path], tmp_path: Path
) -> None:
    """What is decoded otherwise cannot pass one input; features that are made of it may differ."""
    settings = {"strategy": "scratch", "head": None, "views": None, "epochs": 1, "model": "small_cnn", "input_size": 32}
    data, test = (str(photo_members[0].parent / name) for name in ("photos", "new"))
    small = _train(Path(data), tmp_path / "small", test=test, **settings)
    with pytest.raises(UsageError, match="read files differently: input_size 224 and input_size 32") as caught:
        handful.ensemble([photo_members[0], small], run=tmp_path / "joined")
    assert caught.value.hint == "train both with --input-size 224"
    slow = _train(sound_members[0].parent / "sounds", tmp_path / "slow", model="word_convolutions", sample_rate_hz=8000)
    with pytest.raises(UsageError, match="sample_rate_hz 16000 and sample_rate_hz 8000") as caught:
        handful.ensemble([sound_members[0], slow], run=tmp_path / "joined")
    assert caught.value.hint == "train both with --sample-rate-hz 16000"


def test_one_run_is_no_ensemble(photo_members: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="at least two"):
        handful.ensemble(photo_members[:1])
    with pytest.raises(UsageError, match="given twice"):
        handful.ensemble([photo_members[0], photo_members[0]])


def test_nobody_vouches_for_a_sample_whose_kin_it_had_seen(photo_members: tuple[Path, Path], tmp_path: Path) -> None:
    """One member finds near copies that the other tested on both sides."""
    member = shutil.copytree(photo_members[0], tmp_path / "member")
    rows = list(_rows(member, "samples.jsonl"))
    clusters = np.arange(len(rows)) // 2
    text = "".join(json.dumps(row | {"cluster": int(c)}) + "\n" for row, c in zip(rows, clusters, strict=True))
    (member / "samples.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="near copy it had seen"):
        handful.ensemble([photo_members[1], member], run=tmp_path / "joined")


def test_a_member_that_was_changed_is_found_out(photo_members: tuple[Path, Path], tmp_path: Path) -> None:
    member = shutil.copytree(photo_members[1], tmp_path / "member")
    rows = json.loads((member / "vectors.json").read_text(encoding="utf-8"))
    rows[0]["logits"][0] += 5
    (member / "vectors.json").write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(RunError, match="no longer answers"):
        handful.ensemble([photo_members[0], member], run=tmp_path / "joined")
