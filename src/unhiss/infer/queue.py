"""Sound on its way: blocks in, the oldest samples out; they are joined no sooner than they must be."""

from __future__ import annotations

import numpy as np


class Queue:
    """`queue.push(block)`, `queue.take(size)`, for float32 `(C, T)`.

    Blocks are kept as they come, never written to, and their tuple is replaced: `copy.copy` gives a queue of its own.
    """

    HELD = ("_sound",)

    def __init__(self, sound: np.ndarray) -> None:
        self._sound = sound

    @property
    def _sound(self) -> np.ndarray:
        """All that is inside."""
        return np.concatenate(self._blocks, axis=1)[:, self._gone :]

    @_sound.setter
    def _sound(self, sound: np.ndarray) -> None:
        self._blocks: tuple[np.ndarray, ...] = (sound,)
        self._gone = 0  # samples of the first block that were taken; it stays, so that there is always one

    def push(self, block: np.ndarray) -> None:
        self._blocks += (block,)

    def take(self, size: int) -> np.ndarray:
        """The oldest `size` samples; the array belongs to who takes it."""
        count, reach = 1, self._blocks[0].shape[1] - self._gone
        while reach < size:
            reach += self._blocks[count].shape[1]
            count += 1
        out = np.concatenate(self._blocks[:count], axis=1)[:, self._gone : self._gone + size]
        self.drop(size)
        return out

    def drop(self, size: int) -> None:
        """Let go of the oldest `size` samples."""
        count, gone = 0, self._gone + size
        while count < len(self._blocks) - 1 and gone >= self._blocks[count].shape[1]:
            gone -= self._blocks[count].shape[1]
            count += 1
        self._blocks, self._gone = self._blocks[count:], gone
