"""Writing recordings of any writable format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unhiss.dsp.audio import looks_transposed
from unhiss.errors import AudioError
from unhiss.media import formats, pyav
from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.tracks import AUDIO_ONLY, MUXERS
from unhiss.media.pyav.writer import PyavWriter
from unhiss.media.soundfile_writer import SoundfileWriter
from unhiss.media.source import Source

WRITABLE = formats.EXTENSIONS | frozenset(MUXERS)  # extensions, with their dot, of all formats unhiss writes


def open_writer(
    path: Path, like: AudioFormat, subtype: str | None = None, copy_from: Source | None = None
) -> SoundfileWriter | PyavWriter:
    """A context manager with `write(block)`, block float32 `(C, T)`; the file appears when it is complete.

    like: rate, channels, tags, and where the container can hold it, coding and bit rate. subtype: a coding that is
    required. copy_from: a recording whose tags, pictures and other tracks are copied; `.dropped` names what could
    not be. `.subtype`: the coding chosen. Raises AudioError.
    """
    writer = PyavWriter if path.suffix.lower() in pyav.EXTENSIONS else SoundfileWriter
    return writer(path, like, subtype, copy_from=copy_from)


def holds_video(path: Path) -> bool:
    """Whether a file of this name can hold moving pictures."""
    return path.suffix.lower() in pyav.EXTENSIONS and path.suffix.lower() not in AUDIO_ONLY


def write(path: str | Path, audio: np.ndarray, rate: int, subtype: str | None = None) -> None:
    """Write float32 `(T,)` or `(C, T)`; the container follows the extension, complete or not at all.

    subtype: libsndfile's name of a coding, such as "FLOAT". Raises AudioError.
    """
    audio = np.atleast_2d(audio)
    if audio.ndim > 2 or looks_transposed(audio):
        raise AudioError(f"audio of shape {audio.shape}; expected (T,) or (C, T), such as audio.T")
    with open_writer(Path(path), AudioFormat(rate, len(audio), audio.shape[1]), subtype) as file:
        file.write(audio)
