"""Whole journeys through the studio: from an empty home to a verified model, as a newcomer goes, by clicks and keys only.

Files come in through drops and file inputs, sound through the microphone; the server and the browser are real, and the
server is killed on the way. Nothing is set up behind the pages' back. What the disk holds afterwards is looked at.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import FLAGS, WAIT_MS, Server, faults_of, start, stop
from tests.conftest import write_photos

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
expect = sync_api.expect
expect.set_options(timeout=WAIT_MS)

pytestmark = pytest.mark.web
TRAINED_MS = 240_000  # for a worker that trains on a machine with other things to do
RATE_HZ = 48_000
DROP = """([name, text]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], name));
    for (const kind of ["dragenter", "dragover", "drop"])
        document.querySelector("main").dispatchEvent(
            new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
}"""


@dataclass
class Machine:
    """A home of its own with a studio in it that can be killed and started again at the same address."""

    folder: Path
    server: Server
    state: Any = None  # the cookies of whoever opened the link

    def kill(self) -> None:
        self.server.process.kill()
        self.server.process.communicate()

    def again(self) -> None:
        self.server = start(self.folder, "--port", self.server.base.rpartition(":")[2])

    def jobs(self, kind: str) -> list[dict[str, Any]]:
        """What the disk knows of the jobs of a kind."""
        known = [json.loads(path.read_text(encoding="utf-8")) for path in self.folder.glob("**/jobs/*/job.json")]
        return [job for job in known if job["kind"] == kind]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What a terminal there answers to `handful ...`."""
        environment = os.environ | {"HANDFUL_HOME": str(self.folder), "HANDFUL_OFFLINE": "1"}
        return subprocess.run(
            [sys.executable, "-m", "handful", *words], capture_output=True, text=True, env=environment, timeout=240
        )


@pytest.fixture
def machine(built: Path, tmp_path: Path) -> Iterator[Machine]:
    folder = tmp_path / "home"
    folder.mkdir()
    here = Machine(folder, start(folder))
    yield here
    stop(here.server)


@contextlib.contextmanager
def visiting(machine: Machine, browser: Any, dark: bool = False, **look: Any) -> Iterator[Any]:
    """A page that came through the one-time link, or came back with its cookie. A fault of a script fails the test."""
    faults: list[str] = []
    context = browser.new_context(
        base_url=machine.server.base, storage_state=machine.state, color_scheme="dark" if dark else "light",
        permissions=["microphone"], reduced_motion="reduce", **({"locale": "en-US"} | look),
    )  # fmt: skip
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto("/" if machine.state else machine.server.link)
    page.get_by_role("heading", level=1).wait_for()
    machine.state = context.storage_state()
    yield page
    context.close()
    assert not faults, "\n".join(faults)


def step(page: Any, name: str) -> None:
    page.get_by_role("navigation", name="Steps of the project").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def new_project(page: Any, name: str) -> None:
    expect(page.get_by_role("heading", name="Teach your computer to tell things apart")).to_be_visible()
    page.get_by_label("Name of the project").fill(name)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Collect")).to_be_visible()


def setting(page: Any, name: str, value: str) -> None:
    """A field of the advanced drawer that is open: chosen where it offers, else typed."""
    drawer = page.get_by_role("dialog")
    drawer.get_by_label("Search settings").fill(name)
    wanted = drawer.get_by_label(name, exact=True)
    if wanted.evaluate("element => element.tagName") == "SELECT":
        wanted.select_option(value)
    else:
        wanted.fill(value)


def train(page: Any) -> None:
    button = page.locator("#train-start")
    expect(button).not_to_have_attribute("aria-busy", "true")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    button.dblclick()  # as many do; it is one wish
    expect(page.get_by_role("heading", name="Now")).to_be_visible()


def newest(page: Any) -> Any:
    """The card of the model that came out, once it has."""
    card = page.locator(".train-newest")
    expect(card).to_be_visible(timeout=TRAINED_MS)
    return card


