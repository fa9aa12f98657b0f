"""Try and Export as a user meets them: a real server, a real Chromium with a fake camera and microphone."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import handful
from handful.exporting import exporters
from tests.browser.conftest import WAIT_MS, Server, faults_of, until
from tests.conftest import write_photos, write_sounds
from tests.test_export import net_run  # noqa: F401

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
expect = sync_api.expect
expect.set_options(timeout=WAIT_MS)

pytestmark = pytest.mark.web
JOB_MS = 180_000  # for a worker on a machine with other things to do


def trained(server: Server, folder: Path, name: str) -> str:
    """A project with one run."""
    project = server.project(name)
    server.fill(project, folder)
    wish = {"kind": "train", "settings": {"weights": "none", "repeats": 1}}
    job = server.ask("POST", f"/projects/{project}/jobs", wish)["id"]
    ended = until(lambda: found if (found := server.ask("GET", f"/jobs/{job}"))["ended"] else None, JOB_MS / 1000)
    assert ended["state"] == "done", ended["error"]
    return project


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("try_photos") / "data", per_class=8)


@pytest.fixture(scope="module")
def picture_project(server: Server, pictures: Path) -> str:
    return trained(server, pictures, "Colours to try")


@pytest.fixture(scope="module")
def sound_project(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained(server, write_sounds(tmp_path_factory.mktemp("try_sounds") / "data", per_class=8), "Tones to try")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Pictures that no project has."""
    return write_photos(tmp_path / "new", per_class=2, seed=77)


def live(page: Any, name: str) -> None:
    page.locator(".try-input .segments label").filter(has_text=name).click()


# -- try --------------------------------------------------------------------------------------------------------------------------


def test_without_a_model_it_says_what_to_do(page: Any, server: Server) -> None:
    project = server.project("Nothing trained")
    page.goto(f"/p/{project}/try")
    page.get_by_role("link", name="Go to training").click()
    expect(page.get_by_role("heading", name="Train", exact=True)).to_be_visible()
    page.goto(f"/p/{project}/export")
    expect(page.get_by_text("No model yet")).to_be_visible()


def test_files_are_answered_as_the_server_answers(page: Any, server: Server, picture_project: str, new: Path) -> None:
    page.goto(f"/p/{picture_project}/try")
    letter = new / "letter.png"
    letter.write_text("not a picture", encoding="utf-8")
    files = [new / "red" / "00.png", letter, new / "green" / "01.png"]
    page.get_by_label("Choose pictures").set_input_files(files)
    expect(page.locator("tr[data-file]")).to_have_count(3)
    run = server.ask("GET", f"/projects/{picture_project}/runs")[0]["id"]
    for file in (files[0], files[2]):
        said = server.ask("POST", f"/projects/{picture_project}/runs/{run}/predict", file.read_bytes())
        row = page.locator(f'tr[data-file="{file.name}"]')
        expect(row).to_have_attribute("data-label", said["label"])
        assert f"{100 * said['confidence']:.1f}".removesuffix(".0") in row.inner_text()
    refused = page.locator('tr[data-file="letter.png"]')
    expect(refused).to_have_attribute("data-label", "")
    expect(refused).to_contain_text("This file is no picture that can be opened; JPEG and PNG always work.")
    assert faults_of(page) == []


def test_every_picture_is_seen_and_what_is_none_leaves_no_broken_box(
    page: Any, picture_project: str, new: Path, tmp_path: Path
) -> None:
    """Browsers show no TIFF: the server draws it."""
    from PIL import Image

    scan, letter = tmp_path / "scan.tiff", tmp_path / "letter.png"
    Image.open(new / "red" / "00.png").save(scan)
    letter.write_text("not a picture", encoding="utf-8")
    page.goto(f"/p/{picture_project}/try")
    chooser = page.get_by_label("Choose pictures")
    chooser.focus()
    assert page.locator(".try-drop").evaluate("box => getComputedStyle(box).outlineStyle") == "solid"
    assert chooser.evaluate("input => getComputedStyle(input).opacity") == "0", (
        "the box shows the focus, not the control"
    )
    chooser.set_input_files(scan)
    shown = page.get_by_role("img", name="scan.tiff")
    expect(shown).to_be_visible()
    until(lambda: shown.evaluate("img => img.complete && img.naturalWidth > 0"))
    page.get_by_role("button", name="Keep as training data").click()
    kept = page.get_by_role("dialog").get_by_role("img")
    until(lambda: kept.evaluate("img => img.complete && img.naturalWidth > 0"))
    page.keyboard.press("Escape")
    chooser.set_input_files(letter)
    expect(page.get_by_text("This file is no picture that can be opened").first).to_be_visible()
    expect(page.locator(".try-input img")).to_have_count(0)
    assert faults_of(page) == []


