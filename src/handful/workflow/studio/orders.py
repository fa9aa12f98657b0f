"""From what a page asks for to the words of a command, checked before anything is queued.

Knows recipes, registries and what each kind of job takes. What belongs to the project (which files, which labels, where the
run goes) is never asked: it cannot be given either.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from handful import config
from handful.config import Recipe, resolve
from handful.errors import DataError, UsageError
from handful.files import inside
from handful.folders import KEPT
from handful.reporting import plans
from handful.words import both, said
from handful.workflow.studio import records

if TYPE_CHECKING:
    from handful.projects import Project
    from handful.training.automatic import Choice

RACE = ("models", "strategies", "vary", "budget")  # settings of a race beside the recipe's
RACES = "races"
MOST_EXPLAINED = 100
ACCEPTABLE = ("export.costly.fix", "export.disagrees_drop.fix")  # hints of exports that --accept-drop would have kept
_MODEL = re.compile(r"[^/\\.:]*|timm/[\w.-]+", re.ASCII)  # the catalogue's, or one of another library's
LOOKED_AT = 200  # files whose headers decide what kind of sounds these are


class Wish(Protocol):
    """What a page asks for, see `NewJob` of the wire."""

    @property
    def kind(self) -> str: ...
    @property
    def settings(self) -> dict[str, Any]: ...
    @property
    def preset(self) -> str | None: ...
    @property
    def run(self) -> str | None: ...
    @property
    def formats(self) -> list[str]: ...
    @property
    def accept_drop(self) -> bool: ...
    @property
    def title(self) -> str: ...


@dataclass(frozen=True)
class Order:
    """A command for the queue. `run`: the directory that it makes (`makes_run`) or uses."""

    args: list[str]
    title: str
    run: Path | None = None
    makes_run: bool = False


def order(project: Project, wish: Wish, ordered: Iterable[str | None] = ()) -> Order:
    """`ordered`: runs of the project's jobs. Raises UsageError, DataError, MissingExtra or NotFound, with what to do."""
    if wish.kind == "train":
        return _train(project, wish, records.place(project, ordered))
    return _KINDS[wish.kind](project, wish)


def same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two commands do the very same: labels and settings stand in their words; where the result goes is no matter."""
    told, also = ([word for word in words if word != "--json" and word[:6] != "--run="] for words in (one, other))
    return told == also


def recipe(project: Project, settings: Mapping[str, Any], preset: str | None, race: bool = False) -> Recipe:
    """The settings as training will see them, without the place of the data.

    Raises:
        UsageError: an unknown setting or value, one that the project decides, or a race where none was asked for.
    """
    layers = [config.preset(preset)] if preset else []
    if layers and not race and layers[0].keys() & set(RACE):
        raise UsageError(*both("order.race", name=str(preset)))
    for key in settings:
        if key.replace("-", "_") in config.ELSEWHERE:
            raise UsageError(*both("order.elsewhere", name=key))
    no_files(settings)
    own = [{key: value for key, value in layer.items() if key not in RACE} for layer in [*layers, settings]]
    return resolve(*own, {"modality": project.modality})


def no_files(settings: Mapping[str, Any]) -> None:
    """Raises UsageError for weights or a model that would be read from a file of this machine, whoever asks."""
    weights, model = settings.get("weights"), str(settings.get("model") or "")
    if weights is not None and str(weights).lower() != "none":
        raise UsageError(*both("order.weights_file"))
    if not all(_MODEL.fullmatch(part) for part in model.split("+")):
        raise UsageError(*both("order.model_file"))


def choose(project: Project, asked: Recipe) -> Choice | None:
    """What `auto` takes for the project's files, without fetching anything. Raises as training would.

    None for a model that the catalogue makes when it is asked for: that loads libraries which a server must not carry.
    """
    if unlisted(asked.model):
        return None
    from handful.features import frontends
    from handful.models._weights import foreseeing
    from handful.training import automatic

    there = (inside(project.media, sample.file) for sample in project.samples[:LOOKED_AT])
    paths = [path for path in there if path]
    named = {name: getattr(asked, name) for name in automatic.OF_SOUNDS if getattr(asked, name) is not None}
    frontend = frontends.get(str(project.modality)).suited(paths, named)
    with foreseeing():
        return automatic.choose(asked, frontend, lambda line: None)


def unlisted(model: str) -> bool:
    """Whether it is of another library's catalogue, such as timm/NAME."""
    return any("/" in part for part in model.split("+"))


