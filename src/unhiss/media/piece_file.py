"""A file put together from parts of another one and bytes in memory, without copying it."""

import io
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

from unhiss.media.file_range import FileRange, Piece


class PieceFile(io.RawIOBase):
    """A read-only binary file whose content is `pieces`, of which every FileRange is a part of the file at `path`."""

    def __init__(self, path: Path, pieces: tuple[Piece, ...]) -> None:
        self._file = path.open("rb")
        self._pieces = [piece for piece in pieces if len(piece)]
        self._ends = list(accumulate(map(len, self._pieces)))
        self._size = self._ends[-1] if self._ends else 0
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        view, filled = memoryview(buffer).cast("B"), 0
        while filled < len(view) and self._position < self._size:
            part = self._read_from_one(len(view) - filled)
            if not part:
                break  # the file became shorter
            view[filled : filled + len(part)] = part
            filled += len(part)
            self._position += len(part)
        return filled

    def _read_from_one(self, size: int) -> bytes:
        """Bytes at the position, at most `size`, up to the end of one piece."""
        index = bisect_right(self._ends, self._position)
        piece = self._pieces[index]
        at = self._position - (self._ends[index] - len(piece))
        count = min(size, len(piece) - at)
        if not isinstance(piece, FileRange):
            return bytes(piece[at : at + count])
        self._file.seek(piece.start + at)
        return self._file.read(count)

    def close(self) -> None:
        self._file.close()
        super().close()
