"""Finds the pretrained weights of a network: a file the user names, the caches of this machine, or the network.

Says in plain lines what was tried, because "no weights" must never be a mystery. Other programs' caches are read, never
written. Knows where files lie and what their hash must be, not what is inside them.

Environment: `TORCH_HOME`, `HF_HOME`, `HF_HUB_CACHE` (caches), `HANDFUL_OFFLINE=1` or `HF_HUB_OFFLINE=1` (no socket is
opened), `HANDFUL_WEIGHTS_MIRROR` (address of a folder with the same file names), `HF_ENDPOINT`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from handful.environment import switched_on
from handful.errors import WeightsError
from handful.files import cache_dir, place, sha256_file
from handful.models import Network, Weights
from handful.models._download import DownloadError, Progress, difference, download
from handful.words import reason, said

# What is fetched without being asked for: as much as a user waits for at the first run.
UNASKED_BYTES = 50_000_000

_HUGGING_FACE = "https://huggingface.co/"
_KINDS = (".safetensors", ".pth", ".pt", ".bin", ".onnx")

# Hosts that did not answer in this process: asked once, not once a file.
_silent_hosts: dict[str, str] = {}
_foreseeing: ContextVar[bool] = ContextVar("foreseeing", default=False)


@contextlib.contextmanager
def foreseeing() -> Iterator[None]:
    """Inside, nothing is fetched: `resolve` answers with what it would fetch, with an empty hash."""
    token = _foreseeing.set(True)
    try:
        yield
    finally:
        _foreseeing.reset(token)


def resolve(
    model: Network,
    asked: str | None,
    *,
    fetch_limit_bytes: int | None = UNASKED_BYTES,
    progress: Progress | None = None,
) -> tuple[Weights | None, list[str]]:
    """The weights of `model`, or None, with one line for each place that was tried.

    `asked`: a path (wrong: WeightsError), "none", or None for the published weights. Those come from the caches of torch,
    Hugging Face and handful, else from the network when they are no larger than `fetch_limit_bytes` (None: any size, 0: none).
    """
    if asked is not None and asked.lower() == "none":
        return None, ["no weights, as asked"]
    if asked is not None:
        return _from_path(Path(asked).expanduser()), [f"weights from {asked}"]
    if not model.url:
        return None, [f"nobody publishes weights of {model.name}"]
    tried: list[str] = []
    for path in places(model):
        if not path.is_file():
            if (line := f"not in {path.parent}") not in tried:
                tried.append(line)
            continue
        wrong = damage(path, model)
        if not wrong:
            return Weights(path, path.name, sha256_file(path)), [*tried, f"found {path}"]
        tried.append(f"{path} is damaged: {wrong}")
    return _from_network(model, tried, fetch_limit_bytes, progress)


def damage(path: Path, model: Network) -> str:
    """How a file's hash differs from the published one, or ""."""
    with open(path, "rb") as file:
        return difference(file, "sha256", model.weights_sha256) or difference(file, "md5", model.weights_md5)


def missing(model: Network, tried: list[str]) -> WeightsError:
    """The error for a job that cannot go on without weights, with both ways out."""
    return WeightsError(
        said("error.no_weights_of", model=model.name, tried="; ".join(tried)),
        said("error.no_weights_of.fix", model=model.name, file=file_name(model), address=address(model)),
    )


def file_name(model: Network) -> str:
    """What the published file is called in caches and on mirrors."""
    if model.url.startswith(_HUGGING_FACE):
        owner, repository = model.url.removeprefix(_HUGGING_FACE).split("/")[:2]
        return f"{owner}--{repository}.safetensors"
    return unquote(model.url.rpartition("/")[2])


def address(model: Network) -> str:
    """Where the published file is fetched from, mirrors considered."""
    mirror = os.environ.get("HANDFUL_WEIGHTS_MIRROR")
    if mirror:
        return f"{mirror.rstrip('/')}/{quote(file_name(model))}"
    endpoint = os.environ.get("HF_ENDPOINT")
    if endpoint and model.url.startswith(_HUGGING_FACE):
        return f"{endpoint.rstrip('/')}/{model.url.removeprefix(_HUGGING_FACE)}"
    return model.url


def offline() -> bool:
    """Whether the user forbade the network."""
    return bool(switched_on("HANDFUL_OFFLINE", "HF_HUB_OFFLINE"))


def _from_path(path: Path) -> Weights:
    hint = said("weights.file.fix")
    if not path.is_file():
        raise WeightsError(said("weights.missing", path=str(path)), hint)
    if path.suffix.lower() not in _KINDS:
        raise WeightsError(said("weights.kind", file=path.name), hint)
    try:
        return Weights(path, path.name, sha256_file(path))
    except OSError as error:
        raise WeightsError(said("weights.closed", path=str(path), reason=reason(error)), hint) from error


def at_hand(model: Network) -> bool:
    """Whether a file of its weights lies in a cache; its content is not looked at."""
    return any(path.is_file() for path in places(model))


def places(model: Network) -> Iterator[Path]:
    """Where a file of its published weights may lie, the caches of other programs first."""
    if model.url.startswith(_HUGGING_FACE):
        snapshots = hugging_face_folder() / f"models--{file_name(model).removesuffix('.safetensors')}" / "snapshots"
        yield from sorted(snapshots.glob("*/model.safetensors")) or [snapshots / "model.safetensors"]
    else:
        checkpoints = torch_folder()
        # torch keeps the name as it stands in the address.
        yield from dict.fromkeys(checkpoints / name for name in (file_name(model), model.url.rpartition("/")[2]))
    yield place("cache") / "weights" / file_name(model)


def torch_folder() -> Path:
    """Where torch keeps what it fetched; other programs use it, too."""
    return Path(os.environ.get("TORCH_HOME") or _caches() / "torch") / "hub" / "checkpoints"


def hugging_face_folder() -> Path:
    """Where Hugging Face's libraries keep what they fetched; other programs use it, too."""
    home = Path(os.environ.get("HF_HOME") or _caches() / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub")


def _caches() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _from_network(
    model: Network, tried: list[str], limit: int | None, progress: Progress | None
) -> tuple[Weights | None, list[str]]:
    url = address(model)
    host = urlsplit(url).netloc
    if offline():
        return None, [*tried, "not fetched: offline by HANDFUL_OFFLINE or HF_HUB_OFFLINE"]
    if limit == 0:
        return None, [*tried, f"not fetched unasked (handful fetch {model.name})"]
    if limit is not None and model.weights_bytes > limit:
        size = f"{model.weights_bytes / 1e6:.0f} MB"
        return None, [
            *tried,
            f"not fetched unasked: {size}, more than {limit / 1e6:.0f} MB (handful fetch {model.name})",
        ]
    if host in _silent_hosts:
        return None, [*tried, f"not fetched: {_silent_hosts[host]}"]
    target = cache_dir() / "weights" / file_name(model)
    if _foreseeing.get():
        return Weights(target, target.name, ""), [*tried, f"would be fetched from {url}"]
    try:
        download(url, target, model.weights_sha256, md5=model.weights_md5, limit_bytes=limit, progress=progress)
    except DownloadError as error:
        if error.network:
            _silent_hosts[host] = str(error)
        return None, [*tried, f"not fetched: {error}"]
    return Weights(target, target.name, sha256_file(target)), [*tried, f"fetched {url}"]
