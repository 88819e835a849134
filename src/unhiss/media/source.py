"""Recordings of any readable format: opened once, probed once, decoded in as many passes as needed."""

import math
from pathlib import Path

import numpy as np

from unhiss.arguments import check_number
from unhiss.errors import AudioError
from unhiss.media import formats, pyav
from unhiss.media.audio_source import Source
from unhiss.media.file_objects import Readable, path_to_read
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
        raise AudioError(f"{path}: no such file")
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
                raise AudioError(f"{path}: 0 bytes, not a recording")
            return PyavReader(path, head) if pyav.handles(path, head) else SoundfileReader(path, whole(file))
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error


class TooLongError(AudioError):
    """A recording is longer than its reader accepts; `seconds` is its length."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message, seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return str(self.args[0])


def read(source: Readable, max_seconds: float | None = None) -> tuple[np.ndarray, int]:
    """All samples of a recording as float32, `(T,)` if mono, else `(C, T)`, and its rate in Hz.

    source: a path, the bytes of a file, or a file object open for reading, which need not be able to seek.
    max_seconds: a recording longer than this by its header is not decoded; TooLongError is raised.
    Raises AudioError as `open_source` and `Source.blocks` do. An empty recording is valid and gives `T = 0`.
    """
    if max_seconds is not None:
        check_number("max_seconds", max_seconds, 0, math.inf, "seconds, or None for any length")
    with path_to_read(source) as path:
        recording = open_source(path)
        if max_seconds is not None and recording.seconds > max_seconds:
            too_long = f"{recording.seconds:.2f} s long, expected {max_seconds:g} s at most"
            raise TooLongError(f"{path}: {too_long}; cut it first", recording.seconds)
        return recording.read(), recording.rate
