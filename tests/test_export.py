"""Exports: what is written predicts what was trained, carries what it needs, and what was tampered with is caught."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful
import handful.reporting
from handful import words
from handful.errors import ExportError, HandfulError
from handful.exporting import (
    CARRIED,
    MAX_ERROR,
    Order,
    _labelled,
    _packing,
    agreement,
    disagreement,
    export,
    exporters,
    vectors,
)
from handful.exporting import int8 as int8_export
from handful.inference import Predictor
from handful.runs import Run
from handful.sources import Sources
from tests.conftest import write_photos

UNAVAILABLE = [name for name in exporters.names() if hasattr(exporters.get(name), "unavailable")]
SLOW = {"torchscript", "pt2", "openvino"}
FORMATS = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in exporters.names()
    if name not in UNAVAILABLE
]


def _squeezenet(path: Path) -> Path:
    """Random weights (He) of squeezenet1_1, so that there is a network to round."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {}

    def conv(name: str, out: int, into: int, side: int) -> None:
        tensors[f"{name}.weight"] = rng.normal(0, (2 / (into * side**2)) ** 0.5, (out, into, side, side)).astype("f4")
        tensors[f"{name}.bias"] = np.zeros(out, "f4")

    conv("features.0", 64, 3, 3)
    fires = {3: (64, 16), 4: (128, 16), 6: (128, 32), 7: (256, 32), 9: (256, 48), 10: (384, 48), 11: (384, 64), 12: (512, 64)}  # fmt: skip
    for layer, (into, squeezed) in fires.items():
        conv(f"features.{layer}.squeeze", squeezed, into, 1)
        conv(f"features.{layer}.expand1x1", squeezed * 4, squeezed, 1)
        conv(f"features.{layer}.expand3x3", squeezed * 4, squeezed, 3)
    conv("classifier.1", 1000, 512, 1)
    save_file(tensors, path)
    return path


@pytest.fixture(scope="session")
def net_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("net")
    photos = write_photos(folder / "photos", per_class=8)
    weights = _squeezenet(folder / "squeezenet1_1.safetensors")
    return handful.train(
        photos, run=folder / "run", model="squeezenet1_1", weights=str(weights), strategy="probe", head="logistic", repeats=1
    )  # fmt: skip


# -- every format ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_proves_itself_and_carries_what_it_needs(net_run: Any, tmp_path: Path, name: str) -> None:
    exporter = exporters.get(name)
    if name in SLOW:
        pytest.importorskip("torch" if exporter.engine == "torch" else exporter.engine)
    written = export(Run.open(net_run.path), name, tmp_path)
    assert Path(written.path) == tmp_path / exporter.file
    assert written.bytes > 0 and written.max_error <= exporter.tolerance
    if exporter.tolerance <= MAX_ERROR:
        assert written.agree == written.n > 1
    opened = exporter.open(Path(written.path))
    trained = Predictor.load(net_run.path).metadata
    assert {key: opened.metadata[key] for key in CARRIED} == {key: trained[key] for key in CARRIED}
    known = {Path(written.path), *([Path(written.zip)] if written.zip else [])}
    assert set(tmp_path.iterdir()) == known, "nothing else is left behind"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torchscript", "pt2", "openvino"])
def test_sounds_leave_onnx_too(sound_run: Any, tmp_path: Path, name: str) -> None:
    exporter = exporters.get(name)
    pytest.importorskip(exporter.engine)
    written = export(Run.open(sound_run.path), name, tmp_path)
    assert written.agree == written.n and written.max_error <= MAX_ERROR
    file = vectors(Path(sound_run.path))[0][0]
    item = Predictor.load(sound_run.path).items(file)[:1]
    many = exporter.open(Path(written.path)).infer(np.repeat(item, 5, axis=0))
    assert many.shape[0] == 5 and np.allclose(many, many[:1], atol=1e-4), "any number of items at once"


