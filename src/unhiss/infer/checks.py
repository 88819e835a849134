"""What a Denoiser and a Stream are given, checked in one place."""

from __future__ import annotations

import numpy as np

from unhiss.dsp.resampling import FASTEST, SLOWEST
from unhiss.errors import AudioError, ConfigError
from unhiss.media.audio import LOUDEST, turned


def check_rate(rate: float) -> None:
    try:
        good = SLOWEST <= rate <= FASTEST and int(rate) == rate
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise AudioError(f"rate = {rate!r}; expected a whole number of Hz, {SLOWEST:,} to {FASTEST:,}, such as 48000")


def check_options(atten_limit_db: float | None, mix: float, threads: int) -> None:
    if atten_limit_db is not None and not atten_limit_db >= 0:
        raise ConfigError(f"atten_limit_db = {atten_limit_db}; expected dB from 0 (nothing is taken out), or None")
    if not 0 <= mix <= 1:
        raise ConfigError(f"mix = {mix}; expected 0 (the input) to 1 (all clean)")
    if threads < 0:
        raise ConfigError(f"threads = {threads}; expected 1 or more, or 0 for all cores")


def checked(audio: np.ndarray) -> np.ndarray:
    """`(C, T)` float32 view or copy of a caller's `(T,)` or `(C, T)`. Raises AudioError."""
    audio = np.asarray(audio)
    if audio.ndim not in (1, 2):
        raise AudioError(f"audio has {audio.ndim} dimensions; expected (T,) or (C, T)")
    if audio.ndim == 2 and not len(audio):
        raise AudioError(f"audio of shape {audio.shape} has no channel; expected (T,) or (C, T)")
    if audio.dtype.kind != "f":
        raise AudioError(f"audio is {audio.dtype}; expected float in -1 to 1, such as audio / 32768 for int16")
    if not np.abs(audio).max(initial=0) <= LOUDEST:  # a NaN is not, either
        raise AudioError("audio holds NaN, infinite or absurd samples; repair it first, such as with numpy.nan_to_num")
    return (audio if audio.ndim == 2 else audio[None]).astype(np.float32, copy=False)


def check_not_turned(audio: np.ndarray) -> None:
    if turned(np.asarray(audio)):
        raise AudioError(f"audio of shape {np.shape(audio)} looks like (T, C); give (C, T): audio.T")
