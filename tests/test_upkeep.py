"""Doctor, cache, config and selftest, from outside: real processes, real files; what they must never do included."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from handful.environment import VARIABLES
from handful.extras import EXTRAS
from handful.files import Store
from handful.jobs import Queue, glance
from handful.web.studio.schema.projects import MemoryStatus

from .conftest import write_photos
from .test_cli import handful

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = "squeezenet1_0-b66bff10.pth"  # torchvision's file
# As `handful` itself, where no connection can be opened and some libraries are not installed.
BARE = """
import socket, sys
def refused(*_, **__): raise AssertionError("a connection was opened")
socket.socket.connect = socket.getaddrinfo = refused
for name in {missing!r}: sys.modules[name] = None
sys.argv[1:] = {words!r}
from handful.__main__ import main
main()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A home that is not there yet."""
    return tmp_path / "home of mine"


def variables(place: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HANDFUL_", "TORCH_", "HF_"))}
    return kept | {"HANDFUL_HOME": str(place), "TORCH_HOME": str(place.parent / "torch"), "HF_HOME": "/nowhere"} | more


def bare(*words: str, place: Path, missing: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    code = BARE.format(missing=missing, words=words)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables(place))


# -- doctor ----------------------------------------------------------------------------------------------------------------


def test_the_doctor_looks_only(place: Path) -> None:
    """No connection, no torch, nothing made."""
    done = bare("doctor", "--json", place=place, missing=("torch",))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["schema"] == 1 and not place.exists()
    assert (
        found["folders"]["cache"] | {"path": str(place / "cache"), "exists": False, "bytes": 0, "writable": True}
        == (found["folders"]["cache"])
    )
    assert set(MemoryStatus.model_fields) < set(found["memory"]), "the numbers of GET /memory/status, and the limit"
    assert 0 < found["memory"]["available_bytes"] <= found["memory"]["total_bytes"]
    advice = {row["fix"] for row in found["findings"]}
    assert found["extras"]["torch"]["missing"] == "torch" and "pip install 'handful[torch]'" in advice
    said = " ".join(row["message"] for row in found["findings"] if row["kind"] == "weights")
    assert "trainings use methods that need none" in said and "first training fetches" not in said
    assert all(set(row) == {"kind", "severity", "message", "fix"} and row["fix"] for row in found["findings"])


def test_the_doctor_finds_what_is_wrong(place: Path) -> None:
    (place.parent / "file").touch()
    given = {"HANDFUL_OFLINE": "1", "HANDFUL_TOKEN": "hush", "HANDFUL_DATABASE_URL": "postgresql://me:hush@db/x"}
    wrong = variables(place.parent / "file" / "home", HF_HUB_OFFLINE="1", **given)
    done = handful("doctor", env=wrong)
    assert "cannot be written\n   try: set HANDFUL_HOME" in done.stdout
    assert "HANDFUL_OFLINE is set, but means nothing to handful\n   try: did you mean HANDFUL_OFFLINE?" in done.stdout
    assert "HF_HUB_OFFLINE forbids" in done.stdout and "none, by HF_HUB_OFFLINE" in done.stdout
    assert "postgresql://***@db/x" in done.stdout and "hush" not in done.stdout + done.stderr


def test_every_extra_is_known_with_what_it_brings() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(declared) == set(EXTRAS)
    assert all(extra.brings and extra.modules for extra in EXTRAS.values())


def test_every_variable_that_the_code_reads_is_known() -> None:
    read = set()
    for file in (ROOT / "src").rglob("*.py"):
        read |= set(re.findall(r'environ(?:\.get\(|\[)\s*"([A-Z_]+)"(?! *\] *=)', file.read_text("utf-8")))
        read |= set(re.findall(r'(?:_first|switched_on)\(\s*"([A-Z_]+)"', file.read_text("utf-8")))
    assert "HANDFUL_HOME" in read and read <= {variable.name for variable in VARIABLES}


def test_jobs_weigh_the_same_from_outside(tmp_path: Path) -> None:
    """001-22"""
    (tmp_path / "p").mkdir()
    with Queue(tmp_path) as queue:
        queue.note("http://127.0.0.1:1/")
        working, waiting = (
            queue.submit(tmp_path / "p", "check", argv=[sys.executable, "-c", "import time; time.sleep(60)"]) for _ in "ab"
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while not (seen := glance(tmp_path))["jobs_bytes"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (seen["running"], seen["queued"], seen["url"]) == (1, 1, "http://127.0.0.1:1/")
        assert seen["jobs_bytes"] > 1_000_000 and seen["server_bytes"] > 10_000_000
        for job in (waiting, working):
            queue.stop(job.id)
        queue.wait(working.id, 30)
    assert glance(tmp_path) == {"server_bytes": 0, "jobs_bytes": 0, "running": 0, "queued": 0, "url": None}


# -- cache -----------------------------------------------------------------------------------------------------------------


def cached(place: Path) -> dict[str, Any]:
    return {
        row["name"]: row for row in json.loads(handful("cache", "ls", "--json", env=variables(place)).stdout)["rows"]
    }


@pytest.fixture
def full(place: Path) -> Path:
    """A home with embeddings, a weight file, another program's weights, and things that nobody knows."""
    photos = write_photos(place.parent / "photos", per_class=5)
    handful("train", photos, "--weights", "none", "--repeats", 1, "--quiet", env=variables(place))
    for folder in (place / "cache" / "weights", place.parent / "torch" / "hub" / "checkpoints"):
        folder.mkdir(parents=True)
        (folder / CHECKPOINT).write_bytes(b"not what was published" * 1000)
    (place / "cache" / "weights" / "resnet18-f37072fd.pth.part").write_bytes(b"half")
    (place / "cache" / "notes.txt").write_text("mine")
    (place.parent / "outside").mkdir()
    (place.parent / "outside" / "kept.txt").write_text("mine")
    (place / "cache" / "embeddings" / "linked").symlink_to(place.parent / "outside")
    return place


