"""A Russian page is Russian: no sentence of another language stands on it, whoever wrote it, page or server."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Server, until
from tests.conftest import write_photos

pytestmark = pytest.mark.web
# Three small words in a row are a sentence; names of models, formats and files are none, and commands are typed as they are.
COMMAND = re.compile(r"handful \w+( \w+)?")
PHRASE = re.compile(r"[a-z]{2,}(?: [a-z]{2,}){2,}")
# What can be seen or is read aloud, without code and without the log, which is the worker's own and goes into reports of faults.
SHOWN = """() => {
    const left = (element) => element.closest("code, pre, script, style, noscript, .job-log");
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
