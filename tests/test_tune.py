"""Tuning: proposals that stay in the space, the same folds for all, the winner measured again, nothing lost when killed."""

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
from handful.errors import UsageError
from tests.conftest import write_photos

pytest.importorskip("optuna")

SPACE = {"model": "statistics,random_convolutions", "head": "auto,prototype,ridge,lda", "views": [0]}


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of coloured noise that nobody can tell apart for certain."""
    import numpy as np
    from PIL import Image

    folder, rng = tmp_path_factory.mktemp("hard"), np.random.default_rng(3)
    for shift, name in enumerate(("dull", "bright")):
        (folder / name).mkdir()
        for number in range(15):
            level = rng.normal(100 + 12 * shift, 12)
            pixels = np.clip(rng.normal(level, 40, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def board(hard: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return handful.tune(hard, trials=6, space=SPACE, repeats=2, run=tmp_path_factory.mktemp("tuned") / "race")


def table(board: dict[str, Any]) -> list[Any]:
    """What must not depend on time or on how often the search was begun."""
    rows = [(r["name"], r["score"], r["tied_with_best"], r["difference"]) for r in board["rows"]]
    return [rows, board["trials"], board["baseline"], sorted(r["name"] for r in board["unfinished"])]


def test_rows_are_ranked_on_the_same_folds(board: dict[str, Any]) -> None:
    assert board["trials"] == len(board["rows"]) == 6 and board["unfinished"] == []
    assert {row["score"]["method"] for row in board["rows"]} == {"2x5-fold, out-of-fold"}
    assert len({row["name"] for row in board["rows"]}) == 6
    assert board["baseline"] in {row["name"] for row in board["rows"]}
    assert all(row["model"] in ("statistics", "random_convolutions") for row in board["rows"])


def test_the_winner_is_measured_on_other_folds(board: dict[str, Any]) -> None:
    """By a plan of another seed: the method says so, the folds differ, the number is that of a trial on those folds."""
    winner = next(row for row in board["rows"] if row["recommended"])
    again = board["remeasured"]
    assert again == winner["remeasured"]
    assert again["method"] == "2x5-fold, other folds, out-of-fold" and again["n"] == winner["score"]["n"]
    assert again["low"] <= again["value"] <= again["high"]
    measured = {row["name"] for row in board["rows"] if "remeasured" in row}
    assert measured == {winner["name"], board["rows"][0]["name"], board["baseline"]}
    assert "re-measured on other folds" in board["why"] and "chosen among 6" in board["why"]
    folds = json.loads((Path(board["run"]) / "race.json").read_text())["folds"]
    assert len(folds) == 4 and len({tuple(row) for row in folds}) == 4


def test_choosing_among_guesses_flatters_and_remeasuring_says_so(tmp_path: Path) -> None:
    """Labels that mean nothing: the best of many recipes is above chance on the folds it was chosen by; the numbers stand
    beside each other, and what is re-measured is not chosen again."""
    photos = write_photos(tmp_path / "photos", classes=("a",), per_class=24, size=24)
    (photos / "b").mkdir()
    for number, path in enumerate(sorted((photos / "a").glob("*.png"))):
        if number % 2:
            path.rename(photos / "b" / path.name)
    board = handful.tune(photos, trials=8, space=SPACE, repeats=1, run=tmp_path / "race")
    top = board["rows"][0]
    assert top["score"]["value"] >= max(row["score"]["value"] for row in board["rows"])
    assert top["remeasured"]["value"] <= top["score"]["value"]


def test_the_command_that_is_recommended_gives_the_score_of_the_row(
    board: dict[str, Any], hard: Path, tmp_path: Path
) -> None:
    winner = next(row for row in board["rows"] if row["recommended"])
    words = board["recommended"]["command"].split()[2:]
    done = subprocess.run(
        [sys.executable, "-m", "handful", "train", *words, "--run", str(tmp_path / "run"), "--json", "-q"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["score"] == winner["score"]


def test_a_killed_search_goes_on_and_ends_with_the_same_table(
    board: dict[str, Any], hard: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable, "-m", "handful", "tune", str(hard), "--trials", "6", "--repeats", "2", "--run", str(tmp_path / "race"),
        "--json", "-q", *(word for key, values in SPACE.items() for word in ("--space", f"{key}={_text(values)}")),
    ]  # fmt: skip
    kills = 0
    for after in (1, 9, 99):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
        while process.poll() is None and len(list(tmp_path.glob("race/units/*/r*.json"))) < after:
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        out, said = process.communicate()
    assert kills >= 2, "the search ended before it could be killed"
    assert process.returncode == 0, said
    found = json.loads(out)
    assert table(found) == table(board)
    if found["recommended"]["name"] == board["recommended"]["name"]:  # which may depend on latencies
        assert found["remeasured"] == board["remeasured"]


def _text(values: Any) -> str:
    return values if isinstance(values, str) else ",".join(map(str, values))


def test_a_small_space_is_tried_whole_and_nothing_twice(hard: Path, tmp_path: Path) -> None:
    said: list[str] = []
    board = handful.tune(
        hard, trials=50, repeats=1, run=tmp_path / "race", space={"model": ["statistics"], "head": ["ridge", "prototype"], "views": [0]},
        teller=handful.runs.Teller(said.append),
    )  # fmt: skip
    assert board["trials"] == 3 and len(board["rows"]) == 3  # the two and the untuned one
    assert "everything in the space was tried" in said


def test_more_trials_go_on_with_the_same_search(hard: Path, tmp_path: Path) -> None:
    few = handful.tune(hard, trials=3, space=SPACE, repeats=1, run=tmp_path / "race")
    units = {path: path.read_bytes() for path in (tmp_path / "race").glob("units/*/r0.json")}
    more = handful.tune(hard, trials=5, space=SPACE, repeats=1, run=tmp_path / "race")
    assert {row["name"] for row in few["rows"]} < {row["name"] for row in more["rows"]}
    assert all(path.read_bytes() == content for path, content in units.items())


def test_no_other_folds_is_said(tmp_path: Path) -> None:
    """A validation part is one part: there is nothing to measure again on."""
    photos = write_photos(tmp_path / "photos", per_class=8, size=24)
    board = handful.tune(
        photos,
        trials=3,
        space={"model": ["statistics"], "head": ["ridge", "prototype"]},
        per_class="5/3",
        run=tmp_path / "race",
    )
    assert board["remeasured"] is None and "no other folds" in board["why"]


def test_a_budget_that_is_over_ends_in_a_board(hard: Path, tmp_path: Path) -> None:
    board = handful.tune(hard, budget=1e-6, space=SPACE, run=tmp_path / "race")
    assert board["rows"] == [] and board["remeasured"] is None and board["recommended"] is None


@pytest.mark.parametrize(("space", "said"), [
    ({"n_mells": "20"}, "n_mells"), ({"folds": "5,10"}, "same for all"), ({"seed": "0,1"}, "not tuned"), ({"epochs": "60..10"}, "no range"),
    ({"learning_rate": "0..1log"}, "no range"), ({"learning_rate": "5..50"}, "learning_rate"), ({"head": ""}, "no values"),
    ({"epochs": "10..60"}, "no effect with probe"), ({"head": "ridge,logisitc"}, "logisitc"), ({"model": "statistics,sqeezenet"}, "sqeezenet"),
])  # fmt: skip
def test_spaces_that_mean_nothing_are_refused(space: dict[str, str], said: str, hard: Path) -> None:
    with pytest.raises(UsageError, match=said):
        handful.tune(hard, space=space, trials=2)


@pytest.mark.slow
def test_trainings_by_gradient_are_tuned(tmp_path: Path) -> None:
    """Proposals of a range stay inside it, are rounded to what a command line shows, and reach the recipe."""
    pytest.importorskip("torch")
    photos = write_photos(tmp_path / "photos", per_class=6, size=24)
    board = handful.tune(
        photos, strategy="scratch", trials=3, epochs=1, folds=2, input_size=32, run=tmp_path / "race",
        space={"learning_rate": "1e-4..1e-2log", "batch_size": "4..8", "epochs": [1], "label_smoothing": [0.1]},
    )  # fmt: skip
    named = [row["name"] for row in board["rows"] + board["unfinished"]]
    assert len(named) == 3
    proposed = [dict(part.split("=") for part in name.split(", ")[1:]) for name in named if name != board["baseline"]]
    assert len(proposed) == 2
    for settings in proposed:
        assert 1e-4 <= float(settings["learning_rate"]) <= 1e-2 and len(settings["learning_rate"]) <= 8
        assert 4 <= int(settings["batch_size"]) <= 8
