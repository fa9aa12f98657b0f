"""Writes what a training run leaves behind: the model and its graph, the rows, the pictures, run.json last.

Knows the run directory's files and nothing about how anything was computed.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handful import __version__
from handful.files import copy_file, sha256_file, to_json
from handful.graph import Graph, run_threads
from handful.runs import FORMAT, Run, note
from handful.training.embedding import Clock
from handful.training.evaluation import Scored

if TYPE_CHECKING:
    from handful.training.fit import Tested
    from handful.training.trial import Prepared, Trial

VECTORS = 8  # raw files kept with the run, from which every export is proven
VECTOR_BYTES = 4_000_000
COPIED_WEIGHTS_BYTES = 100_000_000
PREVIEWS = 400
SOUNDS = 60


def whole_graph(trial: Trial, temperature: float) -> Graph:
    """From decoded item to calibrated `logits` and `probabilities`, [N, classes] each."""
    g = Graph()
    classes = len(trial.prepared.names)
    logits = g.op("Div", trial.strategy.graph(g, trial.frontend.input(g)), np.float32(temperature))
    g.output(logits, "logits", ["N", classes])
    g.output(g.op("Softmax", logits, axis=1), "probabilities", ["N", classes])
    return g


def write_model(run: Run, trial: Trial, result: dict[str, Any], scored: Scored) -> None:
    """model.onnx (the whole way from decoded file to probabilities), model.safetensors, backbone.json."""
    from safetensors.numpy import save

    strategy, frontend, choice, classes = trial.strategy, trial.frontend, trial.choice, result["classes"]
    g = whole_graph(trial, scored.temperature)
    metadata = {
        "format": FORMAT, "handful": __version__, "modality": result["modality"], "task": result["task"], "classes": classes,
        "frontend": frontend.spec(), "temperature": scored.temperature, "set_quantile": scored.set_quantile,
        "unknown_below": scored.unknown_below, "model": result["model"], "strategy": result["strategy"], "weights": result["weights"],
        "licence": choice.model.network.licence if choice.model.network and choice.weights else "Apache-2.0",
        "data": result["data"]["fingerprint"], "score": result["score"],
    }  # fmt: skip
    run.write(
        "model.onnx",
        g.build({"handful": to_json(metadata)}, doc=f"{result['model']}, {result['strategy']}; see the metadata"),
    )
    arrays = {name: np.asarray(array, order="C") for name, array in sorted(strategy.state().items())}
    run.write("model.safetensors", save(arrays, {"handful": to_json(metadata)}))
    weights = choice.weights
    copied = None
    if weights and weights.path.stat().st_size < COPIED_WEIGHTS_BYTES and result["strategy"] in ("probe", "prototype"):
        copied = "backbone" + weights.path.suffix
        copy_file(weights.path, run.file(copied))
    run.write_json("backbone.json", {
        "model": choice.model.name, "weights": weights.name if weights else None, "sha256": weights.sha256 if weights else None,
        "licence": metadata["licence"], "copied": copied,
    })  # fmt: skip


def write_vectors(run: Run, trial: Trial, scored: Scored) -> None:
    """A few raw files of different classes and what the trained model, not its export, says of them."""
    prepared = trial.prepared
    order = np.argsort(prepared.labels, kind="stable")
    ranks = np.concatenate([np.arange(n) for n in np.bincount(prepared.labels)])
    turn = order[np.lexsort((prepared.labels[order], ranks))]  # first of each class, second of each class, ...
    chosen = [prepared.samples[i] for i in turn if prepared.samples[i].path.stat().st_size <= VECTOR_BYTES][:VECTORS]
    samples, logits, *_ = trial.strategy.predict(chosen)
    rows = []
    for number, (sample, row) in enumerate(zip(samples, logits / scored.temperature, strict=True)):
        name = f"vectors/{number:02d}{sample.path.suffix.lower()}"
        copy_file(sample.path, run.file(name))
        rows.append({"file": name, "sha256": sample.sha256, "label": sample.label, "logits": [float(v) for v in row]})
    run.write_json("vectors.json", rows)


def write_previews(run: Run, trial: Trial, scored: Scored) -> list[dict[str, Any]]:
    """Thumbnails (wrong ones first), sounds to listen to, and pictures of augmentation; returns the latter for run.json."""
    prepared, reader, frontend = trial.prepared, trial.reader, trial.frontend
    ranked = _doubtful_first(prepared, scored)
    thumbnails = reader.thumbnails([prepared.samples[i] for i in ranked[:PREVIEWS]])
    for sha256, thumbnail in thumbnails.items():
        run.write_preview(f"previews/{sha256[:16]}.jpg", thumbnail)
    for i in ranked[:SOUNDS]:
        if sound := frontend.sound(prepared.samples[i].path):
            run.write_preview(f"previews/{prepared.samples[i].sha256[:16]}.ogg", sound)
    rows = []
    for label in range(min(3, len(prepared.names))):
        first = prepared.samples[int(np.flatnonzero(prepared.labels == label)[0])]
        items, _ = frontend.read(first.path)
        before = f"previews/augment-{label}.jpg"
        run.write_preview(before, frontend.thumbnail(items[:1]))
        after = []
        for view in range(1, 5):
            after.append(f"previews/augment-{label}-{view}.jpg")
            changed = frontend.augment(items[0], np.random.default_rng([label, view]))
            run.write_preview(after[-1], frontend.thumbnail(changed[None]))
        rows.append({"label": prepared.names[label], "before": before, "after": after})
    return rows


def _doubtful_first(prepared: Prepared, scored: Scored) -> list[int]:
    """Samples by the probability given to their class, lowest first; untested ones last."""
    mean = scored.probabilities.mean(axis=0)
    own = mean[np.arange(len(mean)), prepared.labels]
    return [int(i) for i in np.argsort(np.where(np.isnan(own), 2.0, own), kind="stable")]


def write_rows(run: Run, trial: Trial, scored: Scored, tested: Tested | None, places: np.ndarray | None) -> None:
    """samples.jsonl, out_of_fold.jsonl, test.jsonl, a line at a time. `places` float [samples, 2]: the embedding map."""
    prepared, reader = trial.prepared, trial.reader
    names = prepared.names
    order = sorted(range(len(prepared.samples)), key=lambda i: prepared.samples[i].file)
    by_file = [prepared.samples[i] for i in order]

    def named(p: np.ndarray) -> dict[str, float]:
        return {name: round(float(v), 6) for name, v in zip(names, p, strict=True)}

    run.write_rows("samples.jsonl", (
        {
            "id": s.sha256[:16], "file": s.file, "sha256": s.sha256, "label": s.label, "group": s.group or None,
            "cluster": int(prepared.groups[i]), "split": s.split or "train", "seconds": seen.get("seconds"),
            "preview": _if_there(run, f"previews/{s.sha256[:16]}.jpg"), "sound": _if_there(run, f"previews/{s.sha256[:16]}.ogg"),
            **({"fold": s.fold} if s.fold else {}), **({"map": [round(float(v), 4) for v in places[i]]} if places is not None else {}),
        }
        for i, s, seen in zip(order, by_file, reader.facts(by_file), strict=True)
    ))  # fmt: skip
    run.write_rows("out_of_fold.jsonl", (
        {
            "file": prepared.samples[i].file, "label": prepared.samples[i].label, "group": prepared.samples[i].group or None,
            "repeat": repeat, "fold": int(folds[i]), "scores": named(scored.probabilities[repeat, i]),
        }
        for repeat, folds in enumerate(prepared.plan.folds) for i in order if folds[i] >= 0
    ))  # fmt: skip
    if tested is None:
        return
    wrong = [s for s, p in zip(tested.samples, tested.probabilities, strict=True) if names[int(p.argmax())] != s.label]
    for sha256, thumbnail in reader.thumbnails(wrong[:PREVIEWS]).items():
        run.write_preview(f"previews/test-{sha256[:16]}.jpg", thumbnail)
    run.write_rows("test.jsonl", (
        {
            "file": s.file, "sha256": s.sha256, "label": s.label, "group": s.group or None,
            "preview": _if_there(run, f"previews/test-{s.sha256[:16]}.jpg"), "scores": named(p),
        }
        for s, p in zip(tested.samples, tested.probabilities, strict=True)
    ))  # fmt: skip


def _if_there(run: Run, name: str) -> str | None:
    return name if run.has(name) else None


def finish(run: Run, result: dict[str, Any], clock: Clock, quick: bool) -> None:
    """Costs, versions, and run.json: from here on the run exists."""
    peak_gpu, share = _gpu()
    seconds = {
        stage: round(clock.seconds.get(stage, 0.0), 3)
        for stage in ("scan", "decode", "export", "embed", "fit", "study", "save")
    }
    result |= {
        "seconds": {"total": round(sum(clock.seconds.values()), 3), **seconds},
        "peak_rss_bytes": peak_memory(),
        "peak_gpu_bytes": peak_gpu,
        "gpu_share": share,
        "versions": {"handful": __version__, "python": platform.python_version(), **_versions()},
        "hardware": {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(), "threads": run_threads(None)},
        "next": [
            f"handful predict {_quoted(run.path)} FILE...",
            f"handful export {_quoted(run.path)} --format onnx,bundle",
            f"handful explain {_quoted(run.path)}",
            *([f"handful curve {_quoted(run.path)}"] if quick else []),
        ],
        "files": {name: sha256_file(run.file(name)) for name in ("model.onnx", "model.safetensors", "samples.jsonl", "out_of_fold.jsonl")},
    }  # fmt: skip
    run.write_json("run.json", result)
    note(run)


def reset_peak_memory() -> None:
    """From here on `peak_memory` counts anew, where the system can do that (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory() -> int:
    """The most memory in bytes that this process held at once."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))


def _versions() -> dict[str, str]:
    """Of the libraries this process has loaded; asking for others would load them."""
    names = ("numpy", "PIL", "soundfile", "soxr", "onnxruntime", "onnx", "sklearn", "torch", "torchvision")
    return {name: str(getattr(sys.modules[name], "__version__", "?")) for name in names if name in sys.modules}


def _gpu() -> tuple[int | None, float | None]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.max_memory_allocated():
        return None, None
    peak = int(torch.cuda.max_memory_allocated())
    return peak, peak / torch.cuda.get_device_properties(0).total_memory