def class_count(page: Any, name: str) -> int:
    words = page.locator(f'[data-class="{name}"] .class-count-long').inner_text()
    return int(words.split()[0])


def export(page: Any, title: str, folder: Path) -> Path:
    """The file that the card of a format gives after its export was proven."""
    card = page.get_by_role("region", name=title, exact=True)
    card.get_by_role("button", name=f"Export: {title}", exact=True).click()
    proof = card.get_by_text(re.compile(r"^\d+ of \d+ test files agree$"))
    expect(proof).to_be_visible(timeout=TRAINED_MS)
    agree, of = re.findall(r"\d+", proof.inner_text())
    assert agree == of
    with page.expect_download() as waiting:
        card.get_by_role("link", name="Download").click()
    saved = folder / str(waiting.value.suggested_filename)
    waiting.value.save_as(saved)
    return saved


# -- pictures ---------------------------------------------------------------------------------------------------------------


def a_zip(folder: Path) -> Path:
    """Two classes, of which one is spelled in two ways and holds three pictures of the other."""
    photos = write_photos(folder / "photos", ("ripe", "raw"), per_class=16)
    for number in range(3):
        (photos / "ripe" / f"{number:02d}.png").rename(photos / "raw" / f"stray-{number}.png")
    (photos / "Raw").mkdir()
    for number in range(11, 16):
        (photos / "raw" / f"{number:02d}.png").rename(photos / "Raw" / f"{number:02d}.png")
    return Path(shutil.make_archive(str(folder / "fruit"), "zip", photos))


def test_pictures_from_an_empty_home_to_a_verified_bundle(machine: Machine, chromium: Any, tmp_path: Path) -> None:
    with visiting(machine, chromium, accept_downloads=True) as page:
        new_project(page, "Fruit")
        collect_pictures(page, a_zip(tmp_path))
        check_and_mend(page)
        train_through_a_crash(page, machine)
        relabel_and_retrain(page)
        compare_both(page)
        try_a_file(page, write_photos(tmp_path / "new", ("ripe", "raw"), per_class=1, seed=7))
        step(page, "Export")
        bundle = export(page, "Bundle with code", tmp_path)
    said = machine.command("verify", str(bundle))
    assert said.returncode == 0 and "OK" in said.stdout, said.stdout + said.stderr


def collect_pictures(page: Any, archive: Path) -> None:
    page.evaluate(DROP, [archive.name, base64.b64encode(archive.read_bytes()).decode()])
    preview = page.get_by_role("dialog")
    expect(preview.get_by_role("heading", name="What would be added")).to_be_visible()
    expect(preview.get_by_text("3 classes found")).to_be_visible()
    assert page.locator(".class-card").count() == 0, "nothing has happened yet"
    preview.get_by_role("button", name="Add 32 samples").click()
    expect(page.locator(".class-card")).to_have_count(3)
    assert [class_count(page, name) for name in ("ripe", "raw", "Raw")] == [13, 14, 5]


def check_and_mend(page: Any) -> None:
    page.get_by_role("link", name="Check the data").click()
    page.get_by_role("button", name="Start the check").click()
    page.get_by_role("button", name="Merge the classes").click(timeout=TRAINED_MS)
    expect(page.get_by_text("Mended: One class, spelled in several ways")).to_be_visible()
    expect(page.get_by_role("button", name="Undo", exact=True)).to_have_count(1)  # of what was done last
    step(page, "Collect")
    expect(page.locator(".class-card")).to_have_count(2)
    assert class_count(page, "raw") == 19
    step(page, "Check")
    page.get_by_role("link", name="Train a model").click()
    expect(page.get_by_role("heading", level=1, name="Train")).to_be_visible()


