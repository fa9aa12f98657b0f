"""The training engine: rates, averages, mixtures, memory and checkpoints, by numbers that can be worked out by hand."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handful.config import load_recipe
from handful.errors import HandfulError, RunError
from handful.models import Network, Weights, models
from handful.training import _memory, _optimise
from tests.conftest import write_photos

torch = pytest.importorskip("torch")

from handful.training import _checkpoint  # noqa: E402
from handful.training._checkpoint import Checkpoint  # noqa: E402
from handful.training._loop import TrainedNetwork, Training, _built, find_batch_size, fit_network  # noqa: E402
from handful.training._steps import LoopSettings  # noqa: E402
from handful.training.gradient import copies_for  # noqa: E402

RNG = np.random.default_rng(0)
LABELS = np.arange(12) % 3
PICTURES = RNG.normal(size=(12, 3, 16, 16)).astype(np.float32) + LABELS[:, None, None, None].astype(np.float32)
FOUND = models.get("small_cnn")
assert isinstance(FOUND, Network)


def without_dropout(classes: int) -> Any:
    assert isinstance(FOUND, Network)
    module = FOUND.create(classes)
    module[1][2] = torch.nn.Identity()
    return module


SMALL = FOUND
PLAIN = replace(FOUND, create=without_dropout)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    from safetensors.torch import save_file

    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file(SMALL.create(1000).state_dict(), path)
    return Weights(path, path.name, "1" * 64)


def fit(
    weights: Weights | None = None, network: Network = PLAIN, pictures: Any = None, checkpoint: Checkpoint | None = None,
    validation: np.ndarray | None = None, **settings: Any,
) -> TrainedNetwork:  # fmt: skip
    asked = LoopSettings(**{"epochs": 3, "batch_size": 4, "threads": 1} | settings)
    seen = pictures or (lambda rows, epoch: PICTURES[rows])
    return fit_network(network, weights, seen, LABELS, 3, asked, None, validation, checkpoint)


def training(weights: Weights | None = None, **settings: Any) -> Training:
    asked = LoopSettings(**{"batch_size": 4, "threads": 1} | settings)
    trained, head = _built(PLAIN, weights, 3, asked)
    rows = np.arange(12)
    made = Training(
        trained, head, lambda chosen, epoch: PICTURES[chosen], LABELS, 3, rows, asked, weights is not None, None
    )
    made.mode()
    return made


def same(one: TrainedNetwork, two: TrainedNetwork) -> bool:
    first, second = one.state(), two.state()
    return all(np.array_equal(first[name], second[name]) for name in first)


# -- rates -------------------------------------------------------------------------------------------------------------


def test_the_rate_rises_and_falls_as_the_schedule_says() -> None:
    cosine = [_optimise.rate_factor("cosine", step, 110, 10 / 110) for step in range(110)]
    assert cosine[0] == pytest.approx(0.1) and cosine[9] == cosine[10] == 1
    assert cosine[60] == pytest.approx(0.5) and cosine[35] == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert 0 < cosine[-1] < 0.001
    constant = [_optimise.rate_factor("constant", step, 100, 0.1) for step in (0, 4, 9, 50, 99)]
    assert constant == pytest.approx([0.1, 0.5, 1, 1, 1])


def test_one_cycle_is_torchs() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=40)
    expected = []
    for _ in range(39):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    found = [_optimise.rate_factor("one_cycle", step, 40, 0.0) for step in range(39)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert all(0 < _optimise.rate_factor("one_cycle", 0, steps, 0.0) <= 1 for steps in (1, 2, 3))


def test_a_plateau_halves_the_rate_in_the_fourth_epoch_without_gain() -> None:
    plateau, seen = _optimise.Plateau(), []
    for loss in (1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8):
        plateau.see(loss)
        seen.append(plateau.factor)
    assert seen == [1, 1, 1, 1, 1, 0.5, 0.5]


def test_each_block_learns_slower_than_the_one_after_it(weights: Weights) -> None:
    run = training(weights, layer_decay=0.5)
    scale = {id(p): group["scale"] for group in run.optimizer.param_groups for p in group["params"]}
    blocks = SMALL.blocks(run.module)
    assert [scale[id(next(block.parameters()))] for block in blocks] == [1 / 16, 1 / 8, 1 / 4, 1 / 2]
    assert scale[id(run.module[2].weight)] == 1
    run._schedule(50)
    assert {group["lr"] for group in run.optimizer.param_groups} <= {
        run.rate * s * _optimise.rate_factor("cosine", 50, 60, 0.1) for s in (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
    }
    decays = {p.ndim > 1: group["weight_decay"] for group in run.optimizer.param_groups for p in group["params"]}
    assert decays == {True: 0.05, False: 0.0}


# -- arithmetic --------------------------------------------------------------------------------------------------------


def test_an_average_by_hand() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(0.0)
        average = _optimise.Average(layer, 0.5)
        layer.weight.fill_(11.0)
    average.update()  # decay min(0.5, 2 / 11)
    assert float(average.state["weight"]) == pytest.approx(9.0)
    for _ in range(20):
        average.update()
    assert average.updates == 21 and float(average.state["weight"]) == pytest.approx(11.0, abs=1e-3)


def test_mixup_keeps_the_sum_and_mixes_the_loss() -> None:
    x, y = torch.from_numpy(PICTURES), torch.from_numpy(LABELS)
    mixed, target = _optimise.mix(x, y, 0.4, np.random.default_rng(3))
    assert 0 < target.share < 1 and target.other is not None and not torch.equal(mixed, x)
    torch.testing.assert_close(mixed.sum(0), x.sum(0), rtol=1e-4, atol=1e-4)
    logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    own, other = (torch.nn.functional.cross_entropy(logits, t, reduction="sum") for t in (y, target.other))
    assert float(target.loss(logits, 0.0)) == pytest.approx(float(target.share * own + (1 - target.share) * other))
    assert target.mass == 12


def test_class_weights_make_every_class_count_alike() -> None:
    labels = np.array([0] * 6 + [1] * 2)
    found = _optimise.balanced(labels, 3)
    assert found[:2].tolist() == pytest.approx([8 / 12, 8 / 4]) and np.isfinite(found).all()
    target = _optimise.Target(torch.from_numpy(labels), weights=torch.from_numpy(found))
    assert target.mass == pytest.approx(8)
    logits = torch.zeros(8, 3)
    assert float(target.loss(logits, 0.0)) / target.mass == pytest.approx(math.log(3))


def test_gradients_are_no_longer_than_asked() -> None:
    run = training(gradient_clip=0.01)
    run.gradients(torch.from_numpy(PICTURES[:4]), np.arange(4), 0)
    before = torch.stack([p.grad.norm() for p in run.parameters]).norm()
    run.update()
    after = torch.stack([p.grad.norm() for p in run.parameters]).norm()
    assert before > 0.01 and float(after) == pytest.approx(0.01, rel=1e-3)


def test_many_threads_make_the_same_batches() -> None:
    run = training()
    batches = [np.arange(i, min(i + 4, len(PICTURES))) for i in range(0, len(PICTURES), 4)]
    for workers, piece, ahead in ((0, 5, 1), (1, 5, 1), (3, 2, 4), (2, 3, 50)):
        feed = run.feed
        feed.workers, feed.piece, feed.ahead = workers, piece, ahead
        made = list(feed(batches, 0))
        assert [rows.tolist() for rows, _ in made] == [rows.tolist() for rows in batches]
        for rows, x in made:
            np.testing.assert_array_equal(x.numpy(), run.pictures(rows, 0))


def test_a_step_in_parts_is_the_step(weights: Weights) -> None:
    for extra in ({}, {"class_weights": True, "mixup": 0.4}):
        whole, parts = training(weights, **extra), training(weights, accumulate=3, **extra)
        for run in (whole, parts):
            run.gradients(torch.from_numpy(PICTURES[:6]), np.arange(6), 0)
        assert (whole.part, parts.part) == (4, 2)
        for one, two in zip(whole.parameters, parts.parameters, strict=True):
            torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-6)


def test_what_is_frozen_computes_as_in_use(weights: Weights) -> None:
    run = training(weights, trainable_blocks=2)
    blocks = list(SMALL.blocks(run.module))
    assert [block.training for block in blocks] == [False, False, True, True]
    assert not any(block[1].training for block in blocks)  # batch norms
    run.gradients(torch.from_numpy(PICTURES[:4]), np.arange(4), 0)
    learns = [any(p.grad is not None for p in block.parameters()) for block in blocks]
    assert learns == [False, False, True, True]


def test_small_classes_are_filled_up_in_turn() -> None:
    labels, mask = np.array([0, 0, 1, 1, 1, 2]), np.array([True, True, True, True, True, False])
    assert copies_for(labels, mask, 5).tolist() == [0, 1, 0, 2, 3]
    assert copies_for(labels, mask, 2).tolist() == []


@pytest.mark.parametrize(
    "extra", [{"mixup": 0.2}, {"average": 0.9}, {"class_weights": True}, {"scheduler": "one_cycle"}]
)
def test_each_option_learns(extra: dict[str, Any]) -> None:
    trained = fit(epochs=12, label_smoothing=0.0, **extra)
    assert (trained.logits(PICTURES).argmax(1) == LABELS).mean() > 0.9


def test_every_epoch_says_what_it_took() -> None:
    row = fit(epochs=1).history[0]
    assert (
        row["at_once"] == 4 and row["samples_per_second"] > 0 and row["peak_bytes"] > 1e6 and row["learning_rate"] > 0
    )


# -- memory ------------------------------------------------------------------------------------------------------------


def lacking(most: int) -> Network:
    """A network that runs out of memory when it sees more than `most` pictures at once in training."""

    def create(classes: int) -> Any:
        module = without_dropout(classes)

        def check(module: Any, x: Any) -> None:
            if module.training and len(x[0]) > most:
                raise torch.OutOfMemoryError("not enough")

        module.register_forward_pre_hook(check)
        return module

    return replace(PLAIN, create=create)


def test_running_out_of_memory_halves_what_is_computed_at_once_and_says_so(weights: Weights) -> None:
    halved = fit(weights, lacking(3), batch_size=8)
    assert "2 samples at once instead of 4" in halved.note and halved.history[-1]["at_once"] == 2
    assert same(halved, fit(weights, batch_size=8, accumulate=4))


def test_a_memory_too_small_for_one_picture_is_named() -> None:
    with pytest.raises(HandfulError, match="not enough memory") as caught:
        fit(network=lacking(0))
    assert "--input-size" in caught.value.hint


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    assert _memory.out_of_memory(MemoryError()) and _memory.out_of_memory(RuntimeError("CUDA out of memory. Tried"))
    assert not _memory.out_of_memory(RuntimeError("shapes do not fit")) and not _memory.out_of_memory(ValueError())


@pytest.mark.parametrize(
    ("limit", "most", "expected"), [(1000, 64, 64), (1000, 50, 50), (100, 64, 9), (None, 20, 20), (5, 8, 1)]
)
def test_the_largest_batch_that_was_really_run(limit: int | None, most: int, expected: int) -> None:
    """10 bytes for the network, 10 a sample."""
    run: list[int] = []
    found = _memory.largest_batch(run.append, lambda: 10 + 10 * run[-1], most, limit)
    assert found == expected and found in run
    assert limit is None or max(run) <= max(expected, 1)


def test_a_step_without_memory_ends_the_search() -> None:
    assert (
        find_batch_size(lacking(5), None, lambda rows, epoch: PICTURES[rows], LABELS, 3, LoopSettings(threads=1), 0.9)
        == 4
    )


# -- checkpoints -------------------------------------------------------------------------------------------------------


class Killed(Exception):
    pass


def interrupted(after: int) -> Any:
    """Pictures that end the training when they are asked for the (after + 1)th time."""
    asked = [0]

    def pictures(rows: np.ndarray, epoch: int | None) -> np.ndarray:
        asked[0] += 1
        if asked[0] > after:
            raise Killed
        return PICTURES[rows]

    return pictures


@pytest.mark.parametrize("after", [2, 5, 8])
@pytest.mark.parametrize(
    "extra",
    [
        {"average": 0.9, "mixup": 0.3},
        {"optimizer": "sgd", "scheduler": "plateau", "learning_rate": 0.05},
        {"optimizer": "adam", "scheduler": "one_cycle", "accumulate": 2},
    ],
)
def test_a_resumed_training_is_the_uninterrupted_one_to_the_bit(
    after: int, extra: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_checkpoint, "SECONDS", 0.0)
    expected = fit(network=SMALL, **extra)  # with dropout
    with pytest.raises(Killed):
        fit(network=SMALL, pictures=interrupted(after), checkpoint=Checkpoint(tmp_path / "c", "x"), **extra)
    asked: list[int] = []

    def counted(rows: np.ndarray, epoch: int | None) -> np.ndarray:
        asked.append(1)
        return PICTURES[rows]

    resumed = fit(network=SMALL, pictures=counted, checkpoint=Checkpoint(tmp_path / "c", "x"), **extra)
    assert same(resumed, expected) and len(asked) == 9 - after
    assert [row["train_loss"] for row in resumed.history] == [row["train_loss"] for row in expected.history]
    again = fit(network=SMALL, pictures=interrupted(0), checkpoint=Checkpoint(tmp_path / "c", "x"), **extra)
    assert same(again, expected)  # nothing is left to be done


def test_resuming_keeps_the_best_epoch_and_the_fitted_head(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_checkpoint, "SECONDS", 0.0)
    extra = {"validation": np.arange(12) < 4, "patience": 2, "epochs": 5}
    expected = fit(weights, **extra)
    with pytest.raises(Killed):
        fit(weights, pictures=interrupted(6), checkpoint=Checkpoint(tmp_path / "c", "x"), **extra)
    resumed = fit(weights, checkpoint=Checkpoint(tmp_path / "c", "x"), **extra)
    assert same(resumed, expected) and resumed.note == expected.note


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "c", "one").save({"a": torch.ones(2)}, {"epoch": 1})
    tensors, state = Checkpoint(tmp_path / "c", "one").load() or ({}, {})
    assert tensors["a"].tolist() == [1, 1] and state == {"epoch": 1}
    with pytest.raises(RunError, match="other data or settings"):
        Checkpoint(tmp_path / "c", "two").load()
    (tmp_path / "c").write_bytes(b"\x80")
    with pytest.raises(RunError, match="damaged"):
        Checkpoint(tmp_path / "c", "one").load()
    assert Checkpoint(tmp_path / "none", "one").load() is None


# -- runs --------------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import handful
from handful.training import _checkpoint
_checkpoint.SECONDS = 0.0
save, saved = _checkpoint.Checkpoint.save, []
def counted(self, *arguments):
    save(self, *arguments)
    saved.append(self.path.name)
    if len(saved) == 11:
        os.kill(os.getpid(), signal.SIGKILL)
_checkpoint.Checkpoint.save = counted
handful.train(sys.argv[1], run=sys.argv[2], strategy="scratch", epochs=3, folds=2, batch_size=8, threads=1)
"""


