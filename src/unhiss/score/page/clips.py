"""The recordings to look at and listen to: where the first system did best, middling and worst."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unhiss.dsp.resampling import resample, to_mono
from unhiss.errors import AudioError
from unhiss.fleet.processes import WorkerSetup, map_processes
from unhiss.media.plots import loudest_db, spectrogram
from unhiss.media.writer import write
from unhiss.score import scorer
from unhiss.score.metrics import METRICS
from unhiss.score.pairs import Pair
from unhiss.score.report import NOISY, PRELOAD, Report, single_threads
from unhiss.score.scorer import Row
from unhiss.score.statistics import baseline
from unhiss.score.systems import System

HEADLINES = ("pesq_wb", "ovrl", "si_sdr_db", "estoi")  # what recordings are ranked by: the first that is there
LONGEST_S = 12.0  # of a clip: what is longer is shown and heard up to here
OPUS_RATE = 48_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """One version of a recording: a picture and a player as data URIs, or why there is neither."""

    name: str
    picture: str = ""
    player: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A recording of a rank ("best" …): noisy, clean where it is there, and what each system made of it."""

    rank: str
    pair: Pair
    seconds: float
    rate: int
    sounds: tuple[Sound, ...]


def headline(report: Report) -> str:
    """The metric that recordings are ranked by, and systems drawn against their cost."""
    return next((name for name in HEADLINES if name in report.metrics), report.metrics[0])


def ranked(report: Report) -> dict[str, Pair]:
    """Best, median and worst recording of the baseline by the headline; fewer where there are fewer."""
    metric = headline(report)
    sign = -1 if METRICS[metric].better < 0 else 1
    rows = [row for row in report.of(baseline(report)) if np.isfinite(row.scores[metric])]
    rows.sort(key=lambda row: -sign * row.scores[metric])
    places = {"best": 0, "median": len(rows) // 2, "worst": len(rows) - 1}
    found: dict[str, Pair] = {}
    for rank, place in places.items() if rows else ():
        if rows[place].pair not in found.values():
            found[rank] = rows[place].pair
    return found


def clips(report: Report, systems: Sequence[System], jobs: int) -> list[Clip]:
    """Each ranked recording with every version of it; systems run on these few once more."""
    chosen = list(ranked(report).items())
    if not chosen:
        return []
    given = (tuple(systems), report.metrics, None)
    scorer.begin(*given)
    items = [(number, pair, system.name) for number, (_, pair) in enumerate(chosen) for system in systems]
    with single_threads():
        outputs = dict(
            map_processes(scorer.output, items, jobs, WorkerSetup(function=scorer.begin, args=given, preload=PRELOAD))
        )
    made = []
    for number, (rank, pair) in enumerate(chosen):
        mine = {items[index][2]: output for index, output in outputs.items() if items[index][0] == number}
        made.append(_clip(rank, pair, {system.name: mine[system.name] for system in systems}))
    return made


def _clip(rank: str, pair: Pair, outputs: dict[str, np.ndarray | str]) -> Clip:
    noisy, clean, rate = pair.load()
    versions: dict[str, np.ndarray | str] = {NOISY: noisy, **({} if clean is None else {"clean": clean}), **outputs}
    top = max(loudest_db(to_mono(audio)) for audio in versions.values() if isinstance(audio, np.ndarray))
    sounds = tuple(_sound(name, audio, rate, top) for name, audio in versions.items())
    return Clip(rank=rank, pair=pair, seconds=noisy.shape[-1] / rate, rate=rate, sounds=sounds)


def _sound(name: str, audio: np.ndarray | str, rate: int, top_db: float) -> Sound:
    if isinstance(audio, str):
        return Sound(name=name, missing=audio)
    mono = to_mono(audio)[: int(LONGEST_S * rate)]
    picture = _uri("image/webp", spectrogram(mono, rate, top_db))
    try:
        return Sound(name=name, picture=picture, player=_uri("audio/ogg", _opus(mono, rate)))
    except AudioError as error:
        return Sound(name=name, picture=picture, missing=str(error))


def _opus(audio: np.ndarray, rate: int) -> bytes:
    """`(T,)` as Opus in Ogg, a tenth of the size of a WAV."""
    with tempfile.TemporaryDirectory(prefix="unhiss-") as folder:
        path = Path(folder) / "clip.opus"
        write(path, resample(audio, rate, OPUS_RATE), OPUS_RATE)
        return path.read_bytes()


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def scores_of(report: Report, pair: Pair, system: str) -> Row | None:
    """The row of a system on a recording; None for one that is no system, such as the clean speech."""
    return next((row for row in report.of(system) if row.pair == pair), None)
