"""What a run or a project names is opened only where somebody vouches for it: strangers' runs, links, pipes, moved data (F-27, F-28, F-93)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import handful
from handful.errors import ExportError, HandfulError, RunError
from handful.files import inside, sha256_file
from handful.runs import Run, Teller
from handful.sources import Sources

# Runs a call and prints whatever it opened, read as a folder or asked the state of below the folders that it is given first.
WATCH = """
import json, os, sys
call, watched, seen = sys.argv[1], sys.argv[2:], set()
def hook(event, args):
    if event in ("open", "os.scandir", "os.listdir") and args and isinstance(args[0], (str, os.PathLike)):
        path = os.path.realpath(args[0])
        seen.update(root for root in watched if path == root or path.startswith(root + os.sep))
sys.addaudithook(hook)
import handful
try:
    exec(call)
    said = "done"
except handful.errors.HandfulError as error:
    said = f"{error.message} / {error.hint}"
print(json.dumps([sorted(seen), said]))
"""


def opened(call: str, *watched: Path) -> tuple[set[str], str]:
    """Which of the watched places a call of the library opened, and how it ended. Fails where it waits, as for a pipe."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, call, *(os.path.realpath(path) for path in watched)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen, said = json.loads(done.stdout.splitlines()[-1])
    return set(seen), said


def rewrite(run: Path, **changes: Callable[[Any], Any]) -> None:
    """Change files of a run: NAME_jsonl=(rows -> rows), NAME_json=(document -> document), recipe_yaml=(text -> text)."""
    for name, change in changes.items():
        stem, _, kind = name.rpartition("_")
        path = run / f"{stem}.{kind}"
        text = path.read_text(encoding="utf-8")
        if kind == "yaml":
            text = change(text)
        elif kind == "json":
            text = json.dumps(change(json.loads(text)))
        else:
            text = "".join(json.dumps(row) + "\n" for row in change([json.loads(line) for line in text.splitlines()]))
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def private(tmp_path: Path, photos: Path) -> Path:
    """A folder that nobody gave to anybody: pictures of the right kind and names."""
    return Path(shutil.copytree(photos, tmp_path / "private"))


@pytest.fixture
def strange(photo_run: Any, private: Path, tmp_path: Path) -> Path:
    """A run as a stranger may send it: it names the private folder, with the names and even the contents that lie there."""
    run = Path(shutil.copytree(photo_run.path, tmp_path / "strange"))
    before = photo_run.result["data"]["path"]
    rewrite(
        run,
        recipe_yaml=lambda text: text.replace(before, str(private)) + f"labels: {private / 'labels.csv'}\n",
        run_json=lambda result: result | {"data": result["data"] | {"path": str(private)}},
    )
    (private / "labels.csv").write_text("file_name,label\n")
    return run


# -- the guard ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "b.png").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"outside")
    (root / "near").symlink_to(root / "a" / "b.png")
    (root / "far").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to(tmp_path)
    (root / "round").symlink_to(root / "round")
    os.mkfifo(root / "pipe")
    yield root


@pytest.mark.parametrize("name", ["a/b.png", "near", "./a/b.png"])
def test_what_lies_inside_is_found(place: Path, name: str) -> None:
    found = inside(place, name)
    assert found is not None and found.read_bytes() == b"inside"


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "a", "missing", "far", "up/secret", "round", "pipe", "../secret", "a/../../secret", "a/../a/b.png",
        "/etc/passwd", "/dev/zero", "/proc/self/environ", "file:///etc/passwd", "http://127.0.0.1/x.png", "\\\\host\\share",
        "a/b.png\0", "x" * 5000, None, 3, ["a"], {"a": 1},
    ],
)  # fmt: skip
def test_what_leads_elsewhere_is_not(place: Path, name: Any) -> None:
    assert inside(place, name) is None


# -- folders that a run names ------------------------------------------------------------------------------------------


