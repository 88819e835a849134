"""Layouts in the headers of files that libsndfile reads and writes, which cannot do it from Python.

WAV, RF64 and W64 have a mask in their `fmt ` chunk, FLAC in a comment, CAF and AIFF a layout in a `chan` or `CHAN`
chunk. Sources: WAVEFORMATEXTENSIBLE (Microsoft); RFC 9639, 8.6.2 (FLAC); Core Audio Format Specification, `chan`.
"""

import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import soundfile as sf

from unhiss.atomic import temp_path
from unhiss.media import layouts
from unhiss.media.file_range import FileRange, Piece, whole, write_pieces
from unhiss.media.tags import mp4, ogg, riff, vorbis

_MASKED = ("WAVEX", "RF64", "W64", "FLAC", "CAF", "AIFF")
_SPEAKERS = {
    "L": "FL", "R": "FR", "C": "FC", "LFE": "LFE", "Ls": "SL", "Rs": "SR", "Lc": "FLC", "Rc": "FRC", "Cs": "BC",
    "Lb": "BL", "Rb": "BR",
}  # fmt: skip
# Core Audio's tags of layouts, without the number of channels in their low half.
_TAGS = {
    100: "C", 101: "L R", 108: "L R Ls Rs", 109: "L R Ls Rs C", 110: "L R Ls Rs C Cs", 113: "L R C", 114: "C L R",
    115: "L R C Cs", 116: "C L R Cs", 117: "L R C Ls Rs", 118: "L R Ls Rs C", 119: "L C R Ls Rs", 120: "C L R Ls Rs",
    121: "L R C LFE Ls Rs", 122: "L R Ls Rs C LFE", 123: "L C R Ls Rs LFE", 124: "C L R Ls Rs LFE",
    125: "L R C LFE Ls Rs Cs", 126: "L R C LFE Ls Rs Lc Rc", 127: "C Lc Rc L R Ls Rs LFE", 128: "L R C LFE Ls Rs Lb Rb",
    131: "L R Cs", 132: "L R Ls Rs", 133: "L R LFE", 134: "L R LFE Cs", 135: "L R LFE Ls Rs", 136: "L R C LFE",
    137: "L R C LFE Cs", 138: "L R Ls Rs LFE", 139: "L R Ls Rs C Cs", 140: "L R Ls Rs C Lb Rb", 141: "C L R Ls Rs Cs",
    142: "C L R Ls Rs Cs LFE", 143: "C L R Ls Rs Lb Rb", 144: "C L R Ls Rs Lb Rb Cs",
}  # fmt: skip
_PCM = (b"lpcm", b"sowt", b"twos", b"in24", b"in32", b"fl32", b"fl64", b"raw ", b"NONE", b"ulaw", b"alaw")
_FIRST_TAG, _LAST_TAG = 100, 146  # of layouts; the next is for channels in any order
_BITMAP, _DESCRIPTIONS = 1, 0  # tags: a mask follows, or a label for each channel
_BEHIND = {5: "SL", 6: "SR", 33: "BL", 34: "BR"}  # labels where one pair is at the side and one at the back
_NOTED_MASK = re.compile(r"(?m)^ +Channel Mask +: 0x([0-9A-F]+)")  # in libsndfile's notes on a header
_COMMENT = b"WAVEFORMATEXTENSIBLE_CHANNEL_MASK"
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # of a format of WAVEFORMATEXTENSIBLE, after its number
_MASK_AT = 20  # in a `fmt ` chunk
_CAF_DESC_END = 8 + 12 + 32
_W64_FMT_END = 16 + 8 + 16 + 16 + 8 + 16  # of the 16 bytes that libsndfile writes
_MAX_CHUNK = 1 << 16  # bytes of a chunk with a layout


def holds_mask(container: str, subtype: str) -> bool:
    """Whether a header can state any layout, by libsndfile's names; ALAC has its own order for each number."""
    return container in _MASKED and not subtype.startswith("ALAC")


