"""How fast the studio answers: python benchmarks/studio.py -> JSON. Needs built pages (`make pages`) and Chromium.

Real server, real browser. `interactive_ms`: from asking for the address to the page's heading, drawn (networkidle is not waited for:
the event stream never ends), cold cache, median of five; idle and while a training from scratch uses all cores. `floor`: the same
for a page of one line, from this very server, which is what the browser itself takes. `first_load_bytes`: of the largest first visit,
compressed, without pictures. `answers_ms`: 95th percentile of 300 answers of the server to what pages ask, idle and while training.
`drawn_10000_s`: from the end of an import of 10,000 pictures until the last thumbnail was drawn, beside the idle visits.
`large`: that project: until its class shows thumbnails (`opened_ms`), until its grid does; then 40 turns of the wheel of
1,500 px, and 150 ms after each the share of the tiles that fit into the window which are `blank` (no tile, or neither a picture
nor anything of it) and which show only their `glimpse`, the few pixels that come with the list; `complete_ms`: from the
last turn until every tile in sight shows its picture. `server_mb`: resident memory at the end, without jobs; as the server's
own status says.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PICTURES, CLASSES, SIDE = 10_000, 4, 96
TOKEN = "benchmark-token-of-more-than-sixteen-characters"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


class Server:
    """`handful studio` in a home of its own."""

    def __init__(self, home: Path) -> None:
        environment = {**os.environ, "HANDFUL_HOME": str(home), "HANDFUL_TOKEN": TOKEN, "HANDFUL_OFFLINE": "1"}
        command = [sys.executable, "-m", "handful", "studio", "--port", "0", "--no-browser"]
        start = time.perf_counter()
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().strip()
        self.start_s = time.perf_counter() - start
        self.url = self.link.split("/?")[0]

    def ask(self, method: str, path: str, body: bytes | Any = None) -> Any:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "X-Handful": "1"}
        if body is not None:
            headers["Content-Type"] = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.loads(answer.read() or b"null")

    def answers_ms(self, project: str) -> float:
        """95th percentile."""
        spent = []
        for number in range(300):
            path = ("", "/samples?limit=200", "/findings", "/runs")[number % 4]
            start = time.perf_counter()
            self.ask("GET", f"/api/projects/{project}{path}")
            spent.append((time.perf_counter() - start) * 1000)
        return float(np.percentile(spent, 95))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def archive(count: int, side: int) -> bytes:
    """Small pictures, each different, in class folders."""
    rng, content = np.random.default_rng(0), io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for number in range(count):
            picture = io.BytesIO()
            small = rng.integers(0, 256, (6, 6, 3), np.uint8)
            Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(picture, "JPEG", quality=85)
            file.writestr(f"class {number % CLASSES}/{number:05d}.jpg", picture.getvalue())
    return content.getvalue()


def project(server: Server, name: str, content: bytes) -> tuple[str, float]:
    """Its id, and the seconds its import took."""
    made = server.ask("POST", "/api/projects", {"name": name})["id"]
    start = time.perf_counter()
    staged = server.ask("POST", f"/api/projects/{made}/imports")["id"]
    server.ask("PUT", f"/api/projects/{made}/imports/{staged}/files?path=pictures.zip", content)
    server.ask("POST", f"/api/projects/{made}/imports/{staged}/confirm", {})
    return made, time.perf_counter() - start


def drawn(server: Server, made: str) -> None:
    """Wait until the thumbnails of the project are drawn, which is done in order."""
    while not server.ask("GET", f"/api/projects/{made}/samples?offset={PICTURES - 1}")["samples"][0]["glimpse"]:
        time.sleep(0.5)


def interactive_ms(browser: Browser, state: Any, url: str, ready: str) -> tuple[float, int]:
    """(median of five visits with an empty cache, compressed bytes of the last without pictures)"""
    spent, size = [], 0
    for _ in range(5):
        context = browser.new_context(storage_state=state)
        page = context.new_page()
        start = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.wait_for_selector(ready)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        spent.append((time.perf_counter() - start) * 1000)
        size = page.evaluate(BYTES)
        context.close()
    return statistics.median(spent), size


BYTES = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .filter((one) => !["img", "css"].includes(one.initiatorType) && !one.name.includes("/thumbs?")).reduce((sum, one) => sum + one.encodedBodySize, 0)"""
# [tiles that fit into the window, those with a picture, those with nothing but its glimpse]
TILES = """() => {
    const frame = document.querySelector("[role=listbox]").getBoundingClientRect();
    const bottom = Math.min(frame.bottom, innerHeight);
    const tiles = [...document.querySelectorAll("[role=option]")].filter((tile) => {
        const at = tile.getBoundingClientRect();
        return at.bottom > frame.top && at.top < bottom;
    });
    const pictures = tiles.map((tile) => tile.querySelector("img"));
    const seen = pictures.filter((img) => img?.complete && img.naturalWidth);
    const glimpses = pictures.filter((img) => img?.style.backgroundImage && !seen.includes(img));
    const fit = Math.floor((bottom - frame.top) / STEP) * Math.floor((frame.width - 8) / STEP);
    return [Math.max(fit, tiles.length), seen.length, glimpses.length];
}""".replace("STEP", "126")  # px from tile to tile


