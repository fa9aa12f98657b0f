"""An ensemble: finished runs become one model, the mean of their calibrated probabilities, with a headline of its own.

Nothing is trained. Out-of-fold results are the members' own of the same samples, so that no model vouches for what it had
seen; only the temperature is fitted anew, again by folds. All members count alike: weights fitted on as few samples as
there are here would be noise. Of a sound longer than a window the model joins the members window by window and then averages
the logits, while each member's out-of-fold results are already those of whole files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handful import __version__
from handful.audit import labels as wrong_labels
from handful.config import ENSEMBLE, load_recipe
from handful.data.splits import Plan
from handful.errors import RunError
from handful.files import copy_file, inside, to_json
from handful.graph import Graph
from handful.metrics import calibration, paired
from handful.runs import FORMAT, Run, Teller
from handful.sources import Sources, vouch
from handful.training import evaluation, members, record, studies
from handful.training.embedding import Clock
from handful.training.evaluation import Scored
from handful.training.members import Member
from handful.words import both, said

FLOOR = 1e-6  # probabilities in run directories have six decimals: what is measured and what ships are cut alike
KEPT = 1e-3  # of the spread of its logits, within which a member must still give its own answers
RECIPE = (
    "data",
    "modality",
    "labels",
    "pattern",
    "test",
    "classes",
    "per_class",
    "seed",
)  # what is the data, not the model
OF_DATA = ("shortcuts", "samples", "modality", "task", "classes", "data", "seed")


def join(
    paths: Sequence[str | Path], run_path: Path | None = None, teller: Teller | None = None, command: str = ""
) -> Run:
    """Make an ensemble of finished runs of the same data.

    Returns:
        The finished run, without report.

    Raises:
        RunError: a member is missing or damaged.
        UsageError: they do not fit together.
    """
    teller, clock = teller or Teller(), Clock()
    with clock.stage("scan"):
        joined = [members.read(path) for path in paths]
        members.fit_together(joined)
    teller.say(said("say.joining", n=len(joined), names=[member.called for member in joined]))
    run = Run.create(run_path, f"{Path(joined[0].result['data']['path']).name}-{ENSEMBLE}")
    with run.lock():
        with clock.stage("fit"):
            whole = _Whole(joined)
        with clock.stage("save"):
            result = _result(whole, run, command)
            _write_model(run, whole, result)
            _write_vectors(run, whole)
            _write_rows(run, whole)
            _write_recipe(run, whole)
            if Sources(joined[0].run).own:
                vouch(run)
        record.finish(run, result, clock, quick=False)
    return run


class _Whole:
    """The members as one: probabilities, folds, groups, and the score that follows."""

    def __init__(self, joined: Sequence[Member]) -> None:
        self.members, first = joined, joined[0]
        self.names, self.rows = first.classes, first.rows
        self.labels = np.array([self.names.index(row["label"]) for row in self.rows.values()])
        self.clusters = members.clusters(joined)
        self.grouped = any(row["group"] for row in self.rows.values())
        # A repeat of the ensemble is one repeat of each member; who has fewer begins again.
        longest = max(joined, key=lambda member: len(member.folds))
        self.plan = Plan(longest.folds, str(longest.result["score"]["method"]))
        mean = np.mean(
            [[m.probabilities[r % len(m.folds)] for r in range(len(self.plan.folds))] for m in joined], axis=0
        )
        self.seed = int(first.result["seed"])
        self.scored: Scored = evaluation.evaluate(
            _logits(mean), self.labels, self.names, self.plan, self.named, self.seed
        )

    @property
    def named(self) -> np.ndarray | None:
        """Groups int [samples] where the user named them."""
        return self.clusters if self.grouped else None

    def gain(self) -> tuple[Member, dict[str, float]]:
        """The best member, and the accuracy beyond its own on the same samples, see `paired.difference`."""
        tested = self.plan.tested
        hits = [member.hits(self.labels)[tested] for member in self.members]
        best = int(np.argmax([found.mean() for found in hits]))
        groups = None if self.named is None else self.named[tested]
        own = self.scored.right(self.labels)[tested]
        return self.members[best], paired.difference(own, hits[best], groups, self.seed)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(probabilities, FLOOR)))


# -- run.json ----------------------------------------------------------------------------------------------------------


def _result(whole: _Whole, run: Run, command: str) -> dict[str, Any]:
    """run.json, but for costs and versions."""
    first, results = whole.members[0].result, [member.result for member in whole.members]
    best, gain = whole.gain()
    files = list(whole.rows)
    doubtful = wrong_labels.doubtful(files, whole.labels, whole.names, whole.scored.probabilities.mean(axis=0))
    told = [finding for finding in first["findings"] if finding["kind"] != "wrong-label"]
    weights = dict.fromkeys(result["weights"] for result in results if result["weights"])
    macs = [result.get("macs") for result in results]
    return {
        "schema": 1, "format": FORMAT, "run": str(run.path), "model": _named(whole), "strategy": ENSEMBLE,
        "head": f"mean of {len(results)} runs: {', '.join(member.called for member in whole.members)}",
        "why": _why(whole, best, gain), "weights": ", ".join(weights) or None, "groups": int(len(np.unique(whole.clusters))),
        **{key: first[key] for key in OF_DATA if key in first},
        **whole.scored.summary, **_test(whole), **_per_group(whole),
        "members": [
            {"run": str(member.run.path), **{key: member.result[key] for key in ("model", "strategy", "head", "score")}}
            for member in whole.members
        ],
        "gain": {"over": str(best.run.path), **gain}, "parameters": sum(result["parameters"] for result in results),
        "macs": sum(macs) if all(macs) else None, "doubtful": doubtful,
        "unknown": studies.false_alarm(whole.scored, whole.plan, whole.named, whole.seed)
        | {"why": "leaving classes out would take another training of each member"},
        "leak": None, "candidates": [],
        "findings": told + [finding.to_dict() for finding in wrong_labels.to_findings(doubtful)], "command": command,
    }  # fmt: skip


def _named(whole: _Whole) -> str:
    """The members' models: `statistics & conv1d_mel x 2`."""
    counts = Counter(member.result["model"] for member in whole.members)
    return " & ".join(name if n == 1 else f"{name} x {n}" for name, n in counts.items())


