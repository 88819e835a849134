"""`unhiss denoise` as a process, recordings for it, and the files in a folder."""

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
TIMEOUT_S = 120  # only a hang takes this long
RATE = 48000


def recording(path: Path, seconds: float = 1.0, channels: int = 2, **given: str) -> Path:
    """Write noise, which no codec compresses; long recordings repeat one second of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    second = np.random.default_rng(3).uniform(-0.3, 0.3, (RATE, channels))
    sf.write(path, np.tile(second, (max(1, round(seconds)), 1))[: round(seconds * RATE)], RATE, **given)
    return path


def files(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if path.name != ".hold" and not is_telemetry(path))


def is_telemetry(path: Path) -> bool:
    """Whether onnxruntime wrote the file for later upload; test_no_temporary_file_remains forbids it."""
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