def train_through_a_crash(page: Any, machine: Machine) -> None:
    """A reload and a killed server in the middle: the training goes on, the page finds back, nothing happens twice."""
    page.get_by_role("button", name="Advanced settings").click()
    setting(page, "Way of training (strategy)", "scratch")
    setting(page, "Passes over the data (epochs)", "14")
    setting(page, "Parts of the test (folds)", "4")
    setting(page, "Repeats of the test", "1")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text("4 settings changed")).to_be_visible()
    train(page)
    page.reload()
    expect(page.get_by_text("running", exact=True)).to_be_visible()
    page.locator(".job-details").evaluate("details => details.open = true")
    log = page.get_by_role("region", name="Log")
    expect(log).to_contain_text("2 classes", timeout=TRAINED_MS)
    (before,) = machine.jobs("train")
    machine.kill()
    expect(page.get_by_text("The studio does not answer. Trying again")).to_be_visible()
    machine.again()
    expect(page.get_by_text("The studio does not answer. Trying again")).to_be_hidden()
    expect(newest(page)).to_contain_text("from nothing")
    (after,) = machine.jobs("train")
    assert before["state"] == "running" and after["state"] == "done", after
    assert after["started"] == before["started"], "it went on rather than began again"
    expect(page.locator(".job")).to_have_count(1)


def relabel_and_retrain(page: Any) -> None:
    page.get_by_role("button", name="Reset all").click()  # now as recommended
    page.locator(".train-newest").get_by_role("link", name="Understand it").click()
    expect(page.locator(".understand-headline-first")).to_contain_text("%")
    cell = page.get_by_role("button", name=re.compile("^true raw, predicted ripe: [1-9]"))
    cell.click()
    dialog = page.get_by_role("dialog")
    tile = dialog.get_by_role("button", name=re.compile("^stray-"))
    tile.first.click()
    expect(dialog.get_by_label("They are really")).to_have_value("ripe")
    dialog.get_by_role("button", name="Relabel").click()
    expect(page.get_by_text("1 sample is now ripe")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("1 label changed since this model was trained.")).to_be_visible()

    page.get_by_role("button", name="Undo: move 1 sample to “ripe”").click()
    expect(page.get_by_text("Taken back")).to_be_visible()
    expect(page.get_by_text("1 label changed since this model was trained.")).to_be_hidden()

    cell.click()
    strays = tile.count()
    for one in range(strays):
        tile.nth(one).click()
    dialog.get_by_role("button", name="Relabel").click()
    expect(page.get_by_text(re.compile(f"^{strays} samples? (is|are) now ripe"))).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Retrain").click()
    page.get_by_role("link", name="Open it").click(timeout=TRAINED_MS)
    expect(page.locator(".understand-headline-first")).to_contain_text("%")


def compare_both(page: Any) -> None:
    step(page, "Compare")
    rows = page.get_by_role("table", name="Models").locator("tbody tr")
    expect(rows).to_have_count(2)
    for method in ("trained from nothing", "quick method"):
        expect(rows.filter(has_text=method)).to_have_count(1)
    expect(rows.filter(has_text="trained from nothing")).to_contain_text("data changed since")
    expect(page.get_by_role("table", name="Where their settings differ")).to_contain_text("strategy")


def try_a_file(page: Any, folder: Path) -> None:
    step(page, "Try")
    for name in ("ripe", "raw"):
        page.get_by_label("Choose pictures").set_input_files(folder / name / "00.png")
        expect(page.locator(".verdict")).to_have_attribute("data-label", name)


# -- sounds -----------------------------------------------------------------------------------------------------------------


def a_voice(path: Path, pitch_hz: float) -> Path:
    """What the fake microphone hears, over and over: a tone that wavers, in a little noise."""
    import soundfile

    rng = np.random.default_rng(int(pitch_hz))
    t = np.arange(8 * RATE_HZ) / RATE_HZ
    wave = 0.3 * np.sin(2 * np.pi * pitch_hz * t + 8 * np.sin(2 * np.pi * t / 4)) + rng.normal(0, 0.02, len(t))
    soundfile.write(path, wave, RATE_HZ, subtype="PCM_16")
    return path


