"""Makes the pictures of the README from the demonstration and the studio's sample projects: python docs/pictures.py [NAME ...].

Needs Chromium on the PATH (or CHROMIUM), and the studio's pages (`make pages`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from handful.reporting.terminal import lines
from handful.runs import Run, Teller
from handful.workflow.demo import demo

HERE = Path(__file__).parent / "pictures"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]


@contextmanager
def browser(width: int, height: int) -> Iterator[Page]:
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened.new_page(viewport={"width": width, "height": height})
        opened.close()


def demonstration(place: Path) -> None:
    said: list[str] = []
    result = demo(place / "demo", Teller(said.append))[0]
    shown = ["$ handful demo", *said[:3], "", *lines(result)[:20]]
    console = Console(record=True, width=118, file=open(os.devnull, "w", encoding="utf-8"))
    console.print(
        "\n".join(shown).replace(str(place), "~"), markup=False, highlight=False, no_wrap=True, overflow="ellipsis"
    )
    (HERE / "terminal.svg").write_text(console.export_svg(title="handful"), encoding="utf-8")
    with browser(1000, 1000) as page:
        page.goto((Run.open(result["run"]).path / "report.html").as_uri())
        page.screenshot(path=HERE / "report.png")


def studio(place: Path) -> None:
    """From the sample project of handwritten digits, by clicks, to a trained model."""
    command = [sys.executable, "-m", "handful", "studio", "--port", "0", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        with browser(1200, 760) as page:
            page.goto(server.stdout.readline().strip())
            page.get_by_text("Handwritten digits").first.click()
            page.wait_for_url("**/collect")
            project = page.url.rsplit("/", 1)[0]
            page.wait_for_timeout(3000)
            page.screenshot(path=HERE / "studio-collect.png")
            page.goto(project + "/train")
            page.locator("#train-start:not([aria-disabled=true])").click()
            page.wait_for_selector("text=/% right|of 300 right/", timeout=300_000)
            page.goto(project + "/understand")
            page.wait_for_selector("table")
            page.wait_for_timeout(2000)
            page.screenshot(path=HERE / "studio-understand.png")
            page.goto(project + "/export")
            page.wait_for_timeout(3000)
            page.screenshot(path=HERE / "studio-export.png")
    finally:
        server.terminate()
        server.wait()


def main(names: list[str]) -> None:
    for name, make in {"demonstration": demonstration, "studio": studio}.items():
        if not names or name in names:
            with tempfile.TemporaryDirectory(prefix="handful-") as place:
                os.environ |= {"HANDFUL_HOME": place, "HANDFUL_NO_BROWSER": "1"}
                make(Path(place))


if __name__ == "__main__":
    main(sys.argv[1:])
