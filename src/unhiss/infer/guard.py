"""The guard keeps a model from damaging clean speech.

X is the noisy spectrum, Y the model's output. Where the model finds almost no noise, what it removes is speech;
there the guard fades Y towards X:

    out = X + w (Y - X),    w = 1 in noise ... MIN_WEIGHT in clean speech

w follows an SNR that the model itself implies, per channel: the energy it keeps, |Y|^2, over the energy it removes,
|X - Y|^2, both averaged over the last seconds. Nothing looks ahead, and a gain on the input changes nothing.
"""

import math

import numpy as np

from unhiss.dsp.audio import smoothstep

# Of `small` on validation mixtures at 20 dB: PESQ 2.90 with 20 and 28, 3.03 with 25 and 33, 3.06 with 28 and 38;
# clean speech then differs from the input by an SI-SDR of 33.0, 32.5 and 30.8 dB in the median.
NOISY_SNR_DB = 25.0  # up to this SNR the model's output counts in full
CLEAN_SNR_DB = 33.0  # from this SNR on a recording counts as clean
MIN_WEIGHT = 0.1  # of the model's output in clean speech: its errors there fall by 20 dB
ATTACK_S = 0.3  # averages rise fast, so that noise which begins is removed within a word
RELEASE_S = 1.5  # and fall slowly, 2.9 dB a second: neither a pause nor a gap between two impulses proves clean speech
# A model always removes a little of speech itself. In each frame this much, relative to what it keeps, does not
# count as noise; real noise still counts in every pause.
DISTORTION_DB = -15.0
# The weight of the input, 1 - w, changes by at most this much per frame: a fade, never a step.
STEP_DB = 0.9
FLOOR_DB = -60.0  # an input weight at this level counts as 0


class Guard:
    """The weights w of a stream, frame by frame: `guard.follow`. State: three numbers per channel."""

    STATE_FIELDS = ("_states",)

    def __init__(self, channels: int, hop_s: float) -> None:
        self._attack, self._release = math.exp(-hop_s / ATTACK_S), math.exp(-hop_s / RELEASE_S)
        # Energy kept, energy removed, input weight in dB. At the start all input counts as noise.
        self._states = ((0.0, 0.0, FLOOR_DB),) * channels

    def follow(self, kept: np.ndarray, removed: np.ndarray) -> np.ndarray:
        """w of each frame, float32 `(C, T, 1)`, for the energies `(C, T)` of Y and of X - Y."""
        weights, states = [], []
        for state, kept_row, removed_row in zip(self._states, kept.tolist(), removed.tolist(), strict=True):
            row = []
            for frame in zip(kept_row, removed_row, strict=True):
                state = self._next(*state, *frame)
                row.append(1 - 10 ** (state[2] / 20) if state[2] > FLOOR_DB else 1.0)
            weights.append(row)
            states.append(state)
        self._states = tuple(states)
        return np.array(weights, np.float32)[:, :, None]

    def _next(
        self, kept: float, removed: float, input_db: float, kept_now: float, removed_now: float
    ) -> tuple[float, float, float]:
        noise_now = max(0.0, removed_now - 10 ** (DISTORTION_DB / 10) * kept_now)
        kept = self._average(kept, kept_now)
        removed = self._average(removed, noise_now)
        target_db = input_weight_db(kept, removed)
        return kept, removed, input_db + max(-STEP_DB, min(STEP_DB, target_db - input_db))

    def _average(self, before: float, now: float) -> float:
        decay = self._attack if now > before else self._release
        return now + decay * (before - now)


def input_weight_db(kept: float, removed: float) -> float:
    """20 log10(1 - w) for the energies kept and removed; 1 - w is a smoothstep of the SNR in dB."""
    if kept <= 0:
        return FLOOR_DB
    snr_db = 10 * math.log10(kept / removed) if removed > 1e-12 * kept else CLEAN_SNR_DB
    position = min(1.0, max(0.0, (snr_db - NOISY_SNR_DB) / (CLEAN_SNR_DB - NOISY_SNR_DB)))
    weight = (1 - MIN_WEIGHT) * smoothstep(position)
    return max(FLOOR_DB, 20 * math.log10(weight)) if weight > 0 else FLOOR_DB


def blend(noisy: np.ndarray, denoised: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """X + w (Y - X)."""
    return denoised if (weight == 1).all() else noisy + weight * (denoised - noisy)


def energy(spectrum: np.ndarray) -> np.ndarray:
    """Sum of |.|^2 over the bins: complex64 `(C, T, F)` -> `(C, T)`."""
    parts = np.ascontiguousarray(spectrum).view(np.float32)
    total: np.ndarray = np.einsum("ctf,ctf->ct", parts, parts)
    return total
