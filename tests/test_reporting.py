"""The report says what run.json says, in any language, whatever names the user's data has."""

from __future__ import annotations

import io
import json
import re
import string
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from handful import reporting
from handful.errors import RunError, UsageError
from handful.files import shown
from handful.metrics.intervals import wilson
from handful.reporting import advice, evidence, figures, leaderboard, page, terminal, trust, words
from handful.words import LOCALES

PAYLOADS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "javascript:alert(1)",
    "{{7*7}}{% raw %}",
    "${7*7}#{7*7}{0.__class__}",
    "\u202egpj.exe\u200b\u2028",
    "line\nbreak\ttab\x1b[31m&lt;b&gt;\udcff",
]
VOID = {"meta", "img", "input", "link", "br"}


class Dom(HTMLParser):
    """Elements with their attributes, text by element, and the pairs (path in run.json, value, text) of all numbers."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: list[tuple[list[Any], Any, str]] = []
        self.text: list[str] = []
        self.tables: list[str | None] = []  # text of each table's caption, None where there is none
        self.charts: list[tuple[str, str]] = []  # (id of the section, summary) of each chart
        self.links: list[tuple[str, str]] = []  # (target, text) of the numbers that open samples
        self._section = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"elements that were never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        self.elements.append((tag, held))
        if tag not in VOID:
            self._open.append(tag)
        if tag in ("section", "header"):
            self._section = held.get("id") or tag
        if held.get("role") == "img" or (tag == "figure" and "aria-label" in held):
            self.charts.append((self._section, held.get("aria-label") or ""))
        if tag == "table":
            self.tables.append(None)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] != tag and tag in ("li", "p"):
            return
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text.append(data)
        if self._open and self._open[-1] == "caption" and data.strip():
            self.tables[-1] = data.strip()
        if self._open and self._open[-1] == "data":
            attrs = self.elements[-1][1]
            self.numbers.append((json.loads(attrs["data-path"] or ""), json.loads(attrs["value"] or ""), data))
            if len(self.elements) > 1 and self.elements[-2][1].get("class") == "opens" and "a" in self._open:
                self.links.append(
                    ((self.elements[-2][1].get("href") or "")[1:], self.elements[-1][1]["data-path"] or "")
                )

    @property
    def all_text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text).replace("\u00a0", " "))


def picture(path: Path) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 120, 40)).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue())


def make_run(folder: Path, names: tuple[str, str] = ("cat", "dog"), extra: str = "note", **changes: Any) -> Path:
    """A finished run of 20 samples, 2 of them mistakes: 9 of 10 of each class are right. `extra` fills every free text."""
    (folder / "previews").mkdir(parents=True)
    picture(folder / "previews" / "a.jpg")
    (folder / "previews" / "a.ogg").write_bytes(b"OggS not really a sound")
    samples, rows, counts = [], [], [[0, 0], [0, 0]]
    for i in range(20):
        truth, said = i % 2, (i % 2 if i > 1 else 1 - i % 2)
        counts[truth][said] += 1
        file = f"{names[truth]}/{extra}-{i}.jpg"
        samples.append(
            {
                "id": str(i),
                "file": file,
                "label": names[truth],
                "preview": "previews/a.jpg",
                "sound": "previews/a.ogg" if i < 4 else None,
                "map": [0.9 - 0.09 * i, (-1) ** i * 0.5],
            }
        )
        for repeat, sure in enumerate((0.7, 0.9)):
            rows.append(
                {
                    "file": file,
                    "label": names[truth],
                    "group": extra,
                    "repeat": repeat,
                    "fold": 0,
                    "scores": {names[said]: sure, names[1 - said]: 1 - sure},
                }
            )
    low, high = wilson(18, 20)
    row = {"precision": 0.9, "recall": 0.9, "f1": 0.9, "n": 10, "tp": 9, "fp": 1, "fn": 1, "tn": 9, "recall_low": 0.596, "recall_high": 0.982,
           "precision_low": 0.597, "precision_high": 0.983}  # fmt: skip
    result: dict[str, Any] = {
        "schema": 1, "format": 1, "run": str(folder), "modality": "image", "task": "classification", "model": extra, "strategy": extra,
        "why": extra, "weights": extra, "classes": list(names), "samples": 20, "groups": 7, "seed": 3, "command": extra, "next": [extra],
        "score": {"metric": "accuracy", "value": 0.9, "low": low, "high": high, "n": 20, "method": "5x5-fold", "interval": "wilson"},
        "macro_f1": 0.87, "per_class": {names[0]: row, names[1]: {**row, "f1": 0.84}}, "confusion": {"labels": list(names), "counts": counts},
        "test": {"metric": "accuracy", "value": 0.75, "low": 0.41, "high": 0.93, "n": 8},
        **studied(names, extra, [sample["file"] for sample in samples]), "parameters": 736450, "macs": 820000000,
        "seconds": {"total": 6.13, "decode": 0.41, "embed": 2.93, extra: 1.75}, "peak_rss_bytes": 900000000, "peak_gpu_bytes": None,
        "untested": [names[1]], "folds": {"folds": 5, "note": extra}, "versions": {"python": extra}, "hardware": {"cpu": extra},
        "data": {"path": extra, "fingerprint": extra}, "per_group": {extra: {"accuracy": 0.55, "n": 20}},
        "candidates": [{"name": extra, "accuracy": 0.81, "log_loss": 0.47, "chosen": 4}],
        "findings": [{"kind": extra, "severity": "warning", "files": [extra], "message": extra, "fix": extra}],
        "augmentation": [{"label": extra, "before": "previews/a.jpg", "after": ["previews/a.jpg"]}],
    }  # fmt: skip
    result = {key: value for key, value in {**result, **changes}.items() if value != "absent"}
    test = [
        {"file": samples[i]["file"], "label": names[i % 2], "scores": {names[0]: 0.8, names[1]: 0.2}} for i in range(8)
    ]
    epochs = [
        {"event": "epoch", "fold": fold, "epoch": e, "train_loss": 1 / e, "validation_loss": 1.2 / e, "train_accuracy": 1 - 0.5 / e, "validation_accuracy": 0.9 - 0.5 / e}
        for fold in (0, 1)
        for e in range(1, 6)
    ]  # fmt: skip
    dump = lambda items: "".join(json.dumps(item) + "\n" for item in items)  # noqa: E731
    (folder / "run.json").write_text(json.dumps(result))
    (folder / "samples.jsonl").write_text(dump(samples))
    (folder / "out_of_fold.jsonl").write_text(dump(rows))
    (folder / "test.jsonl").write_text(dump(test))
    (folder / "metrics.jsonl").write_text(dump([{"event": "started"}, *epochs]))
    (folder / "explanations.json").write_text(
        json.dumps(explained([sample["file"] for sample in samples], names, extra))
    )
    return folder


def rate(value: float, low: float, high: float, n: int = 20) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n}


def studied(names: tuple[str, str], extra: str, files: list[str]) -> dict[str, Any]:
    """What a run finds out beyond its headline, every key of it."""
    sizes, weak = (2, 4, 8, 9.6), {"more": 12, "gain": 0.03, "gain_low": -0.011, "gain_high": 0.07, "done": False}
    done = {"more": None, "gain": 0.001, "gain_low": -0.004, "gain_high": 0.006, "done": True}
    return {
        "averages": {"macro": {"precision": 0.901, "recall": 0.902, "f1": 0.903}, "weighted": {"precision": 0.911, "recall": 0.912, "f1": 0.913}},
        "balanced_accuracy": 0.902, "top5": rate(0.99, 0.81, 0.995),
        "calibration": {"ece": 0.061, "ece_limit": 0.11, "temperature": 1.37, "bins": [{"confidence": 0.7, "accuracy": 0.85, "n": 20}, {"confidence": 0.9, "accuracy": 0.95, "n": 20}]},
        "sets": {"asked": 0.9, "covered": rate(0.93, 0.71, 0.97), "mean_size": 1.24, "empty": 0.02, "quantile": 0.63},
        "unknown": {"below": 0.43, "asked": 0.05, "false_alarm": rate(0.055, 0.01, 0.24), "miss": rate(0.62, 0.4, 0.8), "auroc": 0.77,
                    "classes": {names[0]: {"miss": 0.58, "auroc": 0.79, "n": 10}, names[1]: {"miss": 0.66, "auroc": 0.75, "n": 10}}, "why": extra},
        "leak": {"by": "given groups", "torn": 5, "naive": {**rate(0.94, 0.76, 0.98), "method": extra}, "flatters": {"value": 0.04, "low": 0.01, "high": 0.08}},
        "shortcuts": [{"name": extra, "score": rate(0.81, 0.6, 0.92), "chance": 0.52, "p_value": 0.0004, "above_chance": True},
                      {"name": "border", "score": rate(0.51, 0.3, 0.7), "chance": 0.52, "p_value": 0.44, "above_chance": False}],
        "doubtful": [{"file": file, "label": names[0], "suggested": names[1], "given": 0.02 + i, "confidence": 0.98 - i} for i, file in enumerate(files[:1])],
        "map": {"explained": [0.31, 0.12]},
        "curve": {"points": [{"per_class": size, **rate(0.5 + size / 25, 0.4 + size / 25, 0.59 + size / 25), "draws": 3} for size in sizes],
                  "band": [{"per_class": size, "value": 1 - 0.9 / size, "low": 0.97 - 0.9 / size, "high": 1 - 0.8 / size} for size in (*sizes, 20, 40)],
                  "classes": {names[0]: done, names[1]: weak}, "worth": 0.03},
    }  # fmt: skip


def explained(files: list[str], names: tuple[str, str], extra: str) -> list[dict[str, Any]]:
    shows = {
        "before": "previews/a.jpg",
        "overlay": "previews/a.jpg",
        "sound": "previews/a.ogg",
        "filtered": "previews/a.ogg",
    }
    deletions = [{"salient": 0.41, "random": 0.07, "passed": True}, {"salient": 0.03, "random": 0.09, "passed": False}]
    return [
        {
            "file": file,
            "label": names[0],
            "predicted": names[i],
            "confidence": 0.83,
            "method": extra,
            **shows,
            "deletion": deletion,
        }
        for i, (file, deletion) in enumerate(zip(files, deletions, strict=False))
    ]


def read(folder: Path, lang: str = "en") -> Dom:
    return Dom(reporting.write(folder, lang).read_text(encoding="utf-8"))


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_every_number_is_the_one_in_run_json(tmp_path: Path, lang: str) -> None:
    run = make_run(tmp_path / "run")
    result = json.loads((run / "run.json").read_text())
    texts = words.load(lang)
    dom = read(run, lang)
    explanations = json.loads((run / "explanations.json").read_text())
    for path, value, text in dom.numbers:
        there = {**result, "explanations.json": explanations}
        for key in path:
            there = there[key]
        assert value == there, path
        kinds = (
            "percent",
            "count",
            "ratio",
            "seconds",
            "bytes",
            "compact",
            "points",
            "change",
            "drop",
            "bound",
            "round",
            "probability",
            "p_value",
        )
        assert text.replace("\u00a0", " ") in {
            texts.number(words.Number(value, kind)).replace("\u00a0", " ") for kind in kinds
        }
    paths = {tuple(path) for path, _, _ in dom.numbers}
    expected = {
        ("score", "value"),
        ("score", "low"),
        ("score", "high"),
        ("score", "n"),
        ("test", "value"),
        ("test", "n"),
        ("macro_f1",),
    }
    expected |= {
        ("per_class", "cat", "recall"),
        ("per_group", "note", "accuracy"),
        ("confusion", "counts", 0, 1),
        ("calibration", "ece"),
    }
    expected |= {
        ("candidates", 0, "log_loss"),
        ("seconds", "total"),
        ("peak_rss_bytes",),
        ("parameters",),
        ("macs",),
        ("groups",),
    }
    # Everything that was measured is on the page.
    for key in (
        "averages",
        "balanced_accuracy",
        "top5",
        "calibration",
        "sets",
        "unknown",
        "leak",
        "shortcuts",
        "doubtful",
        "curve",
    ):
        leaves = {path for path in numbers_in(result[key], (key,)) if path[-1] != "n"}
        assert leaves <= paths, leaves - paths
    expected |= {("per_class", "dog", key) for key in ("tp", "fp", "fn", "tn", "n")}
    expected |= {("per_class", "cat", key) for key in ("precision", "precision_low", "f1")}
    expected |= {("explanations.json", 1, "deletion", "random"), ("explanations.json", 0, "confidence")}
    assert expected <= paths


def numbers_in(value: Any, path: tuple[Any, ...]) -> set[tuple[Any, ...]]:
    if isinstance(value, dict):
        return set().union(*(numbers_in(item, (*path, key)) for key, item in value.items()))
    if isinstance(value, list):
        return set().union(*(numbers_in(item, (*path, i)) for i, item in enumerate(value)))
    return {path} if isinstance(value, int | float) and not isinstance(value, bool) else set()


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_every_chart_has_a_summary_and_a_table(tmp_path: Path, lang: str) -> None:
    dom = read(make_run(tmp_path / "run"), lang)
    where = [section for section, _ in dom.charts]
    assert {"header", "leak", "curve", "reliability", "sets", "map", "curves"} <= set(where)
    assert all(summary.strip() for _, summary in dom.charts)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for section in set(where) - {"header"}:
        part = html.split(f'<section id="{section}"')[1].split("</section>")[0]
        assert "<table" in part, section
    assert "<table" in html.split("<header>")[1].split("</header>")[0]
    assert dom.tables and all(dom.tables), "every table has a caption"
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in dom.elements if tag == "th")


def test_numbers_open_their_samples(tmp_path: Path) -> None:
    """A number's view shows as many tiles as the number says."""
    run = make_run(tmp_path / "run")
    html = reporting.write(run).read_text(encoding="utf-8")
    dom = Dom(html)
    ids = [attrs["id"] for _, attrs in dom.elements if attrs.get("id")]
    assert len(ids) == len(set(ids))
    hrefs = {(attrs["href"] or "")[1:] for tag, attrs in dom.elements if tag == "a"}
    assert hrefs <= set(ids), hrefs - set(ids)
    opened = {path: target for target, path in dom.links}
    for figure, view, count in (
        ("tp", "cell-1-1", 9),
        ("fn", "missed-1", 1),
        ("fp", "false-1", 1),
        ("tn", "neither-1", 9),
        ("n", "is-1", 10),
    ):
        assert opened[json.dumps(["per_class", "dog", figure])] == view
        assert tiles_of(html, view) == count
    assert opened[json.dumps(["score", "n"])] == "all" and tiles_of(html, "all") == 20
    assert tiles_of(html, "right") == 18 and tiles_of(html, "wrong") == 2 and tiles_of(html, "cell-0-1") == 1
    assert opened[json.dumps(["calibration", "bins", 1, "n"])] == "bin-1" and tiles_of(html, "bin-1") == 20


