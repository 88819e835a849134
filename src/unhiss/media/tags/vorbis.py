"""Vorbis comments, which FLAC, Ogg Vorbis and Opus carry, and FLAC's blocks of metadata around them.

Sources: xiph.org/vorbis/doc/v-comment.html; RFC 9639 (FLAC), section 8.
"""

from collections.abc import Sequence

from unhiss.media.file_range import FileRange, Piece
from unhiss.media.tags.id3 import is_stale, tag_size

_STREAMINFO, _PADDING, _SEEKTABLE, _COMMENT, _CUESHEET, _INVALID = 0, 1, 3, 4, 5, 127
_LAST = 0x80
_MAX_COMMENTS = 100_000  # a block with more is damaged
_ENCODERS = ("encoder", "encoder_options")  # name the encoder of the old file


def merge_comments(written: bytes, source: bytes) -> bytes:
    """The body of a comment block: the vendor string of the written one, the comments of the source.

    A comment that ends beyond the block is damaged, and is left out with all that follow it.
    """
    names = [(comment.partition(b"=")[0].decode("latin-1").lower(), comment) for comment in read_comments(source)]
    kept = [comment for name, comment in names if not is_stale(name) and name not in _ENCODERS]
    return _comment_block(written, kept)


def _comment_block(written: bytes, comments: list[bytes]) -> bytes:
    """A block with the vendor string of the written one."""
    size = 4 + int.from_bytes(written[:4], "little")
    body = b"".join(len(comment).to_bytes(4, "little") + comment for comment in comments)
    return written[:size] + len(comments).to_bytes(4, "little") + body


def read_comments(block: bytes) -> list[bytes]:
    """The `NAME=value` of a comment block, up to the first that is damaged.

    >>> read_comments(bytes.fromhex("00000000 01000000 03000000 613d62"))
    [b'a=b']
    """
    at = 4 + int.from_bytes(block[:4], "little")
    count = int.from_bytes(block[at : at + 4], "little")
    at += 4
    comments: list[bytes] = []
    while len(comments) < min(count, _MAX_COMMENTS) and at + 4 <= len(block):
        end = at + 4 + int.from_bytes(block[at : at + 4], "little")
        if end > len(block):
            break
        comments.append(block[at + 4 : end])
        at = end
    return comments


def _flac_blocks(file: FileRange) -> tuple[list[tuple[int, FileRange]], FileRange]:
    """The kinds and bodies of a FLAC file's blocks, up to the first damaged one, and the audio behind them."""
    blocks: list[tuple[int, FileRange]] = []
    file = file[tag_size(file) :]
    if bytes(file[:4]) != b"fLaC":
        return blocks, file
    file, last = file[4:], 0
    while not last:
        head = bytes(file[:4])
        end = 4 + int.from_bytes(head[1:])
        if len(head) < 4 or head[0] & ~_LAST == _INVALID or end > len(file):
            break
        blocks.append((head[0] & ~_LAST, file[4:end]))
        file, last = file[end:], head[0] & _LAST
    return blocks, file


def flac_comments(file: FileRange) -> list[bytes]:
    """The `NAME=value` of a FLAC file."""
    return next((read_comments(bytes(body)) for kind, body in _flac_blocks(file)[0] if kind == _COMMENT), [])


def flac_with_comment(file: FileRange, name: bytes, value: bytes) -> list[Piece]:
    """A FLAC file with one comment more, in place of one of the same name; nothing if the file is damaged."""
    blocks, audio = _flac_blocks(file)
    block = next((bytes(body) for kind, body in blocks if kind == _COMMENT), bytes(8))
    if not blocks or blocks[0][0] != _STREAMINFO:
        return []
    comments = [old for old in read_comments(block) if old.partition(b"=")[0].upper() != name]
    changed = (_COMMENT, _comment_block(block, [*comments, name + b"=" + value]))
    return _flac_file([blocks[0], changed, *[entry for entry in blocks[1:] if entry[0] != _COMMENT]], audio)


def flac_with_metadata(source: FileRange, written: FileRange, in_place: bool) -> list[Piece]:
    """A FLAC file: stream info and audio of `written`, the metadata of `source`; nothing if `written` is damaged.

    in_place: sample n of one is sample n of the other, so that a cue sheet stays true.
    """
    own, audio = _flac_blocks(written)
    if not own or own[0][0] != _STREAMINFO:
        return []
    vendor = next((bytes(body) for kind, body in own if kind == _COMMENT), bytes(8))
    kept: list[tuple[int, Piece]] = [own[0]]
    for kind, block in _flac_blocks(source)[0]:
        if kind == _COMMENT:
            kept.append((kind, merge_comments(vendor, bytes(block))))
        elif kind not in (_STREAMINFO, _PADDING, _SEEKTABLE) and (in_place or kind != _CUESHEET):
            kept.append((kind, block))
    if _COMMENT not in (kind for kind, _ in kept):
        kept.insert(1, (_COMMENT, vendor))
    return _flac_file(kept, audio)


def _flac_file(blocks: Sequence[tuple[int, Piece]], audio: FileRange) -> list[Piece]:
    pieces: list[Piece] = [b"fLaC"]
    for number, (kind, body) in enumerate(blocks, 1):
        pieces += [bytes([kind | _LAST * (number == len(blocks))]) + len(body).to_bytes(3), body]
    return [*pieces, audio]
