"""The command line from outside: exit codes, streams, JSON; always a real process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import write_photos


def handful(*arguments: object, check: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "handful", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        **options,
    )
    if check is not None:
        assert done.returncode == check, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    run = tmp_path_factory.mktemp("cli") / "run with space"
    done = handful("train", photos, "--weights", "none", "--repeats", 1, "--run", run, "--json")
    assert done.stderr.startswith("24 pictures in 2 classes")
    return run, json.loads(done.stdout)


def test_train_prints_run_json(trained: tuple[Path, dict[str, Any]]) -> None:
    run, result = trained
    assert result == json.loads((run / "run.json").read_text())
    assert result["run"] == str(run)


def test_predict_lines(trained: tuple[Path, dict[str, Any]], photos: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    done = handful("predict", trained[0], photos / "red", bad, photos / "green" / "00.png", "--json", check=1)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(r["file"]).name for r in rows] == [f"{i:02d}.png" for i in range(12)] + ["bad.png", "00.png"]
    assert set(rows[0]) == {"file", "label", "confidence", "scores", "set", "unknown"}
    assert set(rows[12]) == {"file", "error"}


CONTRACT = {
    "schema": int, "run": str, "modality": str, "task": str, "model": str, "strategy": str, "why": str, "weights": str | None,
    "classes": list, "samples": int, "groups": int, "score": dict, "macro_f1": float, "per_class": dict, "test": dict | None,
    "calibration": dict, "parameters": int, "macs": int | None, "seconds": dict, "peak_rss_bytes": int,
    "peak_gpu_bytes": int | None, "gpu_share": float | None,
}  # fmt: skip


def test_a_run_has_every_key_also_without_a_test_part(trained: tuple[Path, dict[str, Any]]) -> None:
    assert all(isinstance(trained[1][key], kind) for key, kind in CONTRACT.items())
    assert trained[1]["test"] is None and trained[1]["schema"] == 1


@pytest.mark.parametrize("words", [["presets"], ["report", "{run}"], ["models", "--recommend"]])
def test_json_is_one_object_that_says_its_schema(words: list[str], trained: tuple[Path, dict[str, Any]]) -> None:
    done = handful(*(word.format(run=trained[0]) for word in words), "--json")
    assert json.loads(done.stdout)["schema"] == 1


def test_formats_that_could_be_made_are_told(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    done = handful("export", trained[0], "--format", "coreml,onnx", "--out", tmp_path, "--json", check=1)
    assert [row["format"] for row in json.loads(done.stdout)["files"]] == ["onnx"]
    assert "handful: a Core ML model runs on macOS only" in done.stderr and "\n   try: " in done.stderr


def test_what_lies_beside_no_run_cannot_be_verified(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    handful("export", trained[0], "--out", tmp_path / "elsewhere")
    done = handful("verify", tmp_path / "elsewhere" / "model.onnx", check=1)
    assert (
        "no test vectors" in done.stderr
        and "try: give a bundle, a run directory, or a file in RUN/exports" in done.stderr
    )


def test_files_with_a_leading_dash(trained: tuple[Path, dict[str, Any]], photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "red" / "00.png", tmp_path / "--help.png")
    done = handful("predict", trained[0], "--json", "--", "--help.png", cwd=tmp_path)
    assert json.loads(done.stdout)["label"] == "red"


def test_evaluate_export_report_check(trained: tuple[Path, dict[str, Any]], photos: Path) -> None:
    run, _ = trained
    assert json.loads(handful("evaluate", run, photos, "--json").stdout)["score"]["n"] == 24
    files = json.loads(handful("export", run, "--format", "onnx,bundle", "--json").stdout)["files"]
    assert [f["format"] for f in files] == ["onnx", "bundle"]
    assert set(files[0]) == {"format", "path", "bytes", "max_error", "agree", "n", "latency_ms"}
    assert Path(handful("report", run, "--lang", "ru").stdout.strip()).is_file()
    found = json.loads(handful("check", photos, "--json").stdout)
    assert found["samples"] == 24 and found["classes"] == {"green": 12, "red": 12}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["train", "/nowhere"], 1), (["train"], 2), (["train", "{photos}", "--model", "resnet81"], 2), (["train", "{photos}", "--set", "x"], 2),
        (["train", "{photos}", "--preset", "nothing"], 2), (["predict", "/nowhere", "x.png"], 1), (["export", "/nowhere"], 1), (["nonsense"], 2),
        (["export", "{run}", "--format", "onyx"], 2), (["evaluate", "{run}", "/nowhere"], 1), (["train", "{photos}", "--run", "{run}"], 1),
        (["predict", "{run}", "x.png", "--device", "gpu"], 2), (["serve", "{run}", "--port", "0", "--device", "gpu"], 2),
        (["train", "{photos}", "--weights", "/nowhere.safetensors", "--model", "squeezenet1_0"], 1), (["report", "{run}", "--lang", "xx"], 2),
    ],
)  # fmt: skip
def test_mistakes_end_in_two_lines(
    arguments: list[str], code: int, trained: tuple[Path, dict[str, Any]], photos: Path
) -> None:
    done = handful(*(a.format(photos=photos, run=trained[0]) for a in arguments), check=code)
    assert not done.stdout
    if "Usage:" not in done.stderr:
        first, second = [line for line in done.stderr.splitlines() if line.startswith(("handful: ", "   try: "))]
        assert first.startswith("handful: ") and second.startswith("   try: ")


def _named(home: Path, *arguments: object, check: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    return handful(*arguments, check=check, env={**os.environ, "HANDFUL_HOME": str(home)}, **options)


@pytest.fixture(scope="module")
def two_runs(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A home, the run that was made in it, and a newer one elsewhere."""
    home = tmp_path_factory.mktemp("home")
    train = ("train", photos, "--weights", "none", "--repeats", 1, "--json")
    older = json.loads(_named(home, *train).stdout)["run"]
    newer = json.loads(_named(home, *train, "--run", home / "elsewhere" / "cats").stdout)["run"]
    return home, Path(older), Path(newer)


