"""A Russian page is Russian: no sentence of another language stands on it, whoever wrote it, page or server. And in both
languages a number and its unit stay on one line."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Server, until
from tests.conftest import write_photos

pytestmark = pytest.mark.web
# Three small words in a row are a sentence; names of models, formats and files are none, and commands are typed as they are.
COMMAND = re.compile(r"handful \w+( \w+)?")
PHRASE = re.compile(r"[a-z]{2,}(?: [a-z]{2,}){2,}")
TORN = re.compile(
    r"\d (?:%|ms|s|min|h|k?Hz|[kMG]B|мс|с|мин|ч|к?Гц|[кМГ]Б)(?!\w)"
)  # with a space at which a line may break
# What can be seen or is read aloud, without code.
SHOWN = """() => {
    const left = (element) => element.closest("code, pre, script, style, noscript");
    const texts = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) if (!left(walker.currentNode.parentElement)) texts.push(walker.currentNode.textContent);
    for (const name of ["aria-label", "placeholder", "title", "alt"])
        for (const element of document.querySelectorAll(`[${name}]`)) texts.push(element.getAttribute(name));
    return texts;
}"""


@pytest.fixture(scope="module")
def trained(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A project with something to find in it, checked and trained."""
    folder = write_photos(tmp_path_factory.mktemp("photos"), classes=("красный", "зелёный"), per_class=8, size=32)
    (folder / "красный" / "00.png").rename(folder / "зелёный" / "чужой.png")
    project = server.project("Цвета")
    server.fill(project, folder)
    for wish in ({"kind": "check"}, {"kind": "train", "settings": {"strategy": "prototype", "model": "statistics"}}):
        job = server.ask("POST", f"/projects/{project}/jobs", wish)["id"]
        assert until(lambda job=job: ended(server, job), 240) == "done"
    return project


def ended(server: Server, job: str) -> str:
    state = server.ask("GET", f"/jobs/{job}")["state"]
    return state if state in ("done", "failed", "stopped", "interrupted") else ""


def foreign(page: Any) -> list[str]:
    return sorted({text.strip() for text in page.evaluate(SHOWN) if PHRASE.search(COMMAND.sub("", text))})


def test_nothing_on_a_russian_page_is_english(open_page: Callable[..., Any], server: Server, trained: str) -> None:
    page, found = open_page(locale="ru-RU"), {}
    for step in ("collect", "check", "train", "understand", "try", "export", "compare"):
        page.goto(f"/p/{trained}/{step}")
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_load_state("networkidle") if step == "collect" else page.wait_for_timeout(400)
        found[step] = foreign(page)
        if step == "train":
            for name in ("Наборы настроек", "Все настройки"):
                page.get_by_role("button", name=name).click()
                page.get_by_role("dialog").get_by_role("searchbox").wait_for()
                page.wait_for_timeout(400)
                found[name] = foreign(page)
                page.keyboard.press("Escape")
                page.get_by_role("dialog").wait_for(state="hidden")
                page.wait_for_timeout(400)  # closing goes one step back in the history, which would end the next visit
    run = server.ask("GET", f"/projects/{trained}/runs")[0]["id"]
    page.goto(f"/api/projects/{trained}/runs/{run}/report?lang=ru")
    found["report"] = foreign(page)
    assert {place: texts for place, texts in found.items() if texts} == {}


def russian(page: Any, words: str) -> list[str]:
    """English sentences of the page once `words` stand on it."""
    page.get_by_text(words).first.wait_for()
    return foreign(page)


@pytest.mark.parametrize("locale", ["en-US", "ru-RU"])
def test_no_line_breaks_between_a_number_and_its_unit(
    open_page: Callable[..., Any], server: Server, trained: str, locale: str
) -> None:
    page, joined = open_page(locale=locale), 0
    for step in ("collect", "check", "train", "understand", "try", "export", "compare"):
        page.goto(f"/p/{trained}/{step}")
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_timeout(400)
        texts = page.evaluate(SHOWN)
        assert [text for text in texts if TORN.search(text)] == [], step
        joined += sum("\u00a0" in text for text in texts)
    assert joined > 10


