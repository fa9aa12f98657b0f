"""Measures exports: python benchmarks/exports.py. Prints a table: what, measured, goal.

INT8 against fp32 on cats and dogs (200 test pictures that neither training nor calibration saw), the whole graph against the
bare network, the filter bank on 5 s of sound. Sides alternate in blocks of calls; processor time of one thread, which other
programs on the machine disturb less than the clock on the wall. Needs the real data sets (HANDFUL_TEST_DATA); networks that
8 bits are known to hurt need torch and pytest.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

import handful
from handful.errors import ExportError
from handful.features import _spectra
from handful.features.audio import AudioFrontend
from handful.graph import Graph, session
from handful.inference import Predictor

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("HANDFUL_TEST_DATA", HERE.parents[1] / "shared" / "data"))
WEIGHTS = DATA / "weights" / "squeezenet1_0_imagenet.safetensors"
CLIPS = 100


def alternated(
    a: Callable[[], Any], b: Callable[[], Any], rounds: int = 10, calls: int = 10
) -> tuple[float, float, float]:
    """(ms of a, of b, a / b), medians over rounds of `calls` of one and then of the other; the first two warm up."""
    rows = []
    for _ in range(rounds):
        row = []
        for call in (a, b):
            taken = []
            for _ in range(calls + 2):
                start = time.process_time()
                call()
                taken.append((time.process_time() - start) * 1000)
            row.append(statistics.median(taken[2:]))
        rows.append(row)
    first, second, ratios = zip(*((x, y, x / y) for x, y in rows), strict=True)
    return statistics.median(first), statistics.median(second), statistics.median(ratios)


def bare(path: Path) -> bytes:
    """The model without what stands before its first convolution: from normalised float32 [N, 3, S, S] to logits."""
    proto = onnx.load_model(path)
    first = next(node for node in proto.graph.node if node.op_type == "Conv")
    makers = {output: node for node in proto.graph.node for output in node.output}
    value = first.input[0]
    while value in makers:
        node = makers[value]
        value = node.input[0]
        proto.graph.node.remove(node)
    size = proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    del proto.graph.input[:]
    proto.graph.input.append(
        helper.make_tensor_value_info(first.input[0], onnx.TensorProto.FLOAT, ["N", 3, size, size])
    )
    return bytes(proto.SerializeToString())


def pictures(place: Path) -> list[str]:
    """INT8, and the whole graph, of a SqueezeNet with a probe."""
    run = place / "cats"
    handful.train(
        DATA / "catsdogs" / "train", run=run, model="squeezenet1_0", weights=str(WEIGHTS), test=str(DATA / "catsdogs" / "test")
    )  # fmt: skip
    fp32, int8 = handful.export(run, ["onnx", "int8"])["files"]
    models = [Predictor.load(row["path"], threads=1) for row in (fp32, int8)]
    file = next((DATA / "catsdogs" / "test").rglob("*.jpg"))
    lines = []
    for batch in (1, 32):
        items = np.repeat(models[0].items(file), batch, axis=0)
        a, b, ratio = alternated(
            lambda items=items: models[0].logits(items), lambda items=items: models[1].logits(items), 10, 10 if batch == 1 else 2
        )  # fmt: skip
        lines.append(f"| INT8, times faster than fp32, batch of {batch} | {ratio:.2f} ({a:.2f} and {b:.2f} ms) | 2 |")
    lines.append(f"| INT8, share of the size of fp32 | {int8['bytes'] / fp32['bytes']:.3f} ({int8['bytes']} of {fp32['bytes']} bytes) | 0.3 |")  # fmt: skip
    drop = int8["drop"]
    change = drop["change"]
    lines.append(
        f"| INT8, {drop['of']} right | {drop['right']} of {drop['n']}, fp32 {drop['right_fp32']} ({100 * change['value']:+.1f} points, "
        f"{100 * change['low']:+.1f} to {100 * change['high']:+.1f}; McNemar p = {drop['p_value']:.2g}; same answer on {drop['agree']}; "
        f"{drop['fp32_layers']} of {drop['layers']} layers in fp32) | at most 1 point or 2 files fewer |"
    )
    network = session(bare(Path(fp32["path"])), 1)
    pixels = models[0].items(file)
    normalised = np.random.default_rng(0).standard_normal((1, 3, *pixels.shape[1:3]), np.float32)
    name = network.get_inputs()[0].name
    a, b, ratio = alternated(lambda: models[0].logits(pixels), lambda: network.run(["logits"], {name: normalised}))
    lines.append(
        f"| whole graph against the bare network, {pixels.shape[1]} pixels | {ratio:.3f} ({a - b:+.2f} ms) | 1.05 or +0.3 ms |"
    )
    return lines


def hard_networks(place: Path) -> list[str]:
    """INT8 of networks whose activations suffer from it. Their weights are random: what counts is that it says what it costs."""
    import torch
    from safetensors.torch import save_file

    sys.path.insert(0, str(HERE.parent))
    from tests.test_export_families import prepared, settled, what_it_sees

    photos = DATA / "catsdogs" / "train"
    lines = []
    for name in ("efficientnet_b0", "mobilenet_v3_small"):
        network, frontend = prepared(name)
        items = np.concatenate([frontend.read(file)[0] for file in sorted(photos.rglob("*.jpg"))])
        module = settled(network, torch.from_numpy(what_it_sees(network, frontend, items)), 1000)
        weights, run = place / f"{name}.safetensors", place / name
        save_file({key: value.contiguous() for key, value in module.state_dict().items()}, weights)
        handful.train(
            photos, run=run, model=name, weights=str(weights), strategy="probe", head="logistic", repeats=1, input_size=network.input_size,
            test=str(DATA / "catsdogs" / "test"),
        )  # fmt: skip
        try:
            drop = handful.export(run, ["int8"])["files"][0]["drop"]
        except ExportError as error:
            found = f"refused: {error.message}"
        else:
            found = (
                f"handled: {drop['right']} of {drop['n']} right, fp32 {drop['right_fp32']} (McNemar p = {drop['p_value']:.2g}; same answer "
                f"on {drop['agree']}; {drop['fp32_layers']} of {drop['layers']} layers in fp32)"
            )
        lines.append(
            f"| INT8 of {name}, probe on random weights, {network.input_size} pixels | {found} | handled or refused |"
        )
    return lines


def filter_bank() -> list[str]:
    """Log-mel of one clip of 5 s at 16 kHz."""
    frontend = AudioFrontend()
    g = Graph()
    bands = _spectra.log_mel(g, frontend.input(g), frontend.sample_rate_hz, frontend.n_mels)
    g.output(bands, "bands", ["N", frontend.n_mels, "T"])
    running = session(g.build(), 1)
    clip = np.random.default_rng(0).normal(0, 0.1, (1, frontend.samples)).astype(np.float32)
    taken = []
    for _ in range(CLIPS):
        start = time.process_time()
        running.run(None, {"input": clip})
        taken.append((time.process_time() - start) * 1000)
    return [f"| log-mel in the graph, {frontend.seconds:g} s of sound, one core | {statistics.median(taken):.2f} ms | 8 ms |"]  # fmt: skip


def main() -> None:
    os.environ |= {"OMP_NUM_THREADS": "1", "HANDFUL_OFFLINE": "1"}
    with tempfile.TemporaryDirectory(prefix="handful-exports-") as place:
        os.environ["HANDFUL_HOME"] = place
        print("| what | measured | goal |\n|---|---|---|")
        for part in (pictures, lambda place: filter_bank(), hard_networks):
            print("\n".join(part(Path(place))), flush=True)


if __name__ == "__main__":
    main()
