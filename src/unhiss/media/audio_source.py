"""What all readers of recordings share: the format, what is wrong with the file, and reading in one piece."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from unhiss.errors import AudioError
from unhiss.media.formats import AudioFormat

_READ = "; all that is there was read"


class UnreadableError(AudioError):
    """A library does not recognise a file as a recording, or its coding."""


class IncompleteError(AudioError):
    """A file is not whole, or its header lies, where that is refused; `note` is what is wrong with it, a clause."""

    def __init__(self, message: str, note: str) -> None:
        super().__init__(message, note)
        self.note = note

    def __str__(self) -> str:
        return str(self.args[0])


def no_such_track(path: Path, number: int, tracks: Iterable[str]) -> AudioError:
    """The error for an audio track that a file does not hold. tracks: those that it holds, in words."""
    listed = "; ".join(f"{index}: {text}" for index, text in enumerate(tracks, 1))
    return AudioError(f"{path}: no audio track {number}; it holds {listed}")


class Source(ABC):
    """A recording opened by `source.open_source`: its format, and access to its samples.

    rate: Hz; frames: samples per channel. exact_length: whether `frames` is the true count; an MP3's header only
    estimates it. has_video: whether it holds moving pictures (cover art does not count).
    tag_family: the kind of its metadata (see `tags.family`); None if `tags.copy` cannot copy it.
    warnings: what is wrong with the file though it can be read, complete after a pass. strict: that is an AudioError.
    """

    track: int | None = None  # the audio track, from 1, if the user chose one
    other_tracks: Sequence[str] = ()  # the audio tracks that are not read, in words
    track_notice = ""  # which track is read, where there are several and the user did not choose
    exact_length = True
    has_video = False
    tag_family: str | None = None

    def __init__(self, path: Path, strict: bool = False) -> None:
        self.path, self.strict = path, strict
        self.warnings = list[str]()

    def _set_format(self, audio_format: AudioFormat) -> None:
        if self.warnings and not audio_format.frames:
            note = self.warnings[0].removesuffix(_READ)
            raise AudioError(f"{self.path}: {note}, so nothing of it can be read; get the whole file")
        self.format = audio_format
        self.rate, self.channels, self.frames = audio_format.rate, audio_format.channels, audio_format.frames
        self.seconds = audio_format.seconds

    def warn(self, note: str, end: str = _READ) -> None:
        """Keep a note on the file, a clause, and its end. Raises IncompleteError if the file must be whole."""
        if self.strict:
            advice = "strict=True and in_place=True refuse it, without them what is there is read"
            raise IncompleteError(f"{self.path}: {note}; {advice}", note)
        warning = note + end
        if warning not in self.warnings:
            self.warnings.append(warning)

    @abstractmethod
    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """The samples `start` to `stop` in blocks, float32 `(C, size)`, the last one shorter; bounded memory.

        start, stop: as in a slice, in samples of each channel; the samples are those of a pass from the start.
        Each call is one pass. Raises AudioError for damaged data, for NaN or infinite samples, and if `strict` for a
        truncated file.
        """

    def read(self) -> np.ndarray:
        """All samples, float32, `(T,)` if mono, else `(C, T)`. Raises AudioError as `blocks` does."""
        parts = list(self.blocks(1 << 18))
        audio = np.concatenate(parts, axis=1) if parts else np.zeros((self.channels, 0), np.float32)
        return audio[0] if self.channels == 1 else audio


def regrouped(parts: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """`(C, ...)` of any lengths -> `(C, size)`, the last one shorter."""
    buffer, buffered = list[np.ndarray](), 0
    for part in parts:
        buffer.append(part)
        buffered += part.shape[1]
        if buffered >= size:
            joined = np.concatenate(buffer, axis=1) if len(buffer) > 1 else part
            for at in range(0, buffered - size + 1, size):
                yield np.ascontiguousarray(joined[:, at : at + size])
            buffer, buffered = [joined[:, buffered - buffered % size :]], buffered % size
    if buffered:
        yield np.ascontiguousarray(np.concatenate(buffer, axis=1))
