"""Train, Understand and Compare as a user meets them: a real server, a real Chromium, pictures generated here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handful.web.studio.server import StudioServer
from tests.browser.conftest import WAIT_MS, Server, faults_of, start, stop, until
from tests.conftest import write_photos

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
expect = sync_api.expect
expect.set_options(timeout=WAIT_MS)

pytestmark = pytest.mark.web
CLASSES = ("blue", "green", "red")
TRAINED_MS = 180_000  # for a worker that trains on a machine with other things to do


def done(server: Server, project: str, wish: dict[str, Any]) -> None:
    """Wait until a job has ended well."""
    job = server.ask("POST", f"/projects/{project}/jobs", wish)["id"]
    ended = until(lambda: found if (found := server.ask("GET", f"/jobs/{job}"))["ended"] else None, TRAINED_MS / 1000)
    assert ended["state"] == "done", ended["error"]


def imported(server: Server, folder: Path, name: str) -> str:
    project = server.project(name)
    server.fill(project, folder)
    return project


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three easy classes, of which two pictures lie in the wrong one."""
    folder = write_photos(tmp_path_factory.mktemp("photos") / "colours", CLASSES, per_class=12)
    for number in (0, 1):
        (folder / "red" / f"{number:02d}.png").rename(folder / "green" / f"stray-{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(server: Server, photos: Path) -> str:
    """A project with two runs, of a probe and of a prototype."""
    project = imported(server, photos, "Colours, trained")
    done(server, project, {"kind": "train", "settings": {"strategy": "prototype", "model": "statistics"}})
    done(server, project, {"kind": "train"})
    return project


# -- the whole way --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_train_relabel_retrain_and_compare_by_clicks(page: Any, server: Server, photos: Path) -> None:
    project = imported(server, photos, "Colours")
    page.goto(f"/p/{project}/train")
    button = page.locator("#train-start")
    expect(button).not_to_have_attribute("aria-busy", "true")
    assert "quick method" in button.inner_text(), "the button says what it will do"
    assert "probe" not in page.locator("main").inner_text(), "in words"
    page.get_by_text("For experts").click()
    expect(page.get_by_text(re.compile("strategy probe"))).to_be_visible()

    button.click()
    expect(page.get_by_role("heading", name="Now")).to_be_visible()
    page.reload()
    assert len(server.ask("GET", f"/jobs?project={project}")) == 1, "a reload starts nothing"
    page.get_by_role("link", name="Understand it").first.click(timeout=TRAINED_MS)

    expect(page.get_by_role("heading", name="Understand", exact=True)).to_be_visible()
    cell = page.get_by_role("button", name="true green, predicted red: 2 samples")
    cell.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="green taken for red: 2 samples")).to_be_visible()
    dialog.get_by_role("button", name="Select all").click()
    expect(dialog.get_by_label("They are really")).to_have_value("red")
    dialog.get_by_role("button", name="Relabel").click()
    expect(page.get_by_text("2 samples are now red")).to_be_visible()
    page.keyboard.press("Escape")
    expect(cell).to_be_focused()
    assert server.classes(project) == {"red": 12, "green": 12, "blue": 12}

    expect(page.get_by_text("2 labels changed since this model was trained.")).to_be_visible()
    page.get_by_role("button", name="Retrain").click()
    page.get_by_role("link", name="Open it").click(timeout=TRAINED_MS)
    expect(page.get_by_text("Every sample was recognised.")).to_be_visible()

    page.get_by_role("link", name="Compare").click()
    rows = page.get_by_role("table", name="Models").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("best")
    expect(rows.nth(1)).to_contain_text("data changed since")


# -- train ----------------------------------------------------------------------------------------------------------------------


