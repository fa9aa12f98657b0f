"""The bundle: it predicts without handful, in Python, JavaScript and C++, and class names stay data in all of them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful
from handful.data import media
from handful.exporting import export, vectors
from handful.inference import Predictor
from handful.workflow.predict import predict
from tests.test_export import edited

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = resources.files("handful.exporting") / "templates"
PROGRAMS = ("predict.py", "decode.py", "predict.mjs", "predict.cpp", "Dockerfile", "requirements.txt")
HOSTILE = (
    '"); import os #', "`rm -rf ~` | <b>x</b>", "line\nbreak\u2028{{ 7*7 }}", "%s ${HOME} \\n кот", "'''\"\"\"", "</script><img onerror=x>",
    "\x1b[2J\x07red", "a\tb\rc", "\u202eevil", "$(touch x);&&|", "${7*7}#{7*7}<%= 7 %>", "{% include '/etc/passwd' %}",
)  # fmt: skip


def renamed(run: Any, place: Path, names: tuple[str, str]) -> Path:
    """A bundle of a copy of `run` whose two classes have these names."""

    def rename(proto: Any, metadata: dict[str, Any]) -> None:
        metadata["classes"] = list(names)

    copy = edited(run, place / "run", rename)
    copy.write_json("run.json", run.result | {"classes": list(names)})
    return Path(export(copy, "bundle", place / "out").path)


def shown(name: str) -> str:
    """How predict.py prints a name, by a rule of its own: nothing that is no letter, mark or blank stays as it is."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


# -- class names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", list(zip(HOSTILE[::2], HOSTILE[1::2], strict=True)), ids=range(len(HOSTILE) // 2))
def test_class_names_are_data(photo_run: Any, tmp_path: Path, names: tuple[str, str]) -> None:
    bundle = renamed(photo_run, tmp_path, names)
    for program in PROGRAMS:
        text = (bundle / program).read_text(encoding="utf-8")
        assert not any(name in text for name in names), program
    assert json.loads((bundle / "labels.json").read_text(encoding="utf-8")) == list(names)
    assert json.loads((bundle / "settings.json").read_text(encoding="utf-8"))["classes"] == list(names)
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert not [c for c in card if not c.isprintable() and c != "\n"], "nothing in the card moves a cursor"
    assert not re.search(r"(?<!\\)(<|`|\[)(b>|img|/script|rm)", card) and " 49" not in card, "mark-up is escaped"
    files = [bundle / row["file"] for row in json.loads((bundle / "vectors.json").read_text())]
    done = subprocess.run(
        [sys.executable, "-I", bundle / "predict.py", *files], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.split("\n")[:-1]]
    assert [len(row) for row in rows] == [3] * len(files), "a line a file"
    assert {row[1] for row in rows} == {shown(name) for name in names}
    assert not (bundle / "x").exists() and not Path("x").exists()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
def test_the_cpp_example_reads_hostile_labels(tmp_path: Path) -> None:
    """Its parser and its printing alone, as far as they go without ONNX Runtime's headers."""
    source = (TEMPLATES / "predict.cpp").read_text(encoding="utf-8")
    parser = source[source.index("#include <algorithm>") : source.index("int main")]
    main = (
        "int main(int, char** a) { for (auto& s : strings(read(a[1]))) { std::fwrite(s.data(), 1, s.size() + 1, stdout);"
        " std::printf(\"%s\", plain(s).c_str()); std::fputc('\\0', stdout); } }"
    )
    (tmp_path / "x.cpp").write_text(parser + main, encoding="utf-8")
    build = ["g++", "-std=c++17", "-Wall", "-Werror", str(tmp_path / "x.cpp"), "-o", str(tmp_path / "x")]
    subprocess.run(build, check=True)
    names = [*HOSTILE, "\U0001f408 cat", "", "c1\x9b2J\u00a0\u00e9"]
    for ascii_only in (True, False):
        (tmp_path / "labels.json").write_text(json.dumps(names, ensure_ascii=ascii_only, indent=1), encoding="utf-8")
        done = subprocess.run([tmp_path / "x", tmp_path / "labels.json"], check=True, capture_output=True)
        read, printed = done.stdout.decode().split("\0")[:-1:2], done.stdout.decode().split("\0")[1::2]
        assert read == names
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for line in printed for c in line)
        assert printed[-1] == "c1\\x9b2J\u00a0\u00e9"


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="pipes break otherwise here")
def test_who_reads_may_stop_early(photo_run: Any, tmp_path: Path) -> None:
    handful.export(photo_run.path, ["bundle"], out=tmp_path)
    file = next((tmp_path / "bundle" / "vectors").iterdir())
    command = [sys.executable, "-I", tmp_path / "bundle" / "predict.py", *[file] * 200]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    assert process.stdout.readline().startswith(str(file))
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(30) == -signal.SIGPIPE
    process.stderr.close()


# -- the model card ----------------------------------------------------------------------------------------------------


