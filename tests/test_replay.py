"""A run can be repeated from its recipe to the last bit: model, samples, out-of-fold answers, with empty caches as with full ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import handful
from handful.config import load_recipe
from handful.models import models
from handful.training.heads import heads
from handful.training.strategies import strategies
from tests.conftest import write_photos, write_sounds

REPEATED = ("out_of_fold.jsonl", "samples.jsonl", "model.safetensors")
GRADIENT = {"scratch", "finetune"}
MODALITIES = ("image", "audio")


def cases() -> list[Any]:
    """Every strategy and every head of a probe, for pictures and sounds; trainings by gradient take their time."""
    found: list[Any] = []
    for modality in MODALITIES:
        for name in strategies.names():
            details = heads.names() if name == "probe" else [""]
            for detail in details:
                settings: dict[str, Any] = {
                    "strategy": name,
                    **({"head": detail} if detail else {"epochs": 2} if name in GRADIENT else {}),
                }
                marks = [pytest.mark.slow] if name in GRADIENT else []
                found.append(
                    pytest.param(
                        modality, settings, marks=marks, id=f"{modality}-{name}{'-' if detail else ''}{detail}"
                    )
                )
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "image": write_photos(tmp_path_factory.mktemp("replay"), per_class=6, size=32),
        "audio": write_sounds(tmp_path_factory.mktemp("replay"), per_class=6),
    }


def changed(first: Path, second: Path) -> list[str]:
    """Names of the files that differ."""
    return [name for name in REPEATED if (second / name).read_bytes() != (first / name).read_bytes()]


def settled(settings: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    """With a model that the strategy can train and weights where it needs some; skips where they are not at hand."""
    if settings["strategy"] in GRADIENT:
        pytest.importorskip("torch")
    if settings["strategy"] == "scratch":
        return settings | {"model": "small_cnn", "input_size": 32}
    if settings["strategy"] == "finetune":
        weights = request.getfixturevalue("shared") / "weights" / "squeezenet1_0_imagenet.safetensors"
        if not weights.is_file():
            pytest.skip("the weights of squeezenet1_0 are not at hand")
        return settings | {"model": "squeezenet1_0", "weights": str(weights), "input_size": 64}
    return settings | {"model": "statistics"}


@pytest.mark.parametrize(("modality", "settings"), cases())
def test_replays_are_the_same_bytes(
    modality: str, settings: dict[str, Any], data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    first = handful.train(data[modality], run=tmp_path / "first", repeats=1, folds=3, **settled(settings, request))
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "home"))  # nothing is cached there
    handful.train(layers=[load_recipe(first.path / "recipe.yaml")], run=tmp_path / "second")
    assert changed(first.path, tmp_path / "second") == []


def test_a_tiny_network_from_nothing_replays(data: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    first = handful.train(
        data["image"],
        run=tmp_path / "first",
        model="small_cnn",
        strategy="scratch",
        epochs=1,
        folds=2,
        input_size=16,
        batch_size=8,
    )
    handful.train(layers=[load_recipe(first.path / "recipe.yaml")], run=tmp_path / "second")
    assert changed(first.path, tmp_path / "second") == []


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_command_replays_in_another_process(modality: str, data: dict[str, Path], tmp_path: Path) -> None:
    """`handful train --config RUN/recipe.yaml`, with everything that was chosen by `auto`."""
    first = handful.train(data[modality], run=tmp_path / "first", weights="none")
    command = [
        sys.executable,
        "-m",
        "handful",
        "train",
        "--config",
        str(first.path / "recipe.yaml"),
        "--run",
        str(tmp_path / "second"),
        "-q",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert changed(first.path, tmp_path / "second") == []


def test_every_extractor_without_weights_replays(data: dict[str, Path], tmp_path: Path) -> None:
    """Those that are made of random numbers draw the same ones again, in a process of their own."""
    names = [m.name for m in models if m.network is None and "audio" in m.modalities]
    assert names
    settings: dict[str, Any] = {"model": "+".join(names), "strategy": "prototype", "repeats": 1}
    first = handful.train(data["audio"], run=tmp_path / "first", **settings)
    again = "import sys, handful; handful.train(sys.argv[1], run=sys.argv[2], model=sys.argv[3], strategy='prototype', repeats=1)"
    done = subprocess.run(
        [sys.executable, "-c", again, str(data["audio"]), str(tmp_path / "second"), settings["model"]],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert changed(first.path, tmp_path / "second") == []
