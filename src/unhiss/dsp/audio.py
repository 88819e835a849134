"""What counts as audio: the limits of rates and samples, full scale, and the shape of an array."""

from typing import Any

import numpy as np

MAX_RATE = 10_000_000  # Hz; a header that states more is damaged, and soxr crashes on some such rates
MIN_RATE = 1000  # Hz; below it there is no speech, and a small file would last for days
MAX_MAGNITUDE = 2.0**31  # float recordings scaled as integers reach this; anything larger is damaged data
FULL_SCALE = 32768.0  # of 16-bit integers, as libsndfile scales them


def looks_transposed(audio: np.ndarray) -> bool:
    """Whether an array is probably `(T, C)`: it has more than 32 rows, and fewer columns than rows."""
    return audio.ndim == 2 and len(audio) > 32 and 0 < audio.shape[1] < len(audio)


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
