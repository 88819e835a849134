"""Denoiser: arrays and files in, the same denoised out, in bounded memory."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from unhiss.arguments import as_path
from unhiss.dsp.audio import as_channels, check_not_transposed, check_rate
from unhiss.dsp.resampling import resampled
from unhiss.errors import ConfigError, shown
from unhiss.infer.causal_model import CausalModel, OnSpeech
from unhiss.infer.checks import check_names, check_options
from unhiss.infer.files import BLOCK_S, FileJob, FileOptions, FileReport, Pass, Progress
from unhiss.infer.loudness import check_loudness, scaled_to
from unhiss.infer.models import load
from unhiss.infer.stream import Stream
from unhiss.media.audio_source import Source
from unhiss.media.file_objects import Readable, Writable, display_name, path_to_read, path_to_write
from unhiss.media.writer import extension
from unhiss.weights import DEFAULT, MODEL, SHIPPED

FILE_OPTIONS = (*FileOptions.__slots__, "format", "progress")


class Denoiser:
    """A loaded model: `Denoiser("small")(audio, rate)`.

    model: an installed name (see `unhiss.models()`) or the path of an .onnx file. atten_limit_db: the most
    attenuation (None: no limit). mix: 1 is denoised, 0 the input. end_to_end: the reference's frames without overlap
    (frame models; clicks at the seams; for comparison). threads: 0 takes all cores. device: auto, cpu or cuda.
    `.rate`: Hz the model works at, None for a causal one, which takes any; `.latency_ms`: how far the model looks
    ahead, or the latency of live audio.
    Raises ModelError if there is no such model, ConfigError for an option out of range.
    """

    def __init__(
        self, model: str | Path = DEFAULT, *, atten_limit_db: float | None = None, mix: float = 1.0,
        end_to_end: bool = False, threads: int = 0, device: str = "auto",
    ) -> None:  # fmt: skip
        self._options: dict[str, Any] = {
            "atten_limit_db": atten_limit_db, "mix": mix, "end_to_end": end_to_end, "threads": threads,
            "device": device,
        }  # fmt: skip
        check_options(atten_limit_db, mix, threads, end_to_end=end_to_end)
        if end_to_end and atten_limit_db is not None:
            raise ConfigError("atten_limit_db does not work with end_to_end; leave one of them out")
        self._model = load(model, threads, device)
        if end_to_end and isinstance(self._model, CausalModel):
            raise ConfigError(f"end_to_end is for frame models, and {self._model.name} is causal; leave it out")
        self._limit_db, self._mix, self._end_to_end = atten_limit_db, mix, end_to_end
        self.name, self.latency_ms = self._model.name, self._model.latency_ms
        self.rate = None if isinstance(self._model, CausalModel) else self._model.rate
        path = self._model.path
        self._source = path.stem if path.parent == SHIPPED else str(path.resolve())  # for a process in another folder

    def __repr__(self) -> str:
        defaults = inspect.signature(Denoiser).parameters
        options = [f", {name}={value!r}" for name, value in self._options.items() if value != defaults[name].default]
        return f"Denoiser({self._source!r}{''.join(options)})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its arguments; a process loads the model once, however many copies it gets."""
        return _shared, (self._source, self._options)

    def __call__(self, audio: ArrayLike, rate: int, *, loudness_lufs: float | None = None) -> np.ndarray:
        """Denoise `(T,)` or `(C, T)` at `rate` Hz; returns float32 of the same shape.

        audio: float, or integers, which are scaled by their type (see unhiss.dsp.audio.as_samples).
        loudness_lufs: the integrated loudness of the result (EBU R 128), by one gain for all channels; None: as it is.
        Where a true peak of -1 dBTP does not allow it, or there is no loudness to measure, a UserWarning says so.
        Raises AudioError for NaN or infinite samples and for an array that looks like `(T, C)`.
        """
        return self._denoise(audio, rate, loudness_lufs)

    def _denoise(self, audio: ArrayLike, rate: int, loudness_lufs: float | None) -> np.ndarray:
        """As `__call__`; warnings name the line that called the caller."""
        check_loudness(loudness_lufs)
        rate, channels = check_rate(rate), as_channels(audio)
        check_not_transposed(channels)
        blocks = list(self.denoise_blocks(lambda: [channels], rate, len(channels)))
        denoised = np.concatenate([channels[:, :0], *blocks], axis=1).reshape(np.shape(audio))
        if loudness_lufs is None:
            return denoised
        denoised, gain = scaled_to(loudness_lufs, denoised, rate)
        if gain.warning:
            warnings.warn(gain.warning, stacklevel=3)
        return denoised

    def file(
        self, source: Readable | Source, target: Writable, *, format: str | None = None,
        progress: Progress = lambda part, seconds: None, **options: Any,
    ) -> FileReport:  # fmt: skip
        """Denoise a file into another of the same rate, channels, number of samples, coding and tags.

        source, target: paths or file objects, as in `unhiss.read` and `unhiss.write`; format: as there.
        options: force, in_place, subtype, rate, start_s, end_s, clip_mode, residual, strict, track, loudness_lufs; see
        FileOptions.
        progress: called with the part done, 0 to 1, and the seconds of audio in total.
        Raises AudioError if the source cannot be read, or the target exists (without force) or cannot be written; then
        no partial file is left. Raises ConfigError for an option out of range.
        """
        check_names(options, FILE_OPTIONS)
        file_options = FileOptions(**options)
        if not callable(progress):
            raise ConfigError(f"progress = {shown(progress)}; expected a function of two numbers")
        if isinstance(source, Source):
            return self.process(FileJob(source, as_path("target", target), file_options), progress)
        with path_to_read(source) as noisy, path_to_write(target, extension(format)) as denoised:
            report = self.process(FileJob(noisy, denoised, file_options), progress)
        return replace(report, source=display_name(source), target=display_name(target))

    def process(self, job: FileJob, progress: Progress) -> FileReport:
        """As `file`, for a job whose options are checked already."""
        rate, channels = job.source.rate, job.source.channels
        denoised = partial(self.denoise_blocks, job.start_pass, rate, channels, job.add_speech)
        return job.write(denoised, self.name, progress)

    def denoise_blocks(
        self, start_pass: Pass, rate: int, channels: int, on_speech: OnSpeech | None = None
    ) -> Iterator[np.ndarray]:
        """Denoise a recording of any length: blocks `(C, T)` -> blocks with the same number of samples in total.

        start_pass: called for the blocks of the recording from its start; twice if the model needs a reference level.
        on_speech: called with probabilities of speech `(C, N)`, one a frame, by models that give them.
        """
        model, limit_db = self._model, np.inf if self._limit_db is None else self._limit_db
        if isinstance(model, CausalModel):
            return self._through_stream(model, start_pass(), rate, channels, on_speech)
        if self._end_to_end:
            return self._at_model_rate(model.denoise_end_to_end, start_pass(), rate, channels)
        reference = np.ones(channels, np.float32)
        if model.scaling == "file":
            reference = model.reference(resampled(start_pass(), rate, model.rate, channels), channels)
        return self._at_model_rate(lambda part: model.denoise(part, reference, limit_db), start_pass(), rate, channels)

    def _through_stream(
        self, model: CausalModel, blocks: Iterable[np.ndarray], rate: int, channels: int, on_speech: OnSpeech | None
    ) -> Iterator[np.ndarray]:
        """The output of a Stream without the latency at its start."""
        stream = Stream(rate, channels, model, atten_limit_db=self._limit_db, mix=self._mix)
        stream._engine.on_speech = on_speech
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


