"""A loudness target: a recording is measured as a whole, then gets one gain, the same for all channels."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from unhiss.arguments import check_number
from unhiss.dsp.loudness import MAX_LUFS, MIN_LUFS, LoudnessGain, LoudnessMeter

BLOCK_S = 2.0  # seconds at a time


def check_loudness(loudness_lufs: float | None) -> None:
    """Raise ConfigError for a target that is no number, or out of range."""
    if loudness_lufs is not None:
        expected = f"LUFS from {MIN_LUFS:g} to {MAX_LUFS:g}, such as -16, or None"
        check_number("loudness_lufs", loudness_lufs, MIN_LUFS, MAX_LUFS, expected)


def scaled_to(loudness_lufs: float, audio: np.ndarray, rate: int) -> tuple[np.ndarray, LoudnessGain]:
    """float32 `(T,)` or `(C, T)` with the gain that leads to a loudness, and that gain."""
    channels, size = np.atleast_2d(audio), max(1, int(BLOCK_S * rate))
    meter = LoudnessMeter(rate, len(channels))
    for start in range(0, channels.shape[1], size):
        meter.add(channels[:, start : start + size])
    gain = meter.gain_to(loudness_lufs)
    return audio * np.float32(gain.factor), gain


@contextmanager
def normalised(
    blocks: Iterable[np.ndarray], loudness_lufs: float | None, rate: int, channels: int, folder: Path
) -> Iterator[tuple[Iterable[np.ndarray], LoudnessGain | None]]:
    """Within the context: the blocks `(C, T)` with the gain that leads to a loudness, and that gain; None: as they are.

    They wait in a temporary file without a name in `folder`, 4 bytes a sample, while they are measured: the model,
    which is slower than a disk, runs once. Raises OSError if the disk is full.
    """
    if loudness_lufs is None:
        yield blocks, None
        return
    meter = LoudnessMeter(rate, channels)
    with TemporaryFile(dir=folder) as file:
        for block in blocks:
            meter.add(block)
            file.write(np.ascontiguousarray(block.T, np.float32).data)
        file.seek(0)
        gain = meter.gain_to(loudness_lufs)
        yield _scaled(file, gain, channels, max(1, int(BLOCK_S * rate))), gain


def _scaled(file: IO[bytes], gain: LoudnessGain, channels: int, size: int) -> Iterator[np.ndarray]:
    while data := file.read(4 * channels * size):
        yield np.frombuffer(data, np.float32).reshape(-1, channels).T * np.float32(gain.factor)
