"""A resampler for live audio, with a state that can be copied: an output waits for `reach` input samples and no more.

soxr, whose state cannot be copied, processes large chunks: at 11,025 Hz it delays 84 ms each way.
"""

from functools import lru_cache
from math import ceil, gcd

import numpy as np

ZEROS = 80  # zero crossings of the kernel on each side: 1.7 ms at 48 kHz, 7.3 ms at 11.025 kHz
BETA = 10.06  # Kaiser window with 100 dB of stopband: 0.1102 (100 - 8.7)
CUTOFF = 0.96  # middle of the transition band, relative to half the lower rate: flat to 0.92, -100 dB at 1
_MAX_SIZE = 1 << 20  # entries of a matrix that serves all phases; ratios that need more have one per group
_MIN_GROUP = 128  # outputs per matrix product, so that its call overhead is small


class Polyphase:
    """Resample a stream of float32 `(C, T)` blocks with a windowed sinc, aligned with the input.

    Output m is at input position m * from_rate / to_rate and weighs the `reach` samples before and after:

        y[m] = sum_n h(n - m * from_rate / to_rate) x[n]

    Samples before the first are zeros. `copy.copy` makes an independent stream: arrays are replaced, never modified.
    """

    STATE_FIELDS = ("_input", "_start", "_done")  # the state; all other attributes follow from the rates

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        divisor = gcd(from_rate, to_rate)
        self.up, self.down = to_rate // divisor, from_rate // divisor
        self.reach = 0 if self.up == self.down else ceil(ZEROS * max(1.0, from_rate / to_rate))
        group = self.up * ceil(_MIN_GROUP / self.up)
        fits = group * (group * self.down // self.up + 2 * self.reach) <= _MAX_SIZE
        self._group = group if fits else 2 * _MIN_GROUP
        # Groups of complete periods all start at one phase; otherwise each has a matrix of its own.
        self._span = (self.up - 1 + (self._group - 1) * self.down) // self.up + 2 * self.reach
        self._input = np.zeros((channels, max(0, self.reach - 1)), np.float32)  # input that is still needed
        self._start = -max(0, self.reach - 1)  # position of its first sample
        self._done = 0  # number of outputs so far

    def push(self, block: np.ndarray) -> np.ndarray:
        """All outputs `(C, M)` whose inputs are available; M may be 0."""
        if not self.reach:
            return block
        samples = np.concatenate([self._input, block], axis=1)
        available = self._start + samples.shape[1] - self.reach  # outputs before this input position
        end = max(self._done, -(-available * self.up // self.down))
        if end == self._done:
            self._input = samples
            return block[:, :0]
        first, last = self._done // self._group, -(-end // self._group)
        out = self._outputs(samples, first, last)[:, self._done - first * self._group : end - first * self._group]
        unneeded = self._position(end // self._group) - self._start
        self._input, self._start, self._done = samples[:, unneeded:].copy(), self._start + unneeded, end
        return out

    def _position(self, group: int) -> int:
        """The first input sample that a group of outputs weighs."""
        return group * self._group * self.down // self.up - self.reach + 1

    def _outputs(self, samples: np.ndarray, first: int, last: int) -> np.ndarray:
        """Outputs of complete groups; those whose inputs are not available are wrong, and the caller drops them."""
        starts = np.array([self._position(group) - self._start for group in range(first, last)])
        missing = max(0, int(starts[-1]) + self._span - samples.shape[1])
        padded = np.concatenate([samples, np.zeros((len(samples), missing), np.float32)], axis=1)
        windows = padded[:, starts[:, None] + np.arange(self._span)]
        if self._group % self.up == 0:
            out: np.ndarray = windows @ self._matrix(0).T
        else:
            parts = [windows[:, i] @ self._matrix(group).T for i, group in enumerate(range(first, last))]
            out = np.stack(parts, axis=1)
        return out.reshape(len(samples), -1)

    def _matrix(self, group: int) -> np.ndarray:
        phase = group * self._group * self.down % self.up
        return _matrix(self.up, self.down, self.reach, self._group, self._span, phase)


@lru_cache(maxsize=16)
def _matrix(up: int, down: int, reach: int, group: int, span: int, phase: int) -> np.ndarray:
    """Weights `(group, span)` of a group whose first output is phase / up after an input sample."""
    positions = phase + np.arange(group, dtype=np.int64) * down  # in 1 / up of an input sample
    taps = np.arange(2 * reach)
    distance = (taps - (reach - 1)) - (positions % up / up)[:, None]  # from each output to the inputs around it
    crossings = distance * min(1.0, up / down)
    weight = np.sinc(CUTOFF * crossings) * np.i0(BETA * np.sqrt(np.maximum(0, 1 - (crossings / ZEROS) ** 2)))
    weight[np.abs(crossings) >= ZEROS] = 0
    matrix = np.zeros((group, span), np.float32)
    weight /= weight.sum(axis=1, keepdims=True)  # so that a constant stays constant at every phase
    np.put_along_axis(matrix, (positions // up)[:, None] + taps, weight.astype(np.float32), axis=1)
    matrix.flags.writeable = False
    return matrix
