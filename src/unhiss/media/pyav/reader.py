"""Reading through PyAV: the facts of a recording, and its sound from where a player starts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.dsp.audio import check_samples
from unhiss.errors import AudioError
from unhiss.media import formats
from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.container import asf_size, coding, first_sound, has_video, open_media, reason

GAP_S = 0.1  # timestamps jump by less through rounding and clock drift, by more where sound is missing
LONGEST_GAP_S = 3600.0  # beyond it a timestamp is damaged
_SLACK_S = Fraction(1, 500)  # headers tell durations in milliseconds
_STATED_AS_ONE = ("matroska", "asf")  # demuxers whose header states how long the longest track is
_LOSSLESS = ("PCM", "FLOAT", "DOUBLE", "ALAC", "ALAW", "ULAW")  # or of a fixed bit rate


@dataclass(slots=True)
class _Sum:
    """What reading counts: samples, bytes of packets, where the last packet ends, and where that of any track.

    next_s: where the next packet should start, if the one before, of span_s, tells the truth; gapless: whether
    all start so, and are of one length but for the last.
    """

    samples: int = 0
    bytes: int = 0
    end_s: Fraction = Fraction(0)
    all_end_s: Fraction = Fraction(0)
    next_s: Fraction | None = None
    span_s: Fraction = Fraction(0)
    first_span_s: Fraction = Fraction(0)
    gapless: bool = True


class PyavReader:
    """One recording that PyAV reads: `format`, `has_video`, and `blocks` for each pass over the audio.

    head: the first 64 KB of the file. Where only decoding tells the number of samples, it is decoded once.
    Raises AudioError, or MissingExtra without PyAV.
    """

    def __init__(self, path: Path, head: bytes) -> None:
        stated, available = asf_size(head), path.stat().st_size
        if available < stated:
            raise AudioError(f"{path}: truncated, holds {available:,} of {stated:,} bytes; get the whole file")
        self._path = path
        with open_media(path) as container:
            track = first_sound(container, path)
            self.has_video = has_video(container)
            total = _by_packets(container, track, path) or self._by_decoding()
            tags = {name.lower(): text for name, text in {**track.metadata, **container.metadata}.items()}
            tags["tracknumber"] = tags.get("track", "")
            subtype, seconds = coding(track), max(total.samples, 1) / track.rate
            self.format = AudioFormat(
                track.rate, track.channels, total.samples, path.suffix[1:].upper(), subtype,
                {name: tags[name] for name in formats.TAGS if tags.get(name)},
                bit_rate=0 if subtype.startswith(_LOSSLESS) else round(8 * total.bytes / seconds),
            )  # fmt: skip

    def _by_decoding(self) -> _Sum:
        count = _Sum()
        with open_media(self._path) as container:
            for frame in _frames(container, first_sound(container, self._path), self._path, count):
                count.samples += frame.shape[1]
        return count

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """See Source.blocks. The encoder's priming is left out; where timestamps leave a gap there is silence."""
        path = self._path
        held: list[np.ndarray] = []
        with open_media(path) as container:
            track, place, ready = first_sound(container, path), 0, 0
            for frame in _frames(container, track, path, _Sum()):
                if invalid := check_samples(frame, place, track.rate):
                    raise AudioError(f"{path}: {invalid}")
                part = frame[:, max(0, start - place) : None if stop is None else max(0, stop - place)]
                place += frame.shape[1]
                held.append(part)
                ready += part.shape[1]
                if ready >= size:
                    whole = np.concatenate(held, axis=1)
                    for at in range(0, ready - size + 1, size):
                        yield np.ascontiguousarray(whole[:, at : at + size])
                    held, ready = [whole[:, ready - ready % size :]], ready % size
                if stop is not None and place >= stop:
                    break
        if ready:
            yield np.concatenate(held, axis=1)


def _by_packets(container: Any, track: Any, path: Path) -> _Sum | None:
    """The length that an MP4's packets state in samples; None for others, and if any is missing between them."""
    import av

    if not _exact(track):
        return None
    count = _Sum()
    try:
        for packet in _packets(container, track, count):
            if packet.size:
                _note(packet, path, count, float(count.end_s))
    except av.FFmpegError as error:
        raise _damage(path, float(count.end_s), error) from error
    _check_whole(container, track, path, count)
    start_s = Fraction(track.start_time or 0) * (track.time_base or 0)
    count.samples = max(0, round((count.end_s - start_s) * track.rate))
    return count if count.gapless else None


def _exact(track: Any) -> bool:
    return bool(track.container.format.name.startswith("mov") and track.time_base <= Fraction(1, track.rate))


def _damage(path: Path, seconds: float, error: Exception) -> AudioError:
    return AudioError(f"{path}: damaged after {seconds:.2f} s ({reason(error)}); get a whole copy")


