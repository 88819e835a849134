"""Tags, pictures and markers: everything in a recording beside its audio, copied into another one.

Blocks are copied as bytes, without parsing them. Only what denoising makes untrue is left out: gains, loudness and the
encoder's name.
"""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import soundfile as sf

from unhiss.atomic import temp_path
from unhiss.errors import AudioError
from unhiss.media import formats
from unhiss.media.file_range import FileRange, Piece, length, whole, write_pieces
from unhiss.media.tags import id3, ogg, riff, vorbis

_FAMILIES = {"WAV": "RIFF", "WAVEX": "RIFF", "RF64": "RIFF", "AIFF": "FORM"}


def family(file: FileRange) -> str | None:
    """A file's container by its first bytes: RIFF, FORM (AIFF), FLAC, OGG (Vorbis, Opus) or MP3; None: another."""
    head = bytes(file[:12])
    if chunked := riff.form(head):
        return chunked.decode()
    if head[:4] == b"OggS":
        return "OGG" if ogg.header_packets(file)[0] else None
    audio = id3.split(file)[1]
    mark = bytes(audio[:4])
    if mark == b"fLaC":
        return "FLAC"
    return "MP3" if audio.start or (mark[:1] == b"\xff" and mark[1:2] >= b"\xe0") else None  # ID3 may be padded outside


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
        data = whole(file)
        kind = family(data)
        with target.open("rb") as written:
            same = kind == family(whole(written))
        if kind in ("RIFF", "FORM") and same:
            _append(riff.metadata_chunks(data, in_place), target)
        elif kind and same:
            _rebuild(kind, data, target, in_place)


def audio_bytes(file: FileRange, kind: str | None) -> int:
    """Bytes of an MP3 or Ogg file of a family without its tags and pictures; of any other file all."""
    if kind == "MP3":
        return len(id3.split(file)[1])
    if kind == "OGG":
        return len(file) - len(ogg.header_packets(file)[0][1])
    return len(file)


def _audio_properties(path: Path) -> tuple[int, int, int, str] | None:
    """Rate, channels, samples and coding as libsndfile reads them, which no tag may change."""
    try:
        with sf.SoundFile(formats.native(path)) as file:
            return file.samplerate, file.channels, file.frames, file.subtype
    except (sf.SoundFileError, RuntimeError):
        return None


def _append(chunks: list[Piece], target: Path) -> None:
    """Append chunks and update the size in the header; undo it if the file no longer has the same audio."""
    before = _audio_properties(target)
    with target.open("r+b") as file:
        written = whole(file)
        size = len(written)
        field = riff.size_field(written, size + size % 2 + length(chunks))
        if not chunks or field is None:
            return
        at, new_value = field
        old_value = bytes(written[at : at + len(new_value)])
        unchanged = False
        try:
            file.seek(size)
            write_pieces([bytes(size % 2), *chunks], file)
            file.seek(at)
            file.write(new_value)
            file.flush()
            unchanged = _audio_properties(target) == before
        finally:
            if not unchanged:
                file.seek(at)
                file.write(old_value)
                file.truncate(size)


def _rebuild(kind: str, source: FileRange, target: Path, in_place: bool) -> None:
    """Rebuild a file with new tags beside it; keep the old one if the new one does not have the same audio."""
    temporary = temp_path(target)
    try:
        with target.open("rb") as file, temporary.open("wb") as out:
            write_pieces(_with_tags(kind, source, whole(file), in_place), out)
        before = _audio_properties(target)
        if before is not None and _audio_properties(temporary) == before:
            shutil.copymode(target, temporary)
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _with_tags(kind: str, source: FileRange, written: FileRange, in_place: bool) -> Iterable[Piece]:
    """The FLAC, Ogg or MP3 file `written` with the metadata of `source`."""
    if kind == "FLAC":
        return vorbis.flac_with_metadata(source, written, in_place)
    if kind == "OGG":
        return ogg.replace_comments(source, written)
    before, _, after = id3.split(source)
    return [*before, id3.split(written)[1], *after]
