"""Encoding with libsndfile."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile as sf

from unhiss.errors import AudioError, WrongAudioOption
from unhiss.media import bitrates, formats, layout_headers, layouts, tags
from unhiss.media.audio_source import Source
from unhiss.media.audio_writer import AudioWriter
from unhiss.media.file_range import whole
from unhiss.media.formats import AudioFormat

_SYSTEM_ERROR = 2  # libsndfile's code for a read or write that failed
_WRITE_ERRORS = (sf.SoundFileError, RuntimeError, OSError, AssertionError)


class SoundfileWriter(AudioWriter):
    """See `writer.open_writer`. A lossy coding gets the bit rate of `like`, within 10 % where the coding allows it."""

    def __init__(
        self, path: str | Path, like: AudioFormat, subtype: str | None = None, *, copy_from: Source | None = None
    ) -> None:
        super().__init__(path, like)
        container = formats.container_of(self._target, like.container)
        if container is None:
            extension = self._target.suffix or "without an extension"
            raise AudioError(f"{self.path}: cannot write {extension}; try .wav or .flac")
        if subtype and not sf.check_format(container, subtype):
            known = ", ".join(sorted(sf.available_subtypes(container)))
            raise WrongAudioOption(f"{self.path}: {container} has no coding {subtype!r}; known: {known}")
        self.subtype = subtype or formats.nearest_coding(container, self._target.suffix, like.subtype)
        container = formats.large_container(container, self.subtype, like.channels * like.frames)
        self._usual_layout = like.channels <= 2 and like.layout in ("", layouts.usual(like.channels))
        if container == "WAV" and like.layout and not self._usual_layout:
            container = "WAVEX" if sf.check_format("WAVEX", self.subtype) else "WAV"  # its header has a mask
        self._container = container
        self._order = _stream_order(container, self.subtype, like)
        self._peak = formats.max_sample(self._container, self.subtype)
        self._copy_from = copy_from if copy_from and tags.copies(copy_from.tag_family, self._container) else None
        self.dropped = copy_from.other_tracks if copy_from else ()
        self._create()
        try:
            self._file = self._open()
        except (sf.SoundFileError, TypeError, ValueError, OSError) as error:
            self._temporary.unlink(missing_ok=True)
            if isinstance(error, OSError) or getattr(error, "code", None) == _SYSTEM_ERROR:
                raise self._write_error(error) from error
            raise self._misfit(f"cannot hold {like.shape} ({formats.reason(error)})") from error

    def _open(self) -> sf.SoundFile | bitrates.TwoPassEncoder:
        like = self._like
        if not like.bit_rate or not self.subtype.startswith(formats.LOSSY):
            return self._open_file((None, None))
        if self._container == "MP3":
            level = bitrates.constant_level(like.rate, like.channels, like.frames, like.bit_rate)
            if level:
                return self._open_file(level)
        buffer, shape = self._temporary.with_name(f"{self._temporary.stem}-audio.part"), (like.rate, like.channels)
        return bitrates.TwoPassEncoder(self._temporary, self._open_file, buffer, shape, like.bit_rate)

    def _open_file(self, level: bitrates.Level) -> sf.SoundFile:
        like = self._like
        file = sf.SoundFile(
            formats.native(self._temporary), "w", like.rate, like.channels, self.subtype, format=self._container,
            compression_level=level[0], bitrate_mode=level[1],
        )  # fmt: skip
        for name, text in ({} if self._copy_from else like.tags).items():
            with suppress(sf.SoundFileError):  # some containers have no tags
                setattr(file, name, text)
        return file

    def write(self, block: np.ndarray) -> None:
        try:
            self._file.write(np.clip(block, -self._peak, self._peak)[self._order].T)
        except _WRITE_ERRORS as error:
            raise self._write_error(error) from error
        self._written += block.shape[1]

    def _finish(self) -> None:
        try:
            self._file.close()
        except _WRITE_ERRORS as error:
            raise self._write_error(error) from error
        self._verify()
        if source := self._copy_from:
            try:  # markers are valid only where the samples are those of the source
                aligned = (source.rate, source.frames) == (self._like.rate, self._written)
                tags.copy(source.path, self._temporary, in_place=aligned)
            except OSError as error:
                raise self._write_error(error) from error
        self._state_layout()

    def _state_layout(self) -> None:
        """Put the layout into the header, and a note into `notes` if some of it is lost."""
        like = self._like
        if self._usual_layout:
            return
        try:
            layout_headers.write(self._temporary, self._container, self.subtype, like.layout, like.channels)
            with self._temporary.open("rb") as data, sf.SoundFile(formats.native(self._temporary)) as file:
                stored, _ = layout_headers.read(whole(data), file)
        except (OSError, EOFError, sf.SoundFileError) as error:
            raise self._write_error(error) from error
        lossy = self.subtype in ("OPUS", "VORBIS")
        note = layouts.loss(like.layout, layouts.positions(stored), lossy, self._target.suffix)
        self.notes = (note,) if note else ()

    def _close(self) -> None:
        if isinstance(self._file, bitrates.TwoPassEncoder):
            self._file.discard()
        else:
            self._file.close()

    def _verify(self) -> None:
        """Read the header back: some containers round rates, pad, or cannot be empty."""
        rate, written = self._like.rate, self._written
        try:
            with sf.SoundFile(formats.native(self._temporary)) as file:
                stored = (file.samplerate, file.channels, file.frames)
        except sf.SoundFileError as error:
            empty = self._misfit("cannot hold an empty recording", ".wav")
            raise (self._write_error(error) if written else empty) from error
        if stored[2] < written:
            stored_part = f"only {stored[2]:,} of {written:,} samples could be written"
            raise AudioError(f"{self.path}: {stored_part}; is the disk full?")
        if stored != (rate, self._like.channels, written):
            raise self._misfit(f"makes {stored[2]:,} samples at {stored[0]:,} Hz of {written:,} at {rate:,} Hz")

    def _misfit(self, why: str, hint: str = ".wav or .flac") -> AudioError:
        return AudioError(f"{self.path}: {self._container}/{self.subtype} {why}; try {hint}")


def _stream_order(container: str, subtype: str, like: AudioFormat) -> list[int]:
    """For each channel of the file, the index of that of `like`: codings without a mask have orders of their own."""
    fixed = layouts.implied(container, subtype, like.channels)
    if not fixed or layout_headers.holds_mask(container, subtype):
        return list(range(like.channels))
    return list(layouts.place(like.layout, fixed))
