"""The share of a recording in which somebody speaks."""

import numpy as np

THRESHOLD = 0.5  # a frame at least this probable counts as speech


class SpeechShare:
    """Counts the frames with speech in any channel, by the probabilities `(C, N)` of each."""

    def __init__(self) -> None:
        self._frames = self._spoken = 0

    def add(self, probability: np.ndarray) -> None:
        self._frames += probability.shape[1]
        self._spoken += int(np.count_nonzero(probability.max(axis=0) >= THRESHOLD))

    @property
    def value(self) -> float | None:
        """From 0 to 1; None where no frame was counted."""
        return self._spoken / self._frames if self._frames else None
