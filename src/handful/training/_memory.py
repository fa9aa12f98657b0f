"""How much memory training takes and may take. Knows bytes, devices and sizes; knows no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from handful.machine import memory, memory_limit

HALVED = "out of memory: {} samples at once instead of {}, with the same step"


def tune_allocator() -> None:
    """Let glibc keep freed memory instead of handing it back after every batch; nothing happens elsewhere.

    Convolutions then run up to twice as fast on a CPU, at about the same peak memory. Safe to call again.
    """
    import ctypes
    import platform

    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    # Never map single blocks, never trim the top of the heap, grow it by 256 MiB (constants of malloc.h).
    for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 256 * 2**20)):
        mallopt(option, value)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory was lacking; torch has its own for CUDA, and a plain one for the CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("not enough memory", "out of memory", "can't allocate memory")
    )


def total_bytes(device: str) -> int | None:
    """What this process could use: all memory of a GPU, or what the system and its control group leave; None: unknown."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.get_device_properties(torch.device(device)).total_memory)
    try:
        ours = memory()[1] + _resident()
    except (OSError, ValueError, IndexError):
        return None
    return min(ours, memory_limit() or ours)


def _resident() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def reset_peak(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(torch.device(device))
        return
    from handful.training.record import reset_peak_memory

    reset_peak_memory()


def peak_bytes(device: str) -> int:
    """The most that was held at once: on a GPU by torch, else by the whole process."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(torch.device(device)))
    from handful.training.record import peak_memory

    return peak_memory()


def largest_batch(step: Callable[[int], None], peak: Callable[[], int], most: int, limit: int | None) -> int:
    """The largest batch of 1 to `most` samples whose `step` was run and stayed within `limit` bytes.

    Sizes double while the next one is expected to fit, judged by what one more sample took; then the largest that should
    fit is run as well. A step that runs out of memory ends the search. At least 1.
    """

    def fits(size: int) -> bool:
        try:
            step(size)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return False
        return limit is None or peak() <= limit

    size = 1
    if not fits(1):
        return 1
    first = peak()
    each = 0.0
    while 2 * size <= most:
        if limit is not None and size > 1 and first + each * (2 * size - 1) > limit:
            break
        if not fits(2 * size):
            return size
        size *= 2
        each = max(each, (peak() - first) / (size - 1))
    best = most if limit is None or not each else min(most, 1 + int((limit - first) / each))
    return best if size < best and fits(best) else size
