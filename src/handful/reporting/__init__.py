"""From a run directory to one HTML file that needs nothing else, and to the lines that the command line prints.

Reads run directories and writes `report.html` into them; never trains, predicts or opens the user's data.
"""

from __future__ import annotations

from pathlib import Path

REPORT = "report.html"


def write(run_dir: Path, lang: str = "en") -> Path:
    """(Re)make `run_dir/report.html` and return its path.

    Raises:
        RunError: the run is missing, unfinished or damaged.
        UsageError: there is no language `lang`.
    """
    from handful.files import atomic_write
    from handful.reporting import evidence, page, words

    texts = words.load(lang)
    found = evidence.read(Path(run_dir))
    path = found.folder / REPORT
    atomic_write(path, page.render(found, texts))
    return path
