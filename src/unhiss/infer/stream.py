"""Stream: sound in, the same sound without noise out, a fixed short time later, block by block."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.dsp.polyphase import Polyphase
from unhiss.errors import AudioError, ModelError
from unhiss.infer import snapshot
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.checks import check_options, check_rate, checked
from unhiss.infer.engine import Engine, nearest_rate
from unhiss.infer.fader import Fader
from unhiss.infer.frame_model import FrameModel
from unhiss.infer.models import load
from unhiss.infer.owner import Owner
from unhiss.infer.queue import Queue
from unhiss.weights import DEFAULT


@dataclass(frozen=True, slots=True)
class Latency:
    """How much later a sound comes out than it went in: samples at the stream's rate, and milliseconds."""

    samples: int
    ms: float


class Stream:
    """Live sound: `Stream(48000).push(block)` gives a cleaned block of the same shape, `.latency` later.

    rate: Hz, any. channels: two are a stereo pair, whose image is kept; else each is cleaned by itself.
    model: name, .onnx file, or a CausalModel that streams share. atten_limit_db: take out at most so much
    (None: no limit). mix: 1 is the clean sound, 0 the input. bypass: give the input out, as late as ever.
    These three may be set while it runs, by any thread. guard: leave clean speech alone. All pushed and
    flushed, less the first `latency.samples`, is what `unhiss.denoise` gives, however it was cut. One thread at
    a time may use a stream; a second one gets an AudioError.
    Raises ModelError if there is no such model or it looks ahead, ConfigError for an option out of its range.
    """

    HELD = ("_flat",)  # of its own; the rest of its state is in its parts

    def __init__(
        self, rate: int, channels: int = 1, model: str | Path | CausalModel = DEFAULT, *,
        atten_limit_db: float | None = None, mix: float = 1.0, bypass: bool = False, guard: bool = True,
        threads: int = 1,
    ) -> None:  # fmt: skip
        check_rate(rate)
        check_options(atten_limit_db, mix, threads)
        if channels < 1:
            raise AudioError(f"channels = {channels}; expected 1 or more")
        self.rate, self.channels = int(rate), channels
        self.model = causal(model, threads)
        self._limit_db, self._mix, self._bypass, self._guard = atten_limit_db, mix, bool(bypass), guard
        self._owner = Owner()
        self.reset()

    def reset(self) -> None:
        """Forget all that was pushed; what was set stays."""
        with self._owner:
            self._begin()

    def _begin(self) -> None:
        own_rate = nearest_rate(self.rate)
        self._up = Polyphase(self.rate, own_rate, self.channels)
        self._engine = Engine(self.model, own_rate, self.channels, self._guard)
        self._down = Polyphase(own_rate, self.rate, self.channels)
        self._share = Fader(self._wanted_share, self.rate)  # of the clean sound in what is given out
        samples = _latency(self._up, self._engine.hop, self._down)
        self.latency = Latency(samples, samples / self.rate * 1000)
        silence = np.zeros((self.channels, samples), np.float32)
        self._ready = Queue(silence)  # to be given out
        self._waiting = Queue(silence)  # input whose cleaned samples are not given out yet, for the mix
        self._flat = self.channels == 1

    # What may change while sound runs. A property each, so that a wrong value is refused where it is set; `push`
    # then fades to the new one.

    @property
    def atten_limit_db(self) -> float | None:
        """Take out at most so many dB; None: no limit."""
        return self._limit_db

    @atten_limit_db.setter
    def atten_limit_db(self, limit_db: float | None) -> None:
        check_options(limit_db, self._mix, 1)
        self._limit_db = limit_db

    @property
    def mix(self) -> float:
        """1 is the clean sound, 0 the input."""
        return self._mix

    @mix.setter
    def mix(self, mix: float) -> None:
        check_options(self._limit_db, mix, 1)
        self._mix = mix

    @property
    def bypass(self) -> bool:
        """Whether the input is given out; the model hears it all the same, so that it is ready to come back."""
        return self._bypass

    @bypass.setter
    def bypass(self, bypass: bool) -> None:
        self._bypass = bool(bypass)

    @property
    def _wanted_share(self) -> float:
        return 0.0 if self._bypass else float(self._mix)

    def copy(self) -> Stream:
        """A stream that goes on from here by itself; the model is shared."""
        with self._owner:
            twin = copy.copy(self)
            twin._owner = Owner()
            for name in ("_up", "_down", "_share", "_ready", "_waiting"):
                setattr(twin, name, copy.copy(getattr(self, name)))
            twin._engine = self._engine.copy()
        return twin

    def save(self) -> bytes:
        """All that `Stream.load` or `restore` needs to go on from here elsewhere, with the same samples.

        A safetensors file without the model; see unhiss.infer.snapshot. For `small`, 34 to 50 kB a channel.
        """
        with self._owner:
            return snapshot.gather(self._parts, {**self._kind, **self._options})

    def restore(self, data: bytes) -> None:
        """Go on from where the stream was that `save` was called on; what was set there is set here.

        Raises ModelError for a stream of another model, rate or number of channels, and for bytes that are
        damaged or no such state; this one is then unchanged.
        """
        facts, held = snapshot.read(data)
        for name, own in self._kind.items():
            if facts.get(name) != own:
                raise ModelError(f"the state of a stream with {name} = {facts.get(name)}; this one has {own}")
        with self._owner:
            fresh = Stream(self.rate, self.channels, self.model, **{name: facts[name] for name in self._options})
            snapshot.scatter(fresh._parts, held)
            vars(self).update(vars(fresh) | {"_owner": self._owner})

    @classmethod
    def load(cls, data: bytes, model: str | Path | CausalModel | None = None, *, threads: int = 1) -> Stream:
        """The stream that was saved. model: needed where it is no installed one. Raises ModelError as `restore`."""
        facts, _ = snapshot.read(data)
        stream = cls(facts["rate"], facts["channels"], facts["model"] if model is None else model, threads=threads)
        stream.restore(data)
        return stream

    @property
    def _kind(self) -> dict[str, Any]:
        """What a state must have in common with a stream to fit it."""
        names = {"model": self.model.name, "rate": self.rate, "channels": self.channels}
        return {**names, "fingerprint": self.model.fingerprint, "latency": self.latency.samples}

    @property
    def _options(self) -> dict[str, Any]:
        return {"atten_limit_db": self._limit_db, "mix": self._mix, "bypass": self._bypass, "guard": self._guard}

    @property
    def _parts(self) -> dict[str, Any]:
        parts = {"stream": self, "up": self._up, "engine": self._engine, "down": self._down, "share": self._share}
        return parts | {"ready": self._ready, "waiting": self._waiting} | self._engine.parts

    def push(self, block: np.ndarray) -> np.ndarray:
        """float `(C, T)`, or `(T,)` of one channel, of any length -> float32 of the same shape.

        Raises AudioError for NaN or infinite samples and for a wrong shape; the stream is then unchanged.
        """
        with self._owner:
            return self._push(block)

    def _push(self, block: np.ndarray) -> np.ndarray:
        spectrum = self._analyse(block)
        cleaned, self.state = self.model.run(spectrum, self.state)
        return self._synthesise(block, spectrum, cleaned)

    def flush(self) -> np.ndarray:
        """The last `latency.samples` samples; the stream is then as new."""
        with self._owner:
            shape = (self.latency.samples,) if self._flat else (self.channels, self.latency.samples)
            rest = self._push(np.zeros(shape, np.float32))
            self._begin()
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
        with self._owner:
            return self._analyse(block)

    def synthesise(self, block: np.ndarray, spectrum: np.ndarray, cleaned: np.ndarray) -> np.ndarray:
        """Last step: what `push` gives for the block whose spectra were cleaned."""
        with self._owner:
            return self._synthesise(block, spectrum, cleaned)

    def _analyse(self, block: np.ndarray) -> np.ndarray:
        return self._engine.analyse(self._enter(block))

    def _synthesise(self, block: np.ndarray, spectrum: np.ndarray, cleaned: np.ndarray) -> np.ndarray:
        return self._leave(block, self._engine.synthesise(spectrum, cleaned, self._limit))

    @property
    def _limit(self) -> float:
        return np.inf if self._limit_db is None else self._limit_db

    def _enter(self, block: np.ndarray) -> np.ndarray:
        """A block at the engine's rate."""
        sound = self._checked(block)
        self._waiting.push(sound.copy())  # the caller may use the array again
        return self._up.push(sound)

    def _leave(self, block: np.ndarray, clean: np.ndarray) -> np.ndarray:
        """What is given out for a block, now that the engine gave so much."""
        self._ready.push(self._down.push(clean))
        size = np.shape(block)[-1]
        out, share = self._ready.take(size), self._share.take(self._wanted_share, size)
        if isinstance(share, float) and share == 1:
            self._waiting.drop(size)
        else:
            out = np.float32(share) * out + np.float32(1 - share) * self._waiting.take(size)
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
            "choose a causal model (unhiss models lists them)"
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
