"""How varieties are found."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from handful.errors import UsageError
from handful.registry import Registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[int]]:
    """A package whose modules take their time to be imported."""
    folder = tmp_path / "slow_shapes"
    folder.mkdir()
    (folder / "__init__.py").write_text("from handful.registry import Registry\nshapes = Registry('shape', __name__)\n")
    for number, name in enumerate(("circle", "square")):
        (folder / f"{name}.py").write_text(
            f"import time\nfrom slow_shapes import shapes\ntime.sleep(0.1)\nshapes.add({name!r}, {number})\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("slow_shapes").shapes
    for name in [name for name in sys.modules if name.startswith("slow_shapes")]:
        del sys.modules[name]


def test_threads_that_ask_at_once_see_everything(package: Registry[int]) -> None:
    seen: list[list[str]] = []
    asking = [threading.Thread(target=lambda: seen.append(package.names())) for _ in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert seen == [["circle", "square"]] * 8


def test_a_name_that_does_not_exist_is_answered_with_the_nearest(package: Registry[int]) -> None:
    with pytest.raises(UsageError, match="no shape called 'squere'") as error:
        package.get("squere")
    assert error.value.hint == "did you mean square?"
