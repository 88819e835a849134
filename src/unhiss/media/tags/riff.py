"""Chunks of WAV (RIFF, RF64) and AIFF files: everything beside the audio, to be appended to another file.

Sources: EBU Tech 3285 (bext), 3306 (RF64); Audio Interchange File Format 1.3.
"""

import struct
from collections.abc import Iterator

from unhiss.media.file_range import FileRange, Piece, length
from unhiss.media.tags.id3 import tag_size, without_stale_frames

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


def chunks(file: FileRange) -> Iterator[tuple[bytes, FileRange]]:
    """The names and bodies of a file's chunks, up to the first that is damaged."""
    kind = bytes(file[:4])
    order = ">I" if kind == b"FORM" else "<I"
    at, data_size = 12, 0
    for _ in range(_MAX_CHUNKS):
        head = bytes(file[at : at + 8])
        if len(head) < 8 or not all(32 <= byte < 127 for byte in head[:4]):
            return
        name, size = head[:4], struct.unpack(order, head[4:])[0]
        if name == b"ds64":
            data_size = int.from_bytes(bytes(file[at + 16 : at + 24]), "little")
        if name == b"data" and size == _IN_DS64 and kind != b"RIFF":
            size = data_size
        at += 8
        if at + size > len(file):
            return
        yield name, file[at : at + size]
        at += size + size % 2


def metadata_chunks(file: FileRange, in_place: bool) -> list[Piece]:
    """All chunks that are true of the denoised audio too, each padded to an even number of bytes.

    in_place: sample n of one is sample n of the other, so that markers stay true.
    """
    kind = form(bytes(file[:12])) or b""
    pieces: list[Piece] = []
    for name, chunk in chunks(file):
        body: list[Piece] = [chunk]
        listed = bytes(chunk[:4]) if name == b"LIST" else b""
        if name in _OWN.get(kind, ()) or listed == b"wavl":
            continue
        if not in_place and (name in _MARKERS or listed == b"adtl"):
            continue
        if name.lower() == b"id3 " and (size := tag_size(chunk)):
            body = without_stale_frames(chunk[:size])
        elif name == b"bext" and len(chunk) >= _LOUDNESS.stop:
            start = bytes(chunk[: _LOUDNESS.stop])
            if int.from_bytes(start[346:348], "little") >= 2:  # the version that has loudness
                body = [start[: _LOUDNESS.start] + _NOT_MEASURED, chunk[_LOUDNESS.stop :]]
        if body:
            total = length(body)
            pieces += [name + struct.pack(">I" if kind == b"FORM" else "<I", total), *body, bytes(total % 2)]
    return pieces


def size_field(file: FileRange, size: int) -> tuple[int, bytes] | None:
    """The offset of the size in a file's header, and the bytes that state `size`; None if it does not fit there."""
    head = bytes(file[:20])
    if head[:4] in (b"RF64", b"BW64"):
        return (20, struct.pack("<Q", size - 8)) if head[12:16] == b"ds64" else None
    if size - 8 >= _IN_DS64:
        return None
    return 4, struct.pack(">I" if head[:4] == b"FORM" else "<I", size - 8)