def test_the_cache_is_listed_with_origin_and_use(full: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (full / "cache").rglob("*") if p.is_file()}
    rows = cached(full)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    embeddings = [row for row in rows.values() if row["kind"] == "embeddings" and row["what"] != "embeddings"]
    assert embeddings and all(row["bytes"] > 1000 and row["from"] == "computed here" for row in embeddings)
    own, shared = rows[f"weights/{CHECKPOINT}"], rows[str(full.parent / "torch" / "hub" / "checkpoints" / CHECKPOINT)]
    assert own["what"] == shared["what"] == "squeezenet1_0" and own["from"].startswith("https://download.pytorch.org/")
    assert not own["shared"] and shared["shared"]
    assert rows["weights/resnet18-f37072fd.pth.part"]["what"] == "resnet18, partly fetched"
    assert rows["notes.txt"]["kind"] == "unknown"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["used"]) for row in rows.values())


def test_only_what_is_ours_is_removed(full: Path) -> None:
    there = variables(full)
    shared = full.parent / "torch" / "hub" / "checkpoints" / CHECKPOINT
    assert "other programs share" in handful("cache", "rm", shared, "--yes", check=1, env=there).stderr
    assert "did you mean facts" in handful("cache", "rm", "fcts", "--yes", check=2, env=there).stderr
    assert "--all" in handful("cache", "rm", check=2, env=there).stderr
    asked = handful("cache", "rm", "--all", check=2, env=there, stdin=subprocess.DEVNULL)
    assert "--yes" in asked.stderr and len(cached(full)) >= 6
    assert "facts.sqlite" in handful("cache", "rm", "--all", "--dry-run", env=there).stdout and len(cached(full)) >= 6
    done = json.loads(handful("cache", "rm", "--all", "--yes", "--json", env=there).stdout)
    assert done["bytes"] > 22_000 and f"weights/{CHECKPOINT}" in done["removed"] and not done["kept"]
    assert set(cached(full)) == {"notes.txt", str(shared)}
    assert shared.is_file() and (full.parent / "outside" / "kept.txt").is_file()
    assert not list((full / "cache").rglob("*.sqlite*")), "with what SQLite keeps beside"
    assert (full / "data" / "runs").is_dir(), "runs are no cache"


def test_old_things_and_models_can_be_named(full: Path) -> None:
    old = full / "cache" / "weights" / CHECKPOINT
    os.utime(old, (time.time() - 40 * 86_400,) * 2)
    assert json.loads(handful("cache", "rm", "--older-than", 30, "--yes", "--json", env=variables(full)).stdout)[
        "removed"
    ] == [f"weights/{CHECKPOINT}"]
    done = handful("cache", "rm", "embeddings", "resnet18-f37072fd.pth.part", "--yes", "--json", env=variables(full))
    assert {name.partition("/")[0] for name in json.loads(done.stdout)["removed"]} == {"embeddings", "weights"}
    assert "facts.sqlite" in cached(full)


