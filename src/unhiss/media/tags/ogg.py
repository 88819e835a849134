"""Ogg Vorbis and Opus: the comment packet of a file is replaced by that of another.

A longer packet takes more pages, so all pages after it are renumbered. Sources: RFC 3533 (Ogg), RFC 7845 (Opus).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from unhiss.media.file_range import FileRange, Piece
from unhiss.media.tags.vorbis import merge_comments

# Start of the first packet -> start of the second, and the number of header packets.
_HEADS = {b"\x01vorbis": (b"\x03vorbis", 3), b"OpusHead": (b"OpusTags", 2)}
_CONTINUED, _FIRST = 1, 2  # flags of a page
_NO_GRANULE = b"\xff" * 8  # of a page on which no packet ends
_MAX_HEADERS = 1 << 26  # bytes of header packets; a file with more is damaged
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its header of 27 bytes, the lengths of its segments, and its body."""

    head: bytes
    table: bytes
    body: FileRange

    @property
    def serial(self) -> bytes:
        return self.head[14:18]


def checksum(page: bytes) -> int:
    """Ogg's CRC-32: the polynomial of zlib, but with the highest bit first, and starting from zero.

    >>> checksum(b"OggS")
    1605403540
    """
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def pages(file: FileRange) -> Iterator[Page]:
    """The pages of a file, up to the first damaged one."""
    while True:
        head = bytes(file[:27])
        if len(head) < 27 or head[:4] != b"OggS":
            return
        start = 27 + head[26]
        table = bytes(file[27:start])
        end = start + sum(table)
        if len(table) < head[26] or end > len(file):
            return
        yield Page(head, table, file[start:end])
        file = file[end:]


def header_packets(file: FileRange) -> tuple[list[bytes], Page | None, int]:
    """The header packets of a file's first audio stream, its first page, and the offset at which their last page ends.

    ([], None, 0) if there are none, or if audio begins on that last page.
    """
    first: Page | None = None
    packets, part, total, count = list[bytes](), bytearray(), 0, 0
    for page in pages(file):
        body = bytes(page.body)
        if first is None:
            mark = next((name for name in _HEADS if body.startswith(name)), None)
            if mark is None and page.head[5] & _FIRST:
                continue
            if mark is None:
                break  # all streams have begun, and none is audio
            first, count = page, _HEADS[mark][1]
        elif page.serial != first.serial:
            continue
        total += len(body)
        if total > _MAX_HEADERS:
            break
        at = 0
        for wide in page.table:
            part += body[at : at + wide]
            at += wide
            if wide < 255:
                packets.append(bytes(part))
                part.clear()
        if len(packets) >= count:
            return (packets, first, page.body.stop) if len(packets) == count and not part else ([], None, 0)
    return [], None, 0


def with_comments(written: list[bytes], source: list[bytes]) -> list[bytes] | None:
    """The written header packets with the source's comments; None if either file is damaged."""
    marks = []
    for packets in (written, source):
        mark = next((second for first, (second, _) in _HEADS.items() if packets[0].startswith(first)), b"")
        if not mark or not packets[1].startswith(mark):
            return None
        marks.append(mark)
    body = merge_comments(written[1][len(marks[0]) :], source[1][len(marks[1]) :])
    framing = b"\x01" if marks[0] == b"\x03vorbis" else b""
    return [written[0], marks[0] + body + framing, *written[2:]]


def to_pages(packets: list[bytes], serial: bytes, number: int) -> list[bytes]:
    """Packets as complete pages, numbered from `number` on; none of them is the first of a stream."""
    table = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    body, at = b"".join(packets), 0
    done: list[bytes] = []
    for start in range(0, len(table), 255):
        lacing = table[start : start + 255]
        wide = sum(lacing)
        flags = _CONTINUED if start and table[start - 1] == 255 else 0
        granule = bytes(8) if min(lacing) < 255 else _NO_GRANULE
        head = b"OggS\0" + bytes([flags]) + granule + serial + struct.pack("<II", number + len(done), 0)
        done.append(with_checksum(head + bytes([len(lacing)]), lacing + body[at : at + wide]))
        at += wide
    return done


def with_checksum(head: bytes, rest: bytes) -> bytes:
    """A page with its checksum."""
    page = head[:22] + bytes(4) + head[26:] + rest
    return page[:22] + struct.pack("<I", checksum(page)) + page[26:]


def replace_comments(source: FileRange, written: FileRange) -> Iterator[Piece]:
    """The file `written` with the comments of `source`; nothing if either is damaged."""
    own, first, audio = header_packets(written)
    packets, _, _ = header_packets(source)
    headers = with_comments(own, packets) if own and packets else None
    if first is None or headers is None:
        return
    yield written[: first.body.stop]
    header_pages = to_pages(headers[1:], first.serial, 1)
    yield from header_pages
    for number, page in enumerate(pages(written[audio:]), 1 + len(header_pages)):
        head = page.head[:18] + struct.pack("<I", number) + page.head[22:]
        yield with_checksum(head, page.table + bytes(page.body))
