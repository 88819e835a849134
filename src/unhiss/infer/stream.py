"""Stream: live audio in, the same audio denoised out, a fixed short time later, block by block."""

import copy
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from unhiss.arguments import check_count
from unhiss.dsp.audio import as_channels, check_rate
from unhiss.dsp.polyphase import Polyphase
from unhiss.errors import AudioError, ConfigError, ModelError, shown
from unhiss.infer import snapshot
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.checks import check_options
from unhiss.infer.dry_wet import DryWetMixer
from unhiss.infer.engine import Engine, nearest_rate, process
from unhiss.infer.models import load_causal
from unhiss.weights import DEFAULT


@dataclass(frozen=True, slots=True)
class Latency:
    """Delay from input to output: samples at the stream's rate, and milliseconds."""

    samples: int
    ms: float


class _NonBlockingLock:
    """A lock that raises AudioError where another thread holds it, instead of waiting: audio that waits is late."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise AudioError(
                "this stream is in use in another thread; give each thread a Stream of its own, "
                "or pass all blocks to one thread in their order"
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __deepcopy__(self, _: object) -> "_NonBlockingLock":
        return _NonBlockingLock()


class Stream:
    """Denoise live audio: `Stream(48000).push(block)` returns a block of the same shape, delayed by `.latency`.

    rate: Hz, any. channels: two are a stereo pair, whose image is kept; else each is denoised by itself.
    model: name, .onnx file, or a CausalModel that streams share. atten_limit_db: the most attenuation (None: no
    limit). mix: 1 is denoised, 0 the input. bypass: output the input, at the same latency. These three may be set
    while the stream runs, by any thread. All output of `push` and `flush`, without the first `latency.samples`, is
    what `unhiss.denoise` returns, however the input was cut. Only one thread at a time may use a stream; a second
    one gets an AudioError.
    Raises ModelError if there is no such model or it looks ahead, ConfigError for an option out of range.
    """

    STATE_FIELDS = ("_flat",)  # of this object; its parts have the rest

    def __init__(
        self, rate: int, channels: int = 1, model: str | Path | CausalModel = DEFAULT, *,
        atten_limit_db: float | None = None, mix: float = 1.0, bypass: bool = False, threads: int = 1,
    ) -> None:  # fmt: skip
        check_options(atten_limit_db, mix, threads, bypass=bypass)
        check_count("channels", channels, 1, "1 or more")
        self.rate, self.channels = check_rate(rate), int(channels)
        self.model = load_causal(model, threads)
        self._limit_db, self._mix = atten_limit_db, mix
        self.bypass = bypass  # whether the output is the input; the model still runs, so that its state is current
        self._lock = _NonBlockingLock()
        self.reset()

    def __repr__(self) -> str:
        channels = f"{self.channels} channel{'s' * (self.channels > 1)}"
        state = f"latency {self.latency.ms:.1f} ms{', bypass' * bool(self.bypass)}"
        return f"<Stream of {channels} at {self.rate} Hz, model {self.model.name}, {state}>"

    def reset(self) -> None:
        """Forget all input; the options stay."""
        with self._lock:
            self._reset()

    def _reset(self) -> None:
        engine_rate = nearest_rate(self.rate)
        self._up = Polyphase(self.rate, engine_rate, self.channels)
        self._engine = Engine(self.model, engine_rate, self.channels)
        self._down = Polyphase(engine_rate, self.rate, self.channels)
        samples = _latency(self._up, self._engine.hop, self._down)
        self.latency = Latency(samples, samples / self.rate * 1000)
        self._mixer = DryWetMixer(self.rate, self.channels, samples, self._effective_mix)
        self._flat = self.channels == 1  # whether blocks are (T,)

    # Options with a range are properties, so that a wrong value is refused where it is set; `push` fades to the new.

    @property
    def atten_limit_db(self) -> float | None:
        """The most attenuation in dB; None: no limit."""
        return self._limit_db

    @atten_limit_db.setter
    def atten_limit_db(self, limit_db: float | None) -> None:
        check_options(limit_db, self._mix)
        self._limit_db = limit_db

    @property
    def mix(self) -> float:
        """1 is denoised, 0 the input."""
        return self._mix

    @mix.setter
    def mix(self, mix: float) -> None:
        check_options(self._limit_db, mix)
        self._mix = mix

    @property
    def speech_probability(self) -> np.ndarray | None:
        """Probability that somebody speaks in the newest frame of 32 ms, `(C,)`; None if the model gives none.

        It is about the end of the input so far, not of the output, which is later; 0 before the first frame.
        """
        return self._engine.state[:, 0].copy() if self.model.has_speech else None

    @property
    def _effective_mix(self) -> float:
        return 0.0 if self.bypass else float(self._mix)

    def push(self, block: ArrayLike) -> np.ndarray:
        """`(C, T)`, or `(T,)` of one channel, of any length -> float32 of the same shape.

        block: float, or integers, which are scaled by their type (see unhiss.dsp.audio.as_samples).
        Raises AudioError for NaN or infinite samples and for a wrong shape; the stream is then unchanged.
        """
        with self._lock:
            return _push([self], [block])[0]

    @staticmethod
    def push_many(streams: "Sequence[Stream]", blocks: Sequence[ArrayLike]) -> list[np.ndarray]:
        """`[stream.push(block) ...]` of different streams, equal up to the order of float32 sums, in fewer calls.

        Streams of the same model and rate share one call of the model. Raises AudioError as `push` does; all of the
        streams are then unchanged.
        """
        _check_many(streams, blocks)
        with ExitStack() as locks:
            for stream in streams:
                locks.enter_context(stream._lock)
            return _push(streams, blocks)

    def flush(self) -> np.ndarray:
        """The last `latency.samples` samples; afterwards the stream is as new."""
        with self._lock:
            shape = (self.latency.samples,) if self._flat else (self.channels, self.latency.samples)
            rest = _push([self], [np.zeros(shape, np.float32)])[0]
            self._reset()
            return rest

    def _check(self, block: Any) -> np.ndarray:
        """A block as float32 `(C, T)`. Raises AudioError."""
        audio = as_channels(block, "block")
        if len(audio) != self.channels:
            expected = "(T,) or (1, T)" if self.channels == 1 else f"({self.channels}, T)"
            raise AudioError(f"a block of shape {np.shape(block)}; expected {expected}")
        return audio

    def _resample_input(self, audio: np.ndarray) -> np.ndarray:
        """Queue a block for the mix, and return what is complete at the engine's rate."""
        self._mixer.dry.push(audio.copy())  # the caller may reuse the array
        return self._up.push(audio)

    def _output(self, size: int, denoised: np.ndarray) -> np.ndarray:
        """The next `size` samples, once the engine has returned `denoised` for a block of that size."""
        self._mixer.wet.push(self._down.push(denoised))
        out = self._mixer.take(size, self._effective_mix)
        return out[0] if self._flat else out

    def copy(self) -> Self:
        """An independent stream with the same state; the model is shared."""
        with self._lock:
            return copy.deepcopy(self, {id(self.model): self.model})

    def save(self) -> bytes:
        """The state, from which `Stream.load` or `restore` continues elsewhere with the same samples.

        A safetensors file without the model; see unhiss.infer.snapshot. For `small`, 34 to 50 kB per channel.
        """
        with self._lock:
            return snapshot.serialize(self._parts, {**self._identity, **self._options})

    def restore(self, data: bytes) -> None:
        """Continue from the state in `data`, options included.

        Raises ModelError for the state of another model, rate or number of channels, and for bytes that are
        damaged or no state; this stream is then unchanged.
        """
        metadata, values = snapshot.parse(data)
        for name, own in self._identity.items():
            if metadata.get(name) != own:
                raise ModelError(f"the state of a stream with {name} = {metadata.get(name)}; this one has {own}")
        with self._lock:
            fresh = Stream(self.rate, self.channels, self.model, **{name: metadata[name] for name in self._options})
            snapshot.assign(fresh._parts, values)
            vars(self).update(vars(fresh) | {"_lock": self._lock})

    @classmethod
    def load(cls, data: bytes, model: str | Path | CausalModel | None = None, *, threads: int = 1) -> Self:
        """A stream with the saved state. model: needed unless it is an installed one. Raises as `restore`."""
        metadata, _ = snapshot.parse(data)
        model = metadata["model"] if model is None else model
        stream = cls(metadata["rate"], metadata["channels"], model, threads=threads)
        stream.restore(data)
        return stream

    @property
    def _identity(self) -> dict[str, Any]:
        """What a state and a stream must have in common."""
        names = {"model": self.model.name, "rate": self.rate, "channels": self.channels}
        return {**names, "fingerprint": self.model.fingerprint, "latency": self.latency.samples}

    @property
    def _options(self) -> dict[str, Any]:
        return {"atten_limit_db": self._limit_db, "mix": self._mix, "bypass": bool(self.bypass)}

    @property
    def _parts(self) -> dict[str, Any]:
        mixer = {"dry": self._mixer.dry, "wet": self._mixer.wet, "fader": self._mixer.fader}
        parts = {"stream": self, "up": self._up, "engine": self._engine, "down": self._down}
        return parts | mixer | ({"linker": self._engine.linker} if self._engine.linker else {})


