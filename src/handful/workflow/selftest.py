"""Proves an installation from end to end on data that it generates: files, decoding, training, predicting, exports, their proof.

Works in a folder of its own inside the cache, which is removed; opens no connection. What lacks a library is skipped, and said so.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import BusyError, FileError, HandfulError
from handful.extras import EXTRAS
from handful.files import atomic_write, cache_dir

if TYPE_CHECKING:
    from handful.workflow.train import TrainedRun

CLASSES = ("red", "green", "blue")  # of sounds: low, middle and high
PREFIX = "selftest-"  # of its folders in the cache
EACH = 8  # samples of a class
TOLERABLE = 0.8  # what is generated is easy: a model that is right less often learned nothing
RATE_HZ = 16_000
REPORT = "handful doctor; if it finds nothing, report this"


class _Skipped(Exception):
    """Why a step is left out, and what to type so that it is not."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why)
        self.why, self.fix = why, fix


def selftest(tell: Callable[[dict[str, Any]], None] = lambda row: None) -> dict[str, Any]:
    """Run all steps; a step that fails does not stop those that do not need it.

    Args:
        tell: called with each row as soon as it is known.

    Returns:
        {"schema", "ok", "seconds", "steps": [{"name", "state", "seconds", "detail", "why", "fix"}]}; state: ok, failed, skipped
    """
    began = time.monotonic()
    rows = []
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=cache_dir()) as folder, _at_home_in(Path(folder)):
        for name, step in _steps(Path(folder)):
            row = _done(name, step)
            tell(row)
            rows.append(row)
    ok = all(row["state"] != "failed" for row in rows)
    return {"schema": 1, "ok": ok, "seconds": round(time.monotonic() - began, 1), "steps": rows}


def _done(name: str, step: Callable[[], str]) -> dict[str, Any]:
    row = {"name": name, "state": "ok", "seconds": 0.0, "detail": "", "why": "", "fix": ""}
    start = time.monotonic()
    try:
        row["detail"] = step()
    except _Skipped as skipped:
        row |= {"state": "skipped", "why": skipped.why, "fix": skipped.fix}
    except HandfulError as error:
        row |= {"state": "failed", "why": error.message, "fix": error.hint or REPORT}
    except Exception as error:  # of any library: the other steps go on
        place = traceback.extract_tb(error.__traceback__)[-1]
        why = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        row |= {"state": "failed", "why": why, "fix": REPORT}
    return row | {"seconds": round(time.monotonic() - start, 2)}


