"""Changes of playback speed and intermittent noise: more material from the same recordings."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unhiss.settings import AugmentConfig
from unhiss.train.batches import to_device

CHANGED_SHARE = 0.5  # of examples whose speech, and whose noise, is played at another speed
INTERVAL_S = (0.05, 1.0)  # how long intermittent noise lasts, and how long it pauses
PAUSE_DB = (-60.0, -15.0)  # its level in a pause
RAMP_S = (0.002, 0.05)


def draw_speeds(rng: np.random.Generator, config: AugmentConfig, size: int, split: str) -> np.ndarray:
    """Playback speeds of the speech and the noise of each example, `(2, B)`; 1 for all of validation."""
    most = np.log1p([[config.speed], [config.noise_speed]])
    drawn = np.exp(rng.uniform(-1, 1, (2, size)) * most)
    changed = (rng.random((2, size)) < CHANGED_SHARE) & (split == "train") & (most > 0)
    return np.where(changed, drawn, 1.0)


def change_speed(audio: Tensor, speeds: np.ndarray, length: int) -> Tensor:
    """The first `length` samples of each row of `(B, T)` played `speeds` times as fast; T >= length * speed + 3.

    Between samples, `catmull_rom`.
    """
    out = functional.pad(audio[:, :length], (0, max(0, length - audio.shape[1])))
    changed = np.flatnonzero(speeds != 1)
    if changed.size:
        rows, speed = to_device(changed, audio.device), to_device(speeds[changed], audio.device)[:, None]
        out[rows] = _interpolate(audio[rows], torch.arange(length, device=audio.device) * speed)
    return out


def _interpolate(audio: Tensor, position: Tensor) -> Tensor:
    """Values of `(B, T)` at fractional positions, float64 `(B, length)`."""
    index = position.long()
    t = (position - index).float()
    return catmull_rom([audio.gather(1, (index + step).clamp(min=0)) for step in (-1, 0, 1, 2)], t)


def catmull_rom(samples: list[Tensor], t: Tensor) -> Tensor:
    """Of four samples, between the two in the middle at the share t of the way: a cubic (Catmull and Rom 1974)."""
    a, b, c, d = samples
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def intermittent_levels_db(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Levels in dB, one a millisecond, of noise that sounds for an interval, then pauses for one."""
    ends = [0.0]
    while ends[-1] < seconds:
        ends.append(ends[-1] + float(np.exp(rng.uniform(*np.log(INTERVAL_S)))))
    ramp = rng.uniform(*RAMP_S)
    levels_db = np.where(np.arange(len(ends)) % 2 == rng.integers(2), rng.uniform(*PAUSE_DB), 0.0)
    times = np.repeat(ends, 2) + np.tile([0.0, ramp], len(ends))
    values = np.repeat(levels_db, 2)[1:]  # each level lasts until the next ramp starts
    points = np.arange(math.ceil(seconds * 1000)) / 1000
    return np.asarray(np.interp(points, np.maximum.accumulate(times[:-1]), values))


def intermittent_gains(rng: np.random.Generator, length: int, rate: int) -> np.ndarray:
    """`intermittent_levels_db` as gains float32 `(length,)`."""
    steps_db = intermittent_levels_db(rng, length / rate)
    return np.repeat((10 ** (steps_db / 20)).astype(np.float32), rate // 1000)[:length]
