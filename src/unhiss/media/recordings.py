"""Any recording: by soundfile where it reads the format, by PyAV (unhiss[media]) where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unhiss.media import audio, containers, pyav
from unhiss.media.audio import AudioInfo
from unhiss.media.pyav.tracks import SOUND_ONLY, WRITTEN
from unhiss.media.writer import Writer

EXTENSIONS = containers.EXTENSIONS | pyav.EXTENSIONS
WRITABLE = containers.EXTENSIONS | frozenset(WRITTEN)
# Codings of whole numbers: full scale is their limit.
_WHOLE = ("PCM", "ALAC", "FLAC", "TTA", "WAVPACK", "ULAW", "ALAW", "GSM", "G72", "NMS", "VOX", "DPCM", "IMA", "MS_")


def info(path: Path) -> AudioInfo:
    """Facts of a recording without decoding it. Raises AudioError if it cannot be read."""
    return pyav.info(path) if pyav.reads(path) else audio.info(path)


def blocks(path: Path, size: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """Samples `start` to `stop` in blocks, float32 `(C, size)`, the last one shorter. Raises AudioError."""
    return pyav.blocks(path, size, start, stop) if pyav.reads(path) else audio.blocks(path, size, start, stop)


def holds_peaks(subtype: str) -> bool:
    """Whether a coding can hold samples beyond full scale: those of floats can, and lossy ones."""
    return not subtype.startswith(_WHOLE)


def keeps_pictures(source: Path, target: Path) -> bool:
    """Whether moving pictures go along from one to the other."""
    both = pyav.reads(source) and pyav.handles(target) and target.suffix.lower() not in SOUND_ONLY
    return both and pyav.has_pictures(source)


def writer(path: Path, like: AudioInfo, subtype: str | None, tags_of: Path | None) -> Writer | pyav.Writer:
    """A context manager with `write(block)`; the file appears when it is complete. Raises AudioError."""
    kind = pyav.Writer if pyav.handles(path) else Writer
    return kind(path, like, subtype, tags_of=tags_of)