def read(data: FileRange, file: sf.SoundFile) -> tuple[str, tuple[int, ...]]:
    """A file's layout, and for each of its channels, in the order of POSITIONS, its index in the stream."""
    channels = file.channels
    stated = _positions(data, file)
    if isinstance(stated, str):
        return stated, tuple(range(channels))
    if len(stated) != channels:
        stated = layouts.implied(file.format, file.subtype, channels)
    return layouts.from_positions(stated) if stated else ("", tuple(range(channels)))


def _positions(data: FileRange, file: sf.SoundFile) -> str | tuple[str, ...]:
    """The layout that a header states, or the positions of the stream's channels; () if it has neither."""
    container, channels, mask = file.format, file.channels, None
    if container == "OGG":
        return () if channels <= 2 or _has_vorbis_order(data) else f"{channels} channels"
    if not holds_mask(container, file.subtype):
        return ()
    if container in ("WAVEX", "RF64", "W64") and (found := _NOTED_MASK.search(file.extra_info)):
        mask = int(found[1], 16)
    elif container == "FLAC":
        mask = _flac_mask(data)
    elif container in ("CAF", "AIFF"):
        chunks = _caf_chunks(data) if container == "CAF" else riff.chunks(data)
        body = next((body for name, body in chunks if name.lower() == b"chan"), None)
        return () if body is None else _core_audio_positions(bytes(body[:_MAX_CHUNK]))
    return () if mask is None else layouts.from_mask(mask, channels)


def _has_vorbis_order(data: FileRange) -> bool:
    """Whether an Ogg file's channels are for speakers, as all of Vorbis are and Opus's of mapping families 0 and 1."""
    head = next(iter(ogg.header_packets(data)[0]), b"")
    return not head.startswith(b"OpusHead") or head[18] <= 1


def _flac_mask(data: FileRange) -> int | None:
    for comment in vorbis.flac_comments(data):
        name, _, value = comment.partition(b"=")
        if name.upper() == _COMMENT and re.fullmatch(rb"0[xX][0-9a-fA-F]{1,8}", value.strip()):
            return int(value, 16)
    return None


def _caf_chunks(data: FileRange) -> Iterator[tuple[bytes, FileRange]]:
    at = 8
    while len(head := bytes(data[at : at + 12])) == 12:
        size = int.from_bytes(head[4:], signed=True)
        if size < 0:  # the sound, up to the end
            return
        yield head[:4], data[at + 12 : at + 12 + size]
        at += 12 + size


def _core_audio_positions(body: bytes) -> tuple[str, ...]:
    """The positions that an AudioChannelLayout gives to the channels of a stream; () if it is of another kind."""
    if len(body) < 12:
        return ()
    tag, bitmap, count = struct.unpack(">III", body[:12])
    if tag == _BITMAP << 16:
        return layouts.positions(layouts.from_mask(bitmap, bitmap.bit_count()))
    if tag == _DESCRIPTIONS and len(body) >= 12 + 20 * count:
        labels = [int.from_bytes(body[12 + 20 * index : 16 + 20 * index]) for index in range(count)]
        names = dict(enumerate(layouts.POSITIONS, 1))  # a label is one more than the bit of a mask
        names |= _BEHIND if {*_BEHIND} & {*labels} - {*names} else {}
        return tuple(names.get(label, layouts.UNASSIGNED) for label in labels)
    return tuple(_SPEAKERS[name] for name in _TAGS.get(tag >> 16, "").split())


