"""What the proofs of trouble share: `unhiss denoise` as a process, recordings, and what lies in a folder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

SOURCE = Path(__file__).parent.parent.parent / "src"
UNHISS = [sys.executable, "-m", "unhiss", "denoise"]
PATIENCE_S = 60
RATE = 48000


def recording(path: Path, seconds: float = 1.0, channels: int = 2, **given: str) -> Path:
    """Noise that no coding makes small; long ones repeat a second of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    second = np.random.default_rng(3).uniform(-0.3, 0.3, (RATE, channels))
    sf.write(path, np.tile(second, (max(1, round(seconds)), 1))[: round(seconds * RATE)], RATE, **given)
    return path


def files(folder: Path) -> list[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if not is_telemetry(path))


def is_telemetry(path: Path) -> bool:
    """What onnxruntime writes to send later; test_nothing_is_left_… says that it must not."""
    return path.name == ".ses" or "Microsoft" in path.parts


def one_line(done: subprocess.CompletedProcess[str], *patterns: str) -> None:
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("unhiss: ")
    assert not done.stdout
    for pattern in patterns:
        assert re.search(pattern, done.stderr), done.stderr


def soaked(*names: str) -> list:
    return [pytest.param(name, marks=pytest.mark.soak) for name in names]
