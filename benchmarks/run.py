"""Measures handful against what one would do otherwise, side by side in one run: make bench.

Every comparison alternates the two sides and reports the median of their ratios; whole commands are timed from process
start. Results go to benchmarks/RESULTS.md. Knows only the command line and a few public parts; needs the real data sets
(HANDFUL_TEST_DATA) and torch, and says which comparison it leaves out and why.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("HANDFUL_TEST_DATA", HERE.parents[1] / "shared" / "data"))
WEIGHTS = DATA / "weights" / "squeezenet1_0_imagenet.safetensors"
PAGES = HERE.parent / "src" / "handful" / "web" / "static" / "index.html"
PYTHON = sys.executable

BY_HAND = "## Tests that take long"  # the part of RESULTS.md that is written by hand and kept


class Timed:
    """A finished command: wall and processor seconds, largest memory, output."""

    def __init__(self, *command: object, home: Path | None = None) -> None:
        environment = {**os.environ, "HANDFUL_OFFLINE": "1", **({"HANDFUL_HOME": str(home)} if home else {})}
        environment.pop(
            "PYTHONDONTWRITEBYTECODE", None
        )  # as users have it: modules are compiled once, not in each process
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=environment, check=False)
        self.wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr[-2000:]}")
        self.output = done.stdout

    @property
    def json(self) -> Any:
        return json.loads(self.output)


def handful(*arguments: object, home: Path) -> Timed:
    return Timed(PYTHON, "-m", "handful", *arguments, home=home)


def train(home: Path, run: Path, *more: object) -> Timed:
    shutil.rmtree(run, ignore_errors=True)
    cats = DATA / "catsdogs"
    return handful(
        "train",
        cats / "train",
        "--model",
        "squeezenet1_0",
        "--weights",
        WEIGHTS,
        "--run",
        run,
        "-q",
        "--json",
        *more,
        home=home,
    )


def ratios(a: list[float], b: list[float]) -> str:
    each = [x / y for x, y in zip(a, b, strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def against_the_textbook(place: Path, rounds: int) -> list[str]:
    """100 photos to a trained, cross-validated, reported model, from process start; textbook: trained and validated once."""
    cats = DATA / "catsdogs"
    cold, graph, textbook = [], [], []
    for number in range(rounds):
        home = place / f"home{number}"
        textbook.append(Timed(PYTHON, HERE / "textbook.py", cats / "train", WEIGHTS).wall)
        cold.append(train(home, place / "run").wall)
        shutil.rmtree(home / "cache" / "embeddings")  # the graph stays, every picture is embedded again
        (home / "cache" / "facts.sqlite").unlink()
        graph.append(train(home, place / "run").wall)
    theirs = Timed(PYTHON, HERE / "textbook.py", cats / "train", WEIGHTS, cats / "test").json["test"]
    ours = handful("evaluate", place / "run", cats / "test", "--json", home=place / "home0").json["score"]["value"]
    medians = ", ".join(f"{statistics.median(v):.1f}" for v in (textbook, cold, graph))
    return [
        f"| textbook recipe / handful, nothing cached | {ratios(textbook, cold)} | at least 5 |",
        f"| textbook recipe / handful, graph at hand, nothing embedded | {ratios(textbook, graph)} | at least 12 |",
        f"| accuracy on catsdogs/test: handful, textbook | {ours:.3f}, {theirs:.3f} | equal or better |",
        f"| seconds: textbook, handful cold, handful with graph (medians) | {medians} | |",
    ]


def second_run(place: Path, rounds: int) -> list[str]:
    """The same data again: whole command, report included, against importing what such a command needs."""
    home = place / "home-second"
    train(home, place / "run")
    ours, imports = [], []
    for _ in range(rounds):
        ours.append(train(home, place / "run").wall)
        imports.append(Timed(PYTHON, "-c", "import numpy, sklearn.linear_model, onnxruntime, PIL").wall)
    return [
        f"| second run / importing numpy, scikit-learn, onnxruntime, Pillow | {ratios(ours, imports)} | at most 2.5 |"
    ]


def start_up(place: Path, rounds: int) -> list[str]:
    rows = []
    for words in (["--help"], ["models"]):
        ours, torch = [], []
        for _ in range(rounds):
            ours.append(handful(*words, home=place / "home-help").cpu)
            torch.append(Timed(PYTHON, "-c", "import torch").cpu)
        rows.append(f"| `handful {words[0]}` / `import torch`, processor time | {ratios(ours, torch)} | below 0.25 |")
    return rows


def embedding_speed(place: Path, rounds: int) -> list[str]:
    """The embedding stage against a bare ONNX Runtime loop over arrays that are decoded already."""
    code = f"""
