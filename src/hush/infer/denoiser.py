"""Denoiser: recordings and files in, the same without noise out, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from hush.dsp.audio import Resampler, Writer, blocks, info
from hush.errors import AudioError
from hush.infer.frame_model import FrameModel, surrounded
from hush.weights import DEFAULT, find

BLOCK_S = 2.0  # seconds read at a time


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

    model: an installed name (see `hush.models()`) or the path of an .onnx file. end_to_end: the
    reference's own frames, put end to end without overlap (clicks at the seams; for comparison).
    threads: 0 takes all cores. Raises ModelError if there is no such model.
    """

    def __init__(self, model: str | Path = DEFAULT, *, end_to_end: bool = False, threads: int = 0) -> None:
        self._model = FrameModel(find(model), threads)
        self.end_to_end = end_to_end
        self.name, self.rate = self._model.name, self._model.rate

    def __call__(self, audio: np.ndarray, rate: int) -> np.ndarray:
        """float `(T,)` or `(C, T)` at `rate` Hz -> float32 of the same shape, denoised.

        Raises AudioError for NaN or infinite samples and for an array that looks like `(T, C)`.
        """
        sound = _checked(audio)
        out = np.concatenate(
            [sound[:, :0], *self._stream(lambda: iter([sound]), rate, len(sound), sound.shape[1])], axis=1
        )
        return out.reshape(audio.shape)

    def file(self, source: str | Path, target: str | Path, *, force: bool = False, subtype: str | None = None,
             progress: Callable[[float], None] = lambda share: None) -> FileReport:  # fmt: skip
        """Denoise a file into another of the same rate, channels and number of samples.

        `progress` gets the share done, 0 to 1. Raises AudioError if the source cannot be read or the
        target exists (without force) or cannot be written; nothing half-written is left.
        """
        source, target = Path(source), Path(target)
        started = time.perf_counter()
        facts = info(source)
        check_target(source, target, force)
        total = max(1, _count(source) if facts.format == "MP3" else facts.frames)

        def open_blocks() -> Iterator[np.ndarray]:
            return blocks(source, int(BLOCK_S * facts.rate))

        written = 0
        with Writer(target, facts.rate, facts.channels, subtype or facts.subtype) as out:
            for block in self._stream(open_blocks, facts.rate, facts.channels, total):
                out.write(block)
                written += block.shape[1]
                progress(written / total)
        return FileReport(
            source=str(source), target=str(target), model=self.name, seconds=written / facts.rate,
            elapsed_s=time.perf_counter() - started, rate=facts.rate, channels=facts.channels,
        )  # fmt: skip

    def _stream(
        self, open_blocks: Callable[[], Iterable[np.ndarray]], rate: int, channels: int, length: int
    ) -> Iterator[np.ndarray]:
        """Two passes over the input, the second one's output cut to exactly as many samples as came in."""
        reference = 0.0
        if not self.end_to_end and self._model.scaling == "file":
            reference = self._model.reference(_resampled(open_blocks(), rate, self.rate, channels))
        came = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal came
            for block in open_blocks():
                came += block.shape[1]
                yield block

        inside = _resampled(counted(), rate, self.rate, channels)
        if self.end_to_end:
            cleaned = self._model.clean_end_to_end(inside)
        else:
            cleaned = self._model.clean(surrounded(inside, channels), reference)
        gone = 0
        for block in _resampled(cleaned, self.rate, rate, channels):
            block = block[:, : length - gone]
            gone += block.shape[1]
            if block.shape[1]:
                yield block
        if came > gone:
            yield np.zeros((channels, came - gone), np.float32)


def _resampled(stream: Iterable[np.ndarray], from_rate: int, to_rate: int, channels: int) -> Iterator[np.ndarray]:
    resampler = Resampler(from_rate, to_rate, channels)
    for block in stream:
        yield resampler.push(block)
    yield resampler.flush()


def _count(path: Path) -> int:
    """Samples an MP3 really decodes to; its header only estimates them."""
    return sum(block.shape[1] for block in blocks(path, 1 << 18))


def _checked(audio: np.ndarray) -> np.ndarray:
    """`(C, T)` float32 view or copy of a caller's array. Raises AudioError."""
    audio = np.asarray(audio)
    if audio.ndim not in (1, 2):
        raise AudioError(f"audio has {audio.ndim} dimensions; expected (T,) or (C, T)")
    if not np.issubdtype(audio.dtype, np.floating):
        raise AudioError(f"audio is {audio.dtype}; expected float in -1 to 1, such as audio / 32768 for int16")
    if audio.ndim == 2 and audio.shape[0] > audio.shape[1] > 0:
        raise AudioError(f"audio of shape {audio.shape} looks like (T, C); give (C, T): audio.T")
    if not np.isfinite(audio).all():
        raise AudioError("audio holds NaN or infinite samples; repair it first, such as with numpy.nan_to_num")
    return np.atleast_2d(audio.astype(np.float32, copy=False))


def check_target(source: Path, target: Path, force: bool) -> None:
    """Refuse a target that would be lost or cannot be written. Raises AudioError."""
    if target.exists() and not force:
        raise AudioError(f"{target} exists; --force overwrites it")
    if target.exists() and target.samefile(source):
        raise AudioError(f"{target} is the input itself; choose another output")
    if target.is_dir():
        raise AudioError(f"{target} is a folder; name a file in it, such as {target / source.name}")
    if not target.parent.is_dir():
        raise AudioError(f"{target.parent} is no folder; make it first")


@lru_cache(maxsize=2)
def _shared(model: str) -> Denoiser:
    return Denoiser(model)


def denoise(audio: np.ndarray, rate: int, *, model: str | Path = DEFAULT) -> np.ndarray:
    """Denoise float audio `(T,)` or `(C, T)` at `rate` Hz; float32 of the same shape comes back.

    model: an installed name or an .onnx path. Raises AudioError and ModelError.
    """
    return _shared(str(model))(audio, rate)


def denoise_file(
    source: str | Path, target: str | Path, *, model: str | Path = DEFAULT, force: bool = False
) -> FileReport:
    """Denoise a file into another; rate, channels and number of samples stay. See Denoiser.file."""
    return _shared(str(model)).file(source, target, force=force)
