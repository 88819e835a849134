"""What a denoiser does to a signal beside taking noise out: the top of the band, the level, the place in time."""

from __future__ import annotations

import numpy as np

from unhiss.dsp.levels import SILENCE_DBFS, active_level_dbfs, rms_dbfs
from unhiss.dsp.stft import analyse, window
from unhiss.score.metrics import Undefined

HIGH_HZ = 8000.0
FRAME_S = 0.032
LATEST_S = 1.0  # a result that is later than this is taken for another recording


def log_spectral_distance(estimate: np.ndarray, reference: np.ndarray, rate: int, from_hz: float = HIGH_HZ) -> float:
    """Distance of two log spectra from `from_hz` up, in dB; lower is better (Gray and Markel 1976).

    estimate, reference: `(T,)` at `rate` Hz. With the levels E and R of each bin in dB re a full-scale sine, none
    below -100: the mean over frames (32 ms every 16 ms) of sqrt(mean over bins of (E - R)^2).
    Raises Undefined where the rate carries nothing up there, and for less than a frame.
    """
    size = 2 * round(FRAME_S * rate / 2)
    first = int(np.ceil(from_hz * size / rate))
    if first >= size // 2:
        raise Undefined(f"LSD has no value: nothing above {from_hz:,.0f} Hz at {rate:,} Hz")
    if len(reference) < size:
        raise Undefined("LSD has no value: under 32 ms")
    full = window(size).sum() / 2  # magnitude of a full-scale sine
    floor = 10 ** (SILENCE_DBFS / 20)
    e, r = (
        20 * np.log10(np.maximum(np.abs(analyse(audio, size, size // 2)[first:]) / full, floor))
        for audio in (estimate, reference)
    )
    return float(np.sqrt(np.mean((e - r) ** 2, axis=0)).mean())


def loudness_change_db(estimate: np.ndarray, reference: np.ndarray, rate: int) -> float:
    """Active speech level (ITU-T P.56) of the estimate less that of the reference, `(T,)` each, in dB."""
    return active_level_dbfs(estimate, rate) - active_level_dbfs(reference, rate)


def attenuation_db(left: np.ndarray, noise: np.ndarray) -> float:
    """Level of noise less what is left of it, in dB; what is left counts as -100 dBFS at least.

    Raises Undefined where there is no noise.
    """
    if not noise.any():
        raise Undefined("noise down has no value: the pair holds no noise")
    return rms_dbfs(noise) - rms_dbfs(left)


def lag(estimate: np.ndarray, source: np.ndarray, rate: int) -> int:
    """By how many samples the estimate is later than the source, `(T,)` each: where they correlate best.

    From a second early to a second late. Raises Undefined where one of them is silent.
    """
    if not estimate.any() or not source.any():
        raise Undefined("lag has no value: silent " + ("input" if estimate.any() else "estimate"))
    size = 1 << (len(estimate) + len(source) - 1).bit_length()
    product = np.fft.rfft(estimate, size) * np.conj(np.fft.rfft(source, size))
    correlation = np.fft.irfft(product, size)
    reach = min(int(LATEST_S * rate), size // 2 - 1)
    around = np.concatenate([correlation[-reach:], correlation[: reach + 1]]) if reach else correlation[:1]
    return int(np.argmax(around)) - reach
