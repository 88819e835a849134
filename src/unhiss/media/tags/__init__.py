"""Tags, pictures and markers: everything in a recording beside its audio, copied into another one.

Blocks are copied as bytes, without parsing them. Only what denoising makes untrue is left out: gains, loudness and the
encoder's name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import soundfile as sf

from unhiss.atomic import temp_path
from unhiss.errors import AudioError
from unhiss.media import formats
from unhiss.media.tags import id3, ogg, riff, vorbis
from unhiss.media.tags.pieces import Piece, length, read_at, write_pieces

_FAMILIES = {"WAV": "RIFF", "WAVEX": "RIFF", "RF64": "RIFF", "AIFF": "FORM"}


def family(file: BinaryIO, size: int) -> str | None:
    """A file's container by its first bytes: RIFF, FORM (AIFF), FLAC, OGG (Vorbis, Opus) or MP3; None: another."""
    head = read_at(file, 0, 12)
    chunked = riff.form(head)
    if chunked:
        return chunked.decode()
    if head[:4] == b"OggS":
        return "OGG" if ogg.header_packets(file, size)[0] else None
    start = id3.leading_tags(file, size)[1]
    mark = read_at(file, start, 4)
    if mark == b"fLaC":
        return "FLAC"
    return "MP3" if start or (mark[:1] == b"\xff" and mark[1:2] >= b"\xe0") else None  # ID3 may be padded outside


def copies(source_family: str | None, container: str) -> bool:
    """Whether `copy` can carry the metadata of a source into a container, by libsndfile's name of it."""
    return source_family == _FAMILIES.get(container, container)


def copy(source: Path, target: Path, *, in_place: bool = True) -> None:
    """Put a recording's metadata into another one of the same family, replacing its own; the audio is unchanged.

    in_place: sample n of one is sample n of the other; without it markers and cue sheets are left out.
    Damaged metadata is left out too; files of different families stay as they are. Memory is bounded.
    Raises OSError if the file cannot be written; it is then as it was. AudioError if the source cannot be read.
    """
    try:
        file = source.open("rb")
    except OSError as error:
        raise AudioError(f"{source}: cannot be read ({error.strerror})") from error
    with file, suppress(EOFError):  # of a source that shrinks meanwhile
        size = os.fstat(file.fileno()).st_size
        kind = family(file, size)
        with target.open("rb") as written:
            own = family(written, target.stat().st_size)
        if kind is None or kind != own:
            return
        if kind in ("RIFF", "FORM"):
            _append(file, size, target, in_place)
        else:
            _rebuild(kind, file, size, target, in_place)


def audio_bytes(file: BinaryIO, size: int, kind: str | None) -> int:
    """Bytes of an MP3 or Ogg file of a family without its tags and pictures; of any other file all."""
    if kind == "MP3":
        return id3.trailing_tags(file, size)[1] - id3.leading_tags(file, size)[1]
    if kind == "OGG":
        return size - sum(len(packet) for packet in ogg.header_packets(file, size)[0][1:2])
    return size


def _audio_properties(path: Path) -> tuple[int, int, int, str] | None:
    """Rate, channels, samples and coding as libsndfile reads them, which no tag may change."""
    try:
        with sf.SoundFile(formats.native(path)) as file:
            return file.samplerate, file.channels, file.frames, file.subtype
    except (sf.SoundFileError, RuntimeError):
        return None


def _append(source: BinaryIO, source_size: int, written: Path, in_place: bool) -> None:
    """Append chunks and update the size in the header; undo it if the file no longer has the same audio."""
    before = _audio_properties(written)
    pieces = riff.metadata_chunks(source, source_size, in_place)
    size = written.stat().st_size
    with written.open("r+b") as file:
        field = riff.size_field(file, size + size % 2 + length(pieces))
        if not pieces or field is None:
            return
        at, new_value = field
        old_value = read_at(file, at, len(new_value))
        unchanged = False
        try:
            file.seek(size)
            file.write(b"\0" * (size % 2))
            write_pieces(pieces, source, file)
            file.seek(at)
            file.write(new_value)
            file.flush()
            unchanged = _audio_properties(written) == before
        finally:
            if not unchanged:
                file.seek(at)
                file.write(old_value)
                file.truncate(size)


Parts = Iterable[tuple[BinaryIO, Iterable[Piece]]]  # a new file: pieces, and the file that their ranges refer to


def _flac_parts(source: BinaryIO, source_size: int, written: BinaryIO, size: int, in_place: bool) -> Parts:
    head, start = vorbis.flac_head(source, source_size, written, size, in_place), vorbis.flac_blocks(written, size)[1]
    return [(source, head), (written, [(start, size - start)])] if head else []


def _mp3_parts(source: BinaryIO, source_size: int, written: BinaryIO, size: int, in_place: bool) -> Parts:
    start, end = id3.leading_tags(written, size)[1], id3.trailing_tags(written, size)[1]
    first, last = id3.leading_tags(source, source_size)[0], id3.trailing_tags(source, source_size)[0]
    return [(source, first), (written, [(start, end - start)]), (source, last)]


def _ogg_parts(source: BinaryIO, source_size: int, written: BinaryIO, size: int, in_place: bool) -> Parts:
    return [(written, ogg.replace_comments(source, source_size, written, size))]


_PARTS: dict[str, Callable[[BinaryIO, int, BinaryIO, int, bool], Parts]]
_PARTS = {"FLAC": _flac_parts, "MP3": _mp3_parts, "OGG": _ogg_parts}


def _rebuild(kind: str, source: BinaryIO, source_size: int, written: Path, in_place: bool) -> None:
    """Rebuild a file with new tags beside it; keep the old one if the new one does not have the same audio."""
    temporary = temp_path(written)
    try:
        with written.open("rb") as file, temporary.open("wb") as out:
            for origin, pieces in _PARTS[kind](source, source_size, file, written.stat().st_size, in_place):
                write_pieces(pieces, origin, out)
        before = _audio_properties(written)
        if before is not None and _audio_properties(temporary) == before:
            shutil.copymode(written, temporary)
            temporary.replace(written)
    finally:
        temporary.unlink(missing_ok=True)
