"""The tags of MP3 files: ID3v2 before the audio, APEv2 and ID3v1 after it. WAV and AIFF files contain ID3v2 too.

Sources: id3.org, ID3v2.2 to 2.4; wiki.hydrogenaud.io, APEv2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from unhiss.media.tags.pieces import Piece, length, read_at

# Frames that describe the old audio or its bytes: its loudness, its encoder, and tables of stream positions.
_STALE = frozenset(
    {b"RVA2", b"RVAD", b"RVA", b"XRVA", b"RGAD", b"TSSE", b"TSS", b"TSIZ", b"TSI", b"MLLT", b"MLL", b"ASPI", b"SEEK"}
)
_STALE_NAMES = ("replaygain_", "itunsmpb", "itunnorm", "mp3gain_", "r128_")  # of frames with a name inside
_NAMED = (b"TXXX", b"TXX", b"COMM", b"COM")
_MAX_FRAMES = 10_000  # a tag with more is damaged
_MAX_IN_MEMORY = 1 << 24  # bytes of a tag that must be read into memory
_UNSYNCHRONISED, _EXTENDED, _FOOTER = 0x80, 0x40, 0x10
_ID3V1, _APE = 128, 32  # bytes of a whole tag; of an APEv2 header or footer


def is_stale(name: str) -> bool:
    """Whether denoising makes a tag of this name untrue.

    >>> is_stale("REPLAYGAIN_TRACK_GAIN"), is_stale("title")
    (True, False)
    """
    return name.lower().startswith(_STALE_NAMES)


def _syncsafe(field: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(field, (21, 14, 7, 0), strict=False))


def _as_syncsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def tag_size(file: BinaryIO, start: int, end: int) -> int:
    """Bytes of the ID3v2 tag at `start`; 0 if there is none that ends by `end`."""
    head = read_at(file, start, 10)
    if len(head) < 10 or head[:3] != b"ID3" or head[3] not in (2, 3, 4) or max(head[6:10]) > 0x7F:
        return 0
    size = 10 + _syncsafe(head[6:10]) + (10 if head[3] == 4 and head[5] & _FOOTER else 0)
    return size if start + size <= end else 0


def without_stale_frames(file: BinaryIO, start: int, size: int) -> list[Piece]:
    """The ID3v2 tag at `start` without the frames that denoising makes untrue; unchanged if it has none."""
    head = read_at(file, start, 10)
    body: Piece = (start + 10, size - 10)
    if head[5] & _UNSYNCHRONISED and head[3] < 4:  # frames are hidden until the zeros after 0xFF are out
        if size > _MAX_IN_MEMORY:
            return [(start, size)]
        body = read_at(file, start + 10, size - 10).replace(b"\xff\x00", b"\xff")
    frames = list(_frames(file, head, body))
    kept = [frame for frame in frames if not _is_stale_frame(file, head[3], frame)]
    if len(kept) == len(frames) or len(frames) >= _MAX_FRAMES:
        return [(start, size)]
    total = length(kept)
    if not total:
        return []
    flags = head[5] & (_UNSYNCHRONISED if head[3] == 4 else 0)
    return [head[:5] + bytes([flags]) + _as_syncsafe(total), *kept]


def _part(file: BinaryIO, piece: Piece, offset: int, size: int) -> bytes:
    if isinstance(piece, bytes):
        return piece[offset : offset + size]
    return read_at(file, piece[0] + offset, max(0, min(size, piece[1] - offset)))


def _frames(file: BinaryIO, head: bytes, body: Piece) -> Iterator[Piece]:
    """The frames in the body of a tag, up to its padding or to the first damaged one."""
    version, end, at = head[3], length([body]), 0
    if head[5] & _EXTENDED and version > 2:
        field = _part(file, body, 0, 4)
        at = _syncsafe(field) if version == 4 else 4 + int.from_bytes(field, "big")
    wide = 6 if version == 2 else 10
    for _ in range(_MAX_FRAMES):
        frame = _part(file, body, at, wide)
        if len(frame) < wide or not frame[:3].isalnum():
            return
        field = frame[3:6] if version == 2 else frame[4:8]
        size = wide + (_syncsafe(field) if version == 4 else int.from_bytes(field, "big"))
        if at + size > end:
            return
        yield _part(file, body, at, size) if isinstance(body, bytes) else (body[0] + at, size)
        at += size


def _is_stale_frame(file: BinaryIO, version: int, frame: Piece) -> bool:
    start = _part(file, frame, 0, 100)
    name, wide = (start[:3], 6) if version == 2 else (start[:4], 10)
    if name not in _NAMED:
        return name in _STALE
    text = start[wide + 1 + 3 * name.startswith(b"COM") :]  # encoding, in comments the language, then the name
    return is_stale(text.replace(b"\0", b"").lstrip(b"\xff\xfe").decode("latin-1"))


def leading_tags(file: BinaryIO, size: int) -> tuple[list[Piece], int]:
    """The tags at the start of an MP3, and the offset of its audio."""
    pieces: list[Piece] = []
    at = 0
    while size_of_tag := tag_size(file, at, size):
        pieces += without_stale_frames(file, at, size_of_tag)
        at += size_of_tag
    return pieces, at


def trailing_tags(file: BinaryIO, size: int) -> tuple[list[Piece], int]:
    """The tags at the end of an MP3, and the offset at which its audio ends."""
    last: list[Piece] = []
    if size >= _ID3V1 and read_at(file, size - _ID3V1, 3) == b"TAG":
        size -= _ID3V1
        last = [(size, _ID3V1)]
    foot = read_at(file, max(0, size - _APE), _APE)
    if len(foot) == _APE and foot[:8] == b"APETAGEX":
        inside = int.from_bytes(foot[12:16], "little")  # items and footer
        header = _APE if foot[23] & 0x80 else 0
        start = size - inside - header
        if inside >= _APE and start >= 0:
            if inside <= _MAX_IN_MEMORY:
                last = [*_ape(read_at(file, size - inside, inside - _APE), foot, header), *last]
            size = start
    return last, size


def _ape(items: bytes, foot: bytes, header: int) -> list[Piece]:
    """An APEv2 tag without the items that denoising makes untrue; header: bytes of its header, 0 if it has none."""
    kept, at = [], 0
    while at + 9 <= len(items):
        size, end = int.from_bytes(items[at : at + 4], "little"), items.find(b"\0", at + 8)
        if end < 0 or end + 1 + size > len(items):
            break
        if not is_stale(items[at + 8 : end].decode("latin-1")):
            kept.append(items[at : end + 1 + size])
        at = end + 1 + size
    if not kept:
        return []
    body = b"".join(kept)
    fields = foot[:12] + (len(body) + _APE).to_bytes(4, "little") + len(kept).to_bytes(4, "little")
    first = fields + foot[20:23] + bytes([foot[23] | 0x20]) + foot[24:]
    return [first if header else b"", body, fields + foot[20:]]
