"""Encoding with PyAV, with everything else that the source holds copied beside the new audio."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.dsp.resampling import Resampler
from unhiss.errors import AudioError, need
from unhiss.media import layouts
from unhiss.media.audio_source import Source
from unhiss.media.audio_writer import AudioWriter
from unhiss.media.formats import AudioFormat, reason
from unhiss.media.pyav.codings import Coding, choose_coding
from unhiss.media.pyav.container import audio_track, open_media
from unhiss.media.pyav.container import subtype as subtype_name
from unhiss.media.pyav.tracks import AUDIO_ONLY, BRANDS, MUXERS, TrackCopier, family
from unhiss.media.tags import mp4

_NO_PRIMING = ("adts", "avi", "flv")  # containers that cannot mark priming: packets of priming are left out
_MP3_PRIMING, _MP3_GRANULE = 1105, 576  # samples: LAME's 576 and a decoder's 529; packets hold whole granules


class PyavWriter(AudioWriter):
    """See `writer.open_writer`. The audio starts at the same time as that of the source. MissingExtra without PyAV."""

    def __init__(
        self, path: str | Path, like: AudioFormat, subtype: str | None = None, *, copy_from: Source | None = None
    ) -> None:
        need("media", "av", what=str(path))
        super().__init__(path, like)
        extension = self._target.suffix.lower()
        if extension not in MUXERS:
            known = ", ".join(sorted(MUXERS))
            raise AudioError(f"{self.path}: cannot write {self._target.suffix}; try .wav, .flac or one of {known}")
        self._extension, self._muxer = extension, MUXERS[extension][0]
        self._copy_from = copy_from
        self._source: Any = None
        self._out: Any = None
        self._copier: TrackCopier | None = None
        self._offset = self._lead_in = 0
        try:
            audio = self._open_source()
            self._coding = choose_coding(self._target, like, subtype, audio)
            self.subtype = subtype_name(self._coding.encoder, self._coding.sample_format)
            self._order = list(layouts.place(like.layout, self._coding.positions) or range(like.channels))
            note = layouts.loss(like.layout, self._coding.positions, self._coding.bit_rate > 0, extension)
            self.notes = (note,) if note else ()
            self._resampler = Resampler(like.rate, self._coding.rate, like.channels)
            self._create()
            self._open(audio)
        except BaseException:
            self._discard()
            raise

    def _open_source(self) -> Any | None:
        """The track to replace, with its container open; None if there is no source, or PyAV cannot read it."""
        if self._copy_from is None:
            return None
        try:
            self._source = open_media(self._copy_from.path)
            return audio_track(self._source, self._copy_from.path, self._copy_from.track)
        except AudioError:
            return None  # libsndfile reads such a source, and its tags are in `like`

    def _open(self, audio: Any | None) -> None:
        """Open the muxer, and add its tracks in the order of the source, the new audio in place of the old."""
        import av

        # Edit lists count in the movie's time scale: with that of the audio, they cut it to the sample.
        options = {"movie_timescale": str(self._coding.rate)} if family(self._muxer) == "mov" else {}
        options |= {"brand": BRANDS[self._extension]} if self._extension in BRANDS else {}
        try:
            target, errors = str(self._temporary), "surrogateescape"
            self._out = av.open(target, "w", self._muxer, container_options=options, metadata_errors=errors)
            tags = self._like.tags
            self._out.metadata.update({"track" if name == "tracknumber" else name: tags[name] for name in tags})
            if audio is None:
                self._stream = self._add_stream(self._coding)
            else:
                self._add_tracks(audio)
            self._out.start_encoding()
        except (av.FFmpegError, ValueError, OSError) as error:
            why = f"{self._muxer} cannot hold this ({reason(error)})"
            raise AudioError(f"{self.path}: {why}; try .mkv or .wav") from error

    def _add_tracks(self, audio: Any) -> None:
        copier = self._copier = TrackCopier(self._source, self._out, self._extension in AUDIO_ONLY)
        for track in self._source.streams:
            if track is audio:
                self._stream = self._add_stream(self._coding)
                copier.describe(self._stream, audio)
            else:
                copier.add(track)
        self.dropped = copier.dropped
        self.track = 1 + list(self._out.streams.audio).index(self._stream)
        self._offset = round(copier.start_s(audio) * self._coding.rate)

    def _add_stream(self, coding: Coding) -> Any:
        settings = {"rate": coding.rate, "layout": coding.layout, "format": coding.sample_format}
        stream = self._out.add_stream(coding.encoder, **settings)
        if coding.bit_rate:
            stream.bit_rate = coding.bit_rate
        if coding.encoder == "libopus":
            stream.options = {"vbr": "constrained"}  # without it, tones exceed the bit rate
            if self._like.channels > 2:  # by default, FFmpeg mixes up the order of 5 and 7 channels
                stream.options |= {"mapping_family": "1" if coding.positions else "255"}
        return stream

    def write(self, block: np.ndarray) -> None:
        self._encode(self._resampler.push(block))

    def _encode(self, block: np.ndarray) -> None:
        import av

        if not block.shape[1]:
            return
        if not self._written and (padding := self._padding()):
            block, self._written = np.pad(block, ((0, 0), (padding, 0))), -padding
        packed = np.ascontiguousarray(block[self._order].T, dtype=np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", self._coding.layout)
        frame.sample_rate, frame.time_base = self._coding.rate, Fraction(1, self._coding.rate)
        frame.pts = self._offset + self._written
        self._written += block.shape[1]
        try:
            self._mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise self._write_error(error) from error

    def _padding(self) -> int:
        """Samples of silence to put before the audio."""
        if self._coding.encoder.startswith("wma"):  # decoders drop the first frame
            return int(self._stream.codec_context.frame_size)
        if self._coding.encoder == "libmp3lame" and family(self._muxer) in _NO_PRIMING:
            return -_MP3_PRIMING % _MP3_GRANULE  # the priming then fills whole packets, which can be left out
        return 0

    def _mux(self, packets: list[Any]) -> None:
        """Write audio packets, each after all packets of the source that come before it."""
        for packet in packets:
            if self._set_time(packet):
                if self._copier is not None:
                    self._copier.copy_until(packet.pts * packet.time_base)
                self._out.mux(packet)

    def _set_time(self, packet: Any) -> bool:
        """Set the time of a packet as its container needs it; False if the packet holds only priming or padding."""
        kind, end, span = family(self._muxer), self._offset + self._written, packet.duration or 0
        if kind in _NO_PRIMING or (kind == "mov" and 0 <= packet.pts < self._offset):  # or an MP4 whose audio is late
            return bool(span and packet.pts - self._offset + span > span // 2)
        if kind == "mov":  # the last packet's stated duration cuts its padding off
            if packet.pts < self._offset:  # the duration of a first packet of priming must not be cut: readers drop it
                packet.duration = max(span, self._stream.codec_context.frame_size)
                return True
            packet.duration = min(span, end - packet.pts)
            return bool(packet.duration > 0)
        if kind == "asf":  # which has no negative times: the priming is squeezed together at the start
            self._lead_in += 1
            packet.pts = packet.dts = max(packet.pts, self._offset + self._lead_in * self._coding.rate // 500)
        return True

    def _finish(self) -> None:
        import av

        try:
            self._encode(self._resampler.flush())
            if not self._written:
                raise AudioError(f"{self.path}: {self._target.suffix} cannot hold an empty recording; try .wav")
            self._mux(self._stream.encode(None))
            if self._copier is not None:
                self._copier.copy_until(None)
            self._out.close()
            self._finish_mp4()
        except (av.FFmpegError, OSError) as error:
            raise self._write_error(error) from error

    def _finish_mp4(self) -> None:
        """Give an MP4 made from an MP4 the tags of it, and its index the same place: last, or first."""
        if self._copy_from is None or self._source is None or not self._source.format.name.startswith("mov"):
            return
        source = self._copy_from.path
        if self._shares_tags(source):
            mp4.copy_tags(source, self._temporary)
        if family(self._muxer) == "mov" and mp4.starts_fast(source):
            mp4.put_index_first(self._temporary)

    def _shares_tags(self, source: Path) -> bool:
        """Whether both files are MP4, or both QuickTime, which stores its tags elsewhere."""
        quicktime = [path.suffix.lower() == ".mov" for path in (source, self._target)]
        return family(self._muxer) == "mov" and quicktime[0] == quicktime[1]

    def _close(self) -> None:
        try:
            if self._out is not None:
                self._out.close()
        finally:
            if self._source is not None:
                self._source.close()