def test_a_key_that_is_held_down_starts_one_training(page: Any, server: Server, photos: Path) -> None:
    project = imported(server, photos, "Held down")
    page.goto(f"/p/{project}/train")
    button = page.locator("#train-start:not([aria-disabled]):not([aria-busy])")
    button.focus()
    for _ in range(30):
        page.keyboard.down("Enter")  # again and again: the key repeats
        page.wait_for_timeout(20)
    page.keyboard.up("Enter")
    expect(page.get_by_role("heading", name="Now")).to_be_visible()
    button.click()
    expect(page.get_by_text("Training 1 does just that already.")).to_be_visible()
    (job,) = server.ask("GET", f"/jobs?project={project}")
    expect(page.get_by_role("heading", name="Training 1")).to_be_visible()
    server.ask("POST", f"/jobs/{job['id']}/stop")


def test_a_training_that_failed_says_what_to_do_and_one_without_rounds_shows_no_curves(
    page: Any, server: Server, photos: Path, tmp_path: Path
) -> None:
    project = imported(server, photos, "Failing")
    media = Path(server.ask("GET", f"/projects/{project}")["folder"]) / "media"
    media.rename(tmp_path / "media")
    job = server.ask("POST", f"/projects/{project}/jobs", {"kind": "train"})["id"]
    until(lambda: server.ask("GET", f"/jobs/{job}")["ended"], TRAINED_MS / 1000)
    (tmp_path / "media").rename(media)
    page.goto(f"/p/{project}/train")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("It did not work: the folder")
    expect(alert).to_contain_text("press Train again")
    assert faults_of(page) == []
    page.locator("#train-start:not([aria-disabled]):not([aria-busy])").click()
    expect(page.get_by_role("heading", name="Newest model")).to_be_visible(timeout=TRAINED_MS)
    expect(alert).to_be_hidden()
    page.locator(".job", has_text="Training 2").get_by_text("Progress and log").click()
    expect(page.get_by_text("There is no curve to show: this method finds its answer in one go")).to_be_visible()


def test_runs_are_told_apart_wherever_one_is_chosen(open_page: Callable[..., Any], trained: str) -> None:
    page = open_page()
    for step in ("understand", "try", "export"):
        page.goto(f"/p/{trained}/{step}")
        options = page.get_by_label("Model", exact=True).locator("option")
        expect(options).to_have_count(2)
        first, second = options.all_inner_texts()
        assert re.match(r"Training 2 · [\d.]+\s% right · ", first) and first.split("·")[0] != second.split("·")[0], (
            first
        )
    russian = open_page(locale="ru-RU")
    russian.goto(f"/p/{trained}/compare")
    expect(russian.get_by_role("link", name="Обучение 1")).to_be_visible()


def test_what_keeps_training_from_starting_is_said(page: Any, server: Server, tmp_path: Path) -> None:
    project = imported(server, write_photos(tmp_path / "one", ("red",), per_class=3), "One class")
    page.goto(f"/p/{project}/train")
    button = page.locator("#train-start")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_contain_text("It cannot start yet")
    problems = server.ask("POST", f"/projects/{project}/plan", {"settings": {}})["problems"]
    assert problems, "one class is not enough"
    expect(page.get_by_text(problems[0])).to_be_visible()
    button.click(force=True)
    assert server.ask("GET", f"/jobs?project={project}") == []


def test_only_changed_settings_are_kept_and_bounds_are_held(page: Any, trained: str) -> None:
    page.goto(f"/p/{trained}/train")
    page.get_by_role("button", name="Advanced settings").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Search settings").fill("folds")
    folds = dialog.get_by_label("Parts of the test (folds)", exact=True)
    folds.fill("99")
    expect(folds).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_text("2 to 50", exact=True)).to_be_visible()
    folds.fill("4")
    expect(folds).not_to_have_attribute("aria-invalid", "true")
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_text("1 setting changed")).to_be_visible()
    with page.expect_request(re.compile("/plan")) as asked:
        page.reload()
    assert asked.value.post_data_json == {"settings": {"folds": 4}, "preset": None}, (
        "kept over a reload, and nothing else sent"
    )
    page.get_by_role("button", name="Reset all").click()
    expect(page.get_by_text("Settings as recommended")).to_be_visible()


