"""Reads weight files and puts them into a module: safetensors with a reader of its own, and plain torch state dicts.

Files may come from anywhere. A safetensors file is data and is checked field by field before a tensor is made; a pickle is
code, and is only opened by torch's restricted loader, in one place. Knows nothing about where files lie.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handful.errors import WeightsError
from handful.files import atomic_write, cache_dir
from handful.models import Network, Weights, facts, models
from handful.models._facts import signature
from handful.registry import optional
from handful.words import said

if TYPE_CHECKING:
    from torch import nn

State = dict[str, np.ndarray]

HEADER_LIMIT = 1 << 20
TENSOR_LIMIT = 10_000
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
}
# What torchlibrosa keeps in a state dict although it follows from settings.
FILTER_BANKS = ("spectrogram_extractor.", "logmel_extractor.")
_PICKLES = (b"PK\x03\x04", b"\x80")
_HINT = "give a .safetensors file, a plain torch state dict (.pth) or an ONNX backbone (.onnx)"


def read_state(path: Path) -> State:
    """The tensors of a weight file by name; every float is float32. Raises WeightsError on anything unexpected."""
    try:
        with open(path, "rb") as file:
            magic = file.read(8)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})", _HINT) from error
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        if magic.startswith(_PICKLES):
            raise WeightsError(
                f"{path.name} is a pickle under the name of a safetensors file",
                "pickles can run code; ask for the real file",
            )
        return read_safetensors(path)
    if suffix in (".pth", ".pt", ".bin"):
        return _read_pickle(path)
    raise WeightsError(f"{path.name} is no kind of weight file that handful reads", _HINT)


def _read_pickle(path: Path) -> State:
    loaded = _inner(_unpickled(path))
    torch = optional("torch", "torch", said("extra.reading", file=path.name))
    if not isinstance(loaded, dict) or not loaded or not all(torch.is_tensor(value) for value in loaded.values()):
        raise WeightsError(
            f"{path.name} holds something else than named tensors",
            'save it with torch.save(model.state_dict(), "weights.pth")',
        )
    return {str(key): (value.float() if value.is_floating_point() else value).numpy() for key, value in loaded.items()}


def _unpickled(path: Path, allowed: Sequence[type] = ()) -> Any:
    """What a pickle holds: tensors, containers and objects of `allowed` classes, nothing that runs."""
    torch = optional("torch", "torch", said("extra.reading", file=path.name))
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)  # the only torch.load of the package
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise WeightsError(f"{path.name} is no plain torch state dict ({reason})", _HINT) from error


def read_modules(path: Path, allowed: Sequence[type]) -> State:
    """The tensors of a pickled module, alone or under "ema" or "model", that is made of `allowed` classes; or as `read_state`."""
    if path.suffix.lower() == ".safetensors":
        return read_state(path)
    torch = optional("torch", "torch", said("extra.reading", file=path.name))
    loaded = _unpickled(path, allowed)
    if isinstance(loaded, dict):
        loaded = next((loaded[key] for key in ("ema", "model") if isinstance(loaded.get(key), torch.nn.Module)), None)
    if not isinstance(loaded, torch.nn.Module):
        return read_state(path)
    return {key: (t.float() if t.is_floating_point() else t).numpy() for key, t in loaded.state_dict().items()}


def _inner(loaded: Any) -> Any:
    """The state dict in {"model": state dict, "iteration": 600000}, as PANNs are published; else what was given."""
    if not isinstance(loaded, dict) or not isinstance(loaded.get("model"), dict):
        return loaded
    numbers = all(isinstance(value, int | float | str) for key, value in loaded.items() if key != "model")
    return loaded["model"] if numbers else loaded


def tensors_of(weights: Weights, read: Callable[[Path], State]) -> State:
    """What `read` finds in a weight file; a pickle is opened once, afterwards its safetensors copy in the cache is read."""
    if weights.path.suffix.lower() == ".safetensors":
        return read_state(weights.path)
    copy = cache_dir() / "tensors" / f"{weights.sha256}.safetensors"
    if copy.is_file():
        with contextlib.suppress(WeightsError, OSError):  # a damaged copy is made again
            return read_safetensors(copy)
    state = read(weights.path)
    from safetensors.numpy import save

    atomic_write(copy, save({name: np.asarray(value, order="C") for name, value in state.items()}))
    return state


def read_safetensors(path: Path) -> State:
    """The tensors of a safetensors file; float16, bfloat16 and float64 become float32.

    Stricter than the format asks: a header of at most 1 MiB, no name twice, and tensors that cover the data without
    overlap, gap or rest (https://huggingface.co/docs/safetensors).
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 10 or length > min(HEADER_LIMIT, size - 8):
            raise WeightsError(
                f"{path.name} is no whole safetensors file (a header of {length:,} bytes)", "fetch the file again"
            )
        entries = _entries(path.name, file.read(length), size - 8 - length)
        state = {}
        for name, (dtype, shape, start, end) in entries.items():
            file.seek(8 + length + start)
            array = np.frombuffer(file.read(end - start), _DTYPES[dtype]).reshape(shape)
            if dtype == "BF16":
                array = (array.astype(np.uint32) << 16).view(np.float32)
            state[name] = array.astype(np.float32) if array.dtype.kind == "f" else array.copy()
    return state


def _entries(file: str, header: bytes, data_bytes: int) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    """Name -> (dtype, shape, start, end) of a safetensors header, in the order of the data."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a name occurs twice")
        return table

    def whole(values: Any) -> bool:
        return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**40 for value in values)

    try:
        table = json.loads(header, object_pairs_hook=unique)
        table.pop("__metadata__", None)
        if not table or len(table) > TENSOR_LIMIT:
            raise ValueError(f"{len(table)} tensors")
        rows = {}
        for name, entry in table.items():
            dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
            if dtype not in _DTYPES or not whole(shape) or len(shape) > 8 or not whole(span) or len(span) != 2:
                raise ValueError(f"tensor {name[:60]!r} is described wrongly")
            if math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize != span[1] - span[0]:
                raise ValueError(f"tensor {name[:60]!r} has another size than its shape")
            rows[name] = (dtype, tuple(shape), span[0], span[1])
        position = 0
        ordered = dict(sorted(rows.items(), key=lambda row: row[1][2:]))
        for name, (_, _, start, end) in ordered.items():
            if start != position:
                raise ValueError(f"tensor {name[:60]!r} leaves a gap or overlaps")
            position = end
        if position != data_bytes:
            raise ValueError(f"the tensors cover {position:,} of {data_bytes:,} bytes")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{file} is no sound safetensors file ({error})", "fetch the file again") from error
    return ordered


def build(model: Network, weights: Weights | None, seed: int = 0) -> nn.Module:
    """The model's torch module in eval mode: with `weights`, or random from `seed` when there are none.

    The last layer may be absent from the file, have another number of classes, or another form: it is random then.
    """
    torch = optional("torch", "torch", said("extra.building", name=model.name))
    if weights is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return model.create(1000).eval()
    state = tensors_of(weights, model.read) if model.read else read_state(weights.path)
    state = model.adopt(state) if model.adopt else state
    # On meta tensors nothing is initialised only to be overwritten: seconds saved on the large networks.
    with torch.device("meta"):
        module = model.create(1000)
    head = _head_keys(model, module)
    classes = next((state[key].shape[0] for key in head if key in state and state[key].size), 1000)
    if classes != 1000:
        with torch.device("meta"):
            module = model.create(classes)
    state = _without_other_heads(state, module, head)
    _check_fit(model, module, state, head, weights.path.name)
    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    module.load_state_dict(tensors, strict=False, assign=True)
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        # Tensors no file holds (an absent head, buffers that are computed): let the constructor make them.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = model.create(classes)
        module.load_state_dict(tensors, strict=False)
    return module.requires_grad_(True).eval()


def _head_keys(model: Network, module: nn.Module) -> list[str]:
    """Names of the tensors whose shape depends on the number of classes."""
    import torch

    with torch.device("meta"):
        other = model.create(2).state_dict()
    return [key for key, value in module.state_dict().items() if value.shape != other[key].shape]


def _without_other_heads(state: State, module: nn.Module, head: list[str]) -> State:
    """`state` less tensors of a head that is built another way, such as the fresh head of a network handful trained."""
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    places = {key.split(".")[0] for key in head}
    other = {key for key in state if key not in wanted and key.split(".")[0] in places}
    other |= {key for key in head if key in state and state[key].shape != wanted[key]}
    return {key: value for key, value in state.items() if key not in other}


def _check_fit(model: Network, module: nn.Module, state: State, head: list[str], file: str) -> None:
    wanted = {key: (tuple(value.shape), value.is_floating_point()) for key, value in module.state_dict().items()}
    given = {key: (value.shape, value.dtype.kind == "f") for key, value in state.items()}
    optional_keys = {key for key in wanted if key.endswith("num_batches_tracked")} | set(head)
    missing = [key for key in wanted if key not in given and key not in optional_keys]
    unexpected = [key for key in given if key not in wanted]
    shapes = [key for key in wanted if key in given and given[key] != wanted[key]]
    if not (missing or unexpected or shapes):
        if all(np.isfinite(value).all() for value in state.values()):
            return
        raise WeightsError(f"{file} holds numbers that are not finite", "fetch the file again")
    counts = [
        f"{len(keys)} {what} ({', '.join(keys[:2])}{', ...' if len(keys) > 2 else ''})"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape or type", shapes))
        if keys
    ]
    fitting = recognise(state)
    hint = (
        f"these are weights of {fitting}: use --model {fitting}"
        if fitting
        else f"use weights that were saved from {model.name}"
    )
    raise WeightsError(f"{file} does not fit {model.name}: tensors {'; '.join(counts)}", hint)


def recognise(state: State) -> str | None:
    """The name of the catalogued network these tensors belong to, judged by their names and shapes."""
    found = signature({key: value.shape for key, value in state.items() if not key.startswith(FILTER_BANKS)})
    return next((name for name in models.names() if facts(name).get("signature") == found), None)
