"""Ogg files of several streams one behind the other (radio, voice notes), and of pages that are missing.

libsndfile reads the first stream only, takes the missing mark of the last page for an error, and counts from time zero
to the last page, whatever lies between. Sources: RFC 3533 (Ogg), RFC 7845 (Opus), the Vorbis I specification.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from unhiss.media.file_range import FileRange
from unhiss.media.repair.part import Examination, Part
from unhiss.media.tags import ogg
from unhiss.media.tags.ogg import Page

_MARK = b"OggS"
_FIRST, _LAST = 2, 4  # flags of a page
_NO_GRANULE = b"\xff" * 8  # of a page on which no packet ends
_OPUS_PACKET = 5760  # samples, at most
_WINDOW = 1 << 20  # bytes in which the next page is looked for at a time
_MAX_DAMAGED = 1000  # places at which a file is no Ogg file; one with more is not read to its end


@dataclass(slots=True)
class _Link:
    """One stream of a chain: its bytes up to the end of its last complete page. gaps: where a page does not follow."""

    start: int
    stop: int
    begun: bool = False  # whether a page that is not the first of a track has come
    last: dict[bytes, Page] = field(default_factory=dict)  # serial number of a track -> its last page
    gaps: list[int] = field(default_factory=list)

    def add(self, page: Page, stop: int) -> None:
        """The next page, which ends at `stop`."""
        before = self.last.get(page.serial)
        if before and (_number(page) != _number(before) + 1 or before.head[5] & _LAST):
            self.gaps.append(before.body.stop)
        self.begun |= not page.head[5] & _FIRST
        self.stop = stop
        self.last[page.serial] = page


def examine(data: FileRange) -> Examination:
    """The streams of an Ogg file, if there are several, or libsndfile would find another length of the only one."""
    links = _links(data)
    parts, notes = list[Part](), list[str]()
    for link in links:
        part, found = _complete(data, link)
        parts.append(part)
        notes += found
    rest = bytes(data[links[-1].stop :][:4]) if links else b""
    if rest and _MARK.startswith(rest):
        notes = [*(note for note in notes if "end" not in note), "truncated, ends within an Ogg page"]
    if not links or (len(links) == 1 and not notes and not parts[0].uncounted and links[0].stop == len(data)):
        return Examination()
    return Examination(tuple(parts), tuple(dict.fromkeys(notes)))


def _links(data: FileRange) -> list[_Link]:
    """The streams of a chain; each begins with the first pages of its tracks."""
    links = list[_Link]()
    for page in _pages(data):
        if not links or (page.head[5] & _FIRST and links[-1].begun):
            start = page.body.start - len(page.head) - len(page.table) - data.start
            links.append(_Link(start, start))
        links[-1].add(page, page.body.stop - data.start)
    return links


def _pages(data: FileRange) -> Iterator[Page]:
    """The pages whose checksums are right, as decoders find them: also behind what is no page."""
    at = 0
    for _ in range(_MAX_DAMAGED):
        for page in ogg.pages(data[at:]):
            if ogg.with_checksum(page.head, page.table + bytes(page.body))[:27] != page.head:
                break
            at = page.body.stop - data.start
            yield page
        while at < len(data):
            found = bytes(data[at + 1 : at + _WINDOW]).find(_MARK)
            at += 1 + found if found >= 0 else _WINDOW - len(_MARK)
            if found >= 0:
                break
        else:
            return


def _number(page: Page) -> int:
    return int.from_bytes(page.head[18:22], "little")


def _complete(data: FileRange, link: _Link) -> tuple[Part, list[str]]:
    """A stream whose tracks all end with a page that is marked as the last, and what was missing."""
    stream = data[link.start : link.stop]
    packets, first, audio = ogg.header_packets(stream)
    page = next(page for serial, page in link.last.items() if first is None or serial == first.serial)
    # Whoever tunes in late has the headers, and then the pages from there on.
    has_gaps = any(at != audio for at in link.gaps)
    uncounted = bool(has_gaps or (first and _starts_late(packets[0], first.serial, stream[audio - stream.start :])))
    notes = ["damaged, some of its Ogg pages are missing or out of order"] if has_gaps else []
    if page.head[5] & _LAST:
        return Part((stream,), uncounted=uncounted), notes
    at = page.body.start - len(page.head) - len(page.table) - data.start
    marked = ogg.with_checksum(
        page.head[:5] + bytes([page.head[5] | _LAST]) + page.head[6:], page.table + bytes(page.body)
    )
    pieces = (data[link.start : at], marked, data[page.body.stop - data.start : link.stop])
    return Part(pieces, uncounted=uncounted), [*notes, "its last page is not marked as the end, so more may be missing"]


def _starts_late(header: bytes, serial: bytes, audio: FileRange) -> bool:
    """Whether the first audio packets cannot last as long as the time that has passed at their end."""
    longest, packets = _OPUS_PACKET if header.startswith(b"Opus") else (1 << (header[28] >> 4)) // 2, 0
    for page in _pages(audio):
        if page.serial != serial:
            continue
        packets += sum(size < 255 for size in page.table)
        if page.head[6:14] != _NO_GRANULE:
            return int.from_bytes(page.head[6:14], "little", signed=True) > packets * longest
    return False
