"""Fine-tuning against plain loops, in CPU time on one thread: python benchmarks/engine.py [NETWORK ...] -> JSON.

Photos: images per CPU-second of handful's loop and of the steps of torchvision's reference recipe (references/classification:
SGD with momentum, label smoothing, accuracies in every step) on the same network, random weights and prepared pictures, each
in its own process, in turn. `last_3` trains the last three blocks and the head, in handful only. A small Conv1d network: CPU
time of a step beside a bare loop with the same optimiser. Each round's rates, and the medians of their ratios.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from handful.models import Network, Weights, models
from handful.training._loop import Training, _built
from handful.training._memory import tune_allocator
from handful.training._steps import LoopSettings

BATCH, STEPS, ROUNDS = 16, 2, 3
CLASSES = 5
RNG = np.random.default_rng(0)


def training(
    network: Network, weights: Weights | None, x: np.ndarray, y: np.ndarray, settings: LoopSettings
) -> Training:
    """handful's loop on arrays, ready to step."""
    tune_allocator()
    trained, head = _built(network, weights, CLASSES, settings)
    rows = np.arange(len(x))
    return Training(
        trained, head, lambda chosen, epoch: x[chosen], y, CLASSES, rows, settings, weights is not None, None
    )


def one(kind: str, name: str) -> float:
    """Images per CPU-second of one variant."""
    torch.set_num_threads(1)
    network = models.get(name)
    assert isinstance(network, Network)
    x = RNG.normal(size=(BATCH * STEPS, 3, network.input_size, network.input_size)).astype(np.float32)
    y = np.arange(len(x)) % CLASSES
    if kind == "torchvision":
        return _rate(reference(network.create(CLASSES), x, y), len(x))
    with tempfile.TemporaryDirectory() as folder:
        from safetensors.torch import save_file

        path = Path(folder) / "random.safetensors"
        save_file(network.create(1000).state_dict(), path)
        settings = LoopSettings(
            epochs=2, batch_size=BATCH, optimizer="sgd", trainable_blocks=3 if kind == "last_3" else -1, threads=1
        )
        run = training(network, Weights(path, path.name, "0" * 64), x, y, settings)
    return _rate(run._epoch, len(x), lambda: setattr(run, "batch", 0))


def reference(network: nn.Module, x: np.ndarray, y: np.ndarray) -> Any:
    """An epoch of torchvision's `train_one_epoch`, less its logging."""
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

    def epoch() -> None:
        network.train()
        for image, target in loader:
            output = network(image)
            loss = criterion(output, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            _, found = output.topk(CLASSES, 1)
            (found.t() == target[None]).flatten().sum().item()

    return epoch


def _rate(epoch: Any, count: int, again: Any = lambda: None) -> float:
    epoch()  # warm
    again()
    start = time.process_time()
    epoch()
    return count / (time.process_time() - start)


def conv1d(classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    for before in (80, 32, 32):
        layers += [nn.Conv1d(before, 32, 3, padding=1), nn.BatchNorm1d(32), nn.ReLU(), nn.MaxPool1d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, classes))


def replace_last(module: Any, classes: int) -> nn.Module:
    module[-1] = nn.Linear(32, classes)
    return module[-1]


def overhead() -> dict[str, float]:
    """CPU milliseconds of a step of the Conv1d network: handful's loop and a bare one, and their ratio."""
    torch.set_num_threads(1)
    x = RNG.normal(size=(2048, 80, 101)).astype(np.float32)
    y = np.arange(len(x)) % CLASSES
    small = Network(
        name="conv1d",
        family="small",
        create=conv1d,
        body=lambda m: m[:-1],
        blocks=lambda m: [m],
        replace_head=replace_last,
    )
    run = training(small, None, x, y, LoopSettings(epochs=100, batch_size=32, threads=1))
    bare, optimizer, epoch = _bare(x, y)
    spent: dict[str, list[float]] = {"handful": [], "bare": []}
    for _ in range(9):
        for name, do in (("handful", run._epoch), ("bare", epoch)):
            run.batch = 0
            start = time.process_time()
            do()
            spent[name].append((time.process_time() - start) * 1000 / 64)
    medians = {name: statistics.median(values[1:]) for name, values in spent.items()}
    return medians | {"ratio": medians["handful"] / medians["bare"]}


def _bare(x: np.ndarray, y: np.ndarray) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    network, xs, ys = conv1d(CLASSES), torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def epoch() -> None:
        network.train()
        total = 0.0
        for rows in torch.randperm(len(xs)).split(32):
            loss = nn.functional.cross_entropy(network(xs[rows]), ys[rows], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()

    return network, optimizer, epoch


def main(names: list[str]) -> None:
    result: dict[str, Any] = {"conv1d_step_ms": overhead()}
    for name in names or ["squeezenet1_0", "efficientnet_b0"]:
        rates: dict[str, list[float]] = {"torchvision": [], "handful": [], "last_3": []}
        for _ in range(ROUNDS):
            for kind, values in rates.items():
                called = [sys.executable, __file__, "--one", kind, name]
                values.append(float(subprocess.run(called, capture_output=True, text=True, check=True).stdout))
        result[name] = {kind: [round(value, 2) for value in values] for kind, values in rates.items()}
        for kind in ("handful", "last_3"):
            each = [a / b for a, b in zip(rates[kind], rates["torchvision"], strict=True)]
            result[name][f"{kind}_ratio"] = round(statistics.median(each), 2)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(one(*sys.argv[2:]))
    else:
        main(sys.argv[1:])
