"""Denoiser: arrays and files in, the same denoised out, in bounded memory."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.dsp.resampling import resampled
from unhiss.errors import ConfigError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.checks import check_audio, check_not_transposed, check_options, check_rate
from unhiss.infer.files import BLOCK_S, FileJob, FileOptions, FileReport, Pass, Progress
from unhiss.infer.loudness import check_loudness, scaled_to
from unhiss.infer.models import load
from unhiss.infer.stream import Stream
from unhiss.media.audio_source import Source
from unhiss.weights import DEFAULT


class Denoiser:
    """A loaded model: `Denoiser("small")(audio, rate)`.

    model: an installed name (see `unhiss.models()`) or the path of an .onnx file. atten_limit_db: the most
    attenuation (None: no limit). mix: 1 is denoised, 0 the input. guard: protect clean speech (causal models).
    end_to_end: the reference's frames without overlap (frame models; clicks at the seams; for comparison).
    threads: 0 takes all cores. device: auto, cpu or cuda.
    `.rate`: Hz the model works at, None for a causal one, which takes any; `.latency_ms`: how far the model looks
    ahead, or the latency of live audio.
    Raises ModelError if there is no such model, ConfigError for an option out of range.
    """

    def __init__(
        self, model: str | Path = DEFAULT, *, atten_limit_db: float | None = None, mix: float = 1.0,
        guard: bool = True, end_to_end: bool = False, threads: int = 0, device: str = "auto",
    ) -> None:  # fmt: skip
        check_options(atten_limit_db, mix, threads)
        if end_to_end and atten_limit_db is not None:
            raise ConfigError("atten_limit_db does not work with end_to_end; leave one of them out")
        self._model = load(model, threads, device)
        if end_to_end and isinstance(self._model, CausalModel):
            raise ConfigError(f"end_to_end is for frame models, and {self._model.name} is causal; leave it out")
        self._limit_db = atten_limit_db
        self._mix, self._guard, self._end_to_end = mix, guard, end_to_end
        self.name, self.latency_ms = self._model.name, self._model.latency_ms
        self.rate = None if isinstance(self._model, CausalModel) else self._model.rate

    def __call__(self, audio: np.ndarray, rate: int, *, loudness_lufs: float | None = None) -> np.ndarray:
        """Denoise float `(T,)` or `(C, T)` at `rate` Hz; returns float32 of the same shape.

        loudness_lufs: the integrated loudness of the result (EBU R 128), by one gain for all channels; None: as it is.
        Where a true peak of -1 dBTP does not allow it, or there is no loudness to measure, a UserWarning says so.
        Raises AudioError for NaN or infinite samples and for an array that looks like `(T, C)`.
        """
        return self._denoise(audio, rate, loudness_lufs)

    def _denoise(self, audio: np.ndarray, rate: int, loudness_lufs: float | None) -> np.ndarray:
        """As `__call__`; warnings name the line that called the caller."""
        check_loudness(loudness_lufs)
        check_rate(rate)
        check_not_transposed(audio)
        channels = check_audio(audio)
        blocks = list(self.denoise_blocks(lambda: [channels], rate, len(channels)))
        denoised = np.concatenate([channels[:, :0], *blocks], axis=1).reshape(np.shape(audio))
        if loudness_lufs is None:
            return denoised
        denoised, gain = scaled_to(loudness_lufs, denoised, rate)
        if gain.warning:
            warnings.warn(gain.warning, stacklevel=3)
        return denoised

    def file(
        self, source: str | Path | Source, target: str | Path, *,
        progress: Progress = lambda part, seconds: None, **options: Any,
    ) -> FileReport:  # fmt: skip
        """Denoise a file into another of the same rate, channels, number of samples, coding and tags.

        options: force, in_place, subtype, rate, start_s, end_s, clip_mode, residual, strict, track, loudness_lufs; see
        FileOptions.
        progress: called with the part done, 0 to 1, and the seconds of audio in total.
        Raises AudioError if the source cannot be read, or the target exists (without force) or cannot be written; then
        no partial file is left. Raises ConfigError for an option out of range.
        """
        return self.process(FileJob(source, target, FileOptions(**options)), progress)

    def process(self, job: FileJob, progress: Progress) -> FileReport:
        """As `file`, for a job whose options are checked already."""
        rate, channels = job.source.rate, job.source.channels
        return job.write(lambda: self.denoise_blocks(job.start_pass, rate, channels), self.name, progress)

    def denoise_blocks(self, start_pass: Pass, rate: int, channels: int) -> Iterator[np.ndarray]:
        """Denoise a recording of any length: blocks `(C, T)` -> blocks with the same number of samples in total.

        start_pass: called for the blocks of the recording from its start; twice if the model needs a reference level.
        """
        model, limit_db = self._model, np.inf if self._limit_db is None else self._limit_db
        if isinstance(model, CausalModel):
            return self._through_stream(model, start_pass(), rate, channels)
        if self._end_to_end:
            return self._at_model_rate(model.denoise_end_to_end, start_pass(), rate, channels)
        reference = np.ones(channels, np.float32)
        if model.scaling == "file":
            reference = model.reference(resampled(start_pass(), rate, model.rate, channels), channels)
        return self._at_model_rate(lambda part: model.denoise(part, reference, limit_db), start_pass(), rate, channels)

    def _through_stream(
        self, model: CausalModel, blocks: Iterable[np.ndarray], rate: int, channels: int
    ) -> Iterator[np.ndarray]:
        """The output of a Stream without the latency at its start."""
        stream = Stream(rate, channels, model, atten_limit_db=self._limit_db, mix=self._mix, guard=self._guard)
        size, late = max(1, int(BLOCK_S * rate)), stream.latency.samples
        for block in blocks:
            for start in range(0, block.shape[1], size):  # an array comes as one long block
                out = stream.push(block[:, start : start + size])
                yield out[:, late:]
                late = max(0, late - out.shape[1])
        yield np.atleast_2d(stream.flush())[:, late:]

    def _at_model_rate(
        self, process: Callable[[Iterator[np.ndarray]], Iterator[np.ndarray]], blocks: Iterable[np.ndarray],
        rate: int, channels: int,
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """Blocks through `process` at the model's rate, cut or padded to the input's length, and mixed with it.

        No stage returns a sample before it got the same one, so cutting to the length of the input so far is safe.
        """
        assert self.rate is not None
        pending = np.zeros((channels, 0), np.float32)  # input without its output yet

        def remembered() -> Iterator[np.ndarray]:
            nonlocal pending
            for block in blocks:
                pending = np.concatenate([pending, block], axis=1)
                yield block

        denoised = process(resampled(remembered(), rate, self.rate, channels))
        for block in resampled(denoised, self.rate, rate, channels):
            size = min(block.shape[1], pending.shape[1])
            if size:
                yield self._mixed(block[:, :size], pending[:, :size])
                pending = pending[:, size:]
        if pending.shape[1]:
            yield self._mixed(np.zeros_like(pending), pending)

    def _mixed(self, denoised: np.ndarray, noisy: np.ndarray) -> np.ndarray:
        if self._mix == 1:
            return denoised
        return np.float32(self._mix) * denoised + np.float32(1 - self._mix) * noisy


@lru_cache(maxsize=2)
def _shared(model: str | Path, **options: float | None) -> Denoiser:
    return Denoiser(model, **options)  # type: ignore[arg-type]


def denoise(
    audio: np.ndarray, rate: int, *, model: str | Path = DEFAULT, atten_limit_db: float | None = None,
    mix: float = 1.0, guard: bool = True, loudness_lufs: float | None = None,
) -> np.ndarray:  # fmt: skip
    """Denoise float audio `(T,)` or `(C, T)` at `rate` Hz; returns float32 of the same shape.

    model: an installed name or an .onnx path. atten_limit_db: the most attenuation. mix: 1 is denoised, 0 the
    input. guard: protect clean speech (causal models). loudness_lufs: of the result (None: as it is), as far as a
    true peak of -1 dBTP allows; see Denoiser. Raises AudioError, ModelError and ConfigError.
    """
    denoiser = _shared(model, atten_limit_db=atten_limit_db, mix=mix, guard=guard)
    return denoiser._denoise(audio, rate, loudness_lufs)


def denoise_file(
    source: str | Path, target: str | Path, *, model: str | Path = DEFAULT, atten_limit_db: float | None = None,
    mix: float = 1.0, guard: bool = True, **options: Any,
) -> FileReport:  # fmt: skip
    """Denoise a file into another of the same rate, channels, length, coding and tags; options: see Denoiser.file."""
    return _shared(model, atten_limit_db=atten_limit_db, mix=mix, guard=guard).file(source, target, **options)
