"""Writing recordings of any writable format."""

import io
import warnings
from pathlib import Path

import numpy as np
import soundfile as sf

from unhiss.dsp.audio import FULL_SCALE, looks_transposed
from unhiss.errors import AudioError
from unhiss.media import formats, pyav
from unhiss.media.audio_source import Source
from unhiss.media.audio_writer import AudioWriter
from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.tracks import AUDIO_ONLY, MUXERS
from unhiss.media.pyav.writer import PyavWriter
from unhiss.media.soundfile_writer import SoundfileWriter

WRITABLE = formats.EXTENSIONS | frozenset(MUXERS)  # extensions, with their dot, of all formats unhiss writes


def open_writer(
    path: str | Path, like: AudioFormat, subtype: str | None = None, copy_from: Source | None = None
) -> AudioWriter:
    """A context manager with `write(block)`, block float32 `(C, T)`; the file appears when it is complete.

    like: rate, channels, tags, and where the container (by the extension) can hold it, coding and bit rate.
    subtype: a required coding. copy_from: a recording whose tags, pictures and other tracks are copied.
    Raises AudioError if the container cannot hold this, or the file cannot be written.
    """
    writer = PyavWriter if Path(path).suffix.lower() in pyav.EXTENSIONS else SoundfileWriter
    return writer(path, like, subtype, copy_from=copy_from)


def holds_video(path: Path) -> bool:
    """Whether a file of this name can hold moving pictures."""
    return path.suffix.lower() in pyav.EXTENSIONS and path.suffix.lower() not in AUDIO_ONLY


def write(path: str | Path, audio: np.ndarray, rate: int, subtype: str | None = None) -> None:
    """Write float32 `(T,)` or `(C, T)`; the container follows the extension, complete or not at all.

    subtype: libsndfile's name of a coding, such as "FLOAT". Raises AudioError; warns of a
    channel that the format stores as a low-frequency one.
    """
    audio = np.atleast_2d(audio)
    if audio.ndim > 2 or looks_transposed(audio):
        raise AudioError(f"audio of shape {audio.shape}; expected (T,) or (C, T), such as audio.T")
    with open_writer(path, AudioFormat(rate, len(audio), audio.shape[1]), subtype) as file:
        file.write(audio)
    for note in file.notes:
        warnings.warn(f"{path}: {note}", UserWarning, stacklevel=2)


def wav_bytes(audio: np.ndarray, rate: int) -> bytes:
    """A 16-bit WAV file of float32 `(T,)`, each sample rounded to the nearest step.

    For folders of thousands of small files: soundfile waits for the disk (fsync) on each file it closes.
    """
    samples = np.clip(np.rint(audio * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    buffer = io.BytesIO()
    sf.write(buffer, samples, rate, "PCM_16", format="WAV")
    return buffer.getvalue()
