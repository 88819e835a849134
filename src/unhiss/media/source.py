"""Recordings of any readable format: opened once, probed once, decoded in as many passes as needed."""

import shutil
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unhiss.errors import AudioError, missing_file
from unhiss.media import formats, pyav
from unhiss.media.audio_source import Source
from unhiss.media.file_range import whole
from unhiss.media.pyav.reader import PyavReader
from unhiss.media.soundfile_reader import SoundfileReader

READABLE = formats.EXTENSIONS | pyav.EXTENSIONS  # extensions, with their dot, of all formats unhiss reads
_HEAD = 1 << 16  # bytes in which every format is recognised


def open_source(path: str | Path) -> Source:
    """Open and probe a recording of any format in READABLE; nothing is decoded where the headers suffice.

    The format is recognised by the extension, or by the first bytes. libsndfile reads what it can, PyAV the rest.
    Raises AudioError if the file is missing, empty, damaged, truncated or not a recording; MissingExtra for a
    format that needs PyAV where it is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise AudioError(missing_file(path))
    if path.is_dir():
        raise AudioError(f"{path} is a folder, not a recording; name the files in it")
    if path.is_fifo():
        raise AudioError(f"{path} is a pipe, which can be read only once; write it to a file first")
    if path.suffix.lower() == ".raw":
        raise AudioError(f"{path}: raw samples say neither rate nor channels; wrap them in a WAV first")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            if not head:
                raise AudioError(f"{path}: 0 bytes, not a recording; get a whole copy")
            return PyavReader(path, head) if pyav.handles(path, head) else SoundfileReader(path, whole(file))
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error


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
        why = f"stdin cannot be kept there ({error.strerror})"
        raise AudioError(f"{path.parent}: {why}; set TMPDIR to a roomier folder") from error
    return path
