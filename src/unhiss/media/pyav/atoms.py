"""The tags of an MP4 as the atoms they are: FFmpeg knows a few dozen by name and drops the others.

An MP4 is a row of atoms: 4 bytes of size, 4 of name, then content, which may be atoms again. Tags, cover art and
ratings lie in `moov/udta` (iTunes' in `meta/ilst` therein), a phone's place and time in `moov/meta`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_TAGS = (b"udta", b"meta")
_LARGEST = 1 << 28  # bytes of an index kept in memory; that of 10 h has some 20 MB
_GAPLESS = b"iTunSMPB"  # how much of the old sound was priming; the new has its own


def copy_tags(source: Path, target: Path) -> None:
    """Give the MP4 `target`, whose index is its last atom, the tags of the MP4 `source`; nothing if either is odd."""
    found = _index(source)
    if found is None:
        return
    tags = b"".join(_without_gapless(atom) for name, atom in _atoms(found[1]) if name in _TAGS)
    own = _index(target)
    if own is None or own[0] + 8 + len(own[1]) != target.stat().st_size:
        return  # sound after the index would move with it
    kept = b"".join(atom for name, atom in _atoms(own[1]) if name not in _TAGS)
    if len(kept) + len(tags) > _LARGEST:
        return
    with target.open("r+b") as file:
        file.seek(own[0])
        file.write((8 + len(kept) + len(tags)).to_bytes(4, "big") + b"moov" + kept + tags)
        file.truncate()


def _index(path: Path) -> tuple[int, bytes] | None:
    """Where `moov` starts, and its content; None if there is none, or a damaged one."""
    with path.open("rb") as file:
        for start, size, name in _row(file, path.stat().st_size):
            if name == b"moov":
                if size > _LARGEST:
                    return None
                file.seek(start + 8)
                content = file.read(size - 8)
                whole = sum(len(atom) for _, atom in _atoms(content)) == len(content)
                return (start, content) if whole else None
    return None


def _row(file: BinaryIO, end: int) -> Iterator[tuple[int, int, bytes]]:
    """(start, size, name) of the atoms of a file; those of more than 4 GB have their size after their name."""
    start = 0
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        size = int.from_bytes(head[8:16], "big") if size == 1 else size or end - start
        if size < 8:
            return
        yield start, size, head[4:8]
        start += size


def _atoms(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, all bytes) of the atoms in an atom, up to the first that is none."""
    at = 0
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        if not 8 <= size <= len(content) - at:
            return
        yield content[at + 4 : at + 8], content[at : at + size]
        at += size


def _without_gapless(atom: bytes) -> bytes:
    """The same bytes, with iTunes' note on priming named `free`, which readers skip."""
    at = atom.find(_GAPLESS)
    head = atom.rfind(b"----", 0, at) if at >= 0 else -1
    return atom if head < 0 else atom[:head] + b"free" + atom[head + 4 :]
