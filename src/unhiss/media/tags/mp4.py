"""The tags of an MP4, copied as the atoms they are: FFmpeg knows a few dozen by name and drops the others.

An MP4 is a sequence of atoms: 4 bytes of size, 4 of name, then content, which may be atoms again. Tags, cover art and
ratings are in `moov/udta` (iTunes' in `meta/ilst` below it), a phone's location and time in `moov/meta`.
"""

from collections.abc import Iterator
from pathlib import Path

from unhiss.media.file_range import whole

_TAGS = (b"udta", b"meta")
_MAX_INDEX = 1 << 28  # bytes of an index read into memory; that of 10 h has about 20 MB
_GAPLESS = b"iTunSMPB"  # iTunes' note on priming, which is true of the old audio only


def copy_tags(source: Path, target: Path) -> None:
    """Give the MP4 `target`, whose index is its last atom, the tags of the MP4 `source`; nothing if one is damaged."""
    original, written = _read_index(source), _read_index(target)
    if original is None or written is None or written[0] + 8 + len(written[1]) != target.stat().st_size:
        return  # audio after the index would move
    tags = b"".join(_without_gapless(atom) for name, atom in _atoms(original[1]) if name in _TAGS)
    kept = b"".join(atom for name, atom in _atoms(written[1]) if name not in _TAGS)
    if len(kept) + len(tags) > _MAX_INDEX:
        return
    with target.open("r+b") as file:
        file.seek(written[0])
        file.write((8 + len(kept) + len(tags)).to_bytes(4, "big") + b"moov" + kept + tags)
        file.truncate()


def _read_index(path: Path) -> tuple[int, bytes] | None:
    """The offset of `moov` and its content; None if it is missing or damaged."""
    with path.open("rb") as file:
        rest = whole(file)
        while len(rest) >= 8:
            head = bytes(rest[:16])
            size = int.from_bytes(head[:4])
            size = int.from_bytes(head[8:16]) if size == 1 else size or len(rest)  # 1: more than 4 GB
            if size < 8:
                return None
            if head[4:8] == b"moov":
                content = bytes(rest[8:size]) if size <= _MAX_INDEX else b""
                complete = len(content) == size - 8 and sum(len(atom) for _, atom in _atoms(content)) == len(content)
                return (rest.start, content) if complete else None
            rest = rest[size:]
    return None


def _atoms(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, all bytes) of the atoms in an atom, up to the first damaged one."""
    at = 0
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4])
        if not 8 <= size <= len(content) - at:
            return
        yield content[at + 4 : at + 8], content[at : at + size]
        at += size


def _without_gapless(atom: bytes) -> bytes:
    """The same bytes, with iTunes' note on priming renamed to `free`, which readers skip."""
    at = atom.find(_GAPLESS)
    head = atom.rfind(b"----", 0, at) if at >= 0 else -1
    return atom if head < 0 else atom[:head] + b"free" + atom[head + 4 :]
