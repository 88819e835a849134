"""Prepared sets that the tests of data/ share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sounds import small_set

from unhiss.data.store import Store


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A small prepared set with all four parts, in `set` beside its `speech`. No test writes to it."""
    return small_set(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def own_copy(prepared: Store, tmp_path: Path) -> Store:
    """A copy of that set and its speech in `tmp_path`, which a test may change."""
    shutil.copytree(prepared.folder.parent, tmp_path, dirs_exist_ok=True)
    return Store(tmp_path / "set")
