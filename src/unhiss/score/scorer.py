"""Scores one system on one recording, in whichever process it runs."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from unhiss.errors import AudioError, UnhissError
from unhiss.score.metrics import UndefinedMetric
from unhiss.score.pairs import Pair
from unhiss.score.recognition import Recogniser
from unhiss.score.registry import EvalItem, compute_metrics
from unhiss.score.systems import Denoise, System

FRAME_S = 0.016  # costs are given per frame of a causal model
MAX_LENGTH_ERROR_S = 0.5  # an output whose length differs by more than this counts as failed


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The result of one system on one recording.

    scores: every requested metric, nan without a value. failure: why nothing could be scored, else empty.
    undefined: one line for each metric without a finite value. extra_samples: by how many the output is longer than
    the input, before it is fitted. cost_us: processor time in µs per 16 ms of audio; nan for the noisy input.
    """

    system: str
    pair: Pair
    scores: dict[str, float]
    failure: str = ""
    undefined: tuple[str, ...] = ()
    extra_samples: int = 0
    cost_us: float = float("nan")


class Scorer:
    """Scores recordings for one set of systems and metrics; each system is loaded once, when first needed."""

    def __init__(self, systems: Sequence[System], metrics: Sequence[str], recogniser: Recogniser | None) -> None:
        self._systems = {system.name: system for system in systems}
        self._metrics = tuple(metrics)
        self._load_system = cache(lambda name: self._systems[name].load())
        self._load_recogniser = cache(lambda: recogniser.load() if recogniser and "wer" in metrics else None)
        self._loaded: dict[int, tuple[np.ndarray, np.ndarray | None, int]] = {}  # the last recording only

    def score(self, number: int, pair: Pair, name: str) -> ScoreRow:
        """The row of a system, or of the noisy input if no system has this name. An exception becomes its failure."""
        try:
            noisy, clean, rate = self._load_pair(number, pair)
            estimate, extra_samples, cost_us, denoise_again = noisy, 0, float("nan"), None
            if name in self._systems:
                denoise = self._load_system(name)
                estimate, extra_samples, cost_us = run_system(denoise, noisy, rate)
                denoise_again = partial(_denoise_again, denoise, rate)
            item = EvalItem(
                noisy=noisy, clean=clean, rate=rate, text=pair.metadata.get("text", ""), estimate=estimate,
                denoise=denoise_again, recognise=self._load_recogniser(), extra_samples=extra_samples,
            )  # fmt: skip
            scores, reasons = compute_metrics(item, self._metrics)
            return ScoreRow(name, pair, scores, "", tuple(reasons), extra_samples, cost_us)
        except Exception as error:  # a system is third-party code; its failure is a result
            return ScoreRow(name, pair, dict.fromkeys(self._metrics, float("nan")), failure=one_line(error))

    def output(self, number: int, pair: Pair, name: str) -> np.ndarray | str:
        """The output of a system for a recording, fitted to its length, or the error message if the system fails."""
        try:
            noisy, _, rate = self._load_pair(number, pair)
            return run_system(self._load_system(name), noisy, rate)[0]
        except Exception as error:
            return one_line(error)

    def _load_pair(self, number: int, pair: Pair) -> tuple[np.ndarray, np.ndarray | None, int]:
        if number not in self._loaded:
            self._loaded = {number: pair.load()}
        return self._loaded[number]


def run_system(denoise: Denoise, audio: np.ndarray, rate: int) -> tuple[np.ndarray, int, float]:
    """The output for a copy of the audio, cut or zero-padded to its length; extra_samples and cost_us of ScoreRow.

    Raises AudioError if the number of channels differs, for NaN, and if the length differs by more than 0.5 s.
    """
    start_s = _processor_s()
    output = np.asarray(denoise(audio.copy(), rate), np.float32)
    cost_us = 1e6 * (_processor_s() - start_s) * FRAME_S * rate / max(1, audio.shape[-1])
    if output.shape[:-1] != audio.shape[:-1] or not output.ndim:
        raise AudioError(f"gave an array of shape {output.shape} for {audio.shape}; it must keep the shape")
    size = audio.shape[-1]
    extra_samples = output.shape[-1] - size
    if abs(extra_samples) > MAX_LENGTH_ERROR_S * rate:
        raise AudioError(f"gave {output.shape[-1]:,} samples for {size:,}; it must keep the length")
    invalid = int(output.size - np.isfinite(output).sum())
    if invalid:
        raise AudioError(f"gave NaN or infinite samples, {invalid:,} of {output.size:,}")
    padding = [(0, 0)] * (output.ndim - 1) + [(0, max(0, -extra_samples))]
    return np.pad(output[..., :size], padding), extra_samples, cost_us


def one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, UnhissError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _denoise_again(denoise: Denoise, rate: int, audio: np.ndarray) -> np.ndarray:
    """The output for clean speech or noise alone; a failure there makes only these metrics undefined."""
    try:
        return run_system(denoise, audio, rate)[0]
    except Exception as error:
        raise UndefinedMetric(f"fails on the clean speech or the noise alone: {one_line(error)}") from error


def _processor_s() -> float:
    """Processor seconds of this process, all threads, and of its child processes that have ended."""
    if sys.platform == "win32":
        return time.process_time()
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + usage.ru_utime + usage.ru_stime
