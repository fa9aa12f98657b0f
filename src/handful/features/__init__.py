"""Front-ends: from a file to a fixed-size array, and from that array to what models stand on.

One front-end a modality, one file each. `read` is the only decoding there is: training, serving and the exported bundle
use it. `input` begins every graph. Front-ends do not know each other, nor models, nor runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from handful.graph import Graph
from handful.registry import Registry, late

if TYPE_CHECKING:
    import numpy as np
else:
    np = late("numpy")


class Frontend(Protocol):
    """What a front-end offers. An *item* is one fixed-size array; a file yields one or more (long sounds: windows)."""

    modality: ClassVar[str]

    @property
    def domain(self) -> str:
        """What kind of thing it reads, as far as it decides which method suits: "image", "sound" or "word" (a short sound)."""
        ...

    @classmethod
    def suited(cls, paths: Sequence[Path], settings: Mapping[str, Any]) -> Frontend:
        """A front-end for these files; headers are read, nothing is decoded.

        `settings` are the user's own wishes, by field name; what does not concern this front-end is passed over.
        """
        ...

    def resized(self, size: int) -> Frontend:
        """The same for models that look at pictures of `size` pixels; where nothing has a size, itself."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON that rebuilds this front-end; part of every cache key and of exported metadata."""
        ...

    def reading(self) -> dict[str, Any]:
        """What `read` depends on, by the name of the setting: models that agree in it take the same items."""
        ...

    def read(self, source: Path | bytes) -> tuple[np.ndarray, dict[str, Any]]:
        """Decode one file: (items [W, ...], facts). Facts are what the data doctor looks at. Raises FileError."""
        ...

    def augment(self, item: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One item, randomly changed as a class would not change; same shape and dtype."""
        ...

    def mask(self, seen: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
        """What a network sees of one item, with up to this share of its bands and of its time hidden; photos stay as they are."""
        ...

    def alike(self, facts: Iterable[Mapping[str, Any]]) -> list[tuple[int, int]]:
        """Pairs of files that show the same thing (rescaled, recompressed), from the facts of `read`."""
        ...

    def thumbnail(self, items: np.ndarray) -> bytes:
        """A small JPEG or PNG that stands for the file in reports."""
        ...

    def sound(self, path: Path) -> bytes | None:
        """What a report can play of the file, as Ogg Vorbis; None where there is nothing to hear."""
        ...

    def input(self, g: Graph) -> str:
        """Declare the graph's input `input`; returns the value that models start from.

        image: float32 [N, 3, S, S], RGB in 0..1. audio: float32 [N, samples], waveform in -1..1.
        """
        ...

    def picture(self, g: Graph, x: str, size: int) -> str:
        """`x` as a float32 picture [N, 3, size, size] in 0..1, for networks made for photographs."""
        ...


frontends: Registry[type[Frontend]] = Registry("modality", "handful.features")


def from_spec(spec: Mapping[str, Any]) -> Frontend:
    """The front-end that `spec()` described."""
    settings = {key: value for key, value in spec.items() if key not in ("modality", "version")}
    return frontends.get(str(spec["modality"]))(**settings)


def close_hashes(hashes: Sequence[str], bits: int) -> np.ndarray:
    """Pairs int [m, 2] of hex hashes of equal length that differ in at most `bits` bits, in blocks of rows."""
    signs = np.array([np.unpackbits(np.frombuffer(bytes.fromhex(h), np.uint8)) for h in hashes], np.float32) * 2 - 1
    pairs = []
    for start in range(0, len(signs), 256):
        distance = (signs.shape[1] - signs[start : start + 256] @ signs[start:].T) / 2
        rows, columns = np.nonzero(distance <= bits)
        later = columns > rows
        pairs.append(np.stack([rows[later] + start, columns[later] + start], axis=1))
    return np.concatenate(pairs) if pairs else np.empty((0, 2), int)
