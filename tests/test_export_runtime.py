"""The base installation: `pip install handful` predicts, serves and listens with exported models, without torch."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import handful
from handful.exporting import vectors
from handful.inference import Predictor

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 200_000_000


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment with the wheel of this checkout and what it depends on."""
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling")
    place = tmp_path_factory.mktemp("fresh")
    uv = ROOT / ".venv" / "bin" / "uv"
    found = str(uv) if uv.is_file() else shutil.which("uv")
    if not found:
        pytest.skip("uv is not installed")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place], cwd=ROOT, check=True, capture_output=True)  # fmt: skip
    (wheel,) = place.glob("*.whl")
    subprocess.run([found, "venv", "--quiet", "--python", sys.executable, place / "env"], check=True)
    made = place / "env" / "bin" / "python"
    done = subprocess.run(
        [found, "pip", "install", "--quiet", "--python", made, "-c", ROOT / "constraints.txt", wheel], capture_output=True, text=True
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"its dependencies cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    return made


@pytest.mark.slow
def test_the_base_is_small_and_has_no_training_library(python: Path) -> None:
    code = "from importlib import metadata; print(*sorted(d.name.lower() for d in metadata.distributions()))"
    there = set(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    assert {"handful", "onnxruntime", "fastapi"} <= there
    assert not there & {"torch", "torchvision", "scikit-learn", "scipy", "onnx", "pandas", "tensorflow"}
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    total = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert total < MOST_BYTES, f"{total:,} bytes"


@pytest.mark.slow
def test_it_predicts_verifies_and_serves_what_was_exported(python: Path, any_run: Any, tmp_path: Path) -> None:
    handful.export(any_run.path, ["onnx", "bundle"], out=tmp_path)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    files = [str(file) for file in vectors(Path(any_run.path))[0]]
    expected = [Predictor.load(any_run.path).predict(Path(file)) for file in files]

    def command(*arguments: object) -> str:
        done = subprocess.run(
            [python, "-I", "-m", "handful", *map(str, arguments)], capture_output=True, text=True, env=environment, cwd=tmp_path
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    for model in (any_run.path, tmp_path / "model.onnx", tmp_path / "bundle", tmp_path / "bundle.zip"):
        rows = [json.loads(line) for line in command("predict", model, *files, "--json").splitlines()]
        assert [row["label"] for row in rows] == [one.label for one in expected], model
        assert [row["confidence"] for row in rows] == pytest.approx([one.confidence for one in expected], abs=1e-4)
    for bundle in ("bundle", "bundle.zip"):
        assert command("verify", tmp_path / bundle).startswith("OK")
    if any_run.result["modality"] == "audio":
        events = command("listen", tmp_path / "model.onnx", "--file", files[0], "--fast", "--threshold", "0.01")
        assert {json.loads(line)["label"] for line in events.splitlines()} & set(any_run.result["classes"])
    server = subprocess.Popen(
        [python, "-I", "-m", "handful", "serve", tmp_path / "model.onnx", "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment
    )  # fmt: skip
    try:
        assert server.stdout
        address = re.search(r"http://\S+:\d+", server.stdout.readline())
        assert address
        with urllib.request.urlopen(f"{address[0]}/predict", data=Path(files[0]).read_bytes(), timeout=30) as answer:
            assert json.load(answer)["label"] == expected[0].label
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()  # type: ignore[union-attr]