def tiles_of(html: str, view: str) -> int:
    """How many tiles the rules of the page's style show while `view` is the target."""
    (rule,) = re.findall(rf"^\.gallery:has\(>#{view}:target\)>[^{{]*", html, re.MULTILINE)
    wanted = [re.findall(r"(:not\()?\.([\w-]+)", part.split(".tiles>")[1]) for part in rule.split(",")]
    assert f'id="{view}"' in html
    tiles = [set(found.split()) for found in re.findall(r'<li id="s-\d+"[^>]* class="([^"]*)"', html)]
    return sum(any(all((mark in marks) != bool(no) for no, mark in part) for part in wanted) for marks in tiles)


def test_headline_says_it_in_words(tmp_path: Path) -> None:
    result = {
        "classes": ["cat", "dog"], "per_class": {"cat": {"n": 50}, "dog": {"n": 50}},
        "score": {"metric": "accuracy", "value": 0.93, "low": 0.8625, "high": 0.9657, "n": 100},
    }  # fmt: skip
    said = "93 of 100 right on samples it had not seen (93 %, and with 95 % certainty between 86 % and 97 %). Chance would be 50 %."
    assert words.headline(result) == said
    assert words.headline(result, "ru").startswith("93 из 100 верно")
    result["per_class"]["cat"]["n"] = 150
    assert "Always naming the most frequent class, cat, would be right for 75 %." in words.headline(result)
    result["score"]["low"] = 0.4
    assert "not shown to be better" in words.headline(result)
    assert "too few samples" in words.headline({"score": {"value": None}})


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "100 %"), (0.997, "99.7 %"), (0.9999, "99.9 %"), (0.0, "0 %"), (0.0001, "0.1 %"), (0.935, "94 %")],
)
def test_only_all_is_one_hundred_percent(value: float, text: str) -> None:
    assert words.load("en").number(words.Number(value, "percent")) == text


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (1, "1 пример"),
        (3, "3 примера"),
        (5, "5 примеров"),
        (11, "11 примеров"),
        (22, "22 примера"),
        (111, "111 примеров"),
    ],
)
def test_russian_plurals(n: int, text: str) -> None:
    assert words.load("ru").text("page.samples", n=n) == text


