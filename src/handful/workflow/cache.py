"""What the cache holds: listed, removed, verified. Whatever lies in other programs' caches is named, and never touched.

Looking is no use: the times of files that were only looked into are put back.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import HandfulError, UsageError
from handful.files import Store, place
from handful.workflow.selftest import PREFIX

if TYPE_CHECKING:
    from handful.models import Network

# Files beside folders, by name: (kind, what it holds).
_SINGLE = {
    "facts.sqlite": ("facts", "what was seen of files, and thumbnails"),
    "rehearsals.sqlite": ("rehearsals", "how long trainings take here"),
    "studio-pictures.sqlite": ("pictures", "pictures that the studio drew"),
    "ultralytics": ("settings", "settings that ultralytics writes"),
}
_FOLDERS = ("weights", "backbones", "tensors", "embeddings")
_BESIDE = ("-wal", "-shm", ".sha256")  # what belongs to the file before it
_TAG = "CACHEDIR.TAG"
DAY_S = 86_400


@dataclass(frozen=True)
class Entry:
    """One thing in the cache. `used`: seconds since 1970, as exactly as the file system notes it (often: a day)."""

    name: str  # path below the cache; of shared files the whole path
    kind: str
    what: str
    origin: str
    path: Path
    shared: bool = False
    files: tuple[Path, ...] = field(default=(), repr=False)
    bytes: int = 0
    used: float = 0.0

    def row(self) -> dict[str, Any]:
        used = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.used))
        return {
            "name": self.name, "kind": self.kind, "what": self.what, "bytes": self.bytes, "used": used,
            "from": self.origin, "path": str(self.path), "shared": self.shared,
        }  # fmt: skip


# -- list ----------------------------------------------------------------------------------------------------------------


def ls() -> dict[str, Any]:
    """What is there, the largest first.

    Returns:
        {"schema", "path", "bytes" (without what is shared), "shared_bytes",
        "rows": [{"name", "kind", "what", "bytes", "used", "from", "path", "shared"}]}
    """
    found = entries()
    return {
        "schema": 1, "path": str(place("cache")), "bytes": sum(e.bytes for e in found if not e.shared),
        "shared_bytes": sum(e.bytes for e in found if e.shared), "rows": [e.row() for e in found],
    }  # fmt: skip


def entries() -> list[Entry]:
    """Own ones first, then the shared; the largest first."""
    networks = _networks()
    found = [*_own(place("cache"), networks), *_shared(networks)]
    return sorted(found, key=lambda e: (e.shared, -e.bytes, e.name))


def _networks() -> dict[str, Network]:
    """Published weights by the name of their file."""
    from handful.models import Network, models
    from handful.models._weights import file_name

    found: dict[str, Network] = {}
    for model in models:  # several may stand on one file: it is called by the first
        if isinstance(model, Network) and model.url:
            found.setdefault(file_name(model), model)
    return found


def _own(root: Path, networks: dict[str, Network]) -> Iterator[Entry]:
    if not root.is_dir():
        return
    for path in sorted(root.iterdir()):
        if path.name == _TAG or path.name.endswith(_BESIDE):
            continue
        if path.name in _FOLDERS and path.is_dir() and not path.is_symlink():
            for inner in sorted(path.iterdir()):
                if not inner.name.endswith(_BESIDE):
                    yield _measured(inner, path.name, *_described(inner, path.name, networks))
        elif path.name in _SINGLE:
            kind, what = _SINGLE[path.name]
            yield _measured(path, kind, what, "computed here")
        elif path.name.startswith(PREFIX):
            yield _measured(path, "leftover", "left of a self-test that was killed", "")
        else:
            yield _measured(path, "unknown", "nothing that this release writes", "")


def _described(path: Path, kind: str, networks: dict[str, Network]) -> tuple[str, str]:
    """(what it is, where it came from)"""
    if path.name.startswith("."):
        return "left of an interrupted writing", ""
    if kind == "weights":
        name = path.name.removesuffix(".part")
        network = networks.get(name)
        what = network.name if network else "weights of no catalogued network"
        return what + (", partly fetched" if path.name.endswith(".part") else ""), network.url if network else ""
    if kind == "tensors":
        return "tensors of a pickle, as safetensors", f"weights with SHA-256 {path.stem[:16]}..."
    if kind == "backbones":
        with contextlib.suppress(OSError, UnicodeDecodeError, ValueError), _unnoticed(path.with_suffix(".sha256")):
            _, name, *weights = path.with_suffix(".sha256").read_text(encoding="utf-8").split(maxsplit=2)
            return name, f"converted from {weights[0]}" if weights else "random numbers"
        return "a converted network", "converted here"
    with contextlib.suppress(sqlite3.DatabaseError, ValueError, TypeError), _unnoticed(path):
        from handful.training.embedding import ABOUT

        with contextlib.closing(Store.look(path)) as connection:
            (value,) = connection.execute("SELECT value FROM rows WHERE key = ?", (ABOUT,)).fetchone()
        about = json.loads(value)
        return about["model"], f"computed here with {about['weights']}" if about["weights"] else "computed here"
    return "embeddings", "computed here"


def _measured(path: Path, kind: str, what: str, origin: str) -> Entry:
    beside = [path.with_name(path.name + end) for end in _BESIDE[:2]] + [path.with_suffix(_BESIDE[2])]
    files = (path, *(p for p in beside if p != path and p.is_file()))
    size, used = 0, 0.0
    for file in _below(files):
        with contextlib.suppress(OSError):
            about = file.lstat()
            size, used = size + about.st_size, max(used, about.st_atime, about.st_mtime)
    name = path.relative_to(place("cache")).as_posix()
    return Entry(name, kind, what, origin, path, files=files, bytes=size, used=used)


def _below(files: Iterable[Path]) -> Iterator[Path]:
    for file in files:
        if file.is_dir() and not file.is_symlink():
            yield from (Path(folder, name) for folder, _, names in os.walk(file) for name in names)
        else:
            yield file


def _shared(networks: dict[str, Network]) -> Iterator[Entry]:
    """Weights of catalogued networks in the caches of torch and Hugging Face."""
    from handful.models._weights import places

    for network in networks.values():
        for path in places(network):
            if path.is_relative_to(place("cache")) or not path.is_file():
                continue
            about = path.stat()
            used = max(about.st_atime, about.st_mtime)
            yield Entry(str(path), "weights", network.name, network.url, path, True, (), about.st_size, used)


# -- remove --------------------------------------------------------------------------------------------------------------


def chosen(names: Sequence[str], everything: bool = False, older_than_days: float | None = None) -> list[Entry]:
    """What `rm` would remove: only handful's own, whatever is asked for.

    Args:
        names: of `ls`, their last part, a kind ("embeddings") or a model.
        everything: all that handful wrote there.
        older_than_days: only what was not used for so long.

    Raises:
        UsageError: nothing was asked for, or nothing has such a name.
        HandfulError: it lies in another program's cache.
    """
    if not names and not everything and older_than_days is None:
        raise UsageError("rm needs to know what", "handful cache rm NAME..., --all or --older-than DAYS")
    found = entries()
    own = [e for e in found if not e.shared and e.kind != "unknown"]
    picked = own if not names else []
    for name in names:
        if matching := [e for e in own if name in _called(e)]:
            picked += [e for e in matching if e not in picked]
        elif matching := [e for e in found if name in _called(e)]:
            raise _refused(matching[0])
        else:
            near = difflib.get_close_matches(name, [word for e in own for word in _called(e)], n=1)
            hint = f"did you mean {near[0]}?" if near else "handful cache ls"
            raise UsageError(f"nothing in the cache is called {name!r}", hint)
    if older_than_days is not None:
        picked = [e for e in picked if e.used < time.time() - older_than_days * DAY_S]
    return picked


def _called(entry: Entry) -> tuple[str, ...]:
    return entry.name, Path(entry.name).name, Path(entry.name).stem, entry.kind, entry.what


def _refused(entry: Entry) -> HandfulError:
    if entry.shared:
        why = f"{entry.path} lies in a cache that other programs share: it is not removed"
        return HandfulError(why, "delete the file yourself, if nothing else needs it")
    return HandfulError(f"{entry.name} was not written by this release: it is not removed", "delete it yourself")


def rm(picked: Sequence[Entry]) -> dict[str, Any]:
    """Remove what `chosen` chose. What a running download holds stays.

    Returns:
        {"schema", "removed": [names], "bytes", "kept": [{"name", "why"}]}
    """
    removed: list[Entry] = []
    kept: list[dict[str, str]] = []
    for entry in picked:
        if entry.path.name.endswith(".part") and _held(entry.path):
            kept.append({"name": entry.name, "why": "it is being fetched"})
            continue
        try:
            for file in entry.files:
                if file.is_dir() and not file.is_symlink():
                    shutil.rmtree(file)
                else:
                    file.unlink(missing_ok=True)
            removed.append(entry)
        except OSError as error:
            kept.append({"name": entry.name, "why": error.strerror or str(error)})
    return {
        "schema": 1, "removed": [e.name for e in removed], "bytes": sum(e.bytes for e in removed), "kept": kept,
    }  # fmt: skip


def _held(part: Path) -> bool:
    import fcntl

    with contextlib.suppress(FileNotFoundError), open(part, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


# -- verify --------------------------------------------------------------------------------------------------------------


def verify() -> dict[str, Any]:
    """Whether everything is what it should be: weights by their published hashes, the rest by what was noted with it.

    Returns:
        {"schema", "ok", "rows": [{"name", "kind", "what", "shared", "state", "why"}]}; state: ok, damaged, or unchecked
        where there is nothing to check it by.
    """
    networks = _networks()
    rows = []
    for entry in entries():
        with contextlib.nullcontext() if entry.shared else _unnoticed(entry.path):
            state, why = _state(entry, networks)
        rows.append({
            "name": entry.name, "kind": entry.kind, "what": entry.what, "shared": entry.shared, "state": state, "why": why,
        })  # fmt: skip
    return {"schema": 1, "ok": all(row["state"] != "damaged" for row in rows), "rows": rows}


def _state(entry: Entry, networks: dict[str, Network]) -> tuple[str, str]:
    """(state, why) of one entry."""
    try:
        if entry.path.suffix == ".sqlite":
            wrong = Store.damaged(entry.path)
        elif entry.kind == "backbones" and entry.path.suffix == ".onnx":
            from handful.models._convert import whole

            wrong = "" if whole(entry.path) else "its content is not what was written"
        elif entry.kind == "tensors" and entry.path.suffix == ".safetensors":
            wrong = _unreadable(entry.path)
        elif entry.kind == "weights" and not entry.path.name.endswith(".part"):
            return _weights_state(entry, networks)
        else:
            return "unchecked", ""
    except OSError as error:
        wrong = error.strerror or str(error)
    return ("damaged", wrong) if wrong else ("ok", "")


def _weights_state(entry: Entry, networks: dict[str, Network]) -> tuple[str, str]:
    from handful.models._weights import damage

    network = next((n for n in networks.values() if n.name == entry.what), None)
    if network and (network.weights_sha256 or network.weights_md5):
        wrong = damage(entry.path, network)
    elif entry.path.suffix == ".safetensors":
        wrong = _unreadable(entry.path)
    else:
        return "unchecked", "nobody published its hash"
    return ("damaged", wrong) if wrong else ("ok", "")


def _unreadable(path: Path) -> str:
    """Why a safetensors file cannot be read, or ""."""
    from handful.models._state import read_safetensors

    try:
        read_safetensors(path)
    except HandfulError as error:
        return error.message
    return ""


@contextlib.contextmanager
def _unnoticed(path: Path) -> Iterator[None]:
    """Looking into a file is no use of it."""
    before = path.stat() if path.exists() else None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if before and path.stat().st_mtime_ns == before.st_mtime_ns:
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
