"""A resampler for live sound: short, known delay, and a state that is a value and can be copied.

soxr, which files of the frame models go through, works in large chunks: at 11,025 Hz it holds back 84 ms each
way, and its state cannot be copied. Here an output needs `reach` input samples beyond its place and no more.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd

import numpy as np

ZEROS = 80  # zero crossings of the kernel on each side: 1.7 ms at 48 kHz, 7.3 ms at 11.025 kHz
BETA = 10.06  # Kaiser window with 100 dB of stopband: 0.1102 (100 - 8.7)
CUTOFF = 0.96  # middle of the slope, over the lower rate's half: flat to 0.92, 100 dB down at 1
ROOM = 1 << 20  # entries of a matrix that serves all phases at once; ratios with more get one per group
SMALL = 128  # outputs in a group at least, so that products of matrices stay worth their call


class Polyphase:
    """Resample a stream of float32 `(C, T)` blocks by a windowed sinc, aligned with the input.

    Output m lies at input place m * from_rate / to_rate and weighs the `reach` samples before and after:

        y[m] = sum_n h(n - m * from_rate / to_rate) x[n]

    What comes before the first sample counts as zeros. `copy.copy` gives an independent stream: no array
    is ever written to, only replaced.
    """

    STATE_FIELDS = ("_held", "_start", "_done")  # what an unbroken stream needs; the rest follows from the rates

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        shared = gcd(from_rate, to_rate)
        self.up, self.down = to_rate // shared, from_rate // shared
        self.reach = 0 if self.up == self.down else ceil(ZEROS * max(1.0, from_rate / to_rate))
        group = self.up * ceil(SMALL / self.up)
        small = group * (group * self.down // self.up + 2 * self.reach) <= ROOM
        self._group = group if small else 2 * SMALL
        # All groups start at one phase if they span whole periods; else each has its own matrix.
        self._span = (self.up - 1 + (self._group - 1) * self.down) // self.up + 2 * self.reach
        self._held = np.zeros((channels, max(0, self.reach - 1)), np.float32)
        self._start = -max(0, self.reach - 1)  # place of the first sample held
        self._done = 0  # outputs given

    def push(self, block: np.ndarray) -> np.ndarray:
        """All outputs `(C, M)` whose inputs are there now; M may be 0."""
        if not self.reach:
            return block
        held = np.concatenate([self._held, block], axis=1)
        usable = self._start + held.shape[1] - self.reach  # outputs up to this place, itself excluded
        upto = max(self._done, -(-usable * self.up // self.down))
        if upto == self._done:
            self._held = held
            return block[:, :0]
        first, last = self._done // self._group, -(-upto // self._group)
        out = self._groups(held, first, last)[:, self._done - first * self._group : upto - first * self._group]
        keep = self._place(upto // self._group) - self._start
        self._held, self._start, self._done = held[:, keep:].copy(), self._start + keep, upto
        return out

    def _place(self, group: int) -> int:
        """The first input sample that a group of outputs weighs."""
        return group * self._group * self.down // self.up - self.reach + 1

    def _groups(self, held: np.ndarray, first: int, last: int) -> np.ndarray:
        """Outputs of whole groups; those that reach beyond what is there are wrong, and not taken."""
        places = np.array([self._place(group) - self._start for group in range(first, last)])
        missing = max(0, int(places[-1]) + self._span - held.shape[1])
        padded = np.concatenate([held, np.zeros((len(held), missing), np.float32)], axis=1)
        windows = padded[:, places[:, None] + np.arange(self._span)]
        if self._group % self.up == 0:
            out = windows @ self._matrix(0).T
        else:
            parts = [windows[:, i] @ self._matrix(group).T for i, group in enumerate(range(first, last))]
            out = np.stack(parts, axis=1)
        return out.reshape(len(held), -1)

    def _matrix(self, group: int) -> np.ndarray:
        phase = group * self._group * self.down % self.up
        return _matrix(self.up, self.down, self.reach, self._group, self._span, phase)


@lru_cache(maxsize=16)
def _matrix(up: int, down: int, reach: int, group: int, span: int, phase: int) -> np.ndarray:
    """Weights `(group, span)` of a group whose first output lies phase / up after an input sample."""
    places = phase + np.arange(group, dtype=np.int64) * down  # in 1 / up of an input sample
    taps = np.arange(2 * reach)
    distance = (taps - (reach - 1)) - (places % up / up)[:, None]  # from each output to the inputs around it
    crossings = distance * min(1.0, up / down)
    weight = np.sinc(CUTOFF * crossings) * np.i0(BETA * np.sqrt(np.maximum(0, 1 - (crossings / ZEROS) ** 2)))
    weight[np.abs(crossings) >= ZEROS] = 0
    matrix = np.zeros((group, span), np.float32)
    # Divided by their sum, so that a constant stays constant at every phase.
    np.put_along_axis(
        matrix, (places // up)[:, None] + taps, (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32), axis=1
    )
    matrix.flags.writeable = False
    return matrix
