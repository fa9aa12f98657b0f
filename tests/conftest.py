"""Generated data, one home for each test session, and where real data may lie."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    # Each of them would compute on all cores and wait for the others; read when numpy, torch and programs under test start.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))

import numpy as np
import pytest

from handful.models import models

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background: programs under test would inherit deafness to the very signal they are tested with.
    signal.signal(signal.SIGINT, signal.default_int_handler)

models.names()  # in the order of the program, before a test imports one of their files by name

SHARED = Path(os.environ.get("HANDFUL_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def home() -> Iterator[Path]:
    """Caches, runs and settings of the whole session; nothing is downloaded."""
    with tempfile.TemporaryDirectory(prefix="handful-tests-") as folder:
        before = {
            name: os.environ.get(name)
            for name in ("HANDFUL_HOME", "HANDFUL_OFFLINE", "HANDFUL_NO_BROWSER", "TORCH_HOME")
        }
        os.environ |= {
            "HANDFUL_HOME": folder,
            "HANDFUL_OFFLINE": "1",
            "HANDFUL_NO_BROWSER": "1",
            "TORCH_HOME": f"{folder}/torch",
        }
        yield Path(folder)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data sets and weights, where they are at hand."""
    if not SHARED.is_dir():
        pytest.skip("the real data sets are not at hand (HANDFUL_TEST_DATA names their folder)")
    return SHARED


def write_photos(
    folder: Path, classes: tuple[str, ...] = ("red", "green"), per_class: int = 12, size: int = 48, seed: int = 0
) -> Path:
    """Pictures whose colour tells the class, noisy enough that no two are alike."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            pixels = rng.integers(0, 120, (size, size, 3), dtype=np.uint8)
            pixels[..., index % 3] += 100
            block = rng.integers(0, size // 2, 2)
            pixels[block[0] : block[0] + size // 3, block[1] : block[1] + size // 3] = rng.integers(0, 255, 3)
            Image.fromarray(pixels).save(folder / name / f"{number:02d}.png")
    return folder


def write_sounds(
    folder: Path, classes: tuple[str, ...] = ("low", "high"), per_class: int = 10, rate: int = 16_000, seed: int = 0
) -> Path:
    """Half-second tones whose pitch tells the class."""
    import soundfile

    rng = np.random.default_rng(seed)
    t = np.arange(rate // 2) / rate
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            wave = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 300) * (1 + 4 * index) * t) + rng.normal(0, 0.02, len(t))
            soundfile.write(folder / name / f"{number:02d}.wav", wave, rate)
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture
def make_photos(tmp_path: Path) -> Callable[..., Path]:
    return lambda **kwargs: write_photos(tmp_path / "photos", **kwargs)


@pytest.fixture(scope="session")
def photo_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import handful

    test = write_photos(tmp_path_factory.mktemp("new_photos"), per_class=8, seed=9)
    return handful.train(
        photos, run=tmp_path_factory.mktemp("runs") / "photos", test=str(test), weights="none", repeats=2
    )


@pytest.fixture(scope="session")
def sound_run(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import handful

    return handful.train(sounds, run=tmp_path_factory.mktemp("runs") / "sounds", weights="none", repeats=2)


@pytest.fixture(params=["photo_run", "sound_run"])
def any_run(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)
