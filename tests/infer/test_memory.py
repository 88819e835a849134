"""Memory does not grow with the length of a recording. bench/memory.py measures the whole process on 3 hours."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from unhiss.infer.denoiser import Denoiser
from unhiss.media.formats import AudioFormat
from unhiss.media.writer import open_writer

MARGIN_BYTES = 2_000_000  # blocks and segments align differently in a longer file


def peak_bytes(denoiser: Denoiser, folder: Path, seconds: int) -> int:
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, (1, 16000)).astype(np.float32)
    with open_writer(folder / "noisy.wav", AudioFormat(16000, 1, seconds * 16000)) as file:
        for _ in range(seconds):
            file.write(noise)
    tracemalloc.start()
    try:
        denoiser.file(folder / "noisy.wav", folder / "clean.wav", force=True)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["frame_model", "causal_model"])
def test_a_file_ten_times_as_long_takes_no_more_memory(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    denoiser = Denoiser(request.getfixturevalue(kind)(), mix=0.5)
    peak_bytes(denoiser, tmp_path, 3)  # the first use allocates what stays loaded
    short = peak_bytes(denoiser, tmp_path, 4)
    long = peak_bytes(denoiser, tmp_path, 60)
    assert 0 < long < short + MARGIN_BYTES
