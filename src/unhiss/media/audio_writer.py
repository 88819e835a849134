"""What all writers of recordings share: a temporary file beside the target, renamed when it is complete."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from unhiss import atomic
from unhiss.errors import AudioError
from unhiss.media.formats import AudioFormat, reason


class AudioWriter(ABC):
    """A context manager that writes a recording block by block; made by `writer.open_writer`.

    The file appears at `path` when the block ends; an exception inside leaves the old file, or none.
    `.subtype`: the coding chosen; `.dropped`: tracks of the source that the container cannot hold; `.notes`: what
    else is not kept.
    """

    subtype: str
    dropped: Sequence[str] = ()
    notes: Sequence[str] = ()
    track: int | None = None  # of the file's audio tracks, from 1

    def __init__(self, path: str | Path, like: AudioFormat) -> None:
        self.path, self._like = Path(path), like
        self._target = self.path.resolve()  # a link is followed
        self._temporary = atomic.temp_path(self._target)
        self._written = 0  # samples per channel

    @abstractmethod
    def write(self, block: np.ndarray) -> None:
        """Append float32 `(C, T)`. Raises AudioError if it cannot be written."""

    @abstractmethod
    def _finish(self) -> None:
        """Complete the temporary file. Raises AudioError."""

    @abstractmethod
    def _close(self) -> None:
        """Close all files; the temporary file may be incomplete."""

    def _create(self) -> None:
        try:
            atomic.create(self._temporary, self._target)
        except OSError as error:
            raise AudioError(f"{self.path}: cannot be written ({error.strerror}); choose another folder") from error

    def _write_error(self, error: Exception) -> AudioError:
        why = reason(error)
        return AudioError(f"{self.path}: cannot be written{f' ({why})' if why else ''}; is the disk full?")

    def _discard(self) -> None:
        with suppress(Exception):  # the error that led here is already being raised
            self._close()
        self._temporary.unlink(missing_ok=True)  # a full disk needs the space

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
                self._temporary.replace(self._target)
        finally:
            self._discard()
