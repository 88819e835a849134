"""Loudness and true peak of a recording that is processed in blocks: ITU-R BS.1770-4, as EBU R 128 uses it."""

import copy
from array import array
from dataclasses import dataclass
from math import ceil

import numpy as np

from unhiss.dsp.levels import SILENCE_DBFS
from unhiss.dsp.polyphase import Polyphase

MIN_LUFS, MAX_LUFS = -60.0, 0.0  # targets; below, the gate at -70 LUFS would leave too little to measure
CEILING_DBTP = -1.0  # EBU R 128: the highest true peak
MAX_GAIN_DB = 40.0  # what needs more is silence with some noise left in it
GATE_LUFS, RELATIVE_GATE_LU = -70.0, 10.0
OFFSET_DB = -0.691  # K-weighting raises 997 Hz by this much, and a sine there shall keep its level
BLOCK_HOPS = 4  # of 100 ms in a gating block
OVERSAMPLING = 4  # of true peaks
MARGIN_S = 0.06  # K-weighting's impulse response is below -120 dB from here on
# Numerator and denominator of both stages at 48 kHz: a shelf for the head, and a high pass (tables 1 and 2).
_STAGES = (
    ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)
# Of channels in the order of WAV: 1.41 for sources 60 to 120 degrees from the front, 0 for the LFE.
_WEIGHTS = {
    4: (1, 1, 1.41, 1.41),
    5: (1, 1, 1, 1.41, 1.41),
    6: (1, 1, 1, 0, 1.41, 1.41),
    7: (1, 1, 1, 0, 1, 1.41, 1.41),
    8: (1, 1, 1, 0, 1, 1, 1.41, 1.41),
}


def channel_weights(channels: int) -> tuple[float, ...]:
    """The weight of each channel's power, by the usual layout of this number of channels in a WAV file.

    >>> channel_weights(6)
    (1, 1, 1, 0, 1.41, 1.41)
    """
    return _WEIGHTS.get(channels, (1,) * channels)


def k_weighting(hertz: np.ndarray) -> np.ndarray:
    """The gain of K-weighting at each frequency, as a factor; above 24 kHz that of 24 kHz.

    BS.1770 gives the filters at 48 kHz, and asks of other sample rates for the same frequency response.
    """
    z = np.exp(2j * np.pi * np.minimum(hertz, 24_000) / 48_000)
    gain = np.ones(np.shape(hertz))
    for numerator, denominator in _STAGES:
        gain *= np.abs(np.polyval(numerator, z) / np.polyval(denominator, z))
    return gain


@dataclass(frozen=True, slots=True, kw_only=True)
class LoudnessGain:
    """A gain, the loudness (None: none to measure) and true peak it leads to, and why the target is missed, or ""."""

    gain_db: float
    lufs: float | None
    true_peak_dbtp: float
    warning: str = ""

    @property
    def factor(self) -> float:
        return float(10 ** (self.gain_db / 20))


