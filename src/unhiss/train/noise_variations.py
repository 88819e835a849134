"""Noise made of other noise: the spectrum or the envelope of another recording laid over it, in the STFT domain."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SMOOTHING_BINS = 25  # of spectra, 0.8 kHz
SMOOTHING_FRAMES = 3
RANGE_DB = 20.0  # of a gain
EQ_POINTS = 9  # of a random response, evenly over log frequency from 60 Hz to 24 kHz
RESONANCES, RESONANCE_DB, RESONANCE_OCTAVES = (1, 4), (-15.0, 12.0), (0.08, 0.5)


def spectrum_of(noise: Tensor, other: Tensor) -> Tensor:
    """Gains `(B, 1, F, 1)` that give noise `(B, T, F, 2)` the mean spectrum of another; its level stays."""
    own = _power(noise).mean(1)
    return _bounded(_smooth(_power(other).mean(1)) / _smooth(own), own)[:, None, :, None]


def envelope_of(noise: Tensor, other: Tensor) -> Tensor:
    """Gains `(B, T, 1, 1)` by which noise `(B, T, F, 2)` rises and falls as another does; its level stays."""
    power = functional.avg_pool1d(_power(other).sum(2)[:, None], SMOOTHING_FRAMES, 1, SMOOTHING_FRAMES // 2)[:, 0]
    return _bounded(power + 1e-12, _power(noise).sum(2))[:, :, None, None]


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.square().sum(-1) + 1e-12


def _smooth(power: Tensor) -> Tensor:
    """Power spectra `(B, F)`, smoothed over frequency in the logarithmic domain; the edge values are repeated."""
    half = SMOOTHING_BINS // 2
    padded = functional.pad(torch.log(power)[:, None], (half, half), mode="replicate")
    return torch.exp(functional.avg_pool1d(padded, SMOOTHING_BINS, 1)[:, 0])


def _bounded(ratio: Tensor, power: Tensor) -> Tensor:
    """Gains from ratios of power `(B, N)`, within RANGE_DB of their median, that leave the mean of `power` as it is."""
    limit = 10 ** (RANGE_DB / 10)
    ratio = (ratio / ratio.median(1, keepdim=True).values).clamp(1 / limit, limit)
    return torch.sqrt(ratio * power.mean(1, keepdim=True) / (ratio * power).mean(1, keepdim=True))


def responses_db(rng: np.random.Generator, hz: np.ndarray, range_db: float, resonant: np.ndarray) -> np.ndarray:
    """Random responses `(B, F)` in dB at `hz`: smooth within +- range_db; of the rows `resonant` `(B,)` with resonances
    or holes in them."""
    octaves = np.log2(np.maximum(hz, 60) / 60)
    position = octaves / np.log2(24000 / 60) * (EQ_POINTS - 1)
    straight = np.maximum(0, 1 - np.abs(position - np.arange(EQ_POINTS)[:, None]))  # lines between the points
    curves = rng.uniform(-range_db, range_db, (len(resonant), EQ_POINTS)) @ straight
    rows = np.flatnonzero(resonant)
    counts = rng.integers(*RESONANCES, rows.size)
    for number in range(RESONANCES[1] - 1):
        ranges = (1.0, 7.0), RESONANCE_DB, RESONANCE_OCTAVES  # centres in octaves above 60 Hz: 120 Hz to 7.7 kHz
        centre, height, width = (rng.uniform(low, high, (rows.size, 1)) for low, high in ranges)
        peak = height / (1 + ((octaves - centre) / (width / 2)) ** 2)
        curves[rows] += np.where(counts[:, None] > number, peak, 0)
    return np.asarray(curves)
