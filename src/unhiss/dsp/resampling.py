"""Resampling with soxr, of arrays or block by block."""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr


def to_mono(audio: np.ndarray) -> np.ndarray:
    """The mean of all channels, `(T,)`."""
    return audio if audio.ndim == 1 else audio.mean(axis=0, dtype=np.float32)


def resample(audio: np.ndarray, from_rate: float, to_rate: float, quality: str = "HQ") -> np.ndarray:
    """Resample float32 `(..., T)` by soxr, in a quality that it names; the output is aligned with the input."""
    if from_rate == to_rate or audio.shape[-1] == 0:
        return audio
    columns = np.ascontiguousarray(np.atleast_2d(audio).T)
    out: np.ndarray = soxr.resample(columns, from_rate, to_rate, quality).T
    return np.ascontiguousarray(out.reshape(*audio.shape[:-1], -1), dtype=np.float32)


class Resampler:
    """Resample a stream of float32 `(C, T)` blocks; the outputs, joined, are aligned with the input."""

    def __init__(self, from_rate: float, to_rate: float, channels: int) -> None:
        self._same = from_rate == to_rate
        self._channels = channels
        self._soxr = None if self._same else soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32")

    def push(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        if self._soxr is None:
            return block
        out = self._soxr.resample_chunk(np.ascontiguousarray(block.T), last=last)
        return np.ascontiguousarray(out.reshape(-1, self._channels).T)

    def flush(self) -> np.ndarray:
        return self.push(np.zeros((self._channels, 0), np.float32), last=True)


def resampled(stream: Iterable[np.ndarray], from_rate: float, to_rate: float, channels: int) -> Iterator[np.ndarray]:
    """Resample all blocks of a stream."""
    resampler = Resampler(from_rate, to_rate, channels)
    for block in stream:
        yield resampler.push(block)
    yield resampler.flush()