def test_a_live_picture_becomes_training_data_and_can_be_taken_back(
    page: Any, server: Server, picture_project: str
) -> None:
    before = server.classes(picture_project)
    page.goto(f"/p/{picture_project}/try")
    live(page, "Camera")
    expect(page.locator(".verdict")).to_be_visible()
    page.get_by_role("button", name="Keep as training data").click()
    dialog = page.get_by_role("dialog")
    assert faults_of(page) == []
    dialog.get_by_role("button", name="green", exact=True).click()
    expect(page.get_by_text("Added to green")).to_be_visible()
    assert server.classes(picture_project) == before | {"green": before["green"] + 1}
    takes = {sample["group"] for sample in server.samples(picture_project) if sample["label"] == "green"}
    assert len(takes - {""}) == 1, "what was seen live is a take"
    page.locator(".toasts").get_by_role("button", name="Undo").click()
    until(lambda: server.classes(picture_project) == before)


def test_a_file_becomes_a_sample_of_a_new_class_under_its_own_name(
    page: Any, server: Server, picture_project: str, new: Path
) -> None:
    before = server.classes(picture_project)
    page.goto(f"/p/{picture_project}/try")
    file = (new / "red" / "01.png").rename(new / "never seen.png")
    page.get_by_label("Choose pictures").set_input_files(file)
    page.get_by_role("button", name="Keep as training data").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Another class").fill("<b>neither</b>")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Added to <b>neither</b>")).to_be_visible()
    assert server.classes(picture_project) == before | {"<b>neither</b>": 1}
    assert "never seen.png" in {sample["name"] for sample in server.samples(picture_project)}
    page.get_by_role("button", name="Keep as training data").click()
    page.get_by_role("dialog").get_by_role("button", name="red", exact=True).click()
    expect(page.get_by_text("It is in the project already")).to_be_visible()
    server.ask("POST", f"/projects/{picture_project}/undo")


def test_live_questions_never_pile_up(page: Any, sound_project: str) -> None:
    open_now, most, answered = set(), 0, 0

    def asked(request: Any) -> None:
        nonlocal most
        if request.url.endswith("/predict"):
            open_now.add(request)
            most = max(most, len(open_now))

    def over(request: Any) -> None:
        nonlocal answered
        answered += request in open_now
        open_now.discard(request)

    page.on("request", asked)
    page.on("requestfinished", over)
    page.on("requestfailed", over)
    page.goto(f"/p/{sound_project}/try")
    live(page, "Microphone")
    expect(page.locator(".verdict")).to_be_visible()
    assert until(lambda: page.wait_for_timeout(100) or answered >= 4)
    assert most == 1, "one question at a time"
    assert page.locator(".verdict").get_attribute("data-label") in ("low", "high")
    assert faults_of(page) == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [("NotAllowedError", "allow"), ("NotFoundError", "No such device"), ("NotReadableError", "Another program")],
)
def test_a_refused_device_is_explained(page: Any, picture_project: str, fault: str, words: str) -> None:
    page.add_init_script(
        f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', {json.dumps(fault)}))"
    )
    page.goto(f"/p/{picture_project}/try")
    live(page, "Camera")
    notice = page.locator(".notice")
    expect(notice).to_contain_text(words)
    expect(notice.get_by_role("button", name="Try again")).to_be_visible()
    assert faults_of(page) == []


# -- export -----------------------------------------------------------------------------------------------------------------------------


def test_a_bundle_is_exported_proven_downloaded_and_verified(page: Any, picture_project: str, tmp_path: Path) -> None:
    page.goto(f"/p/{picture_project}/export")
    card = page.locator('[data-format="bundle"]')
    card.get_by_role("button", name="Export: Bundle with code").click()
    expect(card.get_by_text("test files agree")).to_be_visible(timeout=JOB_MS)
    for fact in ("Size", "Largest difference"):
        expect(card.get_by_text(fact)).to_be_visible()
    with page.expect_download() as waiting:
        card.get_by_role("link", name=re.compile(r"Download [\w-]+-bundle\.zip")).click()
    saved = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(saved)
    proof = handful.verify(saved)
    assert proof["ok"] and proof["agree"] == proof["n"] > 1, proof["why"]
    expect(card.get_by_text(f"{proof['agree']} of {proof['n']} test files agree")).to_be_visible()
    assert "predict.py" in card.locator("pre").first.inner_text()
    card.get_by_text("Verify it").click()
    expect(card.get_by_text(f"handful verify {saved.name}")).to_be_visible()
    assert faults_of(page) == []