def _shared(model: str | Path, options: dict[str, Any]) -> Denoiser:
    """A Denoiser of these arguments that all their users in this process share."""
    check_options(options["atten_limit_db"], options["mix"])  # before they are hashed
    return _load(str(as_path("model", model, MODEL)), **options)


@lru_cache(maxsize=2)
def _load(model: str, **options: Any) -> Denoiser:
    return Denoiser(model, **options)


def denoise(
    audio: ArrayLike, rate: int, *, model: str | Path = DEFAULT, atten_limit_db: float | None = None,
    mix: float = 1.0, loudness_lufs: float | None = None,
) -> np.ndarray:  # fmt: skip
    """Denoise audio `(T,)` or `(C, T)` at `rate` Hz; returns float32 of the same shape.

    audio: float, or integers, which are scaled by their type. model: an installed name or an .onnx path.
    atten_limit_db: the most attenuation. mix: 1 is denoised, 0 the input. loudness_lufs: of the result (None: as it
    is), as far as a true peak of -1 dBTP allows; see Denoiser.
    Raises AudioError, ModelError and ConfigError.
    """
    denoiser = _shared(model, {"atten_limit_db": atten_limit_db, "mix": mix})
    return denoiser._denoise(audio, rate, loudness_lufs)


def denoise_file(
    source: Readable | Source, target: Writable, *, model: str | Path = DEFAULT, atten_limit_db: float | None = None,
    mix: float = 1.0, **options: Any,
) -> FileReport:  # fmt: skip
    """Denoise a file into another of the same rate, channels, length, coding and tags.

    source, target: paths or file objects. options: see Denoiser.file.
    """
    check_names(options, (*FILE_OPTIONS, "model", "atten_limit_db", "mix"))
    denoiser = _shared(model, {"atten_limit_db": atten_limit_db, "mix": mix})
    return denoiser.file(source, target, **options)
