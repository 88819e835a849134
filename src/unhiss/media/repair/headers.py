"""The headers of uncompressed recordings (WAV, RF64, W64, AIFF, AU, CAF): where the audio lies, and what they state.

Sources: Multimedia Programming Interface 1.0 (RIFF), EBU Tech 3306 (RF64), Sony Wave64, Audio Interchange File Format
1.3, Sun's AU, Apple's Core Audio Format 1.0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from unhiss.media.file_range import FileRange, Piece, length

MARKS = (b"RIFF", b"RF64", b"BW64", b"riff", b"FORM", b".snd", b"dns.", b"caff")
_OPEN = 0x7FFFF000  # sizes of 32 bits from here on: written to a pipe, the length was not known
_OPEN_AIFF = 0x7F000000  # the size that SoX writes there
_OPEN_W64 = 1 << 62  # sizes of 64 bits from here on
_ALL = 0xFFFFFFFF
_NARROW = 20_160 * 100_000  # bytes: whole samples of any depth, of 1 to 8 channels, that a size of 32 bits can state
_MPEG = b"\x55\0"  # the coding of MP3 in a WAV
_MAX_CHUNKS = 10_000  # a file with more is damaged
_SEARCHED = 1 << 20  # bytes behind a damaged chunk in which the audio is looked for
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_WAVE = bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")

Chunk = tuple[bytes, int]  # its name, and the offset of the next one


@dataclass(frozen=True, slots=True)
class Sound:
    """Where a header puts the audio, and how to write that header again.

    start: offset of the audio. stated: its bytes by the header; None if it leaves them open. header: the bytes before
    the audio, for a size. chunk: the chunk at an offset behind it. wraps: sizes have 32 bits. misplaced: chunks before
    the audio are not where their sizes put them. is_mpeg: it holds MP3 frames. limit: bytes that a header can state.
    to_end: libsndfile takes what follows for audio, or an open size for an error. align: chunks start at its multiples.
    """

    start: int
    stated: int | None
    header: Callable[[int], tuple[Piece, ...]]
    chunk: Callable[[int], Chunk | None]
    wraps: bool = False
    misplaced: bool = False
    is_mpeg: bool = False
    limit: int = 1 << 62
    to_end: bool = False
    align: int = 2


def parse(data: FileRange) -> Sound | None:
    """The audio of a recording by its header; None if that cannot be read."""
    head = bytes(data[:12])
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:] == b"WAVE":
        return _riff(data)
    if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        return _aiff(data)
    others = {b"riff": _w64, b".snd": _au, b"dns.": _au, b"caff": _caf}
    return others[head[:4]](data) if head[:4] in others else None


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


def _chunk(data: FileRange, order: str, at: int) -> Chunk | None:
    """The chunk of a RIFF or AIFF file at an offset, if all of it is there."""
    head = bytes(data[at : at + 8])
    size = int.from_bytes(head[4:], "big" if order == "big" else "little")
    fits = len(head) == 8 and at + 8 + size <= len(data)
    return (head[:4], at + 8 + size + size % 2) if fits and _is_name(head[:4]) else None


def _next_riff_chunk(data: FileRange, at: int, size: int) -> int | None:
    """The offset of the chunk behind one of `size` bytes; some editors pad to four bytes, others not at all."""
    end = at + 8 + size
    for place in (end + size % 2, end, end + 1, end + 2, end + 3):
        if bytes(data[place : place + 4]) == b"data" or _chunk(data, "little", place):
            return place
    found = bytes(data[at + 8 : at + 8 + _SEARCHED]).find(b"data")
    return at + 8 + found if found >= 0 else None


def _riff(data: FileRange) -> Sound | None:
    at, kept, wide, misplaced, coding = 12, list[Piece](), None, False, b""
    for _ in range(_MAX_CHUNKS):
        head = bytes(data[at : at + 8])
        name, size, body = head[:4], int.from_bytes(head[4:], "little"), at + 8
        if name == b"data":
            in_ds64 = size == _ALL and wide is not None
            stated = wide if in_ds64 else None if size >= _OPEN and size > len(data) - body else size
            header = partial(_riff_header, tuple(kept))
            chunk, is_mpeg = partial(_chunk, data, "little"), coding == _MPEG
            return Sound(body, stated, header, chunk, not in_ds64, misplaced, is_mpeg) if coding else None
        place = _next_riff_chunk(data, at, size)
        if place is None:
            return None
        if name == b"fmt ":
            coding = bytes(data[body : body + 2])
        if name == b"ds64":
            wide = int.from_bytes(bytes(data[body + 8 : body + 16]), "little")
        else:
            size = min(size, place - body)
            kept += [name, size.to_bytes(4, "little"), data[body : body + size], bytes(size % 2)]
        misplaced |= place != body + size + size % 2
        at = place
    return None


def _riff_header(kept: tuple[Piece, ...], size: int) -> tuple[Piece, ...]:
    total = 4 + length(kept) + 8 + size
    if total < _OPEN:
        start = b"RIFF" + total.to_bytes(4, "little") + b"WAVE"
        return start, *kept, b"data" + size.to_bytes(4, "little")
    sizes = b"".join(value.to_bytes(8, "little") for value in (total + 36, size, 0))
    start = b"RF64" + _ALL.to_bytes(4, "little") + b"WAVEds64" + (28).to_bytes(4, "little") + sizes + bytes(4)
    return start, *kept, b"data" + _ALL.to_bytes(4, "little")


def _w64_chunk(data: FileRange, at: int) -> Chunk | None:
    head = bytes(data[at : at + 24])
    size = int.from_bytes(head[16:], "little")
    fits = len(head) == 24 and 24 <= size <= len(data) - at
    return (head[:4], at + size + -size % 8) if fits and _is_name(head[:4]) else None


def _w64(data: FileRange) -> Sound | None:
    if bytes(data[24:40]) != _W64_WAVE:
        return None
    at = 40
    for _ in range(_MAX_CHUNKS):
        head = bytes(data[at : at + 24])
        if head[:4] == b"data":
            size = int.from_bytes(head[16:], "little")
            stated = None if size >= _OPEN_W64 else max(0, size - 24)
            header = partial(_w64_header, data[40:at], head[:16])
            return Sound(at + 24, stated, header, partial(_w64_chunk, data), to_end=True, align=8)
        chunk = _w64_chunk(data, at)
        if chunk is None:
            return None
        at = chunk[1]
    return None


def _w64_header(kept: FileRange, name: bytes, size: int) -> tuple[Piece, ...]:
    total = 40 + len(kept) + 24 + size
    return _W64_RIFF + total.to_bytes(8, "little") + _W64_WAVE, kept, name + (24 + size).to_bytes(8, "little")


def _aiff(data: FileRange) -> Sound | None:
    at, kept, has_format = 12, list[Piece](), False
    for _ in range(_MAX_CHUNKS):
        head = bytes(data[at : at + 16])
        if head[:4] == b"SSND":
            offset = int.from_bytes(head[8:12], "big")
            stated = int.from_bytes(head[4:8], "big") - 8 - offset
            header = partial(_aiff_header, bytes(data[8:12]), tuple(kept))
            start = at + 16 + offset
            behind = partial(_chunk, data, "big")
            size = None if stated == _OPEN_AIFF > len(data) - start else max(0, stated)
            return Sound(start, size, header, behind, True, limit=_NARROW, to_end=size is None) if has_format else None
        chunk = _chunk(data, "big", at)
        if chunk is None:
            return None
        has_format |= chunk[0] == b"COMM"
        kept.append(data[at : chunk[1]])
        at = chunk[1]
    return None


def _aiff_header(kind: bytes, kept: tuple[Piece, ...], size: int) -> tuple[Piece, ...]:
    total = min(_ALL, 4 + length(kept) + 16 + size)
    sound = b"SSND" + min(_ALL, size + 8).to_bytes(4, "big") + bytes(8)
    return b"FORM" + total.to_bytes(4, "big") + kind, *kept, sound


def _au(data: FileRange) -> Sound | None:
    order = "big" if bytes(data[:4]) == b".snd" else "little"
    start, stated = (int.from_bytes(bytes(data[at : at + 4]), order) for at in (4, 8))  # type: ignore[arg-type]
    if not 24 <= start <= len(data):
        return None
    header = partial(_au_header, data[:start], order)
    return Sound(start, None if stated >= _OPEN else stated, header, _no_chunk, True, limit=_NARROW)


def _au_header(head: FileRange, order: str, size: int) -> tuple[Piece, ...]:
    field = (size if size < _OPEN else _ALL).to_bytes(4, "big" if order == "big" else "little")
    return head[:8], field, head[12:]


def _no_chunk(at: int) -> None:
    """An AU file has nothing behind its audio."""


def _caf_chunk(data: FileRange, at: int) -> Chunk | None:
    head = bytes(data[at : at + 12])
    size = int.from_bytes(head[4:], "big", signed=True)
    fits = len(head) == 12 and 0 <= size <= len(data) - at - 12
    return (head[:4], at + 12 + size) if fits and _is_name(head[:4]) else None


def _caf(data: FileRange) -> Sound | None:
    at, constant = 8, False
    for _ in range(_MAX_CHUNKS):
        head = bytes(data[at : at + 12])
        if head[:4] == b"data":
            size = int.from_bytes(head[4:], "big", signed=True)
            header = partial(_caf_header, data[:at], bytes(data[at + 12 : at + 16]))
            stated = None if size < 0 else max(0, size - 4)
            behind = partial(_caf_chunk, data)
            return Sound(at + 16, stated, header, behind, to_end=stated is None, align=1) if constant else None
        chunk = _caf_chunk(data, at)
        if chunk is None:
            return None
        if chunk[0] == b"desc":  # packets of a constant size; those of ALAC have a table behind the audio
            constant = bool(int.from_bytes(bytes(data[at + 28 : at + 32]), "big"))
        at = chunk[1]
    return None


def _caf_header(before: FileRange, edits: bytes, size: int) -> tuple[Piece, ...]:
    return before, b"data" + (size + 4).to_bytes(8, "big") + edits
