"""Sound played faster or slower, and noise that comes and goes: more material from the same recordings."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unhiss.settings import AugmentConfig
from unhiss.train.mixtures import send

SHARE = 0.5  # of examples whose speech, and whose noise, is played at another speed
SPELL_S = (0.05, 1.0)  # how long noise is there, or away
AWAY_DB = (-60.0, -15.0)
RAMP_S = (0.002, 0.05)


def speeds(rng: np.random.Generator, config: AugmentConfig, size: int, split: str) -> np.ndarray:
    """How fast the speech and the noise of each example are played, `(2, B)`; validation keeps its own speed."""
    most = np.log1p([[config.speed], [config.noise_speed]])
    drawn = np.exp(rng.uniform(-1, 1, (2, size)) * most)
    chosen = (rng.random((2, size)) < SHARE) & (split == "train") & (most > 0)
    return np.where(chosen, drawn, 1.0)


def faster(audio: Tensor, speeds: np.ndarray, length: int) -> Tensor:
    """The first `length` samples of each row of `(B, T)` played `speeds` times as fast.

    Between samples lies the cubic through two on either side (Catmull and Rom 1974). T must reach
    length * speed + 3.
    """
    out = functional.pad(audio[:, :length], (0, max(0, length - audio.shape[1])))
    rows = np.flatnonzero(speeds != 1)
    if rows.size:
        where, speed = send(rows, audio.device), send(speeds[rows], audio.device)[:, None]
        out[where] = _between(audio[where], torch.arange(length, device=audio.device) * speed)
    return out


def _between(audio: Tensor, place: Tensor) -> Tensor:
    """Samples of `(B, T)` at float64 places `(B, length)`."""
    whole = place.long()
    t = (place - whole).float()
    a, b, c, d = (audio.gather(1, (whole + step).clamp(min=0)) for step in (-1, 0, 1, 2))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def gate(rng: np.random.Generator, length: int, rate: int) -> np.ndarray:
    """Gains float32 `(length,)` of noise that is there for a spell, then away for one."""
    ends, seconds = [0.0], length / rate
    while ends[-1] < seconds:
        ends.append(ends[-1] + float(np.exp(rng.uniform(*np.log(SPELL_S)))))
    ramp = rng.uniform(*RAMP_S)
    levels = np.where(np.arange(len(ends)) % 2 == rng.integers(2), rng.uniform(*AWAY_DB), 0.0)
    times = np.repeat(ends, 2) + np.tile([0.0, ramp], len(ends))
    values = np.repeat(levels, 2)[1:]  # each level holds until the next ramp begins
    points = np.arange(0, length, rate // 1000) / rate
    steps = np.interp(points, np.maximum.accumulate(times[:-1]), values)
    return np.repeat((10 ** (steps / 20)).astype(np.float32), rate // 1000)[:length]
