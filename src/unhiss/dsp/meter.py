"""Level, peak and estimated SNR of a recording that is processed in blocks."""

import numpy as np

from unhiss.dsp.levels import SILENCE_DBFS, power_dbfs

STEP_DB = 0.05  # of the histogram of levels
BINS = 6000  # from SILENCE_DBFS up to +200 dB, near which recordings scaled as integers are


class LevelMeter:
    """`meter.add(block)` for each float `(C, T)`; the properties are of all blocks so far.

    Power is the mean over channels. Levels of 20 ms frames are kept as a histogram, so memory does not grow.
    `.count`: samples per channel; `.peak`: the largest magnitude; `.over`: samples beyond full scale.
    """

    def __init__(self, rate: int) -> None:
        self._size = max(1, rate // 50)
        self._rest = np.zeros(0)  # power of the samples of an incomplete frame
        self._counts, self._powers = np.zeros(BINS, np.int64), np.zeros(BINS)
        self._power = 0.0
        self.count, self.peak, self.over = 0, 0.0, 0

    def add(self, block: np.ndarray) -> None:
        if not block.size:
            return
        magnitude = np.abs(block)
        self.peak = max(self.peak, float(magnitude.max()))
        self.over += int(np.count_nonzero(magnitude > 1)) if self.peak > 1 else 0
        power = np.concatenate([self._rest, np.einsum("ct,ct->t", block, block) / len(block)])
        self._power += float(power[self._rest.size :].sum(dtype=np.float64))
        self.count += block.shape[1]
        complete = power.size // self._size * self._size
        frames = power[:complete].reshape(-1, self._size).mean(axis=1, dtype=np.float64)
        self._rest = power[complete:]
        levels = 10 * np.log10(np.maximum(frames, 10 ** (SILENCE_DBFS / 10)))
        bins = np.minimum(np.rint((levels - SILENCE_DBFS) / STEP_DB).astype(np.int64), BINS - 1)
        self._counts += np.bincount(bins, minlength=BINS)
        self._powers += np.bincount(bins, frames, BINS)

    @property
    def level_dbfs(self) -> float:
        """RMS level, at least SILENCE_DBFS."""
        return power_dbfs(self._power / max(1, self.count))

    @property
    def snr_db(self) -> float:
        """`levels.estimate_snr_db`, to a tenth of a dB."""
        frames = int(self._counts.sum())
        if not frames:
            return 0.0
        tenth = int(np.searchsorted(np.cumsum(self._counts), 0.1 * (frames - 1), side="right"))
        return power_dbfs(self._active_power()) - (SILENCE_DBFS + STEP_DB * tenth)

    def _active_power(self) -> float:
        """Mean power of the frames less than 15.9 dB below this mean; see levels.active_level_dbfs."""
        mean = float(self._powers.sum() / self._counts.sum())
        for _ in range(20):
            first = 0 if mean <= 0 else max(0, round((power_dbfs(mean) - 15.9 - SILENCE_DBFS) / STEP_DB))
            above = float(self._powers[first:].sum() / max(1, self._counts[first:].sum()))
            if above <= mean * 1.0001:
                break
            mean = above
        return mean
