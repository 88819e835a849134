"""Ogg files of several streams one behind the other (radio, voice notes), and of pages that lack their end.

libsndfile reads the first stream only, and takes the missing mark of the last page for an error. Source: RFC 3533.
"""

from dataclasses import dataclass, field

from unhiss.media.file_range import FileRange
from unhiss.media.repair.part import Examination, Part
from unhiss.media.tags import ogg
from unhiss.media.tags.ogg import Page

_FIRST, _LAST = 2, 4  # flags of a page


@dataclass(slots=True)
class _Link:
    """One stream of a chain: its bytes up to the end of its last complete page."""

    start: int
    stop: int
    begun: bool = False  # whether a page that is not the first of a track has come
    last: dict[bytes, Page] = field(default_factory=dict)  # serial number of a track -> its last page


def examine(data: FileRange) -> Examination:
    """The streams of an Ogg file, if there are several or the last one is not marked as complete."""
    links = _links(data)
    parts, notes = list[Part](), list[str]()
    for link in links:
        part, note = _complete(data, link)
        parts.append(part)
        notes += [note] if note else []
    rest = bytes(data[links[-1].stop :][:4]) if links else b""
    if rest[: len(b"OggS")] == b"OggS"[: len(rest)] and rest:
        notes = [*(note for note in notes if "end" not in note), "truncated, ends within an Ogg page"]
    if not links or (len(links) == 1 and not notes and links[0].stop == len(data)):
        return Examination()
    return Examination(tuple(parts), tuple(dict.fromkeys(notes)))


def _links(data: FileRange) -> list[_Link]:
    """The streams of a chain; each begins with the first pages of its tracks."""
    links = list[_Link]()
    for page in ogg.pages(data):
        is_first = bool(page.head[5] & _FIRST)
        if not links or (is_first and links[-1].begun):
            start = page.body.start - len(page.head) - len(page.table) - data.start
            links.append(_Link(start, start))
        link = links[-1]
        link.begun |= not is_first
        link.stop = page.body.stop - data.start
        link.last[page.serial] = page
    return links


def _complete(data: FileRange, link: _Link) -> tuple[Part, str]:
    """A stream whose tracks all end with a page that is marked as the last, and what was missing."""
    _, first, _ = ogg.header_packets(data[link.start : link.stop])
    page = next(page for serial, page in link.last.items() if first is None or serial == first.serial)
    if page.head[5] & _LAST:
        return Part((data[link.start : link.stop],)), ""
    at = page.body.start - len(page.head) - len(page.table) - data.start
    marked = ogg.with_checksum(
        page.head[:5] + bytes([page.head[5] | _LAST]) + page.head[6:], page.table + bytes(page.body)
    )
    pieces = (data[link.start : at], marked, data[page.body.stop - data.start : link.stop])
    return Part(pieces), "its last page is not marked as the end, so more may be missing"
