"""Links the masks of a stereo pair, so that sound common to both channels keeps its position between the speakers.

X is the noisy spectrum of a channel, Y the model's output. The masks Y / X of the two channels have different errors,
so a voice between the speakers would wander. The single mask nearest to both is

    M = sum_c Y_c conj(X_c) / sum_c |X_c|^2

How far it replaces the channels' own masks follows their coherence, bin by bin: one voice in both channels is
coherent; two speakers with a microphone each, or diffuse noise, are not.
"""

import math

import numpy as np

from unhiss.dsp.audio import smoothstep

MEMORY_S = 0.16  # time constant of the averages behind the coherence
NEIGHBOURS = 3  # bins on each side included in the averages, so that even an onset has more than one value
INCOHERENT, COHERENT = 0.35, 0.7  # up to the first the masks stay separate, from the second on they are linked


class StereoLinker:
    """`linker.apply(noisy, denoised)` for two channels. State: three averages per bin."""

    STATE_FIELDS = ("_powers", "_cross")

    def __init__(self, hop_s: float) -> None:
        self._decay = math.exp(-hop_s / MEMORY_S)
        self._powers: np.ndarray | None = None
        self._cross: np.ndarray | None = None

    def apply(self, noisy: np.ndarray, denoised: np.ndarray) -> np.ndarray:
        """complex64 `(2, T, F)` twice -> denoised spectra with coherent bins masked alike."""
        powers = noisy.real**2 + noisy.imag**2
        weight = self._link_weight(_smooth(powers), _smooth(noisy[0] * noisy[1].conj()))
        mask = (denoised * noisy.conj()).sum(axis=0) / np.maximum(powers.sum(axis=0), 1e-20)
        linked: np.ndarray = denoised + weight * (mask * noisy - denoised)
        return linked

    def _link_weight(self, powers: np.ndarray, cross: np.ndarray) -> np.ndarray:
        """How far the channels share a mask, 0 to 1, float32 `(T, F)`."""
        # Until there is an average, nothing counts as coherent.
        mean_powers = powers[:, 0] if self._powers is None else self._powers
        mean_cross = np.zeros_like(cross[0]) if self._cross is None else self._cross
        coherence = np.empty(cross.shape, np.float32)
        for frame in range(len(cross)):
            mean_powers = powers[:, frame] + np.float32(self._decay) * (mean_powers - powers[:, frame])
            mean_cross = cross[frame] + np.float32(self._decay) * (mean_cross - cross[frame])
            ratios = np.abs(mean_cross) / np.maximum(mean_powers, 1e-30)  # per channel; both fit in float32
            coherence[frame] = ratios[0] * ratios[1]
        self._powers, self._cross = mean_powers, mean_cross
        weight: np.ndarray = smoothstep(np.clip((coherence - INCOHERENT) / (COHERENT - INCOHERENT), 0, 1))
        return weight


def _smooth(values: np.ndarray) -> np.ndarray:
    """Sums over neighbouring bins, the last axis."""
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(NEIGHBOURS, NEIGHBOURS)])
    bins = values.shape[-1]
    total: np.ndarray = np.add.reduce([padded[..., shift : shift + bins] for shift in range(2 * NEIGHBOURS + 1)])
    return total
