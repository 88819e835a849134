"""Tags, pictures, markers: all that a recording carries beside its sound, copied as it is into another.

Blocks are copied as bytes, unread, but for what denoising makes untrue: gains and loudness, the encoder's name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import soundfile as sf

from unhiss.atomic import temp_path
from unhiss.errors import AudioError
from unhiss.media import formats
from unhiss.media.tags import id3, ogg, riff, vorbis
from unhiss.media.tags.pieces import length, pour, read_at

_FAMILIES = {"WAV": "RIFF", "WAVEX": "RIFF", "RF64": "RIFF", "AIFF": "FORM"}


def family(file: BinaryIO, size: int) -> str | None:
    """A file's container by its first bytes: RIFF, FORM (AIFF), FLAC, OGG (Vorbis, Opus) or MP3; None: another."""
    head = read_at(file, 0, 12)
    chunked = riff.kind(head)
    if chunked:
        return chunked.decode()
    if head[:4] == b"OggS":
        return "OGG" if ogg.headers(file, size)[0] else None
    start = id3.before(file, size)[1]
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
            _rebuild(_REBUILD[kind], file, size, target, in_place)


def audio_bytes(file: BinaryIO, size: int, kind: str | None) -> int:
    """Bytes of an MP3 or Ogg file of a family without its tags and pictures; of any other file all."""
    if kind == "MP3":
        return id3.behind(file, size)[1] - id3.before(file, size)[1]
    if kind == "OGG":
        return size - sum(len(packet) for packet in ogg.headers(file, size)[0][1:2])
    return size


def _facts(path: Path) -> tuple[int, int, int, str] | None:
    """Rate, channels, samples and coding as libsndfile reads them: what no tag may change."""
    try:
        with sf.SoundFile(formats.native(path)) as file:
            return file.samplerate, file.channels, file.frames, file.subtype
    except (sf.SoundFileError, RuntimeError):
        return None


def _append(source: BinaryIO, source_size: int, written: Path, in_place: bool) -> None:
    """Put chunks behind the sound and state the new size; undo it if the file does not hold the same sound then."""
    facts = _facts(written)
    pieces = riff.kept(source, source_size, in_place)
    size = written.stat().st_size
    with written.open("r+b") as file:
        place = riff.stated(file, size + size % 2 + length(pieces))
        if not pieces or place is None:
            return
        before = read_at(file, place[0], len(place[1]))
        try:
            file.seek(size)
            file.write(b"\0" * (size % 2))
            pour(pieces, source, file)
            file.seek(place[0])
            file.write(place[1])
            file.flush()
            good = _facts(written) == facts
        except BaseException:
            _undo(file, place[0], before, size)
            raise
        if not good:
            _undo(file, place[0], before, size)


def _undo(file: BinaryIO, place: int, before: bytes, size: int) -> None:
    file.seek(place)
    file.write(before)
    file.truncate(size)


def _flac(source: BinaryIO, source_size: int, written: BinaryIO, size: int, out: BinaryIO, in_place: bool) -> bool:
    head = vorbis.flac(source, source_size, written, size, in_place)
    if head is None:
        return False
    pour(head, source, out)
    start = vorbis.blocks(written, size)[1]
    pour([(start, size - start)], written, out)
    return True


def _mp3(source: BinaryIO, source_size: int, written: BinaryIO, size: int, out: BinaryIO, in_place: bool) -> bool:
    first, last = id3.before(source, source_size)[0], id3.behind(source, source_size)[0]
    start, end = id3.before(written, size)[1], id3.behind(written, size)[1]
    pour(first, source, out)
    pour([(start, end - start)], written, out)
    pour(last, source, out)
    return True


def _ogg(source: BinaryIO, source_size: int, written: BinaryIO, size: int, out: BinaryIO, in_place: bool) -> bool:
    return ogg.exchange(source, source_size, written, size, out)


Rebuild = Callable[[BinaryIO, int, BinaryIO, int, BinaryIO, bool], bool]
_REBUILD: dict[str, Rebuild] = {"FLAC": _flac, "MP3": _mp3, "OGG": _ogg}


def _rebuild(make: Rebuild, source: BinaryIO, source_size: int, written: Path, in_place: bool) -> None:
    """Make a file anew beside itself; keep it as it was if the new one does not hold the same sound."""
    draft = temp_path(written)
    try:
        with written.open("rb") as file, draft.open("wb") as out:
            done = make(source, source_size, file, written.stat().st_size, out, in_place)
        if done and _facts(draft) == _facts(written):
            shutil.copymode(written, draft)
            draft.replace(written)
    finally:
        draft.unlink(missing_ok=True)
