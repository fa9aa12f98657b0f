"""An exported folder as one file to pass on: the same bytes whenever the same is packed.

Knows folders and zip files, nothing of what lies in them.
"""

from __future__ import annotations

import re
import shutil
import stat
import unicodedata
import zipfile
from pathlib import Path

from handful.files import atomic_path

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file knows
_UNIX = 3


def zip_of(folder: Path) -> Path:
    """Where the zip of an exported folder lies."""
    return folder.with_name(f"{folder.name}.zip")


def top_folder(folder: Path, run: str) -> str:
    """The one folder that everything in the zip stands in: RUN-bundle, as any file system can hold it."""
    name = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", run)).strip("-._")[:64]
    return f"{name or 'model'}-{folder.name}"


def packed_as(folder: Path, run: str) -> bool:
    """Whether the zip of `folder` is there, and what it holds stands in the folder named after `run`."""
    try:
        with zipfile.ZipFile(zip_of(folder)) as packed:
            return all(name.startswith(f"{top_folder(folder, run)}/") for name in packed.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def pack(folder: Path, run: str) -> Path:
    """The zip of `folder`, an export of the run of that name; an older one is replaced. Links are left out."""
    path, top = zip_of(folder), top_folder(folder, run)
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if _plain(file)}
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed,
    ):
        for name, file in sorted(files.items()):
            info = zipfile.ZipInfo(f"{top}/{name}", _LONG_AGO)
            info.create_system, info.external_attr = _UNIX, (stat.S_IFREG | 0o644) << 16
            info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, file.stat().st_size
            with open(file, "rb") as source, packed.open(info, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    return path


def _plain(file: Path) -> bool:
    return file.is_file() and not file.is_symlink()
