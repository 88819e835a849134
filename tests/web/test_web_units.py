"""The modules of the page under Node, compared with results that Python computes in this test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from unhiss.media.source import READABLE

ROOT = Path(__file__).parent.parent.parent


def test_the_browser_engine_equals_python(node: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "web_fixtures.py"), str(tmp_path)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    done = subprocess.run(
        [node, "node_modules/vitest/vitest.mjs", "run"], cwd=ROOT / "web", capture_output=True, text=True, timeout=600,
        env=os.environ | {"UNHISS_FIXTURES": str(tmp_path), "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_offers_every_format_that_unhiss_reads() -> None:
    page = (ROOT / "web" / "index.html").read_text(encoding="utf-8")
    (accepted,) = re.findall(r'id="file" accept="([^"]*)"', page)
    assert accepted == ",".join(("audio/*", "video/*", *sorted(READABLE)))


def test_the_lock_file_names_no_registry() -> None:
    """So that packages are installed from the configured registry."""
    text = (ROOT / "web" / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text and '"integrity"' in text
