"""handful beside real peers, each in an environment of its own: make bench-peers -> benchmarks/PEERS.md.

    python benchmarks/peers.py [--seeds 3] [--kept FOLDER]

fastai's `fine_tune(5)` and `handful train --model auto` get the same training photos, the same SqueezeNet 1.0 weights and one
thread, in turn, handful with nothing cached; both answer the same test photos. Processor seconds run from process start to
the trained model: for handful that holds the cross-validation, the report and the proof as well. fastai is measured with its
batches of 64, of which these small sets give one an epoch, and with batches of 16; handful also without augmented views, which
`auto` embeds where plain features do not suffice. `--kept` names a folder where the
outcome of each training is kept, and found again by a later call. The environments, some 6 GB, lie in $PEERS or the
user's cache folder; TORCH_INDEX_URL names another source of torch, for instance one without CUDA, which is smaller.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

sys.path.insert(0, str(Path(__file__).parent))

from run import DATA, HERE, WEIGHTS, Timed  # noqa: E402

from handful.metrics.intervals import wilson
from handful.metrics.paired import difference, mcnemar

PLACE = Path(os.environ.get("PEERS") or platformdirs.user_cache_dir("handful-peers"))
INSTALL_SECONDS = 1800
SETS = {"catsdogs": "cats and dogs", "faces2": "five faces"}
SIDES = {
    "handful": "`handful train --model auto`",
    "handful-plain": "`handful train --model auto --views 0`",
    "fastai-64": "fastai `fine_tune(5)`",
    "fastai-16": "fastai `fine_tune(5)`, batches of 16",
}
HEAD = "| data | what | processor seconds, start to trained | accuracy on the test part, each seed (95 %) |\n| --- | --- | --- | --- |"


def environment() -> Path:
    """The Python of fastai's environment, made where it is missing or has other versions; ends the program if it cannot be."""
    pins = [
        line.strip()
        for line in (HERE.parent / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line.startswith(("torch==", "torchvision=="))
    ]
    index = os.environ.get("TORCH_INDEX_URL")
    folder = PLACE / "fastai"
    stamp, python = folder / ".installed", folder / "bin" / "python"
    asked = "\n".join([*pins, index or ""])
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == asked:
        return python
    print(f"installing fastai and torch into {folder}", file=sys.stderr, flush=True)
    uv = [sys.executable, "-m", "uv"]
    into = [*uv, "pip", "install", "--quiet", "--python", python]
    commands: list[list[Any]] = [[*uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder]]
    if index:
        commands.append([*into, "--no-deps", "--default-index", index, *pins])
    commands.append([*into, *pins, "fastai", "safetensors"])
    for command in commands:
        try:
            subprocess.run(
                [str(word) for word in command], check=True, stderr=subprocess.PIPE, text=True, timeout=INSTALL_SECONDS
            )
        except subprocess.TimeoutExpired:
            sys.exit(f"fastai was not installed within {INSTALL_SECONDS} s\ntry again: what was fetched is cached")
        except subprocess.CalledProcessError as error:
            reason = " ".join(error.stderr.split()) or "uv said nothing"
            sys.exit(f"fastai could not be installed into {folder}: {reason}\nwith access to PyPI: make bench-peers")
    stamp.write_text(asked, encoding="utf-8")
    return python


def version(python: Path) -> str:
    code = "import fastai, torch; print(f'fastai {fastai.__version__}, torch {torch.__version__}')"
    return Timed(python, "-I", "-c", code).output.strip()


def ours(name: str, seed: int, *more: object) -> dict[str, Any]:
    """One training by handful, from nothing; then its answers."""
    with tempfile.TemporaryDirectory(prefix="handful-peers-") as place:
        home, run = Path(place) / "home", Path(place) / "run"
        handful = [sys.executable, "-m", "handful"]
        options = ["--model", "auto", "--weights", WEIGHTS, "--threads", 1, "--seed", seed, "--run", run, "--quiet"]
        trained = Timed(*handful, "train", DATA / name / "train", *options, *more, home=home)
        files = sorted(p for p in (DATA / name / "test").rglob("*") if p.is_file())
        lines = Timed(*handful, "predict", run, *files, "--json", home=home).output.splitlines()
    found = [json.loads(line)["label"] for line in lines]
    answers = {"/".join(file.parts[-2:]): label for file, label in zip(files, found, strict=True)}
    return {"cpu_seconds": trained.cpu, "answers": answers}


def theirs(python: Path, name: str, seed: int, batch: int) -> dict[str, Any]:
    parts = DATA / name / "train", DATA / name / "test"
    found: dict[str, Any] = Timed(
        python, "-I", HERE / "peers" / "fastai_fine_tune.py", *parts, WEIGHTS, seed, batch
    ).json
    return found


def trained(kept: Path, python: Path, side: str, name: str, seed: int) -> dict[str, Any]:
    path = kept / f"{name}-{side}-{seed}.json"
    if not path.is_file():
        print(f"training {name}, {side}, seed {seed}", file=sys.stderr, flush=True)
        own, _, kind = side.partition("-")
        plain = ("--views", 0) if kind == "plain" else ()
        one = ours(name, seed, *plain) if own == "handful" else theirs(python, name, seed, int(kind))
        path.write_text(json.dumps(one), encoding="utf-8")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def hits(one: dict[str, Any]) -> np.ndarray:
    return np.array([file.split("/")[0] == label for file, label in sorted(one["answers"].items())])


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def beside(ours: list[dict[str, Any]], peer: list[dict[str, Any]]) -> str:
    """Cells: how many times the seconds, its process and its call of `fine_tune` alone; difference in accuracy; p of each seed."""
    a, b = [hits(run) for run in ours], [hits(run) for run in peer]
    gap = difference(np.concatenate(a), np.concatenate(b), np.tile(np.arange(len(a[0])), len(a)))
    p = ", ".join(f"{mcnemar(x, y):.2g}" for x, y in zip(a, b, strict=True))
    times = [
        spread([y[key] / x["cpu_seconds"] for x, y in zip(ours, peer, strict=True)])
        for key in ("cpu_seconds", "fine_tune_cpu_seconds")
    ]
    return f"{times[0]} | {times[1]} | {gap['value']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f}) | {p}"


def tables(found: dict[str, dict[str, list[dict[str, Any]]]]) -> list[str]:
    """Costs and accuracies of each side; then handful against each peer, seed by seed and over all."""
    rows, against = HEAD.splitlines(), []
    for name, sides in found.items():
        for side, runs in sides.items():
            each = "; ".join(
                "{:.3f} ({:.3f} to {:.3f})".format(h.mean(), *wilson(h.sum(), len(h))) for h in map(hits, runs)
            )
            rows.append(f"| {SETS[name]} | {SIDES[side]} | {spread([run['cpu_seconds'] for run in runs])} | {each} |")
        ours = {side: runs for side, runs in sides.items() if side.startswith("handful")}
        for side, runs in sides.items():
            if side not in ours:
                against += [
                    f"| {SETS[name]} | {SIDES[own]} | {SIDES[side]} | {beside(mine, runs)} |"
                    for own, mine in ours.items()
                ]
    return [
        *rows, "", "How many times as many processor seconds the peer takes: its whole process, and its call of `fine_tune` alone, each against the whole",
        "command of handful; medians and extremes over seeds. Handful's accuracy minus the peer's over all seeds, by a bootstrap over photos, and",
        "McNemar's p of each seed. The goal for `auto`: at least 10 times, and not less accurate.", "",
        "| data | handful | peer | times the processor seconds | ... of `fine_tune` alone | difference in accuracy (95 %) | p |",
        "| --- | --- | --- | --- | --- | --- | --- |", *against,
    ]  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--data", nargs="*", choices=list(SETS), default=list(SETS))
    options.add_argument("--sides", nargs="*", choices=list(SIDES), default=list(SIDES))
    options.add_argument("--kept", type=Path, help="outcomes of trainings, found again by a later call")
    asked = options.parse_args()
    if not WEIGHTS.is_file():
        sys.exit(f"no real data at {DATA}\nHANDFUL_TEST_DATA names the folder with catsdogs, faces2 and weights")
    os.environ["OMP_NUM_THREADS"] = "1"
    python = environment()
    sides = [side for side in SIDES if side in ("handful", *asked.sides)]
    found: dict[str, dict[str, list[dict[str, Any]]]] = {name: {side: [] for side in sides} for name in asked.data}
    with tempfile.TemporaryDirectory(prefix="handful-peers-") as place:
        kept = asked.kept or Path(place)
        kept.mkdir(parents=True, exist_ok=True)
        for seed in range(asked.seeds):
            for side in sides:
                for name in asked.data:
                    found[name][side].append(trained(kept, python, side, name, seed))
    words = [
        "# Beside peers", "",
        f"Made by `make bench-peers` (`python benchmarks/peers.py`), {date.today()}, {platform.machine()}, {version(python)}, one thread each, seeds 0 to {asked.seeds - 1}.",
        "SqueezeNet 1.0 with the same ImageNet weights, all training photos, the same test photos.", "", *tables(found),
    ]  # fmt: skip
    print("\n".join(words))
    (HERE / "PEERS.md").write_text("\n".join(words) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
