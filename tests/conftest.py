"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real recordings; tests that need it skip without it, and fail in CI."""
    folder = Path(os.environ.get("HUSH_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "manifest.csv").is_file():
        line = f"real recordings not found at {folder}; set HUSH_DATA to the folder that holds them"
        if os.environ.get("CI") == "true":
            pytest.fail(line)
        pytest.skip(line)
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261122)
