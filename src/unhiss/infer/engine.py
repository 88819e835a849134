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

from unhiss.dsp.stft import window
from unhiss.errors import ModelError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.guard import Guard, limited
from unhiss.infer.stereo import Image

RATES = (8000, 12000, 16000, 24000, 32000, 48000, 96000)  # 32 ms have bins of 31.25 Hz at all of them
UNIT = 512  # samples: spectra are scaled as if every window had so many, so a rate changes no level


def nearest_rate(rate: int) -> int:
    """The rate to work at: the next of RATES above, or the last."""
    return next((own for own in RATES if own >= rate), RATES[-1])


class Engine:
    """Three steps that many streams may share the middle of.

    spectrum = engine.analyse(audio)                                  (C, T) -> (C, frames, F)
    cleaned, engine.state = model.run(spectrum, engine.state)         streams along the first axis
    audio = engine.synthesise(spectrum, cleaned, limit_db)            (C, frames * hop)

    Given out is the input from its start, whole hops, each as soon as its second frame is complete.
    """

    HELD = ("state", "_tail", "_carry", "_begun")  # what a copy takes along; the rest follows from how it was made

    def __init__(self, model: CausalModel, rate: int, channels: int, guard: bool) -> None:
        size = round(model.window_s * rate)
        if size % 2 or abs(size - model.window_s * rate) > 1e-6:
            raise ModelError(f"{model.name}: a window of {model.window_s} s is no even number of samples at {rate} Hz")
        self.hop = size // 2
        root = np.sqrt(window(size)).reshape(2, -1)  # its square and the square half a window on add up to one
        self._before, self._after = root * np.float32(UNIT / size), root * np.float32(size / UNIT)
        self.image = Image(model.window_s / 2) if channels == 2 else None
        self.guard = Guard(channels, model.window_s / 2) if guard else None
        self.state = model.start(channels)
        # Arrays of a state are replaced, never written to, so that a shallow copy is a copy.
        self._tail = np.zeros((channels, self.hop), np.float32)  # input of which frames are still to come
        self._carry = np.zeros((channels, self.hop), np.float32)  # second half of the last frame
        self._begun = False

    def copy(self) -> Engine:
        twin = copy.copy(self)
        twin.guard, twin.image = copy.copy(self.guard), copy.copy(self.image)
        return twin

    @property
    def parts(self) -> dict[str, Guard | Image]:
        """What has a state of its own beside the frames, by name."""
        return {name: part for name, part in (("guard", self.guard), ("image", self.image)) if part}

    def analyse(self, audio: np.ndarray) -> np.ndarray:
        """The spectra of the frames that `audio` completes, complex64 `(C, frames, F)`; maybe none."""
        return self.spectra(self.hold(audio))

    def synthesise(self, spectrum: np.ndarray, cleaned: np.ndarray, limit_db: float) -> np.ndarray:
        """The sound that cleaned frames complete, float32 `(C, whole hops)`.

        limit_db may differ from call to call: frames fade into each other, so it never leaps.
        """
        if not cleaned.shape[1]:
            return self._carry[:, :0]
        if self.image:
            cleaned = self.image.keep(spectrum, cleaned)
        if self.guard:
            cleaned = self.guard.blend(spectrum, cleaned)
        if math.isfinite(limit_db):
            cleaned = limited(spectrum, cleaned, limit_db)
        return self.join(*self.halves(cleaned))

    # Of these steps, `hold` and `join` know what came before; the others are the same for all streams of a rate.

    def hold(self, audio: np.ndarray) -> np.ndarray:
        """The hops whose frames `audio` completes and the one that each begins with, `(C, frames + 1, hop)`."""
        held = np.concatenate([self._tail, audio], axis=1)
        count = held.shape[1] // self.hop - 1
        self._tail = held[:, count * self.hop :]
        return held[:, : (count + 1) * self.hop].reshape(len(held), count + 1, self.hop)

    def spectra(self, hops: np.ndarray) -> np.ndarray:
        """Hops of any streams, `(C, frames + 1, hop)` -> complex64 `(C, frames, F)`."""
        channels, count = len(hops), hops.shape[1] - 1
        if not count:
            return np.zeros((channels, 0, self.hop + 1), np.complex64)
        frames = np.empty((channels, count, 2, self.hop), np.float32)
        np.multiply(hops[:, :-1], self._before[0], out=frames[:, :, 0])
        np.multiply(hops[:, 1:], self._before[1], out=frames[:, :, 1])
        spectrum: np.ndarray = np.fft.rfft(frames.reshape(channels, count, 2 * self.hop), axis=2)
        return spectrum.astype(np.complex64, copy=False)

    def halves(self, cleaned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both halves of the windowed frames of any streams, `(C, frames, F)` -> twice `(C, frames, hop)`."""
        frames = np.fft.irfft(cleaned, 2 * self.hop, axis=2).astype(np.float32, copy=False)
        return frames[:, :, : self.hop] * self._after[0], frames[:, :, self.hop :] * self._after[1]

    def join(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Overlap-add of both halves of the next frames; `starts` is written to."""
        starts[:, 0] += self._carry
        starts[:, 1:] += ends[:, :-1]
        self._carry = ends[:, -1]
        out = starts.reshape(len(starts), -1)
        begun, self._begun = self._begun, True
        return out if begun else out[:, self.hop :]  # the first frame's first half lies before the input
