"""The pages are typed by what the server says of itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
pytestmark = pytest.mark.web


def test_the_types_of_the_pages_are_those_of_the_server(tmp_path: Path) -> None:
    maker = FRONTEND / "node_modules" / ".bin" / "openapi-typescript"
    node = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    if not maker.exists() or node is None:
        assert not os.environ.get("CI"), "what the pages are built with is missing: make pages"
        pytest.skip("what the pages are built with is not installed: make pages")
    document, made = tmp_path / "openapi.json", tmp_path / "schema.d.ts"
    subprocess.run([sys.executable, "-m", "handful.web.studio.openapi", document], check=True)
    subprocess.run([node, maker, document, "--output", made], check=True, capture_output=True)
    committed = FRONTEND / "src" / "api" / "schema.d.ts"
    assert made.read_text() == committed.read_text(), (
        "python -m handful.web.studio.openapi frontend/openapi.json && (cd frontend && npm run types)"
    )
