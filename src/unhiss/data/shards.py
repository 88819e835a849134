"""From clips to int16 shards: load, resample, remove silence, measure, pack. Each shard is made independently."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unhiss.data import synth
from unhiss.data.clips import Clip
from unhiss.data.manifest import ManifestRow, piece_id
from unhiss.data.storage import local_copy, save, save_text
from unhiss.dsp.audio import FULL_SCALE
from unhiss.dsp.cutting import cut_at_silences
from unhiss.dsp.levels import (
    active_level_dbfs,
    bandwidth_hz,
    estimate_snr_db,
    frame_levels_dbfs,
    remove_silence,
    rms_dbfs,
)
from unhiss.dsp.resampling import resample, to_mono
from unhiss.errors import AudioError, ConfigError
from unhiss.media.source import TooLongError, read_whole
from unhiss.remote import RemoteNotFound, RemotePath

CLIPS_PER_SHARD = 64
SHARD_BYTES = 64 << 20  # of samples: what 64 clips of 10 s at 48 kHz take
MIN_SECONDS = 0.1  # of sound that a clip must have after preprocessing

# A function (audio, rate) -> overall quality in MOS. It is an argument, since data/ may not import score/.
QualityRater = Callable[[np.ndarray, int], float]
Loaded = tuple[ManifestRow, np.ndarray]  # a row without its offset in a shard, and int16 (T,)


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What `unhiss prepare` does to each clip. The limits apply to speech only.

    max_seconds: longest clip; what is longer is cut at its silences, or left out as a recording if drop_long.
    """

    sample_rate: int = 22050
    keep_silence: bool = False
    silence_db: float = 40.0
    max_seconds: float = 10.0
    drop_long: bool = False
    min_snr_db: float | None = None
    min_mos: float | None = None
    commercial_only: bool = False

    def __post_init__(self) -> None:
        if self.max_seconds < 1:
            raise ConfigError(f"max_seconds = {self.max_seconds:g}; expected at least 1: pieces may be a quarter of it")


@dataclass
class Rejected(Exception):
    """Why one clip is left out; counted and listed, never fatal."""

    reason: str
    detail: str
    seconds: float | None = None  # of the recording, where they are known


def rejection(clip_id: str, clip: Clip, why: Rejected) -> dict[str, str]:
    """A row of rejected.csv."""
    seconds = clip.seconds if why.seconds is None else why.seconds
    return {
        "id": clip_id, "corpus": clip.corpus, "reason": why.reason, "detail": why.detail, "role": clip.role,
        "kind": clip.kind, "seconds": "" if seconds is None else f"{seconds:.2f}",
    }  # fmt: skip


