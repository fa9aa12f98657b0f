"""The catalogue's advice: tiers and choices follow from figures, pages say what the program says, foreign recipes are read."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from handful.cli import app
from handful.config import load_recipe, resolve
from handful.errors import UsageError
from handful.models import Model, Network, facts, models
from handful.models._advice import NEEDS, SAMPLES, SOUNDS, USES, Limits, advise, choose, tiers, training_gb
from handful.models._published import published
from handful.workflow.catalogue import catalogue, count, recommend, task_matrix
from tests import test_docs

ROOT = Path(__file__).resolve().parents[1]
PRETRAINED = [m for m in models if isinstance(m, Network) and m.licence == "BSD-3-Clause" and m.top1]  # torchvision's
PAGES = sorted((ROOT / "docs" / "families").glob("*.md"))

# Parameters in millions as the guide gives them, sorted into its three classes (below 10, 10 to 50, above 50).
SIZES = {
    "light": "mobilenet_v2 mobilenet_v3_small mobilenet_v3_large shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 "
    "shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 efficientnet_b0 efficientnet_b1 efficientnet_b2",
    "medium": "resnet18 resnet34 resnet50 resnet101 resnext50_32x4d efficientnet_b3 efficientnet_b4 efficientnet_b5 "
    "efficientnet_b6 efficientnet_v2_s",
    "large": "resnet152 resnext101_32x8d resnext101_64x4d efficientnet_b7 efficientnet_v2_m efficientnet_v2_l",
}


def generate() -> Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def handful(*words: str) -> str:
    answer = CliRunner().invoke(app, ["models", *words])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


# -- tiers -------------------------------------------------------------------------------------------------------------


def test_sizes_are_the_published_classes() -> None:
    for size, names in SIZES.items():
        assert {tiers(name)["size"] for name in names.split()} == {size}
        assert set(names.split()) <= {row["name"] for row in catalogue(size=size)}
    assert {name for names in SIZES.values() for name in names.split()} <= {network.name for network in PRETRAINED}


def test_memory_agrees_with_the_guide_but_where_the_page_says_so() -> None:
    module = generate()
    differing = module.differences()
    named = {name: tier for tier, names in module.GUIDE_MEMORY.items() for name in names.split()}
    assert set(named) <= {network.name for network in PRETRAINED} and len(named) == 28
    page = (ROOT / "docs" / "families" / "README.md").read_text(encoding="utf-8")
    for name, tier in named.items():
        assert (tiers(name)["memory"] == tier) != (name in differing)
        assert (name in differing) == (f"| `{name}` | {tier} |" in page)
    small = training_gb("efficientnet_b0", batch=16)
    assert small is not None and small < 4  # the guide's footnote: B0 with batches of 16


def test_cost_falls_into_tiers_by_number_alone() -> None:
    ordered = sorted((row for row in catalogue() if row["macs"]), key=lambda row: row["macs"])
    names = [row["speed"] for row in ordered]
    assert names == sorted(names, key=["high speed", "balanced", "high accuracy"].index)
    assert set(names) == {"high speed", "balanced", "high accuracy"}


# -- figures -----------------------------------------------------------------------------------------------------------


def test_published_figures_are_torchvisions() -> None:
    pytest.importorskip("torchvision")
    from handful.models._published import from_torchvision

    for network in PRETRAINED:
        theirs, ours = from_torchvision(network), published(network.name)
        assert theirs and all(theirs[key] == ours[key] for key in ("top1", "top5", "gflops"))
        assert (network.top1, network.top5) == (theirs["top1"], theirs["top5"])


def test_kept_bytes_are_what_autograd_keeps() -> None:
    torch = pytest.importorskip("torch")
    from handful.models._published import kept_bytes

    for name in ("resnet18", "squeezenet1_1", "small_cnn"):
        network = models.get(name).network
        assert network and kept_bytes(network) == published(name)["kept_bytes"]
    linear = Network(
        name="x", family="x", input_size=4, create=lambda n: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, n)),
        body=lambda m: m, blocks=lambda m: [m], replace_head=lambda m, n: m,
    )  # fmt: skip
    assert kept_bytes(linear) == 4 * 48  # a linear layer keeps its input


# -- choices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits", [*(limits for _, limits in USES.values()), *NEEDS.values(), *(s[1] for s in SAMPLES)]
)
def test_choices_keep_to_their_limits_and_are_the_best_within(limits: Limits) -> None:
    found = choose(limits)
    able = [row for row in catalogue() if row["top1"] and limits.hold(row) and not row["extra"]]
    named = {row["name"]: row for row in able}
    primary, other, minimal = (named[found[place]["name"]] for place in ("primary", "alternative", "minimal"))
    if limits.most == "top1":
        assert primary["top1"] == max(row["top1"] for row in able)
        assert minimal["macs"] == min(row["macs"] for row in able)
    else:
        assert primary["macs"] == min(row["macs"] for row in able)
        assert minimal["parameters"] == min(row["parameters"] for row in able)
    assert other["family"] != primary["family"]
    assert all(f"{named[a['name']]['top1']:.1f} %" in a["reason"] for a in found.values())


def test_a_new_network_takes_part_by_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    from handful.models import _advice

    monkeypatch.setitem(models._entries, "new", Model(name="new", family="new", pretrained=True, top1=99.0))
    figures = {"parameters": 1_000_000, "macs": 10_000_000}
    monkeypatch.setattr(_advice, "facts", lambda name: figures if name == "new" else facts(name))
    assert choose(USES["edge"][1])["primary"]["name"] == "new"


def test_wishes_are_joined_and_impossible_ones_are_refused() -> None:
    both = advise("mobile", 100, "good")
    assert facts(both["primary"]["name"])["macs"] <= 0.6e9
    assert models.get(both["primary"]["name"]).top1 >= 75  # type: ignore[operator]
    with pytest.raises(UsageError, match="no pretrained network has"):
        advise("edge", None, "high")
    with pytest.raises(UsageError, match="no advice for 'fridge'"):
        advise("fridge", None, None)


def test_more_samples_never_mean_a_weaker_network() -> None:
    best = [models.get(advise(None, n, None)["primary"]["name"]).top1 or 0 for n in (100, 999, 1000, 9999, 10_000)]
    assert best == sorted(best) and best[1] < best[2] and best[3] < best[4]


def test_advice_for_sounds_names_networks_for_sounds() -> None:
    for use in USES:
        said = advise(use, None, None, "audio")
        assert said["primary"]["name"] == SOUNDS[use][0]
        assert models.get(said["primary"]["name"]).modalities == ("audio",)
        assert "%" not in said["primary"]["reason"]


def test_only_what_works_is_claimed() -> None:
    for family, row in task_matrix().items():
        works = {task for model in models if model.family == family for task in model.tasks}
        assert {task for task, state in row.items() if state == "yes"} == works
    assert task_matrix()["squeezenet"]["detection"] == "no"


# -- the command -------------------------------------------------------------------------------------------------------


def test_without_a_word_all_are_listed() -> None:
    lines = handful().splitlines()
    assert [line.split()[0] for line in lines[1:] if line and not line.startswith("needs:")] == models.names()
    assert len(json.loads(handful("--json"))) == len(models.names())


def test_filters() -> None:
    light = json.loads(handful("--size", "light", "--modality", "image", "--json"))
    assert light and all(row["parameters"] < 10e6 and "image" in row["modality"] for row in light)
    few = json.loads(handful("--max-parameters", "2M", "--family", "shufflenet", "--json"))
    assert [row["name"] for row in few] == ["shufflenet_v2_x0_5"]
    for words in (["--family", "resnt"], ["--size", "tiny"], ["--max-parameters", "many"], ["--modality", "smell"]):
        answer = CliRunner().invoke(app, ["models", *words])
        assert isinstance(answer.exception, UsageError), words


@pytest.mark.parametrize(("text", "value"), [("5M", 5e6), ("200k", 2e5), ("5000000", 5e6), ("5e6", 5e6)])
def test_counts(text: str, value: float) -> None:
    assert count(text) == value


def test_use_case_with_and_without_a_word() -> None:
    assert handful("--use-case") == handful("--recommend") != handful("--use-case", "mobile")
    assert json.loads(handful("--use-case", "--json"))["steps"] == recommend()["steps"]
    advice = json.loads(handful("--use-case", "mobile", "--need", "good", "--json"))
    assert {"schema", "for", "limits", "primary", "alternative", "minimal", "note", "command"} <= set(advice)


def test_a_folder_says_what_was_left_open(photos: Path) -> None:
    said = json.loads(handful("--use-case", "mobile", "--data", str(photos), "--json"))
    assert said["modality"] == "image" and "24 samples" in said["for"]
    answer = CliRunner().invoke(app, ["models", "--use-case", "mobile", "--size", "light"])
    assert isinstance(answer.exception, UsageError)


def test_recommendation_is_what_auto_takes(photos: Path) -> None:
    from handful.training.trial import Trial

    found = json.loads(handful("--recommend", "--data", str(photos), "--json"))
    choice = Trial(resolve({"data": str(photos)})).choice
    assert (found["model"], found["strategy"], found["why"]) == (choice.model.name, choice.strategy, choice.why)
    assert found["steps"][0]["command"] == f"handful train {photos}"


def test_no_torch_for_lists_and_advice() -> None:
    code = (
        "import sys; from handful.workflow.catalogue import advise, catalogue, recommend, task_matrix;"
        "catalogue(); advise('mobile'); recommend(); task_matrix(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "torchvision", "onnx", "sklearn"} & set(done.stdout.split())


# -- recipes of other programs -----------------------------------------------------------------------------------------


def written(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "recipe.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_hyperparams_json(tmp_path: Path) -> None:
    theirs = {"num_epochs": 10, "learning_rate": 0.0001, "batch_size": 8, "weight_decay": 0.0001}
    recipe = resolve(load_recipe(written(tmp_path, theirs)))
    assert (recipe.epochs, recipe.learning_rate, recipe.batch_size, recipe.weight_decay) == (10, 0.0001, 8, 0.0001)


def test_training_json(tmp_path: Path) -> None:
    theirs = {
        "model_type": "efficientnet", "model_name": "efficientnet_b3", "pretrained": True, "task": "classification", "input_size": 300,
    }  # fmt: skip
    recipe = resolve(load_recipe(written(tmp_path, {"training": theirs})))
    assert (recipe.model, recipe.input_size, recipe.weights, recipe.strategy) == ("efficientnet_b3", 300, None, "auto")
    recipe = resolve(load_recipe(written(tmp_path, {"training": {**theirs, "pretrained": False}})))
    assert (recipe.weights, recipe.strategy) == ("none", "scratch")


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ({"training": {"model_nam": "resnet50"}}, "model_name"),
        ({"training": {"pretraind": True}}, "pretrained"),
        ({"training": {"input_sise": 3}}, "input_size"),
        ({"training": {"model_name": "resnet50"}, "memory": {}}, "leave it out"),
        ({"num_epoch": 3}, "epochs"),
        ({"num_epochs": 3, "epochs": 4}, "leave out"),
    ],
)
def test_unknown_keys_are_named_with_the_nearest(content: dict[str, Any], hint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(load_recipe(written(tmp_path, content)))
    assert hint in (caught.value.hint or "")


# -- pages -------------------------------------------------------------------------------------------------------------


def test_every_family_has_its_page_with_the_programs_figures() -> None:
    for name, text in generate().families().items():
        page = ROOT / "docs" / "families" / name
        assert page.exists() and page.read_text(encoding="utf-8") == text, f"{name}: run python docs/generate.py"
    assert {page.stem for page in PAGES} == {"README"} | {model.family for model in models}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_pages_of_families_name_what_exists(page: Path) -> None:
    test_docs.test_commands_and_options_exist(page)
    test_docs.test_links_lead_somewhere(page)
    assert page.name == "README.md" or page.read_text(encoding="utf-8").partition("<!-- table -->")[0].count("\n") > 3


def test_troubleshooting_has_steps_with_a_command_each() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    sections = text.split("\n## ")[1:]
    assert len(sections) == 6
    for section in sections:
        steps = section.split("\n\n", 1)[1]
        numbered = [part for part in ("\n" + steps).split("\n") if part[:2] in ("1.", "2.", "3.", "4.")]
        assert len(numbered) == 4
