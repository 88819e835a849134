"""Fixtures of the tests that run `unhiss denoise` as a process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import SOURCE

Make = Callable[..., Path]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The folders for temporary files, home and cache lie in the test's own folder."""
    (tmp_path / "tmp").mkdir()
    paths = {"TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path / "tmp"), "XDG_CACHE_HOME": str(tmp_path / "tmp")}
    return {**os.environ, **paths, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error"}


@pytest.fixture
def options(causal_model: Make) -> list[str]:
    return ["--model", str(causal_model()), "--threads", "1"]