def test_one_format_that_fails_does_not_keep_the_others(photo_run: Any, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(HandfulError, match="Core ML") as caught:
        handful.export(photo_run.path, ["coreml", "onnx", "litert", "bundle"], out=tmp_path, say=said.append)
    assert caught.value.partial and [row["format"] for row in caught.value.partial["files"]] == ["onnx", "bundle"]
    assert len(said) == 1 and said[0].startswith("litert: ") and (tmp_path / "bundle" / "model.onnx").is_file()


@pytest.mark.parametrize("name", UNAVAILABLE)
def test_what_cannot_be_proven_here_is_refused_with_a_reason(photo_run: Any, tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError) as caught:
        handful.export(photo_run.path, [name], out=tmp_path)
    assert ("pt2" in caught.value.hint and "pip install" in caught.value.hint) or "make pages" in caught.value.hint
    assert not list(tmp_path.iterdir())


# -- the proof ---------------------------------------------------------------------------------------------------------


def test_constant_and_nearly_right_answers_are_no_proof() -> None:
    expected = np.random.default_rng(0).normal(0, 3, (8, 4))
    spread = np.ptp(expected, axis=0).max()
    assert agreement(expected, expected) == (0.0, 8)
    assert agreement(expected, np.tile(expected.mean(axis=0), (8, 1)))[0] > MAX_ERROR
    assert agreement(expected, np.tile(expected.mean(axis=0), (8, 1)), tolerance=0.2)[0] == float("inf")
    assert agreement(expected + 0 * expected[:1], expected + 2e-3 * spread)[0] > MAX_ERROR
    same = np.tile(expected[:1], (8, 1))
    assert agreement(same, same)[0] == float("inf"), "files of which the model says the same prove nothing"
    assert agreement(expected[:1], expected[:1])[0] == float("inf")
    assert agreement(expected, np.full_like(expected, np.nan))[0] == float("inf")


def edited(run: Any, place: Path, change: Callable[[Any, dict[str, Any]], None]) -> Run:
    """A copy of a run whose graph or metadata `change(proto, metadata)` has spoilt; its test vectors are as they were."""
    import onnx

    copy = Path(shutil.copytree(run.path, place))
    proto = onnx.load_model(copy / "model.onnx")
    metadata = json.loads(next(p.value for p in proto.metadata_props if p.key == "handful"))
    change(proto, metadata)
    onnx.helper.set_model_props(proto, {"handful": json.dumps(metadata)})
    onnx.save_model(proto, copy / "model.onnx")
    return Run.open(copy)


def _rewrite(proto: Any, fits: Callable[[tuple[int, ...]], bool], change: Callable[[np.ndarray], np.ndarray]) -> None:
    from onnx import numpy_helper

    found = [t for t in proto.graph.initializer if t.data_type == 1 and fits(tuple(t.dims))]
    assert found, "the graph has no such part"
    for tensor in found:
        array = change(numpy_helper.to_array(tensor)).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def _without_window(kernels: np.ndarray) -> np.ndarray:
    time = np.arange(kernels.shape[-1])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / len(time))
    return kernels / np.maximum(window, 1e-3) * window.mean()


