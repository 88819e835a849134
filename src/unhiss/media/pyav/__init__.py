"""Formats beyond libsndfile, through PyAV (`unhiss[media]`): M4A, WMA, Matroska, and the audio of videos.

Audio is written in the source's coding and bit rate where FFmpeg can encode it, else in AAC (MP4 family, AVI, FLV),
Opus (Matroska, WebM) or WMA 2 (ASF). Opus has no 44.1 kHz: such audio becomes 48 kHz. Pictures, subtitles, chapters,
cover art and further audio tracks are copied packet by packet; `PyavWriter.dropped` names what the target cannot hold.
Only ALAC, FLAC, TTA, WavPack and PCM keep every sample; of other codings the length is right to one codec frame. AVI
and FLV cannot mark priming: whole packets of it are left out there.
"""

from pathlib import Path

from unhiss.media.pyav.tracks import MUXERS

_READ_ONLY = {".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob", ".ogv", ".eac3", ".dts", ".ape", ".amr", ".mpc"}
EXTENSIONS = frozenset(MUXERS) | _READ_ONLY
_MARKS = ((4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"), (0, b"\x30\x26\xb2\x75"))  # of MP4, Matroska and ASF (WMA)


def handles(path: Path, head: bytes) -> bool:
    """Whether PyAV reads a file, by its extension or its first bytes."""
    return path.suffix.lower() in EXTENSIONS or any(head[at : at + len(mark)] == mark for at, mark in _MARKS)