def test_presets_are_searched(page: Any, trained: str) -> None:
    page.goto(f"/p/{trained}/train")
    page.get_by_role("button", name="Presets").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Search presets").fill("careful")
    dialog.get_by_role("button", name="Careful").click()
    expect(page.get_by_role("button", name="Preset: Careful")).to_be_visible()
    page.get_by_role("button", name="Preset: Careful").click()
    dialog.get_by_label("Search presets").fill("no such preset")
    expect(dialog.get_by_text("No preset is called “no such preset”.")).to_be_visible()


@pytest.mark.slow
def test_a_training_can_be_paused_and_stopped_and_shows_its_log(page: Any, server: Server, photos: Path) -> None:
    project = imported(server, photos, "Long")
    job = server.ask("POST", f"/projects/{project}/jobs", {"kind": "train", "settings": {"views": 64, "repeats": 50}})
    page.goto(f"/p/{project}/train")
    page.get_by_text("Progress and log").click()
    expect(page.get_by_role("region", name="Log")).to_contain_text("3 classes", timeout=TRAINED_MS)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    assert server.ask("GET", f"/jobs/{job['id']}")["state"] == "paused"
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("running", exact=True)).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("heading", name="Earlier")).to_be_visible(timeout=TRAINED_MS)
    assert server.ask("GET", f"/jobs/{job['id']}")["state"] in ("stopped", "interrupted")


@pytest.mark.slow
def test_a_training_survives_a_restart_of_the_server(chromium: Any, built: Path, photos: Path, tmp_path: Path) -> None:
    context = chromium.new_context(locale="en-US")
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    running = start(tmp_path)
    try:
        page.goto(running.link)
        page.wait_for_selector("h1")
        project = imported(running, photos, "Restart")
        page.goto(f"{running.base}/p/{project}/train")
        settings = {
            "settings": {"model": "statistics", "strategy": "probe", "views": 8, "repeats": 8},
            "preset": None,
        }
        page.evaluate(
            "([key, wish]) => localStorage.setItem(key, JSON.stringify(wish))", [f"handful.train.{project}", settings]
        )
        page.reload()
        page.locator("#train-start:not([aria-disabled]):not([aria-busy])").click()
        job = until(lambda: next((one["id"] for one in running.ask("GET", "/jobs") if one["state"] == "running"), None))
        stop(running)
        running = start(tmp_path)
        page.goto(running.link)
        page.wait_for_selector("h1")
        page.goto(f"{running.base}/p/{project}/train")
        expect(page.get_by_role("heading", name="Newest model")).to_be_visible(timeout=TRAINED_MS)
        jobs = running.ask("GET", "/jobs")
        assert [(one["id"], one["state"]) for one in jobs] == [(job, "done")], "the same job, once"
    finally:
        stop(running)
        context.close()


# -- understand -------------------------------------------------------------------------------------------------------------------


def test_the_matrix_is_walked_by_arrow_keys(page: Any, trained: str) -> None:
    page.goto(f"/p/{trained}/understand")
    matrix = page.get_by_role("table", name="What is taken for what")
    cells = matrix.get_by_role("button")
    expect(cells.first).to_be_visible()
    assert matrix.locator("button[tabindex='0']").count() == 1, "one tab stop"
    start = page.get_by_role("button", name=re.compile("^true green, predicted green"))
    start.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name=re.compile("^true green, predicted red"))).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("heading", name="green taken for red: 2 samples")).to_be_visible()


