"""What keeps a model from taking too much: a guard over clean speech, and a limit in dB.

X is the spectrum that came in, Y what the model made of it. The guard fades Y towards X where the model
finds next to no noise, since what it takes out then is speech:

    out = X + w (Y - X),    w = 1 in noise ... LEAST in clean speech

w follows an SNR of the model's own making, per channel: what it keeps, |Y|^2, over what it removes,
|X - Y|^2, both averaged over the last seconds. Neither looks ahead, and a gain on X changes neither.
"""

from __future__ import annotations

import math

import numpy as np

# Of `small` on validation mixtures at 20 dB: PESQ 2.90 with 20 and 28, 3.03 with 25 and 33, 3.06 with 28 and 38;
# clean speech then differs from the input by an SI-SDR of 33.0, 32.5 and 30.8 dB in the median.
FULL_DB = 25.0  # SNR up to which the model has its way
CLEAN_DB = 33.0  # SNR from which a recording counts as clean
LEAST = 0.1  # share of the model in clean speech: its errors there fall by 20 dB
ATTACK_S = 0.3  # averages rise fast, so that noise which sets in is met within a word
RELEASE_S = 1.5  # and fall slowly, 2.9 dB a second: neither a pause nor the time between two bangs is proof
# In speech a model always removes a little. Frame by frame, so much of what it keeps is not counted as noise;
# true noise still counts in every pause.
DISTORTION_DB = -15.0
# The share of X that is left in, 1 - w, moves by so much at most: a fade, never a step.
STEP_DB = 0.9
NOTHING_DB = -60.0  # that share, when it is taken for none


class Guard:
    """`guard.blend(spectrum, cleaned)`: X + w (Y - X) for each frame. State: three numbers a channel."""

    HELD = ("_states",)

    def __init__(self, channels: int, hop_s: float) -> None:
        self._rise, self._fall = math.exp(-hop_s / ATTACK_S), math.exp(-hop_s / RELEASE_S)
        # Energy kept, energy removed, share of X left in (dB). At first all is noise until proved speech.
        self._states = ((0.0, 0.0, NOTHING_DB),) * channels

    def blend(self, spectrum: np.ndarray, cleaned: np.ndarray) -> np.ndarray:
        """complex64 `(C, T, F)` twice -> what to give out."""
        return blended(spectrum, cleaned, self.share(spectrum, cleaned))

    def share(self, spectrum: np.ndarray, cleaned: np.ndarray) -> np.ndarray:
        """w of each frame, float32 `(C, T, 1)`, for complex64 `(C, T, F)`."""
        return self.follow(energy(cleaned), energy(spectrum - cleaned))

    def follow(self, kept: np.ndarray, removed: np.ndarray) -> np.ndarray:
        """w of each frame, float32 `(C, T, 1)`, for the energies `(C, T)` of Y and of X - Y."""
        shares, states = [], []
        for state, kept_row, removed_row in zip(self._states, kept.tolist(), removed.tolist(), strict=True):
            row = []
            for frame in zip(kept_row, removed_row, strict=True):
                state = self._next(*state, *frame)
                row.append(1 - 10 ** (state[2] / 20) if state[2] > NOTHING_DB else 1.0)
            shares.append(row)
            states.append(state)
        self._states = tuple(states)
        return np.array(shares, np.float32)[:, :, None]

    def _next(
        self, kept: float, removed: float, left_db: float, kept_now: float, removed_now: float
    ) -> tuple[float, float, float]:
        noise_now = max(0.0, removed_now - 10 ** (DISTORTION_DB / 10) * kept_now)
        kept = self._averaged(kept, kept_now)
        removed = self._averaged(removed, noise_now)
        wanted_db = left_in_db(kept, removed)
        return kept, removed, left_db + max(-STEP_DB, min(STEP_DB, wanted_db - left_db))

    def _averaged(self, before: float, now: float) -> float:
        keep = self._rise if now > before else self._fall
        return now + keep * (before - now)


def left_in_db(kept: float, removed: float) -> float:
    """The share of X to leave in, 20 log10(1 - w), for two energies; 1 - w is a smooth step of the SNR."""
    if kept <= 0:
        return NOTHING_DB
    snr_db = 10 * math.log10(kept / removed) if removed > 1e-12 * kept else CLEAN_DB
    place = min(1.0, max(0.0, (snr_db - FULL_DB) / (CLEAN_DB - FULL_DB)))
    share = (1 - LEAST) * place * place * (3 - 2 * place)
    return max(NOTHING_DB, 20 * math.log10(share)) if share > 0 else NOTHING_DB


def blended(spectrum: np.ndarray, cleaned: np.ndarray, share: np.ndarray) -> np.ndarray:
    """X + w (Y - X)."""
    return cleaned if (share == 1).all() else spectrum + share * (cleaned - spectrum)


def energy(spectrum: np.ndarray) -> np.ndarray:
    """complex64 `(C, T, F)` -> `(C, T)`, the sum of |.|^2."""
    parts = np.ascontiguousarray(spectrum).view(np.float32)
    total: np.ndarray = np.einsum("ctf,ctf->ct", parts, parts)
    return total


def limited(spectrum: np.ndarray, cleaned: np.ndarray, limit_db: float | np.ndarray) -> np.ndarray:
    """`cleaned`, but no bin more than `limit_db` below `spectrum`; a number, or `(C, 1, 1)`.

    With m = 10^(-limit_db / 20) and g = |Y| / |X|, where g < m:

        V = Y + (m - g) X,    out = m |X| V / |V|

    At g = m that is Y, at Y = 0 it is m X: the phase turns from the one to the other without a step. If Y
    points away from X and cancels it, m X is taken.
    """
    least = np.asarray(10 ** (-limit_db / 20), np.float32) * np.abs(spectrum)
    short = least - np.abs(cleaned)  # (m - g) |X|
    below = short > 0
    if not below.any():
        return cleaned
    source, size, floor = spectrum[below], np.abs(spectrum[below]), least[below]
    turned = cleaned[below] + short[below] / size * source
    turned_size = np.abs(turned)
    lost = turned_size < 1e-3 * floor
    turned, turned_size = np.where(lost, source, turned), np.where(lost, size, turned_size)
    out = cleaned.copy()
    out[below] = turned * (floor / turned_size)
    return out
