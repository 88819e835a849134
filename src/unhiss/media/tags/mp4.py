"""The tags of an MP4, copied as the atoms they are: FFmpeg knows a few dozen by name and drops the others. Its index.

An MP4 is a sequence of atoms: 4 bytes of size, 4 of name, then content, which may be atoms again. Tags, cover art and
ratings are in `moov/udta` (iTunes' in `meta/ilst` below it), a phone's location and time in `moov/meta`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unhiss.atomic import temp_path
from unhiss.media.file_range import FileRange, whole, write_pieces

_TAGS = (b"udta", b"meta")
_NESTED = (b"trak", b"mdia", b"minf", b"stbl")  # from the index down to the offsets of the audio
_SIZE_FOLLOWS = (1).to_bytes(4)  # instead of a size, which is then in 8 bytes after the name: more than 4 GB
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


def starts_fast(path: Path) -> bool:
    """Whether an MP4's index is before its audio, so that a player can start before it has the whole file."""
    with path.open("rb") as file:
        names = (name for name, _ in top_atoms(whole(file)))
        return next((name == b"moov" for name in names if name in (b"moov", b"mdat")), False)


def put_index_first(path: Path) -> None:
    """Move the index of an MP4, which is its last atom, behind its first, `ftyp`; nothing if the file is damaged."""
    index = _read_index(path)
    if index is None or index[0] + 8 + len(index[1]) != path.stat().st_size:
        return
    wide = path.stat().st_size + 8 + 2 * len(index[1]) >= 1 << 32  # then offsets have 64 bits
    size = 8 + len(_shifted(index[1], 0, wide))
    moved = size.to_bytes(4) + b"moov" + _shifted(index[1], size, wide)
    temporary = temp_path(path)
    try:
        with path.open("rb") as file, temporary.open("wb") as out:
            data = whole(file)
            name, first = next(top_atoms(data))
            if name != b"ftyp":
                return
            write_pieces([first, moved, data[len(first) : index[0]]], out)
        shutil.copymode(path, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _shifted(content: bytes, shift: int, wide: bool) -> bytes:
    """The atoms of an index with all offsets into the file moved on. wide: as numbers of 64 bits."""
    done = []
    for name, atom in _atoms(content):
        if name in _NESTED:
            body = _shifted(atom[8:], shift, wide)
            done.append((8 + len(body)).to_bytes(4) + name + body)
        elif name in (b"stco", b"co64"):  # flags, the number of offsets, and they
            offsets = np.frombuffer(atom[16:], ">u4" if name == b"stco" else ">u8").astype(np.uint64) + np.uint64(shift)
            name, kind = (b"co64", ">u8") if wide or name == b"co64" else (b"stco", ">u4")
            body = atom[8:16] + offsets.astype(kind).tobytes()
            done.append((8 + len(body)).to_bytes(4) + name + body)
        else:
            done.append(atom)
    return b"".join(done)


def index(file: FileRange) -> bytes:
    """The content of `moov`; b"" if it is missing, or larger than any that is sensible."""
    atom = next((atom for name, atom in top_atoms(file) if name == b"moov"), file[:0])
    return bytes(atom[8:]) if len(atom) <= _MAX_INDEX else b""


def _read_index(path: Path) -> tuple[int, bytes] | None:
    """The offset of `moov` and its content; None if it is missing or damaged."""
    with path.open("rb") as file:
        for name, atom in top_atoms(whole(file)):
            if name == b"moov":
                head = 16 if bytes(atom[:4]) == _SIZE_FOLLOWS else 8
                content = bytes(atom[head:]) if len(atom) <= _MAX_INDEX else b""
                complete = head == 8 and sum(len(inner) for _, inner in _atoms(content)) == len(content) > 0
                return (atom.start, content) if complete else None
    return None


def top_atoms(rest: FileRange) -> Iterator[tuple[bytes, FileRange]]:
    """(name, all bytes) of the atoms of a file, up to the first damaged one."""
    while len(rest) >= 8:
        head = bytes(rest[:16])
        size = int.from_bytes(head[:4])
        size = int.from_bytes(head[8:16]) if head[:4] == _SIZE_FOLLOWS else size or len(rest)
        if not 8 <= size <= len(rest):
            return
        yield head[4:8], rest[:size]
        rest = rest[size:]


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