def test_a_run_is_named_by_its_name_or_as_the_last_one(
    two_runs: tuple[Path, Path, Path], photos: Path, tmp_path: Path
) -> None:
    home, older, newer = two_runs
    file = photos / "red" / "00.png"
    for given, meant in (("last", newer), ("cats", newer), (older.name, older), (older, older)):
        assert _named(home, "predict", given, file).stdout == _named(home, "predict", meant, file).stdout
        assert _named(home, "report", given, cwd=tmp_path).stdout.strip() == str(meant / "report.html")
    said = _named(home, "evaluate", "last", photos, "--json")
    assert json.loads(said.stdout)["model"] == str(newer) and f"last: {newer}" in said.stderr
    _named(home, "export", "last", "--format", "bundle", "--quiet")
    assert _named(home, "verify", "last/exports/bundle.zip").stdout.startswith(f"OK {newer}")
    explained = _named(home, "explain", older.name, file, "--out", tmp_path / "maps", "--json")
    assert json.loads(explained.stdout)["files"]
    joined = _named(home, "ensemble", older.name, "last", "--run", tmp_path / "joined", "--json")
    assert [member["run"] for member in json.loads(joined.stdout)["members"]] == [str(older), str(newer)]


def test_a_path_wins_over_the_name_of_a_run(two_runs: tuple[Path, Path, Path], tmp_path: Path) -> None:
    home, _, _ = two_runs
    (tmp_path / "last").mkdir()
    done = _named(home, "report", "last", check=1, cwd=tmp_path)
    assert f"there is no run in {tmp_path / 'last'}" in done.stderr


def test_unknown_names_of_runs_are_answered_with_the_nearest(
    two_runs: tuple[Path, Path, Path], photos: Path, tmp_path: Path
) -> None:
    home, older, newer = two_runs
    for given, hint in (
        ("cat", "did you mean cats?"),
        ("probe", f"did you mean {older.name}?"),
        ("zebra", "last names it, too"),
    ):
        done = _named(home, "predict", given, photos, check=1, cwd=tmp_path)
        assert f"there is no run called {given}" in done.stderr and hint in done.stderr
    assert "did you mean cats?" in _named(home, "serve", "a=cts", "--port", "0", check=1, cwd=tmp_path).stderr
    assert "did you mean cats?" in _named(home, "train", photos, "--from", "cts", check=1, cwd=tmp_path).stderr
    Path(shutil.copytree(newer, home / "data" / "runs" / "cats"))
    assert "2 runs are called cats" in _named(home, "curve", "cats", check=1, cwd=tmp_path).stderr
    shutil.rmtree(home / "data" / "runs" / "cats")
    assert "no run was trained here yet" in _named(tmp_path / "new", "predict", "last", photos, check=1).stderr


def test_home_that_cannot_be_written_is_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = handful(
        "train", photos, "--weights", "none", check=1, env={**os.environ, "HANDFUL_HOME": str(tmp_path / "file" / "x")}
    )
    assert "HANDFUL_HOME" in done.stderr


def test_strict_check(photos: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "data"))
    (folder / "red" / "empty.png").touch()
    done = handful("check", folder)
    assert "error   red/empty.png is an empty file" in done.stdout
    assert handful("check", folder, "--strict", check=None).returncode == 1


def test_terminal_shows_no_control_characters(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "data", ("a\x1b[31mred", "b\nc"), 4)
    done = handful("train", folder, "--weights", "none", "--repeats", 1, "--run", tmp_path / "run")
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["check", "{photos}"], ["predict", "{run}", "{photos}"]])
def test_torch_is_not_needed(arguments: list[str], trained: tuple[Path, dict[str, Any]], photos: Path) -> None:
    words = [a.format(photos=photos, run=trained[0]) for a in arguments]
    code = f"import sys; sys.modules['torch'] = sys.modules['sklearn'] = None; sys.argv[1:] = {words!r}; from handful.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["presets"]])
def test_lists_do_not_wait_for_numbers(arguments: list[str]) -> None:
    code = f"import sys; sys.modules['numpy'] = None; sys.argv[1:] = {arguments!r}; from handful.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_models_lists_the_catalogue() -> None:
    rows = {row["name"]: row for row in json.loads(handful("models", "--json").stdout)}
    keys = {
        "name",
        "family",
        "modality",
        "tasks",
        "parameters",
        "macs",
        "blocks",
        "input",
        "top1",
        "licence",
        "pretrained",
        "extra",
    }
    assert all(keys <= set(row) for row in rows.values())
    assert {"efficientnet_b0", "squeezenet1_0", "statistics", "random_convolutions", "small_cnn"} <= set(rows)
    assert rows["squeezenet1_0"]["parameters"] == 1_248_424


@pytest.mark.parametrize("locale", ["C", "de_DE.UTF-8", "tr_TR.UTF-8"])
def test_locale_changes_nothing(locale: str, trained: tuple[Path, dict[str, Any]], photos: Path) -> None:
    environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0"}
    expected = handful("predict", trained[0], photos / "red" / "00.png", "--json").stdout
    assert handful("predict", trained[0], photos / "red" / "00.png", "--json", env=environment).stdout == expected
