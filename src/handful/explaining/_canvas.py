"""What an explanation needs of a medium: parts that can be hidden, and a way to show what mattered.

One file a modality; nothing else in this package tells pictures from sounds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from handful.features import Frontend
from handful.registry import Registry


class Canvas(Protocol):
    """One decoded item as a map of cells.

    `shape`: (rows, columns) of a saliency map. `grid`: rows and columns of the coarse parts that are hidden one with another
    where a model can only be asked.
    """

    shape: tuple[int, int]
    grid: tuple[int, int]

    def from_picture(self, values: np.ndarray) -> np.ndarray:
        """A map [h, w] over what a network sees of the item (`Frontend.picture`), as a map of `shape`."""
        ...

    def hide(self, keep: np.ndarray) -> np.ndarray:
        """Items [M, ...] of which `keep` float [M, rows, columns] is left: 1 as it was, 0 gone."""
        ...

    def show(self, path: Path, saliency: np.ndarray) -> dict[str, tuple[bytes, str]]:
        """(content, suffix) of `before` and `overlay`, pictures, and for sounds `sound` and `filtered`."""
        ...


canvases: Registry[Callable[[Frontend, np.ndarray], Canvas]] = Registry("modality", "handful.explaining")