def load(
    clip_id: str, clip: Clip, preprocessing: Preprocessing, rater: QualityRater | None = None,
    temp_folder: Path | None = None,
) -> Iterator[Loaded]:  # fmt: skip
    """Row and samples, int16 `(T,)`, of a clip at the set's rate, or of each piece of a long one.

    temp_folder: for a copy of a remote recording. A piece has no text: the clip's is that of all pieces.
    Raises Rejected, and UnhissError where a remote clip cannot be fetched.
    """
    if synth.is_synthetic(clip):
        audio, rate = synth.make(clip.kind, int(clip.path.name), preprocessing.sample_rate), preprocessing.sample_rate
    else:
        audio, rate = _read(clip, preprocessing, temp_folder)
    snr_db, seconds = estimate_snr_db(audio, rate), audio.size / rate
    if clip.role == "speech":
        _check_quality(audio, rate, snr_db, preprocessing, rater)
    bandwidth = min(bandwidth_hz(audio, rate), preprocessing.sample_rate / 2)
    audio = resample(audio, rate, preprocessing.sample_rate)
    if not preprocessing.keep_silence:
        audio = remove_silence(audio, preprocessing.sample_rate, preprocessing.silence_db)
    samples = np.clip(np.round(audio * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    if samples.size < MIN_SECONDS * preprocessing.sample_rate or not samples.any():
        sound = f"{samples.size / preprocessing.sample_rate:.2f} s of sound"
        raise Rejected("silent", sound, seconds)
    spans = _spans(clip, audio, preprocessing)
    for number, (first, end) in enumerate(spans, 1):
        piece = replace(clip, text="") if len(spans) > 1 else clip
        row_id = piece_id(clip_id, number) if len(spans) > 1 else clip_id
        yield _row(row_id, piece, samples[first:end], preprocessing, bandwidth, snr_db), samples[first:end]


def _spans(clip: Clip, audio: np.ndarray, preprocessing: Preprocessing) -> list[tuple[int, int]]:
    """(first, end) of the pieces of `(T,)` at the set's rate that have sound: they may be all of it, in one piece."""
    rate = preprocessing.sample_rate
    if clip.role != "speech" or preprocessing.drop_long:
        return [(0, audio.size)]
    size = max(1, rate // 50)
    quietest = frame_levels_dbfs(audio, size).max() - preprocessing.silence_db
    spans = cut_at_silences(audio, rate, round(preprocessing.max_seconds * rate))
    return [(first, end) for first, end in spans if frame_levels_dbfs(audio[first:end], size).max() > quietest]


def _row(
    row_id: str, clip: Clip, samples: np.ndarray, preprocessing: Preprocessing, bandwidth: float, snr_db: float
) -> ManifestRow:
    stored = samples / np.float32(FULL_SCALE)
    level = active_level_dbfs(stored, preprocessing.sample_rate) if clip.role == "speech" else rms_dbfs(stored)
    return ManifestRow(
        id=row_id, corpus=clip.corpus, role=clip.role, kind=clip.kind, groups=clip.groups, split=clip.split,
        licence=clip.licence, commercial_use=clip.commercial_use, language=clip.language, text=clip.text, shard="",
        offset=0, length=samples.size, level_dbfs=round(float(level), 3), bandwidth_hz=round(bandwidth, 1),
        snr_db=round(float(snr_db), 2),
    )  # fmt: skip


def _read(clip: Clip, preprocessing: Preprocessing, temp_folder: Path | None) -> tuple[np.ndarray, int]:
    limit = preprocessing.max_seconds if clip.role == "speech" and preprocessing.drop_long else None
    if limit and clip.seconds and clip.seconds > limit:
        raise Rejected("long", f"{clip.seconds:.2f} s", clip.seconds)
    try:
        with local_copy(clip.url or clip.path, temp_folder) as path:
            audio, rate = read_whole(path, limit)
    except RemoteNotFound as error:
        raise Rejected("missing", "no such file") from error
    except TooLongError as error:
        raise Rejected("long", f"{error.seconds:.2f} s", error.seconds) from error
    except AudioError as error:
        raise Rejected("broken", str(error).removeprefix(f"{path}: ")) from error
    return to_mono(audio), rate


def _check_quality(
    audio: np.ndarray, rate: int, snr_db: float, preprocessing: Preprocessing, rater: QualityRater | None
) -> None:
    if preprocessing.min_snr_db is not None and snr_db < preprocessing.min_snr_db:
        raise Rejected("noisy", f"estimated SNR {snr_db:.1f} dB", audio.size / rate)
    if preprocessing.min_mos is not None and rater is not None and audio.any():
        try:
            mos = rater(audio, rate)
        except AudioError as error:
            raise Rejected("silent", str(error), audio.size / rate) from error
        if mos < preprocessing.min_mos:
            raise Rejected("poor", f"DNSMOS {mos:.2f}", audio.size / rate)


def write_shards(
    name: str, clips: list[tuple[str, Clip]], folder: Path | RemotePath, preprocessing: Preprocessing,
    rater: QualityRater | None = None, temp_folder: Path | None = None,
) -> None:  # fmt: skip
    """Write `NAME.npy` (int16 clips, end to end) and, last, `NAME.json` (rows, rejected clips, hashes).

    Beyond SHARD_BYTES it continues in `NAME-1.npy` and so on; no row is in two of them, so a longer one has a shard of
    its own. A shard without its .json is not complete, and a repeated run makes it again.
    clips: (id, clip), the id being the clip's path relative to its corpus. temp_folder: for a remote clip or shard
    on its way, one at a time. Keeps two recordings in memory.
    """
    rows: list[ManifestRow] = []
    rejected: list[dict[str, str]] = []
    hashes: dict[str, str] = {}

    def load_all() -> Iterator[Loaded]:
        for clip_id, clip in clips:
            try:
                yield from load(clip_id, clip, preprocessing, rater, temp_folder)
            except Rejected as why:
                rejected.append(rejection(clip_id, clip, why))

    loaded = load_all()
    following = next(loaded, None)
    while following or not hashes:  # if every clip is rejected, one empty shard is written
        shard = folder / (f"{name}-{len(hashes)}.npy" if hashes else f"{name}.npy")
        hashes[shard.name], following = write_shard(shard, following, loaded, rows, temp_folder)
    content = {"rows": [row.to_json() for row in rows], "rejected": rejected, "shards": hashes}
    save_text(folder / f"{name}.json", json.dumps(content, ensure_ascii=False))


def write_shard(
    path: Path | RemotePath, first: Loaded | None, others: Iterator[Loaded], rows: list[ManifestRow],
    temp_folder: Path | None = None,
) -> tuple[str, Loaded | None]:  # fmt: skip
    """Write one shard of `first` and as many others as fit, and append their rows.

    Returns the shard's SHA-256, and the clip that did not fit (None at the end).
    """
    following = first

    def fill(file: BinaryIO) -> None:
        nonlocal following
        offset = 0
        _write_header(file, offset)
        while following and (not offset or fits(offset, following[1].size)):
            row, samples = following
            rows.append(replace(row, shard=path.name, offset=offset))
            file.write(samples.astype("<i2", copy=False).data)
            offset += samples.size
            following = next(others, None)
        file.seek(0)
        _write_header(file, offset)

    return save(path, fill, temp_folder), following


def fits(size: int, more: int) -> bool:
    """Whether a shard of `size` samples has room for `more`."""
    return 2 * (size + more) <= SHARD_BYTES


def is_complete(folder: Path | RemotePath, name: str, existing: set[str]) -> bool:
    """Whether `write_shards` has finished `name`, and all its shards are among the `existing` files."""
    if f"{name}.json" not in existing:
        return False
    try:
        shards = json.loads((folder / f"{name}.json").read_bytes()).get("shards")
    except (OSError, ValueError):
        return False
    return bool(shards) and existing >= set(shards)


def _write_header(file: BinaryIO, length: int) -> None:
    """The header of a .npy file of int16 `(length,)`; numpy pads it to the same size for every length."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<i2", "fortran_order": False, "shape": (length,)})
