"""Audio files: what they hold, reading whole or in blocks. media.writer writes them; nothing else does either."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile as sf

from unhiss.dsp.resampling import FASTEST, SLOWEST
from unhiss.errors import AudioError
from unhiss.media import containers, tags
from unhiss.media.containers import UNKNOWN

LOUDEST = 2.0**31  # float recordings scaled as integers reach this; beyond it lie damaged bytes, not sound
_SEEKABLE = ("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW", "ALAC")  # each sample stands for itself


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """rate in Hz, channels, frames (samples per channel), libsndfile's names of the coding, and tags.

    frames is what the header says: exact, but for an MP3 an estimate. bit_rate: bits per second of a lossy
    coding (MP3, Vorbis, Opus), tags and pictures not counted; 0 for others.
    """

    rate: int
    channels: int
    frames: int
    format: str = ""
    subtype: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    bit_rate: int = 0

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


class _Reader(sf.SoundFile):
    """Read through without looking back. soundfile seeks after each read of what can be sought in, and in an MP3
    without LAME's tag that spoils the sound: the decoder then lacks the bits it had saved up from the frames before.
    """

    def seekable(self) -> bool:
        return False


def _open(path: Path) -> sf.SoundFile:
    if not path.exists():
        raise AudioError(f"{path}: no such file")
    if path.is_dir():
        raise AudioError(f"{path} is a folder, not a recording; name the files in it")
    if path.is_fifo():
        raise AudioError(f"{path} is a pipe, which can be read only once; write it to a file first")
    if path.suffix.lower() == ".raw":
        raise AudioError(f"{path}: raw samples say neither rate nor channels; wrap them in a WAV first")
    try:
        with path.open("rb") as probe:
            empty = not probe.read(1)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error
    if empty:
        raise AudioError(f"{path}: 0 bytes, not a recording")
    missing = containers.shortage(path)
    if missing:
        raise AudioError(f"{path}: truncated, {missing}; get the whole file")
    try:
        file = _Reader(containers.native(path))
    except (sf.SoundFileError, RuntimeError, TypeError) as error:
        raise AudioError(f"{path}: not a readable recording ({reason(error)}); is it WAV, FLAC, Ogg or MP3?") from error
    wrong = _wrong(file)
    if wrong:
        file.close()
        raise AudioError(f"{path}: {wrong}")
    return file


def _wrong(file: sf.SoundFile) -> str | None:
    """What a header says that cannot be; None if nothing."""
    missing = containers.mismatch(file.extra_info)
    if not SLOWEST <= file.samplerate <= FASTEST:
        return f"damaged, or no speech: {file.samplerate:,} Hz (a rate is {SLOWEST:,} to {FASTEST:,}); get a whole copy"
    if missing:
        return f"truncated, {missing}; get the whole file"
    if file.frames >= UNKNOWN:
        return "written to a pipe, so its header leaves the length open; rewrite it to a file"
    return None


def reason(error: Exception) -> str:
    """libsndfile's complaint without its frame."""
    text = str(getattr(error, "error_string", error)).replace("Error : ", "").strip(". \n")
    return "no sound found in it" if "not a regular file" in text else text  # said of any MP3 without a frame


def info(path: str | Path) -> AudioInfo:
    """Facts of a recording without decoding it. Raises AudioError if it cannot be read."""
    path = Path(path)
    with _open(path) as file:
        texts = {name: value for name, value in file.copy_metadata().items() if name in containers.TAGS}
        rate, frames, bits = file.samplerate, file.frames, 0
        if frames and file.subtype.startswith(containers.LOSSY):
            bits = round(8 * tags.sound_bytes(path) * rate / frames)
        return AudioInfo(rate, file.channels, frames, file.format, file.subtype, texts, bits)


