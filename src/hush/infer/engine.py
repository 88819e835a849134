"""A causal model on sound at one of its own rates: frames, the guard and the limit, overlap-add.

samples   0 ........ H ........ 2H ....... 3H        H: the hop, 16 ms; a frame covers two
frame 0   |==== half new ====|                       (before sample 0 there are zeros)
frame 1              |==== half new ====|
given out when frame 1 is through:  H … 2H           so a sample waits for 2H = 32 ms at most
"""

from __future__ import annotations

import copy
import math

import numpy as np

from hush.dsp.stft import window
from hush.errors import ModelError
from hush.infer.causal_model import CausalModel
from hush.infer.guard import Guard, limited

RATES = (8000, 12000, 16000, 24000, 32000, 48000, 96000)  # 32 ms have bins of 31.25 Hz at all of them
UNIT = 512  # samples: spectra are scaled as if every window had so many, so a rate changes no level


def nearest_rate(rate: int) -> int:
    """The rate to work at: the next of RATES above, or the last."""
    return next((own for own in RATES if own >= rate), RATES[-1])


class Engine:
    """Three steps that many streams may share the middle of.

    spectrum = engine.analyse(audio)                                  (C, T) -> (C, frames, F)
    cleaned, engine.state = model.run(spectrum, engine.state)         streams along the first axis
    audio = engine.synthesise(spectrum, cleaned)                      (C, frames * hop)

    Given out is the input from its start, whole hops, each as soon as its second frame is complete.
    """

    def __init__(self, model: CausalModel, rate: int, channels: int, limit_db: float, guard: bool) -> None:
        size = round(model.window_s * rate)
        if size % 2 or abs(size - model.window_s * rate) > 1e-6:
            raise ModelError(f"{model.name}: a window of {model.window_s} s is no even number of samples at {rate} Hz")
        self.hop = size // 2
        root = np.sqrt(window(size))  # its square and the square half a window on add up to one
        self._before, self._after = root * np.float32(UNIT / size), root * np.float32(size / UNIT)
        self._limit_db = limit_db
        self._guard = Guard(channels, model.window_s / 2) if guard else None
        self.state = model.start(channels)
        # Arrays of a state are replaced, never written to, so that a shallow copy is a copy.
        self._tail = np.zeros((channels, self.hop), np.float32)  # input of which frames are still to come
        self._carry = np.zeros((channels, self.hop), np.float32)  # second half of the last frame
        self._begun = False

    def copy(self) -> Engine:
        twin = copy.copy(self)
        twin._guard = copy.copy(self._guard)
        return twin

    def analyse(self, audio: np.ndarray) -> np.ndarray:
        """The spectra of the frames that `audio` completes, complex64 `(C, frames, F)`; maybe none."""
        held = np.concatenate([self._tail, audio], axis=1)
        count = held.shape[1] // self.hop - 1
        self._tail = held[:, count * self.hop :]
        hops = held[:, : (count + 1) * self.hop].reshape(len(held), count + 1, self.hop)
        frames = np.concatenate([hops[:, :-1], hops[:, 1:]], axis=2) * self._before
        spectrum: np.ndarray = np.fft.rfft(frames, axis=2) if count else np.zeros((len(held), 0, self.hop + 1))
        return spectrum.astype(np.complex64, copy=False)

    def synthesise(self, spectrum: np.ndarray, cleaned: np.ndarray) -> np.ndarray:
        """The sound that cleaned frames complete, float32 `(C, whole hops)`."""
        if not cleaned.shape[1]:
            return self._carry[:, :0]
        if self._guard:
            cleaned = spectrum + self._guard.share(spectrum, cleaned) * (cleaned - spectrum)
        if math.isfinite(self._limit_db):
            cleaned = limited(spectrum, cleaned, self._limit_db)
        frames = np.fft.irfft(cleaned, 2 * self.hop, axis=2).astype(np.float32, copy=False) * self._after
        ends = np.concatenate([self._carry[:, None], frames[:, :-1, self.hop :]], axis=1)
        out = (frames[:, :, : self.hop] + ends).reshape(len(frames), -1)
        self._carry = frames[:, -1, self.hop :]
        begun, self._begun = self._begun, True
        return out if begun else out[:, self.hop :]  # the first frame's first half lies before the input
