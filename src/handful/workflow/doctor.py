"""What this installation is and where its things lie, and what is wrong with it. Looks only: nothing is made, fetched or changed.

Libraries are asked for their versions, not imported: torch alone would take longer than everything else here.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import platform
import shutil
import socket
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from handful import __version__
from handful.environment import VARIABLES, given, switched_on
from handful.extras import EXTRAS
from handful.files import place
from handful.machine import gpus, memory_limit, processors

KINDS = {
    "cache": "what can be made or fetched again", "data": "runs and projects", "config": "nothing so far",
    "state": "nothing so far",
}  # fmt: skip
LIBRARIES = (
    "numpy", "pillow", "soundfile", "onnxruntime", "onnxruntime-gpu", "onnx", "scikit-learn", "torch", "torchvision",
    "torchaudio",
)  # fmt: skip
PORTS = {"studio": 8420, "serve": 8000}
SIZE_S = 1.0  # for counting what a folder holds
LITTLE_DISK, LITTLE_MEMORY = 2 << 30, 1 << 30
_NETWORKED = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "fuse.sshfs", "ceph", "lustre", "glusterfs")


def doctor() -> dict[str, Any]:
    """Machine, libraries, folders, extras and environment, and what to do about what is wrong.

    Returns:
        {"schema", "version", "python", "system", "machine", "memory", "gpu", "libraries", "folders", "extras", "devices",
        "ports", "environment", "offline", "weights", "findings": [{"kind", "severity", "message", "fix"}]}. Sizes are in
        bytes; `memory` has the keys of the studio's GET /memory/status and `limit_bytes`.
    """
    folders = {kind: _folder(place(kind), about) for kind, about in KINDS.items()}
    gpu = gpus.read()
    found: dict[str, Any] = {
        "schema": 1, "version": __version__, "python": platform.python_version(), "executable": sys.executable,
        "system": platform.platform(), "machine": _machine(), "memory": _memory(), "gpu": vars(gpu) if gpu else None,
        "libraries": {name: _version(name) for name in LIBRARIES}, "folders": folders,
        "extras": {
            e.name: {"installed": not e.missing, "missing": e.missing, "brings": e.brings, "command": e.command}
            for e in EXTRAS.values()
        },
        "devices": {"browser": _browser(), "microphone": _microphone()}, "ports": _ports(),
        "environment": [{"name": v.name, "value": value, "meaning": v.meaning} for v, value in given()],
        "offline": switched_on("HANDFUL_OFFLINE", "HF_HUB_OFFLINE") or None, "weights": _weights(),
    }  # fmt: skip
    found["findings"] = [*_of_folders(found), *_of_libraries(found), *_of_machine(found), *_of_environment(found)]
    order = ("error", "warning", "note")
    found["findings"].sort(key=lambda row: order.index(row["severity"]))
    return found


# -- what there is -------------------------------------------------------------------------------------------------------


def _machine() -> dict[str, Any]:
    from handful.graph import run_threads

    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {"processor": name, "processors": processors(), "threads": run_threads(None)}


def _memory() -> dict[str, Any]:
    from handful.jobs import glance
    from handful.workflow.studio.machine import status

    data = place("data")
    seen = glance(data / "projects")
    return {**status(_standing(data), seen), "limit_bytes": memory_limit(), "studio": seen["url"]}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _standing(path: Path) -> Path:
    """The nearest folder that is there."""
    return next((p for p in (path, *path.parents) if p.is_dir()), Path(path.anchor))


def _folder(path: Path, about: str) -> dict[str, Any]:
    """`complete`: whether all files were counted in the time there is."""
    size, complete = size_of(path, SIZE_S)
    stands = _standing(path)
    return {
        "path": str(path), "holds": about, "exists": path.is_dir(), "bytes": size, "complete": complete,
        "disk_free_bytes": shutil.disk_usage(stands).free, "writable": _writable(path, stands),
        "file_system": _file_system(stands),
    }  # fmt: skip


def _writable(path: Path, stands: Path) -> bool:
    """Whether it can be made and written, as far as that shows without writing."""
    between = [p for p in (path, *path.parents) if p.exists() or p.is_symlink()]
    return between[0].is_dir() and os.access(stands, os.W_OK | os.X_OK)


def size_of(path: Path, seconds: float) -> tuple[int, bool]:
    """Bytes of a file, or of all files below a folder; whether all were seen in the time given. Links are not followed."""
    if not path.is_dir():
        return (path.lstat().st_size if path.is_file() else 0), True
    deadline, total = time.monotonic() + seconds, 0
    for folder, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
        if time.monotonic() > deadline:
            return total, False
    return total, True


def _file_system(path: Path) -> str | None:
    """Its kind, where the system tells."""
    best: tuple[int, str] | None = None
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            before, _, after = line.partition(" - ")
            mount = Path(before.split()[4].encode("latin-1", "replace").decode("unicode_escape"))
            if path.resolve().is_relative_to(mount) and (best is None or len(mount.parts) >= best[0]):
                best = (len(mount.parts), after.split()[0])
    return best[1] if best else None


def _browser() -> str | None:
    """The program that `handful studio` would open."""
    import webbrowser

    with contextlib.suppress(webbrowser.Error):
        return str(getattr(webbrowser.get(), "name", "yes"))
    return None


def _microphone() -> dict[str, Any]:
    """{"name"} of the one that `handful listen` would take; {"why", "fix"} where there is none, {} without the extra."""
    if EXTRAS["listen"].missing:
        return {}
    from handful.errors import HandfulError
    from handful.workflow.listen import microphone

    try:
        return {"name": microphone(None)["name"]}
    except HandfulError as error:
        return {"why": error.message, "fix": error.hint}


def _ports() -> dict[str, Any]:
    """Whether the usual ports of this machine are free. Nothing is sent."""
    found = {}
    for name, port in PORTS.items():
        with contextlib.closing(socket.socket()) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
                free = True
            except OSError:
                free = False
        found[name] = {"port": port, "free": free}
    return found


def _weights() -> list[str]:
    """Networks whose published weights are at hand."""
    from handful.models import Network, models
    from handful.models._weights import at_hand

    return [model.name for model in models if isinstance(model, Network) and model.url and at_hand(model)]


# -- what is wrong -------------------------------------------------------------------------------------------------------


def _finding(kind: str, severity: str, message: str, fix: str) -> dict[str, str]:
    return {"kind": kind, "severity": severity, "message": message, "fix": fix}


def _of_folders(found: dict[str, Any]) -> list[dict[str, str]]:
    rows, home = [], "set HANDFUL_HOME, or --home, to a folder "
    for kind in ("cache", "data"):
        folder = found["folders"][kind]
        where = f"the {kind} folder {folder['path']}"
        if not folder["writable"]:
            rows.append(_finding("folder", "error", f"{where} cannot be written", f"{home}that can be written"))
        if folder["file_system"] in _NETWORKED:
            why = f"{where} lies on {folder['file_system']}, where locks may not hold: two programs could write at once"
            rows.append(_finding("network-disk", "warning", why, f"{home}on a disk of this machine"))
        if folder["disk_free_bytes"] < LITTLE_DISK:
            free = f"{folder['disk_free_bytes'] / 1e9:.1f} GB are free where {where} lies"
            rows.append(_finding("disk", "warning", free, "free some space, e.g. handful cache rm --older-than 30"))
    return rows


def _of_libraries(found: dict[str, Any]) -> list[dict[str, str]]:
    rows, versions, gpu = [], found["libraries"], found["gpu"]
    for name, severity, lacking in (
        ("learn", "warning", "nothing can be trained; what others trained can be used, and data checked"),
        ("torch", "note", "networks cannot be fine-tuned, and only weights as safetensors or ONNX can be used"),
    ):
        extra = EXTRAS[name]
        if extra.missing:
            rows.append(_finding("extra", severity, f"{extra.missing} is not installed: {lacking}", extra.command))
    if gpu and (versions["torch"] or "").endswith("+cpu"):
        why = f"there is a GPU ({gpu['name']}), but this torch ({versions['torch']}) cannot use one"
        fix = "pip install --force-reinstall torch torchvision torchaudio"
        rows.append(_finding("gpu", "warning", why, fix))
    if gpu and not versions["onnxruntime-gpu"]:
        why = f"there is a GPU ({gpu['name']}), but this ONNX Runtime cannot use one: it predicts on the processor"
        fix = "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'"
        rows.append(_finding("gpu", "note", why, fix))
    if versions["onnxruntime-gpu"] and versions["onnxruntime"]:
        why = "onnxruntime and onnxruntime-gpu are both installed: which one works is chance"
        fix = "pip uninstall onnxruntime onnxruntime-gpu, then pip install 'onnxruntime-gpu[cuda,cudnn]'"
        rows.append(_finding("libraries", "warning", why, fix))
    if why := found["devices"]["microphone"].get("why"):
        rows.append(_finding("microphone", "note", why, found["devices"]["microphone"]["fix"]))
    return rows


def _of_machine(found: dict[str, Any]) -> list[dict[str, str]]:
    rows, memory = [], found["memory"]
    most = memory["limit_bytes"] or memory["total_bytes"]
    if min(memory["available_bytes"], most) < LITTLE_MEMORY:
        free = f"{min(memory['available_bytes'], most) / 1e9:.1f} GB of memory are free"
        rows.append(_finding("memory", "warning", free, "close other programs, or train with --strategy probe"))
    machine = found["machine"]
    if machine["threads"] < machine["processors"]:
        why = f"OMP_NUM_THREADS leaves {machine['threads']} of {machine['processors']} processors to handful"
        rows.append(_finding("threads", "note", why, "unset OMP_NUM_THREADS, or give --threads"))
    if not found["ports"]["serve"]["free"]:
        why = f"port {PORTS['serve']} is taken: handful serve cannot listen there"
        rows.append(_finding("port", "note", why, "handful serve RUN --port 0"))
    return rows


def _of_environment(found: dict[str, Any]) -> list[dict[str, str]]:
    rows = []
    known = [v.name for v in VARIABLES]
    for name in sorted(os.environ):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if name.startswith("HANDFUL_") and name not in (*known, "HANDFUL_TEST_DATA"):
            fix = f"did you mean {near[0]}?" if near else f"unset {name}"
            rows.append(_finding("environment", "warning", f"{name} is set, but means nothing to handful", fix))
    if (home := os.environ.get("TORCH_HOME")) and not Path(home).is_dir():
        rows.append(_finding("environment", "note", f"TORCH_HOME is {home}, which is not there", "unset TORCH_HOME"))
    if found["offline"] and not found["weights"]:
        why = f"no pretrained weights are at hand, and {found['offline']} forbids to fetch them"
        fix = f"unset {found['offline']}, or give a file with --weights"
        rows.append(_finding("weights", "warning", why, fix))
    elif not found["weights"]:
        first = "the first training fetches what it needs, up to 50 MB"
        if found["extras"]["torch"]["missing"]:
            first = "trainings use methods that need none, for fetched weights need torch"
        why = f"no pretrained weights are at hand: {first}"
        rows.append(_finding("weights", "note", why, "handful fetch squeezenet1_0"))
    return rows
