"""What microphones, phones and networks do to a recording: gain control that pumps, and lost packets."""

from __future__ import annotations

import numpy as np

TARGET_DB, MAX_GAIN_DB = (-30.0, -15.0), (6.0, 30.0)  # of gain control, re the recording's loudest frame
ATTACK_S, RELEASE_S = (0.02, 0.3), (0.3, 3.0)
PACKET_S, LOST_SHARE, BURST = (0.01, 0.06), (0.01, 0.12), (1, 4)
FADE_S = 0.002


def gain_control(rng: np.random.Generator, levels_db: np.ndarray, hop_s: float) -> np.ndarray:
    """Gains in dB `(T,)` of an automatic gain control that follows frame levels in dB `(T,)`.

    It drives the level to a target, falls fast and rises slowly, so that noise swells in pauses. The mean is 0 dB.
    """
    target, most = rng.uniform(*TARGET_DB), rng.uniform(*MAX_GAIN_DB)
    fall, rise = (np.exp(-hop_s / rng.uniform(*range_s)) for range_s in (ATTACK_S, RELEASE_S))
    goals = np.clip(target - (levels_db - levels_db.max()), -MAX_GAIN_DB[1], most)
    gains, gain = np.empty(len(goals)), float(goals[: max(1, int(0.5 / hop_s))].mean())
    for frame, goal in enumerate(goals):
        keep = fall if goal < gain else rise
        gain = keep * gain + (1 - keep) * goal
        gains[frame] = gain
    return np.asarray(gains - gains.mean())


def lost_packets(rng: np.random.Generator, length: int, rate: int) -> np.ndarray:
    """Gains float32 `(length,)`: 1, and 0 where packets are lost, alone or in short bursts."""
    size = int(rng.uniform(*PACKET_S) * rate)
    count = length // size + 1
    mask = np.ones(count * size, np.float32)
    for first in np.flatnonzero(rng.random(count) < rng.uniform(*LOST_SHARE)):
        mask[first * size : (first + rng.integers(*BURST)) * size] = 0
    fade = int(FADE_S * rate)
    sums = np.cumsum(np.pad(mask, (fade, 0), "edge"))
    return ((sums[fade:] - sums[:-fade]) / fade)[:length].astype(np.float32)
