"""From clips to int16 shards: load, resample, cut silence, measure, pack. Each shard stands alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unhiss.data import synth
from unhiss.data.clips import Clip
from unhiss.data.files import near, save, save_text
from unhiss.data.store import FULL_SCALE, Row
from unhiss.dsp.levels import active_level_dbfs, bandwidth_hz, estimate_snr_db, remove_silence, rms_dbfs
from unhiss.dsp.resampling import resample, to_mono
from unhiss.errors import AudioError
from unhiss.media.audio import TooLong, read
from unhiss.remote import Missing, RemotePath

CLIPS_PER_SHARD = 64
SHARD_BYTES = 64 << 20  # of samples: what 64 clips of 10 s at 48 kHz take
MIN_SECONDS = 0.1  # what is left of a clip must hold at least this much sound


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What `unhiss prepare` does to each clip. max_seconds, min_snr_db and min_mos are for speech only."""

    sample_rate: int = 22050
    keep_silence: bool = False
    silence_db: float = 40.0
    max_seconds: float = 10.0
    min_snr_db: float | None = None
    min_mos: float | None = None
    commercial_only: bool = False


@dataclass
class Rejected(Exception):
    """Why one clip is left out; counted and listed, never fatal."""

    reason: str
    detail: str


# A function (audio, rate) -> overall quality in MOS; handed in, since scoring is another room's work.
Rater = Callable[[np.ndarray, int], float]


def load(
    clip: Clip, preprocessing: Preprocessing, rater: Rater | None = None, room: Path | None = None
) -> tuple[np.ndarray, dict[str, float]]:
    """int16 `(T,)` of a clip at the set's rate, and its measures. room: for a copy of what lies elsewhere.

    Raises Rejected, and UnhissError where a clip's far side fails again and again.
    """
    if synth.is_made(clip):
        audio, rate = synth.make(clip.kind, int(clip.path.name), preprocessing.sample_rate), preprocessing.sample_rate
    else:
        audio, rate = _read(clip, preprocessing, room)
    snr_db = estimate_snr_db(audio, rate)
    if clip.role == "speech":
        _judge(audio, rate, snr_db, preprocessing, rater)
    bandwidth = min(bandwidth_hz(audio, rate), preprocessing.sample_rate / 2)
    audio = resample(audio, rate, preprocessing.sample_rate)
    if not preprocessing.keep_silence:
        audio = remove_silence(audio, preprocessing.sample_rate, preprocessing.silence_db)
    samples = np.clip(np.round(audio * FULL_SCALE), -FULL_SCALE, FULL_SCALE).astype(np.int16)
    if samples.size < MIN_SECONDS * preprocessing.sample_rate or not samples.any():
        raise Rejected("silent", f"{samples.size / preprocessing.sample_rate:.2f} s of sound")
    stored = samples / np.float32(FULL_SCALE)
    level = active_level_dbfs(stored, preprocessing.sample_rate) if clip.role == "speech" else rms_dbfs(stored)
    return samples, {
        "level_dbfs": round(float(level), 3),
        "bandwidth_hz": round(bandwidth, 1),
        "snr_db": round(float(snr_db), 2),
    }


def _read(clip: Clip, preprocessing: Preprocessing, room: Path | None) -> tuple[np.ndarray, int]:
    limit = preprocessing.max_seconds if clip.role == "speech" else None
    if limit and clip.seconds and clip.seconds > limit:
        raise Rejected("long", f"{clip.seconds:.2f} s")
    try:
        with near(clip.there or clip.path, room) as path:
            return _decoded(path, limit)
    except Missing as error:
        raise Rejected("missing", "no such file") from error


def _decoded(path: Path, limit: float | None) -> tuple[np.ndarray, int]:
    try:
        audio, rate = read(path, limit)
    except TooLong as error:
        raise Rejected("long", f"{error.seconds:.2f} s") from error
    except AudioError as error:
        raise Rejected("broken", str(error).removeprefix(f"{path}: ")) from error
    return to_mono(audio), rate


def _judge(audio: np.ndarray, rate: int, snr_db: float, preprocessing: Preprocessing, rater: Rater | None) -> None:
    if preprocessing.min_snr_db is not None and snr_db < preprocessing.min_snr_db:
        raise Rejected("noisy", f"estimated SNR {snr_db:.1f} dB")
    if preprocessing.min_mos is not None and rater is not None and audio.any():
        try:
            mos = rater(audio, rate)
        except AudioError as error:
            raise Rejected("silent", str(error)) from error
        if mos < preprocessing.min_mos:
            raise Rejected("poor", f"DNSMOS {mos:.2f}")


