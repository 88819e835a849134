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
    """Gains `(1, F, 1)` that give noise `(T, F, 2)` the mean spectrum of another `(T', F, 2)`; its level stays."""
    ratio = _smooth(_power(other).mean(0)) / _smooth(_power(noise).mean(0))
    return _bounded(ratio, _power(noise).mean(0))[None, :, None]


def envelope_of(noise: Tensor, other: Tensor) -> Tensor:
    """Gains `(T, 1, 1)` by which noise `(T, F, 2)` rises and falls as another `(T, F, 2)` does; its level stays."""
    power = functional.avg_pool1d(_power(other).sum(1)[None, None], SMOOTHING_FRAMES, 1, SMOOTHING_FRAMES // 2)[0, 0]
    return _bounded(power + 1e-12, _power(noise).sum(1))[:, None, None]


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.square().sum(-1) + 1e-12


def _smooth(power: Tensor) -> Tensor:
    """A power spectrum `(F,)`, smoothed over frequency in the logarithmic domain; the edge values are repeated."""
    half = SMOOTHING_BINS // 2
    padded = functional.pad(torch.log(power)[None, None], (half, half), mode="replicate")
    return torch.exp(functional.avg_pool1d(padded, SMOOTHING_BINS, 1)[0, 0])


def _bounded(ratio: Tensor, power: Tensor) -> Tensor:
    """Gains from ratios of power `(N,)`, within RANGE_DB of their median, that leave the mean of `power` as it is."""
    limit = 10 ** (RANGE_DB / 10)
    ratio = (ratio / ratio.median()).clamp(1 / limit, limit)
    return torch.sqrt(ratio * power.mean() / (ratio * power).mean())


def response_db(rng: np.random.Generator, hz: np.ndarray, range_db: float, resonances: bool) -> np.ndarray:
    """A random response `(F,)` in dB at `hz`: smooth within +- range_db, and with some resonances or holes in it."""
    octaves = np.log2(np.maximum(hz, 60) / 60)
    points = np.linspace(0, np.log2(24000 / 60), EQ_POINTS)
    curve = np.interp(octaves, points, rng.uniform(-1, 1, EQ_POINTS) * range_db)
    if resonances:
        for _ in range(int(rng.integers(*RESONANCES))):
            centre, width = rng.uniform(1, 7), rng.uniform(*RESONANCE_OCTAVES)  # from 120 Hz to 7.7 kHz
            curve += rng.uniform(*RESONANCE_DB) / (1 + ((octaves - centre) / (width / 2)) ** 2)
    return np.asarray(curve)