def test_the_model_card_has_front_matter(photo_run: Any, tmp_path: Path) -> None:
    import yaml

    handful.export(photo_run.path, ["bundle"], out=tmp_path)
    _, front, _ = (tmp_path / "bundle" / "README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(front)
    assert (card["library_name"], card["pipeline_tag"]) == ("handful", "image-classification")
    assert card["license"] == Predictor.load(photo_run.path).metadata["licence"].lower()
    measured = {r["dataset"]["split"]: r["metrics"][0]["value"] for r in card["model-index"][0]["results"]}
    assert measured == {
        "out-of-fold": photo_run.result["score"]["value"], "test": photo_run.result["test"]["value"],
    }  # fmt: skip
    assert "Apache" in (tmp_path / "bundle" / "NOTICE").read_text()


# -- its programs ------------------------------------------------------------------------------------------------------


def decoded(bundle: Path, file: Path, out: Path) -> Path:
    subprocess.run([sys.executable, "-I", bundle / "predict.py", "--decode", file, out], check=True)
    return out


def test_decoded_input_is_what_the_graph_takes(any_run: Any, tmp_path: Path) -> None:
    handful.export(any_run.path, ["bundle"], out=tmp_path)
    file = vectors(Path(any_run.path))[0][0]
    predictor = Predictor.load(any_run.path)
    path = decoded(tmp_path / "bundle", file, tmp_path / "input.bin")
    items = np.fromfile(path, predictor.input[0]).reshape(-1, *predictor.input[1])
    assert np.allclose(predictor.logits(items).mean(axis=0), predictor.file_logits(file), atol=1e-4)


def test_the_program_takes_folders(any_run: Any, tmp_path: Path) -> None:
    handful.export(any_run.path, ["bundle"], out=tmp_path)
    source, suffix = vectors(Path(any_run.path))[0][0], vectors(Path(any_run.path))[0][0].suffix
    folder, deep = tmp_path / "new", tmp_path / "new" / "a b" / "deep.png"
    deep.mkdir(parents=True)
    for name in (f"z{suffix}", f"a{suffix.upper()}", f"a b/deep.png/x{suffix}", f".hidden{suffix}", "notes.txt"):
        shutil.copyfile(source, folder / name)
    alone = Path(shutil.copyfile(source, tmp_path / "no ending"))
    program = [sys.executable, "-I", tmp_path / "bundle" / "predict.py"]
    done = subprocess.run([*program, alone, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    inside = [folder / f"a b/deep.png/x{suffix}", folder / f"a{suffix.upper()}", folder / f"z{suffix}"]
    assert [row[0] for row in rows] == [str(alone), *map(str, inside)]
    expected = list(predict(any_run.path, [alone, folder]))
    assert [(r[0], r[1]) for r in rows] == [(str(e["file"]), e["label"]) for e in expected]
    (tmp_path / "bare").mkdir()
    bare = subprocess.run([*program, tmp_path / "bare", alone], capture_output=True, text=True)
    assert bare.returncode == 1 and "in this folder" in bare.stderr and bare.stdout.startswith(str(alone))


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_the_program_finds_what_handful_finds(modality: str) -> None:
    text = (TEMPLATES / f"predict_{modality}.py").read_text(encoding="utf-8")
    listed = re.search(r'SUFFIXES = frozenset\(\s*"([^"]*)"', text)
    assert listed and set(listed[1].split()) == media.SUFFIXES[modality]


def test_the_program_fits_on_three_screens() -> None:
    for modality in ("image", "audio"):
        lines = (TEMPLATES / f"predict_{modality}.py").read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 150 and max(map(len, lines)) <= 120


@pytest.mark.slow
def test_a_bundle_needs_its_requirements_and_nothing_else(any_run: Any, tmp_path: Path) -> None:
    """An environment with what its requirements.txt names, and what that needs."""
    uv = ROOT / ".venv" / "bin" / "uv"
    found = str(uv) if uv.is_file() else shutil.which("uv")
    if not found:
        pytest.skip("uv is not installed")
    handful.export(any_run.path, ["bundle"], out=tmp_path)
    bundle, place = tmp_path / "bundle", tmp_path / "env"
    subprocess.run([found, "venv", "--quiet", "--python", sys.executable, place], check=True)
    python = place / "bin" / "python"
    installed = subprocess.run(
        [found, "pip", "install", "--quiet", "--python", python, "-c", ROOT / "constraints.txt", "-r", bundle / "requirements.txt"],
        capture_output=True, text=True,
    )  # fmt: skip
    if installed.returncode:
        pytest.skip(f"the requirements cannot be installed here: {installed.stderr.strip().splitlines()[-1:]}")
    code = "from importlib import metadata; print(*sorted(d.name.lower() for d in metadata.distributions()))"
    there = set(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    media = {"image": {"pillow"}, "audio": {"soundfile", "soxr"}}[any_run.result["modality"]]
    assert {"numpy", "onnxruntime", *media} <= there
    assert not there & {"handful", "torch", "scikit-learn", "onnx", *({"pillow", "soundfile", "soxr"} - media)}
    shutil.move(bundle, place / "elsewhere")
    program = [python, "-I", "-B", place / "elsewhere" / "predict.py"]
    files = vectors(Path(any_run.path))[0]
    done = subprocess.run([*program, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = [Predictor.load(any_run.path).predict(file).label for file in files]
    assert [line.split("\t")[1] for line in done.stdout.splitlines()] == expected
    done = subprocess.run([*program, "--verify"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("OK\n"), done.stdout + done.stderr
    done = subprocess.run([*program, place / "elsewhere" / "NOTICE", files[0]], capture_output=True, text=True)
    assert done.returncode == 1 and "NOTICE: " in done.stderr and "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 1, "the other file is predicted"


def answers(output: str) -> list[tuple[str, float]]:
    rows = [line.split("\t") for line in output.split("\n")[:-1]]
    return [(row[1], float(row[2])) for row in rows]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_the_javascript_example_says_the_same(any_run: Any, tmp_path: Path) -> None:
    """By the ONNX Runtime that the pages are built with: the same interface as onnxruntime-node, which is 200 MB."""
    runtime = ROOT / "frontend" / "node_modules" / "onnxruntime-web"
    if not (runtime / "package.json").is_file():
        pytest.skip("onnxruntime-web is not installed (make pages)")
    names = HOSTILE[6], HOSTILE[2]
    bundle = renamed(any_run, tmp_path, names)
    node = bundle / "node_modules" / "onnxruntime-node"
    node.mkdir(parents=True)
    (node / "package.json").write_text('{"name": "onnxruntime-node", "type": "module", "exports": "./index.js"}')
    (node / "index.js").write_text(f"export * from {json.dumps((runtime / 'dist' / 'ort.node.min.mjs').as_uri())};")
    files = vectors(Path(any_run.path))[0]
    inputs = [decoded(bundle, file, tmp_path / f"{i}.bin") for i, file in enumerate(files)]
    done = subprocess.run(
        ["node", bundle / "predict.mjs", *inputs], capture_output=True, text=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    expected = [Predictor.load(bundle).predict(file) for file in files]
    found = answers(done.stdout)
    assert not [c for c in done.stdout if not c.isprintable() and c not in "\n\t"]
    labels = {name: "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in name) for name in names}
    assert [label for label, _ in found] == [labels[one.label] for one in expected]
    assert np.allclose([p for _, p in found], [one.confidence for one in expected], atol=1e-3)


def onnxruntime_of_cpp(place: Path) -> tuple[Path, Path] | None:
    """(folder of ONNX Runtime's C++ headers, folder to link with), where a developer has the headers.

    The library is Python's. It lies there without the names by which a linker and a program look for it, so that `place`
    gets links of these names.
    """
    import onnxruntime

    places = [os.environ.get("ONNXRUNTIME_INCLUDE", ""), "/usr/include/onnxruntime", "/usr/local/include/onnxruntime"]
    headers = [Path(folder) for folder in places if folder and (Path(folder) / "onnxruntime_cxx_api.h").is_file()]
    libraries = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not headers or not libraries:
        return None
    place.mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (place / name).symlink_to(libraries[0])
    return headers[0], place


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
def test_the_cpp_example_says_the_same(any_run: Any, tmp_path: Path) -> None:
    """Built by the command in its heading."""
    found = onnxruntime_of_cpp(tmp_path / "lib")
    if found is None:
        pytest.skip(
            "needs ONNX Runtime's C++ headers: libonnxruntime-dev of Debian 13, or include/ of the release archive with "
            "ONNXRUNTIME_INCLUDE naming it"
        )
    (tmp_path / "include").symlink_to(found[0])
    bundle = renamed(any_run, tmp_path, (HOSTILE[6], HOSTILE[2]))
    heading = (bundle / "predict.cpp").read_text(encoding="utf-8")
    command = re.search(r"^//     (g\+\+ .*)$", heading, re.MULTILINE)
    assert command
    subprocess.run(shlex.split(command[1].replace("$ORT", shlex.quote(str(tmp_path)))), check=True, cwd=bundle)
    files = vectors(Path(any_run.path))[0]
    inputs = [decoded(bundle, file, tmp_path / f"{i}.bin") for i, file in enumerate(files)]
    done = subprocess.run(
        [bundle / "predict", "model.onnx", "labels.json", *inputs], capture_output=True, text=True, encoding="utf-8", cwd=bundle
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = [Predictor.load(bundle).predict(file) for file in files]
    said = answers(done.stdout)
    labels = {
        name: re.sub(r"[\x00-\x1f\x7f]", lambda c: f"\\x{ord(c[0]):02x}", name) for name in (HOSTILE[6], HOSTILE[2])
    }
    assert [label for label, _ in said] == [labels[one.label] for one in expected]
    assert len({label for label, _ in said}) == 2
    assert np.allclose([p for _, p in said], [one.confidence for one in expected], rtol=0, atol=1e-4)
    (tmp_path / "cut.bin").write_bytes(inputs[0].read_bytes()[:-1])
    program = [bundle / "predict", "model.onnx", "labels.json", tmp_path / "cut.bin"]
    done = subprocess.run(program, capture_output=True, text=True, cwd=bundle)
    assert done.returncode == 1 and "wrong size" in done.stderr
