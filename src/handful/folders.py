"""What names of files and folders say by themselves: which part of the data they are, and what no user ever made.

Knows words, not files. The command line and the studio read the same folders by this one list.
"""

from __future__ import annotations

# Folders around the class folders, and values of a column `split`.
SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
KEPT = ("validation", "test")  # parts that no model is fitted on
_LEFT_BEHIND = frozenset((
    "__macosx", "thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "@eadir",
    "$recycle.bin", "system volume information",
))  # fmt: skip


def split_named(word: str) -> str:
    """ "train", "validation" or "test", however it is written; "" for any other word."""
    return SPLITS.get(word.strip().lower(), "")


def left_behind(path: str) -> bool:
    """Whether a file is what systems leave (`.DS_Store`, `Thumbs.db`, `__MACOSX/`, `._x`, anything hidden), no data of the user's."""
    return any(
        part.startswith(".") or part.lower() in _LEFT_BEHIND for part in path.split("/") if part not in (".", "..")
    )


def are_parts(tops: set[str]) -> bool:
    """Whether folders are the parts of one data set: `train` with any of `validation` and `test`, and nothing else."""
    found = {split_named(top) for top in tops}
    return "train" in found and "" not in found
