"""FLAC files whose header states another number of samples than their frames hold.

The header of each frame says where it starts, and is protected by a checksum, so the last one tells the length.
Source: RFC 9639.
"""

from collections.abc import Iterator
from functools import cache

from unhiss.media.file_range import FileRange
from unhiss.media.repair.part import Examination, Part
from unhiss.media.tags import id3

_START = b"fLaC"
_TAIL = 1 << 18  # bytes in which the last frame is looked for; doubled until it is found
_MAX_TAIL = 1 << 24
_BLOCK_SIZES = {1: 192, **{code: 576 << code - 2 for code in range(2, 6)}, **{c: 256 << c - 8 for c in range(8, 16)}}
_RATE_BYTES = {12: 1, 13: 2, 14: 2}  # of the rate at the end of a frame's header, by its code
_SCAN = 1 << 20


def examine(data: FileRange) -> Examination:
    """The FLAC streams of a file; data starts with the first."""
    starts = [0, *_further_starts(data)]
    streams = [data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True)]
    if len(streams) == 1:
        return _examine_one(data)
    found = [_examine_one(stream) for stream in streams]
    parts = [part for one, stream in zip(found, streams, strict=True) for part in one.parts or (Part((stream,)),)]
    notes = dict.fromkeys(note for one in found for note in one.notes)
    return Examination(tuple(parts), tuple(notes), len(streams))


def _further_starts(data: FileRange) -> Iterator[int]:
    """Offsets of further streams: the mark, and the block that must follow it, 34 bytes of stream information."""
    for at in range(_audio_start(data) or 4, len(data), _SCAN):
        part, found = bytes(data[at : at + _SCAN + 8]), -1
        while 0 <= (found := part.find(_START, found + 1)) < _SCAN:
            if part[found + 4 : found + 5] in (b"\0", b"\x80") and part[found + 5 : found + 8] == b"\0\0\x22":
                yield at + found


def _examine_one(data: FileRange) -> Examination:
    """One stream. `parts` is empty if its header can be believed and nothing follows it."""
    info = bytes(data[:42])
    packed = int.from_bytes(info[18:26], "big")
    stated = packed & (1 << 36) - 1
    audio = _audio_start(data)
    stop = audio + len(id3.split(data[audio:])[1])
    last = _last_frame(data[audio:stop], int.from_bytes(info[8:10], "big"), stated) if audio else None
    if last is None:
        return Examination()
    samples, whole = last
    if samples == stated and whole and stop == len(data):
        return Examination()
    notes = () if whole else ("truncated, ends within a frame",)
    if stated > samples:
        notes = (f"truncated, holds {samples:,} of {stated:,} samples",)
    elif 0 < stated < samples:
        notes = (f"its header states {stated:,} samples, and it holds {samples:,}", *notes)
    field = (packed >> 36 << 36 | samples).to_bytes(8, "big")
    return Examination((Part((data[:18], field, data[26:stop]), samples),), notes)


def _audio_start(data: FileRange) -> int:
    """The offset behind the blocks of metadata; 0 if they are damaged."""
    at = 4
    while at + 4 <= len(data):
        head = bytes(data[at : at + 4])
        at += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            return at if at < len(data) else 0
    return 0


def _last_frame(audio: FileRange, block_size: int, stated: int) -> tuple[int, bool] | None:
    """(samples up to the end of the last complete frame, whether nothing incomplete follows it).

    stated: the number of samples by the header; where the last frame ends with it, anything may follow the frame.
    """
    first = bytes(audio[:4])
    size = _TAIL
    while first[:2] in (b"\xff\xf8", b"\xff\xf9"):
        tail = bytes(audio[-size:])
        end, at = len(tail.rstrip(b"\0")) or len(tail), len(tail)
        behind: int | None = None  # the sample at which an incomplete frame starts
        while (at := tail.rfind(first[:2], 0, at)) >= 0:
            header = _frame_header(tail[at : at + 16], first, block_size)
            if header is None:
                continue
            if behind is None:
                ends = list(_frame_ends(tail[at:]))
                if (sum(header) == stated and ends) or {len(tail) - at, end - at, end - at + 1} & set(ends):
                    return sum(header), True
                behind = header[0]
            elif sum(header) == behind:
                return behind, False
        if size >= min(len(audio), _MAX_TAIL):
            return None
        size *= 4
    return None


def _frame_header(head: bytes, first: bytes, block_size: int) -> tuple[int, int] | None:
    """(first sample, samples) of the frame; None if this is none. first: the first bytes of the first frame."""
    if len(head) < 6 or head[2] & 15 == 15 or (head[3] & 0xF7 != first[3] & 0xF7 and head[3] >> 4 > 10) or head[3] & 1:
        return None
    if (head[2] & 15) != (first[2] & 15) or (head[3] & 14) != (first[3] & 14):
        return None  # another rate or depth
    ones = 8 - (head[4] ^ 0xFF).bit_length()
    if ones == 1 or ones > 7:
        return None
    number = head[4] & (0x7F >> ones)
    at = 4 + max(1, ones)
    for byte in head[5:at]:
        number = number << 6 | byte & 0x3F
    code = head[2] >> 4
    wide = {6: 1, 7: 2}.get(code, 0)
    samples = _BLOCK_SIZES.get(code) or int.from_bytes(head[at : at + wide], "big") + 1
    at += wide + _RATE_BYTES.get(head[2] & 15, 0)
    if code == 0 or at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    return (number if head[1] & 1 else number * block_size), samples


@cache
def _table(polynomial: int, bits: int) -> list[int]:
    """The checksum of each byte, highest bit first."""
    table = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> bits - 1 else 0)
        table.append(value & (1 << bits) - 1)
    return table


def _crc8(data: bytes) -> int:
    table, value = _table(0x107, 8), 0
    for byte in data:
        value = table[value ^ byte]
    return value


def _frame_ends(data: bytes) -> Iterator[int]:
    """Where the frame at the start can end: a frame with its checksum of 16 bits behind it has the checksum zero."""
    table, value = _table(0x18005, 16), 0
    for end, byte in enumerate(data, 1):
        value = (value << 8 & 0xFFFF) ^ table[value >> 8 ^ byte]
        if not value:
            yield end
