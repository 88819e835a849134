"""What a recording that flows by in blocks was like: its level, its peak, and how noisy it seems."""

from __future__ import annotations

import numpy as np

from unhiss.dsp.levels import SILENCE_DBFS

STEP_DB = 0.05  # of the histogram of levels
BINS = 6000  # from SILENCE_DBFS up to +200 dB, which recordings scaled as integers come near


class LevelMeter:
    """`meter.add(block)` for each float `(C, T)`; the facts are of all of them so far.

    Power is the mean over channels. Kept is how often each level of a 20 ms frame occurred, so memory does
    not grow with the recording.
    """

    def __init__(self, rate: int) -> None:
        self._size = max(1, rate // 50)
        self._held = np.zeros(0)
        self._times, self._powers = np.zeros(BINS, np.int64), np.zeros(BINS)
        self._power = 0.0
        self.count, self.peak, self.over = 0, 0.0, 0  # samples; greatest magnitude; how many lie beyond full scale

    def add(self, block: np.ndarray) -> None:
        if not block.size:
            return
        size = np.abs(block)
        self.peak = max(self.peak, float(size.max()))
        self.over += int(np.count_nonzero(size > 1)) if self.peak > 1 else 0
        power = np.concatenate([self._held, np.einsum("ct,ct->t", block, block) / len(block)])
        self._power += float(power[self._held.size :].sum(dtype=np.float64))
        self.count += block.shape[1]
        whole = power.size // self._size * self._size
        frames = power[:whole].reshape(-1, self._size).mean(axis=1, dtype=np.float64)
        self._held = power[whole:]
        levels = 10 * np.log10(np.maximum(frames, 10 ** (SILENCE_DBFS / 10)))
        place = np.minimum(np.rint((levels - SILENCE_DBFS) / STEP_DB).astype(np.int64), BINS - 1)
        self._times += np.bincount(place, minlength=BINS)
        self._powers += np.bincount(place, frames, BINS)

    @property
    def level_dbfs(self) -> float:
        """RMS level; SILENCE_DBFS at least."""
        return _db(self._power / max(1, self.count))

    @property
    def snr_db(self) -> float:
        """Active speech level over the level of the quietest tenth: blind, and too high where noise pauses.

        As levels.estimate_snr_db has it, to a tenth of a dB.
        """
        frames = int(self._times.sum())
        if not frames:
            return 0.0
        tenth = int(np.searchsorted(np.cumsum(self._times), 0.1 * (frames - 1), side="right"))
        return _db(self._active()) - (SILENCE_DBFS + STEP_DB * tenth)

    def _active(self) -> float:
        """Mean power of the frames less than 15.9 dB below that same mean (see levels.active_level_dbfs)."""
        mean = float(self._powers.sum() / self._times.sum())
        for _ in range(20):
            least = 0 if mean <= 0 else max(0, round((_db(mean) - 15.9 - SILENCE_DBFS) / STEP_DB))
            above = float(self._powers[least:].sum() / max(1, self._times[least:].sum()))
            if above <= mean * 1.0001:
                break
            mean = above
        return mean


def _db(power: float) -> float:
    return max(SILENCE_DBFS, 10 * np.log10(power)) if power > 0 else SILENCE_DBFS
