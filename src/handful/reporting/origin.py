"""How the result came about: what was tried, what it cost, how it was measured, how to repeat it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from handful.files import shown
from handful.reporting import words
from handful.reporting.evidence import Evidence, Media
from handful.reporting.words import Name, Number, Sentence, Words
from handful.words import Said, retold

FILES_SHOWN = 8


def findings(result: dict[str, Any], texts: Words) -> dict[str, Any]:
    order = {"error": 0, "warning": 1, "info": 2}
    rows = []
    for row in result.get("findings") or []:
        severity = row.get("severity") if row.get("severity") in ("error", "warning") else "info"
        message, fix = (retold(text, texts) for text in words.finding(row))
        files = [str(file) for file in row.get("files") or []]
        rows.append(
            {
                "severity": severity,
                "kind": texts.text(kind)
                if (kind := f"kind.{row.get('kind', '')}") in texts
                else str(row.get("kind", "")),
                "message": message,
                "fix": fix,
                "files": files[:FILES_SHOWN],
                "more": files[FILES_SHOWN:],
                "count": len(files),
            }
        )
    rows.sort(key=lambda row: order[str(row["severity"])])
    counts = {key: sum(row["severity"] == key for row in rows) for key in ("error", "warning", "info")}
    values = {f"{key}s": Number(count, "count") for key, count in counts.items()}
    return {"rows": rows, "summary": Sentence("findings.summary", values) if rows else Sentence("findings.none")}


def candidates(result: dict[str, Any]) -> dict[str, Any] | None:
    rows: list[dict[str, Any]] = [
        {"index": i, **{key: row.get(key) for key in ("name", "accuracy", "log_loss", "chosen")}}
        for i, row in enumerate(result.get("candidates") or [])
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: -(row["chosen"] or 0))
    first = rows[0]
    values = {"n": len(rows), "name": Name(str(first["name"] or "?")), "times": Number(first["chosen"], "count")}
    return {"rows": rows, "summary": Sentence("candidates.summary", values) if first["chosen"] else None}


def augmentation(result: dict[str, Any], media: Media) -> list[dict[str, Any]]:
    rows = []
    for row in result.get("augmentation") or []:
        before = media.uri(row.get("before"), "image")
        after = [uri for name in row.get("after") or [] if (uri := media.uri(name, "image"))]
        if before and after:
            rows.append({"label": str(row.get("label", "")), "before": before, "after": after})
    return rows


def cost(result: dict[str, Any]) -> dict[str, Any] | None:
    seconds = {k: v for k, v in (result.get("seconds") or {}).items() if isinstance(v, int | float)}
    stages = [{"key": name, "seconds": value} for name, value in seconds.items() if name != "total" and value > 0]
    facts = [
        ("cost.total", Number(seconds.get("total"), "seconds", ("seconds", "total"))),
        ("cost.memory", Number(result.get("peak_rss_bytes"), "bytes", ("peak_rss_bytes",))),
        ("cost.gpu", Number(result.get("peak_gpu_bytes"), "bytes", ("peak_gpu_bytes",))),
        ("cost.gpu_share", Number(result.get("gpu_share"), "percent", ("gpu_share",))),
        ("cost.parameters", Number(result.get("parameters"), "compact", ("parameters",))),
        ("cost.macs", Number(result.get("macs"), "compact", ("macs",))),
    ]
    facts = [(key, number) for key, number in facts if number.value is not None]
    if not facts:
        return None
    total = Number(seconds.get("total"), "seconds", ("seconds", "total"))
    summary = None
    if total.value is not None and result.get("peak_rss_bytes") is not None:
        memory = Number(result["peak_rss_bytes"], "bytes", ("peak_rss_bytes",))
        gpu = "cost.summary" if result.get("peak_gpu_bytes") is None else "cost.summary_gpu"
        summary = Sentence(gpu, {"seconds": total, "memory": memory})
    longest = max((stage["seconds"] for stage in stages), default=0.0)
    return {
        "facts": facts,
        "summary": summary,
        "longest": longest,
        "stages": sorted(stages, key=lambda s: -s["seconds"]),
    }


def method(result: dict[str, Any], texts: Words) -> dict[str, Any]:
    score = result.get("score") or {}
    named = str(score.get("method") or "")
    again = words.told(result, "method", named)
    key = again.sentence.key if isinstance(again, Said) else named  # text: of an earlier release
    grouped = bool(result.get("per_group")) or "grouped" in key
    validated = "validation" in key
    estimand = Sentence("method.estimand_groups" if grouped else "method.estimand")
    keys = ["method.validation"] if validated else ["method.unseen", "method.duplicates", "method.average"]
    keys += ["method.inside", "method.refit"] if not validated else []
    rows = [
        ("method.method", retold(again, texts)),
        ("method.interval", _interval(str(score.get("interval") or ""), texts)),
        ("method.folds", flat(result.get("folds"))),
        ("method.rows", texts.text("method.wilson")),
    ]
    return {"estimand": estimand, "keys": keys, "rows": [(key, text) for key, text in rows if text]}


def _interval(named: str, texts: Words) -> str:
    """An interval by the name that `metrics.intervals` gives it, in words; one that is not known stays as it is."""
    known = {
        "wilson": "method.wilson",
        "wilson over groups": "method.wilson_groups",
        "cluster bootstrap": "method.bootstrap",
    }
    if named in known:
        return texts.text(known[named])
    if found := re.fullmatch(r"t over (\d+) group means", named):
        return texts.text("method.t", n=int(found[1]))
    return named


def recipe(found: Evidence, texts: Words) -> dict[str, Any]:
    result = found.result
    data = result.get("data") or {}
    rows = [
        ("recipe.model", ", ".join(str(result[key]) for key in ("model", "strategy", "head") if result.get(key))),
        ("recipe.why", retold(words.told(result, "why", str(result.get("why") or "")), texts)),
        ("recipe.weights", result.get("weights") or texts.text("recipe.none")),
        ("recipe.data", data.get("path")),
        ("recipe.fingerprint", data.get("fingerprint")),
        ("recipe.seed", result.get("seed")),
        ("recipe.hardware", _hardware(result.get("hardware") or {}, texts)),
        ("recipe.versions", flat(result.get("versions"))),
    ]
    replay = f"handful train --config {shlex.quote(shown(str(found.folder / 'recipe.yaml')))}"
    if members := result.get("members"):
        replay = shlex.join(["handful", "ensemble", *(shown(str(member.get("run"))) for member in members)])
    return {
        "command": result.get("command"),
        "replay": replay,
        "rows": [(k, str(v)) for k, v in rows if v not in (None, "")],
    }


def _hardware(found: Mapping[str, Any], texts: Words) -> str:
    named = {key: f"hardware.{key}" for key in found}
    there = [(key, value) for key, value in found.items() if value is not None]
    return ", ".join(
        texts.text(named[key], value=flat(value)) if named[key] in texts else f"{key} {flat(value)}"
        for key, value in there
    )


def flat(value: Any) -> str:
    """A scalar, list or flat object of run.json on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {flat(item)}".strip() for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return ", ".join(flat(item) for item in value)
    return "" if value is None else str(value)
