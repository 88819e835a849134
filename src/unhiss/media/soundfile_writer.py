"""Encoding with libsndfile: into a temporary file, verified, then renamed, so that no output is ever incomplete."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile as sf

from unhiss import atomic
from unhiss.errors import AudioError
from unhiss.media import bitrates, formats, tags
from unhiss.media.formats import AudioFormat, reason
from unhiss.media.source import Source

_SYSTEM_ERROR = 2  # libsndfile's code for a read or write that failed


class SoundfileWriter:
    """Write a recording block by block into a temporary file beside `path`, renamed when complete.

    like: rate, channels, tags, and as far as the container (by the extension) can hold it, the coding; a lossy
    one gets its bit rate, within 10 % where the coding allows it.
    subtype: a coding that is required. copy_from: a recording whose tags and pictures are copied. Use as a
    context manager; `write(block)` takes float32 `(C, T)`; `.subtype` is the coding chosen. An exception
    inside leaves nothing behind.
    Raises AudioError if the container cannot hold this, or the file does not hold what was written.
    """

    dropped: tuple[str, ...] = ()  # nothing but tags is copied, and those are not reported

    def __init__(
        self, path: str | Path, like: AudioFormat, subtype: str | None = None, *, copy_from: Source | None = None
    ) -> None:
        self.path = Path(path)
        target = self.path.resolve()  # through a link to the file it names
        form = formats.container(target, like.container)
        if form is None:
            raise AudioError(f"{self.path}: cannot write {target.suffix or 'without an extension'}; try .wav or .flac")
        if subtype and not sf.check_format(form, subtype):
            known = ", ".join(sorted(sf.available_subtypes(form)))
            raise AudioError(f"{self.path}: {form} has no coding {subtype!r}; known: {known}")
        subtype = subtype or formats.coding(form, target.suffix, like.subtype)
        form = formats.roomy(form, subtype, like.channels * like.frames)
        self.subtype = subtype
        self._what, self._like, self._target, self._written = f"{form}/{subtype}", like, target, 0
        self._beside = atomic.temp_path(target)
        self._top = formats.top(form, subtype)
        self._copy_from = copy_from if copy_from and tags.copies(copy_from.tag_family, form) else None
        try:
            atomic.create(self._beside, target)
            self._file = self._begun(form, subtype)
        except OSError as error:
            self._beside.unlink(missing_ok=True)
            raise AudioError(f"{self.path}: cannot be written ({error.strerror}); choose another place") from error
        except (sf.SoundFileError, TypeError, ValueError) as error:
            self._beside.unlink(missing_ok=True)
            if getattr(error, "code", None) == _SYSTEM_ERROR:
                raise self._full(error) from error
            sound = f"{like.channels} channel{'s' * (like.channels > 1)} at {like.rate:,} Hz"
            raise AudioError(
                f"{self.path}: {self._what} cannot hold {sound} ({reason(error)}); try .wav or .flac"
            ) from error

    def _begun(self, form: str, subtype: str) -> sf.SoundFile | bitrates.TwoPassEncoder:
        """The file opened; one of a lossy coding at the bit rate of the source."""
        like = self._like

        def opened(level: bitrates.Level) -> sf.SoundFile:
            file = sf.SoundFile(
                formats.native(self._beside), "w", like.rate, like.channels, subtype, format=form,
                compression_level=level[0], bitrate_mode=level[1],
            )  # fmt: skip
            for name, text in ({} if self._copy_from else like.tags).items():
                with suppress(sf.SoundFileError):  # some containers have no tags
                    setattr(file, name, text)
            return file

        if not like.bit_rate or not subtype.startswith(formats.LOSSY):
            return opened((None, None))
        if form == "MP3":
            level = bitrates.constant(like.rate, like.channels, like.frames, like.bit_rate)
            if level:
                return opened(level)
        spool = self._beside.with_name(f"{self._beside.stem}-sound.part")
        return bitrates.TwoPassEncoder(self._beside, opened, spool, (like.rate, like.channels), like.bit_rate)

    def write(self, block: np.ndarray) -> None:
        try:
            self._file.write(np.clip(block, -self._top, self._top).T)
        except (sf.SoundFileError, RuntimeError, OSError, AssertionError) as error:
            raise self._full(error) from error
        self._written += block.shape[1]

    def __enter__(self) -> SoundfileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            try:
                if isinstance(self._file, bitrates.TwoPassEncoder):
                    self._file.close(keep=kind is None)
                else:
                    self._file.close()
            except (sf.SoundFileError, RuntimeError, OSError, AssertionError) as error:
                if kind is None:
                    raise self._full(error) from error
            if kind is None:
                self._verify()
                self._tag()
                self._beside.replace(self._target)
        finally:
            self._beside.unlink(missing_ok=True)

    def _tag(self) -> None:
        """Copy what the source carries beside its sound; markers only where its samples are these."""
        source = self._copy_from
        if source:
            try:
                in_place = (source.rate, source.frames) == (self._like.rate, self._written)
                tags.copy(source.path, self._beside, in_place=in_place)
            except OSError as error:
                raise self._full(error) from error

    def _full(self, error: Exception) -> AudioError:
        what = reason(error)
        return AudioError(f"{self.path}: cannot be written{f' ({what})' if what else ''}; is the disk full?")

    def _verify(self) -> None:
        """What lies on disk is what was written: some containers round rates, pad, or keep no empty sound."""
        like, written = self._like, self._written
        try:
            with sf.SoundFile(formats.native(self._beside)) as file:
                held = (file.samplerate, file.channels, file.frames)
        except sf.SoundFileError as error:
            if not written:
                raise AudioError(f"{self.path}: {self._what} cannot hold an empty recording; try .wav") from error
            raise self._full(error) from error
        if held[2] < written:
            raise AudioError(
                f"{self.path}: only {held[2]:,} of {written:,} samples could be written; is the disk full?"
            )
        if held != (like.rate, like.channels, written):
            raise AudioError(
                f"{self.path}: {self._what} makes {held[2]:,} samples at {held[0]:,} Hz "
                f"of {written:,} at {like.rate:,} Hz; try .wav or .flac"
            )
