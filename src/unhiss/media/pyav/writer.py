"""Writing through PyAV: new sound, and beside it what the source holds besides sound."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from unhiss import atomic
from unhiss.dsp.resampling import Resampler
from unhiss.errors import AudioError, need
from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.atoms import copy_tags
from unhiss.media.pyav.container import first_sound, open_media, reason
from unhiss.media.pyav.tracks import AUDIO_ONLY, BRANDS, MUXERS, Coding, Tracks, choose, family
from unhiss.media.source import Source

_UNPRIMED = ("adts", "avi", "flv")  # cannot tell an encoder's priming from sound: packets of it stay out
_MP3_PRIMING, _MP3_GRANULE = 1105, 576  # samples: LAME's 576 and a decoder's 529; packets hold whole granules


class PyavWriter:
    """Write sound block by block into a hidden file beside `path`, renamed when complete.

    like: rate, channels, tags, bit rate. subtype: a coding that must be had, such as "ALAC" or "AAC".
    copy_from: the source, whose tags, cover art, chapters, pictures, subtitles and further sound tracks are copied;
    its sound starts at the same time. Use as a context manager; `write(block)` takes float32 `(C, T)`.
    `.subtype`: the coding chosen; `.dropped`: what of the source the container cannot hold.
    An exception inside leaves nothing behind. Raises AudioError if the container cannot hold this.
    """

    def __init__(
        self, path: str | Path, like: AudioFormat, subtype: str | None = None, *, copy_from: Source | None = None
    ) -> None:
        need("media", "av")
        self._copy_from = copy_from
        self.path, self._like, self._written = Path(path), like, 0
        self._target = self.path.resolve()  # through a link to the file it names
        if self._target.suffix.lower() not in MUXERS:
            known = ", ".join(sorted(MUXERS))
            raise AudioError(f"{self.path}: cannot write {self._target.suffix}; try .wav, .flac or one of {known}")
        self._beside = atomic.temp_path(self._target)
        self._source: Any = None
        self._out: Any = None
        self._tracks: Tracks | None = None
        self._offset = self._led_in = 0
        self.dropped: list[str] = []
        try:
            self._open(like, subtype, copy_from)
        except BaseException:
            self._close()
            raise

    def _open(self, like: AudioFormat, subtype: str | None, copy_from: Source | None) -> None:
        import av

        sound = self._open_source(copy_from)
        coding = choose(self._target, like, subtype, sound)
        self.subtype = coding.subtype
        self._resampler = Resampler(like.rate, coding.rate, like.channels)
        try:
            atomic.create(self._beside, self._target)
        except OSError as error:
            raise AudioError(f"{self.path}: cannot be written ({error.strerror}); choose another place") from error
        extension = self._target.suffix.lower()
        muxer = MUXERS[extension][0]
        # Edit lists count in this unit: with the sound's own, they cut it to the sample.
        options = {"movie_timescale": str(coding.rate)} if family(muxer) == "mov" else {}
        options |= {"brand": BRANDS[extension]} if extension in BRANDS else {}
        try:
            self._out = av.open(
                str(self._beside), "w", format=muxer, metadata_errors="surrogateescape", container_options=options
            )
            self._add_tracks(coding, sound)
            self._out.start_encoding()
        except (av.FFmpegError, ValueError, OSError) as error:
            raise AudioError(f"{self.path}: {muxer} cannot hold this ({reason(error)}); try .mkv or .wav") from error

    def _open_source(self, copy_from: Source | None) -> Any | None:
        """The track to replace, with its container open; None if there is no source, or PyAV cannot read it."""
        if copy_from is None:
            return None
        try:
            self._source = open_media(copy_from.path)
            return first_sound(self._source, copy_from.path)
        except AudioError:
            return None  # soundfile reads what is left, and its tags are in `like`

    def _add_tracks(self, coding: Coding, sound: Any | None) -> None:
        """Tracks in the source's order, the new sound in the place of the old."""
        names = {"tracknumber": "track"}
        self._out.metadata.update({names.get(name, name): text for name, text in self._like.tags.items()})
        if self._source is None or sound is None:
            self._stream = self._add_sound(coding)
            return
        self._tracks = Tracks(self._source, self._out, self._target.suffix.lower() in AUDIO_ONLY)
        for track in self._source.streams:
            if track is sound:
                self._stream = self._add_sound(coding)
                self._tracks.describe(self._stream, sound)
            else:
                self._tracks.add(track)
        self.dropped = self._tracks.dropped
        self._offset = round(self._tracks.start_s(sound) * coding.rate)

    def _add_sound(self, coding: Coding) -> Any:
        self._coding = coding
        stream = self._out.add_stream(
            coding.encoder, rate=coding.rate, layout=coding.layout, format=coding.sample_format
        )
        if coding.bit_rate:
            stream.bit_rate = coding.bit_rate
        if coding.encoder == "libopus":
            stream.options = {"vbr": "constrained"}  # else tones take more than they are given
        return stream

    def write(self, block: np.ndarray) -> None:
        self._encode(self._resampler.push(block))

    def _encode(self, block: np.ndarray) -> None:
        import av

        if not block.shape[1]:
            return
        if self._coding.encoder.startswith("wma") and not self._written:  # decoders throw the first frame away
            block = np.pad(block, ((0, 0), (self._stream.codec_context.frame_size, 0)))
            self._written = -self._stream.codec_context.frame_size
        elif self._coding.encoder == "libmp3lame" and not self._written and family(self._out.format.name) in _UNPRIMED:
            silence = -_MP3_PRIMING % _MP3_GRANULE  # so that whole packets are priming, and can stay out
            block, self._written = np.pad(block, ((0, 0), (silence, 0))), -silence
        packed = np.ascontiguousarray(block.T, dtype=np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", self._coding.layout)
        frame.sample_rate, frame.time_base = self._coding.rate, Fraction(1, self._coding.rate)
        frame.pts = self._offset + self._written
        self._written += block.shape[1]
        try:
            self._mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise self._full(error) from error

    def _mux(self, packets: list[Any]) -> None:
        """Sound, each packet after everything of the source that comes before it."""
        for packet in packets:
            if self._fit(packet):
                if self._tracks is not None:
                    self._tracks.until(packet.pts * packet.time_base)
                self._out.mux(packet)

    def _fit(self, packet: Any) -> bool:
        """Set a packet's time as its container has it; False if it holds nothing of the sound."""
        kind, end, span = family(self._out.format.name), self._offset + self._written, packet.duration or 0
        if kind in _UNPRIMED or (kind == "mov" and 0 <= packet.pts < self._offset):  # nor an MP4 whose sound is late
            return bool(span) and packet.pts - self._offset + span > span // 2
        if kind == "mov":  # where the last packet's stated length cuts its padding off
            if packet.pts < self._offset:  # a first packet with priming is never cut: readers lose it then
                packet.duration = max(span, self._stream.codec_context.frame_size)
                return True
            packet.duration = min(span, end - packet.pts)
            return packet.duration > 0
        if kind == "asf":  # no time lies before the start: what leads in is squeezed together there
            self._led_in += 1
            packet.pts = packet.dts = max(packet.pts, self._offset + self._led_in * self._coding.rate // 500)
        return True

    def __enter__(self) -> PyavWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        import av

        try:
            if kind is None:
                try:
                    self._finish()
                except (av.FFmpegError, OSError) as error:
                    raise self._full(error) from error
                self._beside.replace(self._target)
        finally:
            self._close()

    def _finish(self) -> None:
        self._encode(self._resampler.flush())
        if not self._written:
            raise AudioError(f"{self.path}: {self._target.suffix} cannot hold an empty recording; try .wav")
        self._mux(self._stream.encode(None))
        if self._tracks is not None:
            self._tracks.until(None)
        self._out.close()
        if self._copy_from is not None and self._keeps_atoms(self._copy_from.path):
            copy_tags(self._copy_from.path, self._beside)

    def _keeps_atoms(self, source: Path) -> bool:
        """Whether both files are MP4, or both QuickTime, which has its tags elsewhere."""
        if self._source is None or not self._source.format.name.startswith("mov"):
            return False
        quick = [path.suffix.lower() == ".mov" for path in (source, self._target)]
        return family(self._out.format.name) == "mov" and quick[0] == quick[1]

    def _close(self) -> None:
        with contextlib.suppress(Exception):  # what could not be written has been said by then
            if self._out is not None:
                self._out.close()
        if self._source is not None:
            self._source.close()
        self._beside.unlink(missing_ok=True)

    def _full(self, error: Exception) -> AudioError:
        return AudioError(f"{self.path}: cannot be written ({reason(error)}); is the disk full?")