@contextlib.contextmanager
def _at_home_in(folder: Path) -> Iterator[None]:
    """Nothing of the user's is found or changed, and nothing is fetched."""
    ours = {"HANDFUL_HOME": str(folder / "home"), "HANDFUL_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ |= ours
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _steps(folder: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "files", lambda: _files(folder / "files")
    yield "decoding", lambda: _decoding(folder)
    for modality in ("image", "audio"):
        model = _Model(folder, modality)
        yield f"{modality}: train", model.train
        yield f"{modality}: predict", model.predict
        yield f"{modality}: export", model.export
        yield f"{modality}: verify", model.verify
    yield "network: train by gradient", lambda: _network(folder)


# -- the steps -----------------------------------------------------------------------------------------------------------


def _files(folder: Path) -> str:
    """Writing, replacing, and a lock that holds."""
    from handful.runs import Run

    path = folder / "replaced.txt"
    for content in ("first", "second"):
        atomic_write(path, content)
    if path.read_text(encoding="utf-8") != "second" or len(list(folder.iterdir())) != 1:
        raise HandfulError("a file that was replaced is not what was written", "choose another disk with HANDFUL_HOME")
    run = Run(folder)
    with run.lock(), contextlib.suppress(BusyError), Run(folder).lock():
        raise HandfulError("a lock does not hold here", "choose a disk of this machine with HANDFUL_HOME")
    return "written, replaced, locked"


def _decoding(folder: Path) -> str:
    """Each format is read as it was written."""
    from handful.features import frontends

    done = []
    for modality, write, endings in (
        ("image", write_pictures, ("png", "jpg", "webp", "bmp")), ("audio", write_sounds, ("wav", "flac", "ogg")),
    ):  # fmt: skip
        for ending in endings:
            files = write(folder / "formats" / ending, ending, 1)
            frontend = frontends.get(modality).suited(files, {})
            try:
                levels = [abs(frontend.read(file)[0].astype(float)).mean() for file in files]
            except FileError as error:
                raise HandfulError(f"{ending} cannot be read: {error.message}", error.hint or REPORT) from error
            if not min(levels) > 0:
                raise HandfulError(f"{ending} is read as nothing", REPORT)
            done.append(ending)
    return ", ".join(done)


class _Model:
    """What is done with one model, each step with what the one before left."""

    def __init__(self, folder: Path, modality: str) -> None:
        self._write = write_pictures if modality == "image" else write_sounds
        self._ending = "png" if modality == "image" else "wav"
        self._place = folder / modality
        self._run: TrainedRun | None = None
        self._bundle: Path | None = None

    def train(self) -> str:
        from handful.workflow.train import train

        _need("learn")
        self._write(self._place / "data", self._ending, EACH)
        self._run = train(self._place / "data", run=self._place / "run", weights="none", repeats=1)
        return _learned(self._run)

    def predict(self) -> str:
        run = _given(self._run)
        for file in self._write(self._place / "new", self._ending, 1, seed=1):
            if (found := run.model.predict(str(file))).label != file.parent.name:
                raise HandfulError(f"a {file.parent.name} one is taken for {found.label}", REPORT)
        return f"{len(CLASSES)} new files, all right"

    def export(self) -> str:
        from handful.workflow.export import export

        files = export(_given(self._run).path, ["onnx", "bundle"])["files"]
        self._bundle = Path(next(row["path"] for row in files if row["format"] == "bundle"))
        return ", ".join(f"{row['format']} agrees on {row['agree']} of {row['n']}" for row in files)

    def verify(self) -> str:
        from handful.workflow.verify import verify

        found = verify(_given(self._bundle))
        if not found["ok"]:
            raise HandfulError(f"the bundle does not predict what the model does: {found['why']}", REPORT)
        return f"error {found['max_error']:.1e} of the spread"


def _network(folder: Path) -> str:
    """A small network on a few pictures: torch, its gradients, its way into ONNX."""
    from handful.workflow.train import train

    _need("learn")
    _need("torch")
    data = folder / "network"
    write_pictures(data, "png", 2 * EACH)
    return _learned(train(
        data, run=folder / "network-run", model="small_cnn", strategy="scratch", epochs=12, folds=2, repeats=1, input_size=32,
    ))  # fmt: skip


def _need(name: str) -> None:
    extra = EXTRAS[name]
    if extra.missing:
        raise _Skipped(f"{extra.missing} is not installed", extra.command)


def _given(what: Any) -> Any:
    if what is None:
        raise _Skipped("the step before did not end well", "see there")
    return what


def _learned(run: TrainedRun) -> str:
    score = run.score
    if score["value"] < TOLERABLE:
        what = f"{score['metric']} {score['value']:.2f} on data that is easy: {run.result['model']} did not learn"
        raise HandfulError(what, REPORT)
    return f"{run.result['strategy']} on {run.result['model']}, {score['metric']} {score['value']:.2f}"


# -- the data ------------------------------------------------------------------------------------------------------------


def write_pictures(folder: Path, ending: str, each: int, seed: int = 0) -> Sequence[Path]:
    """Noisy pictures of 48 pixels whose colour is their class, `each` a class; returns their paths."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(seed)
    paths = []
    for channel, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            pixels = rng.integers(0, 120, (48, 48, 3), dtype=np.uint8)
            pixels[..., channel] += 110
            paths.append(folder / name / f"{seed}-{number}.{ending}")
            Image.fromarray(pixels).save(paths[-1])
    return paths


def write_sounds(folder: Path, ending: str, each: int, seed: int = 0) -> Sequence[Path]:
    """Half-second tones whose pitch is their class, `each` a class; returns their paths."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(seed)
    t = np.arange(RATE_HZ // 2) / RATE_HZ
    paths = []
    for octave, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            wave = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 260) * 3**octave * t) + rng.normal(0, 0.02, len(t))
            paths.append(folder / name / f"{seed}-{number}.{ending}")
            soundfile.write(paths[-1], wave, RATE_HZ)
    return paths