def method(model: str, strategy: str) -> str:
    """How it learns, for people: quick (no network), ready (a head on a ready-made network), adapted (fine-tuned), new, joined."""
    known = {"finetune": "adapted", "scratch": "new", config.ENSEMBLE: "joined"}
    if strategy in known:
        return known[strategy]
    from handful.models import models

    parts = model.split("+")
    return "ready" if any("/" in part or (part in models and models.get(part).network) for part in parts) else "quick"


def counted(project: Project) -> tuple[dict[str, int], dict[str, int]]:
    """(samples of each class that a model can learn from, how many things these come from: takes, and samples without one)."""
    counts = {card.name: 0 for card in project.classes}
    groups: dict[str, set[str]] = {name: set() for name in counts}
    for sample in project.samples:
        if sample.split in KEPT:
            continue
        counts[sample.label] = counts.get(sample.label, 0) + 1
        groups.setdefault(sample.label, set()).add(sample.group or sample.id)
    return counts, {name: len(found) for name, found in groups.items()}


def divided(project: Project) -> tuple[list[str], list[str]]:
    """(classes whose samples are all kept for validation or test, takes that are used partly for training, partly for testing)."""
    parts: dict[str, set[str]] = defaultdict(set)
    groups: dict[str, set[str]] = defaultdict(set)
    for sample in project.samples:
        part = sample.split if sample.split in KEPT else "train"
        parts[sample.label].add(part)
        if sample.group:
            groups[sample.group].add(part)
    kept = [name for name in project.class_names if parts[name] and "train" not in parts[name]]
    return kept, [name for name, found in groups.items() if len(found) > 1]


def startable(project: Project) -> None:
    """Raises DataError where there is nothing to train on."""
    if problems := plans.problems(*counted(project), divided(project)[0]):
        raise DataError(*problems[0])


def _data(project: Project) -> list[str]:
    return [str(project.media), f"--labels={records.snapshot(project)}"]


def sets(settings: Mapping[str, Any]) -> list[str]:
    """`--set` words. JSON is YAML, which they are read as."""
    said = {key: value for key, value in settings.items() if key not in RACE and value is not None}
    return [f"--set={key.replace('-', '_')}={json.dumps(value, ensure_ascii=False)}" for key, value in said.items()]


def _train(project: Project, wish: Wish, run: Path) -> Order:
    from handful.workflow.train import started

    startable(project)
    asked = recipe(project, wish.settings, wish.preset)
    earlier = records.find(project, wish.run) if wish.run else None
    if earlier:
        if not unlisted(str(earlier.result.get("model"))):
            asked = resolve(started(str(earlier.path)), asked.model_dump(exclude_unset=True))
    choose(project, asked)  # raises as training would
    args = ["train", *_data(project), f"--run={run}", f"--set=modality={project.modality}", *sets(wish.settings)]
    args += [f"--preset={wish.preset}"] if wish.preset else []
    args += [f"--from={earlier.path}"] if earlier else []
    return Order(args, wish.title, run, True)


def _compare(project: Project, wish: Wish) -> Order:
    startable(project)
    asked = recipe(project, wish.settings, wish.preset, race=True)
    settings = dict(wish.settings)
    run = project.folder / RACES / secrets.token_hex(8)
    args = ["compare", *_data(project), f"--run={run}", f"--set=modality={project.modality}", *sets(settings)]
    args += [f"--preset={wish.preset}"] if wish.preset else []
    for key in ("models", "strategies"):
        if names := _names(key, settings.get(key)):
            args.append(f"--{key}={','.join(names)}")
    for key, values in _varied(asked, settings.get("vary")).items():
        args.append(f"--vary={key}={','.join(values)}")
    if settings.get("budget") is not None:
        args.append(f"--budget={config.seconds(str(settings['budget'])):g}s")
    return Order(args, wish.title or wish.preset or "")


