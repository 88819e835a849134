"""Chunks of WAV (RIFF, RF64) and AIFF files: everything beside the audio, to be appended to another file.

Sources: EBU Tech 3285 (bext), 3306 (RF64); Audio Interchange File Format 1.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from unhiss.media.tags.id3 import tag_size, without_stale_frames
from unhiss.media.tags.pieces import Piece, length, read_at

# The audio, what describes its coding or peaks, and padding: the new file has its own.
_OWN = {
    b"RIFF": {b"fmt ", b"data", b"fact", b"PEAK", b"ds64", b"levl", b"JUNK", b"junk", b"PAD ", b"FLLR", b"slnt"},
    b"FORM": {b"COMM", b"SSND", b"FVER", b"PEAK"},
}
_MARKERS = {b"cue ", b"plst", b"smpl", b"r64m", b"MARK", b"INST"}  # refer to samples by number
_MAX_CHUNKS = 10_000  # a file with more is damaged
_IN_DS64 = 0xFFFFFFFF  # the size is in the ds64 chunk instead
_LOUDNESS = slice(412, 422)  # of a bext chunk from version 2 on: five values of 16 bits
_NOT_MEASURED = struct.pack("<5h", *[0x7FFF] * 5)


def form(head: bytes) -> bytes | None:
    """b"RIFF" or b"FORM" by a file's first 12 bytes; None if it is neither WAV nor AIFF."""
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return b"RIFF"
    return b"FORM" if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC") else None


def chunks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, offset, bytes) of a file's chunks, up to the first that is damaged."""
    head = read_at(file, 0, 12)
    order = ">I" if head[:4] == b"FORM" else "<I"
    at, sound = 12, 0
    for _ in range(_MAX_CHUNKS):
        field = read_at(file, at, 8)
        if len(field) < 8 or not all(32 <= byte < 127 for byte in field[:4]):
            return
        name, wide = field[:4], struct.unpack(order, field[4:])[0]
        if name == b"ds64":
            sound = int.from_bytes(read_at(file, at + 16, 8), "little")
        if name == b"data" and wide == _IN_DS64 and head[:4] != b"RIFF":
            wide = sound
        if at + 8 + wide > size:
            return
        yield name, at + 8, wide
        at += 8 + wide + wide % 2


def metadata_chunks(file: BinaryIO, size: int, in_place: bool) -> list[Piece]:
    """All chunks that are true of the denoised audio too, each padded to an even number of bytes.

    in_place: sample n of one is sample n of the other, so that markers stay true.
    """
    kind = form(read_at(file, 0, 12))
    order, out = (">I" if kind == b"FORM" else "<I"), list[Piece]()
    for name, at, wide in chunks(file, size):
        body: list[Piece] = [(at, wide)]
        listed = read_at(file, at, 4) if name == b"LIST" else b""
        if name in _OWN.get(kind or b"", set()) or listed == b"wavl":
            continue
        if not in_place and (name in _MARKERS or listed == b"adtl"):
            continue
        if name.lower() == b"id3 " and (size_of_tag := tag_size(file, at, at + wide)):
            body = without_stale_frames(file, at, size_of_tag)
        elif name == b"bext" and wide >= _LOUDNESS.stop:
            body = _bext(file, at, wide)
        if body:
            total = length(body)
            out += [name + struct.pack(order, total), *body, b"\0" * (total % 2)]
    return out


def _bext(file: BinaryIO, at: int, wide: int) -> list[Piece]:
    """A broadcast chunk with its loudness, if it states one, set to "not measured"."""
    start = read_at(file, at, _LOUDNESS.stop)
    if int.from_bytes(start[346:348], "little") < 2:
        return [(at, wide)]
    return [start[: _LOUDNESS.start] + _NOT_MEASURED, (at + len(start), wide - len(start))]


def size_field(file: BinaryIO, size: int) -> tuple[int, bytes] | None:
    """The offset of the size in a file's header, and the bytes that state `size`; None if it does not fit there."""
    head = read_at(file, 0, 20)
    if head[:4] in (b"RF64", b"BW64"):
        return (20, struct.pack("<Q", size - 8)) if head[12:16] == b"ds64" else None
    if size - 8 >= _IN_DS64:
        return None
    return 4, struct.pack(">I" if head[:4] == b"FORM" else "<I", size - 8)
