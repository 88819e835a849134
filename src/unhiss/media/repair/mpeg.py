"""MP3 files that are longer than their first frames tell: no count of frames, or that of the first of several files.

Without a Xing header libsndfile estimates the length from the bit rate of the first frame. Every frame states its own
size, so all of them are counted here. Sources: ISO/IEC 11172-3 and 13818-3; the Xing header as LAME writes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise

from unhiss.media.file_range import FileRange, Piece
from unhiss.media.repair.part import Examination, Part
from unhiss.media.tags import id3

_V1, _LAYER_III = 3, 1  # codes of version and layer in a header
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_BIT_RATES = {  # kbit/s by (MPEG 1, layer code)
    (True, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_VBRI_AT = 36  # where Fraunhofer's header stands in the first frame
_BEGINNING = 1 << 13  # bytes in which the first frames are looked for
_WINDOW = 1 << 20  # bytes read at a time


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a frame's header states. kind: all in which the frames of one recording are equal; size: bytes."""

    kind: tuple[int, int, int, bool]
    bit_rate: int
    size: int


@dataclass(slots=True)
class _Run:
    """The frames of one recording. head: the first 64 bytes of the first. spans: (start, stop) of neighbouring ones."""

    head: bytes
    first: _Frame
    spans: list[tuple[int, int]] = field(default_factory=list)
    frames: int = 0
    foreign: int = 0  # bytes between the frames that are neither frames nor tags
    varies: bool = False  # in its bit rate

    def add(self, at: int, frame: _Frame) -> None:
        """The next frame, at an offset."""
        joins = bool(self.spans) and self.spans[-1][1] == at
        start = self.spans.pop()[0] if joins else at
        self.spans.append((start, at + frame.size))
        self.frames += 1
        self.varies |= frame.bit_rate != self.first.bit_rate

    @property
    def xing(self) -> int:
        """The offset of the Xing header in the first frame, which is no audio then; 0 if there is none."""
        return _xing_at(self.head)

    @property
    def is_counted(self) -> bool:
        """Whether the first frame is no audio, but the header of Xing or of Fraunhofer."""
        return _is_count(self.head)

    @property
    def stated(self) -> int:
        """The number of frames behind the first one as that states it; else 0."""
        if not self.is_counted or (self.xing and not self.head[self.xing + 7] & 1):
            return 0
        at = self.xing + 8 if self.xing else _VBRI_AT + 14
        return int.from_bytes(self.head[at : at + 4], "big")


def begins(data: FileRange) -> bool:
    """Whether a file starts like MP3, or frames follow each other near its start, whatever stands before them."""
    if bytes(data[:1]) == b"\xff":
        return True
    frames = [(at, _parse(head[:4])) for at, head in islice(_headers(data[:_BEGINNING]), 3)]
    joined = all(frame and at + frame.size == behind for (at, frame), (behind, _) in pairwise(frames))
    return len(frames) == 3 and joined


def examine(data: FileRange) -> Examination:
    """The MP3 recordings of a file; data: without the tags at its start and end."""
    if _is_free(bytes(data[:4])):
        return Examination()
    runs, incomplete = _runs(data)
    notes = list[str]()
    for run in runs:
        stated, frames = run.stated, run.frames - run.is_counted
        if stated > frames + 1:
            notes.append(f"truncated, holds {frames:,} of {stated:,} frames")
        elif 0 < stated < frames - 1:
            notes.append(f"its header states {stated:,} frames, and it holds {frames:,}")
    if incomplete and not any("truncated" in note for note in notes):
        notes.append("truncated, ends within a frame")
    if foreign := sum(run.foreign for run in runs):
        notes.append(f"damaged, {foreign:,} bytes between its frames are no sound")
    if not runs or (len(runs) == 1 and not notes and _is_plain(runs[0], len(data))):
        return Examination()
    return Examination(tuple(Part(_with_count(data, run)) for run in runs), tuple(dict.fromkeys(notes)), len(runs))


def examine_inside(data: FileRange, notes: tuple[str, ...]) -> Examination:
    """The MP3 recordings in a container, which become files of their own. notes: on the container."""
    found = examine(data)
    return Examination(found.parts or (Part((data,)),), notes or found.notes, found.recordings)


def _is_plain(run: _Run, size: int) -> bool:
    """Whether libsndfile finds the length of a recording that fills the file."""
    known = run.stated == run.frames - 1 if run.is_counted else not run.varies
    return known and run.spans == [(0, size)]