def large(page: Page, url: str, made: str) -> dict[str, float]:
    """Open the grid of 10,000 pictures and leaf through it."""
    start = time.perf_counter()
    page.goto(f"{url}/p/{made}/collect", wait_until="commit")
    page.wait_for_function("() => [...document.querySelectorAll('main img')].some(i => i.complete && i.naturalWidth)")
    opened = (time.perf_counter() - start) * 1000
    start = time.perf_counter()
    page.get_by_role("button", name="Show all").click()
    page.wait_for_selector("[role=listbox] img")
    complete = f"() => {{ const [fit, seen] = ({TILES})(); return seen === fit }}"
    page.wait_for_function(complete)
    shown = (time.perf_counter() - start) * 1000
    fit = seen = glimpsed = 0
    page.mouse.move(600, 500)
    for _ in range(40):
        start = time.perf_counter()
        page.mouse.wheel(0, 1500)
        page.wait_for_timeout(150)
        found = page.evaluate(TILES)
        fit, seen, glimpsed = fit + found[0], seen + found[1], glimpsed + found[2]
    page.wait_for_function(complete)
    completed = (time.perf_counter() - start) * 1000
    return {
        "opened_ms": opened, "grid_ms": shown, "tiles_seen": fit, "blank_share": 1 - (seen + glimpsed) / fit,
        "glimpse_share": glimpsed / fit, "complete_ms": completed,
    }  # fmt: skip


def main() -> None:
    result: dict[str, Any] = {"processors": os.cpu_count()}
    folder = Path(tempfile.mkdtemp())
    server = Server(folder)
    try:
        result["start_s"] = server.start_s
        few, _ = project(server, "few", archive(200, 224))
        many, result["import_10000_s"] = project(server, "many", archive(PICTURES, SIDE))
        imported = time.perf_counter()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which(os.environ.get("CHROMIUM", "chromium")), args=FLAGS
            )
            context = browser.new_context(viewport={"width": 1280, "height": 860})
            page = context.new_page()
            page.goto(server.link)
            page.wait_for_selector("h1")
            state = context.storage_state()
            pages = {"floor": ("/icon.svg", "svg"), "home": ("/", "h1"), "collect": (f"/p/{few}/collect", "main img")}
            pages |= {name: (f"/p/{few}/{name}", "main h1") for name in ("train", "understand")}

            def visits() -> dict[str, float]:
                found = {
                    name: interactive_ms(browser, state, server.url + at, ready) for name, (at, ready) in pages.items()
                }
                result["first_load_bytes"] = max(size for _, size in found.values())
                return {name: spent for name, (spent, _) in found.items()}

            result["interactive_ms"] = {"idle": visits()}
            result["answers_ms"] = {"idle": server.answers_ms(few)}
            drawn(server, many)
            result["drawn_10000_s"] = time.perf_counter() - imported
            result["large"] = large(page, server.url, many)
            result["large"]["answers_ms"] = server.answers_ms(many)
            settings = {"strategy": "scratch", "epochs": 500, "input_size": 128}
            job = server.ask("POST", f"/api/projects/{few}/jobs", {"kind": "train", "settings": settings})["id"]
            while server.ask("GET", f"/api/jobs/{job}")["progress"] is None:
                time.sleep(0.2)
            time.sleep(5)
            result["interactive_ms"]["training"] = visits()
            result["answers_ms"]["training"] = server.answers_ms(few)
            result["job_was"] = server.ask("GET", f"/api/jobs/{job}")["state"]
            server.ask("POST", f"/api/jobs/{job}/stop")
            while server.ask("GET", f"/api/jobs/{job}")["state"] in ("running", "stopping"):
                time.sleep(0.5)
            result["server_mb"] = server.ask("GET", "/memory/status")["server_bytes"] / 1e6
            browser.close()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(_rounded(result), indent=1))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
