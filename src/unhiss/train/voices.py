"""Speech varied as voices are: other sizes of the vocal tract, other speeds, and several people in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from unhiss.train.batches import to_device
from unhiss.train.stft import WINDOW_S

FORMANT_BINS = 257  # formants lie below 8 kHz
SMOOTHING_HZ = 160.0  # of an envelope: the standard deviation, near the distance of two harmonics
FORMANT_RANGE_DB = 12.0  # a gain is never more, whatever the envelope does
LN_10 = 2.302585
FLOOR = 1e-5  # of the loudest bin of a frame, below which an envelope is flat
TURN_S, GAP_S = (0.7, 2.4), (0.05, 0.8)  # how long one of several people speaks, and the pause before the next


@dataclass(frozen=True)
class Turn:
    """One stretch of speech: samples `first` to `last` of an example, by which person, at which level."""

    first: int
    last: int
    person: int
    level_db: float


def draw_turns(
    rng: np.random.Generator, length: int, rate: int, people: int, levels_db: tuple[float, float]
) -> list[Turn]:
    """People speaking in turn until `length` samples are full; one person alone speaks all the time.

    Levels are drawn from levels_db, one for each person, and shifted so that the loudest turn has 0 dB.
    """
    if people == 1:
        return [Turn(0, length, 0, 0.0)]
    levels = rng.uniform(*levels_db, people)
    turns: list[Turn] = []
    first, number = 0, 0
    while first < length - TURN_S[0] * rate / 2:
        last = min(length, first + int(rng.uniform(*TURN_S) * rate))
        turns.append(Turn(first, last, number % people, float(levels[number % people])))
        first, number = last + int(rng.uniform(*GAP_S) * rate), number + 1
    loudest = max(turn.level_db for turn in turns)
    return [replace(turn, level_db=turn.level_db - loudest) for turn in turns]


@cache
def _smoothing() -> Tensor:
    """`(257, 257)`: rows are Gaussian weights over the neighbouring bins, adding up to one."""
    hz = torch.arange(FORMANT_BINS) / WINDOW_S
    weights = torch.exp(-0.5 * ((hz[:, None] - hz[None]) / SMOOTHING_HZ) ** 2)
    return weights / weights.sum(1, keepdim=True)


def formant_gains(spectrum: Tensor, factors: np.ndarray) -> Tensor:
    """Gains `(B, T, F, 1)` that move the formants of spectra `(B, T, F, 2)` to `factors` `(B,)` times their frequency.

    The envelope is the logarithm of the power below 8 kHz, smoothed over frequency; the gain is its ratio to itself
    at f / factor. Pitch stays. Above 8 kHz the gain of 8 kHz holds.
    """
    smoothing = _smoothing().to(spectrum.device)
    position = np.minimum(np.arange(FORMANT_BINS) / factors[:, None], FORMANT_BINS - 1.001).astype(np.float32)
    below, part = (to_device(values, spectrum.device) for values in (position.astype(np.int64), position % 1))
    moved = smoothing[below] * (1 - part)[..., None] + smoothing[below + 1] * part[..., None]
    power = spectrum[:, :, :FORMANT_BINS].square().sum(-1)
    power = power + FLOOR * power.amax(2, keepdim=True) + 1e-12
    limit = FORMANT_RANGE_DB / 20 * LN_10
    gain = torch.exp((torch.log(power) @ (moved - smoothing).transpose(1, 2) / 2).clamp(-limit, limit))
    above = gain[:, :, -1:].expand(-1, -1, spectrum.shape[2] - FORMANT_BINS)
    return torch.cat([gain, above], 2)[..., None]
