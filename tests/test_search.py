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
from handful.config import resolve
from handful.errors import RunError, UsageError
from handful.search import Race, candidates
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
    assert recommended[0]["bytes"] * recommended[0]["latency_ms"] <= 1.3 * min(
        row["bytes"] * row["latency_ms"] for row in tied
    )


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
    for after in range(1, 30):
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


def test_hopeless_trainings_are_given_up(tmp_path: Path) -> None:
    """A network that has hardly trained loses against a probe that is right on these coloured pictures."""
    pytest.importorskip("torch")
    entered = [
        *candidates(["statistics"], ["probe"], {}), *candidates(["small_cnn"], ["scratch"], {"learning_rate": [1e-8]}),
    ]  # fmt: skip
    photos = write_photos(tmp_path / "photos", per_class=40, size=32)
    recipe = resolve({"data": str(photos), "repeats": 1, "epochs": 1})
    board = Race(recipe, entered, tmp_path / "race", None).run()
    assert [row["strategy"] for row in board["rows"]][:1] == ["probe"]
    unfinished = {row["strategy"]: row for row in board["unfinished"]}
    assert "clearly behind" in unfinished["scratch"]["why"]
    assert 0 < unfinished["scratch"]["folds_done"] < unfinished["scratch"]["of"]


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
