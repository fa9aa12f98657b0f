"""Makes the pictures of the README from the demonstration: python docs/pictures.py. Needs chromium on the PATH (or CHROMIUM)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console

from handful.reporting.terminal import lines
from handful.runs import Run, Teller
from handful.workflow.demo import demo

HERE = Path(__file__).parent / "pictures"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="handful-") as place:
        os.environ["HANDFUL_HOME"] = place
        said: list[str] = []
        result = demo(Path(place) / "demo", Teller(said.append))[0]
        shown = ["$ handful demo", *said[:3], "", *lines(result)[:20]]
        console = Console(record=True, width=118, file=open(os.devnull, "w", encoding="utf-8"))
        console.print(
            "\n".join(shown).replace(place, "~"), markup=False, highlight=False, no_wrap=True, overflow="ellipsis"
        )
        (HERE / "terminal.svg").write_text(console.export_svg(title="handful"), encoding="utf-8")
        report = Run.open(result["run"]).path / "report.html"
        browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or "chromium"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
        target = HERE / "report.png"
        subprocess.run(
            [browser, *flags, "--window-size=1000,1000", f"--screenshot={target}", report.as_uri()],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    main()