import json, os, time
os.environ["HANDFUL_HOME"] = {str(place / "home-embed")!r}
import numpy as np
from handful.data import load_data
from handful.features import frontends
from handful.models import find
from handful.models._weights import resolve
from handful.training.embedding import Clock, Embedder
from handful.training.reading import Reader
from handful.files import cache_dir
data = load_data({str(DATA / "catsdogs" / "test")!r})
model = find("squeezenet1_0")
weights, _ = resolve(model, {str(WEIGHTS)!r})
frontend = frontends.get("image").suited([], {{}})
items = np.concatenate([frontend.read(s.path)[0] for s in data.samples])
shares = []
for _ in range({rounds}):
    for file in (cache_dir() / "embeddings").glob("*"): file.unlink()
    clock = Clock()
    embedder = Embedder(Reader(frontend), model, weights, clock=clock)
    session = embedder._session
    embedder.run(items[:16])
    start = time.perf_counter()
    for i in range(0, len(items), 16): session.run(["embedding"], {{"input": items[i:i + 16]}})
    bare = time.perf_counter() - start
    embedder.embed(data.samples)
    shares.append(bare / clock.seconds["embed"])
print(json.dumps(shares))
"""
    shares = Timed(PYTHON, "-c", code).json
    return [
        f"| bare ONNX Runtime loop / embedding stage, 200 photos | {statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f}) | at least 0.9 |"
    ]


_MEMORY = """
import json, os, resource, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from handful.data import load_data
from handful.features.image import ImageFrontend
from handful.models import find
from handful.models._weights import resolve
from handful.training.reading import Reader
from handful.training.strategies import Job
from handful.training.probe import Probe
from handful.config import Recipe
from handful.data.splits import plan
folder, weights_path, whole = sys.argv[1], sys.argv[2], sys.argv[3] == "whole"
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
data = load_data(folder)
model = replace(find("squeezenet1_0"), input_size=64)
weights, _ = resolve(model, weights_path)
probe = Probe(Job(Recipe(data=folder), Reader(ImageFrontend(size=64)), model, weights))
samples, _ = probe.load(data.samples)
if whole:
    labels = np.array([data.classes.index(s.label) for s in samples])
    groups = np.arange(len(labels))
    probe.evaluate(labels, groups, 2, plan(labels, groups, False, [""] * len(labels), seed=0, folds=5, repeats=1))
print(json.dumps({"peak": peak(), "matrix": probe.embedded.x.nbytes}))
"""


def memory(place: Path, rounds: int) -> list[str]:
    """Growth of the largest memory from 1,000 to 20,000 small photos (64 pixels: memory does not depend on their size)."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    peaks: dict[str, dict[int, Any]] = {"embed": {}, "whole": {}}
    for count in (1_000, 20_000):
        folder = place / f"photos{count}"
        for label in ("a", "b"):
            (folder / label).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((64, 64)).save(folder / "ab"[i % 2] / f"{i:05d}.png")
        for stage in ("embed", "whole"):
            peaks[stage][count] = Timed(PYTHON, "-c", _MEMORY, folder, WEIGHTS, stage, home=place / "home-memory").json
    matrix = (peaks["whole"][20_000]["matrix"] - peaks["whole"][1_000]["matrix"]) / 1e6
    embed, whole = ((peaks[s][20_000]["peak"] - peaks[s][1_000]["peak"]) / 1e6 for s in ("embed", "whole"))
    return [
        f"| memory from 1,000 to 20,000 samples: embedding stage | {embed:.0f} MB | at most 50 MB |",
        f"| ... whole probe, by growth of the feature matrix ({matrix:.0f} MB) | {whole / matrix:.2f} | at most 1.5 |",
    ]


# What to train, its options, the held-out data (or None: cross-validated).
TASKS: tuple[tuple[str, str, list[str], str | None], ...] = (
    ("cats and dogs, SqueezeNet weights", "catsdogs/train", ["--model", "squeezenet1_0", "--weights", str(WEIGHTS)], "catsdogs/test"),
    ("five faces, SqueezeNet weights", "faces2/train", ["--model", "squeezenet1_0", "--weights", str(WEIGHTS)], "faces2/test"),
    ("ESC-10, nothing pretrained", "esc10", ["--pattern", "{fold}-{group}-{}"], None),
    ("ESC-10, SqueezeNet weights", "esc10", ["--pattern", "{fold}-{group}-{}", "--model", "squeezenet1_0", "--weights", str(WEIGHTS)], None),
    ("spoken digits, nothing pretrained", "fsdd/recordings", ["--pattern", "{label}_{group}_{}"], None),
    ("yes and no, nothing pretrained", "yesno", ["--pattern", "{group}_{}"], None),
)  # fmt: skip