def _with_count(data: FileRange, run: _Run) -> tuple[Piece, ...]:
    """The frames of a run behind a Xing header that states their true count."""
    audio, frames = [data[start:stop] for start, stop in run.spans], run.frames
    if run.is_counted:
        old, audio[0], frames = audio[0][: run.first.size], audio[0][run.first.size :], frames - 1
    if run.xing and run.head[run.xing + 7] & 3 == 3:
        before, behind = run.head[: run.xing + 8], bytes(old[run.xing + 16 :])
    else:
        before, padding = _xing_start(run.head)
        behind = bytes(padding)
    size = len(before) + 8 + len(behind) + sum(map(len, audio))
    return before, frames.to_bytes(4, "big") + size.to_bytes(4, "big"), behind, *audio


def _xing_start(head: bytes) -> tuple[bytes, int]:
    """A Xing header up to its counts, in a silent frame like that of `head`, and the bytes of the frame behind them."""
    mono, first_version = head[3] >> 6 == 3, head[1] >> 3 & 3 == _V1
    side_info = (17 if mono else 32) if first_version else (9 if mono else 17)
    start = bytes(side_info) + b"Xing" + (3).to_bytes(4, "big")
    for index in range(1, 15):  # the lowest bit rate at which the header fits into the frame
        own = bytes([head[0], head[1] | 1, index << 4 | head[2] & 0x0C, head[3]])
        frame = _parse(own)
        if frame and frame.size >= len(own) + len(start) + 8:
            return own + start, frame.size - len(own) - len(start) - 8
    raise AssertionError("the highest bit rate has room for a Xing header")


def _runs(data: FileRange) -> tuple[list[_Run], bool]:
    """The recordings of a file, and whether its last frame is incomplete. What is no frame is left out."""
    runs = list[_Run]()
    for at, header in _headers(data):
        frame = _parse(header[:4])
        if frame is None or at + frame.size > len(data):
            return runs, True
        if not runs or _is_count(header) or frame.kind != runs[-1].first.kind:
            runs.append(_Run(header, frame))
        elif (gap := data[runs[-1].spans[-1][1] : at]) and not bytes(gap[:11]).startswith(id3.APPENDED):
            runs[-1].foreign += len(gap)
        runs[-1].add(at, frame)
    return runs, False


def _is_count(header: bytes) -> bool:
    """Whether a frame, of which these are the first 64 bytes, is no audio but the header of Xing or of Fraunhofer."""
    return _xing_at(header) > 0 or header[_VBRI_AT:].startswith(b"VBRI")


def _xing_at(header: bytes) -> int:
    """The offset of a whole Xing header in the first 64 bytes of a frame; 0 if there is none."""
    at = max(header.find(b"Xing", 4), header.find(b"Info", 4))
    return at if 0 < at <= len(header) - 16 else 0


def _headers(data: FileRange) -> Iterator[tuple[int, bytes]]:
    """(offset, the first 64 bytes) of each frame."""
    base, buffer, at, synchronised = 0, b"", 0, False
    while at + 4 <= len(data):
        if not base <= at <= base + len(buffer) - 64:
            base, buffer = at, bytes(data[at : at + _WINDOW])
        head = buffer[at - base : at - base + 64]
        frame = _parse(head[:4])
        if frame and (synchronised or _is_followed(data, at, frame)):
            synchronised = True
            yield at, head
            at += frame.size
            continue
        synchronised = False
        if head[:3] == b"ID3" and (size := id3.tag_size(data[at:])):
            at += size
            continue
        found = buffer.find(b"\xff", at - base + 1) if at < base + len(buffer) else -1
        at = base + found if found >= 0 else max(at + 1, base + len(buffer) - 3)


def _is_followed(data: FileRange, at: int, frame: _Frame) -> bool:
    """Whether another frame of the same kind follows, so that four bytes were no header by chance."""
    end = at + frame.size
    following = _parse(bytes(data[end : end + 4]))
    return end == len(data) or bool(following and following.kind == frame.kind)


def _is_free(header: bytes) -> bool:
    """Whether a frame's header leaves its size to the distance of the next one ("free format")."""
    return len(header) == 4 and header[0] == 0xFF and header[1] >= 0xE0 and header[1] & 6 != 0 and header[2] >> 4 == 0


def _parse(header: bytes) -> _Frame | None:
    """A frame's header of four bytes; None if it is none, or its size is not stated."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    index, rate_code, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version not in _RATES or not layer or not 0 < index < 15 or rate_code == 3 or header[3] & 3 == 2:
        return None
    rate, first_version = _RATES[version][rate_code], version == _V1
    bits = 1000 * _BIT_RATES[first_version, layer][index]
    samples = 384 if layer == 3 else 576 if layer == _LAYER_III and not first_version else 1152
    slot = 4 if layer == 3 else 1  # bytes by which padding lengthens a frame
    size = (samples // 8 // slot * bits // rate + padding) * slot
    return _Frame((version, layer, rate, header[3] >> 6 == 3), bits, size) if size > 4 else None
