"""A real server on a loopback port, with a model whose answer is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import Running, serving


@pytest.fixture(scope="session")
def leveller(causal_model: Callable[..., Path]) -> Path:
    """Each frame's gain depends on the frame before, so sound that is lost or turned round is heard."""
    return causal_model("leveller")


@pytest.fixture(scope="module")
def server(leveller: Path) -> Iterator[Running]:
    with serving(leveller) as running:
        yield running
