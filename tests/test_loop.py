"""Training by gradient: what learns, what stays, what is repeated to the bit."""

from __future__ import annotations

import hashlib
import math
import platform
import resource
from typing import Any

import numpy as np
import pytest

from handful.errors import HandfulError
from handful.graph import session
from handful.models import Network, Weights, models

torch = pytest.importorskip("torch")

from handful.training._loop import TrainedNetwork, fit_network  # noqa: E402
from handful.training._memory import tune_allocator  # noqa: E402
from handful.training._steps import LoopSettings  # noqa: E402

RNG = np.random.default_rng(0)
LABELS = np.arange(24) % 3
# Three classes of stripes: across, down, none.
STRIPES = np.sin(np.arange(32) / 2)
PATTERNS = np.stack([np.tile(STRIPES, (32, 1)), np.tile(STRIPES, (32, 1)).T, np.zeros((32, 32))]).astype(np.float32)
PICTURES = np.repeat(PATTERNS[LABELS, None], 3, axis=1) + RNG.normal(0, 0.3, (24, 3, 32, 32)).astype(np.float32)


def pictures(indices: np.ndarray, epoch: int | None) -> np.ndarray:
    return PICTURES[indices]


def network(name: str = "small_cnn") -> Network:
    model = models.get(name)
    assert isinstance(model, Network)
    return model


def fit(
    weights: Weights | None = None, labels: np.ndarray = LABELS, validation: np.ndarray | None = None, **settings: Any
) -> TrainedNetwork:
    asked = LoopSettings(**{"epochs": 4, "batch_size": 8, "threads": 1} | settings)
    return fit_network(network(), weights, pictures, labels, 3, asked, validation=validation)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """A pretrained small_cnn: random numbers, saved."""
    from safetensors.torch import save_file

    torch.manual_seed(1)
    module = network().create(1000)
    with torch.no_grad():
        module.train()(torch.from_numpy(PICTURES))
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file(module.state_dict(), path)
    return Weights(path, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def changed(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    """Blocks (0 to 3), or "head", in which a parameter moved."""
    names = (
        name
        for name in after
        if before[name].shape != after[name].shape or not np.array_equal(before[name], after[name])
    )
    return {"head" if name.startswith("2.") else name.split(".")[1] for name in names}


def test_a_network_learns_from_scratch_and_says_how_it_went() -> None:
    rows: list[dict[str, Any]] = []
    trained = fit_network(
        network(), None, pictures, LABELS, 3, LoopSettings(epochs=8, batch_size=8, threads=1), rows.append
    )
    assert (trained.logits(PICTURES).argmax(1) == LABELS).mean() == 1
    assert rows == trained.history and [row["epoch"] for row in rows] == list(range(1, 9))
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] and {"train_accuracy", "seconds"} <= set(rows[0])
    assert trained.parameters == sum(part.numel() for part in network().create(3).parameters())


def test_training_twice_gives_the_same_bits() -> None:
    one, two, other = fit(seed=3), fit(seed=3), fit(seed=4)
    assert all(np.array_equal(one.state()[name], two.state()[name]) for name in one.state())
    assert np.array_equal(one.logits(PICTURES), two.logits(PICTURES))
    assert not np.array_equal(one.logits(PICTURES), other.logits(PICTURES))


def test_training_leaves_torchs_random_state_and_threads_alone() -> None:
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    fit(epochs=1)
    assert torch.equal(torch.rand(3), expected) and torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("trainable_blocks", "expected"),
    [
        (0, {"head"}),
        (1, {"3", "head"}),
        (2, {"2", "3", "head"}),
        (-1, {"0", "1", "2", "3", "head"}),
        (99, {"0", "1", "2", "3", "head"}),
    ],
)
def test_only_the_asked_blocks_learn(trainable_blocks: int, expected: set[str], weights: Weights) -> None:
    from handful.models._state import read_state

    trained = fit(weights, trainable_blocks=trainable_blocks, epochs=1)
    assert changed(read_state(weights.path), trained.state()) == expected


def test_pretrained_batch_norms_keep_their_statistics(weights: Weights) -> None:
    from handful.models._state import read_state

    before, after = read_state(weights.path), fit(weights, epochs=1).state()
    assert all(np.array_equal(before[name], after[name]) for name in after if "running" in name)
    assert not np.array_equal(before["0.0.1.weight"], after["0.0.1.weight"])


def test_a_head_alone_reads_every_picture_once_as_it_is(weights: Weights) -> None:
    asked: list[tuple[int, int | None]] = []

    def counted(indices: np.ndarray, epoch: int | None) -> np.ndarray:
        asked.extend((int(index), epoch) for index in indices)
        return PICTURES[indices]

    trained = fit_network(network(), weights, counted, LABELS, 3, LoopSettings(trainable_blocks=0, threads=1))
    assert sorted(asked) == [(index, None) for index in range(24)]
    assert (trained.logits(PICTURES).argmax(1) == LABELS).mean() == 1