@contextlib.contextmanager
def hearing(chromium: Any, sound: Path) -> Iterator[Any]:
    """A browser whose microphone hears a file."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={sound}"]
    browser = chromium.browser_type.launch(executable_path=path, args=flags)
    yield browser
    browser.close()


def record(page: Any, name: str, takes: int) -> None:
    """A new class, and takes of it by holding the button."""
    page.get_by_label("New class").fill(name)
    page.keyboard.press("Enter")
    page.locator(f'[data-class="{name}"]').get_by_role("button", name="Microphone").click()
    recorder = page.get_by_role("dialog")
    expect(recorder.get_by_text("the microphone hears something")).to_be_visible()
    recorder.get_by_label("Length of a clip").select_option("0.5")
    kept = recorder.locator(".recorder-thumbs li")
    for take in range(takes):
        before = kept.count()
        recorder.get_by_role("button", name="Hold to record").hover()
        page.mouse.down()
        page.wait_for_timeout(1800)
        page.mouse.up()
        expect(kept.nth(before + 2)).to_be_visible()
        assert kept.count() >= 3 * (take + 1), "a long recording is cut into clips"
    recorder.get_by_role("button", name="Done").click()
    expect(page.locator(".page-head")).to_contain_text("take")


def test_sounds_from_the_microphone_to_a_verified_model(machine: Machine, chromium: Any, tmp_path: Path) -> None:
    voices = {"hum": a_voice(tmp_path / "hum.wav", 180), "whistle": a_voice(tmp_path / "whistle.wav", 1500)}
    with hearing(chromium, voices["hum"]) as browser, visiting(machine, browser) as page:
        new_project(page, "Voices")
        record(page, "hum", takes=3)
    with hearing(chromium, voices["whistle"]) as browser, visiting(machine, browser) as page:
        page.get_by_role("link", name="Voices").first.click()
        expect(page.get_by_text("Next: two classes at least")).to_be_visible()
        record(page, "whistle", takes=3)
        expect(page.locator(".page-head")).to_contain_text("6 takes")
        step(page, "Train")
        train(page)
        newest(page).get_by_role("link", name="Understand it").click()
        expect(page.get_by_role("heading", name="Takes and other groups")).to_be_visible()
        takes_stay_together(machine)
        step(page, "Try")
        page.locator(".try-input .segments label", has_text="Microphone").click()
        expect(page.locator(".verdict")).to_have_attribute("data-label", "whistle")
        step(page, "Export")
        saved = export(page, "ONNX", tmp_path)
        card = page.get_by_role("region", name="ONNX", exact=True)
        card.get_by_text("Verify it").click()
        command = card.get_by_text(re.compile("^handful verify")).inner_text()
    assert saved.read_bytes() == Path(shlex.split(command)[2]).read_bytes(), "what was downloaded is what is verified"
    said = machine.command(*shlex.split(command)[1:])
    assert said.returncode == 0 and "OK" in said.stdout, said.stdout + said.stderr


def takes_stay_together(machine: Machine) -> None:
    (rows,) = machine.folder.glob("**/runs/*/out_of_fold.jsonl")
    folds: dict[tuple[str, int], set[int]] = {}
    for row in map(json.loads, rows.read_text(encoding="utf-8").splitlines()):
        folds.setdefault((row["group"], row["repeat"]), set()).add(row["fold"])
    assert len({take for take, _ in folds}) == 6
    assert all(len(where) == 1 for where in folds.values()), "clips of one take are never on both sides of a test"


# -- a telephone, another language, no mouse --------------------------------------------------------------------------------------

RUSSIAN = {
    "collect": "Сбор", "check": "Проверка", "train": "Обучение", "understand": "Разбор", "try": "Проба",
    "export": "Экспорт", "compare": "Сравнение",
}  # fmt: skip
REACHABLE = """() => {
    const wanted = "button, a[href], input, select, textarea, summary, [tabindex='0']";
    const shown = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.disabled
        && !element.closest("[inert], [hidden]") && element.type !== "hidden";
    // One of a group takes the focus; arrow keys walk on from there.
    const walked = (element) => element.closest("[role=tablist], [role=listbox], [role=grid], table")
        ?.querySelector("[data-tabbed]") && element.tabIndex < 0;
    const paired = (element) => element.type === "radio"
        && document.querySelector(`[data-tabbed][name="${CSS.escape(element.name)}"]`);
    const place = document.querySelector("dialog:modal") ?? document;
    return [...place.querySelectorAll(wanted)]
        .filter((element) => shown(element) && !("tabbed" in element.dataset) && !walked(element) && !paired(element))
        .map((element) => element.outerHTML.slice(0, 160));
}"""
TABBED = """() => {
    const element = document.activeElement;
    if (element === document.body) return true; // between the last one and the first
    if ("tabbed" in element.dataset) return false;
    element.dataset.tabbed = "";
    return true;
}"""


def not_reached(page: Any) -> list[str]:
    """What can be clicked and no number of presses of Tab comes to."""
    page.evaluate("document.querySelectorAll('[data-tabbed]').forEach((one) => delete one.dataset.tabbed)")
    for _ in range(400):
        page.keyboard.press("Tab")
        if not page.evaluate(TABBED):
            break
    return list(page.evaluate(REACHABLE))


def test_a_telephone_in_russian_without_a_mouse(machine: Machine, chromium: Any) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "locale": "ru-RU"}
    faults: dict[str, list[str]] = {}

    def look(page: Any, name: str) -> None:
        expect(page.locator("main .spinner, main [aria-busy=true]")).to_have_count(0)
        for dark in (False, True):
            page.emulate_media(color_scheme="dark" if dark else "light")
            page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            if found := faults_of(page):
                faults[f"{name}, {'dark' if dark else 'light'}"] = found
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > 360:
            faults[f"{name}, width"] = [f"{wide} px of 360"]
        if found := not_reached(page):
            faults[f"{name}, Tab"] = found
        words = re.findall(r"\b(?:shell|home|collect|check|train|understand|try|export|compare)\.[a-z_]+\b",
                           page.locator("body").inner_text())  # fmt: skip
        if words:
            faults[f"{name}, words"] = words

    with visiting(machine, chromium, **phone) as page:
        look(page, "home, empty")
        page.get_by_role("button", name="Созданные звуки").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".class-card").first).to_be_visible()
        look(page, "collect")
        for name in ("understand", "try", "export", "compare"):
            tap(page, name)
            look(page, f"{name}, empty")
        tap(page, "check")
        look(page, "check, empty")
        page.get_by_role("button", name="Начать проверку").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Проверить снова").first).to_be_enabled(timeout=TRAINED_MS)
        look(page, "check")
        tap(page, "train")
        look(page, "train")
        page.get_by_role("button", name="Все настройки").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog").get_by_role("combobox").first).to_be_visible()
        look(page, "train, settings")
        page.keyboard.press("Escape")
        button = page.locator("#train-start:not([aria-busy]):not([aria-disabled])")
        button.focus()
        page.keyboard.press("Enter")
        newest(page)
        look(page, "train, done")
        for name in ("understand", "try", "export", "compare"):
            tap(page, name)
            look(page, name)
        page.goto("/")
        expect(page.locator(".home-project")).to_be_visible()
        look(page, "home")
    assert not faults, json.dumps(faults, indent=1, ensure_ascii=False)


def tap(page: Any, name: str) -> None:
    """To a step by keys."""
    page.get_by_role("navigation").get_by_role("link", name=RUSSIAN[name]).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name=RUSSIAN[name])).to_be_visible()