def test_damage_in_the_cache_is_found_and_named(full: Path) -> None:
    there = variables(full)
    (full / "cache" / "backbones").mkdir(exist_ok=True)
    backbone = full / "cache" / "backbones" / "0123.onnx"
    backbone.write_bytes(b"graph")
    backbone.with_suffix(".sha256").write_text(f"{hashlib.sha256(b'graph').hexdigest()} resnet18 some.pth")
    embeddings = next(p for p in (full / "cache" / "embeddings").glob("*.sqlite"))
    shutil.copy(embeddings, embeddings.with_stem("spoiled"))
    spoil = sqlite3.connect(embeddings.with_stem("spoiled"))
    with spoil:
        spoil.execute("UPDATE rows SET value = zeroblob(length(value)) WHERE key LIKE '%:0'")
    spoil.close()
    done = handful("cache", "verify", "--json", check=1, env=there)
    states = {row["name"]: row["state"] for row in json.loads(done.stdout)["rows"]}
    assert states[f"weights/{CHECKPOINT}"] == states["embeddings/spoiled.sqlite"] == "damaged"
    assert states["backbones/0123.onnx"] == states[f"embeddings/{embeddings.name}"] == states["facts.sqlite"] == "ok"
    typed = next(line for line in done.stderr.splitlines() if "cache rm" in line).partition("cache rm ")[2].split()
    handful("cache", "rm", *typed, env=there)
    shutil.rmtree(full.parent / "torch")
    handful("cache", "verify", env=there)


def test_looking_at_a_damaged_cache_mends_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.sqlite")
    store.put([("key", b"value")])
    store.close()
    assert Store.damaged(tmp_path / "a.sqlite") == ""
    (tmp_path / "b.sqlite").write_bytes(b"no database at all" * 100)
    assert "not a database" in Store.damaged(tmp_path / "b.sqlite") and (tmp_path / "b.sqlite").stat().st_size == 1800


# -- config ----------------------------------------------------------------------------------------------------------------


def test_each_setting_says_where_it_comes_from(place: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("seed: 4\nfolds: 3\n")
    words = ["--preset", "quick", "--config", recipe, "--set", "folds=4", "--set", "epochs=2", "--epochs", 9]
    done = handful("config", "--show-origin", "--json", *words, env=variables(place, OMP_NUM_THREADS="1"))
    rows = {row["name"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)["settings"]}
    assert rows["strategy"] == ("prototype", "preset quick") and rows["seed"] == (4, f"file {recipe}")
    assert rows["folds"] == (4, "--set") and rows["epochs"] == (9, "--epochs") and rows["model"] == ("auto", "default")
    assert rows["threads"] == (1, "environment OMP_NUM_THREADS") and rows["offline"] == (False, "default")
    assert rows["cache"] == (str(place / "cache"), "environment HANDFUL_HOME")
    assert json.loads(handful("--home", tmp_path, "config", "--json").stdout)["settings"][-1]
    moved = handful("--home", tmp_path / "x", "config", "--show-origin", env=variables(place)).stdout
    assert re.search(rf"cache +{tmp_path}/x/cache +--home\n", moved)
    assert "offline                 True" in handful("config", env=variables(place, HANDFUL_OFFLINE="1")).stdout
    assert "did you mean epochs" in handful("config", "--set", "epoch=3", check=2, env=variables(place)).stderr
    assert not place.exists()


# -- selftest --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_selftest_proves_this_installation(place: Path) -> None:
    done = bare("selftest", "--json", place=place)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ok"] and {row["state"] for row in found["steps"]} <= {"ok", "skipped"}
    assert [row["name"] for row in found["steps"]][:6] == [
        "files", "decoding", "image: train", "image: predict", "image: export", "image: verify"
    ]  # fmt: skip
    assert done.stderr.count("\nok ") >= 9, "a line a step"
    assert [p.name for p in place.rglob("*")] == ["cache", "CACHEDIR.TAG"], "nothing is left"


def test_the_selftest_says_what_it_cannot_do(place: Path) -> None:
    """The base installation reads and writes; a broken library fails with what to do."""
    done = bare("selftest", "--json", place=place, missing=("onnx", "torch"))
    assert done.returncode == 0, done.stderr
    steps = {row["name"]: row for row in json.loads(done.stdout)["steps"]}
    assert steps["decoding"]["state"] == "ok" and steps["image: train"]["state"] == "skipped"
    assert steps["image: train"]["fix"] == "pip install 'handful[learn]'"
    done = bare("selftest", place=place, missing=("onnx", "torch", "soundfile"))
    assert done.returncode == 1 and re.search(r"^failed +decoding: .*soundfile.*\n   try: ", done.stdout, re.MULTILINE)