def _names(key: str, value: Any) -> list[str]:
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(*both("order.no_list", name=key))
    if key == "models":
        from handful.models import find

        for name in names:
            no_files({"model": name})
            if not unlisted(name):
                find(name)
    return [name for name in names if name and "," not in name]


def _varied(asked: Recipe, value: Any) -> dict[str, list[str]]:
    """Values of each varied setting as words; each of them is a setting that may be."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(*both("order.no_vary"))
    found = {}
    for key, values in value.items():
        if not isinstance(values, list) or key.replace("-", "_") in config.ELSEWHERE:
            raise UsageError(said("order.not_varied", name=key), said("order.no_vary.fix"))
        for one in values:
            no_files({key: one})
            resolve(asked.model_dump(exclude_unset=True), {key: one})
        found[key] = [str(one) for one in values if "," not in str(one)]
    return found


def _check(project: Project, wish: Wish) -> Order:
    asked = recipe(project, wish.settings, None)
    if not len(project.samples):
        raise DataError(*both("order.nothing_to_check"))
    flags = asked.model_dump(exclude_unset=True, exclude_none=True)
    args = ["check", *_data(project)]
    args += [
        f"--{key.replace('_', '-')}={value}" for key, value in flags.items() if not isinstance(value, (bool, list))
    ]
    return Order(args, wish.title)


def _export(project: Project, wish: Wish) -> Order:
    from handful.exporting import Elsewhere, exporters

    record = _used(project, wish)
    if not wish.formats:
        raise UsageError(said("order.no_format"), said("hint.known", names=exporters.names()))
    for name in wish.formats:
        if isinstance(exporter := exporters.get(name), Elsewhere):
            raise UsageError(exporter.unavailable, exporter.how)
    options = _only(wish, {"benchmark": bool})
    args = ["export", str(record.path), f"--format={','.join(dict.fromkeys(wish.formats))}", _place(project)]
    args += ["--benchmark"] if options.get("benchmark", True) else []
    args += ["--accept-drop"] if wish.accept_drop else []
    return Order(args, wish.title or ", ".join(wish.formats), record.path)


def _explain(project: Project, wish: Wish) -> Order:
    record = _used(project, wish)
    options = _only(wish, {"samples": list, "limit": int})
    files = [str(project.path(str(sample))) for sample in options.get("samples", [])[:MOST_EXPLAINED]]
    limit = options.get("limit", 8)
    if not 1 <= limit <= MOST_EXPLAINED:
        raise UsageError(*both("order.limit", limit=str(limit), most=MOST_EXPLAINED))
    args = ["explain", str(record.path), *files, f"--limit={limit}", _place(project)]
    return Order(args, wish.title, record.path)


def _curve(project: Project, wish: Wish) -> Order:
    record = _used(project, wish)
    _only(wish, {})
    return Order(["curve", str(record.path), _place(project)], wish.title, record.path)


def _place(project: Project) -> str:
    """Where a run's samples are looked for: in the project, whatever the run names."""
    return f"--data={project.media}"


def _used(project: Project, wish: Wish) -> records.Record:
    if not wish.run:
        raise UsageError(*both("order.no_run"))
    return records.find(project, wish.run)


def _only(wish: Wish, known: Mapping[str, type]) -> dict[str, Any]:
    """The options of a command; strange ones are errors."""
    for key, value in wish.settings.items():
        if key not in known:
            hint = said("hint.known", names=list(known)) if known else said("error.leave_out.fix")
            raise UsageError(said("order.no_option", kind=wish.kind, name=repr(key)), hint)
        if not isinstance(value, known[key]) or (known[key] is int and isinstance(value, bool)):
            raise UsageError(*both("order.option", name=key, value=repr(value), kind=known[key].__name__))
    return dict(wish.settings)


_KINDS: dict[str, Callable[[Project, Wish], Order]] = {
    "compare": _compare, "check": _check, "export": _export, "explain": _explain, "curve": _curve,
}  # fmt: skip


def kinds() -> Sequence[str]:
    return ("train", *_KINDS)
