"""What somebody meets who has read the README only: mistakes, interruptions, and whether the next line helps."""

from __future__ import annotations

import errno
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from handful import _console, train
from handful._console import Screen, program, typed
from handful.config import Recipe, presets
from handful.data import load_data
from handful.errors import DataError, MissingExtra, RunError, UsageError
from handful.features import frontends
from handful.models import _convert, models
from handful.reporting import advice, terminal
from handful.runs import Run
from handful.training import automatic
from handful.workflow.studio.training import models as catalogue_page

from .conftest import write_photos
from .test_cli import handful

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; "
MAIN = "sys.argv[1:] = {words!r}; from handful.__main__ import main; main()"


def script(before: str, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command line in a process in which `before` was run first."""
    code = "import sys; " + before + MAIN.format(words=[str(word) for word in words])
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=False, **options
    )


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("newcomer") / "runs" / "first"
    handful("train", photos, "--weights", "none", "--repeats", 1, "--run", place)
    return place


# -- torch -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "who"),
    [
        (["--model", "resnet18"], "resnet18"), (["--model", "squeezenet1_0"], "squeezenet1_0"), (["--model", "small_cnn"], "small_cnn"),
        (["--strategy", "finetune"], "--strategy finetune"), (["--require-pretrained"], "a pretrained network"),
    ],
)  # fmt: skip
def test_torch_is_asked_for_before_weights(words: list[str], who: str, photos: Path) -> None:
    done = script(WITHOUT_TORCH, "train", photos, *words)
    assert done.returncode == 1 and not done.stdout
    first, second = done.stderr.splitlines()[-2:]
    assert first.startswith(f"handful: {who} needs torch (about 5.6 GB on Linux), which is not installed; without it: ")
    assert second == f"   try: {program('pip')} install 'handful[torch]'"
    assert "fetch" not in done.stderr and "no pretrained weights" not in done.stderr


def test_without_torch_the_way_to_better_photos_is_one_line(photos: Path, tmp_path: Path) -> None:
    done = script(WITHOUT_TORCH, "train", photos, "--repeats", 1, "--run", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "efficientnet_b0" in line]
    assert "needs torch" in line and "pip install 'handful[torch]'" in line
    assert "MB" not in done.stderr


def test_without_torch_nothing_is_advised_that_needs_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = {**Run.open(run).result, "score": {"value": 0.6, "low": 0.5, "high": 0.7, "n": 100}}
    monkeypatch.setitem(sys.modules, "torch", None)
    for place, lang in (("", "en"), ("studio", "en"), ("studio", "ru")):
        (line,) = [line for line in advice.advice(result, lang, place) if "torch" in line]
        assert "pip install 'handful[torch]'" in line and "handful fetch" not in line
    lacks = {row["name"]: row["lacks"] for row in catalogue_page("image")}
    assert lacks["resnet18"] == lacks["small_cnn"] == "torch" and lacks["statistics"] is None
    monkeypatch.undo()
    pytest.importorskip("torch")
    assert all(row["lacks"] != "torch" for row in catalogue_page("image"))
    assert not any("pip install" in line for line in advice.advice(result, "en", "studio"))


def test_safetensors_of_a_squeezenet_need_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    pytest.importorskip("torch")
    path = tmp_path / "w.safetensors"
    safetensors.save_file(models.get("squeezenet1_0").network.create(1000).state_dict(), path)  # type: ignore[union-attr]
    frontend = frontends.get("image").suited([], {})
    monkeypatch.setattr(_convert, "torch_is_here", lambda: False)
    choice = automatic.choose(Recipe(weights=str(path)), frontend, lambda line: None)
    assert choice.model.name == "squeezenet1_0" and choice.weights and choice.weights.path == path
    with pytest.raises(MissingExtra, match="small_cnn needs torch"):
        automatic.choose(Recipe(model="small_cnn"), frontend, lambda line: None)


def test_models_says_what_each_needs() -> None:
    lines = handful("models").stdout.splitlines()
    last = {line.split()[0]: line.split()[-1] for line in lines[1:] if line}
    assert last["resnet18"] == "torch" and last["squeezenet1_0"] == "safetensors" and last["statistics"] == "Apache-2.0"


# -- stopping ----------------------------------------------------------------------------------------------------------

# Stops when the samples are to be read: in `prepare`, which holds the run; `{event}` has written something or not.
STOP = """
import os, signal
from handful.training import trial
def prepare(self, log=None, *rest):
    {event}
    os.kill(os.getpid(), {number})
    while True: pass
trial.Trial.prepare = prepare
"""


def stopped(number: int, event: str, *words: object) -> subprocess.CompletedProcess[str]:
    return script(f"exec({STOP.format(event=event, number=number)!r}); ", *words)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_says_how_to_go_on(number: int, code: int, photos: Path, tmp_path: Path) -> None:
    place = tmp_path / "a run"
    done = stopped(int(number), "log(event='epoch')", "train", photos, "--weights", "none", "--run", place)
    assert done.returncode == code
    first, second = done.stderr.splitlines()[-2:]
    assert first == "handful: stopped; what was computed is kept"
    assert second.endswith(f"handful train {photos} --weights none --run '{place}' --resume")
    assert second.startswith("   to go on: ")
    assert [path.name for path in place.iterdir()] == ["metrics.jsonl"]


def test_a_stop_names_the_directory_that_was_made(photos: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HANDFUL_HOME": str(tmp_path)}
    code = f"exec({STOP.format(event='log(event=1)', number=2)!r}); "
    done = script(code, "train", photos, "--weights", "none", env=environment)
    (made,) = (tmp_path / "data" / "runs").iterdir()
    assert done.stderr.splitlines()[-1].endswith(f" train {photos} --weights none --run {made} --resume")


def test_a_stop_before_anything_was_written_leaves_no_directory(photos: Path, tmp_path: Path) -> None:
    place = tmp_path / "run"
    done = stopped(2, "pass", "train", photos, "--weights", "none", "--run", place)
    assert done.returncode == 130 and not place.exists()
    assert done.stderr.splitlines()[-1].endswith(f" train {photos} --weights none --run {place}")


def test_a_stop_while_the_report_is_made_asks_for_the_report(run: Path, photos: Path, tmp_path: Path) -> None:
    before = "import os, handful.reporting as r; r.write = lambda *a: os.kill(os.getpid(), 2); "
    done = script(before, "train", photos, "--weights", "none", "--repeats", 1, "--run", tmp_path / "run")
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1].endswith(f"handful report {tmp_path / 'run'}")


@pytest.mark.parametrize("terminal", [False, True])
def test_ctrl_c_in_the_middle_of_real_work(terminal: bool, photos: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "handful", "train", str(photos), "--weights", "none", "--run", str(tmp_path / "run")]
    ours, theirs = pty.openpty() if terminal else os.pipe()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=theirs, start_new_session=True)
    os.close(theirs)
    said = os.read(ours, 1000)  # the first line: the data was found
    child.send_signal(signal.SIGINT)
    while part := _read(ours):
        said += part
    os.close(ours)
    assert child.wait() == 130
    assert b"handful: stopped; what was computed is kept" in said and b"   to go on: " in said
    assert b"Traceback" not in said


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1000)
    except OSError:  # how a terminal ends
        return b""


def test_a_signal_that_a_library_turned_into_its_own_error() -> None:
    """As when it arrives while a C extension is imported."""
    before = (
        "import handful.cli as c, os\n"
        "def broken(**_):\n"
        "    try: os.kill(os.getpid(), 2)\n"
        "    except BaseException: raise ImportError('initialization failed')\n"
        "c.app = broken\n"
    )
    done = script(f"exec({before!r}); ", "check", "photos")
    assert done.returncode == 130 and "something went wrong" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith("handful check photos")


# -- the run directory -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_a_finished_run_is_refused_before_the_data_is_looked_at(more: list[str], run: Path, photos: Path) -> None:
    before = (run / "run.json").read_bytes()
    done = handful("train", photos, "--weights", "none", "--run", run, *more, check=1)
    assert done.stderr.splitlines() == [
        f"handful: {run} is not empty: it is a finished run",
        "   try: choose another place with --run",
    ]
    assert (run / "run.json").read_bytes() == before


def test_a_folder_with_a_lock_only_is_empty(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    assert Run.create(tmp_path, "x").path == tmp_path
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RunError, match="not empty") as caught:
        Run.create(tmp_path, "x")
    assert "--resume" in caught.value.hint
    assert Run.create(tmp_path, "x", resume=True).path == tmp_path


def test_a_failed_start_leaves_nothing_and_a_begun_run_stays(tmp_path: Path) -> None:
    for name, writes in (("empty", False), ("begun", True)):
        run = Run.create(tmp_path / name, "x")
        with pytest.raises(ValueError), run.lock():
            if writes:
                run.log(event="epoch")
            raise ValueError
    assert [path.name for path in tmp_path.iterdir()] == ["begun"]
    assert [path.name for path in (tmp_path / "begun").iterdir()] == ["metrics.jsonl"]


def test_the_folder_that_holds_runs_is_not_a_run(run: Path, photos: Path) -> None:
    done = handful("predict", run.parent, photos / "red" / "00.png", check=1)
    assert f"{run.parent} is no run, but holds one: {run}" in done.stderr
    assert done.stderr.splitlines()[-1].endswith(f"handful predict {run} {photos / 'red' / '00.png'}")
    older = run.parent / "second"
    shutil.copytree(run, older)
    os.utime(older / "run.json", (0, 0))
    for command in ("report", "export"):
        done = handful(command, run.parent, check=1)
        assert f"{run.parent} holds 2 runs; the newest is {run}" in done.stderr
        assert done.stderr.splitlines()[-1].endswith(f"handful {command} {run}")
    shutil.rmtree(older)


def test_other_folders_are_not_runs(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run in"):
        Run.open(photos)
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(RunError, match="not a finished run"):
        Run.open(tmp_path)


# -- predict -----------------------------------------------------------------------------------------------------------


def test_a_run_that_lost_its_model_is_damaged(run: Path, photos: Path, tmp_path: Path) -> None:
    lost = shutil.copytree(run, tmp_path / "lost")
    (lost / "model.onnx").unlink()
    for words in (["predict", lost, photos / "red" / "00.png"], ["export", lost]):
        done = handful(*words, check=1)
        assert "lost is damaged (model.onnx is missing)\n   try: delete it, or train again" in done.stderr
    assert not (lost / "exports").exists()


def test_a_place_that_cannot_be_written_is_said_in_two_lines(run: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (
        ["check", photos, "--fix", tmp_path / "file" / "in" / "labels.csv"],
        ["export", run, "--out", tmp_path / "file" / "in" / "exports"],
    ):
        done = handful(*words, check=1)
        assert "could not be written (Not a directory)\n   try: free some space or choose another folder" in done.stderr
        assert "something went wrong" not in done.stderr


def test_swapped_arguments_are_put_right(run: Path, photos: Path) -> None:
    picture = photos / "red" / "00.png"
    done = handful("predict", picture, run, check=2)
    assert done.stderr.splitlines()[-1].endswith(f"handful predict {run} {picture}")
    assert "the model comes first" in done.stderr
    assert "00.png is a picture, not a model" in handful("predict", picture, picture, check=1).stderr


def test_an_empty_folder_is_said(run: Path, tmp_path: Path) -> None:
    done = handful("predict", run, tmp_path, check=1)
    assert not done.stdout
    assert done.stderr.splitlines() == [f"{tmp_path}: is a folder without pictures or sounds"]


def test_each_file_is_told_what_is_wrong_with_it(run: Path, photos: Path, sounds: Path) -> None:
    done = handful("predict", run, "my", sounds / "low" / "00.wav", photos / "red" / "00.png", check=1)
    assert done.stderr.splitlines() == [
        "my: does not exist (check the name; put quotes around names with spaces)",
        f"{sounds / 'low' / '00.wav'}: is a sound, this model is for pictures",
        "handful: 2 of 3 could not be predicted",
    ]
    assert done.stdout.startswith(f"{photos / 'red' / '00.png'}\tred\t")


def test_a_name_with_a_space_and_no_quotes() -> None:
    assert "put quotes around names with spaces" in handful("train", "my", "photos", check=2).stderr
    assert "quotes" not in handful("train", "--nonsense", check=2).stderr


# -- settings ----------------------------------------------------------------------------------------------------------


def test_settings_without_effect_are_said(photos: Path, tmp_path: Path) -> None:
    words = ["--weights", "none", "--repeats", 1, "--epochs", 3, "--optimizer", "sgd", "--n-mels", 20]
    done = handful("train", photos, *words, "--run", tmp_path / "run")
    assert "has no effect with probe: --epochs, --optimizer" in done.stderr.splitlines()
    assert "has no effect with pictures: --n-mels" in done.stderr.splitlines()
    assert automatic.idle(Recipe(epochs=3, head="auto", device="auto"), "scratch", "audio") == []
    assert automatic.idle(Recipe(head="ridge", views=2), "scratch", "image") == [
        "has no effect with scratch: --head, --views"
    ]


def test_every_setting_in_the_table_exists() -> None:
    assert {*automatic.CONCERNS, *automatic.OF_SOUNDS} <= set(Recipe.model_fields)
    of_gradient = {
        name for name, field in Recipe.model_fields.items() if "finetune and scratch" in str(field.description)
    }
    assert of_gradient <= {name for name, who in automatic.CONCERNS.items() if who == automatic.GRADIENT}


@pytest.mark.parametrize(
    ("words", "message"), [(["--head", "logstic"], "did you mean logistic?"), (["--model", "resnet81"], "resnet18")]
)
def test_wrong_names_are_refused_before_the_data_is_read(words: Sequence[str], message: str, photos: Path) -> None:
    done = handful("train", photos, *words, check=2)
    assert message in done.stderr and "pictures in" not in done.stderr


def test_the_help_names_every_head() -> None:
    from handful.training.heads import heads

    said = str(Recipe.model_fields["head"].description)
    assert set(re.findall(r"\w+", said)) >= set(heads.names())
    assert "..." not in said


def test_each_preset_says_what_it_costs() -> None:
    for name, content in presets().items():
        assert re.search(r"\b(time|fastest)\b", content["summary"]), name


# -- data --------------------------------------------------------------------------------------------------------------


def test_empty_class_folders_are_named(tmp_path: Path) -> None:
    write_photos(tmp_path, ("dog", "fox"), 2)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("later")
    messages = [f.message for f in load_data(tmp_path).findings]
    assert messages == ["the folder 'cat' holds no pictures"]
    for part in ("train", "test"):
        write_photos(tmp_path / "split" / part, ("dog", "fox"), 2)
    (tmp_path / "split" / "train" / "cow").mkdir()
    assert [f.message for f in load_data(tmp_path / "split").findings if f.kind == "empty"] == [
        "the folder 'cow' holds no pictures"
    ]


def test_an_existing_table_is_said_before_the_data_is_looked_at(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("mine")
    done = handful("check", photos, "--fix", tmp_path / "labels.csv", "--weights", "nowhere", check=1)
    assert "labels.csv exists and is not replaced" in done.stderr and "embed" not in done.stderr
    assert (tmp_path / "labels.csv").read_text() == "mine"


def test_doubtful_labels_are_said_to_be_as_they_were() -> None:
    found: dict[str, Any] = {"samples": 2, "classes": {"a": 2}, "findings": [], "fixed": "new.csv"}
    assert (
        terminal.checked(found | {"suggested": {}})[-1] == "a labels table is in new.csv: train with --labels new.csv"
    )
    told = "\n".join(terminal.checked(found | {"suggested": {"1.jpg": "b"}}))
    assert "doubtful labels as they were" in told and "column label, then train with --labels new.csv" in told


def test_files_that_were_left_out_are_named(tmp_path: Path) -> None:
    """README: broken ones are named."""
    write_photos(tmp_path / "data", per_class=4)
    (tmp_path / "data" / "red" / "broken.png").write_text("no picture")
    (tmp_path / "data" / "green" / "empty.png").touch()
    rows = [f"{label}/{i:02d}.png,{label}" for label in ("red", "green") for i in range(4)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file_name,label", *rows, *(f"red/lost{i}.png,red" for i in range(4))]))
    told = handful("check", tmp_path / "data", "--labels", table).stdout
    lost = ", ".join(f"red/lost{i}.png (line {10 + i})" for i in range(3))
    assert f"4 files of labels.csv are not there\n        {lost}, ...\n        -> mend the table" in told
    quick = ("--weights", "none", "--strategy", "prototype", "--repeats", 1)
    told = handful("train", tmp_path / "data", *quick).stdout
    assert "2 findings, the first: green/empty.png is an empty file." in told
    (tmp_path / "data" / "green" / "empty.png").unlink()
    told = handful("train", tmp_path / "data", *quick).stdout
    assert "calls an error: red/broken.png is not a picture or sound." in told


def test_a_folder_of_the_other_kind_asks_for_another_folder(run: Path, sounds: Path) -> None:
    told = handful("evaluate", run, sounds, check=1).stderr
    assert "files are sounds and were left out)\n   try: name a folder that holds image files" in told


def test_a_pattern_without_a_class_is_given_one(sounds: Path, tmp_path: Path) -> None:
    file = next(sounds.rglob("*.wav"))
    for label in ("yes", "no"):
        for speaker in ("anna", "bob"):
            for number in range(5):
                shutil.copy(file, tmp_path / f"{label}_{speaker}_{number}.wav")
    with pytest.raises(DataError) as caught:
        load_data(tmp_path, pattern="{speaker}_{}")
    assert '--pattern "{label}_' in caught.value.hint


def test_a_closed_class_folder_is_not_called_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path, ("dog", "fox"), 2)
    listdir = os.listdir

    def without_the_right(folder: Any) -> list[str]:  # the owner of the tests may be root, whom no mode keeps out
        if Path(folder).name == "fox":
            raise PermissionError(errno.EACCES, "Permission denied")
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", without_the_right)
    with pytest.raises(DataError, match="fox cannot be opened") as caught:
        train(tmp_path)
    assert "holds no pictures" not in str(caught.value) and caught.value.hint == "check its permissions"
    with pytest.raises(DataError, match="fox cannot be opened") as caught:
        train(tmp_path / "fox")
    assert caught.value.hint == "check its permissions"


def test_a_pattern_that_does_not_match_is_shown_beside_a_name(photos: Path, tmp_path: Path) -> None:
    for i, file in enumerate(sorted(photos.glob("*/*.png"))):
        target = tmp_path / file.parent.name / f"1-17{i // 3}-{'ABC'[i % 3]}.png"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(file, target)
    with pytest.raises(DataError) as caught:
        load_data(tmp_path, pattern="{label}_{group}_{}")
    assert '"1-170-A" does not look like "{label}_{group}_{}"' in caught.value.message
    assert caught.value.hint == 'perhaps --pattern "{}-{group}-{}" (folders give the class)'
    with pytest.raises(DataError) as caught:
        load_data(photos, pattern="{group}_{}")
    assert "{} matches anything" in caught.value.hint


# -- how things are said -----------------------------------------------------------------------------------------------


def test_python_shows_the_hint_and_the_terminal_shows_it_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_data(tmp_path / "nowhere")
    assert str(caught.value).splitlines()[1:] == [f"   try: {caught.value.hint}"]
    assert handful("train", tmp_path / "nowhere", check=1).stderr.count("try: ") == 1
    assert str(UsageError("no hint")) == "no hint"


def test_commands_are_printed_as_they_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / ".venv" / "bin" / "handful"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(own.parent / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    assert program() == ".venv/bin/handful"
    assert typed("handful train FOLDER, which handful reads; `handful fetch x`", ["train", "fetch"]) == (
        ".venv/bin/handful train FOLDER, which handful reads; `.venv/bin/handful fetch x`"
    )
    pip = own.with_name("pip")
    shutil.copy(own, pip)
    assert typed("pip install x, or uv pip install x", []) == ".venv/bin/pip install x, or uv pip install x"
    pip.unlink()
    assert typed("pip install x", []) == f"{own.parent / 'python'} -m pip install x"
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    assert program() == str(own)
    monkeypatch.setenv("PATH", str(own.parent))
    assert program() == "handful"
    shutil.copy(own, other / "handful")
    monkeypatch.setenv("PATH", str(other))
    assert program() == str(own)


def test_a_long_stage_is_heard_of_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(_console.time, "monotonic", lambda: now)
    monkeypatch.setattr(_console.threading.Thread, "start", lambda self: None)
    screen = Screen(False, True)
    screen.say("320 sounds")
    for second in range(0, 36, 4):
        now = float(second)
        screen.progress("embed", second, 36)
    screen.progress("embed", 36, 36)
    assert capsys.readouterr().err.splitlines() == [
        "320 sounds", "embed: 4 of 36", "embed: 16 of 36", "embed: 28 of 36", "embed: 36 done",
    ]  # fmt: skip

    class Over:
        """Ends the watch after 60 s, which pass in an instant."""

        def wait(self, seconds: float) -> bool:
            nonlocal now
            now += seconds
            return now > 100

    screen._beat(Over())  # type: ignore[arg-type]
    assert capsys.readouterr().err.splitlines() == [
        "still working, 3 s", "still working, 10 s", "still working, 20 s", "still working, 40 s",
    ]  # fmt: skip
    now = 0.0
    screen.progress("train", 1, 9)
    screen._beat(Over())  # type: ignore[arg-type]
    assert capsys.readouterr().err.splitlines()[0] == "train: 1 of 9"
    Screen(True, True).progress("embed", 1, 1)
    assert capsys.readouterr().err == ""


# -- the bundle --------------------------------------------------------------------------------------------------------


def test_a_bundle_explains_and_proves_itself(run: Path, photos: Path, tmp_path: Path) -> None:
    handful("export", run, "--format", "bundle", "--out", tmp_path)
    program_file = tmp_path / "bundle" / "predict.py"
    assert len(program_file.read_text().splitlines()) <= 150

    def bundle(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", str(program_file), *map(str, words)], capture_output=True, text=True, check=False
        )

    bare, asked = bundle(), bundle("--help")
    assert (bare.returncode, bare.stdout, asked.returncode, asked.stderr) == (2, "", 0, "")
    assert bare.stderr == asked.stdout and "python predict.py FILE..." in asked.stdout
    good = bundle("--verify")
    assert good.returncode == 0 and good.stdout.endswith(": OK\n")
    rows = (tmp_path / "bundle" / "vectors.json").read_text()
    (tmp_path / "bundle" / "vectors.json").write_text(rows.replace('"logits": [', '"logits": [1'))
    bad = bundle("--verify")
    assert bad.returncode == 1 and bad.stdout.endswith(": FAILED\n")
    shutil.rmtree(tmp_path / "bundle" / "vectors")
    assert bundle("--verify").returncode == 1

    from PIL import Image

    Image.linear_gradient("L").save(tmp_path / "grey.png")
    Image.effect_noise((64, 64), 90).convert("RGB").save(tmp_path / "noise.png")
    done = bundle(photos / "red" / "00.png", tmp_path / "grey.png", tmp_path / "noise.png")
    assert done.returncode == 0
    assert all(len(line.split("\t")) == 3 for line in done.stdout.splitlines())
    from handful.inference import Predictor

    model = Predictor.load(run)
    unsure = [p.file for p in model.predict([str(tmp_path / "grey.png"), str(tmp_path / "noise.png")]) if p.unknown]
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == unsure


# -- hardly any samples ------------------------------------------------------------------------------------------------


def test_three_photos_a_class_are_warned_of_at_once_and_in_the_report(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", per_class=3)
    done = handful("train", folder, "--weights", "none", "--repeats", 1, "--run", tmp_path / "run")
    lines = done.stderr.splitlines()
    assert lines[0] == "6 pictures in 2 classes (green 3, red 3)"
    assert lines[1].startswith("warning: fewer than 5 samples of green, red: ") and "add 12 or more" in lines[1]
    advised = done.stdout.split("What to do next\n")[1].splitlines()[0]
    assert "green, red" in advised and "hardly worth anything: add 12 or more of each" in advised
    found = [f for f in Run.open(tmp_path / "run").result["findings"] if f["name"] == "few"]
    assert len(found) == 2 and all("hardly worth anything" in f["message"] for f in found)
    assert "hardly worth anything" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    handful("report", tmp_path / "run", "--lang", "ru")
    assert "почти ничего не значат" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_enough_photos_are_not_warned_of(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", per_class=5)
    done = handful("train", folder, "--weights", "none", "--repeats", 1, "--run", tmp_path / "run")
    assert "hardly worth" not in done.stderr + done.stdout
