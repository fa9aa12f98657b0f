"""Model files from elsewhere: what could run code or read other files is refused, and nothing in the package would do it."""

from __future__ import annotations

import ast
import json
import pickle
import shutil
import stat
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import handful
from handful.cli import app
from handful.errors import ExportError, HandfulError, RunError, UsageError, WeightsError
from handful.inference import Predictor
from tests.test_export import edited

onnx = pytest.importorskip("onnx")
PACKAGE = Path(handful.__file__).parent


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


# -- pickles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.onnx", "model.pt", "model.safetensors", "model.json", "bundle.zip"])
def test_a_pickle_is_no_model(name: str, tmp_path: Path) -> None:
    file, ran = tmp_path / name, tmp_path / "ran"
    file.write_bytes(pickle.dumps(Canary(ran)))
    for use in (lambda: Predictor.load(file), lambda: handful.verify(file), lambda: handful.Server([file], port=0)):
        with pytest.raises(HandfulError) as caught:
            use()
        assert caught.value.hint and not ran.exists()
    assert pickle.loads(file.read_bytes()) is None and ran.exists(), "the canary sings"


def test_a_pickle_in_the_place_of_a_run_s_model_is_refused(photo_run: Any, tmp_path: Path) -> None:
    run, ran = Path(shutil.copytree(photo_run.path, tmp_path / "run")), tmp_path / "ran"
    for name in ("model.onnx", "vectors.json"):
        whole = (run / name).read_bytes()
        (run / name).write_bytes(pickle.dumps(Canary(ran)))
        with pytest.raises((RunError, ExportError)):
            handful.export(run, ["onnx", "bundle"], out=tmp_path / "out")
        (run / name).write_bytes(whole)
        assert not ran.exists() and not list((tmp_path / "out").glob("*"))


# What runs code in a file, and the modules that may call it: on weights with the safe loader, on what `export` itself wrote.
DANGEROUS = {
    "torch.load": {"models/_state.py"}, "torch.jit.load": {"exporting/torchscript.py"}, "torch.export.load": {"exporting/pt2.py"},
    "pickle.load": set(), "pickle.loads": set(), "pickle.Unpickler": set(), "marshal.loads": set(), "marshal.load": set(),
    "yaml.load": set(), "yaml.unsafe_load": set(), "eval": set(), "exec": set(), "os.system": set(), "joblib.load": set(),
}  # fmt: skip


def called(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_nothing_in_the_package_opens_what_can_run_code() -> None:
    seen = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        for call, node in called(ast.parse(path.read_text(encoding="utf-8"))):
            if call in DANGEROUS:
                assert name in DANGEROUS[call], f"{name} calls {call}"
                seen.add(call)
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert options.get("allow_pickle", "False") == "False" and options.get("shell", "False") == "False", name
            if call == "torch.load":
                assert options["weights_only"] == "True"
    assert seen == {"torch.load", "torch.jit.load", "torch.export.load"}, "the walk sees calls"


# -- tensors elsewhere, operators of others ------------------------------------------------------------------------------


def outside(location: str) -> Callable[[Any, dict[str, Any]], None]:
    """The largest tensor of a graph lies in another file."""

    def change(proto: Any, metadata: dict[str, Any]) -> None:
        tensor = max(proto.graph.initializer, key=lambda t: int(np.prod(t.dims)))
        length = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)

    return change


