"""Vorbis comments, which FLAC, Ogg Vorbis and Opus carry, and FLAC's blocks of metadata around them.

Sources: xiph.org/vorbis/doc/v-comment.html; RFC 9639 (FLAC), section 8.
"""

from __future__ import annotations

from typing import BinaryIO

from unhiss.media.tags.id3 import extent, stale
from unhiss.media.tags.pieces import Piece, length, read_at

_STREAMINFO, _PADDING, _SEEKTABLE, _COMMENT, _CUESHEET, _INVALID = 0, 1, 3, 4, 5, 127
_LAST = 0x80
_MOST = 100_000  # comments; beyond it lies damage
_ENCODERS = ("encoder", "encoder_options")  # says what made the old file


def renewed(written: bytes, source: bytes) -> bytes:
    """The comments of a source under the vendor string of what was written: the body of a comment block.

    What does not fit into the block is damaged, and left out with all behind it.
    """
    kept = [comment for comment in comments(source) if not _is_stale(comment)]
    size = 4 + int.from_bytes(written[:4], "little")
    body = b"".join(len(comment).to_bytes(4, "little") + comment for comment in kept)
    return written[:size] + len(kept).to_bytes(4, "little") + body


def _is_stale(comment: bytes) -> bool:
    name = comment.partition(b"=")[0].decode("latin-1")
    return stale(name) or name.lower() in _ENCODERS


def comments(block: bytes) -> list[bytes]:
    """The `NAME=value` of a comment block, up to the first that is damaged.

    >>> comments(bytes.fromhex("00000000 01000000 03000000 613d62"))
    [b'a=b']
    """
    at = 4 + int.from_bytes(block[:4], "little")
    count = int.from_bytes(block[at : at + 4], "little")
    at += 4
    found: list[bytes] = []
    while len(found) < min(count, _MOST) and at + 4 <= len(block):
        end = at + 4 + int.from_bytes(block[at : at + 4], "little")
        if end > len(block):
            break
        found.append(block[at + 4 : end])
        at = end
    return found


def blocks(file: BinaryIO, size: int) -> tuple[list[tuple[int, int, int]], int]:
    """A FLAC file's blocks as (kind, offset, bytes), and where its sound begins; up to the first damaged one."""
    at = extent(file, 0, size)
    found: list[tuple[int, int, int]] = []
    if read_at(file, at, 4) != b"fLaC":
        return found, 0
    at += 4
    while True:
        head = read_at(file, at, 4)
        kind, wide = (head[0] & 0x7F, int.from_bytes(head[1:4], "big")) if len(head) == 4 else (_INVALID, 0)
        if kind == _INVALID or at + 4 + wide > size:
            return found, at
        found.append((kind, at + 4, wide))
        at += 4 + wide
        if head[0] & _LAST:
            return found, at


def flac(source: BinaryIO, source_size: int, written: BinaryIO, size: int, in_place: bool) -> list[Piece] | None:
    """The head of a FLAC file: its own facts, the source's metadata; ranges are the source's. None if damaged.

    in_place: sample n of one is sample n of the other, so that a cue sheet stays true.
    """
    own, _ = blocks(written, size)
    if not own or own[0][0] != _STREAMINFO:
        return None
    vendor = next((read_at(written, at, wide) for kind, at, wide in own if kind == _COMMENT), bytes(8))
    kept: list[tuple[int, Piece]] = [(_STREAMINFO, read_at(written, *own[0][1:]))]
    for kind, at, wide in blocks(source, source_size)[0]:
        if kind == _COMMENT:
            kept.append((kind, renewed(vendor, read_at(source, at, wide))))
        elif kind not in (_STREAMINFO, _PADDING, _SEEKTABLE) and (in_place or kind != _CUESHEET):
            kept.append((kind, (at, wide)))
    if _COMMENT not in (kind for kind, _ in kept):
        kept.insert(1, (_COMMENT, vendor))
    out: list[Piece] = [b"fLaC"]
    for number, (kind, body) in enumerate(kept):
        last = _LAST if number == len(kept) - 1 else 0
        out += [bytes([kind | last]) + length([body]).to_bytes(3, "big"), body]
    return out