def test_own_runs_find_their_samples_wherever_they_are_copied(photo_run: Any, tmp_path: Path) -> None:
    copy = Run(Path(shutil.copytree(photo_run.path, tmp_path / "copy")))
    sources = Sources(copy)
    row = copy.rows("samples.jsonl")[0]
    assert sources.own and sources.find(sources.folder, row)
    assert sources.find(sources.test_folder, copy.rows("test.jsonl")[0])
    assert len(handful.explain(copy.path, limit=2)["files"]) == 2


CALLS = {
    "explain": "handful.explain({run!r}, limit=3{data})",
    "curve": "handful.curve({run!r}{data})",
    "suggest": "handful.suggest({run!r}, {folder!r}{data})",
    "report": "handful.report({run!r})",
    "from": "from handful.workflow.train import started; started({run!r})",
    "calibrate": "from handful.exporting import _labelled; from handful.sources import Run, Sources; "
    "s = Sources(Run.open({run!r}){data}); assert _labelled.training(s).of == _labelled.scored(s).of == 'test vectors'",
}


@pytest.mark.parametrize("stage", CALLS)
def test_folders_that_a_stranger_s_run_names_are_not_opened(
    strange: Path, private: Path, photos: Path, stage: str
) -> None:
    seen, said = opened(CALLS[stage].format(run=str(strange), folder=str(photos), data=""), private)
    assert not seen
    if stage in ("curve", "suggest"):
        assert "not trained here" in said and "--data" in said
    if stage == "explain":
        rows = json.loads((strange / "explanations.json").read_text())
        assert rows and all(row["file"].startswith("vectors/") for row in rows)


