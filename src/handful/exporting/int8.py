"""ONNX with 8-bit weights and activations (static QDQ, one scale a channel; Jacob et al. 2018, arXiv:1712.05877).

Ranges come from training files. What rounding costs is counted on labelled files, paired with fp32; where it costs too
much, layers that suffer most stay in fp32, and where that does not help it is refused. The head and everything before the
network always stay in fp32.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.errors import ExportError
from handful.exporting import LOSSY_ERROR, Order, Written, _labelled, _network, exporters, vectors
from handful.exporting.onnx import Onnx
from handful.files import atomic_write, to_json
from handful.inference import Predictor
from handful.metrics import paired
from handful.registry import optional
from handful.runs import Run
from handful.sources import Sources
from handful.words import Number, Sentence, both, said

MAX_DROP = 0.01  # of the accuracy; and
MAX_LOST = 2  # files: more of both is refused
MAX_CHANGE = (
    0.1  # of a logit, as a share of their spread: beyond it mixed precision is tried although few answers change
)
LEAST_TOLERANCE = 0.1  # of the same, on machines that round in other places
MAX_TRIALS = 60  # layers are tried alone, in a deeper network neighbours together
SHARES = (0.25, 0.5)  # of the layers, most sensitive first, that stay in fp32 where rounding all costs too much


@dataclass
class _Items:
    """Decoded labelled files, windows one after another: items [W, ...], `owner` int [W] (file), labels int [files]."""

    items: np.ndarray
    owner: np.ndarray
    labels: np.ndarray
    of: str

    def logits(self, predictor: Predictor) -> np.ndarray:
        """[files, classes], windows averaged."""
        rows = np.concatenate([predictor.logits(self.items[i : i + 16]) for i in range(0, len(self.items), 16)])
        sums = np.zeros((len(self.labels), rows.shape[1]))
        np.add.at(sums, self.owner, rows)
        return sums / np.bincount(self.owner, minlength=len(self.labels))[:, None]


def _read(predictor: Predictor, labelled: _labelled.Labelled) -> _Items:
    read = [predictor.frontend.read(file)[0] for file in labelled.files]
    owner = np.repeat(np.arange(len(read)), [len(items) for items in read])
    return _Items(np.concatenate(read), owner, labelled.labels, labelled.of)


class Int8(Onnx):
    """model.int8.onnx."""

    file = "model.int8.onnx"
    extra = "learn"
    tolerance = LOSSY_ERROR

    def write(self, run: Run, folder: Path, order: Order) -> Written:
        optional("onnx", "learn", said("extra.export", format="INT8"))
        trained = Predictor.load(run.path)
        sources = Sources(run, order.data)
        calibration = _labelled.training(sources)
        notes: list[str] = []
        if calibration.of == "test vectors":
            key = "export.uncalibrated" if sources.place else "export.uncalibrated_strange"
            notes.append(said(key, path=sources.place or "", n=len(calibration.files)))
            order.say(said("say.warning", what=notes[0]))
        with tempfile.TemporaryDirectory(prefix="handful-int8-") as place:
            quantiser = _Quantiser(run, Path(place), _read(trained, calibration).items)
            measured = _read(trained, _labelled.scored(sources))
            path, drop = _best(quantiser, trained, measured, order)
            atomic_write(folder / self.file, _told(path, run, trained.metadata, drop["error"]))
        if drop["error"] > MAX_CHANGE:
            notes.append(said("export.other_confidences", change=Number(drop["error"], "percent")))
            order.say(said("say.warning", what=notes[-1]))
        return Written(folder / self.file, tuple(notes), drop)


def _told(path: Path, run: Run, metadata: dict[str, Any], error: float) -> bytes:
    """The model at `path`, which says how far its answers may be from fp32 elsewhere: half more than they are here."""
    import onnx

    files, expected = vectors(run.path)
    predictor = Predictor.load(path)
    error = max(error, _error(expected, np.stack([predictor.file_logits(file) for file in files])))
    proto = onnx.load_model(path, load_external_data=False)
    told = metadata | {"precision": "int8", "tolerance": round(max(LEAST_TOLERANCE, 1.5 * error), 3)}
    onnx.helper.set_model_props(proto, {"handful": to_json(told)})
    return bytes(proto.SerializeToString(deterministic=True))


def _error(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest difference of logits [files, classes] as a share of their spread."""
    return float(np.abs(found - expected).max()) / max(float(np.ptp(expected, axis=0).max()), 1e-9)


