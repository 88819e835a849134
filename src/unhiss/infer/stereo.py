"""Keeps a stereo image: what both channels hold gets one mask, so that nothing moves between the speakers.

X is the spectrum of a channel that came in, Y what the model made of it. Each channel's own mask Y / X errs in
its own way, and a voice between the speakers would wander. The one factor that is nearest to both is

    M = sum_c Y_c conj(X_c) / sum_c |X_c|^2

How far it takes the place of the channels' own masks follows their coherence, bin by bin: one voice in both
channels is coherent; two people with a microphone each, or noise from all sides, are not.
"""

from __future__ import annotations

import math

import numpy as np

MEMORY_S = 0.16  # of the averages that coherence is made from
BESIDE = 3  # bins on either side that it is taken over too, so that even an onset is more than one number
APART, TOGETHER = 0.35, 0.7  # coherence up to which channels go their own way, and from which they share


class Image:
    """`image.keep(spectrum, cleaned)` for two channels. State: three averages a bin."""

    HELD = ("_powers", "_cross")

    def __init__(self, hop_s: float) -> None:
        self._decay = math.exp(-hop_s / MEMORY_S)
        self._powers: np.ndarray | None = None
        self._cross: np.ndarray | None = None

    def keep(self, spectrum: np.ndarray, cleaned: np.ndarray) -> np.ndarray:
        """complex64 `(2, T, F)` twice -> cleaned with what is common masked as one."""
        powers = spectrum.real**2 + spectrum.imag**2
        weight = self._together(_smooth(powers), _smooth(spectrum[0] * spectrum[1].conj()))
        shared = (cleaned * spectrum.conj()).sum(axis=0) / np.maximum(powers.sum(axis=0), 1e-20)
        kept: np.ndarray = cleaned + weight * (shared * spectrum - cleaned)
        return kept

    def _together(self, powers: np.ndarray, cross: np.ndarray) -> np.ndarray:
        """How far the channels share a mask, 0 to 1, float32 `(T, F)`."""
        # At first nothing is proved to be common.
        mean_powers = powers[:, 0] if self._powers is None else self._powers
        mean_cross = np.zeros_like(cross[0]) if self._cross is None else self._cross
        coherence = np.empty(cross.shape, np.float32)
        for frame in range(len(cross)):
            mean_powers = powers[:, frame] + np.float32(self._decay) * (mean_powers - powers[:, frame])
            mean_cross = cross[frame] + np.float32(self._decay) * (mean_cross - cross[frame])
            shares = np.abs(mean_cross) / np.maximum(mean_powers, 1e-30)  # of each channel; both fit in float32
            coherence[frame] = shares[0] * shares[1]
        self._powers, self._cross = mean_powers, mean_cross
        place = np.clip((coherence - APART) / (TOGETHER - APART), 0, 1)
        weight: np.ndarray = place * place * (3 - 2 * place)
        return weight


def _smooth(values: np.ndarray) -> np.ndarray:
    """Sums over neighbouring bins, the last axis."""
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(BESIDE, BESIDE)])
    bins = values.shape[-1]
    total: np.ndarray = np.add.reduce([padded[..., place : place + bins] for place in range(2 * BESIDE + 1)])
    return total
