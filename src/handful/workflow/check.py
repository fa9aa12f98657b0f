"""The data doctor as a use case: look at a folder, change nothing."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from handful.errors import DataError, FileError, HandfulError
from handful.runs import Teller as Teller
from handful.words import packed, said

if TYPE_CHECKING:
    from handful.config import Recipe
    from handful.data import Dataset, Finding, Sample
    from handful.training.reading import Reader

_ORDER = {"error": 0, "warning": 1, "note": 2}


def check(
    data: str | os.PathLike[str],
    *,
    modality: str | None = None,
    labels: str | None = None,
    pattern: str | None = None,
    fix: str | os.PathLike[str] | None = None,
    teller: Teller | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """What is in a folder and what is wrong with it.

    Files, duplicates, imbalance and shortcuts need nothing but the base installation. Likely wrong labels need
    `handful[learn]` and a few seconds of training; where that cannot be done, "skipped" says why.

    Args:
        data: a folder as for `train`.
        fix: a labels table to write with what can be mended by itself; no file is changed.
        settings: fields of the recipe, e.g. `model="squeezenet1_0"`.

    Returns:
        {"schema", "samples", "classes": {name: n}, "findings": [{"kind", "severity", "files", "message", "fix",
        "name", "values"}],
        "suggested": {file with a doubtful label: class that is more likely}, "skipped"}
    """
    from handful.audit.fix import fixed_table, one_spelling, table_at, write_table
    from handful.audit.labels import to_findings
    from handful.audit.parts import untrained
    from handful.config import resolve
    from handful.data import load_data
    from handful.features import frontends
    from handful.training.reading import Reader
    from handful.training.trial import inspect

    given = {"data": os.fspath(data), "modality": modality, "labels": labels, "pattern": pattern, **settings}
    recipe = resolve(given)
    table = None if fix is None else table_at(fix)
    teller = teller or Teller()
    dataset = load_data(
        recipe.data, modality=recipe.modality, labels=recipe.labels, pattern=recipe.pattern, classes=recipe.classes
    )
    reader = Reader(frontends.get(dataset.modality).suited([s.path for s in dataset.samples], {}), recipe.threads)
    errors = _read(reader, dataset, teller)
    broken = {sample.file for sample, _ in errors}
    samples = [s for s in dataset.samples if s.file not in broken]
    findings = [*dataset.findings, *untrained(dataset.samples), *inspect(samples, errors, reader)]
    findings += _shortcuts(recipe, dataset, samples, reader)
    merged = replace(dataset, samples=tuple(one_spelling(dataset.samples)))  # Dog and dog are no mistake of each other
    doubtful, skipped = _by_model(recipe, merged, teller)
    findings += to_findings(doubtful)
    if table is not None:
        from handful.audit.sources import suggested

        sources = suggested(samples, reader.facts(samples))
        write_table(table, fixed_table(dataset.samples, findings, doubtful or (), sources))
    return {
        "schema": 1,
        "modality": dataset.modality,
        "samples": len(samples),
        "classes": dict(sorted(Counter(s.label for s in samples).items())),
        "findings": [f.to_dict() for f in sorted(findings, key=lambda f: _ORDER[f.severity])],
        "suggested": {str(row["file"]): row["suggested"] for row in doubtful or []},
        "skipped": skipped,
        "fixed": os.fspath(fix) if fix is not None else None,
    }


def _read(reader: Reader, dataset: Dataset, teller: Teller) -> list[tuple[Sample, FileError]]:
    """Read what was never read before; what could not be."""
    unread = reader.unread(dataset.samples)
    samples = [s for s in dataset.samples if s.sha256 in unread]
    errors = []
    for number, (sample, items) in enumerate(reader.read(samples)):
        if isinstance(items, FileError):
            errors.append((sample, items))
        if teller.progress:
            teller.progress("read", number + 1, len(samples))
    return errors


def _shortcuts(recipe: Recipe, dataset: Dataset, samples: list[Sample], reader: Reader) -> list[Finding]:
    """Whether something that should not matter gives the class away; nothing where there is too little to test."""
    from handful.audit import shortcuts
    from handful.training.studies import shortcut_rows
    from handful.training.trial import arrange

    try:
        prepared = arrange(recipe, dataset, [s for s in samples if s.split != "test"], [], reader, 1)
    except DataError:
        return []
    return shortcuts.to_findings(shortcut_rows(prepared, reader, recipe.seed))


def _by_model(
    recipe: Recipe, dataset: Dataset, teller: Teller
) -> tuple[list[dict[str, Any]] | None, list[dict[str, Any]]]:
    """(likely wrong labels, what was skipped and why)."""

    def skip(why: str, command: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        row = {"what": said("check.labels"), "why": why, "command": command}
        return [], [row | {"values": {key: packed(text) for key, text in row.items()}}]

    if importlib.util.find_spec("onnx") is None:
        return skip(said("check.no_training"), "pip install 'handful[learn]'")
    from handful.training import studies
    from handful.training.trial import Trial

    quick = recipe.model_copy(
        update={"repeats": recipe.repeats or 2, "views": 0 if recipe.views is None else recipe.views}
    )
    try:
        trial = Trial(quick, Teller(progress=teller.progress), dataset)
        trial.prepare()
        scored = trial.evaluate()
        return studies.likely_wrong(trial, scored, studies.at_random(trial)), []
    except HandfulError as error:
        return skip(error.message, error.hint)