def test_several_shortcuts_are_one_advice_that_names_the_classes() -> None:
    def row(name: str, value: float, above: bool = True) -> dict[str, Any]:
        return {"name": name, "score": {"value": value}, "chance": 0.5, "above_chance": above}

    result = {
        "classes": ["cat", "dog"],
        "shortcuts": [row("border", 0.8), row("file size", 0.7), row("camera", 0.5, False)],
    }
    for lang, start in (("en", "Record or photograph"), ("ru", "Снимайте и записывайте")):
        (line,) = (line for line in advice.advice(result, lang) if line.startswith(start))
        assert "cat, dog" in line and "80 %" in line and "70 %" in line and line.count("50 %") == 1
        alone = advice.advice(result | {"shortcuts": [row("border", 0.8)]}, lang)
        assert sum(line.startswith(start) and "cat, dog" in line for line in alone) == 1


def test_advice_names_what_is_wrong() -> None:
    weak = {
        "score": {"value": 0.8, "low": 0.6, "high": 0.9, "n": 100}, "classes": ["cat", "dog", "owl"], "calibration": {"ece": 0.2},
        "per_class": {"cat": {"recall": 0.95, "n": 40}, "dog": {"recall": 0.95, "n": 40}, "owl": {"recall": 0.3, "n": 40}},
        "confusion": {"labels": ["cat", "dog", "owl"], "counts": [[38, 1, 1], [1, 38, 1], [3, 25, 12]]},
        "test": {"value": 0.5, "high": 0.55, "low": 0.45, "n": 100}, "untested": ["yak"],
        "findings": [
            {"severity": "error", "name": "empty_file", "values": {"file": "x.jpg"}}, {"severity": "warning"}, {"severity": "warning"},
        ],
    }  # fmt: skip
    said = advice.advice(weak)
    assert len(said) == 7
    assert said[0] == "Repair first what the data check calls an error: x.jpg is an empty file."
    assert advice.advice(weak, "ru")[0].endswith("ошибкой, 1 находка: x.jpg — пустой файл.")
    assert any("owl is found least often (30 %), and 25 of 40 were taken for dog" in line for line in said)
    assert len(advice.advice(weak, "ru")) == 7
    facts = {"leak": {"flatters": {"value": 0.03, "low": 0.01}}, "doubtful": [{"file": "x.jpg", "label": "cat", "suggested": "dog"}],
             "shortcuts": [{"name": "border", "score": {"value": 0.8}, "chance": 0.5, "above_chance": True}], "unknown": {"miss": {"value": 0.9}},
             "curve": {"worth": 0.03, "classes": {"owl": {"more": 12, "gain": 0.03, "done": False}, "cat": {"done": True, "more": None, "gain": 0.0}}}}  # fmt: skip
    said = advice.advice({**weak, **facts})
    assert len(said) == 13
    assert said[1] == "Check 1 label that may be wrong: x.jpg is labelled cat but looks like dog."
    assert "the border of the picture alone tells them apart in 80 % of cases (chance: 50 %)" in said[2]
    assert any("a random split would flatter by 3 points" in line for line in said)
    assert "About 12 more samples of owl would bring 3 points of accuracy." in said
    assert "cat is done: more samples of it would bring little." in said
    assert len(advice.advice({**weak, **facts}, "ru")) == 13
    good = {"score": {"value": 0.99, "low": 0.95, "high": 1.0, "n": 100}, "classes": ["a", "b"]}
    sure = {**good, "calibration": {"ece": 0.12, "ece_limit": 0.15}}
    assert advice.advice(sure) == advice.advice(good), "a gap that luck explains is no reason for doubt"
    assert advice.advice(good) == [words.load("en").text("advice.good")]


