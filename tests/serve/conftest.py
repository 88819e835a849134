"""A server on a loopback port, with a model whose output is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import RunningServer, serving


@pytest.fixture(scope="session")
def leveller(causal_model: Callable[..., Path]) -> Path:
    """Each frame's gain depends on the frame before, so lost or reordered audio changes the output."""
    return causal_model("leveller")


@pytest.fixture(scope="session")
def server(leveller: Path) -> Iterator[RunningServer]:
    with serving(leveller) as running:
        yield running
