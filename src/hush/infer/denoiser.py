"""Denoiser: recordings and files in, the same without noise out, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from hush.dsp.audio import Resampler, Writer, blocks, info
from hush.errors import AudioError, ConfigError
from hush.infer.causal_model import CausalModel
from hush.infer.checks import check_not_turned, check_options, check_rate, checked
from hush.infer.models import load
from hush.infer.stream import Stream
from hush.weights import DEFAULT

BLOCK_S = 2.0  # seconds read at a time
Open = Callable[[], Iterable[np.ndarray]]  # the input from its start, as blocks (C, T)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What denoising one file took: seconds of audio, seconds of work, and what the file is."""

    source: str
    target: str
    model: str
    seconds: float
    elapsed_s: float
    rate: int
    channels: int

    @property
    def times_real_time(self) -> float:
        return self.seconds / max(1e-9, self.elapsed_s)


class Denoiser:
    """A model ready to work: `Denoiser("unet")(audio, rate)`.

    model: an installed name (see `hush.models()`) or the path of an .onnx file. atten_limit_db: take out
    at most so much (None: no limit). mix: 1 is the clean sound, 0 the input. guard: leave clean speech alone
    (causal models). end_to_end: the reference's own frames, put end to end without overlap (frame models;
    clicks at the seams; for comparison). threads: 0 takes all cores. `.rate`: Hz the model works at, None
    for a causal one, which takes any; `.latency_ms`: how far it looks ahead, or holds sound back.
    Raises ModelError if there is no such model, ConfigError for an option out of its range.
    """

    def __init__(
        self, model: str | Path = DEFAULT, *, atten_limit_db: float | None = None, mix: float = 1.0,
        guard: bool = True, end_to_end: bool = False, threads: int = 0,
    ) -> None:  # fmt: skip
        check_options(atten_limit_db, mix, threads)
        if end_to_end and atten_limit_db is not None:
            raise ConfigError("atten_limit_db does not go with end_to_end; leave one of them out")
        self._model = load(model, threads)
        if end_to_end and isinstance(self._model, CausalModel):
            raise ConfigError(f"end_to_end is for frame models, and {self._model.name} is causal; leave it out")
        self._limit_db = atten_limit_db
        self._mix, self._guard, self._end_to_end = mix, guard, end_to_end
        self.name, self.latency_ms = self._model.name, self._model.latency_ms
        self.rate = None if isinstance(self._model, CausalModel) else self._model.rate

    def __call__(self, audio: np.ndarray, rate: int) -> np.ndarray:
        """float `(T,)` or `(C, T)` at `rate` Hz -> float32 of the same shape, denoised.

        Raises AudioError for NaN or infinite samples and for an array that looks like `(T, C)`.
        """
        check_rate(rate)
        check_not_turned(audio)
        sound = checked(audio)
        out = list(self._stream(lambda: [sound], rate, len(sound)))
        return np.concatenate([sound[:, :0], *out], axis=1).reshape(np.shape(audio))

    def file(self, source: str | Path, target: str | Path, *, force: bool = False, subtype: str | None = None,
             progress: Callable[[float], None] = lambda share: None) -> FileReport:  # fmt: skip
        """Denoise a file into another of the same rate, channels, number of samples and tags.

        subtype: libsndfile's name of the coding to write; the source's if None. `progress` gets the
        share done, 0 to 1. Raises AudioError if the source cannot be read or the target exists (without
        force) or cannot be written; nothing half-written is left.
        """
        source, target = Path(source), Path(target)
        started = time.perf_counter()
        facts = info(source)
        check_target(source, target, force)
        written = 0
        with Writer(target, facts, subtype) as out:
            stream = self._stream(lambda: blocks(source, int(BLOCK_S * facts.rate)), facts.rate, facts.channels)
            for block in stream:
                out.write(block)
                written += block.shape[1]
                progress(min(1.0, written / max(1, facts.frames)))
        return FileReport(
            source=str(source), target=str(target), model=self.name, seconds=written / facts.rate,
            elapsed_s=time.perf_counter() - started, rate=facts.rate, channels=facts.channels,
        )  # fmt: skip

    def _stream(self, source: Open, rate: int, channels: int) -> Iterator[np.ndarray]:
        """Blocks that add up to exactly the samples that came in; one pass over them, or two if a level is needed."""
        model, limit_db = self._model, np.inf if self._limit_db is None else self._limit_db
        if isinstance(model, CausalModel):
            return self._live(model, source, rate, channels)
        if self._end_to_end:
            return self._fitted(source, rate, channels, model.rate, model.clean_end_to_end)
        reference = np.ones(channels, np.float32)
        if model.scaling == "file":
            reference = model.reference(_resampled(source(), rate, model.rate, channels), channels)
        return self._fitted(source, rate, channels, model.rate, lambda part: model.clean(part, reference, limit_db))

    def _live(self, model: CausalModel, source: Open, rate: int, channels: int) -> Iterator[np.ndarray]:
        """A recording as a stream of it, less the latency at its start."""
        stream = Stream(rate, channels, model, atten_limit_db=self._limit_db, mix=self._mix, guard=self._guard)
        late, size = stream.latency.samples, max(1, int(BLOCK_S * rate))
        for block in source():
            for first in range(0, block.shape[1], size):  # an array comes as one block
                out = stream.push(block[:, first : first + size])
                yield out[:, late:]
                late = max(0, late - out.shape[1])
        yield stream.flush()[..., late:].reshape(channels, -1)

    def _fitted(
        self, source: Open, rate: int, channels: int, own_rate: int,
        clean: Callable[[Iterator[np.ndarray]], Iterator[np.ndarray]],
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """`clean` at the model's rate, cut or filled to the input's length, and mixed with the input.

        No stage gives a sample before it got the same one, so cutting to what came in so far is safe.
        """
        held = np.zeros((channels, 0), np.float32)  # what came in and did not go out yet

        def noted() -> Iterator[np.ndarray]:
            nonlocal held
            for block in source():
                held = np.concatenate([held, block], axis=1)
                yield block

        inside = clean(_resampled(noted(), rate, own_rate, channels))
        for block in _resampled(inside, own_rate, rate, channels):
            size = min(block.shape[1], held.shape[1])
            if size:
                yield self._mixed(block[:, :size], held[:, :size])
                held = held[:, size:]
        if held.shape[1]:
            yield self._mixed(np.zeros_like(held), held)

    def _mixed(self, clean: np.ndarray, noisy: np.ndarray) -> np.ndarray:
        if self._mix == 1:
            return clean
        return np.float32(self._mix) * clean + np.float32(1 - self._mix) * noisy


def _resampled(stream: Iterable[np.ndarray], from_rate: int, to_rate: int, channels: int) -> Iterator[np.ndarray]:
    resampler = Resampler(from_rate, to_rate, channels)
    for block in stream:
        yield resampler.push(block)
    yield resampler.flush()


def check_target(source: Path, target: Path, force: bool) -> None:
    """Refuse a target that would be lost or cannot be written. Raises AudioError."""
    if target.is_dir():
        raise AudioError(f"{target} is a folder; name a file in it, such as {target / source.name}")
    if target.exists():
        if target.samefile(source):
            raise AudioError(f"{target} is the input itself; choose another output")
        if not force:
            raise AudioError(f"{target} exists; --force (in Python force=True) overwrites it")
    if not target.parent.is_dir():
        raise AudioError(f"{target.parent} is no folder; make it first: mkdir -p {target.parent}")


@lru_cache(maxsize=2)
def _shared(model: str | Path, **options: float | None) -> Denoiser:
    return Denoiser(model, **options)  # type: ignore[arg-type]


def denoise(
    audio: np.ndarray, rate: int, *, model: str | Path = DEFAULT, atten_limit_db: float | None = None,
    mix: float = 1.0, guard: bool = True,
) -> np.ndarray:  # fmt: skip
    """Denoise float audio `(T,)` or `(C, T)` at `rate` Hz; float32 of the same shape comes back.

    model: an installed name or an .onnx path. atten_limit_db: take out at most so much. mix: 1 is the
    clean sound, 0 the input. guard: leave clean speech alone (causal models). Raises AudioError, ModelError
    and ConfigError.
    """
    return _shared(model, atten_limit_db=atten_limit_db, mix=mix, guard=guard)(audio, rate)


def denoise_file(
    source: str | Path, target: str | Path, *, model: str | Path = DEFAULT, atten_limit_db: float | None = None,
    mix: float = 1.0, guard: bool = True, force: bool = False, subtype: str | None = None,
) -> FileReport:  # fmt: skip
    """Denoise a file into another; rate, channels, number of samples and tags stay. See Denoiser.file."""
    denoiser = _shared(model, atten_limit_db=atten_limit_db, mix=mix, guard=guard)
    return denoiser.file(source, target, force=force, subtype=subtype)
