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
from handful.reporting import evidence, figures, terminal, words

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
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"elements that were never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

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
        if self._open and self._open[-1] == "data":
            attrs = self.elements[-1][1]
            self.numbers.append((json.loads(attrs["data-path"] or ""), json.loads(attrs["value"] or ""), data))

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
    row = {"precision": 0.9, "recall": 0.9, "f1": 0.9, "n": 10}
    result: dict[str, Any] = {
        "schema": 1, "format": 1, "run": str(folder), "modality": "image", "task": "classification", "model": extra, "strategy": extra,
        "why": extra, "weights": extra, "classes": list(names), "samples": 20, "groups": 7, "seed": 3, "command": extra, "next": [extra],
        "score": {"metric": "accuracy", "value": 0.9, "low": low, "high": high, "n": 20, "method": "5x5-fold", "interval": "wilson"},
        "macro_f1": 0.87, "per_class": {names[0]: row, names[1]: {**row, "f1": 0.84}}, "confusion": {"labels": list(names), "counts": counts},
        "test": {"metric": "accuracy", "value": 0.75, "low": 0.41, "high": 0.93, "n": 8},
        "calibration": {"ece": 0.061, "temperature": 1.37}, "parameters": 736450, "macs": 820000000,
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
    return folder


def read(folder: Path, lang: str = "en") -> Dom:
    return Dom(reporting.write(folder, lang).read_text(encoding="utf-8"))


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_every_number_is_the_one_in_run_json(tmp_path: Path, lang: str) -> None:
    run = make_run(tmp_path / "run")
    result = json.loads((run / "run.json").read_text())
    texts = words.load(lang)
    dom = read(run, lang)
    for path, value, text in dom.numbers:
        there = result
        for key in path:
            there = there[key]
        assert value == there, path
        kinds = ("percent", "count", "ratio", "seconds", "bytes", "compact")
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
    assert expected <= paths


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


def test_advice_names_what_is_wrong() -> None:
    weak = {
        "score": {"value": 0.8, "low": 0.6, "high": 0.9, "n": 100}, "classes": ["cat", "dog", "owl"], "calibration": {"ece": 0.2},
        "per_class": {"cat": {"recall": 0.95, "n": 40}, "dog": {"recall": 0.95, "n": 40}, "owl": {"recall": 0.3, "n": 40}},
        "confusion": {"labels": ["cat", "dog", "owl"], "counts": [[38, 1, 1], [1, 38, 1], [3, 25, 12]]},
        "test": {"value": 0.5, "high": 0.55, "low": 0.45, "n": 100}, "untested": ["yak"],
        "findings": [{"severity": "error"}, {"severity": "warning"}, {"severity": "warning"}],
    }  # fmt: skip
    said = words.advice(weak)
    assert len(said) == 7
    assert "errors: 1" in said[0] or "error: 1" in said[0]
    assert any("owl is found least often (30 %), and 25 of 40 were taken for dog" in line for line in said)
    assert len(words.advice(weak, "ru")) == 7
    good = {"score": {"value": 0.99, "low": 0.95, "high": 1.0, "n": 100}, "classes": ["a", "b"]}
    assert words.advice(good) == [words.load("en").text("advice.good")]


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
            "versions", "hardware", "data", "command", "next", "seconds", "weights", "why", "seed", "macro_f1", "macs", "classes", "score"]  # fmt: skip


@pytest.mark.parametrize("key", OPTIONAL)
def test_a_missing_part_is_left_out(tmp_path: Path, key: str) -> None:
    run = make_run(tmp_path / "run", **{key: "absent"})
    dom = read(run)
    assert "None" not in dom.all_text and "undefined" not in dom.all_text.lower()
    assert terminal.lines(json.loads((run / "run.json").read_text()))


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
    doubtful = 12
    monkeypatch.setattr(evidence, "MEDIA_BYTES", (doubtful + 3) * one)
    html = reporting.write(run).read_text(encoding="utf-8")
    galleries = {
        part[:8]: part.split("</section>")[0].count("<img") for part in html.split('<section class="gallery" id="')[1:]
    }
    assert galleries["cell-0-1"] == galleries["cell-1-0"] == 1
    assert galleries["cell-0-0"] + galleries["cell-1-1"] == 1
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
    en, ru = (json.loads((words.LOCALES / f"{lang}.json").read_text(encoding="utf-8")) for lang in ("en", "ru"))
    assert list(en) == list(ru)
    for key in en:
        english, russian = (list(text.values()) if isinstance(text, dict) else [text] for text in (en[key], ru[key]))
        fields = {
            frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name) for text in english + russian
        }
        assert len(fields) == 1, key


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