MUTATIONS = {
    "channel order": ("net_run", lambda p, m: _rewrite(p, lambda s: s[1:] == (3, 3, 3), lambda a: a[:, ::-1])),
    "mean": ("net_run", lambda p, m: _rewrite(p, lambda s: s in ((3, 1, 1), (1, 3, 1, 1)), lambda a: a * 0.9)),
    "resize": ("net_run", lambda p, m: m["frontend"].update(fit="crop")),
    "temperature": ("net_run", lambda p, m: _rewrite(p, lambda s: s == (512, 2), lambda a: a * 1.01)),
    "filter bank": ("sound_run", lambda p, m: _rewrite(p, lambda s: s[1:] == (257,), lambda a: np.roll(a, 1, axis=1))),
    "window": ("sound_run", lambda p, m: _rewrite(p, lambda s: s == (514, 1, 512), _without_window)),
    "swapped classes": ("sound_run", lambda p, m: _rewrite(p, lambda s: s in ((2,), (1, 2)), lambda a: a[..., ::-1] + 1)),
}  # fmt: skip


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_spoilt_front_end_is_caught(what: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    fixture, change = MUTATIONS[what]
    run = request.getfixturevalue(fixture)
    spoilt = edited(run, tmp_path / "run", change)
    with pytest.raises(ExportError, match="disagrees"):
        export(spoilt, "onnx", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("key", CARRIED)
def test_an_export_that_lost_its_metadata_is_caught(net_run: Any, key: str) -> None:
    opened = exporters.get("onnx").open(Path(net_run.path) / "model.onnx")
    files, expected = vectors(Path(net_run.path))
    trained = dict(opened.metadata)
    opened.metadata.pop(key)
    assert key in disagreement(opened, trained, files, expected, MAX_ERROR)[2]


# -- verify ------------------------------------------------------------------------------------------------------------


def test_a_bundle_verifies_anywhere_and_a_tampered_one_does_not(net_run: Any, sound_run: Any, tmp_path: Path) -> None:
    handful.export(net_run.path, ["bundle"], out=tmp_path)
    bundle = tmp_path / "bundle"
    good = handful.verify(bundle)
    assert good["ok"] and good["agree"] == good["n"] > 1 and good["max_error"] < MAX_ERROR
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as packed:
        for file in bundle.rglob("*"):
            packed.write(file, Path("some/place") / file.relative_to(bundle))
    assert handful.verify(tmp_path / "b.zip")["ok"]
    spoilt = edited(net_run, tmp_path / "run", MUTATIONS["mean"][1])
    shutil.copyfile(spoilt.file("model.onnx"), bundle / "model.onnx")
    bad = handful.verify(bundle)
    assert not bad["ok"] and "error" in bad["why"]
    done = subprocess.run([sys.executable, "-m", "handful", "verify", str(bundle)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.startswith("FAILED")
    (bundle / "vectors" / "00.png").write_bytes(b"other")
    with pytest.raises(ExportError, match="was changed"):
        handful.verify(bundle)


def test_vectors_outside_a_bundle_are_not_read(net_run: Any, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(net_run.path, tmp_path / "run"))
    rows = json.loads((copy / "vectors.json").read_text())
    shutil.copyfile(copy / rows[0]["file"], tmp_path / "outside.png")
    rows[0]["file"] = "../outside.png"
    (copy / "vectors.json").write_text(json.dumps(rows))
    with pytest.raises(ExportError, match="outside"):
        handful.verify(copy)


def test_what_is_a_folder_is_one_file_too(any_run: Any, tmp_path: Path) -> None:
    """The same bytes each time, whole, in one folder named after the run; every command takes it as it takes the folder."""
    row = handful.export(any_run.path, ["bundle"], out=tmp_path / "first")["files"][0]
    again = handful.export(any_run.path, ["bundle"], out=tmp_path / "second")["files"][0]
    packed, folder = Path(row["zip"]), Path(row["path"])
    assert packed == tmp_path / "first" / "bundle.zip" and packed.read_bytes() == Path(again["zip"]).read_bytes()
    top = f"{Path(any_run.path).name}-bundle"
    with zipfile.ZipFile(packed) as archive:
        held = {info.filename: archive.read(info) for info in archive.infolist()}
        assert list(held) == sorted(held) and not any(info.is_dir() for info in archive.infolist())
    files = {f"{top}/{p.relative_to(folder).as_posix()}": p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert held == files
    shutil.move(packed, tmp_path / "alone.zip")
    shutil.rmtree(folder)
    assert handful.verify(tmp_path / "alone.zip") | {"model": ""} == handful.verify(any_run.path) | {"model": ""}
    picture = vectors(Path(any_run.path))[0][0]
    expected = Predictor.load(any_run.path).predict(picture)
    assert handful.load(tmp_path / "alone.zip").predict(picture) == expected
    command = [sys.executable, "-m", "handful", "predict", str(tmp_path / "alone.zip"), str(picture), "--json"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(said)["scores"] == expected.scores
    with handful.Server([tmp_path / "alone.zip"], port=0) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", "/predict", picture.read_bytes())
        assert json.loads(connection.getresponse().read())["label"] == expected.label
        connection.close()


@pytest.mark.parametrize("run, top", [("été 1/…", "été-1-bundle"), ("--", "model-bundle"), ("CON", "CON-bundle")])
def test_the_folder_in_a_zip_has_a_name_that_every_system_takes(run: str, top: str) -> None:
    assert _packing.top_folder(Path("somewhere/bundle"), run) == top


def test_an_export_that_fails_leaves_no_zip_of_an_earlier_one(net_run: Any, tmp_path: Path) -> None:
    handful.export(net_run.path, ["bundle"], out=tmp_path)
    spoilt = edited(net_run, tmp_path / "run", MUTATIONS["mean"][1])
    with pytest.raises(ExportError, match="disagrees"):
        handful.export(spoilt.path, ["bundle"], out=tmp_path)
    assert not list(tmp_path.glob("bundle*"))


# -- 8 bits ------------------------------------------------------------------------------------------------------------


def test_int8_is_small_and_tells_what_it_costs(net_run: Any, tmp_path: Path) -> None:
    fp32, int8 = handful.export(net_run.path, ["onnx", "int8"], out=tmp_path)["files"]
    assert int8["bytes"] < 0.35 * fp32["bytes"]
    drop = int8["drop"]
    assert drop["of"] == "training files" and drop["n"] == 16 and drop["agree"] >= 15
    assert drop["change"]["low"] <= drop["change"]["value"] <= drop["change"]["high"]
    assert handful.load(tmp_path / "model.int8.onnx").classes == net_run.result["classes"]


def test_int8_says_when_the_training_files_are_gone(net_run: Any, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(net_run.path, tmp_path / "run"))
    result = json.loads((copy / "run.json").read_text())
    result["data"]["path"] = str(tmp_path / "moved")
    (copy / "run.json").write_text(json.dumps(result))
    assert _labelled.training(Sources(Run.open(copy))).of == "test vectors"
    said: list[str] = []
    row = export(Run.open(copy), "int8", tmp_path / "out", Order(say=said.append)).to_dict()
    assert "no longer at" in row["notes"][0] and said and row["drop"]["of"] == "test vectors"


@pytest.mark.slow
def test_int8_that_costs_too_much_tries_mixed_precision_then_is_refused(
    net_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.open(net_run.path)
    kept: list[int] = []

    def refuse(drop: dict[str, Any]) -> bool:
        kept.append(drop["fp32_layers"])
        return len(kept) == 2

    monkeypatch.setattr(int8_export, "_tolerable", refuse)
    row = export(run, "int8", tmp_path)
    assert kept == [0, 2] and row.drop and row.drop["fp32_layers"] == 2
    kept.clear()
    monkeypatch.setattr(int8_export, "_tolerable", lambda drop: bool(kept.append(drop["fp32_layers"])))
    monkeypatch.setattr(int8_export, "MAX_TRIALS", 5)
    with pytest.raises(ExportError, match="costs too much") as caught:
        export(run, "int8", tmp_path / "refused")
    assert kept[:2] == [0, 2] and kept[2] < kept[3], "all, without the ends, without the layers that suffer most"
    assert "95 % interval" in caught.value.message
    assert "--accept-drop" in caught.value.hint and not list((tmp_path / "refused").iterdir())
    assert export(run, "int8", tmp_path / "accepted", Order(accept_drop=True)).drop


def test_the_rule_allows_two_files_or_a_point() -> None:
    drop = {"n": 200, "right_fp32": 190, "right": 188}
    assert int8_export._tolerable(drop)
    assert not int8_export._tolerable(drop | {"right": 187})
    assert int8_export._tolerable(drop | {"n": 400, "right": 187})
    assert int8_export._tolerable(drop | {"n": 10, "right_fp32": 9, "right": 7}), (
        "two of ten are a large share, and two"
    )


def test_models_without_a_network_are_not_rounded(sound_run: Any, tmp_path: Path) -> None:
    for name in ("int8", "fp16"):
        with pytest.raises(ExportError, match="no layers"):
            handful.export(sound_run.path, [name], out=tmp_path)


def test_a_bundle_can_hold_the_8_bit_model(net_run: Any, tmp_path: Path) -> None:
    small, whole = handful.export(net_run.path, ["bundle-int8", "onnx"], out=tmp_path)["files"]
    bundle = tmp_path / "bundle-int8"
    assert (bundle / "model.onnx").stat().st_size < 0.35 * whole["bytes"]
    assert handful.verify(bundle)["ok"] and 0 < small["max_error"] <= Predictor.load(bundle).metadata["tolerance"] < 0.5
    done = subprocess.run([sys.executable, "-I", bundle / "predict.py", "--verify"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("OK\n"), done.stdout + done.stderr
    card = (bundle / "README.md").read_text()
    assert f"{small['drop']['right']} of 16 training files right" in card and "before rounding" in card


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b0"])
def test_networks_that_are_hard_to_round_are_handled_or_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their activations are known to suffer from 8 bits. Weights are random here: what is tested is the way, not the accuracy."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from tests.test_export_families import prepared, settled, what_it_sees

    network, frontend = prepared(name)
    photos = write_photos(tmp_path / "photos", per_class=8)
    items = np.concatenate([frontend.read(file)[0] for file in sorted(photos.rglob("*.png"))])
    module = settled(network, torch.from_numpy(what_it_sees(network, frontend, items)), 1000)
    save_file({key: value.contiguous() for key, value in module.state_dict().items()}, tmp_path / "w.safetensors")
    made = handful.train(
        photos, run=tmp_path / "run", model=name, weights=str(tmp_path / "w.safetensors"), strategy="probe", head="logistic", repeats=1,
        input_size=network.input_size,
    )  # fmt: skip
    run = Run.open(made.path)
    try:
        found = export(run, "int8", run.path / "exports")
    except ExportError as error:
        assert "costs too much" in error.message and "95 % interval" in error.message and "--accept-drop" in error.hint
    else:
        assert found.drop and int8_export._tolerable(found.drop) and handful.verify(found.path)["ok"]
    kept: list[int] = []
    monkeypatch.setattr(int8_export, "_tolerable", lambda drop: bool(kept.append(drop["fp32_layers"])))
    monkeypatch.setattr(int8_export, "MAX_TRIALS", 6)
    monkeypatch.setattr(int8_export, "MAX_CHANGE", 0.0)
    with pytest.raises(ExportError, match=r"INT8 costs too much: \d+ of 16 training files right in fp32, \d+ in INT8"):
        export(run, "int8", tmp_path / "refused")
    assert len(kept) >= 4 and kept[:2] == [0, 2] and 2 < kept[2] < kept[3], "layers are tried however many there are"


def test_answers_that_hardly_change_are_enough_where_confidences_do(
    net_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of logits alone makes mixed precision tried; the nearest one is taken, and it says so."""
    monkeypatch.setattr(int8_export, "MAX_CHANGE", 0.0)
    monkeypatch.setattr(int8_export, "MAX_TRIALS", 2)
    said: list[str] = []
    row = export(Run.open(net_run.path), "int8", tmp_path, Order(say=said.append))
    assert any("mixed precision" in line for line in said)
    assert row.drop and row.drop["right"] == row.drop["right_fp32"] and "confidences differ" in row.notes[0]
    assert f"warning: {row.notes[0]}" in said, "whoever follows the export is told, too"
    assert "уверенность иная, чем в fp32" in words.retold(row.notes[0], words.load("ru"))


# -- benchmark ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_latency_card_is_kept_a_row_a_format(net_run: Any, tmp_path: Path) -> None:
    run = Path(shutil.copytree(net_run.path, tmp_path / "run"))
    first = handful.export(run, ["onnx"], benchmark=True)["benchmark"]
    assert first[0]["batch_32_ms"] > first[0]["batch_1_ms"] > 0 and first[0]["peak_rss_bytes"] > 1e7
    handful.export(run, ["fp16", "bundle"], benchmark=True)
    rows = json.loads((run / "exports" / "benchmark.json").read_text())["rows"]
    assert [(row["format"], row["engine"]) for row in rows] == [("onnx", "onnxruntime"), ("fp16", "onnxruntime")]
    report = (run / "report.html").read_text(encoding="utf-8")
    section = report[report.index('<section id="speed"') :].partition("</section>")[0]
    assert "onnx" in section and "fp16" in section and "for one sample on" in section
    rows[0]["batch_1_ms"] = "<b>"
    (run / "exports" / "benchmark.json").write_text(json.dumps({"rows": rows}))
    handful.reporting.write(run)
    assert '<section id="speed"' not in (run / "report.html").read_text(), "a damaged card is as good as none"
