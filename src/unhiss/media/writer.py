"""Writing recordings of any writable format."""

import io
import warnings
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import ArrayLike

from unhiss.arguments import check_choice, check_text
from unhiss.dsp.audio import FULL_SCALE, as_samples, check_not_transposed, check_rate, check_shape, describe_clipping
from unhiss.errors import ConfigError, nearest, shown
from unhiss.media import formats, pyav
from unhiss.media.audio_source import Source
from unhiss.media.audio_writer import AudioWriter
from unhiss.media.file_objects import Writable, display_name, path_to_write
from unhiss.media.formats import AudioFormat, can_exceed_full_scale
from unhiss.media.pyav.tracks import AUDIO_ONLY, MUXERS
from unhiss.media.pyav.writer import PyavWriter
from unhiss.media.soundfile_writer import SoundfileWriter

WRITABLE = formats.EXTENSIONS | frozenset(MUXERS)  # extensions, with their dot, of all formats unhiss writes
SUBTYPE = 'a coding of libsndfile, such as "PCM_24", or None'
CLIP_MODES = ("clip", "rescale", "none")
RESCALED_PEAK = 1 - 2**-15  # the largest sample of 16 bits


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


def write(
    target: Writable, audio: ArrayLike, rate: int, subtype: str | None = None, *, format: str | None = None,
    clip_mode: str = "clip",
) -> None:  # fmt: skip
    """Write `(T,)` or `(C, T)`, complete or not at all; as with soundfile, an existing file is replaced.

    target: a path, whose extension states the format, or a file object open for writing; format: a name such as
    "FLAC" or "M4A" for one without a name. subtype: libsndfile's name of a coding, such as "FLOAT".
    audio: float, or integers, which are scaled by their type: int16 is stored bit by bit as PCM_16.
    clip_mode: for samples beyond full scale that the coding cannot hold: "clip" (with a UserWarning), "rescale" (all
    get quieter) or "none" (clip without a warning). A channel that the format stores as a low-frequency one is a
    UserWarning too. Raises AudioError, ConfigError.
    """
    samples = as_samples(audio)
    check_shape(samples)
    check_not_transposed(samples)
    check_text("subtype", subtype, SUBTYPE)
    check_choice("clip_mode", clip_mode, CLIP_MODES)
    samples = np.atleast_2d(samples)
    like = AudioFormat(check_rate(rate), *samples.shape)
    with path_to_write(target, extension(format)) as path, open_writer(path, like, subtype) as file:
        file.write(samples if can_exceed_full_scale(file.subtype) else _limited(samples, clip_mode, file.subtype))
    for note in file.notes:
        warnings.warn(f"{display_name(target)}: {note}", UserWarning, stacklevel=2)


def extension(format: str | None) -> str:
    """The extension of a format, with its dot; "" for None."""
    check_text("format", format, 'a name such as "WAV", or None')
    if format is None:
        return ""
    name = format.upper().removeprefix(".")
    if f".{name.lower()}" not in WRITABLE:
        raise ConfigError(f"format = {shown(format)}; {nearest(name, [known[1:].upper() for known in WRITABLE])}")
    return f".{name.lower()}"


def _limited(samples: np.ndarray, clip_mode: str, subtype: str) -> np.ndarray:
    """The samples for a coding of integers, which end at full scale. The writer clips."""
    clipped = "" if clip_mode == "none" else describe_clipping(samples)
    if clipped and clip_mode == "rescale":
        samples = samples * (RESCALED_PEAK / float(np.abs(samples).max()))
        return samples
    if clipped:
        hint = "clip_mode='rescale' or subtype='FLOAT' keeps them"
        warnings.warn(f"{clipped} are clipped by {subtype}; {hint}", UserWarning, stacklevel=3)
    return samples


def wav_bytes(audio: np.ndarray, rate: int) -> bytes:
    """A 16-bit WAV file of float32 `(T,)`, each sample rounded to the nearest step.

    For folders of thousands of small files: soundfile waits for the disk (fsync) on each file it closes.
    """
    samples = np.clip(np.rint(audio * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    buffer = io.BytesIO()
    sf.write(buffer, samples, rate, "PCM_16", format="WAV")
    return buffer.getvalue()
