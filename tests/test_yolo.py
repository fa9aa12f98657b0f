"""YOLO11's classifiers behind their extra: never taken unasked, offline, and trained by this project's own loop."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import handful
from handful.errors import MissingExtra, WeightsError
from handful.models import Network, Weights, facts, models

NAME = "yolo11n-cls"
# Millions of parameters in Ultralytics' table of today.
PUBLISHED = {"yolo11n-cls": 2.8, "yolo11s-cls": 6.7, "yolo11m-cls": 11.6, "yolo11l-cls": 14.1, "yolo11x-cls": 29.6}


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Network:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("ultralytics")))  # not in the home of who tests
    pytest.importorskip("ultralytics", reason="the extra yolo is not installed")
    found = models.get(NAME)
    assert isinstance(found, Network)
    return found


def published(network: Network, path: Path, **more: Any) -> Weights:
    """A file such as Ultralytics publishes: a pickled module in half precision."""
    import torch
    from ultralytics.nn.tasks import ClassificationModel

    torch.manual_seed(1)
    module = ClassificationModel(f"{NAME}.yaml", nc=1000, verbose=False).half()
    torch.save(
        {"epoch": -1, "model": module, "ema": None, "train_args": {"imgsz": 224}, "license": "AGPL-3.0", **more}, path
    )
    return Weights(path, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def test_their_sizes_and_licence_are_known_without_the_library() -> None:
    for name, millions in PUBLISHED.items():
        assert facts(name)["parameters"] / 1e6 == pytest.approx(millions, abs=0.05)
        assert (models.get(name).licence, models.get(name).extra) == ("AGPL-3.0", "yolo")


def test_without_the_library_the_licence_and_the_extra_are_named() -> None:
    code = (
        "import sys; sys.modules['ultralytics'] = None\n"
        "from handful.models import models\n"
        f"try: models.get('{NAME}').create(2)\n"
        "except Exception as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "AGPL-3.0" in said and "pip install 'handful[yolo]'" in said


def test_training_says_so_before_it_reads_anything(photos: Path) -> None:
    if importlib.util.find_spec("ultralytics"):
        pytest.skip("the extra yolo is installed")
    for strategy in ("probe", "finetune", "scratch"):
        with pytest.raises(MissingExtra, match=r"yolo11n-cls \(AGPL-3.0\) needs a library") as error:
            handful.train(photos, model=NAME, strategy=strategy, weights="none")
        assert error.value.hint == "pip install 'handful[yolo]'"


def test_it_is_not_advised_and_not_taken_unasked() -> None:
    from handful.models._advice import USES, advise

    said = json.dumps([advise(use, None, None) for use in USES])
    assert "efficientnet" in said and "yolo" not in said


def test_no_socket_is_opened_and_nothing_is_said(network: Network, tmp_path: Path) -> None:
    code = (
        "import socket, sys\n"
        "tried = []\n"
        "def refuse(*arguments, **_): tried.append(arguments); raise OSError('no network')\n"
        "socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse\n"
        "import handful\n"
        "from handful.models import models\n"
        "models.names(); assert 'ultralytics' not in sys.modules\n"
        f"module = handful.create_model('{NAME}', 3).eval()\n"
        "import torch, threading\n"
        "assert module(torch.rand(2, 3, 64, 64)).shape == (2, 3)\n"
        "assert not tried and threading.active_count() == 1, tried"
    )
    environment = {
        "HANDFUL_HOME": str(tmp_path),
        "PYTHONPATH": ":".join(sys.path),
        "HOME": str(tmp_path),
        "PATH": "/usr/bin",
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"], "no settings in the user's folder"


def test_a_published_file_goes_in_and_answers_as_theirs(network: Network, tmp_path: Path) -> None:
    import torch
    from ultralytics.nn.tasks import ClassificationModel

    from handful.models._state import build

    ours = build(network, published(network, tmp_path / f"{NAME}.pt"))
    torch.manual_seed(1)
    theirs = ClassificationModel(f"{NAME}.yaml", nc=1000, verbose=False).half().float().eval()
    pictures = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(pictures).softmax(1), theirs(pictures)[0], rtol=1e-4, atol=1e-6)


def test_other_classes_in_a_file_are_refused(network: Network, tmp_path: Path) -> None:
    from handful.models._state import build

    weights = published(network, tmp_path / f"{NAME}.pt", more=Path("a class that these networks are not made of"))
    with pytest.raises(WeightsError, match="is no plain torch state dict"):
        build(network, weights)


@pytest.mark.slow
@pytest.mark.parametrize(("blocks", "changed"), [(0, False), (-1, True)])
def test_frozen_and_fully_trained(network: Network, blocks: int, changed: bool, photos: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.numpy import load_file

    weights = published(network, tmp_path / f"{NAME}.pt")
    run = tmp_path / "run"
    handful.train(
        photos, run=run, model=NAME, weights=str(weights.path), strategy="finetune", trainable_blocks=blocks, epochs=1,
        folds=2, input_size=64,
    )  # fmt: skip
    found = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert (found["model"], found["strategy"]) == (NAME, "finetune")
    assert handful.Predictor.load(str(run)).predict(next((photos / "red").iterdir())).label in ("red", "green")
    torch.manual_seed(1)
    state = load_file(run / "model.safetensors")
    key = next(key for key in state if key.endswith("model.0.conv.weight"))
    from handful.models._state import build

    before = build(network, weights).state_dict()["model.0.conv.weight"].numpy()
    assert (abs(state[key] - before).max() > 0) == changed
