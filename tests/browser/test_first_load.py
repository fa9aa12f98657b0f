"""What a first visit costs: few bytes, each thing asked for once, what the page begins with named by the first answer; and
that nothing is missed which happens meanwhile."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Server, until
from tests.conftest import write_photos

pytestmark = pytest.mark.web

MOST_BYTES = 400_000  # compressed
# What came, with its bytes as sent; pictures and what is asked every few seconds aside.
CAME = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .filter(({ name }) => !/thumb|icon|memory|augmentation/.test(name))
    .map((one) => [one.name.replace(location.origin, ""), one.encodedBodySize])"""


@pytest.fixture(scope="module")
def filled(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    project = server.project("Loads")
    server.fill(project, write_photos(tmp_path_factory.mktemp("loads"), ("a", "b"), 6))
    return project


@pytest.mark.parametrize(
    ("step", "locale"), [("", "en-US"), ("collect", "ru-RU"), ("train", "en-US"), ("understand", "en-US")]
)
def test_a_first_visit_asks_for_each_thing_once(
    open_page: Callable[..., Any], filled: str, step: str, locale: str
) -> None:
    page = open_page(locale=locale)
    answer = page.goto(f"/p/{filled}/{step}" if step else "/")
    named = re.findall("<([^>]*)>", answer.headers["link"])
    page.locator("main h1").wait_for()
    page.wait_for_load_state("load")
    came = page.evaluate(CAME)
    assert 50_000 < sum(size for _, size in came) < MOST_BYTES
    assert [name for name, count in Counter(name for name, _ in came).items() if count > 1] == []
    assert set(named) <= {name for name, _ in came}
    code = {name for name, _ in came if re.search(r"^/assets/.*\.(js|css)$", name)}
    assert code == {name for name in named if name.startswith("/assets/")}  # no code asks for more code
    assert [name for name in code if re.match("/assets/(en|ru)-", name)][0].startswith(f"/assets/{locale[:2]}-")
    assert not [name for name in code if "curves" in name or "ort" in name]  # what few need comes when it is needed


def test_a_page_shows_what_changed_before_its_stream_of_events_was_open(page: Any, server: Server, filled: str) -> None:
    held: list[Any] = []
    page.route("**/api/events*", lambda route: held.append(route))
    page.goto(f"/p/{filled}/collect")
    page.get_by_role("heading", name="a", exact=True).wait_for()
    until(lambda: page.wait_for_timeout(50) or held)
    server.ask("POST", f"/projects/{filled}/classes", {"name": "latecomer"})
    late = page.get_by_role("heading", name="latecomer")
    page.wait_for_timeout(500)
    assert late.count() == 0  # it was told to nobody yet
    held[0].continue_()
    late.wait_for()