def _frames(container: Any, track: Any, path: Path, count: _Sum) -> Iterator[np.ndarray]:
    """Decoded sound, float32 `(C, T)`, one frame late: only the end shows how long the last one is."""
    import av

    rate, done, kept = track.rate, 0, None
    origin: Fraction | None = None
    try:
        for packet in _packets(container, track, count):
            for frame in packet.decode():
                if frame.rate != rate or len(frame.layout.channels) != track.channels:
                    raise AudioError(f"{path}: its rate or channels change at {done / rate:.2f} s; cut it there first")
                at = frame.pts * frame.time_base if frame.pts is not None else None
                origin = at if origin is None else origin
                if kept is not None:
                    yield kept
                if at is not None and origin is not None:
                    for silence in _missing(at - origin, done, rate, frame, path):
                        done += silence.shape[1]
                        yield silence
                kept = _samples(frame)
                done += kept.shape[1]
            if packet.size:
                _note(packet, path, count, done / rate)
    except av.FFmpegError as error:
        raise _damage(path, done / rate, error) from error
    _check_whole(container, track, path, count)
    if kept is not None:
        yield kept[:, : kept.shape[1] - _excess(track, kept, count.end_s - (origin or 0), done)]


def _packets(container: Any, track: Any, count: _Sum) -> Iterator[Any]:
    """The packets of one track; where the header states the length of all tracks, the others are looked at too."""
    import av

    together = container.format.name.startswith(_STATED_AS_ONE)
    for other in container.streams:
        if other is not track and not together:
            other.discard = av.stream.Discard.all
    for packet in container.demux(*([] if together else [track])):
        if packet.size and packet.pts is not None:
            count.all_end_s = max(count.all_end_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
        if packet.stream is track:
            yield packet


def _note(packet: Any, path: Path, count: _Sum, seconds: float) -> None:
    if packet.is_corrupt:
        raise AudioError(f"{path}: damaged after {seconds:.2f} s (a packet is not whole); get a whole copy")
    count.bytes += packet.size
    if packet.pts is not None and not packet.is_discard:
        start_s, span_s = packet.pts * packet.time_base, (packet.duration or 0) * packet.time_base
        if count.next_s is not None:
            count.gapless &= start_s == count.next_s and span_s <= count.span_s == (count.first_span_s or count.span_s)
            count.first_span_s = count.first_span_s or count.span_s
        count.next_s, count.span_s = start_s + span_s, span_s
        count.end_s = max(count.end_s, count.next_s)


def _missing(at_s: Fraction, done: int, rate: int, frame: Any, path: Path) -> Iterator[np.ndarray]:
    """Silence, in pieces, for the time between the sound so far and a frame that starts later than it should."""
    gap = round(at_s * rate) - done
    if gap <= GAP_S * rate:
        return
    if gap > LONGEST_GAP_S * rate:
        raise AudioError(f"{path}: damaged after {done / rate:.2f} s (its time jumps by {gap / rate:.0f} s)")
    for left in range(gap, 0, -rate):
        yield np.zeros((len(frame.layout.channels), min(rate, left)), np.float32)


def _samples(frame: Any) -> np.ndarray:
    """A frame as float32 `(C, T)`; integers by their full scale.

    Not by PyAV's `to_ndarray`, which counts planes until a null pointer: with 8 of them there is none.
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
    middle, scale = (128, 128) if values.dtype == np.uint8 else (0, 2.0 ** (8 * values.itemsize - 1))
    return np.ascontiguousarray((values.astype(np.float64) - middle) / scale, dtype=np.float32)


def _excess(track: Any, kept: np.ndarray, end_s: Fraction, done: int) -> int:
    """Padding in the last frame: an MP4 states each packet's length in samples, and the last one's is the real one."""
    if _exact(track):
        return min(max(0, done - round(end_s * track.rate)), kept.shape[1])
    return 0


def _check_whole(container: Any, track: Any, path: Path, count: _Sum) -> None:
    """Compare where packets ended with where the header says they do. Raises AudioError."""
    stated, there = Fraction(0), count.end_s
    if container.format.name.startswith("mov") and track.duration:
        stated = (track.duration + (track.start_time or 0)) * track.time_base
    elif container.format.name.startswith(_STATED_AS_ONE) and container.duration:
        stated, there = Fraction(container.duration, 1_000_000), count.all_end_s
    slack = 2 * (track.codec_context.frame_size or 4608)  # a last packet, and Matroska counts the priming too
    if there < stated - Fraction(slack, track.rate) - _SLACK_S:
        raise AudioError(f"{path}: truncated, holds {float(there):.2f} of {float(stated):.2f} s; get the whole file")
