"""What a file is by its first bytes, whatever its name: which library reads it."""

from pathlib import Path

from unhiss.media import pyav
from unhiss.media.file_range import FileRange
from unhiss.media.tags import id3, mp4, ogg

# Containers that libsndfile reads, with some of the codings that they can hold.
_CONTAINERS = (b"RIFF", b"RF64", b"BW64", b"riff", b"FORM", b".snd", b"dns.", b"caff", b"fLaC")
# Formats that it does not know, by (offset, mark).
_FOREIGN = (
    (4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (0, b"\x1a\x45\xdf\xa3"), (0, b"\x30\x26\xb2\x75"),  # MP4, Matroska, ASF
    (0, b"FLV\x01"), (8, b"AVI "), (0, b"\x00\x00\x01\xba"), (0, b"#!AMR"), (0, b"MAC "), (0, b"wvpk"), (0, b"TTA1"),
    (0, b"MPCK"), (0, b"MP+"), (0, b"\x0b\x77"), (0, b"\x7f\xfe\x80\x01"),  # AC-3, DTS
)  # fmt: skip
_ENDING = (b"FLV\x01", b"TTA1")
_SCANNED = 1 << 20  # bytes at a time
_TS_PACKET = 188  # bytes of a packet of an MPEG transport stream, each of which starts with "G"


def needs_pyav(path: Path, head: bytes, data: FileRange) -> bool:
    """Whether libsndfile cannot read a file. head: its first 64 KB; data: all of it. Its name decides only in doubt."""
    if any(head[at : at + len(mark)] == mark for at, mark in _FOREIGN):
        return True
    if head[:4] == b"OggS":
        return not ogg.header_packets(data)[0] or b"theora" in head[:200]
    if head.startswith(_CONTAINERS):
        return False
    if _is_adts(bytes(data[id3.tag_size(data) :][:4096])):
        return True
    return _is_transport_stream(head) or path.suffix.lower() in pyav.EXTENSIONS


def has_second(head: bytes, data: FileRange) -> bool:
    """Whether a file of a kind that FFmpeg stops at the end of (MP4, FLV, TTA) holds another one behind itself."""
    if head[4:8] == b"ftyp":
        return sum(name == b"ftyp" for name, _ in mp4.top_atoms(data)) > 1
    if not head.startswith(_ENDING):
        return False
    return any(head[:8] in bytes(data[at : at + _SCANNED + 7]) for at in range(8, len(data), _SCANNED))


def ends_within_packet(head: bytes, data: FileRange) -> bool:
    """Whether the last packet of an MPEG transport stream is incomplete; all its packets have one size."""
    last = data[len(data) // _TS_PACKET * _TS_PACKET :]
    return _is_transport_stream(head) and bytes(last[:1]) == b"G"


def _is_transport_stream(head: bytes) -> bool:
    marks = head[: 4 * _TS_PACKET : _TS_PACKET]
    return marks == b"G" * 4


def is_container(head: bytes) -> bool:
    """Whether a file is a container of codings of which libsndfile knows only some."""
    return head.startswith((*_CONTAINERS, b"OggS"))


def _is_adts(head: bytes) -> bool:
    """Whether AAC frames follow each other: the same mark as MP3's, with the bits of its layer zero."""
    at = 0
    for _ in range(2):
        frame = head[at : at + 7]
        if len(frame) < 7 or frame[0] != 0xFF or frame[1] & 0xF6 != 0xF0:
            return False
        size = (frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5
        if size < 7:
            return False
        at += size
        if at + 7 > len(head):
            return True
    return True
