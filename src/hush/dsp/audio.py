"""Audio files: read, write beside and rename, stream in blocks, resample. The only room that does so."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import soundfile as sf
import soxr

from hush.errors import AudioError

EXTENSIONS = frozenset(f".{name.lower()}" for name in sf.available_formats()) | {
    ".aif",
    ".opus",
    ".oga",
    ".wave",
}
# Extensions libsndfile knows under another name.
_FORMATS = {"AIF": "AIFF", "OPUS": "OGG", "OGA": "OGG", "WAVE": "WAV"}
_ENDLESS = 0x7FFFF000  # a pipe writes this size or more, since it cannot know how much will follow


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """rate in Hz, channels, frames (samples per channel), and how libsndfile names the coding."""

    rate: int
    channels: int
    frames: int
    format: str
    subtype: str

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def _open(path: Path) -> sf.SoundFile:
    if not path.exists():
        raise AudioError(f"{path}: no such file")
    if path.is_dir():
        raise AudioError(f"{path} is a folder, not a recording")
    try:
        file = sf.SoundFile(path)
    except (sf.SoundFileError, RuntimeError, TypeError) as error:
        reason = str(getattr(error, "error_string", error)).rstrip(". ")
        raise AudioError(f"{path}: not a readable recording ({reason})") from error
    declared = re.search(r"data\s*:\s*(\d+)\s*\(should be (\d+)\)", file.extra_info)
    if declared and int(declared[2]) < int(declared[1]) < _ENDLESS:
        file.close()
        raise AudioError(f"{path}: truncated, holds {declared[2]} of {declared[1]} bytes of sound")
    return file


def info(path: str | Path) -> AudioInfo:
    """Facts of a recording without decoding it. Raises AudioError if it cannot be read."""
    with _open(Path(path)) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames, file.format, file.subtype)


def blocks(path: str | Path, size: int) -> Iterator[np.ndarray]:
    """A recording in blocks, float32 `(C, size)`, the last one shorter; memory stays bounded.

    Raises AudioError for damaged or truncated data, and for NaN or infinite samples.
    """
    path = Path(path)
    with _open(path) as file:
        done = 0
        while True:
            try:
                block = file.read(size, dtype="float32", always_2d=True)
            except (sf.SoundFileError, RuntimeError) as error:
                raise AudioError(f"{path}: damaged after {done / file.samplerate:.2f} s ({error})") from error
            if not np.isfinite(block).all():
                raise AudioError(
                    f"{path}: NaN or infinite samples after {done / file.samplerate:.2f} s; repair it first"
                )
            done += len(block)
            if len(block):
                yield np.ascontiguousarray(block.T)
            if len(block) < size:
                break
        # The length an MP3 states is an estimate; every other header is a promise.
        if done < file.frames and file.format != "MP3":
            raise AudioError(f"{path}: truncated, holds {done} of {file.frames} samples")


def read(path: str | Path) -> tuple[np.ndarray, int]:
    """A whole recording as float32, `(T,)` if mono, else `(C, T)`, and its rate in Hz.

    Raises AudioError as `blocks` does. An empty recording is valid and gives `T = 0`.
    """
    facts = info(path)
    parts = list(blocks(path, 1 << 18))
    audio = np.concatenate(parts, axis=1) if parts else np.zeros((facts.channels, 0), np.float32)
    return (audio[0] if facts.channels == 1 else audio), facts.rate


class Writer:
    """Write a recording block by block into a hidden file beside `path`, renamed when complete.

    Use as a context manager; `write(block)` takes float32 `(C, T)`. An exception inside leaves nothing
    behind. Raises AudioError if the container cannot hold the format asked for.
    """

    def __init__(self, path: str | Path, rate: int, channels: int, subtype: str | None = None) -> None:
        self.path = Path(path)
        container = self.path.suffix[1:].upper()
        container = _FORMATS.get(container, container)
        if container not in sf.available_formats():
            raise AudioError(
                f"{self.path}: cannot write {self.path.suffix or 'a file without extension'}; try .wav or .flac"
            )
        if self.path.suffix.lower() == ".opus":
            subtype = "OPUS"
        if subtype is None or not sf.check_format(container, subtype):
            subtype = sf.default_subtype(container)
        self.format, self.subtype = container, subtype
        self._beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            self._file = sf.SoundFile(self._beside, "w", rate, channels, subtype, format=container)
        except (sf.SoundFileError, OSError, TypeError, ValueError) as error:
            self._beside.unlink(missing_ok=True)
            reason = str(getattr(error, "error_string", error)).rstrip(". ")
            raise AudioError(
                f"{self.path}: cannot write {channels} channels at {rate} Hz as {container}/{subtype} ({reason})"
            ) from error

    def write(self, block: np.ndarray) -> None:
        try:
            self._file.write(block.T)
        except (sf.SoundFileError, RuntimeError, OSError, AssertionError) as error:
            raise AudioError(f"{self.path}: cannot be written, is the disk full? ({error})") from error

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except (sf.SoundFileError, RuntimeError, OSError) as error:
            self._beside.unlink(missing_ok=True)
            raise AudioError(f"{self.path}: cannot be written, is the disk full? ({error})") from error
        if kind is None:
            self._beside.replace(self.path)
        else:
            self._beside.unlink(missing_ok=True)


def write(path: str | Path, audio: np.ndarray, rate: int, subtype: str | None = None) -> None:
    """Write float32 `(T,)` or `(C, T)`; the container follows the extension, complete or not at all."""
    audio = np.atleast_2d(audio)
    with Writer(path, rate, len(audio), subtype) as file:
        file.write(audio)


def spool(stream: BinaryIO, path: Path) -> Path:
    """A pipe's bytes as a file: two passes over a recording need something to seek in."""
    with path.open("wb") as file:
        while chunk := stream.read(1 << 20):
            file.write(chunk)
    return path


def to_mono(audio: np.ndarray) -> np.ndarray:
    """The mean of all channels, `(T,)`."""
    return audio if audio.ndim == 1 else audio.mean(axis=0, dtype=np.float32)


def resample(audio: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """float32 `(..., T)` at another rate (soxr, high quality), aligned with the input."""
    if from_rate == to_rate or audio.shape[-1] == 0:
        return audio
    columns = np.ascontiguousarray(np.atleast_2d(audio).T)
    out: np.ndarray = soxr.resample(columns, from_rate, to_rate).T
    return np.ascontiguousarray(out.reshape(*audio.shape[:-1], -1), dtype=np.float32)


class Resampler:
    """Resample a stream of float32 `(C, T)` blocks; all pushed and flushed aligns with the input."""

    def __init__(self, from_rate: float, to_rate: float, channels: int) -> None:
        self._same = from_rate == to_rate
        self._channels = channels
        self._soxr = None if self._same else soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32")

    def push(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        if self._soxr is None:
            return block
        out = self._soxr.resample_chunk(np.ascontiguousarray(block.T), last=last)
        return np.ascontiguousarray(out.reshape(-1, self._channels).T)

    def flush(self) -> np.ndarray:
        return self.push(np.zeros((self._channels, 0), np.float32), last=True)
