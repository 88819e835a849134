"""The modules of the page under Node, against numbers that Python computes here and now."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_browser_engine_computes_what_python_computes(node: str, tmp_path: Path) -> None:
    made = [sys.executable, str(ROOT / "scripts" / "web_fixtures.py"), str(tmp_path)]
    subprocess.run(made, check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    done = subprocess.run(
        [node, "node_modules/vitest/vitest.mjs", "run"], cwd=ROOT / "web", capture_output=True, text=True, timeout=600,
        env=os.environ | {"UNHISS_FIXTURES": str(tmp_path), "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_lock_file_names_no_registry() -> None:
    """So that it installs from whatever registry npm is set to."""
    text = (ROOT / "web" / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text and '"integrity"' in text
