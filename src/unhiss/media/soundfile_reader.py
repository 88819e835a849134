"""Decoding with libsndfile."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soundfile as sf

from unhiss.dsp.audio import MAX_RATE, MIN_RATE, check_samples
from unhiss.errors import AudioError
from unhiss.media import formats, layout_headers, tags
from unhiss.media.audio_source import Source, UnreadableError, regrouped
from unhiss.media.file_range import FileRange
from unhiss.media.formats import AudioFormat
from unhiss.media.piece_file import PieceFile
from unhiss.media.repair import Part, examine

_SEEKABLE = ("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW", "ALAC")  # codings in which each sample is coded by itself


class SoundfileReader(Source):
    """A recording that libsndfile reads; the files opened for probing serve the first pass.

    data: its bytes. Where its header does not say what it holds, it is read as the parts that `examine` finds.
    Raises AudioError if libsndfile cannot read it, or it is truncated and must not be.
    """

    def __init__(self, path: Path, data: FileRange, strict: bool = False) -> None:
        super().__init__(path, strict)
        self.tag_family = tags.family(data)
        found = examine(data)
        self._parts = found.parts or (Part((data,)),)
        self._is_whole = not found.parts
        self._probed: sf.SoundFile | None = None
        file = self._open(self._parts[0])
        with ExitStack() as on_error:
            on_error.enter_context(file)
            if found.recordings > 1:
                self.warn(f"{found.recordings} recordings stand one behind the other in it")
            for note in found.notes or filter(None, [formats.mismatch(file.extra_info)]):
                self.warn(note)
            self._lengths = self._measure(file)
            if max(self._lengths) >= formats.UNKNOWN_FRAMES:
                raise AudioError(f"{path}: its header leaves the length open; rewrite it to a file")
            on_error.pop_all()
        self._probed, frames = file, sum(self._lengths)
        self.exact_length = not file.subtype.startswith("MPEG")
        texts = {name: value for name, value in file.copy_metadata().items() if name in formats.TAGS}
        lossy = frames and file.subtype.startswith(formats.LOSSY)
        size = tags.audio_bytes(data, self.tag_family)
        bit_rate = round(8 * size * file.samplerate / frames) if lossy else 0
        layout, self._order = layout_headers.read(data, file)
        shape = (file.samplerate, file.channels, frames)
        self._set_format(AudioFormat(*shape, file.format, file.subtype, texts, bit_rate, layout))

    def _open(self, part: Part) -> sf.SoundFile:
        try:
            file = sf.SoundFile(formats.native(self.path) if self._is_whole else PieceFile(self.path, part.pieces))
            # soundfile seeks after each read of a seekable file. In an MP3 without LAME's tag that corrupts the audio:
            # the decoder loses the bit reservoir of the frames before.
            file.seekable = lambda: False
        except (sf.SoundFileError, RuntimeError, TypeError) as error:
            why = formats.reason(error)
            line = f"{self.path}: not a readable recording ({why}); is it WAV, FLAC, Ogg or MP3?"
            raise UnreadableError(line) from error
        if MIN_RATE <= file.samplerate <= MAX_RATE:
            return file
        file.close()
        rate = f"{file.samplerate:,} Hz (a rate is {MIN_RATE:,} to {MAX_RATE:,})"
        raise AudioError(f"{self.path}: damaged, or no speech: {rate}; get a whole copy")

    def _measure(self, first: sf.SoundFile) -> list[int]:
        """Samples per channel of each part. Raises AudioError if their rates or channels differ."""
        lengths = [self._length(self._parts[0], first)]
        for part in self._parts[1:]:
            with self._open(part) as file:
                if (file.samplerate, file.channels) != (first.samplerate, first.channels):
                    change = f"its rate or channels change at {sum(lengths) / first.samplerate:.2f} s"
                    raise AudioError(f"{self.path}: {change}; cut it there first")
                lengths.append(self._length(part, file))
        return lengths

    def _length(self, part: Part, probed: sf.SoundFile) -> int:
        if not part.uncounted:
            return int(part.frames or probed.frames)
        total = 0
        with self._open(part) as file:
            while count := len(self._decode(file, 1 << 16, total)):
                total += count
        return total

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        yield from regrouped(self._samples(size, start, stop), size)

    def _samples(self, size: int, start: int, stop: int | None) -> Iterator[np.ndarray]:
        """The samples of all parts, `(C, T)` in blocks of at most `size`."""
        begin, probed = 0, self._probed
        self._probed = None
        for part, length in zip(self._parts, self._lengths, strict=True):
            end = begin + length
            is_last = part is self._parts[-1]
            if (start < end or is_last) and (stop is None or begin < stop):
                with probed or self._open(part) as file:
                    position = begin + (self._seek(file, start - begin) if start > begin else 0)
                    # The header of an MP3 only estimates the length, so the last part is read until it ends.
                    limits = [end] if self.exact_length or not is_last else []
                    limits += [] if stop is None else [stop]
                    yield from self._part(file, size, position, min(limits, default=None))
            elif probed:
                probed.close()
            begin, probed = end, None

    def _part(self, file: sf.SoundFile, size: int, position: int, limit: int | None) -> Iterator[np.ndarray]:
        """The samples of one part from `position` in the recording to `limit`, or to its end if None."""
        while limit is None or position < limit:
            count = size if limit is None else min(size, limit - position)
            block = self._decode(file, count, position)
            if invalid := check_samples(block.T, position, file.samplerate):
                raise AudioError(f"{self.path}: {invalid}")
            position += len(block)
            if len(block):
                yield block.T[list(self._order)]
            if len(block) < count:
                if limit is not None and self.exact_length:
                    missing = f"truncated, holds {position:,} of {self.frames:,} samples"
                    if not position:
                        raise AudioError(f"{self.path}: {missing}; get the whole file")
                    self.warn(missing)
                return

    def _decode(self, file: sf.SoundFile, size: int, position: int) -> np.ndarray:
        """The next samples, float32 `(T, C)`."""
        try:
            block: np.ndarray = file.read(size, dtype="float32", always_2d=True)
        except (sf.SoundFileError, RuntimeError) as error:
            after = f"damaged after {position / file.samplerate:.2f} s ({formats.reason(error)})"
            raise AudioError(f"{self.path}: {after}; get a whole copy") from error
        return block

    def _seek(self, file: sf.SoundFile, start: int) -> int:
        """Go to sample `start`, or to the end if there are fewer; by decoding where seeking is not exact."""
        if file.subtype.startswith(_SEEKABLE):
            return int(file.seek(min(start, file.frames)))
        position = 0
        if file.subtype.startswith(formats.LOSSY) and start <= file.frames:
            position = int(file.seek(max(0, start - file.samplerate)))  # after 1 s a decoder's state has converged
        while position < start:
            count = min(1 << 16, start - position)
            block = self._decode(file, count, position)
            position += len(block)
            if len(block) < count:
                break
        return position
