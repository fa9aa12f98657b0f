"""Races: one set of folds, fair ranking, a budget that holds, and nothing lost when killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import handful
from handful.config import presets, resolve
from handful.errors import BusyError, RunError, UsageError
from handful.reporting.leaderboard import lines
from handful.runs import Run
from handful.search import Race, candidates
from handful.search.board import cost
from handful.training.trial import Trial
from tests.conftest import write_photos

MODELS = ["statistics", "random_convolutions"]


def table(board: dict[str, Any]) -> list[Any]:
    """What must not depend on time or on how often the race was begun."""
    rows = [
        (r["name"], r["score"], r["macro_f1"], r["tied_with_best"], r["difference"], r["parameters"])
        for r in board["rows"]
    ]
    return [rows, board["folds"], sorted(r["name"] for r in board["unfinished"])]


def race(photos: Path, folder: Path, strategies: list[str], budget: float | None = None, **settings: Any) -> Race:
    entered = candidates(MODELS, strategies, {})
    return Race(resolve({"data": str(photos), "repeats": 2, **settings}), entered, folder, budget)


def test_rows_share_folds_and_say_what_is_tied(photos: Path, tmp_path: Path) -> None:
    board = race(photos, tmp_path / "race", ["prototype", "probe"]).run()
    assert len(board["rows"]) == 4 and board["unfinished"] == []
    assert {row["score"]["n"] for row in board["rows"]} == {board["rows"][0]["score"]["n"]}
    assert {row["score"]["method"] for row in board["rows"]} == {"2x5-fold, out-of-fold"}
    values = [row["score"]["value"] for row in board["rows"]]
    assert values == sorted(values, reverse=True)
    assert board["rows"][0]["tied_with_best"] and board["rows"][0]["difference"]["value"] == 0
    recommended = [row for row in board["rows"] if row["recommended"]]
    assert len(recommended) == 1 and recommended[0]["tied_with_best"]
    tied = [row for row in board["rows"] if row["tied_with_best"]]
    assert cost(recommended[0]) <= 1.5 * min(map(cost, tied))
    assert "tell apart" in board["why"] or len(tied) == 1


def test_a_race_agrees_with_training_alone(photos: Path, tmp_path: Path) -> None:
    """The row of a race is what `train` says of the same recipe with the same folds."""
    board = race(photos, tmp_path / "race", ["probe"]).run()
    row = next(r for r in board["rows"] if r["model"] == "statistics")
    run = handful.train(photos, model="statistics", strategy="probe", repeats=2, run=tmp_path / "run")
    assert row["score"] == run.score


def test_a_killed_race_goes_on_and_ends_with_the_same_table(photos: Path, tmp_path: Path) -> None:
    whole = table(race(photos, tmp_path / "whole", ["prototype", "probe", "probe:lda"]).run())
    command = [
        sys.executable, "-m", "handful", "compare", str(photos), "--models", ",".join(MODELS), "--strategies", "prototype,probe,probe:lda",
        "--repeats", "2", "--run", str(tmp_path / "killed"), "--json", "-q",
    ]  # fmt: skip
    kills = 0
    for after in (1, 7, 99):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ)
        units = tmp_path / "killed" / "units"
        while process.poll() is None and len(list(units.glob("*/r*.json"))) < after:
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        out = process.communicate()[0]
        if process.returncode == 0:
            break
    assert kills >= 2, "the race ended before it could be killed"
    assert process.returncode == 0
    assert table(json.loads(out)) == whole


def test_the_same_race_started_again_does_nothing_twice(photos: Path, tmp_path: Path) -> None:
    first = race(photos, tmp_path / "race", ["prototype"]).run()
    again = race(photos, tmp_path / "race", ["prototype"]).run()
    assert again["rows"] == first["rows"]


def test_another_race_is_refused_in_the_same_place(photos: Path, tmp_path: Path) -> None:
    race(photos, tmp_path / "race", ["prototype"]).run()
    with pytest.raises(RunError, match="another"):
        race(photos, tmp_path / "race", ["prototype"], seed=1).run()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        race(photos, tmp_path / "full", ["prototype"]).run()
    assert (tmp_path / "full" / "letter.txt").read_text() == "mine"


def test_what_has_no_time_left_is_listed_and_not_ranked(photos: Path, tmp_path: Path) -> None:
    board = race(photos, tmp_path / "race", ["prototype", "probe"], budget=1e-6).run()
    assert board["rows"] == [] and board["recommended"] is None
    assert len(board["unfinished"]) == 4
    assert all("budget" in row["why"] for row in board["unfinished"])


def _trained(tmp_path: Path, budget: float | None, epochs: int = 2) -> Race:
    pytest.importorskip("torch")
    photos = write_photos(tmp_path / "photos", per_class=6, size=32)
    recipe = resolve({"data": str(photos), "repeats": 1, "epochs": epochs, "input_size": 32})
    return Race(recipe, candidates(["small_cnn"], ["scratch"], {}), tmp_path / "race", budget)


@pytest.mark.slow
def test_no_fold_begins_that_cannot_end_in_time(tmp_path: Path) -> None:
    """By the time that the folds before it took, here 1,000 s: with 500 s left none begins, with 2,000 s it does."""
    _trained(tmp_path, None).run()
    (place,) = (tmp_path / "race" / "units").iterdir()
    for later in sorted(place.glob("r0f*.json"))[1:]:
        later.unlink()
    (first,) = place.glob("r0f*.json")
    first.write_text(json.dumps(json.loads(first.read_text()) | {"seconds": 1000.0}))
    board = _trained(tmp_path, 1500.0).run()
    assert [(row["folds_done"], row["of"]) for row in board["unfinished"]] == [(1, 5)]
    assert "the budget ended" in board["unfinished"][0]["why"] and len(list(place.glob("r0f*.json"))) == 1
    assert len(_trained(tmp_path, 3000.0).run()["rows"]) == 1


@pytest.mark.slow
def test_no_epoch_begins_that_cannot_end_in_time_but_the_last_one_counts(tmp_path: Path) -> None:
    slow = {"two": 2, "one": 1}
    for name, epochs in slow.items():
        made = _trained(tmp_path / name, 500.0, epochs)
        with made.opened():
            (standing,) = made.standings.values()
            standing.epochs += [1000.0] * 9  # as long as they seemed to take
            made.go(standing, 0)
            assert len(standing.logits) == (5 if epochs == 1 else 0)


@pytest.mark.slow
def test_hopeless_trainings_are_given_up(tmp_path: Path) -> None:
    """A network that has hardly trained loses against a probe that is right on these coloured pictures."""
    pytest.importorskip("torch")
    entered = [
        *candidates(["statistics"], ["probe"], {}), *candidates(["small_cnn"], ["scratch"], {"learning_rate": [1e-8]}),
    ]  # fmt: skip
    photos = write_photos(tmp_path / "photos", per_class=40, size=32)
    recipe = resolve({"data": str(photos), "repeats": 1, "epochs": 1, "input_size": 32})
    board = Race(recipe, entered, tmp_path / "race", None).run()
    assert [row["strategy"] for row in board["rows"]][:1] == ["probe"]
    unfinished = {row["strategy"]: row for row in board["unfinished"]}
    assert "clearly behind" in unfinished["scratch"]["why"]
    assert 0 < unfinished["scratch"]["folds_done"] < unfinished["scratch"]["of"]


@pytest.mark.slow
def test_one_speaker_is_no_reason_to_give_a_training_up(tmp_path: Path) -> None:
    """The same race, each fold a group of its own: one group says nothing about others."""
    pytest.importorskip("torch")
    photos = write_photos(tmp_path / "photos", per_class=40, size=32)
    for i, file in enumerate(sorted(photos.glob("*/*.png"))):
        file.rename(file.with_name(f"{'abcd'[i % 4]}_{file.name}"))
    entered = [
        *candidates(["statistics"], ["probe"], {}), *candidates(["small_cnn"], ["scratch"], {"learning_rate": [1e-8]}),
    ]  # fmt: skip
    recipe = resolve({"data": str(photos), "repeats": 1, "epochs": 1, "input_size": 32, "pattern": "{group}_{}"})
    board = Race(recipe, entered, tmp_path / "race", None).run()
    tested = {row["strategy"]: row["folds_done"] for row in board["unfinished"]} or {"scratch": 4}
    assert tested["scratch"] > 1
    assert board["rows"][0]["strategy"] == "probe" and "4 groups" in board["rows"][0]["score"]["method"]


def test_trainings_say_what_an_epoch_takes(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    entered = [
        *candidates(["statistics"], ["probe"], {}), *candidates(["small_cnn"], ["scratch"], {}),
    ]  # fmt: skip
    photos = write_photos(tmp_path / "photos", per_class=6, size=32)
    recipe = resolve({"data": str(photos), "repeats": 1, "epochs": 3, "input_size": 32})
    board = Race(recipe, entered, tmp_path / "race", None).run()
    rows = {row["strategy"]: row for row in board["rows"]}
    folds = 5
    assert 0 < 3 * folds * rows["scratch"]["epoch_seconds"] < 3 * rows["scratch"]["seconds"]
    assert "epoch_seconds" not in rows["probe"]
    assert "An epoch" in "\n".join(lines(board))


def test_names_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError):
        candidates(["statistics"], ["finetune:two"], {})
    with pytest.raises(UsageError):
        candidates(["statistics"], ["scratch"], {})
    with pytest.raises(UsageError, match="n_mells"):
        candidates(["statistics"], ["probe"], {"n_mells": [20]})


def test_varied_settings_make_rows_of_their_own(sounds: Path, tmp_path: Path) -> None:
    entered = candidates(["statistics"], ["prototype"], {"seconds": [0.5, 1.0]})
    assert [c.name for c in entered] == ["prototype on statistics, seconds=0.5", "prototype on statistics, seconds=1.0"]
    board = Race(resolve({"data": str(sounds), "repeats": 1}), entered, tmp_path / "race", None).run()
    assert {row["name"] for row in board["rows"]} == {c.name for c in entered}


# -- data that are not two even folders --------------------------------------------------------------------------------


def uneven(kind: str, folder: Path) -> dict[str, Any]:
    """Settings for pictures of one awkward kind."""
    photos = write_photos(folder / "photos", per_class=9, size=24, classes=("red", "green", "blue"))
    files = sorted(p.relative_to(photos) for p in photos.glob("*/*.png"))
    settings: dict[str, Any] = {"data": str(photos), "repeats": 2}
    if kind == "a class with one sample":
        for path in sorted((photos / "blue").glob("*.png"))[1:]:
            path.unlink()
    if kind == "files that cannot be read":
        (photos / "red" / "03.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    if kind == "a test part":
        settings["test"] = str(write_photos(folder / "new", per_class=3, size=24, seed=5))
    if kind == "drawn parts":
        settings["per_class"] = "4/3/2"
    columns = {
        "groups": lambda i: f"group\n{i % 7}", "given folds": lambda i: f"fold\n{i % 3}",
        "a validation part": lambda i: "split\n" + ("validation" if i % 3 else "train"),
        "a class in one given fold": lambda i: f"fold\n{i % 3 if i < 18 else 0}",
    }  # fmt: skip
    if kind in columns:
        head = columns[kind](0).split("\n")[0]
        rows = [f"{file},{file.parent},{columns[kind](i).split(chr(10))[1]}" for i, file in enumerate(files)]
        (folder / "labels.csv").write_text("\n".join([f"file_name,label,{head}", *rows]) + "\n")
        settings["labels"] = str(folder / "labels.csv")
    return settings


@pytest.mark.parametrize("kind", [
    "a class with one sample", "files that cannot be read", "a test part", "drawn parts", "groups", "given folds", "a validation part",
    "a class in one given fold",
])  # fmt: skip
def test_uneven_data_race_as_they_train(kind: str, tmp_path: Path) -> None:
    """The row is what a trial of its own says; a second start of the same command changes nothing."""
    settings = uneven(kind, tmp_path)
    entered = candidates(["statistics"], ["prototype", "probe:ridge"], {})
    board = Race(resolve(settings), entered, tmp_path / "race", None).run()
    assert board["unfinished"] == [] and len(board["rows"]) == 2
    alone = Trial(resolve(settings, {"model": "statistics", "strategy": "prototype"}))
    alone.prepare()
    expected = alone.evaluate().summary["score"]
    assert next(r for r in board["rows"] if r["strategy"] == "prototype")["score"] == expected
    again = Race(resolve(settings), entered, tmp_path / "race", None).run()
    assert again == board


# -- what may lie in the directory -------------------------------------------------------------------------------------


def test_damaged_pieces_are_computed_again(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "race"
    whole = table(race(photos, folder, ["prototype", "probe:ridge"]).run())
    units = sorted((folder / "units").glob("*/*.json"))
    damages = [
        b"",
        b"{",
        b"[]",
        b'{"row": 0, "seconds": 1, "logits": {"0": [[1, 2]]}}',
        b"\xff\xfe",
        b'{"row": 99}',
        b"null",
    ]
    for number, unit in enumerate(units):
        unit.write_bytes(damages[number % len(damages)])
    assert table(race(photos, folder, ["prototype", "probe:ridge"]).run()) == whole


def test_a_row_whose_size_is_unknown_is_not_ranked(photos: Path, tmp_path: Path) -> None:
    """Killed between its folds and its size, and no time left."""
    folder = tmp_path / "race"
    race(photos, folder, ["prototype"]).run()
    for size in (folder / "units").glob("*/size.json"):
        size.unlink()
    board = race(photos, folder, ["prototype"], budget=1e-6).run()
    assert board["rows"] == [] and len(board["unfinished"]) == 2


def test_one_process_at_a_time(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "race"
    folder.mkdir()
    with Run(folder).lock(), pytest.raises(BusyError, match=str(os.getpid())):
        race(photos, folder, ["prototype"]).run()
    assert race(photos, folder, ["prototype"]).run()["rows"]


def test_half_a_file_of_a_killed_start_is_no_obstacle(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "race"
    folder.mkdir()
    (folder / ".race.json.tmp-x1").write_text('{"handful"')
    assert race(photos, folder, ["prototype"]).run()["rows"]


def test_what_was_missing_is_tried_again(photos: Path, tmp_path: Path) -> None:
    """A candidate that cannot be made is listed; nothing is kept that would stop it once it can be."""
    entered = candidates(["statistics", "network_of_tomorrow"], ["prototype"], {}, strict=False)
    board = Race(resolve({"data": str(photos), "repeats": 1}), entered, tmp_path / "race", None).run()
    assert [row["model"] for row in board["rows"]] == ["statistics"]
    assert [row["model"] for row in board["unfinished"]] == ["network_of_tomorrow"]
    assert "network_of_tomorrow" in board["unfinished"][0]["why"]
    assert not list((tmp_path / "race").glob("units/*/why.json"))


def test_where_a_race_lies_by_default(tmp_path: Path) -> None:
    """The same for another number of threads, another one for other data: the same command never stands in its own way."""
    photos = write_photos(tmp_path / "photos", per_class=6, size=24)
    settings: dict[str, Any] = {"models": ["statistics"], "strategies": ["prototype"], "repeats": 1}
    first = handful.compare(photos, **settings)
    assert handful.compare(photos, threads=1, **settings)["run"] == first["run"]
    write_photos(tmp_path / "photos", per_class=7, size=24)
    assert handful.compare(photos, **settings)["run"] != first["run"]


def test_what_decides_the_folds_cannot_vary() -> None:
    for key in ("folds", "per_class", "labels"):
        with pytest.raises(UsageError, match="same for all rows"):
            candidates(["statistics"], ["probe"], {key: [1, 2]})


def test_ctrl_c_says_how_to_go_on(photos: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "handful", "compare", str(photos), "--models", ",".join(MODELS), "--strategies", "prototype,probe:ridge",
        "--repeats", "5", "--run", str(tmp_path / "race"), "-q",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("race/units/*/r*.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    kept = list(tmp_path.glob("race/units/*/r*.json"))
    assert kept and f"--run {tmp_path / 'race'}" in said and "is kept" in said
    before = {unit: unit.read_bytes() for unit in kept}
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(unit.read_bytes() == content for unit, content in before.items())


@pytest.mark.parametrize("name", [name for name, content in presets().items() if "models" in content["settings"]])
def test_race_presets_say_what_they_are(name: str) -> None:
    content = presets()[name]
    assert "race" in content["summary"]
    settings = dict(content["settings"])
    entered = candidates(settings.pop("models"), settings.pop("strategies"), settings.pop("vary", {}), strict=False)
    settings.pop("budget", None)
    assert len(entered) > 2 and resolve(settings)
