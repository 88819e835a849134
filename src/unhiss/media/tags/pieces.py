"""Bytes to write: literal bytes or ranges of another file, so that large tags are copied in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

Range = tuple[int, int]  # offset and number of bytes
Piece = bytes | Range

_COPY_SIZE = 1 << 20  # bytes read into memory at a time


def length(pieces: Iterable[Piece]) -> int:
    """The total size of pieces in bytes.

    >>> length([b"abc", (100, 7)])
    10
    """
    return sum(len(piece) if isinstance(piece, bytes) else piece[1] for piece in pieces)


def write_pieces(pieces: Iterable[Piece], source: BinaryIO, out: BinaryIO) -> None:
    """Write pieces at the position of `out`, ranges from `source`. Raises EOFError if source ends before a range."""
    for piece in pieces:
        if isinstance(piece, bytes):
            out.write(piece)
            continue
        source.seek(piece[0])
        left = piece[1]
        while left:
            part = source.read(min(left, _COPY_SIZE))
            if not part:
                raise EOFError
            out.write(part)
            left -= len(part)


def read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    """`size` bytes from `offset`; fewer where the file ends."""
    file.seek(offset)
    return file.read(size)
