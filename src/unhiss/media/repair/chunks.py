"""Uncompressed recordings whose headers lie about their sizes: what follows the audio tells where it ends."""

from unhiss.media.file_range import FileRange
from unhiss.media.repair import mpeg
from unhiss.media.repair.headers import MARKS, Sound, parse
from unhiss.media.repair.part import Examination, Part
from unhiss.media.tags import id3

_WRAP = 1 << 32  # where sizes of 32 bits start again at zero
_MAX_PADDING = 1 << 16  # zeros behind the audio; more of them are audio
_MAX_CHUNKS = 10_000  # a file with more is damaged
# Chunks that are recognised behind the audio even if they are cut off.
_KNOWN = frozenset(
    b"LIST|INFO|bext|cue |iXML|id3 |ID3 |_PMX|smpl|inst|JUNK|junk|PAD |FLLR|fact|PEAK|levl|cart|RIFF|RF64|COMM|MARK|"
    b"INST|NAME|AUTH|ANNO|(c) |APPL|info|strg|free|umid|uuid|mark|regn|peak|edct".split(b"|")
)


def examine(data: FileRange) -> Examination:
    """The audio of a WAV, RF64, W64, AIFF, AU or CAF file, where its header states another size of it."""
    parts, notes, count = list[Part](), list[str](), 0
    behind: FileRange | None = data
    while behind is not None:
        found, behind = _examine_one(whole := behind)
        if behind is None and not count:
            return found
        parts += found.parts or (Part((whole,)),)
        notes += found.notes
        count += 1
    return Examination(tuple(parts), tuple(dict.fromkeys(notes)), count)


def _examine_one(data: FileRange) -> tuple[Examination, FileRange | None]:
    """The first recording, in parts if another one follows it, and that other one."""
    sound = parse(data)
    if sound is None or (sound.stated is None and not sound.to_end):
        return Examination(), None
    available = len(data) - sound.start
    size, note = (available, "") if sound.stated is None else _true_size(data, sound, sound.stated)
    notes = (note,) if note else ()
    if sound.is_mpeg:
        return mpeg.examine_inside(data[sound.start : sound.start + size], notes), None
    own = Examination(_parts(data[sound.start : sound.start + size], sound), notes)
    behind = _behind(data, sound, size)
    if _is_recording(behind):
        return own, behind
    believed = size == sound.stated and not sound.misplaced and not (sound.to_end and len(behind))
    return (Examination() if believed and _is_followed(data, sound, size) else own), None


def _parts(audio: FileRange, sound: Sound) -> tuple[Part, ...]:
    """The audio behind headers that state its size."""
    starts = range(0, max(1, len(audio)), sound.limit)
    pieces = [audio[start : start + sound.limit] for start in starts]
    return tuple(Part((*sound.header(len(piece)), piece)) for piece in pieces)


def _true_size(data: FileRange, sound: Sound, stated: int) -> tuple[int, str]:
    """Bytes of the audio, and what is wrong with the stated ones."""
    available = len(data) - sound.start
    if stated > available:
        return available, f"truncated, holds {available:,} of {stated:,} bytes of sound"
    if stated == available or _can_end(data, sound, stated):
        return stated, ""
    wrapped = range(stated + _WRAP, available + 1, _WRAP) if sound.wraps else ()
    size = next((size for size in wrapped if size == available or _can_end(data, sound, size)), available)
    return size, f"its header states {stated:,} bytes of sound, and it holds {size:,}"


def _behind(data: FileRange, sound: Sound, size: int) -> FileRange:
    """What follows `size` bytes of audio and their padding."""
    return data[sound.start + size + -size % sound.align :]


def _is_recording(data: FileRange) -> bool:
    return bytes(data[:4]) in MARKS and parse(data) is not None


def _can_end(data: FileRange, sound: Sound, size: int) -> bool:
    """Whether chunks, tags, padding, another recording or nothing follow `size` bytes of audio."""
    end = sound.start + size
    head = bytes(data[end : end + _MAX_PADDING + 1])
    if size and ((len(head) <= _MAX_PADDING and not any(head)) or _is_recording(_behind(data, sound, size))):
        return True
    return any(head[skip:].startswith(id3.APPENDED) for skip in (0, 1)) or _is_followed(data, sound, size)


def _is_followed(data: FileRange, sound: Sound, size: int) -> bool:
    """Whether nothing but chunks follows `size` bytes of audio, as a header promises."""
    end = sound.start + size
    rest = bytes(data[end : end + sound.align])
    if len(rest) <= -size % sound.align and (len(rest) < 2 or not any(rest)):
        return True
    return any(_is_chain(data, sound, end + skip) for skip in (0, 1, -size % sound.align))


def _is_chain(data: FileRange, sound: Sound, at: int) -> bool:
    """Whether chunks fill the rest of the file, or the first of them has a known name."""
    if bytes(data[at : at + 4]) in _KNOWN:
        return True
    for _ in range(_MAX_CHUNKS):
        chunk = sound.chunk(at)
        if chunk is None:
            return False
        at = chunk[1]
        if at >= len(data):
            return True
    return False
