"""Stream: sound in, the same sound without noise out, a fixed short time later, block by block."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hush.dsp.polyphase import Polyphase
from hush.errors import AudioError, ModelError
from hush.infer.causal_model import CausalModel
from hush.infer.checks import check_options, check_rate, checked
from hush.infer.engine import Engine, nearest_rate
from hush.infer.frame_model import FrameModel
from hush.infer.models import load
from hush.weights import DEFAULT


@dataclass(frozen=True, slots=True)
class Latency:
    """How much later a sound comes out than it went in: samples at the stream's rate, and milliseconds."""

    samples: int
    ms: float


class Stream:
    """Live sound: `Stream(48000).push(block)` gives a cleaned block of the same shape, `.latency` later.

    rate: Hz, any. channels: two are a stereo pair, whose image is kept; else each is cleaned by itself.
    model: name, .onnx file, or a CausalModel that streams share. atten_limit_db: take out at most so much
    (None: no limit). mix: 1 is the clean sound, 0 the input. guard: leave clean speech alone. All pushed and
    flushed, less the first `latency.samples`, is what `hush.denoise` gives, however it was cut. One thread at
    a time may use a stream.
    Raises ModelError if there is no such model or it looks ahead, ConfigError for an option out of its range.
    """

    def __init__(
        self, rate: int, channels: int = 1, model: str | Path | CausalModel = DEFAULT, *,
        atten_limit_db: float | None = None, mix: float = 1.0, guard: bool = True, threads: int = 1,
    ) -> None:  # fmt: skip
        check_rate(rate)
        check_options(atten_limit_db, mix, threads)
        if channels < 1:
            raise AudioError(f"channels = {channels}; expected 1 or more")
        self.rate, self.channels = int(rate), channels
        self.model = causal(model, threads)
        self._mix, self._guard = mix, guard
        self._limit_db = np.inf if atten_limit_db is None else atten_limit_db
        self.reset()

    def reset(self) -> None:
        """Forget all that was pushed."""
        own_rate = nearest_rate(self.rate)
        self._up = Polyphase(self.rate, own_rate, self.channels)
        self._engine = Engine(self.model, own_rate, self.channels, self._limit_db, self._guard)
        self._down = Polyphase(own_rate, self.rate, self.channels)
        samples = _latency(self._up, self._engine.hop, self._down)
        self.latency = Latency(samples, samples / self.rate * 1000)
        self._ready = np.zeros((self.channels, samples), np.float32)  # to be given out
        self._waiting = self._ready  # input whose cleaned samples are not given out yet, for the mix
        self._flat = self.channels == 1

    def copy(self) -> Stream:
        """A stream that goes on from here by itself; the model is shared."""
        twin = copy.copy(self)
        twin._up, twin._engine, twin._down = copy.copy(self._up), self._engine.copy(), copy.copy(self._down)
        return twin

    def push(self, block: np.ndarray) -> np.ndarray:
        """float `(C, T)`, or `(T,)` of one channel, of any length -> float32 of the same shape.

        Raises AudioError for NaN or infinite samples and for a wrong shape; the stream is then unchanged.
        """
        spectrum = self.analyse(block)
        cleaned, self.state = self.model.run(spectrum, self.state)
        return self.synthesise(block, spectrum, cleaned)

    def flush(self) -> np.ndarray:
        """The last `latency.samples` samples; the stream is then as new."""
        shape = (self.latency.samples,) if self._flat else (self.channels, self.latency.samples)
        rest = self.push(np.zeros(shape, np.float32))
        self.reset()
        return rest

    # `push` in three steps, so that several streams may share one call of the model: the spectra of those
    # with the same number of frames, and their states, side by side along the first axis.

    @property
    def state(self) -> np.ndarray:
        """The model's state, `(C, S)`."""
        return self._engine.state

    @state.setter
    def state(self, state: np.ndarray) -> None:
        self._engine.state = state

    def analyse(self, block: np.ndarray) -> np.ndarray:
        """First step: the spectra of the frames that a block completes, complex64 `(C, frames, F)`."""
        sound = self._checked(block)
        if self._mix < 1:
            self._waiting = np.concatenate([self._waiting, sound], axis=1)
        return self._engine.analyse(self._up.push(sound))

    def synthesise(self, block: np.ndarray, spectrum: np.ndarray, cleaned: np.ndarray) -> np.ndarray:
        """Last step: what `push` gives for the block whose spectra were cleaned."""
        sound = self._down.push(self._engine.synthesise(spectrum, cleaned))
        ready, size = np.concatenate([self._ready, sound], axis=1), np.shape(block)[-1]
        out, self._ready = ready[:, :size], ready[:, size:]
        if self._mix < 1:
            noisy, self._waiting = self._waiting[:, :size], self._waiting[:, size:]
            out = np.float32(self._mix) * out + np.float32(1 - self._mix) * noisy
        return out.reshape(np.shape(block))

    def _checked(self, block: np.ndarray) -> np.ndarray:
        sound = checked(block)
        if len(sound) != self.channels:
            wanted = "(T,) or (1, T)" if self.channels == 1 else f"({self.channels}, T)"
            raise AudioError(f"a block of shape {np.shape(block)}; expected {wanted}")
        self._flat = np.ndim(block) == 1
        return sound


def causal(model: str | Path | FrameModel | CausalModel, threads: int) -> CausalModel:
    """A model that can stream. Raises ModelError for one that looks ahead."""
    found = load(model, threads) if isinstance(model, str | Path) else model
    if not isinstance(found, CausalModel):
        raise ModelError(
            f"{found.name} looks {found.latency_ms:.0f} ms ahead and cannot stream; "
            "choose a causal model (hush models lists them)"
        )
    return found


def _latency(up: Polyphase, hop: int, down: Polyphase) -> int:
    """Samples to wait before the first is given out, so that the next is always there.

    With b input samples to every a of the model's rate, sample s of the output needs, of each stage's input:

        down:    floor(s a / b) + 1 + down.reach          =: n cleaned samples
        engine:  ceil(n / hop) hop + hop < n + 2 hop      =: k samples of the model's rate
        up:      floor((k - 1) b / a) + 1 + up.reach      samples of the input

    which is at most s + 1 + (down.reach + 2 hop - 1) b / a + up.reach. As many have come in when s is due,
    latency + s + 1, if latency is that sum less s + 1; one more sample of the model's rate makes it 2 hop,
    the window, at the rates of the model's own.
    """
    return (down.reach + 2 * hop) * up.down // up.up + up.reach
