"""The tags of MP3 files: ID3v2 before the audio, APEv2 and ID3v1 after it. WAV and AIFF files contain ID3v2 too.

Sources: id3.org, ID3v2.2 to 2.4; wiki.hydrogenaud.io, APEv2.
"""

from collections.abc import Callable, Iterator

from unhiss.media.file_range import FileRange, Piece, length

# Frames that describe the old audio or its bytes: its loudness, its encoder, and tables of stream positions.
_STALE = frozenset(
    {b"RVA2", b"RVAD", b"RVA", b"XRVA", b"RGAD", b"TSSE", b"TSS", b"TSIZ", b"TSI", b"MLLT", b"MLL", b"ASPI", b"SEEK"}
)
_STALE_NAMES = ("replaygain_", "itunsmpb", "itunnorm", "mp3gain_", "r128_")  # of frames with a name inside
_NAMED = (b"TXXX", b"TXX", b"COMM", b"COM")
_MAX_FRAMES = 10_000  # a tag with more is damaged
_MAX_IN_MEMORY = 1 << 24  # bytes of a tag that must be read into memory
_UNSYNCHRONISED, _EXTENDED, _FOOTER = 0x80, 0x40, 0x10
APPENDED = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")  # how tags start that are put behind any kind of audio
_ID3V1, _APE = 128, 32  # bytes of a whole tag; of an APEv2 header or footer


def is_stale(name: str) -> bool:
    """Whether denoising makes a tag of this name untrue.

    >>> is_stale("REPLAYGAIN_TRACK_GAIN"), is_stale("title")
    (True, False)
    """
    return name.lower().startswith(_STALE_NAMES)


def _syncsafe(field: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(field, (21, 14, 7, 0), strict=False))


def _as_syncsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def tag_size(data: FileRange) -> int:
    """Bytes of the ID3v2 tag at the start of `data`; 0 if there is none that ends within it."""
    head = bytes(data[:10])
    if len(head) < 10 or head[:3] != b"ID3" or head[3] not in (2, 3, 4) or max(head[6:10]) > 0x7F:
        return 0
    size = 10 + _syncsafe(head[6:10]) + (10 if head[3] == 4 and head[5] & _FOOTER else 0)
    return size if size <= len(data) else 0


def without_stale_frames(tag: FileRange) -> list[Piece]:
    """An ID3v2 tag without the frames that denoising makes untrue; unchanged if it has none."""
    head = bytes(tag[:10])
    version, flags = head[3], head[5]
    body: Piece = tag[10:]
    if flags & _UNSYNCHRONISED and version < 4:  # frames are hidden until the zeros after 0xFF are out
        if len(tag) > _MAX_IN_MEMORY:
            return [tag]
        body = bytes(body).replace(b"\xff\x00", b"\xff")
    frames = list(_frames(version, flags, body))
    kept = [frame for frame in frames if not _is_stale_frame(version, bytes(frame[:100]))]
    if len(kept) == len(frames) or len(frames) >= _MAX_FRAMES:
        return [tag]
    if not kept:
        return []
    flags &= _UNSYNCHRONISED if version == 4 else 0
    return [head[:5] + bytes([flags]) + _as_syncsafe(length(kept)), *kept]


def _frames(version: int, flags: int, body: Piece) -> Iterator[Piece]:
    """The frames in the body of a tag, up to its padding or to the first damaged one."""
    read_size: Callable[[bytes], int] = _syncsafe if version == 4 else int.from_bytes
    at = 0
    if flags & _EXTENDED and version > 2:
        at = read_size(bytes(body[:4])) + (0 if version == 4 else 4)
    wide = 6 if version == 2 else 10
    for _ in range(_MAX_FRAMES):
        head = bytes(body[at : at + wide])
        if len(head) < wide or not head[:3].isalnum():
            return
        size = wide + read_size(head[3:6] if version == 2 else head[4:8])
        if at + size > len(body):
            return
        yield body[at : at + size]
        at += size


def _is_stale_frame(version: int, start: bytes) -> bool:
    name, wide = (start[:3], 6) if version == 2 else (start[:4], 10)
    if name not in _NAMED:
        return name in _STALE
    text = start[wide + 1 + 3 * name.startswith(b"COM") :]  # encoding, in comments the language, then the name
    return is_stale(text.replace(b"\0", b"").lstrip(b"\xff\xfe").decode("latin-1"))


def split(file: FileRange) -> tuple[list[Piece], FileRange, list[Piece]]:
    """The tags at the start of an MP3, its audio, and the tags at its end; the tags without what is untrue."""
    before: list[Piece] = []
    while size := tag_size(file):
        before += without_stale_frames(file[:size])
        file = file[size:]
    after: list[Piece] = []
    if bytes(file[-_ID3V1:][:3]) == b"TAG" and len(file) >= _ID3V1:
        file, after = file[:-_ID3V1], [file[-_ID3V1:]]
    foot = bytes(file[-_APE:])
    if len(foot) == _APE and foot[:8] == b"APETAGEX":
        inside = int.from_bytes(foot[12:16], "little")  # items and footer
        header = _APE if foot[23] & 0x80 else 0
        if _APE <= inside <= len(file) - header:
            if inside <= _MAX_IN_MEMORY:
                after = [*_ape(bytes(file[-inside:-_APE]), foot, header), *after]
            file = file[: -inside - header]
    return before, file, after


def _ape(items: bytes, foot: bytes, header: int) -> list[Piece]:
    """An APEv2 tag without the items that denoising makes untrue; header: bytes of its header, 0 if it has none."""
    kept, at = [], 0
    while at + 9 <= len(items):
        size, end = int.from_bytes(items[at : at + 4], "little"), items.find(b"\0", at + 8)
        if end < 0 or end + 1 + size > len(items):
            break
        if not is_stale(items[at + 8 : end].decode("latin-1")):
            kept.append(items[at : end + 1 + size])
        at = end + 1 + size
    if not kept:
        return []
    body = b"".join(kept)
    fields = foot[:12] + (len(body) + _APE).to_bytes(4, "little") + len(kept).to_bytes(4, "little")
    first = fields + foot[20:23] + bytes([foot[23] | 0x20]) + foot[24:]
    return [first if header else b"", body, fields + foot[20:]]
