"""Validation of what the user passes to Denoiser and Stream."""

import numpy as np

from unhiss.dsp.audio import MAX_MAGNITUDE, MAX_RATE, MIN_RATE, looks_transposed
from unhiss.errors import AudioError, ConfigError, WrongAudioOption


def check_rate(rate: float) -> None:
    """Raise AudioError unless `rate` is a whole number of Hz within the supported range."""
    try:
        valid = MIN_RATE <= rate <= MAX_RATE and int(rate) == rate
    except (TypeError, ValueError, OverflowError):
        valid = False
    if not valid:
        raise WrongAudioOption(
            f"rate = {rate!r}; expected a whole number of Hz, {MIN_RATE:,} to {MAX_RATE:,}, such as 48000"
        )


def check_options(atten_limit_db: float | None, mix: float, threads: int) -> None:
    """Raise ConfigError for an option out of range."""
    if atten_limit_db is not None and not atten_limit_db >= 0:
        raise ConfigError(f"atten_limit_db = {atten_limit_db}; expected dB from 0 (no attenuation), or None")
    if not 0 <= mix <= 1:
        raise ConfigError(f"mix = {mix}; expected 0 (the input) to 1 (denoised)")
    if threads < 0:
        raise ConfigError(f"threads = {threads}; expected 1 or more, or 0 for all cores")


def check_audio(audio: np.ndarray) -> np.ndarray:
    """float `(T,)` or `(C, T)` -> float32 `(C, T)`, a view where possible. Raises AudioError."""
    audio = np.asarray(audio)
    if audio.ndim not in (1, 2):
        raise AudioError(f"audio has {audio.ndim} dimensions; expected (T,) or (C, T)")
    if audio.ndim == 2 and not len(audio):
        raise AudioError(f"audio of shape {audio.shape} has no channel; expected (T,) or (C, T)")
    if audio.dtype.kind != "f":
        raise AudioError(f"audio is {audio.dtype}; expected float in -1 to 1, such as audio / 32768 for int16")
    if not np.abs(audio).max(initial=0) <= MAX_MAGNITUDE:  # false for NaN too
        raise AudioError("audio has NaN, infinite or absurd samples; repair it first, such as with numpy.nan_to_num")
    return (audio if audio.ndim == 2 else audio[None]).astype(np.float32, copy=False)


def check_not_transposed(audio: np.ndarray) -> None:
    """Raise AudioError for an array that looks like `(T, C)`."""
    if looks_transposed(np.asarray(audio)):
        raise AudioError(f"audio of shape {np.shape(audio)} looks like (T, C); give (C, T): audio.T")
