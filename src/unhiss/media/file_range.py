"""Parts of files that behave like bytes, so that large tags are parsed and copied in bounded memory."""

import os
from collections.abc import Iterable
from typing import BinaryIO

_COPY_SIZE = 1 << 20  # bytes read into memory at a time


class FileRange:
    """Bytes `start` to `stop` of an open file: slices are ranges too, and `bytes(...)` reads one."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file, self.start, self.stop = file, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, part: slice) -> "FileRange":
        start, stop, _ = part.indices(len(self))
        return FileRange(self._file, self.start + start, self.start + max(start, stop))

    def __bytes__(self) -> bytes:
        self._file.seek(self.start)
        return self._file.read(len(self))


Piece = bytes | FileRange


def whole(file: BinaryIO) -> FileRange:
    """All bytes of an open file."""
    return FileRange(file, 0, os.fstat(file.fileno()).st_size)


def length(pieces: Iterable[Piece]) -> int:
    """The total size of pieces in bytes.

    >>> length([b"abc", b"de"])
    5
    """
    return sum(map(len, pieces))


def write_pieces(pieces: Iterable[Piece], out: BinaryIO) -> None:
    """Write pieces at the position of `out`. Raises EOFError if a file has become shorter than its range."""
    for piece in pieces:
        for start in range(0, len(piece), _COPY_SIZE):
            part = piece[start : start + _COPY_SIZE]
            if out.write(bytes(part)) < len(part):
                raise EOFError
