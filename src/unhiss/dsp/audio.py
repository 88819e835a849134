"""What counts as audio: what callers may give as samples and rates, the limits of both, and the shape of an array."""

from numbers import Real
from typing import Any

import numpy as np

from unhiss.errors import AudioError, WrongAudioOption, shown

MAX_RATE = 10_000_000  # Hz; a header that states more is damaged, and soxr crashes on some such rates
MIN_RATE = 1000  # Hz; below it there is no speech, and a small file would last for days
MAX_MAGNITUDE = 2.0**31  # float recordings scaled as integers reach this; anything larger is damaged data
FULL_SCALE = 32768.0  # of 16-bit integers, as libsndfile scales them
MAX_INTEGER = 4  # bytes of an integer sample; in wider types, full scale is anyone's guess
EXPECTED = "expected samples (T,) or (C, T): float in -1 to 1, or integers of 8, 16 or 32 bits"


def check_rate(rate: Any) -> int:
    """The rate as an int. Raises AudioError unless it is a whole number of Hz within the supported range."""
    hz: Any = rate if isinstance(rate, Real) else 0
    if not MIN_RATE <= hz <= MAX_RATE or hz % 1:
        raise WrongAudioOption(
            f"rate = {shown(rate)}; expected a whole number of Hz, {MIN_RATE:,} to {MAX_RATE:,}, such as 48000"
        )
    return int(hz)


def as_samples(audio: Any, name: str = "audio") -> np.ndarray:
    """What a caller gives as samples -> float32, or float64 where float32 would round; the one rule of all functions.

    Floats are taken as they are. Integers of 8, 16 or 32 bits are divided by the full scale of their type, as
    soundfile does: int16 by 32768; unsigned ones have their zero in the middle, as in a WAV of 8 bits. Lists,
    tensors in main memory and all else that numpy takes are arrays too. The result may be the caller's array
    itself: read it only.
    Raises AudioError for other types (bool, complex, text, 64-bit integers), and for samples that are NaN,
    infinite or beyond MAX_MAGNITUDE.
    """
    array = _as_array(audio, name)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind in "iu" and size <= MAX_INTEGER:
        full_scale = 2.0 ** (8 * size - 1)
        scaled: np.ndarray = array.astype(np.float64 if size == MAX_INTEGER else np.float32)
        return (scaled - full_scale if kind == "u" else scaled) / full_scale
    if kind != "f":
        raise AudioError(f"{name} is {_type(audio, array)}; {EXPECTED}{_hint(audio, array)}")
    floats = array.astype(np.float32 if size <= 4 else np.float64, copy=False)
    with np.errstate(invalid="ignore"):  # a signalling NaN
        valid = np.abs(floats).max(initial=0) <= MAX_MAGNITUDE  # false for NaN too
    if not valid:
        first = int(np.argmin(np.abs(floats.reshape(-1)) <= MAX_MAGNITUDE))
        invalid = f"the first is {floats.reshape(-1)[first]:g}"
        raise AudioError(
            f"{name} has NaN, infinite or absurd samples, {invalid}; repair it first, such as with numpy.nan_to_num"
        )
    return floats


def as_channels(audio: Any, name: str = "audio") -> np.ndarray:
    """What a caller gives as `(T,)` or `(C, T)` -> float32 `(C, T)`, a view where possible.

    Raises AudioError as `as_samples`, and for another shape.
    """
    samples = as_samples(audio, name)
    check_shape(samples, name)
    return (samples if samples.ndim == 2 else samples[None]).astype(np.float32, copy=False)


def check_shape(samples: np.ndarray, name: str = "audio") -> None:
    """Raise AudioError unless the shape is `(T,)`, or `(C, T)` with a channel."""
    if samples.ndim not in (1, 2):
        raise AudioError(f"{name} has {samples.ndim} dimensions; expected (T,) or (C, T)")
    if samples.ndim == 2 and not len(samples):
        raise AudioError(f"{name} of shape {samples.shape} has no channel; expected (T,) or (C, T)")


def check_not_transposed(samples: np.ndarray) -> None:
    """Raise AudioError for an array that is probably `(T, C)`: more than 32 rows, and fewer columns than rows."""
    if samples.ndim == 2 and len(samples) > 32 and 0 < samples.shape[1] < len(samples):
        raise AudioError(f"audio of shape {samples.shape} looks like (T, C); give (C, T): audio.T")


def describe_clipping(samples: np.ndarray) -> str:
    """How many samples a coding of integers clips, since they lie beyond full scale, and their peak; "" for none.

    >>> describe_clipping(np.array([0.5, -2.0]))
    '1 samples above full scale (peak +6.0 dBFS)'
    """
    magnitude = np.abs(samples.astype(np.float32, copy=False))  # in float64, 1 + 1e-12 is round-off
    peak = magnitude.max(initial=0)
    if peak <= 1:
        return ""
    return f"{np.count_nonzero(magnitude > 1):,} samples above full scale (peak {20 * np.log10(peak):+.1f} dBFS)"


def _as_array(audio: Any, name: str) -> np.ndarray:
    if isinstance(audio, bytes | bytearray) or (isinstance(audio, memoryview) and audio.itemsize == 1):
        hint = "numpy.frombuffer(data, numpy.int16) makes them of raw bytes, unhiss.read(data) of a file's"
        raise AudioError(f"{name} is {_type(audio)}; {EXPECTED}; {hint}")  # numpy would take them for 8-bit samples
    try:
        return np.asarray(audio)
    except Exception as error:  # each library has its own: torch for a tensor on a GPU, numpy for ragged lists
        why = " ".join((str(error) or type(error).__name__).split())
        raise AudioError(f"{name} is {_type(audio)}, which numpy cannot read ({why}); {EXPECTED}") from error


def _type(audio: Any, array: np.ndarray | None = None) -> str:
    if array is not None and array.ndim and array.dtype.kind not in "OUS":
        return str(array.dtype)
    if isinstance(audio, np.ndarray):
        return f"an array of type {audio.dtype}"
    return shown(audio) if audio is None or isinstance(audio, str) else f"of type {type(audio).__name__}"


def _hint(audio: Any, array: np.ndarray) -> str:
    """The next step for samples of a type that is refused."""
    if isinstance(audio, str):
        return "; unhiss.read gives those of a file"
    if array.dtype.kind in "iu":
        return "; give it the type of the recording, such as numpy.asarray(audio, numpy.int16)"
    return "; take audio.real" if array.dtype.kind == "c" else ""


def smoothstep(x: Any) -> Any:
    """x^2 (3 - 2 x): rises from 0 to 1 for x from 0 to 1, with slope 0 at both ends. x: a number or an array.

    >>> smoothstep(0.0), smoothstep(0.5), smoothstep(1.0)
    (0.0, 0.5, 1.0)
    """
    return x * x * (3 - 2 * x)


def check_samples(block: np.ndarray, position: int, rate: int) -> str:
    """What is wrong with the first invalid sample of `(C, T)`: NaN, infinite or beyond MAX_MAGNITUDE; "" if none is.

    position: the number of samples before the block.
    """
    valid = np.abs(block) <= MAX_MAGNITUDE  # False for NaN
    if valid.all():
        return ""
    column = int(np.argmin(valid.all(axis=0)))
    value = block[:, column][~valid[:, column]][0]
    at = position + column
    return f"sample {at:,} ({at / rate:.2f} s) is {value:g}, no sound; repair it first"
