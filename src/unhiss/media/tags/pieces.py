"""Bytes to be written, as what they are or as ranges of another file, so that no memory is taken to copy them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

Range = tuple[int, int]  # offset and number of bytes
Piece = bytes | Range

_AT_ONCE = 1 << 20  # bytes held in memory while copying


def length(pieces: Iterable[Piece]) -> int:
    """Bytes the pieces come to.

    >>> length([b"abc", (100, 7)])
    10
    """
    return sum(len(piece) if isinstance(piece, bytes) else piece[1] for piece in pieces)


def pour(pieces: Iterable[Piece], source: BinaryIO, out: BinaryIO) -> None:
    """Write pieces, ranges from `source`, where `out` stands. Raises EOFError if source ends before a range."""
    for piece in pieces:
        if isinstance(piece, bytes):
            out.write(piece)
            continue
        source.seek(piece[0])
        left = piece[1]
        while left:
            part = source.read(min(left, _AT_ONCE))
            if not part:
                raise EOFError
            out.write(part)
            left -= len(part)


def read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    """`size` bytes from `offset`; fewer where the file ends."""
    file.seek(offset)
    return file.read(size)
