"""Synthetic pairs and a browser for the tests of scoring."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from unhiss.media.writer import write

RATE = 16_000
MANIFEST = """id,speaker,noise_kind,snr_db
b,ann,drill,5
a,bob,siren,-5
c,ann,drill,15
"""


@pytest.fixture(scope="session")
def synthetic_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs of 4.6 s at 16 kHz, listed in another order than by name, and their manifest; not to be changed."""
    root, rng = tmp_path_factory.mktemp("synthetic") / "pairs", np.random.default_rng(20261122)
    time_s = np.arange(int(4.6 * RATE)) / RATE
    for number, name in enumerate("abc"):
        clean = (0.2 * np.sin(2 * np.pi * (200 + 90 * number) * time_s) * (time_s % 1 < 0.6)).astype(np.float32)
        noise = (0.02 * (number + 1) * rng.standard_normal(len(time_s))).astype(np.float32)
        for side, audio in (("clean", clean), ("noisy", clean + noise)):
            (root / side).mkdir(parents=True, exist_ok=True)
            write(root / side / f"{name}.wav", audio, RATE)
    (root / "manifest.csv").write_text(MANIFEST, encoding="utf-8")
    return root


@pytest.fixture
def folder(synthetic_pairs: Path, tmp_path: Path) -> Path:
    """A copy of the synthetic pairs that a test may change."""
    return Path(shutil.copytree(synthetic_pairs, tmp_path / "pairs"))