@pytest.mark.parametrize("way", ["beside", "above", "absolute", "link"])
def test_tensors_in_other_files_are_not_read(
    way: str, photo_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "run" / "secret.bin"
    locations = {
        "beside": "secret.bin",
        "above": "../run/secret.bin",
        "absolute": str(secret.absolute()),
        "link": "link.bin",
    }
    change = outside(locations[way])
    run = edited(photo_run, tmp_path / "run", lambda proto, metadata: None)
    proto = onnx.load_model(run.file("model.onnx"))
    change(proto, {})
    secret.write_bytes(bytes(10_000_000))
    (tmp_path / "run" / "link.bin").symlink_to(secret)
    run.file("model.onnx").write_bytes(proto.SerializeToString())
    monkeypatch.chdir(tmp_path / "run")
    for use in (
        lambda: Predictor.load(run.path),
        lambda: Predictor.load("model.onnx"),
        lambda: handful.Server([run.path], port=0),
        lambda: handful.export(run.path, ["onnx", "int8", "fp16"], out=tmp_path / "out"),
    ):
        with pytest.raises(HandfulError) as caught:
            use()
        assert "other files" in caught.value.message and caught.value.hint
    assert not list((tmp_path / "out").glob("*"))


def test_operators_of_others_are_refused(photo_run: Any, tmp_path: Path) -> None:
    def change(proto: Any, metadata: dict[str, Any]) -> None:
        proto.graph.node[-1].domain = "evil.example"
        proto.opset_import.add(domain="evil.example", version=1)

    run = edited(photo_run, tmp_path / "run", change)
    with pytest.raises(RunError, match="damaged or not an ONNX model"):
        Predictor.load(run.path)


# -- what the metadata says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {"frontend": {"modality": "os.system", "size": 224}}, {"frontend": {"modality": "image", "size": 10**9}}, {"frontend": 5}, {"format": "x"},
        {"classes": 5}, {"format": 10**9}, {"frontend": {"modality": "image", "size": "224", "fit": "stretch"}},
        {"frontend": {"modality": "audio", "seconds": 1e300}},
    ],
    ids=range(8),
)  # fmt: skip
def test_settings_are_checked_before_they_are_used(said: dict[str, Any], photo_run: Any, tmp_path: Path) -> None:
    run = edited(photo_run, tmp_path / "run", lambda proto, metadata: metadata.update(said))
    file = next((tmp_path / "run" / "vectors").iterdir())
    with pytest.raises(HandfulError) as caught:
        Predictor.load(run.path).predict(file)
    assert caught.value.message and "Traceback" not in caught.value.message


# -- bundles -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(photo_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only to be read."""
    return Path(handful.export(photo_run.path, ["bundle"], out=tmp_path_factory.mktemp("made"))["files"][0]["path"])


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "member, content, why",
    [
        ("b/vectors/../../../escaped", b"x", "leads out"), ("/escaped", b"x", "leads out"), ("b/vectors/..\\..\\escaped", b"x", "leads out"),
        ("C:\\escaped", b"x", "leads out"), (link("b/vectors/99.png"), b"/etc/passwd", "link"), (link("b/model.onnx"), b"/etc/passwd", "link"),
        ("b/model.onnx", b"x", "twice"), ("b/vectors/99.png", bytes(30_000_000), "200 times"),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_zip_that_is_no_honest_bundle_is_refused_whole(
    member: Any, content: bytes, why: str, bundle: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "in" / "evil.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("model.onnx", "vectors.json"):
            packed.write(bundle / name, f"b/{name}")
        for file in (bundle / "vectors").iterdir():
            packed.write(file, f"b/vectors/{file.name}")
        packed.writestr("b/predict.py", f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert handful.verify(archive)["ok"], "it is a bundle"
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, of the second model.onnx
        packed.writestr(member, content)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for use in (
        lambda: handful.verify(archive),
        lambda: handful.load(archive),
        lambda: handful.Server([archive], port=0),
    ):
        with pytest.raises(RunError, match=why) as caught:
            use()
        assert caught.value.hint
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before and not Path("/escaped").exists()


# -- programs ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torchscript", "pt2"])
def test_files_that_can_hold_programs_are_opened_only_by_who_wrote_them(
    name: str, photo_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "home"))
    run = Path(shutil.copytree(photo_run.path, tmp_path / "run"))
    file = Path(handful.export(run, [name])["files"][0]["path"])
    assert handful.verify(file)["ok"], "one's own is opened unasked"
    with pytest.raises(RunError, match="can contain programs"):
        handful.load(file)
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "other"))
    with pytest.raises(ExportError, match="can contain programs") as caught:
        handful.verify(file)
    assert "--trust" in caught.value.hint
    said = CliRunner().invoke(app, ["verify", str(file), "--trust"])
    assert said.exit_code == 0 and said.stdout.startswith("OK")
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "home"))
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ExportError, match="can contain programs"):
        handful.verify(file)


def test_a_bundle_s_program_is_not_run_to_verify_it(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    for name in ("predict.py", "decode.py", "onnxruntime.py"):
        (tmp_path / "bundle" / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    command = [sys.executable, "-m", "handful", "verify", "bundle", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["ok"] and not (tmp_path / "ran").exists()


def test_weights_for_a_backbone_are_refused_the_same_way(photos: Path, tmp_path: Path) -> None:
    for name in ("w.safetensors", "w.pth", "w.onnx"):
        (tmp_path / name).write_bytes(pickle.dumps(Canary(tmp_path / "ran")))
        with pytest.raises((WeightsError, UsageError)):
            handful.train(photos, run=tmp_path / "run", model="squeezenet1_1", weights=str(tmp_path / name))
        assert not (tmp_path / "ran").exists() and not (tmp_path / "run").exists()