class LoudnessMeter:
    """`meter.add(block)` for each float32 `(C, T)`; `lufs` and `true_peak_dbtp` are of all blocks so far.

    Sums are kept for each 100 ms, 3 MB for 10 hours. The weighting is by FFT, overlap-save, with the gain alone and
    no phase: power is all that counts, and a filter symmetric in time has the same response at any sample rate.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._weights = rate, channel_weights(channels)
        self._margin = ceil(MARGIN_S * rate)
        self._size = 1 << (rate + 2 * self._margin).bit_length()  # of the FFT, a second at least
        self._gain = k_weighting(np.fft.rfftfreq(self._size, 1 / rate)).astype(np.float32)
        self._pending = np.zeros((channels, self._margin), np.float32)  # from a margin before the next sample to weigh
        self._hops = array("d")  # weighted power, summed over each complete 100 ms
        self._hop_part = 0.0  # the same of the next hop, as far as it is known
        self._done = 0  # samples weighed
        self._upsampler = Polyphase(1, OVERSAMPLING, channels)
        self._peak = 0.0

    def add(self, block: np.ndarray) -> None:
        self._peak = max(self._peak, _magnitude(block), _magnitude(self._upsampler.push(block)))
        self._weigh(block)

    @property
    def lufs(self) -> float | None:
        """The integrated loudness; None if it is shorter than 400 ms, or nothing is above -70 LUFS."""
        return _integrated(self._block_power())

    @property
    def true_peak_dbtp(self) -> float:
        """The largest magnitude between samples too, in dB re full scale, at least SILENCE_DBFS."""
        rest = copy.copy(self._upsampler).push(np.zeros((len(self._weights), self._upsampler.reach), np.float32))
        peak = max(self._peak, _magnitude(rest))
        return max(SILENCE_DBFS, 20 * float(np.log10(peak))) if peak else SILENCE_DBFS

    def gain_to(self, target_lufs: float) -> LoudnessGain:
        """The gain to a loudness, as far as CEILING_DBTP and MAX_GAIN_DB allow; 0 dB if there is nothing to measure."""
        power, peak_dbtp = self._block_power(), self.true_peak_dbtp
        if _integrated(power) is None:
            why = f"nothing is above {GATE_LUFS:g} LUFS" if power.size else "shorter than 400 ms"
            warning = f"no loudness to measure ({why}): the level stays as it is"
            return LoudnessGain(gain_db=0.0, lufs=None, true_peak_dbtp=peak_dbtp, warning=warning)
        wanted_db = _gain_to(target_lufs, power)
        gain_db = min(wanted_db, MAX_GAIN_DB, CEILING_DBTP - peak_dbtp)
        lufs, warning = _integrated(power * _power_ratio(gain_db)), ""
        if wanted_db - gain_db >= 0.05:  # what one decimal shows
            reached = f"below {GATE_LUFS:g}" if lufs is None else f"{lufs:.1f}"
            why = (
                f"it is raised by {MAX_GAIN_DB:g} dB, and not more, since what noise is left rises with it"
                if gain_db == MAX_GAIN_DB
                else f"its peaks reach {CEILING_DBTP:g} dBTP; a compressor or limiter would have to lower them first"
            )
            warning = f"loudness {reached} LUFS in place of {target_lufs:g}: {why}"
        return LoudnessGain(gain_db=gain_db, lufs=lufs, true_peak_dbtp=peak_dbtp + gain_db, warning=warning)

    def _weigh(self, block: np.ndarray) -> None:
        samples = np.concatenate([self._pending, block], axis=1)
        while samples.shape[1] >= self._size:
            power = self._weighted_power(samples[:, : self._size])
            self._add_to_hops(power)
            samples = samples[:, power.size :]
        self._pending = samples.copy()  # a view would keep the whole block

    def _weighted_power(self, samples: np.ndarray) -> np.ndarray:
        """Of `(C, size)`: the power summed over channels, without the margins at both ends."""
        power = np.zeros(self._size - 2 * self._margin, np.float32)
        for channel, weight in zip(samples, self._weights, strict=True):
            if weight:
                weighted = np.fft.irfft(np.fft.rfft(channel) * self._gain, self._size)[self._margin : -self._margin]
                power += weight * np.square(weighted, dtype=np.float32)
        return power

    def _add_to_hops(self, power: np.ndarray) -> None:
        """Add the power of the next samples to the sums of their hops."""
        first, end = len(self._hops) + 1, self._done + power.size
        ends = self._hop_end(np.arange(first, self._complete_hops(end) + 1)) - self._done
        total = np.concatenate([[-self._hop_part], np.cumsum(power, dtype=np.float64)])
        sums = np.diff(total[np.concatenate([[0], ends, [power.size]])])
        self._hops.extend(sums[:-1])
        self._hop_part, self._done = float(sums[-1]), end

    def _hop_end(self, hop: np.ndarray) -> np.ndarray:
        """The number of samples in so many hops; 100 ms need not be a whole number of samples."""
        ends: np.ndarray = hop * self._rate // 10
        return ends

    def _complete_hops(self, samples: int) -> int:
        """The number of hops in so many samples: the largest with `_hop_end(hops) <= samples`."""
        return (10 * samples + 9) // self._rate

    def _block_power(self) -> np.ndarray:
        """The mean power of each complete gating block of 400 ms; one starts every 100 ms."""
        count = self._complete_hops(self._done + self._pending.shape[1] - self._margin)
        finished = copy.copy(self)
        finished._hops = self._hops[:]
        finished._weigh(np.zeros((len(self._weights), self._size), np.float32))
        hops = np.asarray(finished._hops)[:count]
        if count < BLOCK_HOPS:
            return np.zeros(0)
        ends = self._hop_end(np.arange(count + 1))
        sums: np.ndarray = np.lib.stride_tricks.sliding_window_view(hops, BLOCK_HOPS).sum(axis=1)
        sums /= ends[BLOCK_HOPS:] - ends[:-BLOCK_HOPS]
        return sums


def _integrated(power: np.ndarray) -> float | None:
    """The loudness of gating blocks above both gates; None if there is none."""
    power = power[power > _power_ratio(GATE_LUFS - OFFSET_DB)]
    if not power.size:
        return None
    gated = power[power > power.mean() * _power_ratio(-RELATIVE_GATE_LU)]
    return OFFSET_DB + 10 * float(np.log10(gated.mean()))


def _gain_to(target_lufs: float, power: np.ndarray) -> float:
    """The gain in dB after which gating blocks have a loudness of MIN_LUFS or more."""
    gain_db = 0.0
    for _ in range(20):  # raised blocks may pass the absolute gate, which changes the mean
        lufs = _integrated(power * _power_ratio(gain_db))
        assert lufs is not None  # after a step, the mean of some blocks is the target
        missing_db = target_lufs - lufs
        gain_db += missing_db
        if abs(missing_db) < 1e-3:
            break
    return gain_db


def _power_ratio(db: float) -> float:
    return float(10 ** (db / 10))


def _magnitude(block: np.ndarray) -> float:
    return float(np.abs(block).max(initial=0))
