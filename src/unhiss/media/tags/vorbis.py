"""Vorbis comments, which FLAC, Ogg Vorbis and Opus carry, and FLAC's blocks of metadata around them.

Sources: xiph.org/vorbis/doc/v-comment.html; RFC 9639 (FLAC), section 8.
"""

from __future__ import annotations

from typing import BinaryIO

from unhiss.media.tags.id3 import is_stale, tag_size
from unhiss.media.tags.pieces import Piece, length, read_at

_STREAMINFO, _PADDING, _SEEKTABLE, _COMMENT, _CUESHEET, _INVALID = 0, 1, 3, 4, 5, 127
_LAST = 0x80
_MAX_COMMENTS = 100_000  # a block with more is damaged
_ENCODERS = ("encoder", "encoder_options")  # name the encoder of the old file


def merge_comments(written: bytes, source: bytes) -> bytes:
    """The body of a comment block: the vendor string of the written one, the comments of the source.

    A comment that ends beyond the block is damaged, and is left out with all that follow it.
    """
    kept = [comment for comment in read_comments(source) if not _is_stale_comment(comment)]
    size = 4 + int.from_bytes(written[:4], "little")
    body = b"".join(len(comment).to_bytes(4, "little") + comment for comment in kept)
    return written[:size] + len(kept).to_bytes(4, "little") + body


def _is_stale_comment(comment: bytes) -> bool:
    name = comment.partition(b"=")[0].decode("latin-1")
    return is_stale(name) or name.lower() in _ENCODERS


def read_comments(block: bytes) -> list[bytes]:
    """The `NAME=value` of a comment block, up to the first that is damaged.

    >>> read_comments(bytes.fromhex("00000000 01000000 03000000 613d62"))
    [b'a=b']
    """
    at = 4 + int.from_bytes(block[:4], "little")
    count = int.from_bytes(block[at : at + 4], "little")
    at += 4
    found: list[bytes] = []
    while len(found) < min(count, _MAX_COMMENTS) and at + 4 <= len(block):
        end = at + 4 + int.from_bytes(block[at : at + 4], "little")
        if end > len(block):
            break
        found.append(block[at + 4 : end])
        at = end
    return found


def flac_blocks(file: BinaryIO, size: int) -> tuple[list[tuple[int, int, int]], int]:
    """A FLAC file's blocks as (kind, offset, size), up to the first damaged one, and the offset of its audio."""
    at = tag_size(file, 0, size)
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


def flac_head(source: BinaryIO, source_size: int, written: BinaryIO, size: int, in_place: bool) -> list[Piece] | None:
    """The head of a FLAC file: its own stream info, the source's metadata. Ranges refer to the source. None if damaged.

    in_place: sample n of one is sample n of the other, so that a cue sheet stays true.
    """
    own, _ = flac_blocks(written, size)
    if not own or own[0][0] != _STREAMINFO:
        return None
    vendor = next((read_at(written, at, wide) for kind, at, wide in own if kind == _COMMENT), bytes(8))
    kept: list[tuple[int, Piece]] = [(_STREAMINFO, read_at(written, *own[0][1:]))]
    for kind, at, wide in flac_blocks(source, source_size)[0]:
        if kind == _COMMENT:
            kept.append((kind, merge_comments(vendor, read_at(source, at, wide))))
        elif kind not in (_STREAMINFO, _PADDING, _SEEKTABLE) and (in_place or kind != _CUESHEET):
            kept.append((kind, (at, wide)))
    if _COMMENT not in (kind for kind, _ in kept):
        kept.insert(1, (_COMMENT, vendor))
    out: list[Piece] = [b"fLaC"]
    for number, (kind, body) in enumerate(kept):
        last = _LAST if number == len(kept) - 1 else 0
        out += [bytes([kind | last]) + length([body]).to_bytes(3, "big"), body]
    return out
