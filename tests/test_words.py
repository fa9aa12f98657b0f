"""What is found can be said in every language: each finding is made at least once, from files or from facts, and said in all."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful
from handful import words
from handful.audit import doctor, labels, mixes, parts, shortcuts, sources
from handful.config import Recipe
from handful.data import Dataset, Finding, Sample, load_data
from handful.data.scan import _identify, _walk
from handful.errors import FileError, MissingExtra
from handful.features import frontends
from handful.features._decode_image import Unreadable, decode
from handful.reporting.words import finding as told
from handful.training.reading import Reader
from handful.training.trial import arrange
from tests.conftest import write_photos, write_sounds

SOURCES = Path(handful.__file__).parent
EN, RU = words.load("en"), words.load("ru")
NAMES = {key.split(".")[1] for key in EN.keys() if key.startswith("finding.")}


def sample(file: str, label: str = "cat", **fields: str) -> Sample:
    return Sample("/data", file, label, fields.pop("sha256", file), **fields)


def of_a_folder(folder: Path) -> Iterator[Finding]:
    """Everything that a walk through folders, tables and patterns can find."""
    from PIL import Image

    photos = write_photos(folder / "photos", per_class=4)
    (photos / "hollow").mkdir()
    (photos / "red" / "empty.png").touch()
    (photos / "red" / "text.png").write_text("no picture")
    (photos / "stray.png").write_bytes((photos / "red" / "00.png").read_bytes())
    shutil.copy(photos / "red" / "01.png", photos / "red" / "odd.wav")
    os.symlink("/usr/bin/env", photos / "red" / "away.png")
    shutil.copytree(photos / "green", photos / "Green")
    write_sounds(photos, classes=("red",), per_class=2)
    (photos / "red" / "film.mov").write_bytes(b"\0\0\0\x14ftypqt  " + bytes(100))
    yield from load_data(photos, per_class=40).findings
    sounds = write_sounds(folder / "sounds", per_class=4)
    (sounds / "hollow").mkdir()
    Image.new("RGB", (32, 32)).save(sounds / "low" / "cover.png")
    os.rename(sounds / "low" / "00.wav", sounds / "low" / "00.mp3")
    os.rename(sounds / "low" / "01.wav", sounds / "low" / "01.png")
    yield from load_data(sounds).findings
    table = folder / "labels.csv"
    table.write_text("file_name,label\nred/00.png,a\ngreen/00.png,b\ngone.png,a\n../far.png,b\n")
    yield from load_data(photos, labels=table).findings
    people = folder / "people"
    for name, colours in (("anna", ("red", "green")), ("ben", ("red", "green")), ("carl", ("red", "green"))):
        for colour in colours:
            (people / colour).mkdir(parents=True, exist_ok=True)
            for number in range(3):
                shutil.copy(photos / colour / "00.png", people / colour / f"{name}_{number}.png")
    yield from load_data(people).findings
    yield from load_data(people, pattern="{group}_{}").findings
    (people / "red" / "nobody.png").write_bytes((photos / "red" / "03.png").read_bytes())
    yield from load_data(people, pattern="{group}_{}").findings
    found: list[Finding] = []
    list(_walk(folder / "not there", found))
    _identify([sample("gone.png")], found)
    yield from found


def of_facts() -> Iterator[Finding]:
    """What front-ends see, where the facts alone decide."""
    data = [sample(f"{i}.x", "ab"[i % 2]) for i in range(40)]
    for key, fact in (("silent", True), ("constant", True), ("cancels", True), ("clipped", 0.5), ("frames", 3)):
        yield from doctor.from_facts(data, [{key: fact} if i < 2 else {} for i in range(40)])
    note = words.packed(words.said("flaw.breaks", seconds=1.5))
    yield from doctor.from_facts(data, [{"notes": [note]} if i < 2 else {} for i in range(40)])
    yield from doctor.from_facts(data, [{"notes": ["as older caches have it"]} if not i else {} for i in range(40)])
    few = {3, 10, 20, 31}

    def mixed(usual: dict[str, Any], other: dict[str, Any]) -> list[Finding]:
        return mixes.mixes(data, [other if i in few else usual for i in range(40)])

    yield from mixed({"sample_rate_hz": 44_100}, {"sample_rate_hz": 48_000})
    yield from mixed({"sample_rate_hz": 44_100}, {"sample_rate_hz": 8_000})
    yield from mixes.mixes(data, [{"sample_rate_hz": (44_100, 48_000, 12_345)[i % 3]} for i in range(40)])
    yield from mixed({"channels": 1}, {"channels": 2})
    yield from mixed({"seconds": 1.0}, {"seconds": 30.0})
    yield from mixed({"width": 100, "height": 100}, {"width": 2000, "height": 1000})
    yield from mixed({"colour": 9.0}, {"colour": 0.0})
    yield from mixed({"colour": 0.0}, {"colour": 9.0})
    yield from mixes.mixes(data, [{"format": "PNG" if i % 2 else "JPEG"} for i in range(40)])
    yield from mixes.mixes(data, [{"channels": 2 if i % 2 and i < 30 or i == 0 else 1} for i in range(40)])
    twins = [sample("a.jpg", sha256="x"), sample("b.jpg", sha256="x")]
    yield from doctor.duplicates(twins, [])
    yield from doctor.duplicates([sample("a.jpg"), sample("b.jpg"), sample("c.jpg")], [(0, 1), (1, 2)])
    yield from doctor.duplicates([sample("a.jpg", "cat", split="train", sha256="x"), sample("b.jpg", "dog", split="test", sha256="x")], [])  # fmt: skip
    yield from parts.untrained([sample("a.jpg", "cat"), sample("b.jpg", "dog", split="test")])
    yield from parts.apart([sample("a.jpg", group="one"), sample("b.jpg", group="one", split="validation")])
    yield from doctor.too_few([sample(f"{i}.x", "a" if i else "b") for i in range(20)])
    yield doctor.unreadable(
        sample("bad.wav"), FileError(words.said("file.soundless"), words.said("file.soundless.fix"))
    )
    yield from labels.to_findings(None)
    doubt = {"file": "9.jpg", "label": "dog", "suggested": "cat", "given": 0.01, "confidence": 0.98}
    yield from labels.to_findings([doubt])
    yield from labels.to_findings([doubt | {"file": f"{i}.jpg"} for i in range(9)])
    scored = {"score": {"value": 0.9, "low": 0.8, "high": 0.95}, "chance": 0.5, "above_chance": True}
    for name in (*shortcuts._NUMBERS, *shortcuts._NAMES, "another"):
        yield from shortcuts.to_findings([scored | {"name": name}])
    shots = [{"taken": f"2026:01:01 10:00:{i // 2 * 20 + i % 2:02d}", "camera": "c"} for i in range(6)]
    yield from sources.from_metadata([sample(f"{i}.jpg") for i in range(6)], shots)
    nested = [sample(f"{c}/{s}/{i}.jpg", c) for c in "ab" for s in ("s1", "s2", "s3") for i in range(3)]
    yield from sources.from_metadata(nested, [{}] * len(nested))


def of_training(folder: Path) -> Iterator[Finding | dict[str, Any]]:
    photos = write_photos(folder / "trained", per_class=6)
    write_photos(photos, classes=("lone",), per_class=1, seed=3)
    data = load_data(photos)
    reader = Reader(frontends.get("image").suited([s.path for s in data.samples], {}))
    assert all(not isinstance(items, FileError) for _, items in reader.read(data.samples))
    grouped = [Sample(s.root, s.file, s.label, s.sha256, "one" if s.label == "red" else s.file) for s in data.samples]
    yield from arrange(Recipe(), Dataset(data.root, "image", tuple(grouped)), grouped, [], reader, 1).findings
    test = write_photos(folder / "tested", classes=("red", "green", "blue"), per_class=3, seed=8)
    shutil.copy(photos / "red" / "02.png", test / "red" / "same.png")
    from PIL import Image

    with Image.open(photos / "red" / "03.png") as picture:
        picture.resize((64, 64)).save(test / "red" / "larger.png")
    fast: dict[str, Any] = {"model": "statistics", "strategy": "prototype", "repeats": 1, "views": 0}
    run = handful.train(photos, run=folder / "run", test=str(test), **fast)
    yield from run.result["findings"]
    yield from handful.evaluate(run.path, test)["findings"]
    yield from handful.evaluate(run.path, photos)["findings"]


def test_every_finding_is_made_and_said_in_every_language(tmp_path: Path) -> None:
    made = [*of_a_folder(tmp_path / "data"), *of_facts(), *of_training(tmp_path / "training")]
    rows = [json.loads(json.dumps(one.to_dict() if isinstance(one, Finding) else one)) for one in made]
    for row in rows:
        for english, kept in zip(told(row), (row["message"], row["fix"]), strict=True):
            assert english == kept and english, row
            russian = words.retold(english, RU)
            foreign = re.sub(r"--\w+ ТАБЛИЦА|--\w[\w-]*|'.*?'|\".*?\"|«.*?»", "", russian)
            assert re.search("[а-я]", foreign) and russian != english and not re.search(r"\{\w", foreign), (
                english,
                russian,
            )
    # What is said only of a class stands inside of that.
    inside = set(re.findall(r'"finding\.(\w+)"', json.dumps(rows)))
    assert {row["name"] for row in rows} | inside == NAMES


def test_the_code_names_no_finding_that_cannot_be_said() -> None:
    """Names that are written where a `Finding` is made, whichever branch of it."""
    named = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                named |= {one.value for one in ast.walk(node.args[2]) if isinstance(one, ast.Constant)}
    assert len(named) > 20 and named <= NAMES
    assert {f"finding.{name}{part}" for name in NAMES for part in ("", ".fix")} <= EN.keys() & RU.keys()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\0\0\0\x18ftypheic" + bytes(40), "small", "torn", "gone"])
def test_a_bundle_says_of_a_picture_what_handful_says(content: bytes | str, tmp_path: Path) -> None:
    """`_decode_image` goes into bundles and knows no locales: its English is theirs."""
    from PIL import Image

    from handful.features.image import refused

    path = tmp_path / "x.png"
    if content == "small":
        Image.new("RGB", (1, 9)).save(path)
    elif content == "torn":
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), dtype=np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    try:
        decode(path, 32, "crop")
    except Unreadable as error:
        assert (str(error), error.hint) == (refused(error).message, refused(error).hint)
        assert isinstance(refused(error).message, words.Said)
    else:
        pytest.skip("this installation reads it")


ROOMS = ("projects", "jobs", "exporting", "workflow/studio", "web/studio")  # what they refuse is shown on pages
REFUSALS = {
    "HandfulError", "UsageError", "DataError", "FileError", "ExportError", "RunError", "BusyError", "MissingExtra", "ProjectError",
    "NotFound", "Outdated", "TooLarge", "NoSpace", "ArchiveError", "Problem",
}  # fmt: skip


def plain(node: ast.AST) -> bool:
    """Whether text is put together here, in one language."""
    if isinstance(node, ast.BinOp):
        return plain(node.left) or plain(node.right)
    if isinstance(node, ast.IfExp):
        return plain(node.body) or plain(node.orelse)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and " " in str(node.value))


def test_what_the_studio_refuses_it_can_say_in_every_language() -> None:
    found, seen = [], 0
    for path in (file for room in ROOMS for file in (SOURCES / room).rglob("*.py") if "templates" not in file.parts):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSALS:
                seen += 1
                if any(map(plain, (*node.args, *(option.value for option in node.keywords)))):
                    found.append(f"{path.relative_to(SOURCES)}:{node.lineno}")
    assert seen > 150 and found == []


def test_every_sentence_that_the_code_names_is_there() -> None:
    named = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if called in ("said", "both", "Sentence") and isinstance(node.args[0], ast.Constant):
                named |= {node.args[0].value} | ({f"{node.args[0].value}.fix"} if called == "both" else set())
    assert len(named) > 400 and named <= EN.keys() and named <= RU.keys()


def test_russian_sentences_hold_no_english() -> None:
    """Commands, options and what stands in quotes are typed as they are; three small words in a row are a sentence."""
    typed = re.compile(r"`[^`]*`|handful \w+( \w+)?|--[\w-]+|pip (un)?install \S+|'[^']*'|\"[^\"]*\"|\{\w+\}")
    texts = json.loads((words.LOCALES / "ru.json").read_text(encoding="utf-8"))
    forms = {key: [text] if isinstance(text, str) else list(text.values()) for key, text in texts.items()}
    left = {key: [typed.sub("", form) for form in all_forms] for key, all_forms in forms.items()}
    assert {key: said for key, said in left.items() if re.search("[a-z]{2,}(?: [a-z]{2,}){2,}", " / ".join(said))} == {}
    assert EN.keys() == RU.keys()


def test_what_the_system_says_is_said_in_every_language() -> None:
    import errno

    for number in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOENT):
        english = words.reason(OSError(number, os.strerror(number)))
        assert english == os.strerror(number) and re.search("[а-я]", words.retold(english, RU))
    assert words.reason(OSError(9999, "odd")) == "odd"


def test_a_library_that_is_missing_is_named_in_every_language() -> None:
    from handful.registry import optional

    for extra in ("torch", "learn"):
        with pytest.raises(MissingExtra) as caught:
            optional("no_such_module", extra, words.said("extra.gradient"))
        russian = words.retold(caught.value.message, RU)
        assert "не установлен" in russian and "обучение сети градиентом" in russian
        assert caught.value.hint == f"pip install 'handful[{extra}]'"


def test_a_name_that_cannot_be_is_refused_as_what_it_is() -> None:
    from handful.projects import ProjectError, clean_name

    for what, english, russian in (("class", "class name", "имя класса"), ("project", "project name", "имя проекта"), ("model", "model name", "имя модели")):  # fmt: skip
        for name in (" ", "x" * 201):
            with pytest.raises(ProjectError) as caught:
                clean_name(name, what)
            assert english in caught.value.message and russian in words.retold(caught.value.message, RU)


def test_an_export_that_costs_too_much_can_be_kept_in_every_language(tmp_path: Path) -> None:
    from handful.jobs import Job
    from handful.jobs._endings import over
    from handful.workflow.studio import orders
    from handful.workflow.studio.training import shape

    assert {*orders.ACCEPTABLE} <= EN.keys()
    job = Job("j", "p", "export", "int8", "running", 0.0, tmp_path, ("export",))
    for hint, can in (
        ("export.costly.fix", True),
        ("export.disagrees_drop.fix", True),
        ("export.disagrees.fix", False),
    ):
        told = shape(over(job, "failed", words.said("export.vectors_damaged"), words.said(hint)))
        assert told["can_accept_drop"] is can and "--accept-drop" not in json.dumps(told["told"])


def test_a_log_is_told_in_every_language(tmp_path: Path) -> None:
    from handful._console import Events
    from handful.jobs._following import Log

    told = words.said(
        "say.found",
        samples=words.said("say.pictures", n=3),
        classes=words.said("page.classes", n=2),
        listed=["a 1", "b 2"],
    )
    (tmp_path / "log.txt").write_text(
        f"2026-01-01T00:00:00.000Z {told}\n2026-01-01T00:00:01.000Z as a library says it\n"
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HANDFUL_EVENTS", str(tmp_path / "events.jsonl"))
        Events().say(told)
    first, second = Log(tmp_path / "log.txt").part(0, 10).lines
    assert words.retold(first.text, RU) == "3 картинки, 2 класса (a 1, b 2)" and first.text == told
    assert words.retold(second.text, RU) == second.text == "as a library says it"


def test_what_is_said_survives_json_and_strange_names() -> None:
    inner = words.said("finding.same", n=3, files=["a\u202eb", "c", "..."])
    said = words.said("finding.copies_labelled", copies=inner, names=["<b>", "{n}"])
    again = words.unpacked(json.loads(json.dumps(words.packed(said))))
    assert again == said and words.retold(again, RU) == words.retold(said, RU) != said
    assert "\\u202e" in said and "{n}" in said
    assert words.unpacked({"key": "of.nobody", "values": {}}) == "?" and words.retold("as it is", RU) == "as it is"
    assert (
        told({"message": "old", "fix": None}) == ("old", "") == told({"name": "nobody", "values": {}, "message": "old"})
    )


def test_a_jobs_end_is_told_in_every_language(tmp_path: Path) -> None:
    from handful.jobs import Job
    from handful.jobs._endings import over
    from handful.workflow.studio.training import shape

    job = Job("j", "p", "train", "", "running", 0.0, tmp_path, ("train",))
    told = shape(over(job, "interrupted", words.said("job.vanished"), words.said("job.resume")))["told"]
    assert set(told) == set(words.languages()) and told["en"]["hint"] == "press Go on", "there is a button for it"
    assert re.search("[а-я]", told["ru"]["error"]) and told["ru"]["hint"] == "нажмите «Продолжить»"
    assert shape(over(job, "failed", "as a worker wrote it"))["told"] == {}


def test_a_command_that_fails_leaves_its_error_for_other_languages(tmp_path: Path) -> None:
    import subprocess
    import sys

    photos = write_photos(tmp_path / "photos", per_class=3)
    events = tmp_path / "events.jsonl"
    command = [sys.executable, "-m", "handful", "train", str(photos), "--model", "statistics", "--strategy", "finetune"]
    done = subprocess.run(
        command, env=os.environ | {"HANDFUL_EVENTS": str(events)}, capture_output=True, text=True, timeout=120
    )
    from handful.jobs._following import said_by

    kept = said_by(tmp_path)
    assert done.returncode == 2 and kept, done.stderr
    message, hint = words.unpacked(kept["error"]), words.unpacked(kept["hint"])
    assert done.stderr.splitlines()[-2] == f"handful: {message}" and "--strategy probe" in done.stderr
    assert "выберите другой способ" in words.retold(hint, words.load("ru", "studio"))
