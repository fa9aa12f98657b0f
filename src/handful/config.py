"""The recipe: everything that decides a run. Each setting is written once, with type, default, bounds and help.

Flags, YAML, presets and the studio's form are made from these fields. Knows nothing about what the settings do.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from handful.errors import UsageError
from handful.words import both, load, meant, said

Modality = Literal["image", "audio"]
Strategy = Literal["auto", "prototype", "probe", "finetune", "scratch"]
ENSEMBLE = "ensemble"  # the model and strategy of a run that joins others


def _names(value: Any) -> Any:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, Path)) else value


Names = Annotated[list[str], BeforeValidator(_names)]
Text = Annotated[str, BeforeValidator(_text)]


class Recipe(BaseModel):
    """Settings of `handful train`; the ones left at None are found from the data."""

    model_config = ConfigDict(extra="forbid", validate_default=False)

    data: Text = Field("", description="folder with one folder of files for each class")
    modality: Modality | None = Field(None, description="image or audio; found from the files")
    task: Literal["classification"] = Field("classification", description="what is learned")
    model: str = Field("auto", description="a name from `handful models`; a+b concatenates embeddings")
    strategy: Strategy = Field("auto", description="auto, prototype, probe, finetune or scratch")
    head: str = Field("auto", description="of a probe: auto, logistic, lda, ridge, kernel_ridge, svm, mlp or prototype")
    weights: Text | None = Field(None, description="safetensors, state dict or ONNX backbone; none: without")
    start: Text | None = Field(None, description="an earlier run, whose network is fine-tuned")
    require_pretrained: bool = Field(False, description="fail rather than use a method that needs no weights")
    labels: Text | None = Field(None, description="table with file_name and label; replaces what folders mean")
    pattern: str | None = Field(None, description='what file names mean, e.g. "{label}_{group}_{}"')
    test: Text | None = Field(None, description="score the final model once on this folder")
    classes: Names | None = Field(None, description="only these classes, a,b")
    per_class: Text | None = Field(
        None, description="training samples of each class, drawn by seed; 15/5/20: with validation and test"
    )
    seed: int = Field(0, ge=0, description="of every random choice")
    folds: int = Field(5, ge=2, le=50, description="parts of the cross-validation")
    repeats: int | None = Field(
        None, ge=1, le=50, description="repeats of the cross-validation; found from the number of samples"
    )
    views: int | None = Field(
        None, ge=0, le=64, description="augmented views of each sample in a probe; chosen inside training folds"
    )
    trainable_blocks: int | None = Field(None, ge=-1, description="finetune: 0 head only, N last blocks, -1 all")
    epochs: int | None = Field(None, ge=1, le=10_000, description="passes over the data; finetune and scratch")
    batch_size: int | None = Field(
        None, ge=0, le=4096, description="samples a step, 0: as many as the memory holds; finetune and scratch"
    )
    accumulate: int | None = Field(
        None, ge=1, le=4096, description="parts in which a step is computed, to save memory; finetune and scratch"
    )
    target_memory_usage: float = Field(
        0.8, gt=0, le=1, description="with batch size 0, share of the memory to fill; finetune and scratch"
    )
    safety_margin: float = Field(
        0.1, ge=0, lt=1, description="with batch size 0, share of that to leave free; finetune and scratch"
    )
    learning_rate: float | None = Field(None, gt=0, le=10, description="of the optimizer; finetune and scratch")
    optimizer: Literal["adamw", "adam", "sgd"] | None = Field(None, description="finetune and scratch")
    scheduler: Literal["cosine", "plateau", "one_cycle", "constant"] | None = Field(
        None, description="of the learning rate; finetune and scratch"
    )
    warmup: float | None = Field(
        None, ge=0, le=0.5, description="share of the steps in which the learning rate rises; finetune and scratch"
    )
    layer_decay: float | None = Field(
        None, gt=0, le=1, description="finetune: each block learns by this factor slower than the one after it"
    )
    weight_decay: float | None = Field(None, ge=0, le=1, description="of the optimizer; finetune and scratch")
    gradient_clip: float | None = Field(
        None, gt=0, le=1e6, description="largest norm of the gradients; finetune and scratch"
    )
    label_smoothing: float | None = Field(None, ge=0, lt=1, description="finetune and scratch")
    class_weights: bool | None = Field(None, description="every class counts alike; finetune and scratch")
    mixup: float | None = Field(
        None, ge=0, le=10, description="mixes pairs of samples, strength of the mixture; finetune and scratch"
    )
    average: float | None = Field(
        None, ge=0, lt=1, description="decay of a moving average of the weights, 0: none; finetune and scratch"
    )
    target_size: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="fills classes up to so many training samples with augmented copies; finetune and scratch",
    )
    augment: bool | None = Field(
        None, description="change every sample a little in each epoch, as by default; finetune and scratch"
    )
    mask: float | None = Field(
        None,
        ge=0,
        le=0.5,
        description="hides up to this share of a sound's bands and time in each epoch; finetune and scratch",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] | None = Field(
        None, description="of the arithmetic; lower than float32 on a GPU by default; finetune and scratch"
    )
    patience: int | None = Field(
        None, ge=1, description="epochs without gain before an early stop; finetune and scratch"
    )
    input_size: int | None = Field(
        None, ge=16, le=1024, description="side of the picture in pixels; the model's own by default"
    )
    features: Literal["mel", "mfcc", "spectrogram"] | None = Field(None, description="what networks see of a sound")
    n_mels: int | None = Field(None, ge=8, le=256, description="mel bands of what networks see of a sound")
    sample_rate_hz: int | None = Field(
        None, ge=2000, le=96_000, description="sounds are resampled to this; 16 kHz or the data's own"
    )
    seconds: float | None = Field(None, gt=0, le=60, description="length of a sound's window; found from the data")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where networks train")
    threads: int | None = Field(None, ge=1, le=512, description="processor threads; all by default")


# How a form arranges the settings, in this order; what is named nowhere comes under "training" as it stands above.
FORM = {
    "basic": ("model", "strategy", "epochs", "per_class"),
    "data": ("classes", "sample_rate_hz", "seconds", "features", "n_mels", "views", "target_size"),
    "model": ("head", "trainable_blocks", "input_size", "weights", "require_pretrained"),
    "evaluation": ("seed", "folds", "repeats"),
}
ELSEWHERE = ("data", "modality", "task", "start", "labels", "pattern", "test")  # which data: not asked in a form


def form() -> dict[str, tuple[str, ...]]:
    """The names of the settings that a form asks for, by group, in order."""
    placed = {name for names in FORM.values() for name in names}.union(ELSEWHERE)
    rest = tuple(name for name in Recipe.model_fields if name not in placed)
    order = ("basic", "data", "model", "training", "evaluation")
    return {group: (*FORM.get(group, ()), *(rest if group == "training" else ())) for group in order}


_DESCRIBED = {name: field.description or "" for name, field in Recipe.model_fields.items()}


def resolve(*layers: Mapping[str, Any]) -> Recipe:
    """One recipe from layers, coarse to fine: later wins, None says nothing.

    Raises:
        UsageError: an unknown key (with the nearest known ones) or a value out of bounds.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            name = key.replace("-", "_")
            if name not in Recipe.model_fields:
                near = difflib.get_close_matches(name, Recipe.model_fields, n=2, cutoff=0.5)
                hint = meant(near) if near else said("hint.known", names=list(Recipe.model_fields))
                raise UsageError(said("setting.unknown", name=repr(key)), hint)
            if value is not None:
                merged[name] = value
    if merged.get("strategy") == ENSEMBLE:
        raise UsageError(*both("setting.ensemble"))
    try:
        return Recipe(**merged)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "recipe"
        why = _invalid(first["type"], first["msg"].lower(), first.get("ctx") or {})
        message = said("setting.invalid", name=name, value=repr(merged.get(name)), why=why)
        raise UsageError(message, said("setting.invalid.fix", name=name, about=_DESCRIBED.get(name, ""))) from None


