"""The studies that presets repeat, on real data: python benchmarks/studies.py [--only NAME ...] [--kept FOLDER] [--no-run] -> benchmarks/STUDIES.md.

`groups` and `mels`: a tiny Conv1d network on `yes` and `no` with 1 to 16 groups, and with 20 to 80 mel bands, speakers kept apart,
three seeds; `plain`: its first row without augmentation. `digits`: six networks on spoken digits, speakers kept apart. `ghost`: what
ghost modules cost EfficientNetV2-S, both from scratch on the same small budget. `finetuning`: benchmarks/finetuning.py. Hours on two cores: every command keeps its output in the folder, is not run again, and what is missing is
left out of the tables and named.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Any

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("HANDFUL_TEST_DATA", HERE.parents[1] / "shared" / "data"))
DIGITS = [DATA / "fsdd" / "recordings", "--pattern", "{label}_{group}_{}", "--json", "--quiet"]
YESNO = [DATA / "yesno", "--pattern", "{group}_{}", "--json", "--quiet"]
ONE = ["--model", "conv1d_mel", "--strategy", "scratch", "--n-mels", 80, "--sample-rate-hz", 16_000]
ONE += ["--epochs", 20, "--batch-size", 32, "--no-augment"]
SEEDS = (0, 1, 2)
GHOST = ["--models", "efficientnet_v2_s,ghost_efficientnet_v2_s", "--strategies", "scratch", "--input-size", 64]
GHOST += ["--per-class", 40, "--epochs", 12, "--batch-size", 16]


def commands(kept: Path) -> dict[str, list[list[Any]]]:
    """Of each study; one for each seed."""
    handful = [sys.executable, "-m", "handful"]
    runs = kept / "runs"
    return {
        "groups": [[*handful, "compare", *YESNO, "--preset", "conv1d-groups", "--seed", seed] for seed in SEEDS],
        "mels": [[*handful, "compare", *YESNO, "--preset", "conv1d-mels", "--seed", seed] for seed in SEEDS],
        "plain": [[*handful, "train", *YESNO, *ONE, "--seed", s, "--run", runs / f"plain-{s}"] for s in SEEDS],
        "digits": [[*handful, "compare", *DIGITS, "--preset", "digits", "--seed", 0]],
        "ghost": [[*handful, "compare", *DIGITS, *GHOST, "--seed", 0]],
        "finetuning": [[sys.executable, HERE / "finetuning.py"]],
    }


def output(kept: Path, name: str, number: int, command: list[Any], run: bool) -> str | None:
    """What a command printed, now or earlier; None when it fails, or is not to be run."""
    path = kept / f"{name}-{number}.json"
    if not path.is_file():
        if not run:
            return None
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            return None
        path.write_text(done.stdout, encoding="utf-8")
    return path.read_text(encoding="utf-8")


def race(found: list[str]) -> list[str]:
    """A table of a race over seeds."""
    rows: dict[str, list[dict[str, Any]]] = {}
    boards = [json.loads(text) for text in found]
    for row in (row for board in boards for row in board["rows"]):
        rows.setdefault(row["name"].removeprefix("scratch on "), []).append(row)
    lines = [
        "| network | parameters | MACs | an epoch | one sample | size | accuracy, mean over seeds | each seed (95 % interval) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, seeds in sorted(rows.items(), key=lambda item: -item[1][0]["parameters"]):
        scores = [row["score"] for row in seeds]
        each = "; ".join(f"{s['value']:.3f} ({s['low']:.3f} to {s['high']:.3f})" for s in scores)
        first = seeds[0]
        # Other work on the machine makes epochs longer, nothing makes them shorter.
        epoch = min((row["epoch_seconds"] for row in seeds if row.get("epoch_seconds")), default=None)
        lines.append(
            f"| {name} | {first['parameters']:,} | {first['macs']:,} | {'–' if epoch is None else f'{epoch:.2f} s'} | {first['latency_ms']:.1f} ms "
            f"| {first['bytes'] / 1e6:.1f} MB | {mean(s['value'] for s in scores):.3f} | {each} |"
        )
    left = [f"{row['model']}: {row['why']}" for board in boards for row in board["unfinished"]]
    return [*lines, "", *(f"Not ranked: {one}." for one in left)] if left else lines


def ghost(found: list[str]) -> list[str]:
    """The race, and how far the second was behind the first on the same samples."""
    worse = json.loads(found[0])["rows"][-1]
    gap = [f"{100 * worse['difference'][key]:+.1f}" for key in ("value", "low", "high")]
    return [*race(found), "", f"{worse['model']} against the other: {gap[0]} points (95 %: {gap[1]} to {gap[2]})."]


def plain(found: list[str]) -> list[str]:
    scores = [json.loads(text)["score"] for text in found]
    each = "; ".join(f"{s['value']:.3f} ({s['low']:.3f} to {s['high']:.3f})" for s in scores)
    return [f"Mean over {len(scores)} seeds {mean(s['value'] for s in scores):.3f}: {each}."]


def finetuning(found: list[str]) -> list[str]:
    lines = [
        "| data | photos a class | draws | probe | all blocks fine-tuned | difference (95 %) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in map(json.loads, found[0].splitlines()):
        lines.append(
            f"| {row['data']} | {row['per_class']} | {row['draws']} | {row['probe']:.3f} | {row['finetune']:.3f} "
            f"| {row['gain']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}) |"
        )
    return lines


STUDIES = {
    "groups": ("Conv1d on yes and no, 1 to 16 groups (`--preset conv1d-groups`), with augmentation", race),
    "plain": ("The first of them without augmentation", plain),
    "mels": ("The same network on 20, 40 and 80 mel bands (`--preset conv1d-mels`), with augmentation", race),
    "digits": ("Six networks on spoken digits, each speaker tested by networks that never heard them (`--preset digits`)", race),
    "ghost": ("EfficientNetV2-S and its ghost modules from scratch, spoken digits at 64 pixels, 40 of each and 12 epochs", ghost),
    "finetuning": ("Full fine-tuning against a probe, SqueezeNet 1.0 with ImageNet weights, test parts", finetuning),
}  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", nargs="*", default=list(STUDIES))
    options.add_argument("--kept", type=Path, default=Path("studies"), help="outputs of the commands")
    options.add_argument("--no-run", action="store_true", help="tables of the outputs that are there")
    asked = options.parse_args()
    asked.kept.mkdir(parents=True, exist_ok=True)
    words = [
        "# Studies",
        "",
        f"Made by `python benchmarks/studies.py`, {date.today()}, {platform.machine()}, {os.cpu_count()} cores.",
    ]
    for name, (title, table) in STUDIES.items():
        wanted = commands(asked.kept)[name] if name in asked.only else []
        found = [
            text
            for number, one in enumerate(wanted)
            if (text := output(asked.kept, name, number, one, not asked.no_run))
        ]
        words += ["", f"## {title}", ""]
        words += table(found) if found else ["Not run."]
        if found and len(found) < len(wanted):
            words += ["", f"{len(found)} of {len(wanted)} seeds."]
    (HERE / "STUDIES.md").write_text("\n".join(words) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