def test_a_snippet_is_copied(page: Any, picture_project: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/p/{picture_project}/export")
    card = page.locator('[data-format="onnx"]')
    card.get_by_role("button", name="Export: ONNX", exact=True).click()
    expect(card.get_by_text("test files agree")).to_be_visible(timeout=JOB_MS)
    expect(card.get_by_text("ms a file")).to_be_visible()
    card.get_by_role("button", name="Copy").first.click()
    expect(card.locator("[role=status]", has_text="Copied")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == card.locator("pre").first.inner_text()


def test_a_refused_format_says_why_and_others_where(page: Any, picture_project: str) -> None:
    page.goto(f"/p/{picture_project}/export")
    card = page.locator('[data-format="int8"]')
    card.get_by_role("button", name="Export: ONNX, 8 bits", exact=True).click()
    expect(card.get_by_role("alert")).to_contain_text("INT8", timeout=JOB_MS)
    row = page.locator(".export-rest")
    expect(row.locator("[data-format]").first).to_be_hidden()
    page.get_by_text(re.compile(r"^\d+ more formats")).click()
    expect(page.get_by_role("heading", name="Not on this machine")).to_be_visible()
    for name in (name for name in exporters.names() if hasattr(exporters.get(name), "unavailable")):
        row = page.locator(f'.export-elsewhere-list [data-format="{name}"]')
        expect(row).to_contain_text(exporters.get(name).unavailable)
        expect(row.locator("code")).to_have_text(exporters.get(name).how)
    assert faults_of(page) == []


@pytest.mark.slow
def test_int8_tells_what_it_costs(page: Any, server: Server, net_run: Any) -> None:  # noqa: F811
    """A run from elsewhere, copied into the project's folder: a network that there is something of to round."""
    project = server.project("A network to round")
    folder = Path(server.ask("GET", f"/projects/{project}")["folder"])
    shutil.copytree(net_run.path, folder / "runs" / "net")
    page.goto(f"/p/{project}/export/net")
    card = page.locator('[data-format="int8"]')
    card.get_by_role("button", name="Export: ONNX, 8 bits", exact=True).click()
    expect(card.get_by_text("points")).to_be_visible(timeout=JOB_MS)
    known = server.ask("GET", f"/projects/{project}/runs/net/exports")[0]
    words = card.get_by_text("points").inner_text()
    assert f"{100 * known['accuracy_change']:.1f}".removesuffix(".0").lstrip("-") in words, words


def test_the_whole_project_comes_as_one_file(page: Any, picture_project: str, tmp_path: Path) -> None:
    page.goto(f"/p/{picture_project}/export")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download the project").click()
    saved = tmp_path / "project.zip"
    waiting.value.save_as(saved)
    with zipfile.ZipFile(saved) as packed:
        names = packed.namelist()
    assert [name for name in names if name.endswith("labels.csv")] and [
        name for name in names if "/runs/" in f"/{name}"
    ]


# -- every size, theme and language ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["try", "export"])
def test_phones_themes_and_languages(open_page: Callable[..., Any], picture_project: str, new: Path, step: str) -> None:
    for locale, dark in (("en-US", False), ("ru-RU", True)):
        page = open_page(width=360, height=740, locale=locale, dark=dark)
        page.goto(f"/p/{picture_project}/{step}")
        if step == "try":
            page.locator(".try-drop input").set_input_files([new / "red" / "00.png", new / "green" / "00.png"])
            expect(page.locator("tr[data-file]")).to_have_count(2)
        else:
            expect(page.locator(".export-target").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, (
            f"{step} is wider than the phone in {locale}"
        )
        assert faults_of(page) == []


def test_the_keyboard_is_enough(page: Any, server: Server, picture_project: str) -> None:
    before = server.classes(picture_project)
    page.goto(f"/p/{picture_project}/try")
    page.locator(".try-input .segments input").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".verdict")).to_be_visible()
    page.get_by_role("button", name="Keep as training data").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="red", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Added to red")).to_be_visible()
    assert server.classes(picture_project)["red"] == before["red"] + 1
    server.ask("POST", f"/projects/{picture_project}/undo")
