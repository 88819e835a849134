"""One row: a system over a recording, measured; in whichever process it is asked for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from unhiss.errors import AudioError, UnhissError
from unhiss.score.measure import Take, measure
from unhiss.score.metrics import Undefined
from unhiss.score.pairs import Pair
from unhiss.score.systems import Denoise, System
from unhiss.score.words import Recogniser

FRAME_S = 0.016  # costs are told for so much sound: a frame of a causal model
FARTHEST_S = 0.5  # a result whose length is farther off than this is no result for this recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one system reached on one recording.

    scores: every metric asked for, nan where there is no value. failure: why nothing could be scored, empty if it
    could. undefined: one line for each metric that has no finite value here. extra: samples that the result was
    longer (shorter: negative) than the input; it is scored cut, or filled with zeros. cost_us: processor time for
    16 ms of sound, in microseconds; nan for the noisy input.
    """

    system: str
    pair: Pair
    scores: dict[str, float]
    failure: str = ""
    undefined: tuple[str, ...] = ()
    extra: int = 0
    cost_us: float = float("nan")


class Scorer:
    """Scores recordings for one set of systems and metrics; each system is loaded once, when first needed."""

    def __init__(self, systems: Sequence[System], metrics: Sequence[str], recogniser: Recogniser | None) -> None:
        self._systems = {system.name: system for system in systems}
        self._metrics = tuple(metrics)
        self._loaded = lru_cache(maxsize=None)(lambda name: self._systems[name].load())
        self._recogniser = recogniser if "wer" in metrics else None
        self._read = lru_cache(maxsize=2)(lambda number: self._pairs[number].load())
        self._pairs: dict[int, Pair] = {}
        self._recognise = lru_cache(maxsize=1)(lambda: self._recogniser.load() if self._recogniser else None)

    def row(self, number: int, pair: Pair, name: str) -> Row:
        """The row of a system, or of the noisy input where no system has that name; its failure where it fails."""
        try:
            return self._row(number, pair, name)
        except Exception as error:  # a system is foreign code, and its failure is a finding
            nothing = dict.fromkeys(self._metrics, float("nan"))
            return Row(system=name, pair=pair, scores=nothing, failure=one_line(error))

    def output(self, number: int, pair: Pair, name: str) -> np.ndarray:
        """What a system makes of a recording, of the recording's length."""
        noisy, _, rate = self._load(number, pair)
        return noisy if name not in self._systems else fitted(run(self._loaded(name), noisy, rate)[0], noisy, rate)[0]

    def _load(self, number: int, pair: Pair) -> tuple[np.ndarray, np.ndarray | None, int]:
        self._pairs[number] = pair
        return self._read(number)

    def _row(self, number: int, pair: Pair, name: str) -> Row:
        noisy, clean, rate = self._load(number, pair)
        cost_us, extra, estimate, again = float("nan"), 0, noisy, None
        if name in self._systems:
            denoise = self._loaded(name)
            out, cost_us = run(denoise, noisy, rate)
            estimate, extra = fitted(out, noisy, rate)
            again = _again(denoise, rate)
        take = Take(
            noisy=noisy, clean=clean, rate=rate, text=pair.facts.get("text", ""),
            estimate=estimate, again=again, recognise=self._recognise(),
        )  # fmt: skip
        scores, reasons = measure(take, self._metrics)
        if "extra" in scores:
            scores["extra"] = float(extra)
        return Row(system=name, pair=pair, scores=scores, undefined=tuple(reasons), extra=extra, cost_us=cost_us)


def run(denoise: Denoise, audio: np.ndarray, rate: int) -> tuple[np.ndarray, float]:
    """What a system makes of a copy of the audio, and its microseconds of processor time for 16 ms of sound."""
    began = _processor_s()
    out = np.asarray(denoise(audio.copy(), rate), np.float32)
    spent = _processor_s() - began
    return out, 1e6 * spent * FRAME_S * rate / max(1, audio.shape[-1])


def fitted(out: np.ndarray, audio: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    """The output cut, or filled with zeros, to the input's length, and by how many samples it was longer.

    Raises AudioError for other channels, for NaN, and for a length that is off by more than half a second.
    """
    if out.shape[:-1] != audio.shape[:-1] or not out.ndim:
        raise AudioError(f"gave an array of shape {out.shape} for {audio.shape}; it must keep the shape")
    extra = out.shape[-1] - audio.shape[-1]
    if abs(extra) > FARTHEST_S * rate:
        raise AudioError(f"gave {out.shape[-1]:,} samples for {audio.shape[-1]:,}; it must keep the length")
    bad = int(np.size(out) - np.isfinite(out).sum())
    if bad:
        raise AudioError(f"gave NaN or infinite samples, {bad:,} of {out.size:,}")
    size = audio.shape[-1]
    return np.pad(out[..., :size], [(0, 0)] * (out.ndim - 1) + [(0, max(0, -extra))]), extra


def one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, UnhissError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _again(denoise: Denoise, rate: int) -> Callable[[np.ndarray], np.ndarray]:
    """The system on something else than the noisy input; that it fails there leaves those metrics without a value."""

    def again(audio: np.ndarray) -> np.ndarray:
        try:
            return fitted(run(denoise, audio, rate)[0], audio, rate)[0]
        except Exception as error:
            raise Undefined(f"fails on the clean speech or the noise alone: {one_line(error)}") from error

    return again


def _processor_s() -> float:
    """Processor seconds of this process, all threads, and of its children that have ended."""
    children = 0.0
    if sys.platform != "win32":
        import resource

        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        children = used.ru_utime + used.ru_stime
    return time.process_time() + children


_scorer: Scorer | None = None


def begin(*given: Any) -> None:
    """In each process, before its first row: the arguments of Scorer."""
    global _scorer
    _scorer = Scorer(*given)


def row(number: int, pair: Pair, name: str) -> Row:
    """Scorer.row of this process's scorer."""
    assert _scorer is not None
    return _scorer.row(number, pair, name)


def output(number: int, pair: Pair, name: str) -> np.ndarray | str:
    """Scorer.output of this process's scorer, or the line that says why there is none."""
    assert _scorer is not None
    try:
        return _scorer.output(number, pair, name)
    except Exception as error:
        return one_line(error)
