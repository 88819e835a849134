"""The last stage of a stream: the weighted sum of its denoised ("wet") audio and its delayed input ("dry")."""

from typing import Any

import numpy as np

from unhiss.dsp.audio import smoothstep

RAMP_S = 0.02  # short enough to seem instant, and long enough that a change of gain causes no click


class SampleQueue:
    """First in, first out, for float32 `(C, T)`: `queue.push(block)`, `queue.take(size)`.

    Blocks are stored as they come, joined only when taken, and never written to.
    """

    STATE_FIELDS = ("_samples",)

    def __init__(self, samples: np.ndarray) -> None:
        self._samples = samples

    @property
    def _samples(self) -> np.ndarray:
        """All samples in the queue, `(C, T)`."""
        return np.concatenate(self._blocks, axis=1)[:, self._offset :]

    @_samples.setter
    def _samples(self, samples: np.ndarray) -> None:
        self._blocks: tuple[np.ndarray, ...] = (samples,)
        self._offset = 0  # samples of the first block already taken; that block stays, so there is always one

    def push(self, block: np.ndarray) -> None:
        self._blocks += (block,)

    def take(self, size: int) -> np.ndarray:
        """Remove and return the oldest `size` samples, as an array that the caller may change."""
        count, available = 1, self._blocks[0].shape[1] - self._offset
        while available < size:
            available += self._blocks[count].shape[1]
            count += 1
        out = np.concatenate(self._blocks[:count], axis=1)[:, self._offset : self._offset + size]
        self.drop(size)
        return out

    def drop(self, size: int) -> None:
        """Remove the oldest `size` samples."""
        count, offset = 0, self._offset + size
        while count < len(self._blocks) - 1 and offset >= self._blocks[count].shape[1]:
            offset -= self._blocks[count].shape[1]
            count += 1
        self._blocks, self._offset = self._blocks[count:], offset


class Fader:
    """A gain that ramps to each new target: `fader.take(target, size)` gives the gain of the next samples.

    The ramp counts samples, so the gain of a sample does not depend on how the audio is cut into blocks.
    """

    STATE_FIELDS = ("_start", "_target", "_remaining")

    def __init__(self, value: float, rate: int) -> None:
        self._size = max(1, round(RAMP_S * rate))
        self._start = self._target = float(value)
        self._remaining = 0  # samples until the ramp ends

    def take(self, target: float, size: int) -> float | np.ndarray:
        """One number if all `size` samples have the same gain, else float32 `(size,)`."""
        if target != self._target:
            self._start, self._target, self._remaining = self._at(1 - self._remaining / self._size), target, self._size
        if not self._remaining:
            return self._target
        progress = 1 - np.maximum(0, self._remaining - 1 - np.arange(size)) / self._size
        self._remaining = max(0, self._remaining - size)
        return np.asarray(self._at(progress), np.float32)

    def _at(self, progress: Any) -> Any:
        return self._start + (self._target - self._start) * smoothstep(progress)


class DryWetMixer:
    """Queues of dry and wet audio, both delayed by `latency` samples, and the fader between them."""

    def __init__(self, rate: int, channels: int, latency: int, mix: float) -> None:
        silence = np.zeros((channels, latency), np.float32)
        self.dry, self.wet, self.fader = SampleQueue(silence), SampleQueue(silence), Fader(mix, rate)

    def take(self, size: int, mix: float) -> np.ndarray:
        """mix * wet + (1 - mix) * dry for the next `size` samples, float32 `(C, size)`."""
        out, gain = self.wet.take(size), self.fader.take(mix, size)
        if isinstance(gain, float) and gain == 1:
            self.dry.drop(size)
            return out
        mixed: np.ndarray = np.float32(gain) * out + np.float32(1 - gain) * self.dry.take(size)
        return mixed
