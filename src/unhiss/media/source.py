"""Recordings of any readable format: opened once, probed once, decoded in as many passes as needed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unhiss.errors import AudioError
from unhiss.media import formats, pyav, tags
from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.reader import PyavReader
from unhiss.media.soundfile_reader import SoundfileReader

READABLE = formats.EXTENSIONS | pyav.EXTENSIONS  # extensions, with their dot, of all formats unhiss reads
_HEAD = 1 << 16  # bytes in which every format is recognised


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A recording as `open_source` found it: its format, and access to its samples.

    exact_length: whether `frames` is the true count; an MP3's header only estimates it.
    truncation: what is missing from the file, in words; "" if nothing is.
    has_video: whether it holds moving pictures (cover art does not count).
    tag_family: the kind of its metadata (see `tags.family`); None if `tags.copy` cannot copy it.
    """

    path: Path
    format: AudioFormat
    exact_length: bool = True
    truncation: str = ""
    has_video: bool = False
    tag_family: str | None = None
    _reader: SoundfileReader | PyavReader = field(repr=False, compare=False)

    @property
    def rate(self) -> int:
        """Samples per second and channel."""
        return self.format.rate

    @property
    def channels(self) -> int:
        return self.format.channels

    @property
    def frames(self) -> int:
        """Samples per channel."""
        return self.format.frames

    @property
    def seconds(self) -> float:
        return self.format.seconds

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """The samples `start` to `stop` in blocks, float32 `(C, size)`, the last one shorter; bounded memory.

        start, stop: as in a slice, in samples of each channel; the samples are those of a pass from the start.
        Each call is one pass. Raises AudioError for damaged or truncated data, and for NaN or infinite samples.
        """
        return self._reader.blocks(size, start, stop)

    def read(self) -> np.ndarray:
        """All samples, float32, `(T,)` if mono, else `(C, T)`. Raises AudioError as `blocks` does."""
        parts = list(self.blocks(1 << 18))
        audio = np.concatenate(parts, axis=1) if parts else np.zeros((self.channels, 0), np.float32)
        return audio[0] if self.channels == 1 else audio


def open_source(path: str | Path) -> Source:
    """Open and probe a recording of any format in READABLE; nothing is decoded where the headers suffice.

    The format is recognised by the extension, or by the first bytes. libsndfile reads what it can, PyAV the rest.
    Raises AudioError if the file is missing, empty, damaged, truncated or not a recording; MissingExtra for a
    format that needs PyAV where it is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise AudioError(f"{path}: no such file")
    if path.is_dir():
        raise AudioError(f"{path} is a folder, not a recording; name the files in it")
    if path.is_fifo():
        raise AudioError(f"{path} is a pipe, which can be read only once; write it to a file first")
    if path.suffix.lower() == ".raw":
        raise AudioError(f"{path}: raw samples say neither rate nor channels; wrap them in a WAV first")
    try:
        with path.open("rb") as file:
            source = _probe(path, file)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error
    if source.truncation:
        raise AudioError(f"{path}: truncated, {source.truncation}; get the whole file")
    return source


def _probe(path: Path, file: BinaryIO) -> Source:
    head, size = file.read(_HEAD), path.stat().st_size
    if not head:
        raise AudioError(f"{path}: 0 bytes, not a recording")
    if pyav.handles(path, head):
        media = PyavReader(path, head)
        return Source(path=path, format=media.format, has_video=media.has_video, _reader=media)
    family = tags.family(file, size)
    truncation = formats.missing_bytes(file, size)
    reader = SoundfileReader(path, truncation, tags.audio_bytes(file, size, family))
    return Source(
        path=path, format=reader.format, exact_length=reader.format.container != "MP3",
        truncation=truncation or reader.truncation, tag_family=family, _reader=reader,
    )  # fmt: skip


class TooLongError(AudioError):
    """A recording is longer than its reader accepts; `seconds` is its length."""

    def __init__(self, path: Path, seconds: float, max_seconds: float) -> None:
        super().__init__(f"{path}: {seconds:.2f} s long, expected {max_seconds:g} s at most; cut it first")
        self.seconds = seconds


def read(path: str | Path, max_seconds: float | None = None) -> tuple[np.ndarray, int]:
    """All samples of a recording as float32, `(T,)` if mono, else `(C, T)`, and its rate in Hz.

    max_seconds: a recording longer than this by its header is not decoded; TooLongError is raised.
    Raises AudioError as `open_source` and `Source.blocks` do. An empty recording is valid and gives `T = 0`.
    """
    source = open_source(path)
    if max_seconds is not None and source.seconds > max_seconds:
        raise TooLongError(source.path, source.seconds, max_seconds)
    return source.read(), source.rate


def spool(stream: BinaryIO, path: Path) -> Path:
    """Write a pipe's bytes to a file, since decoding in several passes needs a file that can seek."""
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
    except OSError as error:
        raise AudioError(
            f"{path.parent}: stdin cannot be kept there ({error.strerror}); set TMPDIR to a roomier folder"
        ) from error
    return path
