"""Denoiser: recordings and files in, the same without noise out, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from hush.dsp.audio import LOUDEST, Resampler, Writer, blocks, info, turned
from hush.errors import AudioError, ConfigError
from hush.infer.frame_model import FrameModel
from hush.weights import DEFAULT, find

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
    at most so much (None: no limit). mix: 1 is the clean sound, 0 the input. end_to_end: the reference's
    own frames, put end to end without overlap (clicks at the seams; for comparison). threads: 0 takes
    all cores. `.rate`: Hz the model works at; `.latency_ms`: how far it looks ahead.
    Raises ModelError if there is no such model, ConfigError for an option out of its range.
    """

    def __init__(
        self, model: str | Path = DEFAULT, *, atten_limit_db: float | None = None, mix: float = 1.0,
        end_to_end: bool = False, threads: int = 0,
    ) -> None:  # fmt: skip
        if atten_limit_db is not None and not atten_limit_db >= 0:
            raise ConfigError(f"atten_limit_db = {atten_limit_db}; expected dB from 0 (nothing is taken out), or None")
        if not 0 <= mix <= 1:
            raise ConfigError(f"mix = {mix}; expected 0 (the input) to 1 (all clean)")
        if threads < 0:
            raise ConfigError(f"threads = {threads}; expected 1 or more, or 0 for all cores")
        if end_to_end and atten_limit_db is not None:
            raise ConfigError("atten_limit_db does not go with end_to_end; leave one of them out")
        self._model = FrameModel(find(model), threads)
        self._limit_db = np.inf if atten_limit_db is None else atten_limit_db
        self._mix, self._end_to_end = mix, end_to_end
        self.name, self.rate, self.latency_ms = self._model.name, self._model.rate, self._model.latency_ms

    def __call__(self, audio: np.ndarray, rate: int) -> np.ndarray:
        """float `(T,)` or `(C, T)` at `rate` Hz -> float32 of the same shape, denoised.

        Raises AudioError for NaN or infinite samples and for an array that looks like `(T, C)`.
        """
        sound = _checked(audio, rate)
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
        """Two passes over the input; the blocks of the second add up to exactly the samples that came in."""
        if self._end_to_end:
            return self._fitted(source, rate, channels, self._model.clean_end_to_end)
        reference = np.ones(channels, np.float32)
        if self._model.scaling == "file":
            reference = self._model.reference(_resampled(source(), rate, self.rate, channels), channels)
        return self._fitted(source, rate, channels, lambda inside: self._model.clean(inside, reference, self._limit_db))

    def _fitted(
        self, source: Open, rate: int, channels: int,
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

        inside = clean(_resampled(noted(), rate, self.rate, channels))
        for block in _resampled(inside, self.rate, rate, channels):
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


def _checked(audio: np.ndarray, rate: int) -> np.ndarray:
    """`(C, T)` float32 view or copy of a caller's array. Raises AudioError."""
    audio = np.asarray(audio)
    if not (rate > 0 and int(rate) == rate):
        raise AudioError(f"rate = {rate}; expected a whole number of Hz above 0, such as 48000")
    if audio.ndim not in (1, 2):
        raise AudioError(f"audio has {audio.ndim} dimensions; expected (T,) or (C, T)")
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioError(f"audio is {audio.dtype}; expected float in -1 to 1, such as audio / 32768 for int16")
    if turned(audio):
        raise AudioError(f"audio of shape {audio.shape} looks like (T, C); give (C, T): audio.T")
    if not (np.abs(audio) <= LOUDEST).all():
        raise AudioError("audio holds NaN, infinite or absurd samples; repair it first, such as with numpy.nan_to_num")
    return np.atleast_2d(audio.astype(np.float32, copy=False))


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
    audio: np.ndarray, rate: int, *, model: str | Path = DEFAULT, atten_limit_db: float | None = None, mix: float = 1.0
) -> np.ndarray:
    """Denoise float audio `(T,)` or `(C, T)` at `rate` Hz; float32 of the same shape comes back.

    model: an installed name or an .onnx path. atten_limit_db: take out at most so much. mix: 1 is the
    clean sound, 0 the input. Raises AudioError, ModelError and ConfigError.
    """
    return _shared(model, atten_limit_db=atten_limit_db, mix=mix)(audio, rate)


def denoise_file(
    source: str | Path, target: str | Path, *, model: str | Path = DEFAULT, atten_limit_db: float | None = None,
    mix: float = 1.0, force: bool = False, subtype: str | None = None,
) -> FileReport:  # fmt: skip
    """Denoise a file into another; rate, channels, number of samples and tags stay. See Denoiser.file."""
    denoiser = _shared(model, atten_limit_db=atten_limit_db, mix=mix)
    return denoiser.file(source, target, force=force, subtype=subtype)
