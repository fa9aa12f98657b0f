"""Home, Collect and Check as people use them: by clicks and keys in a real browser, against a real studio."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import Server, faults_of, until
from tests.conftest import write_photos, write_sounds

pytestmark = pytest.mark.web


def dialog(page: Any) -> Any:
    return page.locator("dialog[open]").last


def collect(page: Any, project: str) -> None:
    page.goto(f"/p/{project}/collect")
    page.get_by_role("heading", level=1).wait_for()


# -- home ----------------------------------------------------------------------------------------------------------------


def test_a_project_begins_with_one_field(server: Server, page: Any) -> None:
    page.goto("/")
    page.get_by_role("heading", level=1).wait_for()
    if page.get_by_role("button", name="New project").count():
        page.get_by_role("button", name="New project").click()
    page.get_by_label("Name of the project").fill("Birds & <b>bees</b>")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/collect")
    assert page.locator(".header-project").inner_text() == "Birds & <b>bees</b>"
    assert "Birds & <b>bees</b>" in [one["name"] for one in server.ask("GET", "/projects")]


def test_a_project_is_renamed_and_deleted(server: Server, page: Any) -> None:
    server.project("Short lived")
    page.goto("/")
    card = page.locator(".home-project", has_text="Short lived")
    card.get_by_role("button", name="Actions for Short lived").click()
    page.get_by_role("menuitem", name="Rename").click()
    dialog(page).get_by_label("Name of the project").fill("Even shorter")
    dialog(page).get_by_role("button", name="Rename").click()
    page.locator(".home-project", has_text="Even shorter").get_by_role("button", name="Actions for Even").click()
    page.get_by_role("menuitem", name="Delete").click()
    dialog(page).get_by_role("button", name="Delete").click()
    page.get_by_text("“Even shorter” is deleted").wait_for()
    assert "Even shorter" not in [one["name"] for one in server.ask("GET", "/projects")]
    page.get_by_role("status").get_by_role("button", name="Undo").click()
    page.locator(".home-project", has_text="Even shorter").wait_for()


def test_the_trash_is_emptied_after_a_question(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Full bin")
    server.fill(project, write_photos(tmp_path, ("red", "green"), 3))
    server.ask("POST", f"/projects/{project}/classes/delete", {"name": "red"})
    page.goto("/")
    menu = page.get_by_role("button", name="Actions for Full bin")
    menu.click()
    page.get_by_role("menuitem", name=re.compile("^Empty the trash… .3 files")).click()
    dialog(page).get_by_text("This cannot be taken back.").wait_for()
    assert server.ask("GET", f"/projects/{project}/trash")["files"] == 3
    dialog(page).get_by_role("button", name="Empty it").click()
    page.get_by_text("The trash is empty;").wait_for()
    assert server.ask("GET", f"/projects/{project}/trash") == {"files": 0, "bytes": 0}
    assert server.ask("GET", f"/projects/{project}")["undo"] is None
    menu.click()
    assert page.get_by_role("menuitem", name="The trash is empty").is_disabled()


def test_sounds_to_look_around_with_need_no_network(server: Server, page: Any) -> None:
    page.goto("/")
    page.get_by_role("button", name="Generated sounds").click()
    page.wait_for_url("**/collect")
    page.locator(".class-strip img").first.wait_for()
    project = page.url.split("/p/")[1].split("/")[0]
    assert len(server.classes(project)) >= 2 and min(server.classes(project).values()) >= 5


# -- import ----------------------------------------------------------------------------------------------------------------


def test_an_import_shows_what_would_happen_before_it_does(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Import")
    folder = write_photos(tmp_path / "photos", ("red", "green"), 6)
    (folder / "red" / "notes.docx").write_bytes(b"no picture at all")
    (folder / "red" / "again.png").write_bytes((folder / "red" / "00.png").read_bytes())
    collect(page, project)
    page.locator("[data-chooser=folder]").first.set_input_files(folder)
    preview = dialog(page)
    preview.get_by_role("heading", name="What would be added").wait_for()
    assert server.classes(project) == {}
    assert "12" in preview.get_by_role("button", name="Add ").inner_text()
    preview.get_by_text("1 file cannot be used").click()
    preview.get_by_text("notes.docx").wait_for()
    preview.get_by_text("1 is twice in what you brought").wait_for()
    preview.get_by_label("Class for green").fill("leaf")
    preview.get_by_role("button", name="Add 12 samples").click()
    page.locator(".class-card", has_text="leaf").wait_for()
    assert server.classes(project) == {"red": 6, "leaf": 6}
    page.get_by_role("button", name="Undo", exact=True).click()  # in the message
    assert until(lambda: sum(server.classes(project).values()) == 0)
    page.get_by_role("button", name=re.compile("^Redo: ")).wait_for()  # the page knows as well
    page.keyboard.press("Control+Shift+Z")
    assert until(lambda: server.classes(project) == {"red": 6, "leaf": 6})


DROP = """([target, files]) => {
    const transfer = new DataTransfer();
    for (const [name, bytes] of files) transfer.items.add(new File([Uint8Array.from(bytes)], name));
    const at = document.querySelector(target);
    for (const kind of ["dragenter", "dragover", "drop"])
        at.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
}"""


def test_files_dropped_on_a_class_go_into_it(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Drop")
    for name in ("left", "right"):
        server.ask("POST", f"/projects/{project}/classes", {"name": name})
    folder = write_photos(tmp_path / "photos", ("any",), 3) / "any"
    files = [[path.name, list(path.read_bytes())] for path in sorted(folder.iterdir())]
    collect(page, project)
    page.evaluate(DROP, ['[data-class="right"]', files])
    dialog(page).get_by_role("button", name="Add 3 samples").click()
    assert until(lambda: server.classes(project) == {"left": 0, "right": 3})


def test_an_import_goes_on_after_a_reload(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Reload")
    folder = write_photos(tmp_path / "photos", ("one", "two"), 4)
    collect(page, project)
    page.locator("[data-chooser=folder]").first.set_input_files(folder)
    dialog(page).get_by_role("heading", name="What would be added").wait_for()
    page.reload()
    page.get_by_text("An import waits: 8 files are here").wait_for()
    page.get_by_role("button", name="Look at it").click()
    dialog(page).get_by_role("button", name="Add 8 samples").click()
    assert until(lambda: server.classes(project) == {"one": 4, "two": 4})


def test_a_table_says_the_classes(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Table")
    folder = write_photos(tmp_path / "photos", ("all",), 4)
    names = sorted(path.name for path in (folder / "all").iterdir())
    rows = "\n".join(f"all/{name};{n};{'cat' if n % 2 else 'dog'}" for n, name in enumerate(names))
    (folder / "list.csv").write_text(f"file;label;kind\n{rows}\n", encoding="utf-8")
    collect(page, project)
    page.locator("[data-chooser=folder]").first.set_input_files(folder)
    preview = dialog(page)
    preview.get_by_text("list.csv", exact=False).first.click()
    preview.get_by_text("4 rows have their file here").wait_for()
    preview.get_by_label("Column with classes").select_option("kind")
    preview.get_by_label("Class for dog").fill("hound")
    preview.get_by_role("button", name="Add 4 samples").click()
    assert until(lambda: server.classes(project) == {"hound": 2, "cat": 2})


def test_parts_of_a_data_set_stay_apart_and_system_files_are_nobody_s_fault(
    server: Server, page: Any, tmp_path: Path
) -> None:
    project = server.project("Parts")
    folder = tmp_path / "set"
    for number, part in enumerate(("train", "test")):
        write_photos(folder / part, ("red", "green"), 6 - 3 * number, seed=number)
        (folder / part / "red" / ".DS_Store").write_bytes(b"")
        (folder / part / "red" / "Thumbs.db").write_bytes(b"")
    collect(page, project)
    page.locator("[data-chooser=folder]").first.set_input_files(folder)
    preview = dialog(page)
    assert preview.get_by_label("6 of them are kept for testing").is_checked()
    assert preview.get_by_text("cannot be used").count() == 0 and preview.get_by_text("Thumbs").count() == 0
    preview.get_by_role("button", name="Add 18 samples").click()
    page.get_by_text("6 kept for testing").wait_for()
    assert page.locator(".class-card", has_text="3 for testing").count() == 2
    assert sum(s["split"] == "test" for s in server.samples(project)) == 6


def test_files_of_another_class_are_left_or_moved(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Elsewhere")
    server.fill(project, write_photos(tmp_path / "first", ("red", "green"), 4))
    (tmp_path / "again").mkdir()
    (tmp_path / "first" / "red").rename(tmp_path / "again" / "green")
    (tmp_path / "first" / "green").rename(tmp_path / "again" / "ruby")
    collect(page, project)
    page.locator("[data-chooser=folder]").last.set_input_files(tmp_path / "again")
    preview = dialog(page)
    preview.get_by_text("8 of these files are here already, in another class.").first.wait_for()
    assert preview.get_by_role("button", name="Add 0 samples").is_disabled()
    preview.get_by_text("Move these 8 to their new class").click()
    preview.get_by_role("button", name="Move 8 samples").click()
    page.get_by_text("8 moved to another class").wait_for()
    assert server.classes(project) == {"red": 0, "green": 4, "ruby": 4}
    page.get_by_role("button", name="Undo", exact=True).click()
    assert until(lambda: server.classes(project) == {"red": 4, "green": 4})


def test_a_dialog_closed_without_a_word_keeps_what_was_sent(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Closed")
    collect(page, project)
    page.locator("[data-chooser=folder]").first.set_input_files(write_photos(tmp_path / "photos", ("one", "two"), 2))
    dialog(page).get_by_role("heading", name="What would be added").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("An import waits: 4 files are here").wait_for()
    page.get_by_role("button", name="Look at it").click()
    dialog(page).get_by_role("button", name="Cancel").click()
    page.get_by_text("An import waits").wait_for(state="detached")
    assert server.classes(project) == {}


# -- the browser's Back ----------------------------------------------------------------------------------------------------


def test_back_closes_what_is_open_before_it_leaves(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Back")
    server.fill(project, write_photos(tmp_path, ("red", "green"), 3))
    page.goto("/")
    page.locator(".home-project", has_text="Back").get_by_role("link").click()
    page.locator(".class-strip img").first.wait_for()

    def closed() -> bool:
        return until(lambda: page.locator("dialog[open]").count() == 0)

    def opened() -> None:
        page.get_by_role("button", name="Actions for the class red").click()
        page.get_by_role("menuitem", name="Merge into another").click()
        dialog(page).get_by_label("Into").wait_for()
        page.wait_for_timeout(100)

    for _ in range(2):  # Back, and closing in another way, which takes the entry away as well
        opened()
        page.go_back()
        assert closed() and page.url.endswith("/collect")
        opened()
        dialog(page).get_by_role("button", name="Cancel").click()
        assert closed()
        page.wait_for_timeout(100)
    page.go_back()
    page.get_by_role("heading", name="Projects").wait_for()
    page.go_forward()
    page.locator(".class-strip img").first.wait_for()


def test_back_finds_the_page_before_after_a_reload(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Reloaded")
    server.fill(project, write_photos(tmp_path, ("red", "green"), 3))
    page.goto(f"/p/{project}/check")
    page.goto(f"/p/{project}/collect?class=red")
    page.locator("[role=option] img").first.click()
    dialog(page).get_by_role("button", name="Next sample").wait_for()
    page.wait_for_timeout(100)
    page.reload()
    page.locator("[role=option] img").first.wait_for()
    page.wait_for_timeout(200)
    page.go_back()
    page.wait_for_url("**/check")
    assert page.locator("dialog[open]").count() == 0


@pytest.mark.slow
def test_back_closes_one_dialog_of_two(server: Server, page: Any, tmp_path: Path) -> None:
    from PIL import Image

    project = server.project("Nested")
    folder = write_photos(tmp_path, ("red", "green"), 6)
    twin = Image.open(folder / "red" / "00.png")
    twin.putpixel((0, 0), (1, 2, 3))
    twin.save(folder / "red" / "twin.png")
    server.fill(project, folder)
    server.ask("POST", f"/projects/{project}/jobs", {"kind": "check"})
    until(lambda: any(f["samples"] for f in server.ask("GET", f"/projects/{project}/findings")["findings"]), 180)
    page.goto(f"/p/{project}/check")
    page.get_by_role("button", name=re.compile("^Show")).first.click()
    dialog(page).locator(".finding-picture").first.click()
    dialog(page).get_by_role("button", name="Next sample").wait_for()
    page.wait_for_timeout(100)
    for left in (1, 0):
        page.go_back()
        page.wait_for_function(f"document.querySelectorAll('dialog[open]').length === {left}")
        page.wait_for_timeout(100)
    assert page.url.endswith("/check")


# -- classes and samples ---------------------------------------------------------------------------------------------------


def test_classes_are_renamed_merged_and_deleted_with_undo(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Classes")
    server.fill(project, write_photos(tmp_path, ("cats", "dogs", "kittens"), 3))
    collect(page, project)
    page.get_by_role("button", name="cats", exact=True).click()
    page.get_by_label("Name of the class").fill("Кошки 🐈 \"'<i>")
    page.keyboard.press("Enter")
    assert until(lambda: "Кошки 🐈 \"'<i>" in server.classes(project))

    page.get_by_role("button", name="Actions for the class kittens").click()
    page.get_by_role("menuitem", name="Merge into another").click()
    dialog(page).get_by_label("Into").select_option("Кошки 🐈 \"'<i>")
    dialog(page).get_by_role("button", name="Merge").click()
    assert until(lambda: server.classes(project) == {"Кошки 🐈 \"'<i>": 6, "dogs": 3})

    page.get_by_role("button", name="Actions for the class dogs").click()
    page.get_by_role("menuitem", name="Delete class").click()
    page.get_by_text("“dogs” and its 3 samples deleted").wait_for()
    assert "dogs" not in server.classes(project)
    page.get_by_role("status").get_by_role("button", name="Undo").last.click()
    assert until(lambda: server.classes(project).get("dogs") == 3)


def test_a_name_that_is_nearly_there_is_asked_about(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Twins")
    server.fill(project, write_photos(tmp_path / "first", ("rooster", "hen"), 2))
    collect(page, project)
    field = page.get_by_label("New class")
    field.fill(" ROOSTER")
    page.get_by_text("There is “rooster” already").wait_for()
    field.press("Enter")
    page.keyboard.press("Enter")  # the focus is on using it
    assert until(lambda: field.input_value() == "")
    assert page.evaluate("document.activeElement.dataset.class") == "rooster"
    assert server.classes(project) == {"rooster": 2, "hen": 2}
    field.fill("Rooster")
    page.get_by_role("button", name="Add “Rooster” all the same").click()
    assert until(lambda: server.classes(project) == {"rooster": 2, "hen": 2, "Rooster": 0})

    page.get_by_role("button", name="hen", exact=True).click()
    page.get_by_label("Name of the class").fill("ROOSTER")
    page.keyboard.press("Enter")
    dialog(page).get_by_role("button", name="Merge").click()
    assert until(lambda: server.classes(project) == {"rooster": 4, "Rooster": 0})

    page.locator("[data-chooser=folder]").last.set_input_files(
        write_photos(tmp_path / "second", ("roosTer",), 3, seed=9)
    )
    dialog(page).get_by_text("There is “rooster” already").wait_for()
    dialog(page).get_by_role("button", name="Use it").click()
    assert dialog(page).get_by_label("Class for roosTer").input_value() == "rooster"
    dialog(page).get_by_role("button", name="Add 3 samples").click()
    assert until(lambda: server.classes(project) == {"rooster": 7, "Rooster": 0})

    field.fill("x" * 201)
    page.get_by_text("A name has at most 200 characters; this one has 201.").wait_for()
    field.press("Enter")
    page.wait_for_timeout(300)
    assert len(server.classes(project)) == 2


def test_an_older_message_takes_nothing_newer_back(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Older")
    server.fill(project, write_photos(tmp_path, ("red", "green"), 3))
    collect(page, project)
    page.get_by_role("button", name="Actions for the class red").click()
    page.get_by_role("menuitem", name="Delete class").click()
    page.get_by_text("“red” and its 3 samples deleted").wait_for()
    server.ask("POST", f"/projects/{project}/classes", {"name": "meanwhile"})  # in another window
    page.get_by_role("status").get_by_role("button", name="Undo").click()
    page.get_by_text("Something else was changed since").wait_for()
    assert server.classes(project) == {"green": 3, "meanwhile": 0}
    page.get_by_role("button", name="Undo: add the class “meanwhile”").click()
    page.get_by_role("button", name="Undo: delete the class “red”").click()
    assert until(lambda: server.classes(project) == {"red": 3, "green": 3})


def test_samples_are_chosen_and_moved_by_keyboard_alone(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Keys")
    server.fill(project, write_photos(tmp_path, ("from", "to"), 8))
    page.goto(f"/p/{project}/collect?class=from")
    grid = page.get_by_role("listbox")
    grid.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_text("3 selected").wait_for()
    page.get_by_label("Move to…").select_option("to")
    assert until(lambda: server.classes(project) == {"from": 5, "to": 11})
    grid.focus()
    page.keyboard.press("Home")
    page.keyboard.press("Delete")
    assert until(lambda: server.classes(project) == {"from": 4, "to": 11})
    page.get_by_text("1 sample deleted").wait_for()  # the page knows what can be undone
    page.keyboard.press("Control+z")
    assert until(lambda: server.classes(project) == {"from": 5, "to": 11})
    page.get_by_text("Taken back").wait_for()
    assert until(lambda: grid.get_by_role("option").count() == 5)
    page.keyboard.press("Enter")
    dialog(page).get_by_role("button", name="Next sample").wait_for()
    first = dialog(page).get_by_role("heading").inner_text()
    page.keyboard.press("ArrowRight")
    page.get_by_text("2 of 5").wait_for()
    assert dialog(page).get_by_role("heading").inner_text() != first
    page.keyboard.press("Delete")
    assert until(lambda: server.classes(project)["from"] == 4)
    page.get_by_role("button", name="Undo", exact=True).last.click()  # of the message, above the dialog
    assert until(lambda: server.classes(project)["from"] == 5)
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_samples_are_kept_for_a_test_and_what_goes_wrong_is_said(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Uses")
    server.fill(project, write_photos(tmp_path, ("red", "green"), 6))
    page.goto(f"/p/{project}/collect?class=red")
    grid = page.get_by_role("listbox")
    grid.focus()
    assert page.get_by_role("combobox", name="Used for").count() == 0, "there is nothing to filter by yet"
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_label("Use for…").select_option("The final test only")
    page.get_by_text("2 samples are kept for the final test").wait_for()
    assert [s["split"] for s in server.samples(project) if s["label"] == "red"] == ["test", "test", "", "", "", ""]
    assert until(lambda: grid.get_by_text("final test only").count() == 2)
    page.get_by_role("combobox", name="Used for").select_option("The final test only")
    assert until(lambda: grid.get_by_role("option").count() == 2)
    page.get_by_role("combobox", name="Used for").select_option("Comparing models only")
    page.get_by_text("No sample is used for that").wait_for()
    page.get_by_role("button", name="Show all").click()
    assert until(lambda: grid.get_by_role("option").count() == 6)

    take = [s["id"] for s in server.samples(project) if s["label"] == "red"][1:3]
    server.ask("POST", f"/projects/{project}/samples/group", {"ids": take, "group": "monday"})
    page.get_by_text("1 take is used partly for learning, partly for a test (“monday”)").wait_for()
    grid.focus()
    page.keyboard.press("Control+a")
    page.get_by_label("Use for…").select_option("Comparing models only")
    page.get_by_text("“red” has nothing to learn from").wait_for()
    assert until(lambda: page.get_by_text("partly for learning").count() == 0)
    page.get_by_role("link", name="Classes").click()
    red = page.locator(".class-card", has_text="red")
    red.get_by_text("6 for testing").wait_for()
    red.get_by_text("nothing to learn from").wait_for()
    page.get_by_role("button", name="Undo: what 6 samples are used for").click()
    red.get_by_text("2 for testing").wait_for()
    assert [s["split"] for s in server.samples(project)].count("validation") == 0


# Of the tiles that fit into the window: how many there are, have a picture, or the few pixels of theirs until it comes.
TILES = """() => {
    const frame = document.querySelector('[role=listbox]').getBoundingClientRect();
    const tiles = [...document.querySelectorAll('[role=option]')].filter((tile) => {
        const at = tile.getBoundingClientRect();
        return at.bottom > frame.top + 10 && at.top < Math.min(frame.bottom, innerHeight) - 10;
    });
    const pictures = tiles.map((tile) => tile.querySelector('img'));
    const seen = (img) => img?.complete && img.naturalWidth > 0;
    const size = tiles[0]?.offsetHeight + 8;
    return {
        fit: Math.floor((Math.min(frame.bottom, innerHeight) - frame.top) / size) * Math.floor((frame.width - 8) / size),
        seen: pictures.filter(seen).length,
        blank: pictures.filter((img) => !seen(img) && !img?.style.backgroundImage).length,
        tiles: tiles.length,
    };
}"""


@pytest.mark.slow
def test_thousands_scroll_without_blank_tiles(server: Server, page: Any, tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "many").mkdir()
    for number in range(1500):
        pixels = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
        Image.fromarray(pixels).save(tmp_path / "many" / f"{number:04d}.png")
    project = server.project("Many")
    server.fill(project, tmp_path)
    assert until(lambda: all(sample["glimpse"] for sample in server.samples(project)))
    one = server.samples(project)[7]
    glimpse = np.frombuffer(base64.b64decode(one["glimpse"]), np.uint8).reshape(4, 4, 3)[:, :, ::-1].astype(int)
    drawn = np.asarray(Image.open(tmp_path / "many" / one["name"]).resize((4, 4), Image.Resampling.BOX), int)
    assert abs(glimpse - drawn).mean() < 10  # it is that picture, small

    page.goto(f"/p/{project}/collect?class=many")
    page.locator(".class-view-head").get_by_text("1,500 samples").wait_for()
    assert until(lambda: (found := page.evaluate(TILES))["seen"] == found["tiles"] >= found["fit"] > 10)
    at = page.locator(f'[aria-label="{one["name"]}"] img')
    assert one["glimpse"] in at.evaluate("img => img.style.backgroundImage")
    page.get_by_role("listbox").hover()
    for _ in range(10):
        page.mouse.wheel(0, 1500)
        page.wait_for_timeout(150)
        found = page.evaluate(TILES)
        assert found["blank"] == 0 and found["tiles"] >= found["fit"], found
    page.get_by_role("listbox").focus()
    page.keyboard.press("End")
    page.locator('[aria-posinset="1500"] img').wait_for()
    assert until(lambda: (found := page.evaluate(TILES))["seen"] == found["tiles"] >= found["fit"])
    assert page.locator("[role=option]").count() < 500  # only what is near the window exists


def test_a_sound_is_seen_and_played_from_where_one_clicks(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Sounds")
    server.fill(project, write_sounds(tmp_path, ("low", "high"), 3))
    page.goto(f"/p/{project}/collect?class=low")
    page.locator("[role=option] img").first.click()
    page.locator(".sound-view-spectrogram img").wait_for()
    assert page.get_by_text("4 kHz").count() == 1  # the frequency axis
    position = page.get_by_label("Position in the sound")
    assert float(position.input_value()) == 0  # nothing plays by itself
    box = page.locator(".sound-view-layers").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 100)
    assert float(position.input_value()) == pytest.approx(0.25, abs=0.01)
    page.get_by_role("button", name="Play").click()
    assert until(lambda: float(position.input_value()) == pytest.approx(0.5, abs=0.01))
    page.get_by_role("button", name="Play").wait_for()  # it is over


# -- recording ---------------------------------------------------------------------------------------------------------------


def hold(page: Any, milliseconds: int) -> None:
    page.locator(".hold-button").hover()
    page.mouse.down()
    page.wait_for_timeout(milliseconds)
    page.mouse.up()


def test_the_microphone_records_wav_at_its_own_rate(server: Server, page: Any) -> None:
    project = server.project("Microphone")
    server.ask("POST", f"/projects/{project}/classes", {"name": "beep"})
    collect(page, project)
    page.get_by_role("button", name="Microphone").click()
    dialog(page).get_by_label("Microphone", exact=True).wait_for()
    dialog(page).get_by_text("the microphone hears something").wait_for()  # before the first take
    dialog(page).get_by_label("Length of a clip").select_option("0.5")
    hold(page, 1800)
    page.get_by_text(re.compile("^[1-9] recorded")).wait_for()
    page.locator(".hold-button").click()  # one click starts, another stops
    page.wait_for_timeout(1300)
    page.locator(".hold-button").click()
    samples = until(
        lambda: len(takes := server.samples(project)) > 1 and len({s["group"] for s in takes}) == 2 and takes
    )
    rate_hz = page.evaluate("new AudioContext().sampleRate")
    for sample in samples:
        assert sample["label"] == "beep" and sample["rate_hz"] == rate_hz and sample["seconds"] <= 0.5
        assert sample["name"].endswith(".wav")


def test_the_camera_records_while_it_is_held(server: Server, page: Any) -> None:
    project = server.project("Camera")
    server.ask("POST", f"/projects/{project}/classes", {"name": "view"})
    collect(page, project)
    page.get_by_role("button", name="Camera").click()
    page.locator(".hold-button").wait_for()
    page.locator(".hold-button").focus()
    page.keyboard.down("Space")  # holds as a pointer does
    page.wait_for_timeout(1000)
    page.keyboard.up("Space")
    samples = until(lambda: len(found := server.samples(project)) >= 3 and found)
    assert len({sample["group"] for sample in samples}) == 1 and samples[0]["group"]
    dialog(page).get_by_role("button", name="Done").click()
    page.locator(".class-strip img").nth(2).wait_for()


REFUSALS = {
    "NotAllowedError": "allow the device",
    "NotFoundError": "Plug one in",
    "NotReadableError": "Another program",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_device_says_why_and_offers_upload(server: Server, page: Any, name: str) -> None:
    project = server.project("Refused")
    server.ask("POST", f"/projects/{project}/classes", {"name": "a"})
    page.add_init_script(
        f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{name}'))"
    )
    collect(page, project)
    page.get_by_role("button", name="Microphone").click()
    dialog(page).get_by_text(REFUSALS[name]).wait_for()
    assert dialog(page).get_by_role("button", name="Choose files").is_visible()
    assert dialog(page).get_by_role("button", name="Try again").is_visible()


# -- check -------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_doubtful_samples_are_reviewed_with_one_key_each(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Review")
    server.fill(project, write_photos(tmp_path, ("red", "green"), 14))
    wrong = [sample["id"] for sample in server.samples(project) if sample["label"] == "red"][:2]
    server.ask("POST", f"/projects/{project}/samples/move", {"ids": wrong, "label": "green"})
    page.goto(f"/p/{project}/check")
    page.get_by_role("button", name="Start the check").click()
    page.get_by_role("button", name=re.compile("^Review")).wait_for(timeout=180_000)
    page.get_by_role("button", name=re.compile("^Review")).click()
    page.get_by_role("heading", name="Is this “green”?").wait_for()
    page.keyboard.press("ArrowDown")  # no: it is the other
    page.get_by_text(re.compile("^1 of . · 1 changed")).wait_for()
    assert until(lambda: server.classes(project) == {"red": 13, "green": 15})
    page.keyboard.press("ArrowLeft")  # back
    page.get_by_text(re.compile("^0 of . · 0 changed")).wait_for()
    assert until(lambda: server.classes(project) == {"red": 12, "green": 16})
    page.keyboard.press(str(list(server.classes(project)).index("red") + 1))  # straight into a class
    page.get_by_text(re.compile("^1 of . · 1 changed")).wait_for()
    assert until(lambda: server.classes(project) == {"red": 13, "green": 15})
    page.keyboard.press("ArrowRight")  # skip
    page.get_by_text(re.compile("^2 of")).wait_for()
    page.keyboard.press("ArrowLeft")
    page.get_by_text(re.compile("^1 of")).wait_for()
    page.get_by_text("Keys", exact=True).click()
    page.get_by_label("One key for each answer").uncheck()
    page.get_by_role("heading", name="Review").click()
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(500)
    assert server.classes(project) == {"red": 13, "green": 15}  # switched off is off
    page.keyboard.press("Escape")

    # Nobody follows a model's word about all labels in one go.
    assert page.get_by_role("button", name=re.compile("Show")).count() > 0
    assert page.get_by_role("button", name="Move all to the suggestions").count() == 0


# -- everywhere --------------------------------------------------------------------------------------------------------------


def test_language_and_theme_stay_after_a_reload(server: Server, page: Any) -> None:
    project = server.project("Language")
    collect(page, project)
    page.get_by_role("button", name="Language").click()
    page.get_by_role("menuitemradio", name="Русский").click()
    page.get_by_role("heading", name="Сбор").wait_for()
    page.get_by_role("button", name="Оформление").click()
    page.get_by_role("menuitemradio", name="Тёмное").click()
    page.reload()
    page.get_by_role("heading", name="Сбор").wait_for()
    assert page.evaluate("document.documentElement.lang") == "ru"
    assert page.evaluate("getComputedStyle(document.body.parentElement).colorScheme") == "dark"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_serious_fault_of_accessibility(
    server: Server, open_page: Callable[..., Any], tmp_path: Path, dark: bool
) -> None:
    project = server.project("Accessible")
    server.fill(project, write_photos(tmp_path, ("red", "green"), 6))
    page = open_page(dark=dark)
    faults: dict[str, list[str]] = {}
    for name, path, ready in (
        ("home", "/", ".home-project"),
        ("collect", f"/p/{project}/collect", ".class-strip img"),
        ("class", f"/p/{project}/collect?class=red", "[role=option] img"),
        ("check", f"/p/{project}/check", "h1"),
        ("map", f"/p/{project}/check/map", "h1"),
    ):
        page.goto(path)
        page.locator(ready).first.wait_for()
        faults[name] = faults_of(page)
        if name == "class":
            page.locator("[role=option]").first.click()
            page.locator("dialog[open] img").wait_for()
            faults["sample"] = faults_of(page)
    assert not {name: found for name, found in faults.items() if found}


def test_no_serious_fault_in_dialogs(server: Server, page: Any, tmp_path: Path) -> None:
    project = server.project("Dialogs")
    server.ask("POST", f"/projects/{project}/classes", {"name": "one"})
    collect(page, project)
    faults: dict[str, list[str]] = {}
    for device in ("Camera", "Microphone"):
        page.get_by_role("button", name=device).click()
        page.locator(".hold-button").wait_for()
        faults[device] = faults_of(page)
        dialog(page).get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Jobs and memory").click()
    dialog(page).get_by_text("Nothing is running.").wait_for()
    faults["machine"] = faults_of(page)
    page.keyboard.press("Escape")
    page.locator("[data-chooser=folder]").first.set_input_files(write_photos(tmp_path / "photos", ("one", "two"), 2))
    dialog(page).get_by_role("heading", name="What would be added").wait_for()
    faults["import"] = faults_of(page)
    assert not {name: found for name, found in faults.items() if found}


@pytest.mark.parametrize("locale", ["en-US", "ru-RU"])
def test_nothing_sticks_out_of_a_phone(
    server: Server, open_page: Callable[..., Any], tmp_path: Path, locale: str
) -> None:
    project = server.project("A long name of a project that no phone has room for")
    server.fill(project, write_photos(tmp_path, ("red", "a-rather-long-name-of-a-class-without-any-space"), 3))
    page = open_page(width=360, height=740, locale=locale)
    for path in ("/", f"/p/{project}/collect", f"/p/{project}/collect?all", f"/p/{project}/check"):
        page.goto(path)
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