def test_the_head_alone_is_logistic_regression_on_standardised_embeddings(weights: Weights) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from handful.models._state import build

    with torch.no_grad():
        x = network().body(build(network(), weights)).eval()(torch.from_numpy(PICTURES)).double().numpy()
    expected = (
        make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-8, max_iter=1000))
        .fit(x, LABELS)
        .decision_function(x)
    )
    found = fit(weights, trainable_blocks=0).logits(PICTURES)
    np.testing.assert_allclose(
        found - found.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=2e-3
    )


def test_validation_pictures_are_not_trained_on_and_stop_the_training() -> None:
    seen: set[int] = set()

    def counted(indices: np.ndarray, epoch: int | None) -> np.ndarray:
        if epoch is not None:
            seen.update(indices.tolist())
        return PICTURES[indices]

    validation = np.arange(24) < 6
    labels = np.where(
        validation, (LABELS + 1) % 3, LABELS
    )  # wrong on purpose: the better it learns, the worse they look
    settings = LoopSettings(epochs=30, batch_size=8, patience=2, threads=1)
    trained = fit_network(network(), None, counted, labels, 3, settings, validation=validation)
    assert seen == set(range(6, 24))
    losses = [row["val_loss"] for row in trained.history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 30 and f"best was {best + 1}" in trained.note
    kept = trained.logits(PICTURES[:6]).astype(np.float64)
    chance = np.exp(kept) / np.exp(kept).sum(1, keepdims=True)
    assert -np.log(chance[np.arange(6), labels[:6]]).mean() == pytest.approx(losses[best], rel=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("scheduler", ["cosine", "plateau", "constant"])
def test_every_optimizer_and_schedule_learns(optimizer: str, scheduler: str) -> None:
    rate = 0.05 if optimizer == "sgd" else None
    trained = fit(optimizer=optimizer, scheduler=scheduler, learning_rate=rate)
    assert trained.history[-1]["train_loss"] < trained.history[0]["train_loss"]


def test_mixed_precision_learns() -> None:
    trained = fit(precision="bfloat16", epochs=8)
    assert (trained.logits(PICTURES).argmax(1) == LABELS).mean() == 1


def test_tags_are_learned_with_a_sigmoid() -> None:
    tags = np.stack([LABELS == 0, LABELS <= 1, LABELS == 2], axis=1).astype(np.int64)
    trained = fit(labels=tags, epochs=12)
    assert ((trained.logits(PICTURES) > 0) == tags).mean() == 1


def test_a_rate_that_is_too_high_is_named() -> None:
    with pytest.raises(HandfulError) as caught:
        fit(learning_rate=1e30, optimizer="sgd", warmup=0.0, gradient_clip=1e30)
    assert "--learning-rate" in caught.value.hint


def test_a_loss_that_becomes_infinite_keeps_what_was_learned(weights: Weights) -> None:
    trained = fit(weights, learning_rate=1e30, optimizer="sgd", warmup=0.0, gradient_clip=1e30)
    assert "not finite" in trained.note and "--learning-rate" in trained.note
    assert all(np.isfinite(value).all() for value in trained.state().values())
    assert (trained.logits(PICTURES).argmax(1) == LABELS).mean() == 1  # the head that was fitted first


def test_the_exported_network_computes_the_same() -> None:
    trained = fit()
    full_size = PICTURES.repeat(2, axis=2).repeat(2, axis=3)
    found = session(trained.to_onnx()).run(["logits"], {"pictures": full_size})[0]
    np.testing.assert_allclose(found, trained.logits(full_size), atol=1e-4)


def test_a_tuned_allocator_keeps_what_was_freed() -> None:
    """Memory that was used once is used again without a page fault, however often the allocator is tuned."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc can be tuned")

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(1 << 23)  # 64 MiB, 16,384 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    tune_allocator()
    tune_allocator()
    faults()
    assert faults() < 1000


@pytest.mark.slow
def test_digits_are_learned_from_scratch() -> None:
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    x = np.kron(digits.images.astype(np.float32) / 8 - 1, np.ones((1, 8, 8), np.float32))[:, None].repeat(3, axis=1)
    train, test = np.arange(600), np.arange(600, 1100)
    settings = LoopSettings(epochs=20, batch_size=32, threads=1)
    trained = fit_network(network(), None, lambda indices, epoch: x[train][indices], digits.target[train], 10, settings)
    assert (trained.logits(x[test]).argmax(1) == digits.target[test]).mean() > 0.95


def test_losses_are_those_of_the_textbook() -> None:
    from handful.training._optimise import losses

    even = torch.zeros(2, 3)
    assert float(losses(even, torch.tensor([0, 2]), 0.1).mean()) == pytest.approx(math.log(3))
    assert float(losses(even, torch.tensor([[0, 1, 1], [0, 0, 0]]), 0.0).mean()) == pytest.approx(math.log(2))
    # Logits 2, 0 for class 0: log(1 + exp(-2)) = 0.1269; smoothing 0.1 adds 0.05 * 2.
    assert float(losses(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), 0.1).mean()) == pytest.approx(0.2269, abs=1e-4)