def _check_many(streams: Any, blocks: Any) -> None:
    """Raise ConfigError unless each of several streams has a block."""
    if not isinstance(streams, Sequence) or not all(isinstance(stream, Stream) for stream in streams):
        raise ConfigError(f"streams = {shown(streams)}; expected a list of Streams")
    if not isinstance(blocks, Sequence | np.ndarray) or len(blocks) != len(streams):
        many = len(blocks) if hasattr(blocks, "__len__") else shown(blocks)
        raise ConfigError(f"{len(streams)} streams, and blocks = {many}; expected a list of one block for each stream")


def _push(streams: Sequence[Stream], blocks: Sequence[ArrayLike]) -> list[np.ndarray]:
    audio = [stream._check(block) for stream, block in zip(streams, blocks, strict=True)]  # all, before one advances
    for stream, block in zip(streams, blocks, strict=True):
        stream._flat = np.ndim(block) == 1
    inputs = [stream._resample_input(block) for stream, block in zip(streams, audio, strict=True)]
    limits_db = [np.inf if stream._limit_db is None else stream._limit_db for stream in streams]
    outputs = process([stream._engine for stream in streams], inputs, limits_db)
    return [
        stream._output(block.shape[1], denoised)
        for stream, block, denoised in zip(streams, audio, outputs, strict=True)
    ]


def _latency(up: Polyphase, hop: int, down: Polyphase) -> int:
    """Samples of delay with which the queue of denoised samples never runs dry.

    With b input samples for every a at the engine's rate, sample s of the output needs, of each stage's input:

        down:    floor(s a / b) + 1 + down.reach          =: n denoised samples
        engine:  ceil(n / hop) hop + hop < n + 2 hop      =: k samples at the engine's rate
        up:      floor((k - 1) b / a) + 1 + up.reach      samples of the input

    which is at most s + 1 + (down.reach + 2 hop - 1) b / a + up.reach. When sample s is due, latency + s + 1 input
    samples have arrived, so the latency is that sum less s + 1. One more sample at the engine's rate makes it 2 hop,
    the window, where nothing is resampled.
    """
    return (down.reach + 2 * hop) * up.down // up.up + up.reach