def blocks(path: str | Path, size: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """A recording in blocks, float32 `(C, size)`, the last one shorter; memory stays bounded.

    start, stop: the range in samples, as in a slice; the samples are those of a reading from the start.
    Raises AudioError for damaged or truncated data, and for samples that are no sound (NaN, infinite).
    """
    path = Path(path)
    with _open(path) as file:
        yield from _decoded(file, path, size, start, stop)


def _decoded(
    file: sf.SoundFile, path: Path, size: int, start: int = 0, stop: int | None = None
) -> Iterator[np.ndarray]:
    done = _skip(file, path, start) if start else 0
    while stop is None or done < stop:
        wanted = size if stop is None else min(size, stop - done)
        block = _next(file, path, wanted, done)
        check_samples(path, block, done, file.samplerate)
        done += len(block)
        if len(block):
            yield np.ascontiguousarray(block.T)
        if len(block) < wanted:
            # The length an MP3 states is an estimate; every other header is a promise.
            if done < file.frames and file.format != "MP3":
                raise AudioError(f"{path}: truncated, holds {done:,} of {file.frames:,} samples; get the whole file")
            break


def _next(file: sf.SoundFile, path: Path, size: int, done: int) -> np.ndarray:
    try:
        block: np.ndarray = file.read(size, dtype="float32", always_2d=True)
    except (sf.SoundFileError, RuntimeError) as error:
        where = f"{done / file.samplerate:.2f} s"
        raise AudioError(f"{path}: damaged after {where} ({reason(error)}); get a whole copy") from error
    return block


def _skip(file: sf.SoundFile, path: Path, start: int) -> int:
    """Go to a sample, or to the end if there is none; by decoding all before it where seeking is not exact."""
    if file.subtype.startswith(_SEEKABLE):
        return int(file.seek(min(start, file.frames)))
    done = 0
    if file.subtype.startswith(containers.LOSSY) and start <= file.frames:
        done = int(file.seek(max(0, start - file.samplerate)))  # a second on, a decoder knows no more how it began
    while done < start:
        wanted = min(1 << 16, start - done)
        block = _next(file, path, wanted, done)
        done += len(block)
        if len(block) < wanted:
            break
    return done


def check_samples(path: Path, block: np.ndarray, done: int, rate: int) -> None:
    """Refuse what is no sound in a block `(T, C)` that begins at sample `done`. Raises AudioError."""
    if not (np.abs(block) <= LOUDEST).all():  # NaN fails this too
        place = done + int(np.argmin((np.abs(block) <= LOUDEST).all(axis=1)))
        value = block[place - done][~(np.abs(block[place - done]) <= LOUDEST)][0]
        raise AudioError(f"{path}: sample {place:,} ({place / rate:.2f} s) is {value:g}, no sound; repair it first")


class TooLong(AudioError):
    """A recording is longer than its reader wants; `seconds` is its length."""

    def __init__(self, path: Path, seconds: float, longest_s: float) -> None:
        super().__init__(f"{path}: {seconds:.2f} s long, expected {longest_s:g} s at most; cut it first")
        self.seconds = seconds


def read(path: str | Path, longest_s: float | None = None) -> tuple[np.ndarray, int]:
    """A whole recording as float32, `(T,)` if mono, else `(C, T)`, and its rate in Hz.

    longest_s: what is longer by its header is not decoded, but raises TooLong.
    Raises AudioError as `blocks` does. An empty recording is valid and gives `T = 0`.
    """
    path = Path(path)
    with _open(path) as file:
        if longest_s is not None and file.frames / file.samplerate > longest_s:
            raise TooLong(path, file.frames / file.samplerate, longest_s)
        parts = list(_decoded(file, path, 1 << 18))
        audio = np.concatenate(parts, axis=1) if parts else np.zeros((file.channels, 0), np.float32)
        return (audio[0] if file.channels == 1 else audio), file.samplerate


def turned(audio: np.ndarray) -> bool:
    """Whether an array is `(T, C)` by all likelihood: more than 32 channels, and longer across than along."""
    return audio.ndim == 2 and len(audio) > 32 and 0 < audio.shape[1] < len(audio)


def spool(stream: BinaryIO, path: Path) -> Path:
    """A pipe's bytes as a file: two passes over a recording need something to seek in."""
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
    except OSError as error:
        raise AudioError(
            f"{path.parent}: stdin cannot be kept there ({error.strerror}); set TMPDIR to a roomier folder"
        ) from error
    return path