def _best(quantiser: _Quantiser, trained: Predictor, measured: _Items, order: Order) -> tuple[Path, dict[str, Any]]:
    """The first plan that changes little; of those that change more but lose few files the nearest; else ExportError.

    Where a drop is accepted, all layers in 8 bits.
    """
    expected = measured.logits(trained)
    tried = []
    for kept in quantiser.plans(measured, expected, order):
        path = quantiser.write(kept)
        found = measured.logits(Predictor.load(path))
        drop = _drop(expected, found, measured) | {"layers": len(quantiser.layers), "fp32_layers": len(kept)}
        if order.accept_drop or (_tolerable(drop) and drop["error"] <= MAX_CHANGE):
            return path, drop
        tried.append((path, drop))
    tolerable = [row for row in tried if _tolerable(row[1])]
    if tolerable:
        return min(tolerable, key=lambda row: row[1]["error"])
    least = min((drop for _, drop in tried), key=lambda drop: (-drop["change"]["value"], drop["error"]))
    change = least["change"]
    raise ExportError(
        said(
            "export.costly", of=Sentence(f"export.{least['of'].replace(' ', '_')}"), change=Number(change["value"], "change"),
            low=Number(change["low"], "bound"), high=Number(change["high"], "bound"), kept=least["fp32_layers"],
            **{key: least[key] for key in ("right_fp32", "right", "n", "layers")},
        ),
        said("export.costly.fix"),
    )  # fmt: skip


def _drop(expected: np.ndarray, found: np.ndarray, measured: _Items) -> dict[str, Any]:
    """What INT8 costs on the same files: accuracy change with its paired 95 % interval, McNemar's p, agreement."""
    before, after = (logits.argmax(axis=1) == measured.labels for logits in (expected, found))
    return {
        "of": measured.of, "n": len(before), "right_fp32": int(before.sum()), "right": int(after.sum()),
        "agree": int((expected.argmax(axis=1) == found.argmax(axis=1)).sum()),
        "error": _error(expected, found),
        "change": paired.difference(after, before), "p_value": paired.mcnemar(after, before),
    }  # fmt: skip


def _tolerable(drop: dict[str, Any]) -> bool:
    """Whether it loses at most two files or at most one point."""
    lost = drop["right_fp32"] - drop["right"]
    return not (lost > MAX_LOST and lost / drop["n"] > MAX_DROP)


class _Quantiser:
    """One graph, its calibration, and as many plans as are asked for. A plan is the set of layers that stay in fp32."""

    def __init__(self, run: Run, place: Path, items: np.ndarray) -> None:
        import onnx

        self.place, self.items = place, items
        self.proto = onnx.load_model(run.file("model.onnx"), load_external_data=False)
        _network.fold_normalisation(self.proto)
        _network.name_nodes(self.proto)
        self.layers = _network.layers(self.proto)
        self.pixels = _network.pixels(self.proto)
        if not self.layers:
            raise ExportError(*both("export.no_layers", model=str(run.result["model"]), format="INT8"))
        self.source = place / "folded.onnx"
        onnx.save_model(self.proto, self.source)

    def write(self, kept: frozenset[str]) -> Path:
        """The graph with every layer in 8 bits but those called `kept`."""
        from onnxruntime import quantization as q

        layers = [layer for layer in self.layers if layer.name not in kept]
        nodes = [*layers, *_network.between(self.proto, layers)]
        path = self.place / f"{len(kept)}-{abs(hash(kept))}.onnx"
        exact = {"scale": np.array(1.0, np.float32), "zero_point": np.array(0, np.uint8)}
        overrides = {self.pixels: [exact]} if self.pixels else {}
        level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)  # it advises on the root logger
        try:
            q.quantize_static(
                self.source, path, _reader(self.proto.graph.input[0].name, self.items), quant_format=q.QuantFormat.QDQ,
                per_channel=True, activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QInt8,
                nodes_to_quantize=[node.name for node in nodes], op_types_to_quantize=sorted({node.op_type for node in nodes}),
                calibration_cache_path=self.place / "ranges.json",
                extra_options={"TensorQuantOverrides": overrides},
            )  # fmt: skip
        finally:
            logging.getLogger().setLevel(level)
        return path

    def plans(self, measured: _Items, expected: np.ndarray, order: Order) -> Iterator[frozenset[str]]:
        """Sets of layers that stay in fp32, from none to half of them: ends first, then those that rounding alone hurts most."""
        names = [layer.name for layer in self.layers]
        yield frozenset()
        if len(names) < 3:
            return
        order.say(said("export.trying_mixed"))
        yield frozenset((names[0], names[-1]))
        part = _Items(measured.items[:16], measured.owner[:16], measured.labels[: measured.owner[:16].max() + 1], "")
        groups = [tuple(map(str, group)) for group in np.array_split(names, min(len(names), MAX_TRIALS))]
        hurt = {}
        for group in groups:
            path = self.write(frozenset(names) - set(group))
            alone = Predictor.load(path)
            path.unlink()  # nearly as large as fp32, and there are many
            hurt[group] = float(np.abs(part.logits(alone) - expected[: len(part.labels)]).max())
        worst = [name for group in sorted(groups, key=lambda group: -hurt[group]) for name in group]
        for share in SHARES:
            yield frozenset(worst[: max(1, round(share * len(names)))])


def _reader(name: str, items: np.ndarray) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.waiting = iter(items)

        def get_next(self) -> dict[str, np.ndarray] | None:
            item = next(self.waiting, None)
            return None if item is None else {name: item[None]}

    return Reader()


exporters.add("int8", Int8())
