"""Sound networks: their sizes as described, what they see, what they refuse, and that they learn and are exported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful
from handful.config import presets
from handful.errors import UsageError
from handful.features.audio import AudioFrontend
from handful.graph import Graph, session
from handful.models import Network, facts, figures, models
from handful.models._sound import SoundNetwork

SOUND = [model for model in models if isinstance(model, SoundNetwork)]
# 002, with ten classes; `advanced_layout` is what the layers of its table add up to.
NAMED = {"advanced": 2.5e6, "efficient": 1.8e6, "transformer": 1.2e6, "ensemble": 5.5e6, "lightweight": 198e3}
# 003: groups -> (parameters, multiply-adds), which its table has in thousands and millions.
GROUPED = {1: (18_850, 1_039_490), 2: (11_938, 536_450), 4: (8_482, 284_930), 8: (6_754, 159_170), 16: (5_890, 96_290)}


def network_of(name: str, **wishes: Any) -> tuple[SoundNetwork, AudioFrontend]:
    """The network called `name` as a second of sound at 16 kHz needs it."""
    model = models.get(name)
    frontend = model.suited(
        AudioFrontend(seconds=wishes.pop("seconds", 1.0)), wishes.get("features"), wishes.get("n_mels")
    )
    assert isinstance(model, Network) and isinstance(frontend, AudioFrontend)
    built = model.on(frontend)
    assert isinstance(built, SoundNetwork)
    return built, frontend


def seen(network: Network, frontend: AudioFrontend, waves: np.ndarray) -> np.ndarray:
    """What the network sees of waves [N, samples], by the graph."""
    g = Graph()
    g.output(network.prepare(g, frontend.input(g), frontend), "seen", ["N", *network.shape])
    found: np.ndarray = session(g.build(), 1).run(["seen"], {"input": waves.astype(np.float32)})[0]
    return found


def noise(seconds: float = 1.0, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (count, round(16_000 * seconds)))


def conv1d_name(groups: int) -> str:
    return "conv1d_mel" if groups == 1 else f"conv1d_mel_g{groups}"


# -- sizes -------------------------------------------------------------------------------------------------------------


def test_sizes_are_within_a_tenth_of_the_named_ones() -> None:
    for name, named in NAMED.items():
        assert facts(name)["parameters"] == pytest.approx(named, rel=0.1), name
    assert facts("advanced_layout")["parameters"] == 11_304_236
    assert facts("mini")["macs"] == min(facts(name)["macs"] for name in (*NAMED, "advanced_layout", "mini"))


@pytest.mark.parametrize("groups", GROUPED)
def test_groups_give_the_parameters_and_multiply_adds_of_the_table(groups: int) -> None:
    parameters, macs = GROUPED[groups]
    row = facts(conv1d_name(groups))
    assert row["parameters"] == parameters
    # The table's counter adds one for each bias, ReLU and number that is pooled, two for each number of a batch norm.
    each = sum(32 * frames * (1 + 1 + 2 + 1) for frames in (101, 50, 25))
    assert row["macs"] + each + 32 * 12 + 128 * (1 + 2 + 1) + 2 == macs


def test_figures_follow_the_number_of_bands() -> None:
    pytest.importorskip("torch")
    network, frontend = network_of("conv1d_mel", n_mels=20)
    assert figures(models.get("conv1d_mel"), frontend)["parameters"] == 18_850 - 60 * 32 * 3
    assert network.create(2).state_dict()["1.0.weight"].shape == (32, 20, 3)
    assert figures(models.get("conv1d_mel"), network_of("conv1d_mel")[1]) == facts("conv1d_mel")


# -- what they see -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("features", "bands"), [(None, 13), ("mfcc", 13), ("mel", 64), ("spectrogram", 513)])
@pytest.mark.parametrize("seconds", [0.25, 1.0, 2.5])
def test_spoken_networks_see_32_steps_whatever_the_window(features: str | None, bands: int, seconds: float) -> None:
    network, frontend = network_of("mini", features=features, seconds=seconds)
    found = seen(network, frontend, noise(seconds))
    assert found.shape == (3, 1, bands, 32) and np.isfinite(found).all()
    level = found[:, 0, 0] if bands == 13 else found
    assert level.min() >= -1 and 0.3 < level.mean() < level.max() <= 1, "noise is near its loudest all the time"


def test_steps_are_in_the_order_of_time() -> None:
    network, frontend = network_of("mini", features="mel")
    waves = noise() * 1e-3
    waves[:, 8000:] *= 1000
    found = seen(network, frontend, waves)[:, 0]
    before, after = found[:, :, :15].mean(axis=(1, 2)), found[:, :, 17:].mean(axis=(1, 2))
    np.testing.assert_allclose(after - before, 60 / 40, atol=0.15)  # 60 dB louder, where 40 dB are 1


@pytest.mark.parametrize("n_mels", [20, 40, 80])
def test_conv1d_sees_a_frame_each_ten_milliseconds(n_mels: int) -> None:
    network, frontend = network_of("conv1d_mel", n_mels=n_mels)
    found = seen(network, frontend, noise())
    assert found.shape == (3, 1, n_mels, 101)
    assert found.min() >= -1 and found.max() <= 1
    # The hundred frames before the last one are those that every other model sees.
    g = Graph()
    g.output(frontend.log_mel(g, frontend.input(g)), "mel", ["N", n_mels, 100])
    (mel,) = session(g.build(), 1).run(["mel"], {"input": noise().astype(np.float32)})
    np.testing.assert_allclose(found[:, 0, :, :100], mel / 40 + 1, atol=1e-4)


def test_silence_is_seen_as_numbers() -> None:
    for name in ("mini", "conv1d_mel"):
        assert np.isfinite(seen(*network_of(name), np.zeros((1, 16_000)))).all()


# -- what they refuse --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "n_mels", "fitting"), [(8, 20, [1, 2, 4]), (16, 40, [1, 2, 4, 8]), (16, 60, [1, 2, 4])]
)
def test_bands_that_cannot_be_grouped_are_refused_with_what_can(groups: int, n_mels: int, fitting: list[int]) -> None:
    with pytest.raises(UsageError) as error:
        network_of(conv1d_name(groups), n_mels=n_mels)
    assert f"{groups} groups" in error.value.message
    assert str(error.value.hint).endswith(": " + ", ".join(map(conv1d_name, fitting)))


def test_features_that_a_network_cannot_see_are_refused() -> None:
    with pytest.raises(UsageError, match="conv1d_mel cannot see --features mfcc"):
        network_of("conv1d_mel", features="mfcc")


def test_a_fitting_number_of_bands_is_not_refused() -> None:
    for groups in GROUPED:
        assert network_of(conv1d_name(groups), n_mels=32) is not None


# -- modules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", SOUND, ids=lambda network: network.name)
def test_modules_answer_for_every_feature(network: SoundNetwork) -> None:
    torch = pytest.importorskip("torch")
    for features in network.choices:
        built, _ = network_of(network.name, features=features)
        with torch.device("meta"):
            module = built.create(7)
            assert module(torch.empty(2, *built.shape)).shape == (2, 7)


def test_the_layers_of_the_table() -> None:
    torch = pytest.importorskip("torch")
    network, _ = network_of("advanced_layout")
    with torch.device("meta"):
        module: Any = network.create(10).eval()
        x = torch.empty(1, *network.shape)
        shapes: list[tuple[int, ...]] = []
        for block in list(module)[:9]:
            x = block[:3](x) if not shapes else block(x)
            shapes.append(tuple(x.shape[1:]))
            if len(shapes) == 1:
                x = block[3:](x)
                shapes.append(tuple(x.shape[1:]))
    assert shapes[:2] == [(64, 7, 16), (64, 3, 8)]
    assert [shape[0] for shape in shapes[2:]] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [tuple(part.weight.shape) for part in (module[-2][3], module[-1])] == [(256, 512), (10, 256)]


def test_convolutions_start_from_kaimings_numbers() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module: Any = network_of("advanced_layout")[0].create(10)
    weight = module[8].way[3].weight.detach()
    assert float(weight.std()) == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)


def test_the_ensemble_learns_how_much_each_member_counts() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    network, _ = network_of("ensemble")
    module: Any = network.create(2)
    torch.nn.functional.cross_entropy(module(torch.randn(4, *network.shape)), torch.tensor([0, 1, 0, 1])).backward()
    shares = module[0].weights
    assert shares.shape == (3,) and shares.grad is not None and float(shares.grad.abs().min()) > 0


@pytest.mark.parametrize("network", SOUND, ids=lambda network: network.name)
def test_the_fast_writer_computes_what_torch_computes(network: SoundNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from handful.models import _convert

    monkeypatch.setattr(_convert, "_dynamo", lambda *_: pytest.fail("the fast writer does not know an operation"))
    torch.manual_seed(0)
    module = network.create(3).train()
    module(torch.randn(8, *network.shape))  # batch norms that have seen something
    content = _convert.to_onnx(module.eval(), network.shape, "logits")
    pictures = torch.randn(3, *network.shape)
    (found,) = session(content, 1).run(["logits"], {"pictures": pictures.numpy()})
    with torch.no_grad():
        expected = module(pictures).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


# -- the whole way -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mini", pytest.param("conv1d_mel_g16", marks=pytest.mark.slow)])
def test_trained_from_scratch_it_predicts_without_torch(name: str, sounds: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    handful.train(sounds, run=tmp_path / name, model=name, epochs=30, batch_size=8, folds=2, seconds=0.5)
    found = json.loads((tmp_path / name / "run.json").read_text(encoding="utf-8"))
    assert found["strategy"] == "scratch" and found["score"]["value"] > 0.8, "low and high tones are easy"
    assert found["parameters"] == facts(name)["parameters"] - (0 if name != "mini" else 8 * 33)
    file = next((sounds / "low").iterdir())
    code = (
        "import sys; sys.modules['torch'] = None; import handful; "
        f"print(handful.Predictor.load({str(tmp_path / name)!r}).predict({str(file)!r}).label)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["low"]


@pytest.mark.slow
def test_masks_hide_from_networks_what_training_hears(sounds: Path, tmp_path: Path) -> None:
    """Every step sees other numbers; what is predicted sees them all. Photos have no bands: it is said."""
    from handful.config import Recipe
    from handful.training.automatic import idle

    settings = {"model": "conv1d_mel", "strategy": "scratch", "epochs": 1, "augment": False, "folds": 2}
    losses = []
    for number, mask in enumerate((None, 0.3, 0.3)):
        run = handful.train(sounds, run=tmp_path / str(number), mask=mask, **settings)
        events = map(json.loads, (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        losses.append([event["train_loss"] for event in events if event["event"] == "epoch"])
    assert losses[1] == losses[2] and all(a != b for a, b in zip(losses[0], losses[1], strict=True))
    assert idle(Recipe(mask=0.1), "scratch", "image") == ["has no effect with pictures: --mask"]


def test_the_presets_of_the_studies_name_networks_that_go_together() -> None:
    from handful.search import candidates

    for name, count in (("conv1d-groups", 5), ("conv1d-mels", 3), ("digits", 6)):
        settings = presets()[name]["settings"]
        made = candidates(settings["models"], settings["strategies"], settings.get("vary", {}))
        assert len(made) == count, name
        for candidate in made:
            said = dict(candidate.settings)
            wishes = {key: said.get(key, settings.get(key)) for key in ("features", "n_mels")}
            network_of(said["model"], **wishes)


# -- pictures of sounds ------------------------------------------------------------------------------------------------


def test_one_channel_sees_what_three_alike_see() -> None:
    torch = pytest.importorskip("torch")
    from handful.models.resnet_mel import adopt

    torch.manual_seed(0)
    colours, grey = models.get("resnet18"), models.get("resnet18_mel")
    assert isinstance(colours, Network) and isinstance(grey, Network)
    photos, sounds = colours.create(3).eval(), grey.create(3).eval()
    state = adopt({key: value.numpy() for key, value in photos.state_dict().items()})
    sounds.load_state_dict({key: torch.from_numpy(np.asarray(value)) for key, value in state.items()})
    first: Any = sounds.conv1  # type: ignore[union-attr]
    assert (first.in_channels, first.kernel_size, first.stride, first.padding) == (1, (7, 7), (2, 2), (3, 3))
    picture = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(sounds(picture), photos(picture.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_the_first_layer_and_the_head_are_trained_alone() -> None:
    torch = pytest.importorskip("torch")
    from handful.training._optimise import unfreeze

    network = models.get("resnet18_mel")
    assert isinstance(network, Network)
    with torch.device("meta"):
        module = network.create(2)
        unfreeze(network, module, network.replace_head(module, 2), 1)
    learning = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert learning == {"conv1.weight", "fc.weight", "fc.bias"}


def test_relu_takes_the_place_of_every_silu() -> None:
    torch = pytest.importorskip("torch")
    silu, relu = models.get("efficientnet_v2_s"), models.get("efficientnet_v2_s_relu")
    assert isinstance(silu, Network) and isinstance(relu, Network)
    with torch.device("meta"):
        before, after = silu.create(2), relu.create(2)
    count = sum(isinstance(layer, torch.nn.SiLU) for layer in before.modules())
    replaced = sum(isinstance(layer, torch.nn.ReLU) for layer in after.modules())
    kept = sum(isinstance(layer, torch.nn.ReLU) for layer in before.modules())
    assert count > 50 and replaced == count + kept and not any(isinstance(m, torch.nn.SiLU) for m in after.modules())
    assert before.state_dict().keys() == after.state_dict().keys() and relu.weights_sha256 == silu.weights_sha256


def test_a_model_config_of_000(tmp_path: Path) -> None:
    from handful.config import load_recipe, resolve

    theirs = "model_name: efficientnet_v2_s\npretrained: true\ntrainable_blocks: 2\nreplace_silu_with_relu: {}\n"
    for answer, name in (("false", "efficientnet_v2_s"), ("true", "efficientnet_v2_s_relu")):
        (tmp_path / "model.yaml").write_text(theirs.format(answer), encoding="utf-8")
        recipe = resolve(load_recipe(tmp_path / "model.yaml"))
        assert (recipe.model, recipe.trainable_blocks, recipe.weights) == (name, 2, None)
    assert presets()["efficientnet_v2"]["settings"]["model"] == "efficientnet_v2_s"