def test_fine_tuning_is_advised_where_frozen_features_do_not_suffice() -> None:
    poor = {
        "run": "/my runs/faces", "modality": "image", "strategy": "probe", "weights": {"name": "w"}, "classes": ["a", "b"],
        "score": {"value": 0.76, "low": 0.7, "high": 0.8, "n": 100},
    }  # fmt: skip
    command = "handful compare --config '/my runs/faces/recipe.yaml' --strategies probe,finetune --budget 10m"
    assert any(line.endswith(command) for line in advice.advice(poor))
    assert any(line.endswith(command) for line in advice.advice(poor, "ru"))
    good = {"score": {"value": 0.96, "low": 0.9, "high": 1.0, "n": 100}}
    for other in (good, {"strategy": "finetune"}, {"modality": "audio"}, {"weights": None}):
        assert not any("--strategies" in line for line in advice.advice(poor | other))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_names_make_no_element(tmp_path: Path, payload: str) -> None:
    plain = read(make_run(tmp_path / "plain", names=("first", "second"), extra="note"))
    hostile = read(make_run(tmp_path / "hostile", names=(payload, payload + "2"), extra=payload))
    shape = [(tag, sorted(attrs)) for tag, attrs in plain.elements]
    assert [(tag, sorted(attrs)) for tag, attrs in hostile.elements] == shape
    assert re.sub(r"\s+", " ", shown(payload)) in hostile.all_text
    printed = "\n".join(terminal.lines(json.loads((tmp_path / "hostile" / "run.json").read_text())))
    assert shown(payload) in printed
    assert all(line.isprintable() for line in printed.split("\n"))


