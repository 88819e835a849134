"""Ogg Vorbis and Opus: the comment packet of one file in the place of another's.

A longer packet takes more pages, so all behind it are numbered anew. Sources: RFC 3533 (Ogg), RFC 7845 (Opus).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from unhiss.media.tags.pieces import read_at
from unhiss.media.tags.vorbis import renewed

_HEADS = {b"\x01vorbis": (b"\x03vorbis", 3), b"OpusHead": (b"OpusTags", 2)}  # first packet: the second, and how many
_CONTINUED, _FIRST = 1, 2  # flags of a page
_NO_GRANULE = b"\xff" * 8  # of a page on which no packet ends
_LONGEST = 1 << 26  # bytes of header packets; beyond it lies damage
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its header of 27 bytes, the lengths of its segments, and where its body lies."""

    head: bytes
    table: bytes
    offset: int

    @property
    def serial(self) -> bytes:
        return self.head[14:18]

    @property
    def end(self) -> int:
        return self.offset + sum(self.table)


def checksum(page: bytes) -> int:
    """Ogg's CRC-32: the polynomial of zlib's, but from the highest bit on, and from zero.

    >>> checksum(b"OggS")
    1605403540
    """
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def pages(file: BinaryIO, size: int) -> Iterator[Page]:
    """The pages of a file from its start, up to the first damaged one."""
    at = 0
    while True:
        head = read_at(file, at, 27)
        if len(head) < 27 or head[:4] != b"OggS":
            return
        table = file.read(head[26])
        page = Page(head, table, at + 27 + len(table))
        if len(table) < head[26] or page.end > size:
            return
        yield page
        at = page.end


def headers(file: BinaryIO, size: int) -> tuple[list[bytes], Page | None, int]:
    """The header packets of a file's first sound, the first page of it, and where the page on which they end does.

    ([], None, 0) where there are none, or where sound begins on the page on which they end.
    """
    first: Page | None = None
    packets, part, total, count = list[bytes](), bytearray(), 0, 0
    for page in pages(file, size):
        body = read_at(file, page.offset, page.end - page.offset)
        if first is None:
            mark = next((name for name in _HEADS if body.startswith(name)), None)
            if mark is None and page.head[5] & _FIRST:
                continue
            if mark is None:
                break  # all streams have begun, none of them sound
            first, count = page, _HEADS[mark][1]
        elif page.serial != first.serial:
            continue
        total += len(body)
        if total > _LONGEST:
            break
        at = 0
        for wide in page.table:
            part += body[at : at + wide]
            at += wide
            if wide < 255:
                packets.append(bytes(part))
                part.clear()
        if len(packets) >= count:
            return (packets, first, page.end) if len(packets) == count and not part else ([], None, 0)
    return [], None, 0


def retagged(written: list[bytes], source: list[bytes]) -> list[bytes] | None:
    """Header packets as written, but with the source's comments; None if either is damaged."""
    marks = []
    for packets in (written, source):
        mark = next((second for first, (second, _) in _HEADS.items() if packets[0].startswith(first)), b"")
        if not mark or not packets[1].startswith(mark):
            return None
        marks.append(mark)
    body = renewed(written[1][len(marks[0]) :], source[1][len(marks[1]) :])
    framing = b"\x01" if marks[0] == b"\x03vorbis" else b""
    return [written[0], marks[0] + body + framing, *written[2:]]


def paged(packets: list[bytes], serial: bytes, number: int) -> list[bytes]:
    """Packets as whole pages, numbered from `number` on; the first page does not begin a stream."""
    table = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    body, at = b"".join(packets), 0
    done: list[bytes] = []
    for start in range(0, len(table), 255):
        lacing = table[start : start + 255]
        wide = sum(lacing)
        flags = _CONTINUED if start and table[start - 1] == 255 else 0
        granule = bytes(8) if min(lacing) < 255 else _NO_GRANULE
        head = b"OggS\0" + bytes([flags]) + granule + serial + struct.pack("<II", number + len(done), 0)
        done.append(sealed(head + bytes([len(lacing)]), lacing + body[at : at + wide]))
        at += wide
    return done


def sealed(head: bytes, rest: bytes) -> bytes:
    """A page with its checksum set."""
    page = head[:22] + bytes(4) + head[26:] + rest
    return page[:22] + struct.pack("<I", checksum(page)) + page[26:]


def exchange(source: BinaryIO, source_size: int, written: BinaryIO, size: int, out: BinaryIO) -> bool:
    """Write `written` into `out` with the comments of `source`; False, and nothing written, if there are none."""
    own, first, sound = headers(written, size)
    packets, _, _ = headers(source, source_size)
    if first is None or not packets:
        return False
    new = retagged(own, packets)
    if new is None:
        return False
    head = paged(new[1:], first.serial, 1)
    out.write(read_at(written, 0, first.end))
    out.writelines(head)
    number, at = 1 + len(head), sound
    while at < size:
        page_head = read_at(written, at, 27)
        table = written.read(page_head[26])
        rest = table + written.read(sum(table))
        out.write(sealed(page_head[:18] + struct.pack("<I", number) + page_head[22:], rest))
        number, at = number + 1, at + 27 + len(rest)
    return True
