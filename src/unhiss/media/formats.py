"""File formats as libsndfile names them: what a container can hold, and whether a file is complete."""

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import soundfile as sf

# RAW has no header, so neither rate nor channels could be read back. SD2 is two files. libsndfile does not read back
# all that it writes as SDS.
FORMATS = frozenset(sf.available_formats()) - {"RAW", "SD2", "SDS"}
_ALIASES = {"AIF": "AIFF", "OPUS": "OGG", "OGA": "OGG", "WAVE": "WAV"}  # extensions of formats of another name
EXTENSIONS = frozenset(f".{name.lower()}" for name in (*FORMATS, *_ALIASES))
TAGS = ("title", "copyright", "artist", "comment", "date", "album", "license", "tracknumber", "genre")
LOSSY = ("MPEG_LAYER", "VORBIS", "OPUS")  # prefixes of codings that have a bit rate
UNKNOWN_FRAMES = 1 << 62  # libsndfile's count, or more, when the header does not state the length
_PIPE_SIZE = 0x7FFFF000  # a pipe's WAV header states this size or more, since the length is not known yet
_MAX_WAV_BYTES = 0xFFF00000  # of audio, for which a WAV's 32-bit sizes suffice
# libsndfile's notes on a header that states more than the file holds: (stated, available), and the unit.
_SIZE_NOTES = (
    (r"(?:data|SSND|Data Size)\s*:\s*(\d+)\s*\(should be (\d+)\)", "bytes of sound"),
    (r"(?m)^(?:riff|  Riff size)\s*:\s*(\d+)\s*\(should be (\d+)\)", "bytes"),
)
# Codings of integers, which end at full scale.
_INTEGER = ("PCM", "ALAC", "FLAC", "TTA", "WAVPACK", "ULAW", "ALAW", "GSM", "G72", "NMS", "VOX", "DPCM", "IMA", "MS_")
_UNWRITABLE = ("DWVW", "MPEG_LAYER_I")  # not read back correctly; no encoder for MP3's layers I and II
_DEEP = ("PCM_24", "FLOAT", "ALAC_24", "PCM_16")  # for more than 16 bits: the first that the container can hold


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Rate in Hz, channels, frames (samples per channel), libsndfile's names of container and coding, and tags.

    bit_rate: bits per second of a lossy coding (MP3, Vorbis, Opus, AAC), tags and pictures not counted; else 0.
    layout: which speaker each channel is for, by FFmpeg's name, such as "5.1"; "" if unknown (see layouts.py).
    """

    rate: int
    channels: int
    frames: int
    container: str = ""
    subtype: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    bit_rate: int = 0
    layout: str = ""

    @property
    def seconds(self) -> float:
        return self.frames / self.rate

    @property
    def shape(self) -> str:
        """Channels and rate in words."""
        return f"{self.channels} channel{'s' * (self.channels > 1)} at {self.rate:,} Hz"


def can_exceed_full_scale(subtype: str) -> bool:
    """Whether a coding holds samples beyond full scale: floats and lossy codings do, integers do not."""
    return not subtype.startswith(_INTEGER)


def reason(error: BaseException) -> str:
    """The message of libsndfile without its prefix, FFmpeg's last and most specific one, or that of the system."""
    log, texts = getattr(error, "log", None), (getattr(error, name, None) for name in ("error_string", "strerror"))
    text = str(log[2] if log else next(filter(None, texts), error)).replace("Error : ", "").strip(". \n")
    text = "data that cannot be decoded" if text.startswith("Error number") else text
    return "no sound found in it" if "not a regular file" in text else text  # its message for an MP3 without a frame


def native(path: Path) -> str | bytes:
    """A path for libsndfile: bytes on POSIX, where file names need not be valid UTF-8."""
    return os.fsencode(path) if os.name == "posix" else str(path)


def container_of(path: Path, like: str = "") -> str | None:
    """libsndfile's name of the container for an extension; None if there is none.

    like: the container of the source; a .wav made from an extensible or 64-bit WAV stays of that kind.
    """
    name = path.suffix[1:].upper()
    name = _ALIASES.get(name, name)
    if name == "WAV" and like in ("WAVEX", "RF64"):
        return like
    return name if name in FORMATS else None


def nearest_coding(container: str, extension: str, subtype: str) -> str:
    """`subtype` if the container can hold it, else the nearest coding that it can."""
    if extension.lower() == ".opus":
        return "OPUS"
    if subtype and not subtype.startswith(_UNWRITABLE) and sf.check_format(container, subtype):
        return subtype
    if subtype in ("FLOAT", "DOUBLE", "PCM_24", "PCM_32", "ALAC_20", "ALAC_24", "ALAC_32"):
        subtype = next((name for name in _DEEP if sf.check_format(container, name)), "")
        if subtype:
            return subtype
    return str(sf.default_subtype(container))


def max_sample(container: str, subtype: str) -> float:
    """The largest sample a coding holds; beyond it some codecs of libsndfile wrap around to negative full scale."""
    if subtype.startswith(("FLOAT", "DOUBLE", *LOSSY)):
        return math.inf
    if subtype.startswith("PCM") and container != "PAF":
        return 1.0
    return 0.8 if subtype.startswith("G72") else 1 - 2**-23  # G.72x decoders overshoot, the worst from 0.9 on


def large_container(container: str, subtype: str, samples: int) -> str:
    """RF64 instead of WAV for more than 4 GB of audio."""
    size = {"FLOAT": 4, "PCM_32": 4, "PCM_24": 3, "DOUBLE": 8, "PCM_16": 2}.get(subtype, 1)
    return "RF64" if container in ("WAV", "WAVEX") and samples * size > _MAX_WAV_BYTES else container


def mismatch(notes: str) -> str:
    """What libsndfile noted about a file that is shorter than its header states (WAV, AIFF, CAF, AU, RF64 ...)."""
    for pattern, unit in _SIZE_NOTES:
        for stated, available in re.findall(pattern, notes):
            if int(available) < int(stated) < _PIPE_SIZE:
                return f"holds {available} of {stated} {unit}"
    return "ends early" if "Seems to be a truncated file" in notes else ""