def crashes_ffmpeg(data: FileRange) -> bool:
    """Whether a CAF, AIFF or QuickTime file of PCM names an order of channels on which FFmpeg 8 corrupts its memory.

    That is a tag for another order than that of WAV: reading it, FFmpeg writes beyond its list of channels.
    """
    head = bytes(data[:32])
    if head[:4] == b"caff" and head[28:] in _PCM:
        bodies = [bytes(body[:4]) for name, body in _caf_chunks(data) if name == b"chan"]
    elif riff.form(head) == b"FORM":
        bodies = [bytes(body[:4]) for name, body in riff.chunks(data) if name == b"CHAN"]
    elif head[4:10] == b"ftypqt" or head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        bodies = []
        for entry in mp4.index(data).split(b"stsd")[1:]:  # the coding follows at 12, somewhere after it the layout
            coding, (_, *layout) = entry[12:16], entry.split(b"chan", 1)
            bodies += [layout[0][4:8]] if layout and coding in _PCM else []
    else:
        return False
    return any(_has_own_order(int.from_bytes(body) >> 16) for body in bodies)


def _has_own_order(tag: int) -> bool:
    names = [_SPEAKERS[name] for name in _TAGS.get(tag, "").split()]
    known = bool(names) and layouts.from_positions(names)[1] == tuple(range(len(names)))
    return _FIRST_TAG <= tag <= _LAST_TAG and not known


def write(path: Path, container: str, subtype: str, layout: str, channels: int) -> None:
    """State a layout in the header of a file that libsndfile wrote; nothing where the header has no place for it.

    What libsndfile guesses of unknown positions is taken out.
    """
    if not holds_mask(container, subtype):
        return
    mask = layouts.mask_of(layout)
    temporary = temp_path(path)
    try:
        with path.open("r+b") as file:
            data = whole(file)
            if container in ("WAVEX", "RF64"):
                file.seek(bytes(data[:_MAX_CHUNK]).index(b"fmt ") + 8 + _MASK_AT)
                file.write(struct.pack("<I", mask))
                return
            pieces = _restated(data, container, mask, mask.bit_count() == channels)
            if not pieces:
                return
            with temporary.open("wb") as out:
                write_pieces(pieces, out)
        shutil.copymode(path, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _restated(data: FileRange, container: str, mask: int, complete: bool) -> list[Piece]:
    """A file with a mask in its header; nothing if it stays as it is. complete: the mask has a bit for each channel."""
    if container == "FLAC" and _flac_mask(data) == mask:
        return []
    if container == "FLAC":
        return vorbis.flac_with_comment(data, _COMMENT, f"0x{mask:X}".encode())
    if container == "W64":
        return _w64_with_mask(data, mask)
    if not complete:
        return []
    body = struct.pack(">III", _BITMAP << 16, mask, 0)
    if container == "CAF":  # after the file's header and its first chunk, `desc`
        return [data[:_CAF_DESC_END], b"chan" + struct.pack(">q", len(body)), body, data[_CAF_DESC_END:]]
    chunk = b"CHAN" + struct.pack(">I", len(body)) + body
    return [b"FORM" + struct.pack(">I", len(data) - 8 + len(chunk)), data[8:12], chunk, data[12:]]


def extensible(form: bytes, mask: int) -> bytes:
    """A WAVEFORMATEXTENSIBLE made from the 16 bytes of a `fmt ` chunk of PCM or floats."""
    tag, bits = struct.unpack("<H12xH", form)
    return b"\xfe\xff" + form[2:] + struct.pack("<HHIH", 22, bits, mask, tag) + _GUID_TAIL


def _w64_with_mask(data: FileRange, mask: int) -> list[Piece]:
    """A W64 of PCM or floats whose `fmt ` chunk is a WAVEFORMATEXTENSIBLE."""
    head = bytes(data[:_W64_FMT_END])
    form = head[64:]
    tag = int.from_bytes(form[:2], "little")
    if head[40:44] != b"fmt " or struct.unpack("<Q", head[56:64])[0] != 24 + len(form) or tag not in (1, 3) or not mask:
        return []
    extended = extensible(form, mask)
    added = len(extended) - len(form)
    sizes = [struct.pack("<Q", value) for value in (len(data) + added, 24 + len(extended))]
    return [head[:16], sizes[0], head[24:56], sizes[1], extended, data[_W64_FMT_END:]]
