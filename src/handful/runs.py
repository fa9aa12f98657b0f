"""The run directory, format 1: the wall between training, which writes it, and everything else, which reads it.

Knows file names and their order of writing; knows nothing about how a number came about. `run.json` is written last: a
directory without it is an unfinished run.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from handful.errors import BusyError, RunError
from handful.files import atomic_path, atomic_write, data_dir, inside, read_json_lines, shown, to_json
from handful.words import both, meant, reason, said

FORMAT = 1
LAST = "last"  # the newest run, wherever a run is named
_LOCK = ".lock"
_ELSEWHERE = "runs.txt"  # in the data folder: runs that were trained here into other folders, a line each
# What a run that was begun may hold before run.json.
_BEGUN = ("metrics.jsonl", "model.onnx", "model.safetensors", "vectors", "samples.jsonl", "recipe.yaml")


@dataclass
class Teller:
    """Whom a run reports to: `say` gets lines for people, `progress` (stage, done, of)."""

    say: Callable[[str], None] = lambda line: None
    progress: Callable[[str, int, int], None] | None = None


class Run:
    """A run directory. `Run.create` for training, `Run.open` for everybody else.

    `begun` is the directory that this process last began to fill, so that whoever is stopped can say how to go on.
    """

    begun: ClassVar[Path | None] = None

    def __init__(self, path: Path) -> None:
        self.path = path

    # -- opening ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path | None, name: str, resume: bool = False) -> Run:
        """A new directory at `path`, or below the data folder.

        Raises:
            RunError: as `vacant`, or the directory cannot be made.
        """
        hint = said("error.run_is_file.fix")
        if path is None:
            hint = said("error.run_home.fix")
            stamp = time.strftime("%Y-%m-%d-%H%M%S")
            safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:40] or "run"
            base = data_dir() / "runs" / f"{stamp}-{safe}"
            path = next(p for i in range(1, 10_000) if not (p := base if i == 1 else Path(f"{base}-{i}")).exists())
        path = cls.vacant(path, resume)
        _check_files(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(said("error.run_unmade", run=str(path), reason=reason(error)), hint) from error
        return cls(path)

    @staticmethod
    def vacant(path: str | os.PathLike[str], resume: bool = False) -> Path:
        """`path` as a place for a run: looks only, so that it can be asked before anything long begins.

        Raises:
            RunError: a file, a finished run, or (unless `resume`) a folder with something in it lies there.
        """
        place = Path(path).expanduser().absolute()
        if place.exists() and not place.is_dir():
            raise RunError(*both("error.run_is_file", run=str(place)))
        if (place / "run.json").is_file():
            raise RunError(*both("error.run_finished", run=str(place)))
        if place.is_dir() and not resume and any(p.name != _LOCK for p in place.iterdir()):
            raise RunError(*both("error.run_not_empty", run=str(place)))
        return place

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """An existing, finished run.

        Raises:
            RunError: no such run, an unfinished one, one made by a newer release, or one that holds links out of it or pipes.
        """
        folder = Path(path).expanduser().absolute()
        if not (folder / "run.json").is_file():
            raise _no_run(os.fspath(path), folder)
        _check_files(folder)
        run = cls(folder)
        made = run.result.get("format", FORMAT)
        if not isinstance(made, int) or made > FORMAT:
            raise RunError(*both("error.run_newer", format=str(made), reads=str(FORMAT)))
        return run

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process; another holder is an error that names it.

        Where nothing was written inside, because of an error or a stop, no directory is left behind.
        """
        import fcntl

        def no_link(path: str, flags: int) -> int:  # what it led to would be emptied
            return os.open(path, flags | os.O_NOFOLLOW, 0o666)

        with open(self.path / _LOCK, "a+", encoding="utf-8", opener=no_link) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                holder = file.read().strip() or said("error.another_process")
                raise BusyError(*both("error.run_held", holder=holder)) from None
            file.truncate(0)
            file.write(f"pid {os.getpid()} since {time.strftime('%H:%M')}")
            file.flush()
            Run.begun = self.path
            try:
                yield
            finally:
                (self.path / _LOCK).unlink(missing_ok=True)
                if not any(self.path.iterdir()):
                    self.path.rmdir()
                    Run.begun = None

    # -- reading ---------------------------------------------------------------------------------------------------

    def file(self, name: str) -> Path:
        return self.path / name

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    @property
    def result(self) -> dict[str, Any]:
        """The content of run.json: what `train --json` printed."""
        try:
            value = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(*both("error.run_json", run=str(self.path))) from error
        if not isinstance(value, dict):
            raise RunError(said("error.run_json_object", run=str(self.path)), said("error.run_json.fix"))
        return value

    def rows(self, name: str) -> list[Any]:
        """Lines of a JSONL file, [] when the run has none."""
        return read_json_lines(self.path / name) if self.has(name) else []

    def copied_weights(self) -> Path | None:
        """Its own copy of the backbone that it was trained on; None where it has none."""
        try:
            noted = json.loads(self.file("backbone.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return inside(self.path, noted.get("copied")) if isinstance(noted, dict) else None

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(self, name: str, content: bytes | str) -> Path:
        atomic_write(self.path / name, content)
        return self.path / name

    def write_preview(self, name: str, content: bytes) -> None:
        """A picture or sound for the report. Not synced to disk one by one: hundreds would take longer than the training."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, to_json(value, indent=1) + "\n")

    def write_rows(self, name: str, rows: Iterable[Any]) -> None:
        with atomic_path(self.path / name) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                file.write(to_json(row) + "\n")

    def log(self, **event: Any) -> None:
        """Append one line to metrics.jsonl, which progress displays follow."""
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(to_json({"time": round(time.time(), 3), **event}) + "\n")


def _check_files(folder: Path) -> None:
    """Raises RunError where a run holds what no run does: reading or writing it would reach elsewhere, or wait for ever."""
    root, folders = folder.resolve(), [os.fspath(folder)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue  # nothing there yet, or nothing to be read: whoever reads it says so
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root):
                raise RunError(*both("run.leads_out", path=shown(entry.path)))
            elif not entry.is_symlink() and not entry.is_file(follow_symlinks=False):
                raise RunError(*both("run.no_file", path=entry.path))


def note(run: Run) -> None:
    """Keep in mind where a run lies that was trained here, so that it can be named; where nothing can be kept, its path still can."""
    line = f"{run.path}\n"
    if run.path.parent == data_dir() / "runs" or len(line.splitlines()) != 1:
        return
    with contextlib.suppress(OSError):
        data_dir().mkdir(parents=True, exist_ok=True)
        with open(data_dir() / _ELSEWHERE, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(line)


def known() -> list[Path]:
    """Finished runs that were trained here and still lie where they were made, the newest first."""
    places = set((data_dir() / "runs").glob("*"))
    with contextlib.suppress(OSError):
        noted = (data_dir() / _ELSEWHERE).read_text(encoding="utf-8", errors="surrogateescape")
        places.update(map(Path, noted.splitlines()))
    dated = []
    for place in places:
        with contextlib.suppress(OSError):  # deleted or moved
            if (place / "run.json").is_file():
                dated.append(((place / "recipe.yaml").stat().st_mtime_ns, place))
    return [place for _, place in sorted(dated, reverse=True)]


def named(given: str) -> str:
    """What `given` names, as a path: a path that exists names itself, "last" the newest run, any other word the run of that name.

    What may follow is a path in the run: last/exports/bundle. What looks like a path comes back as it is, there or not.

    Raises:
        RunError: no run was trained yet, several have that name, or none: with the nearest names.
    """
    name, slash, rest = given.partition("/")
    if not name or os.path.lexists(Path(given).expanduser()):
        return given
    runs = known()
    found = runs[:1] if name == LAST else [run for run in runs if run.name == name]
    if len(found) > 1:
        message = f"{len(found)} runs are called {shown(name)}; the newest is {shown(str(found[0]))}"
        raise RunError(message, "give the path of the one that is meant", given, f"{found[0]}{slash}{rest}")
    if found:
        return f"{found[0]}{slash}{rest}"
    if name == LAST:
        raise RunError("no run was trained here yet", "handful train FOLDER")
    near = _near(name, [run.name for run in runs])
    if slash or not runs or (Path(name).suffix and not near):
        return given
    hint = meant(near) if near else f"the newest is {shown(runs[0].name)}; {LAST} names it, too"
    raise RunError(f"there is no run called {shown(name)}", hint)


def _near(name: str, names: list[str]) -> list[str]:
    """Up to three of `names` (the newest first) that hold `name`, or look like it."""
    import difflib

    names = list(dict.fromkeys(names))
    holding = [one for one in names if name.lower() in one.lower()]
    return (holding or difflib.get_close_matches(name, names, n=3, cutoff=0.5))[:3]


def _no_run(given: str, folder: Path) -> RunError:
    """Why `folder` cannot be opened, with the run that may have been meant."""
    name = shown(str(folder))
    if folder.is_file():
        return RunError(f"{name} is a file, not a run", "give the directory that `handful train` printed")
    if not folder.is_dir():
        return RunError(f"there is no run at {name}", "give the directory that `handful train` printed")
    if any((folder / file).exists() for file in _BEGUN):
        return RunError(f"{name} is not a finished run", "train again, or go on with --resume")
    inside = [path.parent for depth in ("*", "*/*", "*/*/*") for path in folder.glob(f"{depth}/run.json")]
    if not inside:
        return RunError(f"there is no run in {name}", "give the directory that `handful train` printed")
    newest = str(max(inside, key=lambda run: (run / "run.json").stat().st_mtime))
    if len(inside) == 1:
        return RunError(f"{name} is no run, but holds one: {shown(newest)}", f"give {shown(newest)}", given, newest)
    message = f"{name} holds {len(inside)} runs; the newest is {shown(newest)}"
    return RunError(message, f"give one of them, e.g. {shown(newest)}", given, newest)
