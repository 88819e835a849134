"""Recordings beyond libsndfile, through PyAV (`unhiss[media]`): M4A, WMA, Matroska audio, and the sound of videos.

Sound is written in the source's own coding and bit rate where FFmpeg can encode it, else in AAC (MP4 family, AVI,
FLV), Opus (Matroska, WebM) or WMA 2 (ASF). Opus has no 44.1 kHz: such sound becomes 48 kHz. Pictures, subtitles,
chapters, cover art and further sound tracks are copied packet by packet; `Writer.dropped` names what the target
cannot hold. Only ALAC, FLAC, TTA, WavPack and PCM keep every sample; of the others the length is right to one
codec frame. AVI and FLV cannot say how much of the sound is priming: whole packets of it are left out there.
"""

from __future__ import annotations

from pathlib import Path

from unhiss.media.pyav.reader import blocks, info
from unhiss.media.pyav.source import has_pictures
from unhiss.media.pyav.tracks import WRITTEN
from unhiss.media.pyav.writer import Writer

__all__ = ["EXTENSIONS", "Writer", "blocks", "handles", "has_pictures", "info", "reads"]

_READ = {".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob", ".ogv", ".eac3", ".dts", ".ape", ".amr", ".mpc"}
EXTENSIONS = frozenset(WRITTEN) | _READ


def handles(path: Path) -> bool:
    """Whether this module reads, and maybe writes, such a file: by its extension."""
    return path.suffix.lower() in EXTENSIONS


_MARKS = ((4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"), (0, b"\x30\x26\xb2\x75"))  # of MP4, Matroska and ASF (WMA)


def reads(path: Path) -> bool:
    """Whether this module reads a file that is there: by its extension, or by its first bytes."""
    if handles(path) or not path.is_file():
        return handles(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError:
        return False  # whoever reads it will say why
    return any(start[at : at + len(mark)] == mark for at, mark in _MARKS)
