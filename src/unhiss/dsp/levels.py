"""Levels in decibels: RMS, active speech, silence, bandwidth, and an estimate of the SNR."""

import math

import numpy as np

SILENCE_DBFS = -100.0  # levels below 16-bit resolution all mean silence


def power_dbfs(power: float) -> float:
    """The level of a mean power in dB re full scale, at least SILENCE_DBFS."""
    return max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS


def rms_dbfs(audio: np.ndarray) -> float:
    """RMS level of float audio in dB re full scale, at least SILENCE_DBFS."""
    return power_dbfs(float(np.mean(np.square(audio, dtype=np.float64))) if audio.size else 0.0)


def frame_levels_dbfs(audio: np.ndarray, size: int) -> np.ndarray:
    """RMS level in dBFS of each complete frame of `size` samples of `(T,)`."""
    frames = audio[: audio.size // size * size].reshape(-1, size)
    power = np.einsum("ij,ij->i", frames, frames).astype(np.float64) / size
    levels: np.ndarray = 10 * np.log10(np.maximum(power, 10 ** (SILENCE_DBFS / 10)))
    return levels


def active_level_dbfs(audio: np.ndarray, rate: int) -> float:
    """Level in dBFS of speech without its pauses, for float audio `(T,)`.

    The mean power of the 20 ms frames that are less than 15.9 dB below this mean, found by iteration: the definition
    of ITU-T P.56, with frames instead of its envelope.
    """
    levels = frame_levels_dbfs(audio, max(1, rate // 50))
    return _active(levels) if levels.size else rms_dbfs(audio)


def _active(levels_dbfs: np.ndarray) -> float:
    """`active_level_dbfs` of one or more frame levels."""
    power = 10 ** (levels_dbfs / 10)
    level = power.mean()
    for _ in range(20):
        above = power[power >= level * 10**-1.59].mean()
        if above <= level * 1.0001:
            break
        level = above
    return max(SILENCE_DBFS, float(10 * np.log10(level)))


def remove_silence(audio: np.ndarray, rate: int, threshold_db: float = 40.0) -> np.ndarray:
    """`(T,)` without its silent 20 ms frames: those more than `threshold_db` below the loudest.

    60 ms on both sides of each louder frame are kept, for soft onsets and word ends. Silence gives length 0.
    """
    size = max(1, rate // 50)
    levels = frame_levels_dbfs(audio, size)
    if not levels.size or levels.max() <= SILENCE_DBFS:
        return audio[:0]
    loud = levels > max(levels.max() - threshold_db, SILENCE_DBFS)
    kept = np.convolve(loud, np.ones(7), "same")[: loud.size] > 0
    return audio[: loud.size * size].reshape(-1, size)[kept].reshape(-1)


def bandwidth_hz(audio: np.ndarray, rate: int, floor_db: float = 70.0) -> float:
    """The highest frequency of `(T,)` less than `floor_db` below the strongest bin; 0 for silence.

    From the mean power spectrum of at most 64 windows of 1,024 samples, evenly spread.
    """
    size = 1024
    if audio.size < size:
        audio = np.pad(audio, (0, size - audio.size))
    starts = np.linspace(0, audio.size - size, min(64, 2 * (audio.size // size))).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(audio, size)[starts]
    power = (np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32), axis=-1)) ** 2).mean(axis=0)
    if power.max() <= 0:
        return 0.0
    return float(np.flatnonzero(power > power.max() * 10 ** (-floor_db / 10))[-1] * rate / size)


def estimate_snr_db(audio: np.ndarray, rate: int) -> float:
    """A blind estimate of the SNR of speech in dB: its active level over the level of its quietest tenth.

    Right for steady noise, too high if the noise stops in the pauses.
    """
    levels = frame_levels_dbfs(audio, max(1, rate // 50))
    if not levels.size:
        return 0.0
    return _active(levels) - float(np.percentile(levels, 10))