def test_doubtful_labels_are_reviewed_by_single_keys(page: Any, server: Server, trained: str) -> None:
    page.goto(f"/p/{trained}/understand")
    box = page.get_by_role("group", name="Review of doubtful labels")
    expect(box).to_contain_text("Labelled green.")
    doubts = int(re.search(r"1 of (\d+)", box.inner_text()).group(1))  # type: ignore[union-attr]
    page.keyboard.press("ArrowUp")
    assert server.ask("GET", f"/projects/{trained}")["undo"].startswith("import"), "keys are dead outside the box"
    box.get_by_role("button", name="It is red").focus()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_text("1 sample is now red")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(box).to_contain_text(f"1 of {doubts}")
    for _ in range(doubts):
        page.keyboard.press("ArrowDown")
    expect(box).to_contain_text("All reviewed.")
    expect(box.get_by_text("kept", exact=True)).to_have_count(doubts)
    assert server.classes(trained)["green"] == 14, "the way back took the label back"


def test_the_report_opens_in_a_sandbox_of_its_own(page: Any, trained: str) -> None:
    page.goto(f"/p/{trained}/understand")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Full report").click()
    report = opened.value
    report.wait_for_load_state()
    assert report.evaluate("self.origin") == "null", "the report has no rights of the studio's"


@pytest.mark.slow
def test_curve_and_explanations_are_made_on_demand(page: Any, trained: str) -> None:
    page.goto(f"/p/{trained}/understand")
    page.get_by_role("button", name="Measure it").click()
    page.get_by_role("button", name="Explain some samples").click()
    expect(page.get_by_text(re.compile("samples a class it reaches"))).to_be_visible(timeout=TRAINED_MS)
    expect(page.get_by_role("img", name=re.compile("what mattered")).first).to_be_visible(timeout=TRAINED_MS)


@pytest.mark.slow
def test_names_of_classes_are_text_and_nothing_else(page: Any, server: Server, tmp_path: Path) -> None:
    names = ("__proto__", "<img src=x onerror=alert(1)>", "\u202eabc")
    project = imported(server, write_photos(tmp_path / "names", names, per_class=6), "Names")
    done(server, project, {"kind": "train", "settings": {"model": "statistics", "strategy": "prototype"}})
    page.on("dialog", lambda dialog: pytest.fail(f"a name was run: {dialog.message}"))
    page.goto(f"/p/{project}/understand")
    rows = page.get_by_role("table", name="What is taken for what").locator("tbody th")
    expect(rows).to_have_count(3)
    assert {name.strip() for name in rows.all_text_contents()} >= set(names[:2])
    page.get_by_role("button", name=re.compile("All samples of __proto__")).click()
    expect(page.get_by_role("dialog").get_by_role("heading", name="__proto__: 6 samples")).to_be_visible()
    assert page.locator("img[src='x']").count() == 0


def test_what_experts_ask_for_is_folded_away(page: Any, trained: str) -> None:
    page.goto(f"/p/{trained}/understand")
    expect(page.get_by_role("heading", name="About this model")).to_be_visible()
    jargon = re.compile(r"probe|prototype|out-of-fold|conformal|calibration|ECE|AUROC|macro", re.I)
    assert not jargon.findall(page.locator("main").inner_text())
    page.locator(".understand-part", has_text="About this model").get_by_text("For experts").click()
    expect(page.get_by_text("tested by models that had not seen it")).to_be_visible()


def test_a_name_of_ones_own_stays_everywhere(page: Any, server: Server, trained: str) -> None:
    run = server.ask("GET", f"/projects/{trained}/runs")[1]["id"]
    page.goto(f"/p/{trained}/understand/{run}")
    page.get_by_role("button", name="More about this model").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_role("dialog").get_by_label("Name").fill("The first one")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Model", exact=True).locator("option:checked")).to_contain_text("The first one · ")
    page.goto(f"/p/{trained}/compare")
    expect(page.get_by_role("link", name="The first one")).to_be_visible()


# -- compare ----------------------------------------------------------------------------------------------------------------------


