"""Denoiser: recordings and files in, the same without noise out, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.dsp.resampling import resampled
from unhiss.errors import ConfigError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.checks import check_not_turned, check_options, check_rate, checked
from unhiss.infer.files import BLOCK_S, FileOptions, FileReport, Open, convert
from unhiss.infer.models import load
from unhiss.infer.stream import Stream, causal
from unhiss.weights import DEFAULT


class Denoiser:
    """A model ready to work: `Denoiser("small")(audio, rate)`.

    model: an installed name (see `unhiss.models()`) or the path of an .onnx file. atten_limit_db: take out
    at most so much (None: no limit). mix: 1 is the clean sound, 0 the input. guard: leave clean speech alone
    (causal models). end_to_end: the reference's own frames, put end to end without overlap (frame models;
    clicks at the seams; for comparison). threads: 0 takes all cores. device: auto, cpu or
    cuda. `.rate`: Hz the model works at, None
    for a causal one, which takes any; `.latency_ms`: how far it looks ahead, or holds sound back.
    Raises ModelError if there is no such model, ConfigError for an option out of its range.
    """

    def __init__(
        self, model: str | Path = DEFAULT, *, atten_limit_db: float | None = None, mix: float = 1.0,
        guard: bool = True, end_to_end: bool = False, threads: int = 0, device: str = "auto",
    ) -> None:  # fmt: skip
        check_options(atten_limit_db, mix, threads)
        if end_to_end and atten_limit_db is not None:
            raise ConfigError("atten_limit_db does not go with end_to_end; leave one of them out")
        self._model = load(model, threads, device)
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
        out = list(self.cleaned(lambda: [sound], rate, len(sound)))
        return np.concatenate([sound[:, :0], *out], axis=1).reshape(np.shape(audio))

    def file(
        self, source: str | Path, target: str | Path, *, force: bool = False, in_place: bool = False,
        subtype: str | None = None, rate: int | None = None, start_s: float = 0.0, end_s: float | None = None,
        clip_mode: str = "clip", residual: str | Path | None = None,
        progress: Callable[[float, float], None] = lambda share, seconds: None,
    ) -> FileReport:  # fmt: skip
        """Denoise a file into another of the same rate, channels, number of samples, coding and tags.

        subtype: libsndfile's name of another coding to write; rate: Hz to write; start_s, end_s: the part to
        keep. clip_mode: what happens to peaks above full scale: "clip", "rescale" or "none". residual: a file
        for what was taken out, input less output. in_place: the target may be the source, which is replaced
        when all is done. `progress` gets the share done, 0 to 1, and the
        seconds of sound in all.
        Raises AudioError if the source cannot be read or the target exists (without force) or cannot be
        written; nothing half-written is left. ConfigError for an option out of its range.
        """
        options = FileOptions(
            force=force, in_place=in_place, subtype=subtype, rate=rate, start_s=start_s, end_s=end_s,
            clip_mode=clip_mode, residual=None if residual is None else Path(residual),
        )  # fmt: skip
        return convert(self.cleaned, self.name, Path(source), Path(target), options, progress)

    def blocks(self, stream: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
        """Live sound: blocks `(C, T)` or `(T,)` of one shape of array in, cleaned blocks that add up to them out.

        For causal models; how late a block comes is `Stream.latency`. Raises ModelError for a model that
        looks ahead, AudioError as `Stream.push`.
        """
        live: Stream | None = None
        late = 0
        for block in stream:
            if live is None:
                check_not_turned(block)
                live = self._live_stream(rate, 1 if np.ndim(block) == 1 else len(block))
                late = live.latency.samples
            out = live.push(block)
            yield out[..., late:]
            late = max(0, late - out.shape[-1])
        if live is not None:
            yield live.flush()[..., late:]

    def _live_stream(self, rate: int, channels: int) -> Stream:
        model = causal(self._model, 1)
        return Stream(rate, channels, model, atten_limit_db=self._limit_db, mix=self._mix, guard=self._guard)

    def cleaned(self, source: Open, rate: int, channels: int) -> Iterator[np.ndarray]:
        """A recording of any length: `source()` gives blocks `(C, T)` from its start, and so does this.

        They add up to exactly the samples that came in; one pass over them, or two if a level is needed.
        """
        model, limit_db = self._model, np.inf if self._limit_db is None else self._limit_db
        if isinstance(model, CausalModel):
            return self._live(source, rate, channels)
        if self._end_to_end:
            return self._fitted(source, rate, channels, model.rate, model.clean_end_to_end)
        reference = np.ones(channels, np.float32)
        if model.scaling == "file":
            reference = model.reference(resampled(source(), rate, model.rate, channels), channels)
        return self._fitted(source, rate, channels, model.rate, lambda part: model.clean(part, reference, limit_db))

    def _live(self, source: Open, rate: int, channels: int) -> Iterator[np.ndarray]:
        """A recording as a stream of it, less the latency at its start."""
        size = max(1, int(BLOCK_S * rate))
        none = np.zeros((channels, 0), np.float32)  # an empty recording has channels too
        parts = (block[:, i : i + size] for block in source() for i in range(0, block.shape[1], size))  # arrays: one
        yield from self.blocks(chain([none], parts), rate)

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

        inside = clean(resampled(noted(), rate, own_rate, channels))
        for block in resampled(inside, own_rate, rate, channels):
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
    mix: float = 1.0, guard: bool = True, **options: Any,
) -> FileReport:  # fmt: skip
    """Denoise a file into another; rate, channels, number of samples and tags stay. options: of Denoiser.file."""
    denoiser = _shared(model, atten_limit_db=atten_limit_db, mix=mix, guard=guard)
    return denoiser.file(source, target, **options)