@pytest.mark.slow
def test_a_run_that_was_killed_ends_like_one_that_was_not(tmp_path: Path) -> None:
    import handful

    photos = write_photos(tmp_path / "photos", per_class=12)
    settings = {"strategy": "scratch", "epochs": 3, "folds": 2, "batch_size": 8, "threads": 1}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(photos), str(tmp_path / "killed")], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = {path.name for path in (tmp_path / "killed" / "unfinished").iterdir()}
    assert left == {"fold-0-answers.safetensors", "fold-1.safetensors"}
    with pytest.raises(RunError, match="other data or settings"):
        handful.train(photos, run=tmp_path / "killed", resume=True, **{**settings, "epochs": 4})
    events = len((tmp_path / "killed" / "metrics.jsonl").read_text().splitlines())
    resumed = handful.train(photos, run=tmp_path / "killed", resume=True, **settings)
    whole = handful.train(photos, run=tmp_path / "whole", **settings)
    for name in ("model.safetensors", "out_of_fold.jsonl"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes()
    later = [json.loads(line) for line in (resumed.path / "metrics.jsonl").read_text().splitlines()[events:]]
    assert [(row["fold"], row["epoch"]) for row in later if row["event"] == "epoch"] == [
        (1, 2), (1, 3), (None, 1), (None, 2), (None, 3),
    ]  # fmt: skip
    assert not (resumed.path / "unfinished").exists()


def test_a_budget_decides_on_the_epochs(tmp_path: Path) -> None:
    """What is chosen is written down, so that the run can be repeated without a clock."""
    import handful
    from handful.runs import Teller

    photos = write_photos(tmp_path / "photos", per_class=6)
    settings = {"strategy": "scratch", "epochs": 3, "folds": 2, "input_size": 32, "threads": 1}
    said: list[str] = []
    hasty = handful.train(photos, run=tmp_path / "hasty", budget=0.1, teller=Teller(said.append), **settings)
    chosen = [row for row in hasty._run.rows("metrics.jsonl") if row["event"] == "paced"]
    assert len(chosen) == 1 and chosen[0]["epochs"] == 1 and hasty.result["head"].startswith("1 epochs")
    assert "in the time that was given: 1 epochs" in said and any("more than the 0 s" in line for line in said)
    assert sum(row["event"] == "epoch" for row in hasty._run.rows("metrics.jsonl")) == 3, (
        "two folds and the final model"
    )
    again = handful.train(layers=[load_recipe(hasty.path / "recipe.yaml")], run=tmp_path / "again")
    for name in ("model.safetensors", "out_of_fold.jsonl"):
        assert (again.path / name).read_bytes() == (hasty.path / name).read_bytes()
    patient = handful.train(photos, run=tmp_path / "patient", budget=10_000, **settings)
    assert patient.result["head"].startswith("3 epochs")


def test_without_augmentation_every_epoch_sees_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import handful
    from handful.features.image import ImageFrontend

    asked: list[int] = []
    augment = ImageFrontend.augment
    monkeypatch.setattr(ImageFrontend, "augment", lambda *given: (asked.append(1), augment(*given))[1])
    photos = write_photos(tmp_path / "a", per_class=6)
    settings = {"strategy": "scratch", "input_size": 32, "epochs": 2, "folds": 2, "threads": 1}
    for wanted, expected in ((True, True), (False, False)):
        asked.clear()
        handful.train(photos, run=tmp_path / str(wanted), augment=wanted, **settings)
        # Two folds of six and the shipped model's twelve, twice each; the report shows four of two classes either way.
        assert (len(asked) >= 2 * (6 + 6 + 12)) is expected


@pytest.mark.slow
def test_an_earlier_run_is_where_another_begins(tmp_path: Path) -> None:
    import handful

    settings = {"epochs": 3, "folds": 2, "threads": 1}
    first = handful.train(
        write_photos(tmp_path / "a", per_class=8), run=tmp_path / "first", strategy="scratch", input_size=48, **settings
    )
    other = write_photos(tmp_path / "b", ("red", "green", "blue"), per_class=6, seed=4)
    second = handful.train(other, run=tmp_path / "second", start=first.path, target_size=10, batch_size=0, **settings)
    result, recipe = second.result, (second.path / "recipe.yaml").read_text()
    assert result["model"] == "small_cnn" and result["strategy"] == "finetune" and len(result["classes"]) == 3
    assert "input_size: 48" in recipe and "batch_size: " in recipe and "batch_size: 0" not in recipe
    assert result["score"]["value"] > 0.6