def test_nothing_is_loaded_and_nothing_runs(tmp_path: Path) -> None:
    html = reporting.write(make_run(tmp_path / "run")).read_text(encoding="utf-8")
    assert "http:" not in html and "https:" not in html and "//" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
    dom = Dom(html)
    tags = {tag for tag, _ in dom.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not any(name.startswith("on") or name == "style" for _, attrs in dom.elements for name in attrs)
    for _, attrs in dom.elements:
        assert (attrs.get("href") or "#").startswith("#")
        assert (attrs.get("src") or "data:").startswith("data:")
    policy = next(attrs["content"] or "" for tag, attrs in dom.elements if tag == "meta" and "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy


def test_policy_admits_the_style(tmp_path: Path) -> None:
    import base64
    import hashlib

    html = reporting.write(make_run(tmp_path / "run")).read_text(encoding="utf-8")
    style = html.split("<style>")[1].split("</style>")[0]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in html.split("<style>")[0]


OPTIONAL = ["test", "per_group", "candidates", "findings", "augmentation", "confusion", "per_class", "calibration", "untested", "folds",
            "versions", "hardware", "data", "command", "next", "seconds", "weights", "why", "seed", "macro_f1", "macs", "classes", "score",
            "averages", "balanced_accuracy", "top5", "sets", "unknown", "leak", "shortcuts", "doubtful", "map", "curve"]  # fmt: skip


@pytest.mark.parametrize("value", ["absent", None])
@pytest.mark.parametrize("key", OPTIONAL)
def test_a_missing_part_is_left_out(tmp_path: Path, key: str, value: str | None) -> None:
    run = make_run(tmp_path / "run", **{key: value})
    dom = read(run)
    assert "None" not in dom.all_text and "undefined" not in dom.all_text.lower()
    assert terminal.lines(json.loads((run / "run.json").read_text()))


@pytest.mark.parametrize(
    ("below", "classes", "mute"), [(0.5, 2, True), (0.503, 2, True), (0.53, 2, False), (0.5, 3, False)]
)
def test_a_threshold_below_which_nothing_can_lie_is_said(below: float, classes: int, mute: bool) -> None:
    result = {"classes": ["a", "b", "c"][:classes], "unknown": {"below": below, "false_alarm": rate(0.0, 0.0, 0.1)}}
    found = trust.unknown(result)
    assert found and bool(found["mute"]) is mute
    if mute:
        assert "no answer is less sure than 50 %" in words.load("en").say(found["mute"])


def test_a_file_of_unknown_class_is_explained_without_judging_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    rows = json.loads((run / "explanations.json").read_text())
    (run / "explanations.json").write_text(json.dumps([{**rows[1], "label": None, "sound": None, "deletion": None}]))
    text = read(run).all_text
    assert "dog, 83 % sure" in text and "None" not in text
    (run / "explanations.json").write_text("not JSON")
    assert "What it listens to" not in read(run).all_text


def test_run_json_alone_is_enough(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for path in [*run.glob("*.jsonl"), *(run / "previews").iterdir()]:
        path.unlink()
    assert "18 of 20 right" in read(run).all_text


def test_missing_or_damaged_run_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        reporting.write(tmp_path / "nowhere")
    run = make_run(tmp_path / "run")
    with pytest.raises(UsageError, match="no language 'xx'"):
        reporting.write(run, "xx")
    (run / "run.json").write_text('{"score":')
    with pytest.raises(RunError):
        reporting.write(run)
    assert not (run / reporting.REPORT).exists()


def test_previews_outside_the_run_are_not_read(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    picture(tmp_path / "secret.jpg")
    (run / "previews" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    media = evidence.Media(run)
    for name in (
        "../secret.jpg",
        str(tmp_path / "secret.jpg"),
        "previews/link.jpg",
        "run.json",
        "previews/none.jpg",
        None,
        3,
    ):
        assert media.uri(name, "image") is None
    assert (media.uri("previews/a.jpg", "image") or "").startswith("data:image/jpeg;base64,")


def test_mistakes_get_their_pictures_before_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", augmentation="absent", test="absent")
    one = 4 * -(-(run / "previews" / "a.jpg").stat().st_size // 3) + len("data:image/jpeg;base64,")
    for path in (run / "previews").glob("*.ogg"):
        path.unlink()
    (run / "explanations.json").unlink()
    doubtful = 1
    monkeypatch.setattr(evidence, "MEDIA_BYTES", (doubtful + 3) * one)
    html = reporting.write(run).read_text(encoding="utf-8")
    tiles = re.findall(r'<li id="s-\d+"[^>]* class="([^"]*)".*?</li>', html, re.DOTALL)
    pictured = [marks for marks in tiles if "named" not in marks]
    assert len(tiles) == 20 and len(pictured) == 3
    assert ["wrong" in marks.split() for marks in pictured] == [True, True, False]
    assert "listed by name only" in html


def test_repeats_are_averaged_before_they_are_judged() -> None:
    rows = [{"file": "x", "label": "a", "scores": {"a": p, "b": 1 - p}} for p in (0.9, 0.3, 0.4)]
    (prediction,) = evidence.averaged(rows, ["a", "b"])
    assert prediction.predicted == "a" and prediction.confidence == pytest.approx(1.6 / 3)


def test_curves_are_the_mean_over_folds() -> None:
    epochs = [{"fold": f, "epoch": e, "validation_loss": 2.0 * f + e} for f in (0, 1) for e in (1, 2)]
    chart = figures.curves(epochs, "loss")
    assert chart is not None and chart.final("validation") == 3.0 and chart.top == 5.0
    assert figures.curves([], "loss") is None


def test_languages_say_the_same_things() -> None:
    en, ru = (json.loads((LOCALES / f"{lang}.json").read_text(encoding="utf-8")) for lang in ("en", "ru"))
    assert list(en) == list(ru)
    for key in en:
        english, russian = (list(text.values()) if isinstance(text, dict) else [text] for text in (en[key], ru[key]))
        # "One file" may be named without a number, where the language says it of 1 alone.
        fields = {
            frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name and name != "n")
            for text in english + russian
        }
        assert len(fields) == 1 and len({"{n}" in text for text in russian}) == 1, key
        if isinstance(en[key], dict):
            assert set(en[key]) == {"one", "other"} and set(ru[key]) == {"one", "few", "other"}, key


def test_every_text_is_used() -> None:
    folder = Path(page.__file__).parent
    own, everywhere = (
        "\n".join(path.read_text(encoding="utf-8") for path in (*place.rglob("*.py"), *place.rglob("*.html")))
        for place in (folder, folder.parent)
    )
    used = set(re.findall(r"[\"']([a-z_]+(?:\.[a-z_0-9]+)+)[\"']", everywhere))
    made = set(re.findall(r"[\"']([a-z_]+\.)(?:[a-z_]*\{|[\"'] ~)", everywhere))
    texts = words.load("en").keys()
    bare = {key: key.partition("@")[0] for key in texts}
    bare = {key: {name, name.removesuffix(".fix")} for key, name in bare.items()}
    assert {key for key in texts if not bare[key] & used and key.split(".")[0] + "." not in made} == set()
    families = {key.split(".")[0] for key in texts}
    said = re.findall(r"(?:said|Sentence)\(\s*[\"']([^\"'{}]+)[\"']", everywhere)
    missing = {key for key in re.findall(r"[\"']([a-z_]+\.[a-z_0-9]+)[\"']", own) if key.split(".")[0] in families}
    missing = {key for key in missing.union(said) if key not in texts}
    assert {key for key in missing if not key.endswith((".json", ".jsonl", ".html", ".yaml"))} == set()
    assert {f"toc.{key}" for _, keys in page.PARTS for key in keys} <= texts


BOARD: dict[str, Any] = {
    "schema": 1, "run": "x", "data": {}, "folds": "1x5-fold, out-of-fold", "budget_s": 60, "seconds": 48.5,
    "rows": [
        {"name": "small, probe", "model": "small", "strategy": "probe", "head": "lda", "score": {"metric": "accuracy", **rate(0.91, 0.84, 0.95, 100)}, "macro_f1": 0.9,
         "parameters": 736450, "macs": 820000000, "latency_ms": 3.25, "latency_ms_32": 81.5, "bytes": 3000000, "seconds": 6.5, "peak_rss_bytes": 900000000,
         "tied_with_best": True, "difference": {"value": -0.02, "low": -0.05, "high": 0.01}, "recommended": True},
        {"name": "large, probe", "model": "large", "strategy": "probe", "score": {"metric": "accuracy", **rate(0.93, 0.86, 0.97, 100)}, "macro_f1": 0.92,
         "parameters": 25000000, "macs": 4100000000, "latency_ms": 44.0, "latency_ms_32": 900.0, "bytes": 97000000, "seconds": 21.0, "peak_rss_bytes": 1300000000,
         "tied_with_best": True, "difference": {"value": 0.0, "low": 0.0, "high": 0.0}, "recommended": False},
        {"name": "=slow & bad", "model": "slow", "strategy": "probe", "score": {"metric": "accuracy", **rate(0.61, 0.5, 0.7, 100)}, "macro_f1": None, "latency_ms": 50.0,
         "tied_with_best": False, "difference": {"value": -0.32, "low": -0.4, "high": -0.2}, "recommended": False},
    ],
    "unfinished": [{"name": "late <b>", "model": "late", "strategy": "finetune", "why": "the budget ended", "folds_done": 2, "of": 5}],
    "recommended": {"name": "small, probe", "model": "small", "strategy": "probe", "command": "handful train x --model small"}, "why": "tied and faster",
}  # fmt: skip


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_leaderboard_says_what_its_file_says(tmp_path: Path, lang: str) -> None:
    path = leaderboard.write(tmp_path, BOARD, lang)
    dom = Dom(path.read_text(encoding="utf-8"))
    for found, value, _ in dom.numbers:
        there: Any = BOARD
        for key in found:
            there = there[key]
        assert value == there, found
    paths = {tuple(found) for found, _, _ in dom.numbers}
    wanted = ("parameters", "macs", "latency_ms", "latency_ms_32", "bytes", "seconds", "peak_rss_bytes", "macro_f1")
    assert {("rows", 0, key) for key in wanted} <= paths
    assert {("rows", 1, "score", key) for key in ("value", "low", "high")} <= paths
    assert all(dom.tables) and all(summary.strip() for _, summary in dom.charts) and dom.charts
    tags = {tag for tag, _ in dom.elements}
    assert not tags & {"script", "link", "iframe", "form", "b"}
    assert not any(name.startswith("on") or name == "style" for _, attrs in dom.elements for name in attrs)
    text = dom.all_text
    assert "tied and faster" in text and "handful train x --model small" in text and "late <b>" in text
    ranking = text[text.index(words.load(lang).text("board.lead")) :]
    assert ranking.index("large, probe") < ranking.index("small, probe") < ranking.index("=slow & bad")


def test_leaderboard_in_the_terminal() -> None:
    printed = leaderboard.lines(BOARD)
    assert printed[0] == "large, probe is best with 93 % (86 % to 97 %) among 3 candidates."
    table = printed[2:6]
    assert [line.split("  ")[0] for line in table[1:]] == ["large, probe", "small, probe", "=slow & bad"]
    assert table[1].endswith("best") and table[2].endswith("tied with the best, recommended") and "3.25 ms" in table[2]
    assert table[1].index("93 %") == table[2].index("91 %"), "columns are aligned"
    assert "  tied and faster" in printed and "  late <b>: the budget ended" in printed
    assert (
        leaderboard.lines({"rows": [], "unfinished": BOARD["unfinished"]}, "ru")[0] == "Ни один кандидат не закончен."
    )
    assert all("\n" not in line for line in printed)


def test_leaderboard_as_csv() -> None:
    import csv

    rows = list(csv.DictReader(io.StringIO(leaderboard.to_csv(BOARD))))
    assert [row["name"] for row in rows] == ["large, probe", "small, probe", "'=slow & bad"]
    assert float(rows[1]["score"]) == 0.91 and rows[1]["recommended"] == "true" and rows[2]["parameters"] == ""


def test_nothing_on_the_front_is_beaten() -> None:
    chart = figures.pareto(BOARD["rows"])
    assert chart is not None
    assert {dot.index for dot in chart.dots if dot.best} == {0, 1}
    assert max(dot.radius for dot in chart.dots) == pytest.approx(18.0)
    assert figures.pareto(BOARD["rows"][:1]) is None


def test_the_map_shows_every_mistake_and_at_most_a_thousand() -> None:
    predictions = [
        evidence.Prediction(
            f"{i}.jpg", "a", "", {"a": 0.4, "b": 0.6} if i < 30 else {"a": 0.9, "b": 0.1}, "b" if i < 30 else "a"
        )
        for i in range(3000)
    ]
    places = {p.file: (i / 3000, -2.0) for i, p in enumerate(predictions)}
    marks = figures.scatter(predictions, places, ["a", "b"])
    assert len(marks) <= figures.MAPPED and sum(not mark.prediction.right for mark in marks) == 30
    assert not any(mark.prediction.right for mark in marks[-30:]), "mistakes are drawn on top"
    assert all(0 <= mark.x <= 1 and 0 <= mark.y <= 1 for mark in marks)
    assert len({figures.sign(i) for i in range(24)}) == 24


def test_a_learning_curve_needs_two_points() -> None:
    points = [{"per_class": n, "value": v, "low": v - 0.1, "high": v + 0.05} for n, v in ((4, 0.6), (16, 0.8))]
    assert figures.learning(points[:1], []) is None
    chart = figures.learning(points, [])
    assert chart is not None and chart.floor == 0.4 and chart.now == 1.0
    assert [point["x"] for point in chart.points] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("value", "kind", "en", "ru"),
    [
        (0.03, "points", "3 points", "3 пункта"), (0.01, "points", "1 point", "1 пункт"), (-0.05, "change", "−5 points", "−5 пунктов"),
        (0.016, "change", "+1.6 points", "+1,6 пункта"), (-0.02, "bound", "−2", "−2"), (0.0004, "p_value", "< 0.001", "< 0,001"),
        (0.002, "probability", "< 0.01", "< 0,01"), (0.999, "probability", "> 0.99", "> 0,99"), (0.41, "drop", "41 points", "41 пункт"),
        (3.25, "milliseconds", "3.25 ms", "3,25 мс"),
    ],
)  # fmt: skip
def test_kinds_of_numbers(value: float, kind: str, en: str, ru: str) -> None:
    number = words.Number(value, kind)
    assert (words.load("en").number(number), words.load("ru").number(number)) == (en, ru)


def test_terminal_prints_where_and_what_next(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    printed = terminal.lines(json.loads((run / "run.json").read_text()))
    text = "\n".join(printed)
    assert printed[0].startswith("18 of 20 right")
    assert str(run / "report.html") in text and "cat" in text and "[" in printed[2] and "#" in printed[2]
    assert not any("\n" in line for line in printed)


def test_terminal_table_aligns_its_columns() -> None:
    row = {"precision": 1.0, "recall": 0.5, "f1": 0.67, "n": 1200}
    printed = terminal.table({"a": row, "much\nlonger": row, "never seen": None})
    assert len(printed) == 4 and len({len(line) for line in printed}) == 1
    assert printed[2].startswith("much\\nlonger") and printed[2].endswith("1,200")
    assert printed[3].split() == ["never", "seen", "–", "–", "0"]


def test_it_is_light_to_import() -> None:
    code = "import sys, handful.reporting.page, handful.reporting.terminal; print([m for m in ('torch','sklearn','onnx','onnxruntime','PIL','pydantic') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
