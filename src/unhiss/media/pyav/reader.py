"""Decoding with PyAV: the format of a recording, and its audio from where a player starts it."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.dsp.audio import check_samples
from unhiss.errors import AudioError
from unhiss.media import formats, layouts
from unhiss.media.audio_source import Source
from unhiss.media.formats import AudioFormat, reason
from unhiss.media.pyav.container import asf_size, audio_track, describe, has_video, open_media, subtype

MIN_GAP_S = 0.1  # timestamps jump by less through rounding and clock drift, by more where audio is missing
MAX_GAP_S = 3600.0  # a larger jump is a damaged timestamp
_ROUNDING_S = Fraction(1, 500)  # headers state durations in milliseconds
_ONE_DURATION = ("matroska", "asf")  # demuxers whose header states the duration of the longest track only
_CONSTANT_RATE = ("PCM", "FLOAT", "DOUBLE", "ALAC", "ALAW", "ULAW")  # codings without a bit rate of their own


class PyavReader(Source):
    """A recording that PyAV reads. In `blocks` the encoder's priming is left out; gaps of timestamps are silence.

    head: the first 64 KB of the file; number: the audio track, from 1. Where only decoding tells the number of samples,
    it is decoded once.
    Raises AudioError, or MissingExtra without PyAV.
    """

    def __init__(self, path: Path, head: bytes, number: int | None = None) -> None:
        stated, available = asf_size(head), path.stat().st_size
        if available < stated:
            raise AudioError(f"{path}: truncated, holds {available:,} of {stated:,} bytes; get the whole file")
        self.path, self.track = path, number
        with open_media(path) as container:
            packets = _Pass(container, path, number)
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
        super().__init__(path, AudioFormat(*shape, path.suffix[1:].upper(), coding, kept, bit_rate, layout))

    def _note_other_tracks(self, tracks: Any, chosen: Any) -> None:
        names = [f"{index}: {describe(track)}" for index, track in enumerate(tracks, 1)]
        self.other_tracks = [
            f"audio track {name}" for name, track in zip(names, tracks, strict=True) if track is not chosen
        ]
        if self.other_tracks and self.track is None:
            listed, taken = "; ".join(names), 1 + list(tracks).index(chosen)
            how = f"--track N (in Python track=N) takes another of {listed}"
            self.track_notice = f"audio track {taken} of {len(names)} is taken; {how}"

    def _count_by_decoding(self) -> tuple[int, int]:
        with open_media(self.path) as container:
            decoding = _Pass(container, self.path, self.track)
            return sum(frame.shape[1] for frame in decoding.frames()), decoding.size

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        buffer: list[np.ndarray] = []
        with open_media(self.path) as container:
            decoding, position, buffered = _Pass(container, self.path, self.track), 0, 0
            for frame in decoding.frames():
                if invalid := check_samples(frame, position, decoding.track.rate):
                    raise AudioError(f"{self.path}: {invalid}")
                part = frame[:, max(0, start - position) : None if stop is None else max(0, stop - position)]
                position += frame.shape[1]
                buffer.append(part)
                buffered += part.shape[1]
                if buffered >= size:
                    joined = np.concatenate(buffer, axis=1)
                    for at in range(0, buffered - size + 1, size):
                        yield np.ascontiguousarray(joined[:, at : at + size])
                    buffer, buffered = [joined[:, buffered - buffered % size :]], buffered % size
                if stop is not None and position >= stop:
                    break
        if buffered:
            yield np.concatenate(buffer, axis=1)


class _Pass:
    """One pass over the audio track of an open container, and what it counts on the way.

    size: bytes of the track's packets. The times, in seconds, are exact fractions.
    """

    def __init__(self, container: Any, path: Path, number: int | None) -> None:
        self.container, self._path = container, path
        self.track: Any = audio_track(container, path, number)
        self.layout, order = layouts.from_positions([channel.name for channel in self.track.layout.channels])
        self._order = list(order)
        self.size = 0
        self._end_s = self._last_end_s = Fraction(0)  # where the audio ends; where the last of all tracks does
        self._next_s: Fraction | None = None  # where the next packet starts if none is missing
        self._span_s = self._first_span_s = Fraction(0)  # durations of the packet before and of the first one
        self._contiguous = True  # each packet starts where the one before ends, and all but the last are equally long
        name = container.format.name
        # The packets of an MP4 state their lengths in samples.
        time_base = self.track.time_base or Fraction(1)
        self._exact = bool(name.startswith("mov") and time_base <= Fraction(1, self.track.rate))
        self._all_tracks = name.startswith(_ONE_DURATION)  # whether their packets are needed too

    def count_by_packets(self) -> tuple[int, int] | None:
        """(samples, bytes) as an MP4's packets state them; None for other containers, and if a packet is missing."""
        import av

        if not self._exact:
            return None
        try:
            for packet in self._packets():
                if packet.size:
                    self._note(packet, float(self._end_s))
        except av.FFmpegError as error:
            raise self._damage(float(self._end_s), reason(error)) from error
        self._check_complete()
        start_s = Fraction(self.track.start_time or 0) * (self.track.time_base or 0)
        samples = max(0, round((self._end_s - start_s) * self.track.rate))
        return (samples, self.size) if self._contiguous else None

    def frames(self) -> Iterator[np.ndarray]:
        """Decoded audio, float32 `(C, T)`, delayed by one frame: only the end shows how long the last one is."""
        import av

        rate, decoded = self.track.rate, 0
        origin_s: Fraction | None = None
        pending: np.ndarray | None = None
        try:
            for packet in self._packets():
                for frame in packet.decode():
                    if frame.rate != rate or len(frame.layout.channels) != self.track.channels:
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
                if packet.size:
                    self._note(packet, decoded / rate)
        except av.FFmpegError as error:
            raise self._damage(decoded / rate, reason(error)) from error
        self._check_complete()
        if pending is not None:
            # The last packet of an MP4 states its true length; the rest of its frame is padding.
            excess = max(0, decoded - round((self._end_s - (origin_s or 0)) * rate)) if self._exact else 0
            yield pending[:, : pending.shape[1] - min(excess, pending.shape[1])]

    def _packets(self) -> Iterator[Any]:
        """The packets of the audio track; the end of the other tracks is noted where the duration is theirs too."""
        import av

        for other in self.container.streams:
            if other is not self.track and not self._all_tracks:
                other.discard = av.stream.Discard.all
        for packet in self.container.demux(*([] if self._all_tracks else [self.track])):
            if packet.size and packet.pts is not None:
                self._last_end_s = max(self._last_end_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.stream is self.track:
                yield packet

    def _note(self, packet: Any, seconds: float) -> None:
        if packet.is_corrupt:
            raise self._damage(seconds, "a packet is not whole")
        self.size += packet.size
        if packet.pts is None or packet.is_discard:
            return
        start_s, span_s = packet.pts * packet.time_base, (packet.duration or 0) * packet.time_base
        if self._next_s is not None:
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
        """Compare where packets ended with the duration in the header. Raises AudioError."""
        track, stated_s, end_s = self.track, Fraction(0), self._end_s
        if self.container.format.name.startswith("mov") and track.duration:
            stated_s = (track.duration + (track.start_time or 0)) * track.time_base
        elif self._all_tracks and self.container.duration:
            stated_s, end_s = Fraction(self.container.duration, 1_000_000), self._last_end_s
        slack = 2 * (track.codec_context.frame_size or 4608)  # a last packet, and Matroska counts the priming too
        if end_s < stated_s - Fraction(slack, track.rate) - _ROUNDING_S:
            missing = f"holds {float(end_s):.2f} of {float(stated_s):.2f} s"
            raise AudioError(f"{self._path}: truncated, {missing}; get the whole file")

    def _damage(self, seconds: float, why: str) -> AudioError:
        return AudioError(f"{self._path}: damaged after {seconds:.2f} s ({why}); get a whole copy")


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
