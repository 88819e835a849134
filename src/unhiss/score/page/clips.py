"""The recordings on the page: where the first system scores best, median and worst, with audio and spectrograms."""

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unhiss.dsp.resampling import resample, to_mono
from unhiss.errors import AudioError
from unhiss.fleet.mapping import Fleet
from unhiss.media.plots import loudest_db, spectrogram
from unhiss.media.writer import write
from unhiss.score.pairs import Pair
from unhiss.score.registry import METRICS
from unhiss.score.report import NOISY, Report, map_scorer
from unhiss.score.scorer import Scorer
from unhiss.score.statistics import baseline
from unhiss.score.systems import System

RANKING_METRICS = ("pesq_wb", "ovrl", "si_sdr_db", "estoi")  # in order of preference
MAX_CLIP_S = 12.0  # longer recordings are cut on the page
OPUS_RATE = 48_000


@dataclass(frozen=True, slots=True)
class ClipVersion:
    """One version of a recording: spectrogram and audio as data URIs, or the reason why one is missing."""

    name: str
    image_uri: str = ""
    audio_uri: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording of a rank ("best" …): noisy, clean if available, and the output of each system."""

    rank: str
    pair: Pair
    duration_s: float
    rate: int
    versions: tuple[ClipVersion, ...]


def ranking_metric(report: Report) -> str:
    """The metric that ranks recordings, and that is plotted against cost."""
    return next((name for name in RANKING_METRICS if name in report.metrics), report.metrics[0])


def rank_recordings(report: Report) -> dict[str, Pair]:
    """Best, median and worst recording of the baseline; fewer if there are fewer recordings."""
    metric = ranking_metric(report)
    sign = -1 if METRICS[metric].better < 0 else 1
    rows = [row for row in report.of(baseline(report)) if np.isfinite(row.scores[metric])]
    rows.sort(key=lambda row: -sign * row.scores[metric])
    ranked: dict[str, Pair] = {}
    for rank, index in {"best": 0, "median": len(rows) // 2, "worst": len(rows) - 1}.items() if rows else ():
        if rows[index].pair not in ranked.values():
            ranked[rank] = rows[index].pair
    return ranked


def make_clips(report: Report, systems: Sequence[System], jobs: int) -> list[Clip]:
    """Each ranked recording with all versions of it; the systems run once more on these few."""
    ranked = rank_recordings(report)
    if not ranked:
        return []
    items = [(number, pair, system.name) for number, pair in enumerate(ranked.values()) for system in systems]
    results = map_scorer(Scorer.output, items, Fleet(jobs), (tuple(systems), report.metrics, None))
    outputs = {(items[index][0], items[index][2]): output for index, output in results}
    return [
        _make_clip(rank, pair, {system.name: outputs[number, system.name] for system in systems})
        for number, (rank, pair) in enumerate(ranked.items())
    ]


def _make_clip(rank: str, pair: Pair, outputs: dict[str, np.ndarray | str]) -> Clip:
    noisy, clean, rate = pair.load()
    versions: dict[str, np.ndarray | str] = {NOISY: noisy, **({} if clean is None else {"clean": clean}), **outputs}
    top_db = max(loudest_db(to_mono(audio)) for audio in versions.values() if isinstance(audio, np.ndarray))
    made = tuple(_make_version(name, audio, rate, top_db) for name, audio in versions.items())
    return Clip(rank, pair, noisy.shape[-1] / rate, rate, made)


def _make_version(name: str, audio: np.ndarray | str, rate: int, top_db: float) -> ClipVersion:
    if isinstance(audio, str):
        return ClipVersion(name, missing=audio)
    mono = to_mono(audio)[: int(MAX_CLIP_S * rate)]
    image_uri = _data_uri("image/webp", spectrogram(mono, rate, top_db))
    with tempfile.TemporaryDirectory(prefix="unhiss-") as folder:
        path = Path(folder) / "clip.opus"  # a tenth of the size of a WAV
        try:
            write(path, resample(mono, rate, OPUS_RATE), OPUS_RATE)
        except AudioError as error:
            return ClipVersion(name, image_uri, missing=str(error))
        return ClipVersion(name, image_uri, _data_uri("audio/ogg", path.read_bytes()))


def _data_uri(mime_type: str, content: bytes) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"
