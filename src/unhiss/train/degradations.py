"""What microphones, phones and networks do to a recording: gain control that pumps, and lost packets."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from unhiss.train.batches import to_device

TARGET_DB, MAX_GAIN_DB = (-30.0, -15.0), (6.0, 30.0)  # of gain control, re the recording's loudest frame
ATTACK_S, RELEASE_S = (0.02, 0.3), (0.3, 3.0)
PACKET_S, LOST_SHARE, BURST = (0.01, 0.06), (0.01, 0.12), (1, 4)


def gain_control(rng: np.random.Generator, levels_db: Tensor, hop_s: float) -> Tensor:
    """Gains in dB `(B, T)` of automatic gain controls that follow frame levels in dB `(B, T)`.

    Each drives the level to a target, falls fast and rises slowly, so that noise swells in pauses: the lower one of two
    means over time. The mean gain is 0 dB.
    """
    device, (size, frames) = levels_db.device, levels_db.shape
    drawn = (rng.uniform(*bounds, (size, 1)).astype(np.float32) for bounds in (TARGET_DB, MAX_GAIN_DB))
    target, most = (to_device(values, device) for values in drawn)
    goals = target - (levels_db - levels_db.amax(1, keepdim=True))
    goals = torch.minimum(goals, most).clamp(min=-MAX_GAIN_DB[1])
    start = goals[:, : max(1, int(0.5 / hop_s))].mean(1, keepdim=True)
    age = torch.arange(frames, device=device)
    age = age[:, None] - age
    gains = []
    for range_s in (ATTACK_S, RELEASE_S):
        rate = to_device((hop_s / rng.uniform(*range_s, (size, 1, 1))).astype(np.float32), device)
        weights = torch.where(age >= 0, torch.exp(-rate * age.clamp(min=0)), 0) * (1 - torch.exp(-rate))
        gains.append(start + ((goals - start)[:, None] * weights).sum(2))
    slower = torch.minimum(*gains)
    return slower - slower.mean(1, keepdim=True)


def lost_packets(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Gains `(milliseconds,)`: 1, and 0 where packets are lost, alone or in short bursts."""
    size = int(1000 * rng.uniform(*PACKET_S))
    count = int(1000 * seconds) // size + 1
    mask = np.ones(count * size)
    for first in np.flatnonzero(rng.random(count) < rng.uniform(*LOST_SHARE)):
        mask[first * size : (first + rng.integers(*BURST)) * size] = 0
    return mask[: math.ceil(1000 * seconds)]