def accuracy(place: Path, rounds: int) -> list[str]:
    """What `handful train` reaches on real data: out-of-fold, and on held-out data where there is some."""
    rows = []
    for number, (name, data, options, test) in enumerate(TASKS):
        more = ["--test", DATA / test] if test else []
        home = place / "home-accuracy"
        done = handful("train", DATA / data, *options, *more, "--run", place / str(number), "-q", "--json", home=home)
        s, held = done.json["score"], done.json.get("test")
        found = f"{s['value']:.3f} ({s['low']:.3f} to {s['high']:.3f}), {s['method']}"
        rows.append(
            f"| accuracy: {name} | {found}"
            + (f"; test {held['value']:.3f} of {held['n']}" if held else "")
            + f"; {done.wall:.0f} s | |"
        )
    return rows


def race(place: Path, rounds: int) -> list[str]:
    """How soon the frozen methods of a race on 100 photos are ranked; the rest of the budget goes to networks that train."""
    command = [
        PYTHON, "-m", "handful", "compare", DATA / "catsdogs" / "train", "--models", "squeezenet1_0,small_cnn", "--weights", WEIGHTS,
        "--strategies", "prototype,probe,probe:mlp,finetune:2,finetune,scratch", "--budget", "120s", "--run", place / "race",
    ]  # fmt: skip
    environment = {**os.environ, "HANDFUL_OFFLINE": "1", "HANDFUL_HOME": str(place / "home")}
    start, ranked = time.perf_counter(), {}
    with subprocess.Popen(
        [str(c) for c in command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
    ) as run:
        for line in run.stderr or ():
            if line.startswith(("prototype", "probe")):
                ranked[line.split(" on ")[0]] = time.perf_counter() - start
    board = json.loads((place / "race" / "leaderboard.json").read_text(encoding="utf-8"))
    done = ", ".join(f"{row['name']} {row['score']['value']:.3f}" for row in board["rows"])
    left = ", ".join(row["name"] for row in board["unfinished"])
    return [
        f"| race on 100 photos, budget 120 s: frozen methods ranked after | {max(ranked.values()):.1f} s; ranked: {done}; not finished: {left or 'none'} | 15 s |"
    ]


def fine_tuning(place: Path, rounds: int) -> list[str]:
    """Training by gradient against plain loops: see engine.py."""
    found = Timed(PYTHON, HERE / "engine.py").json
    step, rows = found["conv1d_step_ms"], []
    for name, goal in (("squeezenet1_0", ""), ("efficientnet_b0", "at least 1.5")):
        ours, theirs, last = (found[name][kind] for kind in ("handful", "torchvision", "last_3"))
        rows.append(
            f"| fine-tuning {name}, pictures a processor second: handful / plain loop of torchvision's recipe | {ratios(ours, theirs)}; "
            f"its last three blocks {ratios(last, theirs)} | {goal} |"
        )
    spent = f"{step['ratio']:.2f} ({step['handful']:.2f} / {step['bare']:.2f} ms)"
    return [*rows, f"| a training step of the Conv1d network: handful / a bare loop | {spent} | at most 1.1 |"]


def installation(place: Path, rounds: int) -> list[str]:
    """Size of fresh environments with the locked versions, without pip."""
    rows = []
    for extra, goal in (("", "below 200 MB"), ("[learn]", "")):
        venv = place / f"venv{len(rows)}"
        uv = [PYTHON, "-m", "uv"]
        Timed(*uv, "venv", "--quiet", "--python", PYTHON, venv)
        Timed(
            *uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            venv / "bin" / "python",
            "--constraint",
            HERE.parent / "constraints.txt",
            f"{HERE.parent}{extra}",
        )
        size = sum(f.stat().st_size for f in venv.rglob("*") if f.is_file() and not f.is_symlink())
        rows.append(f"| installed: handful{extra} | {size / 1e6:.0f} MB | {goal} |")
    return rows


def trusted(place: Path, rounds: int) -> list[str]:
    """Promises about figures, on simulated and real data: see coverage.py and trust.py."""
    found = []
    for command in ((HERE / "coverage.py", "--rows"), (HERE / "trust.py",)):
        found += [
            line for line in Timed(PYTHON, *command, home=place / "home").output.splitlines() if line.startswith("| ")
        ]
    return found


def exports(place: Path, rounds: int) -> list[str]:
    """8 bits, the whole graph, the filter bank: see exports.py; a page in a real browser, by its tests."""
    rows = Timed(PYTHON, HERE / "exports.py").output.splitlines()[2:]
    test = HERE.parent / "tests" / "browser" / "test_page.py"
    said = Timed(PYTHON, "-m", "pytest", test, "-k", "twenty", "-q", "-s", "-rs", "-p", "no:cacheprovider").output
    for name, found in re.findall(r"^\.?(.+): largest difference (.+)$", said, re.MULTILINE):
        rows.append(
            f"| page in Chromium against Python, 20 files, {name} | same labels, {found} at most | same labels |"
        )
    rows += [f"| page in Chromium against Python | not measured: {why} | same labels |" for why in re.findall(r"^SKIPPED .*?: (.+)$", said, re.MULTILINE)]  # fmt: skip
    return rows


def serving(place: Path, rounds: int) -> list[str]:
    """Answers over a socket against the bare engine, see serving.py."""
    train(place / "home", place / "run")
    files = DATA / "catsdogs" / "test"
    command = (PYTHON, HERE / "serving.py", place / "run", files, "--rounds", rounds, "--rows")
    return Timed(*command, home=place / "home").output.splitlines()


def studio(place: Path, rounds: int) -> list[str]:
    """The studio's pages in a real browser, see studio.py."""
    found = Timed(PYTHON, HERE / "studio.py").json
    idle, training = (found["interactive_ms"][when] for when in ("idle", "training"))
    pages = [name for name in idle if name != "floor"]

    def each(times: dict[str, float]) -> str:
        return ", ".join(f"{times[name]:.0f}" for name in pages) + f" ms; the browser alone {times['floor']:.0f} ms"

    large, answers = found["large"], found["answers_ms"]
    return [
        f"| studio: first visit until interactive, idle ({', '.join(pages)}) | {each(idle)} | at most 1000 ms |",
        f"| ... while training uses all cores | {each(training)} | at most 2000 ms |",
        f"| studio: answers, 95th percentile, idle; while training | {answers['idle']:.0f}; {answers['training']:.0f} ms | at most 200 ms |",
        f"| studio: first visit, compressed | {found['first_load_bytes'] / 1000:.0f} kB | at most 400 kB |",
        f"| studio: 10,000 pictures open; the grid of all of them | {large['opened_ms']:.0f}; {large['grid_ms']:.0f} ms | at most 1500 ms |",
        f"| ... tiles blank 150 ms after turns of 1,500 px; tiles that show only their glimpse | {large['blank_share']:.1%}; {large['glimpse_share']:.1%} | none blank |",
        f"| ... from the last turn until every tile shows its picture | {large['complete_ms']:.0f} ms | |",
        f"| studio: memory of the server without jobs | {found['server_mb']:.0f} MB | below 200 MB |",
    ]


PARTS: dict[str, Callable[[Path, int], list[str]]] = {
    "start_up": start_up, "second_run": second_run, "embedding_speed": embedding_speed, "textbook": against_the_textbook, "accuracy": accuracy, "memory": memory,
    "race": race, "fine_tuning": fine_tuning, "trusted": trusted, "exports": exports, "serving": serving, "studio": studio, "installation": installation,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lines = [
        "# Results", "", "Made by `make bench` (`python benchmarks/run.py`). Ratios are medians with extremes over alternating rounds in one run.", "",
        f"{date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {options.rounds} rounds.", "",
        "| what | measured | goal |", "| --- | --- | --- |",
    ]  # fmt: skip
    for name in options.parts:
        if not WEIGHTS.is_file() and name not in ("start_up", "fine_tuning", "studio", "installation"):
            print(f"left out {name}: no real data at {DATA} (HANDFUL_TEST_DATA names its folder)", file=sys.stderr)
            continue
        if name == "studio" and not PAGES.is_file():
            print("left out studio: its pages are not built (make pages)", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory(prefix="handful-bench-") as place:
            print(f"measuring {name}", file=sys.stderr, flush=True)
            found = PARTS[name](Path(place), options.rounds)
        print("\n".join(found), flush=True)
        lines += found
    if set(options.parts) == set(PARTS):
        path = HERE / "RESULTS.md"
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        below = before[before.index(BY_HAND) :] if BY_HAND in before else ""
        path.write_text("\n".join([*lines, "", below]).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
