"""Decoding with libsndfile."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile as sf

from unhiss.dsp.audio import MAX_RATE, MIN_RATE, check_samples
from unhiss.errors import AudioError
from unhiss.media import formats, layout_headers, tags
from unhiss.media.audio_source import Source
from unhiss.media.file_range import FileRange
from unhiss.media.formats import AudioFormat

_SEEKABLE = ("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW", "ALAC")  # codings in which each sample is coded by itself


class SoundfileReader(Source):
    """A recording that libsndfile reads; the file opened for probing serves the first pass.

    data: its bytes. Raises AudioError if libsndfile cannot read it, or it is truncated.
    """

    def __init__(self, path: Path, data: FileRange) -> None:
        self.path = path
        self.tag_family = tags.family(data)
        missing = formats.missing_bytes(data)
        try:
            file = self._open()
            missing = missing or formats.mismatch(file.extra_info)
        except AudioError:
            if not missing:
                raise
        if missing:
            raise AudioError(f"{path}: truncated, {missing}; get the whole file")
        if file.frames >= formats.UNKNOWN_FRAMES:
            raise AudioError(f"{path}: written to a pipe, so its header leaves the length open; rewrite it to a file")
        self._probed: sf.SoundFile | None = file
        self.exact_length = file.format != "MP3"
        texts = {name: value for name, value in file.copy_metadata().items() if name in formats.TAGS}
        lossy = file.frames and file.subtype.startswith(formats.LOSSY)
        size = tags.audio_bytes(data, self.tag_family)
        bit_rate = round(8 * size * file.samplerate / file.frames) if lossy else 0
        layout, self._order = layout_headers.read(data, file)
        shape = (file.samplerate, file.channels, file.frames)
        super().__init__(path, AudioFormat(*shape, file.format, file.subtype, texts, bit_rate, layout))

    def _open(self) -> sf.SoundFile:
        try:
            file = sf.SoundFile(formats.native(self.path))
            # soundfile seeks after each read of a seekable file. In an MP3 without LAME's tag that corrupts the audio:
            # the decoder loses the bit reservoir of the frames before.
            file.seekable = lambda: False
        except (sf.SoundFileError, RuntimeError, TypeError) as error:
            why = formats.reason(error)
            raise AudioError(f"{self.path}: not a readable recording ({why}); is it WAV, FLAC, Ogg or MP3?") from error
        if MIN_RATE <= file.samplerate <= MAX_RATE:
            return file
        file.close()
        rate = f"{file.samplerate:,} Hz (a rate is {MIN_RATE:,} to {MAX_RATE:,})"
        raise AudioError(f"{self.path}: damaged, or no speech: {rate}; get a whole copy")

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        file, self._probed = self._probed or self._open(), None
        with file:
            position = self._seek(file, start) if start else 0
            while stop is None or position < stop:
                count = size if stop is None else min(size, stop - position)
                block = self._decode(file, count, position)
                if invalid := check_samples(block.T, position, file.samplerate):
                    raise AudioError(f"{self.path}: {invalid}")
                position += len(block)
                if len(block):
                    yield np.ascontiguousarray(block.T[list(self._order)])
                if len(block) < count:
                    if position < file.frames and self.exact_length:
                        missing = f"holds {position:,} of {file.frames:,} samples"
                        raise AudioError(f"{self.path}: truncated, {missing}; get the whole file")
                    break

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