def _why(whole: _Whole, best: Member, gain: dict[str, float]) -> str:
    """The comparison with the best member, in a sentence."""
    points = round(100 * gain["value"], 1)
    beside = f"{abs(points):.1f} points {'above' if points > 0 else 'below'}" if points else "as often right as"
    share = 100 * best.hits(whole.labels)[whole.plan.tested].mean()
    return (
        f"{beside} the best of its {len(whole.members)} members, {best.called} ({share:.1f} %), "
        f"on the same samples (95 %: {100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
    )


def _per_group(whole: _Whole) -> dict[str, Any]:
    if not whole.grouped:
        return {}
    groups = [row["group"] or "" for row in whole.rows.values()]
    return {"per_group": evaluation.per_group(whole.scored.probabilities, whole.labels, groups, whole.plan.tested)}


def _test(whole: _Whole) -> dict[str, Any]:
    probabilities, labels, groups = _tested(whole)
    if not len(labels):
        return {"test": None}
    part = evaluation.score_part(probabilities, labels, whole.names, groups, whole.seed)
    return {"test": part.pop("score") | part}


def _tested(whole: _Whole) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Probabilities [n, classes], labels [n] and groups [n] (None: not named) of the test part."""
    rows = whole.members[0].test
    each = [[[m.test[file]["scores"][name] for name in whole.names] for file in rows] for m in whole.members]
    mean = np.mean(each, axis=0).reshape(len(rows), len(whole.names))
    labels = np.array([whole.names.index(row["label"]) for row in rows.values()], np.int64)
    named = [str(row["group"] or file) for file, row in rows.items()]
    groups = np.unique(named, return_inverse=True)[1] if any(row["group"] for row in rows.values()) else None
    return calibration.softmax(_logits(mean) / whole.scored.temperature), labels, groups


# -- files -------------------------------------------------------------------------------------------------------------


def _graph(whole: _Whole) -> Graph:
    """The members behind one input: calibrated `logits` and `probabilities`, [N, classes] each."""
    import onnx

    g = Graph()
    dtype, shape = whole.members[0].predictor.input
    x = g.input("input", str(dtype), ["N", *shape])
    said = []
    for member in whole.members:
        proto = onnx.load_model(member.run.file("model.onnx"), load_external_data=False)
        outputs = [value.name for value in proto.graph.output]
        merged = g.merge(proto, {proto.graph.input[0].name: x}, "member")
        said.append(merged[outputs.index("probabilities")])
    total = said[0]
    for other in said[1:]:
        total = g.op("Add", total, other)
    mean = g.op("Max", g.op("Div", total, float(len(said))), np.float32(FLOOR))
    logits = g.op("Div", g.op("Log", mean), np.float32(whole.scored.temperature))
    g.output(logits, "logits", ["N", len(whole.names)])
    g.output(g.op("Softmax", logits, axis=1), "probabilities", ["N", len(whole.names)])
    return g


def _write_model(run: Run, whole: _Whole, result: dict[str, Any]) -> None:
    """model.onnx, model.safetensors (each member's arrays behind its number), backbone.json."""
    from safetensors.numpy import load_file, save

    scored, first = whole.scored, whole.members[0].predictor.metadata
    licences = dict.fromkeys(member.predictor.metadata["licence"] for member in whole.members)
    metadata = {
        "format": FORMAT, "handful": __version__,
        **{key: result[key] for key in ("modality", "task", "classes", "model", "strategy", "weights", "score")},
        "frontend": first["frontend"], "temperature": scored.temperature, "set_quantile": scored.set_quantile,
        "unknown_below": scored.unknown_below, "licence": " AND ".join(licences), "data": first["data"],
        "members": [member.called for member in whole.members],
    }  # fmt: skip
    run.write(
        "model.onnx", _graph(whole).build({"handful": to_json(metadata)}, doc=f"{result['head']}; see the metadata")
    )
    arrays = {
        f"member-{number}.{name}": array
        for number, member in enumerate(whole.members, 1)
        for name, array in sorted(load_file(member.run.file("model.safetensors")).items())
    }
    run.write("model.safetensors", save(arrays, {"handful": to_json(metadata)}))
    backbones = [json.loads(member.run.file("backbone.json").read_text(encoding="utf-8")) for member in whole.members]
    run.write_json("backbone.json", {
        "model": result["model"], "weights": result["weights"], "sha256": None, "licence": metadata["licence"], "copied": None,
        "members": [backbone | {"copied": None} for backbone in backbones],
    })  # fmt: skip


def _write_vectors(run: Run, whole: _Whole) -> None:
    """The first member's raw files, and what the members, each in its own file, say of them together."""
    first = whole.members[0].run
    rows = []
    answers: list[list[np.ndarray]] = [[] for _ in whole.members]
    for row in json.loads(first.file("vectors.json").read_text(encoding="utf-8")):
        path = inside(first.path, row["file"])
        if path is None:
            raise RunError(*both("run.no_vector", run=whole.members[0].name))
        items = whole.members[0].predictor.items(path)
        logits = [member.predictor.logits(items).astype(np.float64) for member in whole.members]
        for kept, found in zip(answers, logits, strict=True):
            kept.append(found.mean(axis=0))
        joined = _logits(np.mean([calibration.softmax(found) for found in logits], axis=0)) / whole.scored.temperature
        copy_file(path, run.file(row["file"]))
        rows.append(row | {"logits": [float(v) for v in joined.mean(axis=0)]})
    for member, kept in zip(whole.members, answers, strict=True):
        _still(member, {row["sha256"]: found for row, found in zip(rows, kept, strict=True)})
    run.write_json("vectors.json", rows)


def _still(member: Member, answers: dict[str, np.ndarray]) -> None:
    """Raises RunError where a member no longer says what it said when it was trained."""
    told = {
        row["sha256"]: row["logits"] for row in json.loads(member.run.file("vectors.json").read_text(encoding="utf-8"))
    }
    both = [sha256 for sha256 in answers if sha256 in told]
    if not both:
        return
    expected, found = np.array([told[s] for s in both]), np.array([answers[s] for s in both])
    if np.abs(found - expected).max() > KEPT * max(float(np.ptp(expected, axis=0).max()), 1e-6):
        raise RunError(f"{member.name} no longer answers as when it was trained", "train it again")


def _write_rows(run: Run, whole: _Whole) -> None:
    """samples.jsonl, out_of_fold.jsonl, test.jsonl, and the first member's previews."""
    first = whole.members[0]
    for preview in sorted(first.run.file("previews").glob("*")):
        if preview.is_file() and not preview.name.startswith("augment-"):
            run.write_preview(f"previews/{preview.name}", preview.read_bytes())

    def named(p: np.ndarray) -> dict[str, float]:
        return {name: round(float(v), 6) for name, v in zip(whole.names, p, strict=True)}

    rows = list(whole.rows.values())
    run.write_rows("samples.jsonl", (
        {key: value for key, value in row.items() if key != "map"} | {"cluster": int(cluster)}
        for row, cluster in zip(rows, whole.clusters, strict=True)
    ))  # fmt: skip
    run.write_rows("out_of_fold.jsonl", (
        {
            "file": row["file"], "label": row["label"], "group": row["group"], "repeat": repeat, "fold": int(folds[i]),
            "scores": named(whole.scored.probabilities[repeat, i]),
        }
        for repeat, folds in enumerate(whole.plan.folds) for i, row in enumerate(rows) if folds[i] >= 0
    ))  # fmt: skip
    if first.test:
        told = zip(first.test.values(), _tested(whole)[0], strict=True)
        run.write_rows("test.jsonl", (row | {"preview": row.get("preview"), "scores": named(p)} for row, p in told))


def _write_recipe(run: Run, whole: _Whole) -> None:
    """recipe.yaml: the data that the members share, and that this is none that `handful train` repeats."""
    import yaml

    given = load_recipe(whole.members[0].run.file("recipe.yaml"))
    settings = {key: given[key] for key in RECIPE if given.get(key) is not None}
    run.write(
        "recipe.yaml",
        str(
            yaml.safe_dump(
                {**settings, "model": _named(whole), "strategy": ENSEMBLE}, sort_keys=False, allow_unicode=True
            )
        ),
    )
