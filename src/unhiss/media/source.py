"""Recordings of any readable format: opened once, probed once, decoded in as many passes as needed."""

import math
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np

from unhiss.arguments import check_count, check_flags, check_number
from unhiss.errors import AudioError, MissingExtra
from unhiss.media import formats, kinds, pyav
from unhiss.media.audio_source import IncompleteError, Source, UnreadableError, no_such_track
from unhiss.media.file_objects import Readable, display_name, path_to_read
from unhiss.media.file_range import FileRange, whole
from unhiss.media.pyav.reader import PyavReader
from unhiss.media.repair import Examination, examine
from unhiss.media.soundfile_reader import SoundfileReader

READABLE = formats.EXTENSIONS | pyav.EXTENSIONS  # extensions, with their dot, of all formats unhiss reads
_HEAD = 1 << 16  # bytes in which every format is recognised


def open_source(path: str | Path, track: int | None = None, strict: bool = False) -> Source:
    """Open and probe a recording of any format in READABLE; nothing is decoded where the headers suffice.

    The format is recognised by the first bytes, else by the extension. libsndfile reads what it can, PyAV the rest.
    track: which of several audio tracks, from 1; None: the one that a player plays.
    strict: refuse a file that is truncated, or whose header does not state what it holds; else `Source.warnings` says
    so. Raises AudioError if the file is missing, empty, damaged or not a recording; MissingExtra for a format that
    needs PyAV where it is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise AudioError(_missing(path))
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
            return _reader(path, head, whole(file), track, strict)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error


def _missing(path: Path) -> str:
    """A line for a file that does not exist, with the closest name in its folder."""
    import difflib

    if not path.parent.is_dir():
        return f"{path}: no such file, since there is no folder {path.parent}; check the path"
    names: list[str] = []
    with suppress(OSError):  # a folder whose files may not be listed
        names = [other.name for other in path.parent.iterdir()]
    matches = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f"{path}: no such file; " + (f"did you mean {matches[0]!r}?" if matches else "check the name")


def _reader(path: Path, head: bytes, data: FileRange, track: int | None, strict: bool) -> Source:
    """The reader for what the file is, whatever its name."""
    if kinds.needs_pyav(path, head, data):
        return _pyav_reader(path, head, data, track, strict)
    try:
        source = SoundfileReader(path, data, strict)
    except UnreadableError as refusal:
        # A container that libsndfile knows around a coding that it lacks, such as MP3 in a WAV.
        if not kinds.is_container(head):
            raise
        try:
            return _pyav_reader(path, head, data, track, strict)
        except MissingExtra as missing:
            raise MissingExtra(f"{refusal}; {missing}") from refusal
        except UnreadableError:
            raise refusal from None
    if track not in (None, 1):
        channels = f"{source.channels} channel{'s' * (source.channels > 1)}"
        raise no_such_track(path, track, [f"{source.format.subtype}, {channels}"])
    source.track = track
    return source


def _pyav_reader(path: Path, head: bytes, data: FileRange, track: int | None, strict: bool) -> PyavReader:
    """PyAV's reader, with what FFmpeg does not say of a file: a size that lies, a last packet that is cut off, and
    another recording behind the first, of which it reads nothing."""
    found = examine(data) if kinds.is_container(head) else Examination()
    cut = ("truncated, ends within a packet",) if kinds.ends_within_packet(head, data) else ()
    reader = PyavReader(path, head, track, strict, found.notes or cut)
    if found.recordings > 1 or kinds.has_second(head, data):
        reader.warn("another recording stands behind it, which is not read", end="")
    return reader


class TooLongError(AudioError):
    """A recording is longer than its reader accepts; `seconds` is its length."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message, seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return str(self.args[0])


def read(
    source: Readable, max_seconds: float | None = None, *, track: int | None = None, strict: bool = False
) -> tuple[np.ndarray, int]:  # fmt: skip
    """All samples of a recording as float32, `(T,)` if mono, else `(C, T)`, and its rate in Hz.

    source: a path, the bytes of a file, or a file object open for reading, which need not be able to seek.
    max_seconds: a recording longer than this by its header is not decoded; TooLongError is raised.
    track: which of several audio tracks, from 1.
    strict: raise AudioError for a file that is truncated or whose header lies; else a UserWarning says so.
    Raises AudioError as `open_source` and `Source.blocks` do. An empty recording is valid and gives `T = 0`.
    """
    if max_seconds is not None:
        check_number("max_seconds", max_seconds, 0, math.inf, "seconds, or None for any length")
    if track is not None:
        check_count("track", track, 1, "the number of an audio track, from 1")
    check_flags(strict=strict)
    with path_to_read(source) as path:
        recording = open_source(path, track, strict)
        audio = _decode(recording, max_seconds)
    for warning in filter(None, (recording.track_notice, *recording.warnings)):
        warnings.warn(f"{display_name(source)}: {warning}", stacklevel=2)
    return audio, recording.rate


def read_whole(path: str | Path, max_seconds: float | None = None) -> tuple[np.ndarray, int]:
    """As `read` with strict=True where that is no choice of the user's: the errors do not name the option."""
    try:
        recording = open_source(path, strict=True)
        return _decode(recording, max_seconds), recording.rate
    except IncompleteError as error:
        raise AudioError(f"{path}: {error.note}; get a whole copy, or save it anew") from error


def _decode(recording: Source, max_seconds: float | None) -> np.ndarray:
    if max_seconds is not None and recording.seconds > max_seconds:
        too_long = f"{recording.seconds:.2f} s long, expected {max_seconds:g} s at most"
        raise TooLongError(f"{recording.path}: {too_long}; cut it first", recording.seconds)
    return recording.read()