def test_the_table_sorts_narrows_and_draws(page: Any, trained: str) -> None:
    page.goto(f"/p/{trained}/compare")
    table = page.get_by_role("table", name="Models")
    rows = table.locator("tbody tr")
    expect(rows).to_have_count(2)
    assert table.get_by_role("columnheader", name="Sort by Right").get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("dialog").get_by_label("Strategy").check()
    page.keyboard.press("Escape")
    table.get_by_role("button", name="Sort by Strategy").click()
    expect(rows.nth(0)).to_contain_text("probe")
    table.get_by_role("button", name="Sort by Strategy").click()
    expect(rows.nth(0)).to_contain_text("prototype")
    expect(page.get_by_role("table", name="Where their settings differ")).to_contain_text("strategy")
    page.get_by_role("button", name="Draw the plot").click()
    expect(page.get_by_text(re.compile(r"of 2 models (is|are) on the edge"))).to_be_visible()
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("dialog").get_by_label("Macro F1").check()
    page.keyboard.press("Escape")
    expect(table.get_by_role("columnheader", name="Sort by Macro F1")).to_be_visible()


@pytest.mark.slow
def test_a_race_is_started_here_and_its_winner_trained(page: Any, server: Server, photos: Path) -> None:
    project = imported(server, photos, "Race")
    page.goto(f"/p/{project}/compare")
    page.get_by_role("button", name="Start a race").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Search models").fill("statistics")
    dialog.get_by_role("checkbox", name=re.compile("^statistics")).check()
    dialog.get_by_role("button", name="Start", exact=True).click()
    table = page.get_by_role("table", name=re.compile("^Race"))
    expect(table.locator("tbody tr")).to_have_count(2, timeout=TRAINED_MS)
    expect(table).to_contain_text("recommended")
    table.get_by_role("button", name="Train this one").first.click()
    expect(page.get_by_role("heading", name="Train", exact=True)).to_be_visible()
    kinds = [job["kind"] for job in server.ask("GET", f"/jobs?project={project}")]
    assert sorted(kinds) == ["compare", "train"]


# -- an update ----------------------------------------------------------------------------------------------------------------------


def test_an_old_tab_says_that_handful_was_updated(chromium: Any, built: Path, tmp_path: Path) -> None:
    """A server that goes, and comes back with other pages; the tab is still there."""
    static = shutil.copytree(built, tmp_path / "static")
    context = chromium.new_context(locale="en-US")
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    notice = page.get_by_text("handful was updated.")
    with StudioServer(folder=tmp_path / "data", port=0, token="t" * 40, static=static) as server:
        page.goto(server.link())
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(notice).to_be_hidden()
        index = static / "index.html"
        entry = re.search(r'src="/assets/(index-[^"]+\.js)"', index.read_text())[1]  # type: ignore[index]
    (static / "assets" / entry).rename(static / "assets" / "index-NewerOne.js")
    index.write_text(index.read_text().replace(entry, "index-NewerOne.js"))
    with StudioServer(folder=tmp_path / "data", port=server.port, token="t" * 40, static=static):
        expect(notice).to_be_visible()
        assert faults_of(page) == []
        page.get_by_role("button", name="Reload").click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(notice).to_be_hidden()
        context.close()


# -- for everyone ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("step", ["train", "understand", "compare"])
def test_no_page_has_an_accessibility_fault(open_page: Callable[..., Any], trained: str, step: str, dark: bool) -> None:
    page = open_page(dark=dark)
    page.goto(f"/p/{trained}/{step}")
    ready = {"train": "Newest model", "understand": "About this model", "compare": "Accuracy against cost"}
    expect(page.get_by_role("heading", name=ready[step])).to_be_visible()
    assert faults_of(page) == []


@pytest.mark.parametrize("step", ["train", "understand", "compare"])
def test_pages_fit_a_phone_and_speak_russian(open_page: Callable[..., Any], trained: str, step: str) -> None:
    page = open_page(width=360, height=740, locale="ru-RU")
    page.goto(f"/p/{trained}/{step}")
    ready = {"train": "Новейшая модель", "understand": "Об этой модели", "compare": "Точность и цена"}
    expect(page.get_by_role("heading", name=ready[step])).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, "nothing sticks out"
    assert not re.findall(r"\b(?:train|understand|compare|charts)\.[a-z_]+", page.locator("main").inner_text())