def test_the_watch_sees_what_is_opened(photo_run: Any, photos: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(photo_run.path, tmp_path / "copy")
    assert opened(CALLS["explain"].format(run=str(copy), data=""), photos) == ({os.path.realpath(photos)}, "done")


def test_a_run_that_says_another_folder_than_its_recipe_is_not_believed(
    photo_run: Any, private: Path, tmp_path: Path
) -> None:
    """Whoever knows a recipe of ours still cannot point it elsewhere."""
    copy = Path(shutil.copytree(photo_run.path, tmp_path / "copy"))
    rewrite(copy, run_json=lambda result: result | {"data": result["data"] | {"path": str(private)}})
    assert opened(CALLS["explain"].format(run=str(copy), data=""), private)[0] == set()


def test_a_given_folder_takes_the_place_of_the_one_that_is_named(strange: Path, private: Path, photos: Path) -> None:
    rows = handful.explain(strange, limit=3, data=photos)["files"]
    assert len(rows) == 3 and not any(row["file"].startswith("vectors/") or "error" in row for row in rows)
    found = handful.curve(strange, data=photos)["curve"]
    assert found["points"] or found["why"]
    unseen = handful.suggest(strange, photos, data=photos)
    assert unseen["unlabelled"] == 24 and unseen["files"] == []
    call = f"handful.explain({str(strange)!r}, limit=3, data={str(photos)!r})"
    assert opened(call, private)[0] == set()


def test_moved_data_are_found_where_the_user_says(photo_run: Any, private: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(photo_run.path, tmp_path / "copy"))
    (private / "red" / "00.png").unlink()
    with pytest.raises(HandfulError, match="changed"):
        handful.curve(copy, data=private)
    said: list[str] = []
    rows = handful.explain(copy, limit=2, data=private, teller=Teller(said.append))["files"]
    assert len(rows) == 2 and "1 of 24 samples are no longer at" in said[0]


# -- files that a run names --------------------------------------------------------------------------------------------


def test_names_that_lead_out_of_the_given_folder_are_not_followed(
    strange: Path, private: Path, photos: Path, tmp_path: Path
) -> None:
    """The stranger even knows the hash of the file."""
    data = Path(shutil.copytree(photos, tmp_path / "data"))
    secret = private / "red" / "00.png"
    (data / "link.png").symlink_to(secret)
    os.mkfifo(data / "pipe.png")
    (data / "changed.png").write_bytes(b"another picture")
    names = [str(secret), "../private/red/00.png", "link.png", "pipe.png", "/dev/zero", secret.as_uri(), "changed.png"]
    row = {"sha256": sha256_file(secret), "label": "red", "group": None, "split": "train", "id": "x"}
    rows = [row | {"file": name} for name in names]
    rewrite(strange, samples_jsonl=lambda old: rows, test_jsonl=lambda old: [row | {"scores": {}} for row in rows])
    for call in (CALLS["explain"], CALLS["calibrate"]):
        given = call.format(run=str(strange), data=f", data={str(data)!r}")
        assert opened(given, private) == (set(), "done")
    told = json.loads((strange / "explanations.json").read_text())
    assert told and all(row["file"].startswith("vectors/") for row in told)


@pytest.mark.parametrize("name", ["../private/red/00.png", "ABSOLUTE", "vectors/pipe", "https://127.0.0.1/x.png"])
def test_kept_files_lie_in_the_run(strange: Path, private: Path, photo_run: Any, tmp_path: Path, name: str) -> None:
    secret = private / "red" / "00.png"
    named = str(secret) if name == "ABSOLUTE" else name
    rewrite(strange, vectors_json=lambda rows: [rows[0] | {"file": named, "sha256": sha256_file(secret)}, *rows[1:]])
    seen, _ = opened(CALLS["explain"].format(run=str(strange), data=""), private)
    rows = json.loads((strange / "explanations.json").read_text())
    assert not seen and named not in {row["file"] for row in rows}
    with pytest.raises(ExportError, match="missing or was changed"):
        handful.export(strange, ["onnx"])
    with pytest.raises(RunError, match="test vector"):
        handful.ensemble([strange, photo_run.path], run=tmp_path / "joined")
    assert not (tmp_path / "joined" / "run.json").exists()


def test_weights_that_a_stranger_names_are_not_read(strange: Path, private: Path) -> None:
    (private / "mine.safetensors").write_bytes(b"secret")
    rewrite(
        strange,
        recipe_yaml=lambda text: text + f"weights: {private / 'mine.safetensors'}\n",
        backbone_json=lambda noted: noted | {"copied": "../private/mine.safetensors"},
    )
    assert Run(strange).copied_weights() is None
    assert Sources(Run(strange), private).settings()["weights"] is None


# -- links and pipes in a run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, kind",
    [
        ("explanations.json", "pipe"),
        ("previews", "link"),
        ("exports", "link"),
        ("vectors.json", "link"),
        (".lock", "link"),
    ],
)
def test_a_run_with_links_or_pipes_is_refused_and_nothing_is_written_through_them(
    strange: Path, tmp_path: Path, name: str, kind: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("mine")
    path = strange / name
    folder = path.is_dir() or name == "exports"
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    os.mkfifo(path) if kind == "pipe" else path.symlink_to(elsewhere if folder else elsewhere / "kept")
    why = "leads out of the run" if kind == "link" else "a pipe"
    for call in (handful.explain, handful.report, handful.curve, handful.export):
        with pytest.raises(RunError, match=why):
            call(strange)
    assert [p.name for p in elsewhere.iterdir()] == ["kept"] and (elsewhere / "kept").read_text() == "mine"


def test_going_on_in_a_folder_with_a_link_for_a_lock_leaves_what_it_leads_to(photos: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / ".lock").symlink_to(kept)
    with pytest.raises(RunError, match="leads out of the run"):
        handful.train(photos, run=tmp_path / "begun", resume=True, weights="none")
    with pytest.raises(OSError), Run(tmp_path / "begun").lock():
        pass
    assert kept.read_text() == "mine"


def test_links_inside_a_run_are_the_user_s_own(photo_run: Any, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(photo_run.path, tmp_path / "copy"))
    (copy / "newest.onnx").symlink_to("model.onnx")
    assert Run.open(copy).result["samples"] == 24
