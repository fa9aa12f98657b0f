"""The demonstration: handwritten digits that come with scikit-learn, and sounds that are generated and called so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from handful.files import atomic_path, data_dir
from handful.registry import optional
from handful.runs import Teller
from handful.words import said

DIGITS = 30  # of each class
SOUNDS = 12
RATE_HZ = 16_000


def write_digits(folder: Path, per_class: int = DIGITS) -> None:
    """scikit-learn's 8 x 8 handwritten digits (UCI, CC BY 4.0) as PNG files of 64 x 64 pixels in ten class folders."""
    from PIL import Image

    digits = optional("sklearn.datasets", "learn", said("extra.demo")).load_digits()
    for label in range(10):
        for number, i in enumerate(np.flatnonzero(digits.target == label)[:per_class]):
            pixels = (255 - digits.images[i] * (255 / 16)).astype(np.uint8)
            picture = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)
            with atomic_path(folder / str(label) / f"{label}-{number:02d}.png") as path:
                picture.save(path, "PNG")


def write_sounds(folder: Path, per_class: int = SOUNDS) -> None:
    """Generated sounds of 1.5 s in four classes, each with its own pitch, length and noise."""
    import soundfile

    rng = np.random.default_rng(0)
    t = np.arange(int(1.5 * RATE_HZ)) / RATE_HZ
    for label in ("generated_beeps", "generated_chirp", "generated_hiss", "generated_hum"):
        for number in range(per_class):
            pitch, speed, start = rng.uniform(400, 1200), rng.uniform(3, 6), rng.uniform(0, 0.3)
            if label == "generated_beeps":
                wave = np.sin(2 * np.pi * pitch * t) * (np.sin(2 * np.pi * speed * t) > 0)
            elif label == "generated_chirp":
                wave = np.sin(2 * np.pi * (pitch * t + 800 * t * t))
            elif label == "generated_hiss":
                wave = rng.normal(0, 0.5, len(t)) * (0.6 + 0.4 * np.sin(2 * np.pi * speed * t))
            else:
                wave = np.sum([np.sin(2 * np.pi * rng.uniform(48, 62) * k * t) / k for k in (1, 2, 3)], axis=0)
            wave = rng.uniform(0.1, 0.5) * wave * (t > start) + rng.normal(0, 0.01, len(t))
            with atomic_path(folder / label / f"{number:02d}.wav") as path:
                soundfile.write(path, wave.astype(np.float32), RATE_HZ, format="WAV", subtype="PCM_16")


def demo(folder: Path | None, teller: Teller) -> list[dict[str, Any]]:
    """Train on both; returns what `train --json` prints, for each.

    Args:
        folder: where data and runs are written; below the user's data folder when None. Earlier demo runs there are kept.
    """
    from handful.workflow.train import train

    place = (folder or data_dir() / "demo").expanduser().absolute()
    results = []
    for name, write in (("digits", write_digits), ("generated_sounds", write_sounds)):
        data = place / name
        if not data.is_dir():
            teller.say(said("say.writing", name=name, folder=str(data)))
            write(data)
        run = next(p for i in range(1, 10_000) if not (p := place / "runs" / f"{name}-{i}").exists())
        results.append(train(data, run=run, teller=teller, command="handful demo", weights="none").result)
    return results