def rejection(clip_id: str, clip: Clip, reason: str, detail: str) -> dict[str, str]:
    """A line of rejected.csv."""
    return {"id": clip_id, "corpus": clip.corpus, "reason": reason, "detail": detail}


def build(
    name: str, clips: list[tuple[str, Clip]], folder: Path | RemotePath, preprocessing: Preprocessing,
    rater: Rater | None = None, room: Path | None = None,
) -> None:  # fmt: skip
    """Write `NAME.npy` (int16, end to end) and, last of all, `NAME.json` (rows, rejected clips, hashes).

    Beyond SHARD_BYTES it goes on in `NAME-1.npy` and so on; a clip is never cut, so one that is longer stands alone.
    The .json is the sign that all is whole: a run that was killed makes again what lacks it.
    clips: (id, clip), the id being the clip's path relative to its corpus. room: for what is on its way from or to
    elsewhere, a clip and a shard at a time. Holds two clips in memory.
    """
    rows: list[str] = []
    rejected: list[dict[str, str]] = []
    hashes: dict[str, str] = {}
    loaded = _loaded(clips, preprocessing, rater, rejected, room)
    following = next(loaded, None)
    while following or not hashes:  # a shard of which nothing was left is there, empty
        shard = folder / (f"{name}-{len(hashes)}.npy" if hashes else f"{name}.npy")
        hashes[shard.name], following = _write(shard, following, loaded, rows, room)
    facts = {"rows": rows, "rejected": rejected, "shards": hashes}
    save_text(folder / f"{name}.json", json.dumps(facts, ensure_ascii=False))


Loaded = tuple[str, Clip, np.ndarray, dict[str, float]]  # id, clip, int16 (T,), measures


def _loaded(
    clips: list[tuple[str, Clip]], preprocessing: Preprocessing, rater: Rater | None, rejected: list[dict[str, str]],
    room: Path | None,
) -> Iterator[Loaded]:  # fmt: skip
    for clip_id, clip in clips:
        try:
            samples, measures = load(clip, preprocessing, rater, room)
        except Rejected as why:
            rejected.append(rejection(clip_id, clip, why.reason, why.detail))
        else:
            yield clip_id, clip, samples, measures


def _write(
    path: Path | RemotePath, first: Loaded | None, loaded: Iterator[Loaded], rows: list[str], room: Path | None
) -> tuple[str, Loaded | None]:
    """One shard of `first` and as many more as it holds; gives its SHA-256 and the one that did not fit."""
    following = first

    def fill(file: BinaryIO) -> None:
        nonlocal following
        offset = 0
        write_header(file, offset)
        while following and (not offset or fits(offset, following[2].size)):
            clip_id, clip, samples, measures = following
            row = Row(
                id=clip_id, corpus=clip.corpus, role=clip.role, kind=clip.kind, groups=clip.groups, split=clip.split,
                licence=clip.licence, commercial_use=clip.commercial_use, language=clip.language, text=clip.text,
                shard=path.name, offset=offset, length=samples.size, **measures,
            )  # fmt: skip
            rows.append(row.to_json())
            file.write(samples.astype("<i2", copy=False).data)
            offset += samples.size
            following = next(loaded, None)
        file.seek(0)
        write_header(file, offset)

    digest = save(path, fill, room)
    return digest, following


def fits(held: int, more: int) -> bool:
    """Whether a shard of `held` samples may take `more`."""
    return 2 * (held + more) <= SHARD_BYTES


def whole(folder: Path | RemotePath, name: str, there: set[str]) -> bool:
    """Whether `build` has made this, and all of it is among the files `there`."""
    if f"{name}.json" not in there:
        return False
    try:
        shards = json.loads((folder / f"{name}.json").read_bytes()).get("shards")
    except (OSError, ValueError):
        return False
    return bool(shards) and there >= set(shards)


def write_header(file: BinaryIO, length: int) -> None:
    """The header of a .npy file of int16 `(length,)`; numpy pads it to the same size for every length."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<i2", "fortran_order": False, "shape": (length,)})
