"""Decoding with PyAV: the format of a recording, and its audio from where a player starts it."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.dsp.audio import check_samples
from unhiss.errors import AudioError
from unhiss.media import formats, layouts
from unhiss.media.audio_source import Source, regrouped
from unhiss.media.file_range import whole
from unhiss.media.formats import AudioFormat, reason
from unhiss.media.pyav.container import (
    audio_track,
    describe,
    has_video,
    open_media,
    stated_duration,
    stated_size,
    subtype,
)  # fmt: skip
from unhiss.media.tags import id3

MIN_GAP_S = 0.1  # timestamps jump by less through rounding and clock drift, by more where audio is missing
MAX_GAP_S = 3600.0  # a larger jump is a damaged timestamp
_ROUNDING_S = Fraction(1, 500)  # headers state durations in milliseconds
_BARE = ("aac", "ac3", "eac3", "dts", "wv")  # demuxers of frames without a count of them
_HEADER = 128  # bytes of a small tag, and of a frame's header that packets do not count
_EQUAL = ("ac3", "dts")  # those whose packets all have one size, but for a rounding
_LOST = 1 << 16  # bytes; where more of them cannot be demuxed, the file is damaged and not only its end
_ONE_DURATION = ("matroska", "asf", "avi", "flv")  # demuxers whose header states the duration of the longest track only
_CONSTANT_RATE = ("PCM", "FLOAT", "DOUBLE", "ALAC", "ALAW", "ULAW")  # codings without a bit rate of their own


class PyavReader(Source):
    """A recording that PyAV reads. In `blocks` the encoder's priming is left out; gaps of timestamps are silence.

    head: the first 64 KB of the file; number: the audio track, from 1; notes: what is known to be wrong with the file.
    Where only decoding tells the number of samples, it is decoded once.
    Raises AudioError, or MissingExtra without PyAV.
    """

    def __init__(
        self, path: Path, head: bytes, number: int | None = None, strict: bool = False, notes: tuple[str, ...] = ()
    ) -> None:  # fmt: skip
        super().__init__(path, strict)
        self.track = number
        for note in notes:
            self.warn(note)
        stated, available = stated_size(head), path.stat().st_size
        if available < stated:
            self.warn(f"truncated, holds {available:,} of {stated:,} bytes")
        with open_media(path) as container:
            packets = _Pass(container, path, number, self.warn)
            track, self.has_video = packets.track, has_video(container)
            self._note_other_tracks(container.streams.audio, track)
            frames, size = packets.count_by_packets() or self._count_by_decoding()
            tags = {name.lower(): text for name, text in {**track.metadata, **container.metadata}.items()}
            tags["tracknumber"] = tags.get("track", "")
            context, seconds = track.codec_context, max(frames, 1) / track.rate
            coding = subtype(context.codec.canonical_name, context.format.name if context.format else "")
            kept = {name: tags[name] for name in formats.TAGS if tags.get(name)}
            bit_rate = 0 if coding.startswith(_CONSTANT_RATE) else round(8 * size / seconds)
            shape = (track.rate, track.channels, frames)
            layout = packets.layout or (layouts.usual(track.channels) if track.channels <= 2 else "")
        if not frames:
            self.warn("no sound found in it")
        self._set_format(AudioFormat(*shape, path.suffix[1:].upper(), coding, kept, bit_rate, layout))

    def _note_other_tracks(self, tracks: Any, chosen: Any) -> None:
        names = [f"{index}: {describe(track)}" for index, track in enumerate(tracks, 1)]
        self.other_tracks = [
            f"audio track {name}" for name, track in zip(names, tracks, strict=True) if track is not chosen
        ]
        if self.other_tracks and self.track is None:
            listed, taken = "; ".join(names), 1 + list(tracks).index(chosen)
            how = f"track=N takes another of {listed}"
            self.track_notice = f"audio track {taken} of {len(names)} is taken; {how}"

    def _count_by_decoding(self) -> tuple[int, int]:
        with open_media(self.path) as container:
            decoding = _Pass(container, self.path, self.track, self.warn)
            return sum(frame.shape[1] for frame in decoding.frames()), decoding.size

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        yield from regrouped(self._samples(start, stop), size)

    def _samples(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        with open_media(self.path) as container:
            decoding, position = _Pass(container, self.path, self.track, self.warn), 0
            for frame in decoding.frames():
                if invalid := check_samples(frame, position, decoding.track.rate):
                    raise AudioError(f"{self.path}: {invalid}")
                yield frame[:, max(0, start - position) : None if stop is None else max(0, stop - position)]
                position += frame.shape[1]
                if stop is not None and position >= stop:
                    break


class _Pass:
    """One pass over the audio track of an open container, and what it counts on the way.

    size: bytes of the track's packets. _position: where the last one ends in the file. Times are exact fractions of s.
    """

    def __init__(self, container: Any, path: Path, number: int | None, warn: Callable[[str], None]) -> None:
        self.container, self._path, self.warn = container, path, warn
        self.track: Any = audio_track(container, path, number)
        self.layout, order = layouts.from_positions([channel.name for channel in self.track.layout.channels])
        self._order = list(order)
        self.size = self._position = self._first_size = self._last_size = 0
        self._damage = ""  # what was wrong with the last packets
        self._end_s = self._last_end_s = Fraction(0)  # where the audio ends; where the last of all tracks does
        self._next_s: Fraction | None = None  # where the next packet starts if none is missing
        self._step_s = Fraction(0)  # the longest time between packets that state no duration
        self._span_s = self._first_span_s = Fraction(0)  # durations of the packet before and of the first one
        self._contiguous = True  # each packet starts where the one before ends, and all but the last are equally long
        name = container.format.name
        # The packets of an MP4 state their lengths in samples.
        time_base = self.track.time_base or Fraction(1)
        self._exact = bool(name.startswith("mov") and time_base <= Fraction(1, self.track.rate))
        self._all_tracks = name.startswith(_ONE_DURATION)  # whether their packets are needed too

    def count_by_packets(self) -> tuple[int, int] | None:
        """(samples, bytes) as an MP4's packets state them; None for other containers, and if a packet is missing."""
        if not self._exact:
            return None
        for packet in self._packets():
            self._note(packet)
        self._check_complete()
        start_s = Fraction(self.track.start_time or 0) * (self.track.time_base or 0)
        samples = max(0, round((self._end_s - start_s) * self.track.rate))
        return (samples, self.size) if self._contiguous else None

    def frames(self) -> Iterator[np.ndarray]:
        """Decoded audio, float32 `(C, T)`, delayed by one frame: only the end shows how long the last one is."""
        rate, decoded = self.track.rate, 0
        origin_s: Fraction | None = None
        pending: np.ndarray | None = None
        for packet in self._packets():
            for frame in self._decode(packet):
                if frame.rate != rate or len(frame.layout.channels) != len(self._order):
                    changed = f"its rate or channels change at {decoded / rate:.2f} s"
                    raise AudioError(f"{self._path}: {changed}; cut it there first")
                start_s = frame.pts * frame.time_base if frame.pts is not None else None
                origin_s = start_s if origin_s is None else origin_s
                if pending is not None:
                    yield pending
                if start_s is not None and origin_s is not None:
                    for silence in self._gap(round((start_s - origin_s) * rate) - decoded, decoded):
                        decoded += silence.shape[1]
                        yield silence
                pending = _samples(frame)[self._order]
                decoded += pending.shape[1]
            self._note(packet)
        self._check_complete()
        if pending is not None:
            # The last packet of an MP4 states its true length; the rest of its frame is padding.
            excess = max(0, decoded - round((self._end_s - (origin_s or 0)) * rate)) if self._exact else 0
            yield pending[:, : pending.shape[1] - min(excess, pending.shape[1])]

    def _decode(self, packet: Any) -> list[Any]:
        """The frames of a packet; none if it is damaged."""
        import av

        try:
            return list(packet.decode())
        except av.FFmpegError as error:
            self._note_damage(reason(error))
            return []

    def _packets(self) -> Iterator[Any]:
        """The whole packets of the audio track; the end of the other tracks is noted where the duration is theirs too.

        Damage is an error if more packets follow it, else the end of the recording.
        """
        import av

        for other in self.container.streams:
            if other is not self.track and not self._all_tracks:
                other.discard = av.stream.Discard.all
        packets = self.container.demux(*([] if self._all_tracks else [self.track]))
        while True:
            try:
                packet: Any = next(packets, None)
            except IndexError:
                return  # PyAV's, at the end of a broadcast in which a further track began after the start
            except av.FFmpegError as error:
                if not self._has_rest(_HEADER):
                    return  # of padding there is no packet
                self._note_damage(reason(error))
                if self._path.stat().st_size - self._position > _LOST:
                    raise self._error() from error
                return
            if packet is None:
                return
            if packet.size and packet.pts is not None:
                self._last_end_s = max(self._last_end_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.stream is not self.track:
                continue
            if packet.size and self._damage:
                raise self._error()
            if packet.is_corrupt:
                self._note_damage("a packet is not whole")
            else:
                yield packet

    def _note(self, packet: Any) -> None:
        self._position = max(self._position, (packet.pos or 0) + packet.size)
        self.size += packet.size
        self._first_size, self._last_size = self._first_size or packet.size, packet.size or self._last_size
        if packet.pts is None or packet.is_discard:
            return
        start_s, span_s = packet.pts * packet.time_base, (packet.duration or 0) * packet.time_base
        if self._next_s is not None:
            if not self._span_s:
                self._step_s = max(self._step_s, start_s - self._next_s)
            equal = span_s <= self._span_s == (self._first_span_s or self._span_s)
            self._contiguous &= start_s == self._next_s and equal
            self._first_span_s = self._first_span_s or self._span_s
        self._next_s, self._span_s = start_s + span_s, span_s
        self._end_s = max(self._end_s, self._next_s)

    def _gap(self, size: int, decoded: int) -> Iterator[np.ndarray]:
        """Silence of `size` samples in pieces of a second, unless the gap is too short to be one."""
        rate = self.track.rate
        if size <= MIN_GAP_S * rate:
            return
        if size > MAX_GAP_S * rate:
            jump = f"its time jumps by {size / rate:.0f} s"
            raise AudioError(f"{self._path}: damaged after {decoded / rate:.2f} s ({jump})")
        for left in range(size, 0, -rate):
            yield np.zeros((self.track.channels, min(rate, left)), np.float32)

    def _check_complete(self) -> None:
        """Compare where packets ended with the duration in the header."""
        track, stated_s, end_s = self.track, Fraction(0), self._end_s
        if self.container.format.name.startswith("mov") and track.duration:
            stated_s = (track.duration + (track.start_time or 0)) * track.time_base
        elif self._all_tracks:
            stated_s, end_s = stated_duration(self.container, self._path), self._last_end_s
        # The last packet may state no duration, and Matroska counts the priming too.
        slack_s = 2 * max(Fraction(track.codec_context.frame_size or 4608, track.rate), self._step_s)
        if end_s < stated_s - slack_s - _ROUNDING_S:
            missing = f"holds {float(end_s):.2f} of {float(stated_s):.2f} s"
            self.warn(f"truncated, {missing}")
        elif self._damage:
            self.warn(self._damage)
        elif self.container.format.name in _BARE and self._has_rest(1):
            self.warn("truncated, ends within a frame")

    def _has_rest(self, least: int) -> bool:
        """Whether half a packet comes last: neither padding nor a tag, or a smaller packet than the others of AC-3.

        least: bytes of the smallest half.
        """
        if self.container.format.name in _EQUAL and self._last_size < self._first_size - 8:
            return True
        least = _HEADER if self.container.format.name == "wv" else least
        with self._path.open("rb") as file:
            rest = bytes(id3.split(whole(file)[self._position :])[1][:_LOST])
        return len(rest.strip(b"\0")) >= least

    def _note_damage(self, why: str) -> None:
        self._damage = self._damage or f"damaged after {float(self._end_s):.2f} s ({why})"

    def _error(self) -> AudioError:
        return AudioError(f"{self._path}: {self._damage}; get a whole copy")


def _samples(frame: Any) -> np.ndarray:
    """A frame as float32 `(C, T)`; integers are divided by their full scale.

    PyAV's `to_ndarray` is not used: it counts planes until a null pointer, and with 8 planes there is none.
    """
    from av.audio.frame import format_dtypes
    from av.audio.plane import AudioPlane

    plane: Any = AudioPlane
    channels, dtype = len(frame.layout.channels), np.dtype(format_dtypes[frame.format.name])
    if frame.format.is_planar:
        values = np.stack([np.frombuffer(plane(frame, i), dtype, frame.samples) for i in range(channels)])
    else:
        values = np.frombuffer(plane(frame, 0), dtype, frame.samples * channels).reshape(-1, channels).T
    if values.dtype.kind == "f":
        return np.ascontiguousarray(values, dtype=np.float32)
    zero, full_scale = (128, 128) if values.dtype == np.uint8 else (0, 2.0 ** (8 * values.itemsize - 1))
    return np.ascontiguousarray((values.astype(np.float64) - zero) / full_scale, dtype=np.float32)
