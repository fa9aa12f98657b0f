"""Where an unfinished training stands, on disk: one safetensors file with its JSON inside, replaced atomically.

Knows files, names and tensors; knows nothing about what they mean. Nothing is pickled.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import RunError
from handful.files import atomic_write, to_json
from handful.words import both

if TYPE_CHECKING:
    import numpy as np
    import torch

SECONDS = 20.0  # between two checkpoints; below that a fold is trained again faster than written
_KEY = "handful"


class Checkpoint:
    """A file that holds tensors and a JSON object, good only for the same `identity` (data, settings, fold)."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() - self._saved >= SECONDS

    def save(self, tensors: Mapping[str, torch.Tensor], state: dict[str, Any]) -> None:
        from safetensors.torch import save

        kept = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        atomic_write(self.path, save(kept, {_KEY: to_json({"identity": self.identity, **state})}))
        self._saved = time.monotonic()

    def save_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """As `save`, for numpy and without a state."""
        import torch

        self.save({name: torch.from_numpy(array) for name, array in arrays.items()}, {})

    def load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Tensors and state; None when there is no file.

        Raises:
            RunError: it belongs to other data or settings, or is damaged.
        """
        if not self.path.is_file():
            return None
        from safetensors import SafetensorError, safe_open
        from safetensors.torch import load_file

        try:
            with safe_open(self.path, "pt") as file:
                state = json.loads((file.metadata() or {})[_KEY])
            tensors = load_file(self.path)
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise RunError(*both("error.checkpoint_damaged", path=str(self.path))) from error
        if state.pop("identity", None) != self.identity:
            raise RunError(*both("error.begun_otherwise"))
        return tensors, state

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
