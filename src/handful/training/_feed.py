"""Pictures on their way to the network: batches that threads make ahead, in the memory layout that convolutions like.

Knows arrays, tensors and devices; knows nothing of gradients.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from handful.graph import run_threads

if TYPE_CHECKING:
    import torch
    from torch import nn

# (indices int [n], epoch from 0, or None for pictures as they are) -> float32 [n, *shape], normalised for the network
Pictures = Callable[[np.ndarray, int | None], np.ndarray]

EVALUATION_BATCH = 32
PIECE, MOST_WORKERS = 16, 32  # pictures that a thread makes at once beside a GPU, and threads


class Feed:
    """The batches of a training with their pictures, the next ones made in threads while the network works, where there are cores.

    For a GPU they lie in pinned memory, from which it copies by itself. Every picture follows from its row and the epoch,
    so threads and order change nothing.
    """

    def __init__(self, pictures: Pictures, device: torch.device, batch_size: int, threads: int | None) -> None:
        self.pictures, self.device, self.gpu = pictures, device, device.type == "cuda"
        # Who makes the pictures of the next batches: beside a processor one thread keeps up, a GPU takes what all can make.
        count = run_threads(threads)
        self.workers = min(count, MOST_WORKERS) if self.gpu else min(count - 1, 1)
        self.piece = PIECE if self.gpu else batch_size + 1
        self.ahead = max(2, math.ceil(self.workers * self.piece / batch_size)) if self.gpu else 1

    def __call__(self, batches: list[np.ndarray], epoch: int) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Each of `batches` (rows) with its pictures."""
        import torch

        def made(rows: np.ndarray) -> torch.Tensor:
            x = torch.from_numpy(np.ascontiguousarray(self.pictures(rows, epoch), np.float32))
            return x.pin_memory() if self.gpu else x

        if not self.workers:
            for rows in batches:
                yield rows, tensor(self.pictures(rows, epoch), self.device)
            return
        with ThreadPoolExecutor(self.workers) as pool:
            begun: deque[list[Future[torch.Tensor]]] = deque()
            for number in range(len(batches) + self.ahead):
                if number < len(batches):
                    rows, step = batches[number], self.piece
                    begun.append([pool.submit(made, rows[i : i + step]) for i in range(0, len(rows), step)])
                if number >= self.ahead:
                    parts = [part.result().to(self.device, non_blocking=True) for part in begun.popleft()]
                    x = parts[0] if len(parts) == 1 else torch.cat(parts)
                    yield batches[number - self.ahead], x.to(memory_format=_layout(x))


def tensor(pictures: np.ndarray, device: torch.device | str) -> torch.Tensor:
    import torch

    x = torch.from_numpy(np.ascontiguousarray(pictures, np.float32))
    return x.to(device, memory_format=_layout(x))


def _layout(x: torch.Tensor) -> torch.memory_format:
    """Pictures go channels last, which convolutions are faster with."""
    import torch

    return torch.channels_last if x.ndim == 4 else torch.contiguous_format


def forward(module: nn.Module, pictures: np.ndarray, device: str) -> np.ndarray:
    """`module` in eval mode on float32 [N, *shape], in batches; float32 [N, ...]."""
    import torch

    module.eval()
    with torch.no_grad():
        parts = [
            module(tensor(pictures[i : i + EVALUATION_BATCH], device)).cpu()
            for i in range(0, len(pictures), EVALUATION_BATCH)
        ]
    result: np.ndarray = torch.cat(parts).float().numpy()
    return result
