"""Fixtures of the proofs that run `unhiss denoise` as a process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import SOURCE

Make = Callable[..., Path]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Temporary files, and those at home, go where they are seen."""
    (tmp_path / "tmp").mkdir()
    places = {"TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path / "tmp"), "XDG_CACHE_HOME": str(tmp_path / "tmp")}
    return {**os.environ, **places, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error"}


@pytest.fixture
def options(causal_model: Make) -> list[str]:
    return ["--model", str(causal_model()), "--threads", "1"]
