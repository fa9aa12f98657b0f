"""Documentation that lies fails here."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

import handful
from handful.cli import app
from handful.config import Recipe

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
COMMANDS = {
    name: command
    for group, top in get_command(app).commands.items()  # type: ignore[attr-defined]
    for name, command in [(group, top), *((f"{group} {n}", c) for n, c in getattr(top, "commands", {}).items())]
}


def test_reference_is_what_the_program_says() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == module.reference(), (
        "run python docs/generate.py"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_and_options_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"^(?:    |\$ |`)?(?:\$ )?handful ([a-z]+)([^\n`#]*)", text, re.MULTILINE) + re.findall(
        r"`handful ([a-z]+)([^`]*)`", text
    ):
        name, rest = line
        if name.startswith("-"):
            continue
        assert name in COMMANDS, f"{page.name}: handful {name}"
        inner = f"{name} {rest.split()[0]}" if rest.split() else ""
        name = inner if inner in COMMANDS else name
        known = {option for p in COMMANDS[name].params for option in p.opts}
        for word in shlex.split(rest.replace("[", " ").replace("]", " "), posix=False):
            if word.startswith("--") and len(word) > 2:
                assert word.split("=")[0] in known, f"{page.name}: handful {name} {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_command_and_setting_has_help() -> None:
    assert all(command.help for command in COMMANDS.values())
    assert all(field.description for field in Recipe.model_fields.values())


def test_every_room_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = [
        p
        for p in (ROOT / "src" / "handful").iterdir()
        if p.name[0] not in "_." and p.name not in ("locales", "presets", "py.typed")
    ]
    missing = [p.name for p in rooms if f"`{p.name}" not in text]
    assert not missing


def test_public_names_exist() -> None:
    for name in handful.__all__:
        assert getattr(handful, name) is not None


def test_make_targets_in_the_pages_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"^    make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


def test_figures_in_the_readme_stand_in_the_results() -> None:
    """Each measured ratio that the README quotes from RESULTS.md is the one that stands there."""
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    quoted = re.findall(r"<!-- results: (.+?) -->", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert quoted
    for figure in quoted:
        assert figure in results, figure


def test_the_example_of_contributing_works(tmp_path: Path) -> None:
    import numpy as np

    from handful.features import frontends
    from handful.graph import Graph, session
    from handful.models import models

    (code,) = re.findall(r"```python\n(.+?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    try:
        exec(compile(code, "CONTRIBUTING.md", "exec"), {})
        g = Graph()
        frontend = frontends.get("image").suited([], {}).resized(16)
        value, width = models.get("colour").embed(g, frontend.input(g), frontend, None)
        g.output(value, "embedding", ["N", width])
        pixels = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3), dtype=np.uint8)
        (found,) = session(g.build(), 1).run(None, {"input": pixels})
        unit = pixels / 255
        assert np.allclose(found, np.concatenate([unit.mean(axis=(1, 2)), unit.std(axis=(1, 2))], axis=1), atol=1e-5)
    finally:
        models._entries.pop("colour", None)


def test_locales_have_the_same_keys() -> None:
    folder = ROOT / "src" / "handful" / "locales"
    keys = {p.name: set(json.loads(p.read_text(encoding="utf-8"))) for p in folder.glob("*.json")}
    assert len({frozenset(k) for k in keys.values()}) == 1 and len(keys) >= 2
