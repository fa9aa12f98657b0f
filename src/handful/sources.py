"""Which labelled files a run may have opened: those below a folder that somebody on this machine vouches for.

A run is data, perhaps a stranger's, and what it names may be anything that lies here. So the folders it names are believed only
if it was trained here, which is noted outside of it; else the user gives one. Below them, a file counts while it has the content
that the run noted. Knows paths and hashes; opens no media.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from handful.config import load_recipe
from handful.errors import RunError
from handful.files import inside, sha256_file
from handful.own import remember, remembered
from handful.runs import Run
from handful.words import both

RECIPE = "recipe.yaml"
_NAMING = ("data", "labels", "test", "pattern", "classes", "per_class", "start", "weights")  # what to read, and of what


def vouch(run: Run) -> None:
    """Note that this run was trained here: what its recipe names may be read again."""
    remember(run.file(RECIPE))


class Sources:
    """The samples of a run. `data`: the folder in which the user says they lie; None: where they were in training."""

    def __init__(self, run: Run, data: str | os.PathLike[str] | None = None) -> None:
        self.run = run
        self.data = Path(data).expanduser().absolute() if data else None

    @cached_property
    def own(self) -> bool:
        """Whether it was trained here."""
        return remembered(self.run.file(RECIPE))

    @cached_property
    def _recipe(self) -> dict[str, Any]:
        return load_recipe(self.run.file(RECIPE))

    @property
    def _noted(self) -> str:
        """The folder of the data as run.json shows it."""
        return str((self.run.result.get("data") or {}).get("path") or "")

    @property
    def folder(self) -> Path | None:
        """Where the samples are looked for; None where nobody vouches for a place. run.json is not vouched for, its recipe is."""
        vouched = self.own and self._noted and self._noted == str(self._recipe.get("data"))
        return self.data or (Path(self._noted) if vouched else None)

    @property
    def test_folder(self) -> Path | None:
        """The same of the files it was tested on."""
        test = self._recipe.get("test") if self.own else None
        return Path(str(test)) if test else self.folder

    @property
    def place(self) -> str | None:
        """The folder where samples are not found, for people; None: nobody vouches for the one that the run names."""
        return str(self.data) if self.data else self._noted if self.own else None

    @staticmethod
    def find(folder: Path | None, row: Mapping[str, Any]) -> Path | None:
        """The file of a row with "file" and "sha256" below `folder`; None where there is none, or another."""
        path = inside(folder, row.get("file")) if folder else None
        try:
            return path if path and sha256_file(path) == row.get("sha256") else None
        except OSError:
            return None

    def settings(self) -> dict[str, Any]:
        """The recipe for reading the samples again. A stranger's says how, and the run's own rows which; never where, nor which
        other files to open.

        Raises:
            RunError: nobody vouches for a folder.
        """
        if self.folder is None:
            raise RunError(*both("error.not_trained_here"))
        if self.own:
            return self._recipe | {"data": str(self.folder)}
        kept = {key: value for key, value in self._recipe.items() if key not in _NAMING}
        return kept | {
            "data": str(self.folder), "labels": str(self.run.file("samples.jsonl")), "weights": self._weights()
        }  # fmt: skip

    @property
    def fingerprint(self) -> str:
        """Of the data that `settings` read, where nothing has changed."""
        from handful.data.samples import fingerprint

        if self.own:
            return str(self.run.result["data"]["fingerprint"])
        return fingerprint((str(row["sha256"]), str(row["label"])) for row in self.run.rows("samples.jsonl"))

    def _weights(self) -> str | None:
        """The run's own copy of its backbone, or none at all; else the catalogue's are looked for."""
        if str(self._recipe.get("weights")).lower() == "none":
            return "none"
        copied = self.run.copied_weights()
        return str(copied) if copied else None
