"""A gain that goes to a new value within a moment instead of leaping there, which would be heard as a click."""

from __future__ import annotations

from typing import Any

import numpy as np

RAMP_S = 0.02  # at once to a listener, and slow enough that what a smooth step spreads stays near the sound itself


class Fader:
    """`fader.take(target, size)`: the gain of the next samples, on its way to `target` along a smooth step.

    With p from 0 to 1 over the ramp: from + (target - from) p^2 (3 - 2 p). It counts samples, so that the gain
    of a sample does not hang on how the sound is cut.
    """

    HELD = ("_from", "_to", "_left")

    def __init__(self, value: float, rate: int) -> None:
        self._size = max(1, round(RAMP_S * rate))
        self._from = self._to = float(value)
        self._left = 0  # samples of the ramp that are still to come

    def take(self, target: float, size: int) -> float | np.ndarray:
        """One number for all `size` samples, or while it moves float32 `(size,)`."""
        if target != self._to:
            self._from, self._to, self._left = self._at(1 - self._left / self._size), target, self._size
        if not self._left:
            return self._to
        places = 1 - np.maximum(0, self._left - 1 - np.arange(size)) / self._size
        self._left = max(0, self._left - size)
        return np.asarray(self._at(places), np.float32)

    def _at(self, place: Any) -> Any:
        return self._from + (self._to - self._from) * (place * place * (3 - 2 * place))