def _invalid(kind: str, text: str, values: Mapping[str, Any]) -> str:
    """What pydantic says of a value, as a sentence where it is a usual one."""
    key = f"invalid.{kind}"
    return said(key, **{name: str(value) for name, value in values.items()}) if key in load("en") else text


def load_recipe(path: Path) -> dict[str, Any]:
    """Settings from a YAML or JSON file."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"the recipe {path} cannot be read ({error.strerror})", "check the path given to --config"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"the recipe {path} is not YAML", "compare it with recipe.yaml in a run directory") from error
    if not isinstance(content, dict):
        raise UsageError(f"the recipe {path} holds no settings", "write lines such as `model: squeezenet1_0`")
    return _translated({str(key): value for key, value in content.items()})


# Keys of other programs' files and ours: {"training": {...}} of 001, hyperparams.json of 004.
FOREIGN = {"model_name": "model", "num_epochs": "epochs"}
_IN_TRAINING = ("model_type", "pretrained")  # beside what is a setting here; model_type is said by the model's name


def _translated(content: dict[str, Any]) -> dict[str, Any]:
    """Settings of a recipe that was written for another program; our own pass unchanged.

    Raises:
        UsageError: a key beside `training`, or one in it that is neither theirs nor ours.
    """
    if isinstance(inner := content.get("training"), Mapping):
        if strange := [key for key in content if key != "training"]:
            raise UsageError(f"there is no setting called {strange[0]!r} beside 'training'", "leave it out")
        content = {str(key): value for key, value in inner.items()}
        for key in content:
            near = difflib.get_close_matches(key, [*_IN_TRAINING, *FOREIGN], n=1, cutoff=0.7)
            if near and key not in (*near, *Recipe.model_fields):
                raise UsageError(f"there is no setting called {key!r} in 'training'", f"did you mean {near[0]}?")
        content.pop("model_type", None)
    content = dict(content)
    if content.pop("pretrained", None) is False:
        content |= {"weights": "none", "strategy": content.get("strategy", "scratch")}
    translated: dict[str, Any] = {}
    for key, value in content.items():
        name = FOREIGN.get(key, key)
        if name in translated:
            raise UsageError(f"{name} is given twice, also as {key!r}", f"leave out {key}")
        translated[name] = value
    # A switch of 000's model configs: here a model of its own.
    if translated.pop("replace_silu_with_relu", False):
        translated["model"] = f"{translated.get('model', 'efficientnet_v2_s')}_relu"
    return translated


def presets() -> dict[str, dict[str, Any]]:
    """The presets by name: each has `summary` and `settings`, some the `pattern` of the names of files they were made for."""
    import yaml

    folder = resources.files("handful") / "presets"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {f.name.removesuffix(".yaml"): yaml.safe_load(f.read_text(encoding="utf-8")) for f in files}


def preset(name: str, fits: Callable[[str], bool] = lambda pattern: False) -> dict[str, Any]:
    """Settings of one preset, its pattern of file names among them where that `fits` the data."""
    known = presets()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2, cutoff=0.4)
        hint = meant(near) if near else said("setting.presets")
        raise UsageError(said("setting.no_preset", name=repr(name)), hint)
    pattern = known[name].get("pattern")
    named = {"pattern": pattern} if pattern is not None and fits(pattern) else {}
    return named | known[name]["settings"]


def assignments(pairs: list[str]) -> dict[str, Any]:
    """`--set key=value` pairs; values are read as YAML."""
    import yaml

    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair} has no =", "write --set key=value")
        settings[key.strip()] = yaml.safe_load(value)
    return settings


def several(value: Any) -> list[Any]:
    """A list of names, files or formats; one alone is a list of one."""
    return [value] if isinstance(value, (str, Path)) else list(value)


def varied(pairs: list[str]) -> dict[str, list[Any]]:
    """`--vary key=v1,v2` pairs: the values to try of each setting."""
    found = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--vary {pair} has no =", "write --vary n_mels=20,40,80")
        resolve({key.strip(): None})  # an unknown key is an error
        found[key.strip().replace("-", "_")] = [_value(part) for part in text.split(",") if part.strip()]
    return found


def _value(text: str) -> Any:
    import yaml

    return yaml.safe_load(text.strip())


def seconds(text: str) -> float:
    """A time as people write it: 90, 90s, 1.5m, 2h.

    Raises:
        UsageError: it is none.
    """
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        value = float(number) * units[unit]
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise UsageError(*both("setting.no_time", text=repr(text)))
    return value


def to_yaml(recipe: Recipe) -> str:
    """The settings that say something, as YAML."""
    import yaml

    return str(yaml.safe_dump(recipe.model_dump(exclude_none=True), sort_keys=False, allow_unicode=True))
