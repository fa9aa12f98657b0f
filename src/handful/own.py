"""Which files were written here: PyTorch's formats can hold programs and recipes name folders, so that only one's own are trusted.

Kept by content, and outside of runs: no folder from elsewhere can claim that it was made here.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from handful.errors import HandfulError
from handful.files import Store, data_dir, sha256_file


def remember(path: Path) -> None:
    """Note that `path` was written here; where nothing can be noted, trusting it will need the user's word."""
    with contextlib.suppress(HandfulError, OSError), contextlib.closing(_ledger()) as ledger:
        ledger.put([(sha256_file(path), b"")])


def remembered(path: Path) -> bool:
    with contextlib.suppress(HandfulError, OSError), contextlib.closing(_ledger()) as ledger:
        return any(True for _ in ledger.get([sha256_file(path)]))
    return False


def _ledger() -> Store:
    return Store(data_dir() / "written.sqlite")