def test_an_import_that_fails_says_why_in_russian(
    open_page: Callable[..., Any], server: Server, tmp_path: Path
) -> None:
    project = server.project("Приём")
    folder = write_photos(tmp_path / "фото", classes=("красный", "зелёный"), per_class=2, size=32)
    (folder / "красный" / "заметки.docx").write_bytes(b"no picture at all")
    (folder / "красный" / "таблица.xlsx").write_bytes(b"PK no table either")
    (folder / "красный" / "пустой.png").touch()
    (folder / "красный" / "битый.png").write_bytes((folder / "красный" / "00.png").read_bytes()[:60])
    (folder / "красный" / "папка.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(99))
    (folder / "метки.csv").write_text("столбец;другой\nа;б\n", encoding="utf-8")
    with zipfile.ZipFile(folder / "чужой.zip", "w") as archive:
        archive.writestr("../наружу.png", b"x")
    page = open_page(locale="ru-RU")
    page.goto(f"/p/{project}/collect")
    page.locator("[data-chooser=folder]").first.set_input_files(folder)
    preview = page.locator("dialog[open]").last
    preview.locator(".import-rejects summary").click()
    assert russian(page, "распакуйте его и перетащите папку") == []
    reasons = preview.locator(".import-rejects li").all_inner_texts()
    assert len(reasons) == 6 and all(re.search("[а-я]{3} [а-я]", reason) for reason in reasons), reasons
    preview.locator(".segments label", has_text="метки.csv").click()
    assert russian(page, "нет столбца file_name") == []


def test_undo_names_what_it_takes_back_in_russian(
    open_page: Callable[..., Any], server: Server, tmp_path: Path
) -> None:
    project = server.project("Отмена")
    server.fill(project, write_photos(tmp_path / "фото", classes=("алый", "красный", "синий"), per_class=2, size=32))
    ids = [sample["id"] for sample in server.samples(project)]
    steps = (
        ("classes/merge", {"names": ["алый", "красный"], "to": "тёплый"}, "объединение «алый», «красный» в «тёплый»"),
        ("classes/rename", {"name": "синий", "to": "холодный"}, "переименование класса «синий» в «холодный»"),
        ("samples/move", {"ids": ids[:3], "label": "новый"}, "перенос 3 примеров в «новый»"),
        ("classes/delete", {"name": "холодный"}, "удаление класса «холодный» и"),
    )
    page = open_page(locale="ru-RU")
    for path, wish, words in steps:
        server.ask("POST", f"/projects/{project}/{path}", wish)
        page.goto(f"/p/{project}/collect")
        page.get_by_role("button", name=re.compile(f"^Отменить: {words}")).wait_for()
    for _, _, words in reversed(steps):
        page.get_by_role("button", name=re.compile(f"^Отменить: {words}")).click()
        page.get_by_role("button", name=re.compile(f"^Вернуть: {words}")).wait_for()
        assert foreign(page) == []
    answer = page.request.post(
        f"/api/projects/{project}/redo", headers={"X-Handful": "1", "Accept-Language": "ru"}
    ).json()
    assert answer["said"].startswith("возврат: объединение") and answer["project"]["undo"].startswith("объединение")
    refused = page.request.post(
        f"/api/projects/{project}/undo?action=1", headers={"X-Handful": "1", "Accept-Language": "ru"}
    ).json()
    assert "последнее изменение теперь другое: объединение" in refused["detail"] and "сначала" in refused["hint"]


def test_an_archive_that_is_refused_says_why_in_russian(
    open_page: Callable[..., Any], server: Server, tmp_path: Path
) -> None:
    page, found = open_page(locale="ru-RU"), {}
    strange = tmp_path / "проект.zip"
    with zipfile.ZipFile(strange, "w") as archive:
        archive.writestr("письмо.txt", "nothing")
    (tmp_path / "не архив.zip").write_bytes(b"no archive at all")
    for file, words in ((strange, "нет проекта handful"), (tmp_path / "не архив.zip", "не архив zip")):
        page.goto("/")
        page.get_by_role("heading", level=1).wait_for()
        page.locator("input[type=file]").first.set_input_files(file)
        own = [
            project["name"] for project in server.ask("GET", "/projects")
        ]  # other tests' projects: named in any language
        found[words] = [text for text in russian(page, words) if not any(name in text for name in own)]
    assert {words: texts for words, texts in found.items() if texts} == {}


def test_a_job_that_fails_says_why_in_russian(
    open_page: Callable[..., Any], server: Server, trained: str, tmp_path: Path
) -> None:
    """Also in its log, and in that of one that went well."""
    project = server.project("Неудача")
    server.fill(project, write_photos(tmp_path / "фото", classes=("красный", "зелёный"), per_class=6, size=32))
    for path in (server.home / "data" / "projects" / project / "media").rglob("*.png"):
        path.write_bytes(b"spoilt by another program")
    job = server.ask("POST", f"/projects/{project}/jobs", {"kind": "train", "settings": {"model": "statistics"}})["id"]
    assert until(lambda: ended(server, job), 240) == "failed"
    page, found = open_page(locale="ru-RU"), {}
    for name in (project, trained):
        page.goto(f"/p/{name}/train")
        page.locator(".job-details summary").first.click()
        page.locator(".job-log-line").nth(1).wait_for()
        found[name] = foreign(page)
        lines = page.locator(".job-log-line span").all_inner_texts()
        assert any(re.search("[а-я]{4}", line) for line in lines), lines
    assert {place: texts for place, texts in found.items() if texts} == {}


def test_an_export_that_fails_says_why_in_russian(open_page: Callable[..., Any], server: Server, trained: str) -> None:
    run = server.ask("GET", f"/projects/{trained}/runs")[0]["id"]
    vectors = server.home / "data" / "projects" / trained / "runs" / run / "vectors.json"
    kept = vectors.read_bytes()
    vectors.unlink()
    try:
        wish = {"kind": "export", "run": run, "formats": ["onnx"], "title": "onnx"}
        job = server.ask("POST", f"/projects/{trained}/jobs", wish)["id"]
        assert until(lambda: ended(server, job), 240) == "failed"
        page = open_page(locale="ru-RU")
        page.goto(f"/p/{trained}/export")
        assert russian(page, "нет проверочных файлов, доказать ничего нельзя") == []
    finally:
        vectors.write_bytes(kept)


def test_what_the_check_found_follows_the_language_of_the_page(open_page: Callable[..., Any], trained: str) -> None:
    page = open_page(locale="ru-RU")
    page.goto(f"/p/{trained}/check")
    card = page.locator(".finding").first
    card.wait_for()
    russian = card.locator(".finding-words p").first.inner_text()
    assert re.search("[а-я]{4}", russian)
    page.get_by_role("button", name="Язык").click()
    page.get_by_text("English", exact=True).click()
    until(lambda: re.search(r"[a-z]{4} [a-z]", card.locator(".finding-words p").first.inner_text()))
