"""Every public name can be called again: the same arguments give the same answer, with empty caches as with full ones."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import handful
from handful.files import to_json
from handful.runs import Run
from tests.conftest import write_photos, write_sounds


@dataclass(frozen=True)
class Place:
    """What the calls are made on. `run` and `sound_run` are finished runs of `photos` and `sounds`."""

    photos: Path
    sounds: Path
    run: Path
    sound_run: Path

    @property
    def photo(self) -> Path:
        return self.photos / "red" / "00.png"


def network(place: Place) -> Any:
    """Its weights are drawn anew; what is promised is the network."""
    pytest.importorskip("torch")
    made = handful.create_model("small_cnn", 3)
    return str(made), {name: list(value.shape) for name, value in made.state_dict().items()}


def tuned(place: Place) -> Any:
    pytest.importorskip("optuna")
    return handful.tune(
        place.photos, trials=2, repeats=1, space={"model": ["statistics"], "head": ["ridge"], "views": [0]}
    )


def verified(place: Place) -> Any:
    handful.export(place.run, ["bundle"])
    return handful.verify(next((place.run / "exports").glob("*bundle*")))


def failure(place: Place) -> Any:
    with pytest.raises(handful.HandfulError) as error:
        handful.train(place.photos, model="sqeezenet")
    return error.value.message, error.value.hint


def joined(place: Place) -> Any:
    other = place.run.parent / "other"
    if not other.exists():
        handful.train(place.photos, run=other, **QUICK | {"model": "random_convolutions"})
    return handful.ensemble([place.run, other]).result


QUICK: dict[str, Any] = {"model": "statistics", "strategy": "probe", "head": "ridge", "repeats": 1}
CALLS: dict[str, Callable[[Place], Any]] = {
    "__version__": lambda p: handful.__version__,
    "train": lambda p: handful.train(p.photos, **QUICK).result,
    "TrainedRun": lambda p: handful.TrainedRun(Run.open(p.run)).score,
    "evaluate": lambda p: handful.evaluate(p.run, p.photos),
    "report": lambda p: handful.report(p.run).read_text(encoding="utf-8"),
    "load": lambda p: [row.to_dict() for row in handful.load(p.run).predict([p.photo, p.photo])],
    "Predictor": lambda p: handful.Predictor.load(p.run).predict(p.photo).to_dict(),
    "Prediction": lambda p: handful.Prediction("a.png", "red", 0.9, {"red": 0.9}, ("red",), False).to_dict(),
    "check": lambda p: handful.check(p.photos, weights="none"),
    "compare": lambda p: handful.compare(p.photos, models=["statistics"], strategies=["prototype", "probe:ridge"], repeats=1),
    "tune": tuned,
    "ensemble": joined,
    "curve": lambda p: handful.curve(p.run, data=p.photos),
    "explain": lambda p: handful.explain(p.run, [p.photo]),
    "suggest": lambda p: handful.suggest(p.run, p.photos / "red", count=3, data=p.photos),
    "export": lambda p: handful.export(p.run, ["onnx"]),
    "verify": verified,
    "listen": lambda p: list(handful.listen(p.sound_run, file=p.sounds / "low" / "00.wav", fast=True, threshold=0.1)),
    "create_model": network,
    "load_data": lambda p: [sample.sha256 for sample in handful.load_data(p.photos).samples],
    "HandfulError": failure,
}  # fmt: skip
NOT_CALLED = {
    "serve": "does not return before it is stopped; it has tests of its own",
    "Server": "listens on a port; it has tests of its own",
    "studio": "does not return before it is stopped; it has tests of its own",
}
# What may differ: times, memory, speeds (and what is chosen by them), places.
OF_THE_MOMENT = re.compile(
    r"seconds|epoch_seconds|latency_ms|latency_ms_32|peak_\w+|gpu_share|created|begun|finished|time|hardware|command|run|recommended|why|path"
)


def lasting(value: Any) -> Any:
    """`value` without times and places."""
    if isinstance(value, dict):
        return {key: lasting(part) for key, part in value.items() if not OF_THE_MOMENT.fullmatch(str(key))}
    if isinstance(value, (list, tuple)):
        return [lasting(part) for part in value]
    if isinstance(value, str):
        return re.sub(r"\d{4}-\d\d-\d\d-\d{6}[\w-]*", "RUN", re.sub(r"\d+(\.\d+)? (ms|s|min)\b", "TIME", value))
    return value


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Place:
    photos = write_photos(tmp_path_factory.mktemp("public") / "photos", per_class=8, size=32)
    sounds = write_sounds(tmp_path_factory.mktemp("public") / "sounds", per_class=5)
    runs = tmp_path_factory.mktemp("public_runs")
    return Place(
        photos,
        sounds,
        handful.train(photos, run=runs / "photos", **QUICK).path,
        handful.train(sounds, run=runs / "sounds", **QUICK).path,
    )


def test_every_public_name_is_in_the_table() -> None:
    assert CALLS.keys() | NOT_CALLED.keys() == set(handful.__all__)
    assert not CALLS.keys() & NOT_CALLED.keys()


@pytest.mark.parametrize("name", CALLS)
def test_the_same_call_gives_the_same_answer(
    name: str, trained: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, sound_run = (shutil.copytree(path, tmp_path / path.name) for path in (trained.run, trained.sound_run))
    place = Place(trained.photos, trained.sounds, run, sound_run)
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "home"))
    first, second = (json.loads(to_json(lasting(CALLS[name](place)))) for _ in range(2))
    assert first, "nothing came back that could be compared"
    assert second == first
