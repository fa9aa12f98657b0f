"""Which network for which purpose: tiers and choices computed from the catalogue's figures.

Photos: limits on parameters, multiply-adds and published top-1, then the best within them; no list of names, so a new network
takes part by its figures. Sounds: networks trained from scratch have no published figure to choose by, so the words in
`SOUNDS` stand, and say that nothing was measured. Knows nothing of the user's data; `handful compare` measures there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from handful.errors import UsageError
from handful.models import Model, facts, models
from handful.models._published import published

SIZES = (("light", 10e6), ("medium", 50e6), ("large", float("inf")))  # parameters below
SPEEDS = (("high speed", 1e9), ("balanced", 6e9), ("high accuracy", float("inf")))  # multiply-adds below
MEMORY_GB = (4, 8, 16)
MEMORY_BATCH = 32
_BYTES_A_PARAMETER = 16  # weight, gradient and the two averages of Adam, float32


@dataclass(frozen=True)
class Limits:
    """What a choice must keep to. `most` is what counts then: "top1" (high) or "macs" (low); `floor` is of top-1 in percent."""

    parameters: float = float("inf")
    macs: float = float("inf")
    floor: float = 0.0
    most: str = "top1"

    def __and__(self, other: Limits) -> Limits:
        cheap = "macs" in (self.most, other.most)
        return Limits(
            min(self.parameters, other.parameters), min(self.macs, other.macs), max(self.floor, other.floor), "macs" if cheap else "top1"
        )  # fmt: skip

    def hold(self, row: dict[str, Any]) -> bool:
        return bool(
            row["top1"] >= self.floor and row["parameters"] <= self.parameters and row["macs"] <= self.macs
        )  # fmt: skip

    def __str__(self) -> str:
        said = [
            "" if self.parameters == float("inf") else f"at most {self.parameters / 1e6:g} M parameters",
            "" if self.macs == float("inf") else f"at most {self.macs / 1e9:g} G multiply-adds",
            f"top-1 of at least {self.floor:g} %" if self.floor else "",
        ]
        return ", ".join(filter(None, said)) or "published weights"


# 600 M multiply-adds is the "mobile setting" of ImageNet papers (Zoph et al. 2018), 150 M the next of ShuffleNet's (Ma et al. 2018).
USES: dict[str, tuple[str, Limits]] = {
    "mobile": ("phones", Limits(10e6, 0.6e9, 65)),
    "edge": ("small boards, below 1 GB of memory", Limits(3e6, 0.15e9, 0)),
    "server": ("a processor or GPU of its own", Limits(50e6, 10e9, 75)),
    "research": ("the highest published accuracy, whatever it costs", Limits(floor=75)),
    "production": ("answers in a service, many a second", Limits(50e6, 1e9, 75)),
    "accuracy": ("the highest published accuracy, whatever it costs", Limits(floor=80)),
    "speed": ("the fewest operations that still make a useful embedding", Limits(floor=60, most="macs")),
    "balanced": ("accuracy for few operations", Limits(25e6, 2e9, 75)),
    "ensemble": ("two families that err differently; train both, then handful ensemble RUN RUN", Limits(50e6, 2e9, 70)),
}
NEEDS: dict[str, Limits] = {
    "basic": Limits(floor=65, most="macs"), "good": Limits(floor=75, most="macs"), "high": Limits(floor=80, most="macs"),
}  # fmt: skip
# Fewer samples than this: so large a network; what else holds for data of this size.
SAMPLES: tuple[tuple[float, Limits, str], ...] = (
    (1_000, Limits(8e6, 0.7e9, 65), "frozen features and a regularised head; a light network, never from scratch"),
    (10_000, Limits(25e6, 5e9, 70), "frozen features, or fine-tuning of the last blocks"),
    (float("inf"), Limits(floor=75), "any network; fine-tuning pays, training from scratch becomes possible"),
)
# Primary, alternative, minimal of the networks for short sounds (spoken digits).
SOUNDS: dict[str, tuple[str, str, str]] = {
    "accuracy": ("advanced", "efficient", "lightweight"), "speed": ("mini", "lightweight", "mini"),
    "balanced": ("efficient", "advanced", "lightweight"), "production": ("efficient", "advanced", "lightweight"),
    "server": ("efficient", "advanced", "lightweight"), "research": ("transformer", "advanced", "efficient"),
    "ensemble": ("ensemble", "advanced", "efficient"), "mobile": ("lightweight", "efficient", "mini"),
    "edge": ("mini", "lightweight", "mini"),
}  # fmt: skip


def _tier(value: float, tiers: Iterable[tuple[str, float]]) -> str:
    return next(name for name, below in tiers if value < below)


def training_gb(name: str, batch: int = MEMORY_BATCH) -> float | None:
    """GiB that training all of a network takes: parameters with Adam, and what autograd keeps of `batch` samples, in float32."""
    kept, size = published(name).get("kept_bytes"), facts(name).get("parameters")
    return (size * _BYTES_A_PARAMETER + batch * kept) / 2**30 if kept and size else None


def tiers(name: str) -> dict[str, Any]:
    """`size`, `speed`, `memory` ("below 4 GB", "4 to 8 GB", ...) and `training_gb`; None for what has no figures."""
    figures, gb = facts(name), training_gb(name)
    memory = None
    if gb is not None:
        at = sum(gb >= edge for edge in MEMORY_GB)
        named = [
            "below 4 GB",
            *(f"{a} to {b} GB" for a, b in zip(MEMORY_GB, MEMORY_GB[1:], strict=False)),
            "above 16 GB",
        ]
        memory = named[at]
    return {
        "size": _tier(figures["parameters"], SIZES) if figures else None,
        "speed": _tier(figures["macs"], SPEEDS) if figures else None,
        "memory": memory,
        "training_gb": None if gb is None else round(gb, 2),
    }


def _rows() -> list[dict[str, Any]]:
    return [
        {"name": m.name, "family": m.family, "top1": m.top1, **facts(m.name)}
        for m in models
        if m.pretrained and m.top1 and facts(m.name) and not m.extra  # what brings a licence of its own is not advised
    ]


def _reason(row: dict[str, Any], why: str) -> str:
    top1 = f"top-1 {row['top1']:.1f} %, " if row["top1"] else ""
    return f"{why}: {top1}{row['parameters'] / 1e6:.2f} M parameters, {row['macs'] / 1e6:,.0f} M multiply-adds"


def _answer(row: dict[str, Any], why: str) -> dict[str, str]:
    return {"name": row["name"], "reason": _reason(row, why)}


def choose(limits: Limits) -> dict[str, dict[str, str]]:
    """Primary, alternative (the best of another family) and minimal network within limits.

    Raises:
        UsageError: no pretrained network keeps to them.
    """
    able = [row for row in _rows() if limits.hold(row)]
    if not able:
        raise UsageError(f"no pretrained network has {limits}", "leave out one of --use-case, --samples, --need")
    if limits.most == "macs":
        ordered, best = sorted(able, key=lambda row: row["macs"]), "fewest multiply-adds"
    else:
        ordered, best = sorted(able, key=lambda row: -row["top1"]), "highest top-1"
    primary = ordered[0]
    other = next((row for row in ordered if row["family"] != primary["family"]), ordered[-1])
    by_size = limits.most == "macs"
    minimal = min(able, key=lambda row: row["parameters"] if by_size else row["macs"])
    return {
        "primary": _answer(primary, f"the {best} of those with {limits}"),
        "alternative": _answer(other, f"the {best} of another family"),
        "minimal": _answer(minimal, f"the fewest {'parameters' if by_size else 'multiply-adds'} within the limits"),
    }


def for_sounds(use: str) -> dict[str, dict[str, str]]:
    """Primary, alternative and minimal network for short sounds; names that the catalogue lacks are left out."""
    found = {}
    for place, name in zip(("primary", "alternative", "minimal"), SOUNDS[use], strict=True):
        if name in models:
            model: Model = models.get(name)
            found[place] = _answer(
                {"name": name, "top1": None, **facts(name)}, model.summary.removesuffix("; from scratch")
            )
    return found


def advise(use: str | None, samples: int | None, need: str | None, modality: str = "image") -> dict[str, Any]:
    """One recommendation for all that was said.

    Returns:
        {"schema", "for", "modality", "limits", "primary", "alternative", "minimal", "note", "command"}

    Raises:
        UsageError: an unknown use or need, or wishes that no network fulfils together.
    """
    for word, known in ((use, USES), (need, NEEDS)):
        if word is not None and word not in known:
            raise UsageError(f"there is no advice for {word!r}", f"known: {', '.join(known)}")
    said, limits, note = [], Limits(), ""
    if use:
        said.append(f"{use} ({USES[use][0]})")
        limits &= USES[use][1]
    if samples is not None:
        low, note = next((limit, text) for below, limit, text in SAMPLES if samples < below)
        said.append(f"{samples:,} samples")
        limits &= low
    if need:
        said.append(f"{need} accuracy")
        limits &= NEEDS[need]
    if modality == "audio":
        if samples is not None or need:
            raise UsageError("sounds have advice by use only", "handful models --use-case speed --modality audio")
        found = for_sounds(use or "balanced")
        note = (
            "no accuracy is published for these; from scratch, they want more samples than the methods that auto takes"
        )
    else:
        found = choose(limits)
        note = f"{note}; " if note else ""
        note += "top-1 is ImageNet's: what counts is your own data, so let them race"
    names = list(dict.fromkeys(answer["name"] for answer in found.values()))
    tail = " --strategies scratch" if modality == "audio" else ""
    return {
        "schema": 1, "for": ", ".join(said), "modality": modality,
        "limits": str(limits) if modality == "image" else "",
        **found, "note": note,
        "command": f"handful compare FOLDER --models {','.join(names)}{tail}",
    }  # fmt: skip
