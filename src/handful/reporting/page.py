"""What stands where in the report: prepares each section's content for `templates/report.html`.

Everything printed is escaped by Jinja2, and control characters, bidirectional overrides and zero-width characters of names are
made visible first. The page has no script at all: cells open their galleries by `:target`, so its policy forbids every script.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import jinja2
from markupsafe import Markup, escape

from handful import __version__
from handful.files import shown
from handful.metrics.intervals import wilson
from handful.reporting import figures, words
from handful.reporting.evidence import Evidence, Media, Prediction
from handful.reporting.words import Name, Number, Sentence, Words

TEMPLATES = Path(__file__).parent / "templates"
DOUBTFUL = 12
MISTAKES = 24
NAMES_A_CELL = 200
GROUPS_SHOWN = 20
FILES_SHOWN = 8


def render(found: Evidence, texts: Words) -> str:
    """The whole page as text."""
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    html = Html(texts)
    template = _environment(texts).get_template("report.html")
    return template.render(
        t=html.t,
        plain=lambda key, **values: escape(texts.text(key, **values)),
        number=html.number,
        at=lambda value, kind, *path: Number(value, kind, path),
        percent=lambda value: Number(value, "percent"),
        written=lambda value: texts.number(Number(value, "percent")),  # SVG text holds no elements
        figure=Number,
        name=lambda text: html.value(Name(str(text))),
        as_name=Name,
        pos=lambda share: f"{100 * min(max(share, 0.0), 1.0):.2f}",
        # A label nearer to an edge than `margin` is written from the edge.
        anchor=lambda share, margin: "start" if share < margin else "end" if share > 1 - margin else "middle",
        inside=lambda share, margin: 0 if share < margin else 100 if share > 1 - margin else f"{100 * share:.2f}",
        has_text=texts.__contains__,
        lang=texts.lang,
        style=Markup(style),  # our own file: no part of it comes from the run
        style_hash=digest,
        version=__version__,
        shade=figures.shade,
        **Sections(found, html).all(),
    )


@lru_cache
def _environment(texts: Words) -> jinja2.Environment:
    html = Html(texts)

    def printed(value: Any) -> Any:
        if isinstance(value, Number | Name):
            return html.value(value)
        # Data URIs pass through here too: only what needs it is gone through character by character.
        return shown(value) if type(value) is str and not value.isprintable() else value

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Html:
    """Sentences, numbers and names as HTML."""

    def __init__(self, texts: Words) -> None:
        self.texts = texts

    def t(self, key: str, **values: Any) -> Markup:
        pattern = _keep_together(escape(self.texts.pattern(key, values)))
        return pattern.format(**{name: self.value(value) for name, value in values.items()})

    def say(self, sentence: Sentence) -> Markup:
        return self.t(sentence.key, **sentence.values)

    def value(self, value: Any) -> Markup:
        if isinstance(value, Markup):
            return value
        if isinstance(value, Number):
            return self._number(value)
        plain = _keep_together(escape(self.texts.plain(value)))
        return Markup("<bdi>{}</bdi>").format(plain) if isinstance(value, Name) else plain

    def number(self, value: Any, kind: str, *path: str | int) -> Markup:
        """A number as people read it; `value` exactly as it is, and where run.json holds it, are in the element."""
        return self._number(Number(value, kind, path))

    def _number(self, number: Number) -> Markup:
        text = _keep_together(escape(self.texts.number(number)))
        if number.value is None:
            return text
        if not number.path:
            return Markup('<span class="number">{}</span>').format(text)
        path = json.dumps(number.path, ensure_ascii=True)
        return Markup('<data value="{}" data-path="{}">{}</data>').format(json.dumps(number.value), path, text)


def _keep_together(text: Markup) -> Markup:
    return text.replace(" %", words.NO_BREAK + "%")


@dataclass(frozen=True)
class Tile:
    """One sample in a gallery."""

    file: str
    label: str
    predicted: str
    confidence: float
    right: bool
    image: str | None
    audio: str | None

    @property
    def short(self) -> str:
        return PurePath(self.file).name or self.file


class Sections:
    """The content of every section; a section whose part of the run is missing is None or empty."""

    def __init__(self, found: Evidence, html: Html) -> None:
        self.found = found
        self.result = found.result
        self.html = html
        self.media = Media(found.folder)
        self.chance = words.chance(found.result)[0]

    def all(self) -> dict[str, Any]:
        result = self.result
        # The order is the order in which previews get their share of the space.
        previews = {"augmentation": self.augmentation(), "doubtful": self.doubtful(), "test": self.test()}
        return {
            **previews,
            "result": result,
            "chance": self.chance,
            "verdict": [self.html.say(sentence) for sentence in words.verdict(result)],
            "advice": [self.html.say(sentence) for sentence in words.advise(result)],
            "commands": [str(line) for line in result.get("next") or []],
            "score": self.score("score"),
            "matrix": self.matrix(),
            "media_full": self.media.full,
            "classes": self.classes(),
            "groups": self.groups(),
            "curves": [chart for what in ("loss", "accuracy") if (chart := figures.curves(self.found.epochs, what))],
            "candidates": self.candidates(),
            "reliability": self.reliability(),
            "findings": self.findings(),
            "cost": self.cost(),
            "method": self.method(),
            "recipe": self.recipe(),
        }

    def score(self, path: str) -> dict[str, Any] | None:
        score = self.result.get(path) or {}
        if score.get("value") is None or score.get("low") is None or score.get("high") is None:
            return None
        return {"path": path, "value": score["value"], "low": score["low"], "high": score["high"]}

    def tile(self, prediction: Prediction) -> Tile:
        image = self.media.uri(prediction.preview, "image")
        audio = self.media.uri(prediction.sound, "audio")
        return Tile(
            prediction.file,
            prediction.label,
            prediction.predicted,
            prediction.confidence,
            prediction.right,
            image,
            audio,
        )

    def doubtful(self) -> list[Tile]:
        """The least probability for their own label first; what is right and sure of itself is not in doubt."""
        ranked = sorted((p for p in self.found.predictions if p.own < 0.9), key=lambda p: (p.own, p.file))
        return [self.tile(prediction) for prediction in ranked[:DOUBTFUL]]

    def test(self) -> dict[str, Any] | None:
        test = self.result.get("test") or {}
        if test.get("value") is None:
            return None
        mistakes = sorted((p for p in self.found.test if not p.right), key=lambda p: (-p.confidence, p.file))
        key = "headline.test_share" if words.right_of(test) is None else "headline.test"
        return {
            "sentence": self.html.t(key, **words.measured(test, "test")),
            "score": self.score("test"),
            "mistakes": [self.tile(prediction) for prediction in mistakes[:MISTAKES]],
            "more": max(0, len(mistakes) - MISTAKES),
        }

    def matrix(self) -> dict[str, Any] | None:
        """Rows of cells; a cell with samples names its gallery."""
        confusion = self.result.get("confusion") or {}
        labels, counts = confusion.get("labels") or [], confusion.get("counts") or []
        if not labels or not counts:
            return None
        galleries = self.galleries(labels)
        rows = []
        worst: tuple[int, int, int] = (0, 0, 0)
        for i, row in enumerate(counts):
            total = sum(row)
            cells = []
            for j, count in enumerate(row):
                gallery = galleries.get((i, j))
                cells.append(
                    {
                        "count": count,
                        "share": count / total if total else 0.0,
                        "id": gallery["id"] if gallery and count else None,
                    }
                )
                if i != j and count > worst[0]:
                    worst = (count, i, j)
            rows.append(cells)
        return {
            "labels": labels,
            "rows": rows,
            "right": sum(row[i] for i, row in enumerate(counts)),
            "n": sum(map(sum, counts)),
            "worst": {"times": worst[0], "truth": Name(labels[worst[1]]), "predicted": Name(labels[worst[2]])}
            if worst[0]
            else None,
            "galleries": [galleries[key] for key in sorted(galleries)],
        }

    def galleries(self, labels: list[str]) -> dict[tuple[int, int], dict[str, Any]]:
        """Samples by cell. Mistakes are embedded first, the surest of them first; then the least confident."""
        index = {label: i for i, label in enumerate(labels)}
        found: dict[tuple[int, int], list[Tile]] = defaultdict(list)
        ranked = sorted(
            self.found.predictions, key=lambda p: (p.right, p.confidence if p.right else -p.confidence, p.file)
        )
        for prediction in ranked:
            if prediction.label in index and prediction.predicted in index:
                found[index[prediction.label], index[prediction.predicted]].append(self.tile(prediction))
        galleries = {}
        for (i, j), tiles in found.items():
            named = [tile for tile in tiles if not tile.image and not tile.audio]
            galleries[i, j] = {
                "id": f"cell-{i}-{j}",
                "truth": labels[i],
                "predicted": labels[j],
                "right": i == j,
                "count": len(tiles),
                "tiles": [tile for tile in tiles if tile.image or tile.audio],
                "named": named[:NAMES_A_CELL],
                "named_count": len(named),
            }
        return galleries

    def classes(self) -> list[dict[str, Any]]:
        untested = set(self.result.get("untested") or [])
        rows = []
        for name, row in (self.result.get("per_class") or {}).items():
            row = row or {}
            n, recall = row.get("n") or 0, row.get("recall")
            interval = wilson(round(recall * n), n) if n and recall is not None and name not in untested else None
            low, high = interval or (None, None)
            rows.append({"name": name, "row": row, "known": interval is not None, "low": low, "high": high})
        return rows

    def groups(self) -> dict[str, Any] | None:
        rows = []
        for name, row in (self.result.get("per_group") or {}).items():
            n, accuracy = (row or {}).get("n") or 0, (row or {}).get("accuracy")
            if n and accuracy is not None:
                low, high = wilson(round(accuracy * n), n)
                rows.append({"name": name, "accuracy": accuracy, "n": n, "low": low, "high": high})
        if not rows:
            return None
        rows.sort(key=lambda row: (row["accuracy"], -row["n"], row["name"]))
        return {"shown": rows[:GROUPS_SHOWN], "rest": rows[GROUPS_SHOWN:]}

    def candidates(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [
            {
                "index": i,
                "name": row.get("name", ""),
                "accuracy": row.get("accuracy"),
                "log_loss": row.get("log_loss"),
                "chosen": row.get("chosen"),
            }
            for i, row in enumerate(self.result.get("candidates") or [])
        ]
        return sorted(rows, key=lambda row: -(row["chosen"] or 0))

    def reliability(self) -> dict[str, Any] | None:
        predictions = self.found.predictions
        if len(predictions) < 10:
            return None
        return {
            "bins": figures.reliability(predictions),
            "confidence": sum(p.confidence for p in predictions) / len(predictions),
            "accuracy": sum(p.right for p in predictions) / len(predictions),
        }

    def augmentation(self) -> list[dict[str, Any]]:
        rows = []
        for row in self.result.get("augmentation") or []:
            before = self.media.uri(row.get("before"), "image")
            after = [uri for name in row.get("after") or [] if (uri := self.media.uri(name, "image"))]
            if before and after:
                rows.append({"label": str(row.get("label", "")), "before": before, "after": after})
        return rows

    def findings(self) -> list[dict[str, Any]]:
        order = {"error": 0, "warning": 1, "info": 2}
        rows = []
        for finding in self.result.get("findings") or []:
            severity = finding.get("severity") if finding.get("severity") in order else "info"
            files = [str(file) for file in finding.get("files") or []]
            rows.append(
                {
                    "severity": severity,
                    "kind": str(finding.get("kind", "")),
                    "message": str(finding.get("message", "")),
                    "fix": str(finding.get("fix") or ""),
                    "files": files[:FILES_SHOWN],
                    "more": files[FILES_SHOWN:],
                    "count": len(files),
                }
            )
        return sorted(rows, key=lambda row: order[row["severity"]])

    def cost(self) -> dict[str, Any]:
        seconds = {
            name: value for name, value in (self.result.get("seconds") or {}).items() if isinstance(value, int | float)
        }
        stages = [{"key": name, "seconds": value} for name, value in seconds.items() if name != "total" and value > 0]
        longest = max((stage["seconds"] for stage in stages), default=0.0)
        facts = [
            ("cost.total", seconds.get("total"), "seconds", ("seconds", "total")),
            ("cost.memory", self.result.get("peak_rss_bytes"), "bytes", ("peak_rss_bytes",)),
            ("cost.gpu", self.result.get("peak_gpu_bytes"), "bytes", ("peak_gpu_bytes",)),
            ("cost.parameters", self.result.get("parameters"), "compact", ("parameters",)),
            ("cost.macs", self.result.get("macs"), "compact", ("macs",)),
        ]
        numbers = [(key, self.html.number(value, kind, *path)) for key, value, kind, path in facts if value is not None]
        return {"facts": numbers, "stages": sorted(stages, key=lambda stage: -stage["seconds"]), "longest": longest}

    def method(self) -> dict[str, Any]:
        score = self.result.get("score") or {}
        named = str(score.get("method") or "")
        keys = (
            ["method.validation"] if "validation" in named else ["method.unseen", "method.duplicates", "method.average"]
        )
        keys += ["method.inside", "method.refit"] if "validation" not in named else []
        interval = str(score.get("interval") or "")
        known = {"wilson": "method.wilson", "cluster bootstrap": "method.bootstrap"}
        rows = [
            ("method.method", named),
            ("method.interval", self.html.texts.text(known[interval]) if interval in known else interval),
        ]
        rows += [
            ("method.folds", _flat(self.result.get("folds"))),
            ("method.rows", self.html.texts.text("method.wilson")),
        ]
        return {"keys": keys, "rows": [(key, text) for key, text in rows if text]}

    def recipe(self) -> dict[str, Any]:
        result = self.result
        data = result.get("data") or {}
        rows = [
            ("recipe.model", f"{result.get('model', '')}, {result.get('strategy', '')}"),
            ("recipe.why", result.get("why")),
            ("recipe.weights", result.get("weights") or self.html.texts.text("recipe.none")),
            ("recipe.data", data.get("path")),
            ("recipe.fingerprint", data.get("fingerprint")),
            ("recipe.seed", result.get("seed")),
            ("recipe.hardware", _flat(result.get("hardware"))),
            ("recipe.versions", _flat(result.get("versions"))),
        ]
        replay = f"handful train --config {shlex.quote(shown(str(self.found.folder / 'recipe.yaml')))}"
        shown_rows = [(key, str(value)) for key, value in rows if value not in (None, "", ", ")]
        return {"command": result.get("command"), "replay": replay, "rows": shown_rows}


def _flat(value: Any) -> str:
    """A scalar, list or flat object of run.json on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}".strip() for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return ", ".join(_flat(item) for item in value)
    return "" if value is None else str(value)
