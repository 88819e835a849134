"""Recordings with metadata made by hand, and independent parsers: the oracles of test_tags.py."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import soundfile as sf

Chunk = tuple[bytes, bytes]


def sound(path: Path, container: str, coding: str, *, size: int = 4801, rate: int = 48000) -> Path:
    """Tagless noise, mono, written by libsndfile."""
    noise = np.random.default_rng(size).uniform(-0.3, 0.3, size)
    sf.write(path, noise, rate, coding, format=container)
    return path


def samples(path: Path) -> np.ndarray:
    audio: np.ndarray = sf.read(path, dtype="float32")[0]
    return audio


# --- RIFF and AIFF --------------------------------------------------------------------------------------------------


def order(data: bytes) -> str:
    return ">" if data[:4] == b"FORM" else "<"


def read_chunks(data: bytes) -> list[Chunk]:
    found, at = [], 12
    while at < len(data):
        name, size = struct.unpack(order(data) + "4sI", data[at : at + 8])
        size = len(data[at + 8 :]) if size == 0xFFFFFFFF else size  # RF64: what is behind the sound is not needed
        found.append((name, data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    assert at == len(data), "the last chunk is padded"
    return found


def with_chunks(data: bytes, before: list[Chunk], behind: list[Chunk]) -> bytes:
    """A file with chunks around its sound; all else stays."""
    own = read_chunks(data)
    place = next(n for n, (name, _) in enumerate(own) if name in (b"data", b"SSND"))
    body = b"".join(
        struct.pack(order(data) + "4sI", name, len(content)) + content + b"\0" * (len(content) % 2)
        for name, content in [*own[:place], *before, own[place], *own[place + 1 :], *behind]
    )
    return data[:4] + struct.pack(order(data) + "I", len(body) + 4) + data[8:12] + body


# --- FLAC and Vorbis comments -----------------------------------------------------------------------------------------


def comment_block(comments: list[bytes], vendor: bytes = b"somebody else") -> bytes:
    parts = [struct.pack("<I", len(text)) + text for text in comments]
    return struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(comments)) + b"".join(parts)


def read_comments(block: bytes) -> tuple[bytes, list[bytes]]:
    (size,) = struct.unpack_from("<I", block)
    vendor, at = block[4 : 4 + size], 8 + size
    (count,) = struct.unpack_from("<I", block, at - 4)
    found = []
    for _ in range(count):
        (size,) = struct.unpack_from("<I", block, at)
        found.append(block[at + 4 : at + 4 + size])
        at += 4 + size
    return vendor, found


def picture(image: bytes) -> bytes:
    kind, text = b"image/png", b"front"
    return (
        struct.pack(">II", 3, len(kind)) + kind + struct.pack(">I", len(text)) + text
        + struct.pack(">5I", 1, 1, 24, 0, len(image)) + image
    )  # fmt: skip


def flac_blocks(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    assert data[:4] == b"fLaC"
    found, at, last = [], 4, 0
    while not last:
        last, size = data[at] & 0x80, int.from_bytes(data[at + 1 : at + 4], "big")
        found.append((data[at] & 0x7F, data[at + 4 : at + 4 + size]))
        at += 4 + size
    return found, data[at:]


def with_flac_blocks(data: bytes, blocks: list[tuple[int, bytes]]) -> bytes:
    own, frames = flac_blocks(data)
    kept = [own[0], *blocks]
    head = [
        bytes([kind | 0x80 * (n == len(kept) - 1)]) + len(body).to_bytes(3, "big") + body
        for n, (kind, body) in enumerate(kept)
    ]
    return b"fLaC" + b"".join(head) + frames


# --- Ogg ------------------------------------------------------------------------------------------------------------


def crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = ((value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(value)
    return table


_TABLE = crc_table()


def crc(page: bytes) -> int:
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ _TABLE[(value >> 24) ^ byte]
    return value


def ogg_packets(data: bytes) -> tuple[list[bytes], list[int]]:
    """All packets, and on which page each ends; every page's number and checksum are held against the rules."""
    packets, ends, part, at, number = [], [], b"", 0, 0
    while at < len(data):
        page = data[at : at + 27 + data[at + 26]]
        page = data[at : at + len(page) + sum(page[27:])]
        assert page[:4] == b"OggS"
        assert struct.unpack_from("<II", page, 18) == (number, crc(page[:22] + bytes(4) + page[26:]))
        assert bool(page[5] & 1) == bool(part), "a page says whether it goes on with a packet"
        place = 27 + page[26]
        for wide in page[27:place]:
            part += page[place : place + wide]
            place += wide
            if wide < 255:
                packets.append(part)
                ends.append(number)
                part = b""
        at, number = at + len(page), number + 1
    return packets, ends


def with_comment_packet(data: bytes, packet: bytes) -> bytes:
    """The second packet exchanged, alone on its pages; all pages behind numbered anew."""
    packets, ends = ogg_packets(data)
    heads = 2 if packets[0].startswith(b"OpusHead") else 3
    serial, out, at = data[14:18], [], 0
    for _ in range(ends[heads - 1] + 1):
        start, at = at, at + 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])
        if not start:
            out.append(data[:at])
    for content in [packet, *packets[2:heads]]:
        left, first = [255] * (len(content) // 255) + [len(content) % 255], True
        while left:
            table, left = left[:255], left[255:]
            body, content = content[: sum(table)], content[sum(table) :]
            granule = bytes(8) if table[-1] < 255 else b"\xff" * 8
            out.append(
                b"OggS\0" + bytes([not first]) + granule + serial + bytes([0] * 8 + [len(table)]) + bytes(table) + body
            )
            first = False
    while at < len(data):
        start, at = at, at + 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])
        out.append(data[start:at])
    return b"".join(_numbered(page, number) for number, page in enumerate(out))


def _numbered(page: bytes, number: int) -> bytes:
    page = page[:18] + struct.pack("<II", number, 0) + page[26:]
    return page[:22] + struct.pack("<I", crc(page)) + page[26:]


# --- ID3 ------------------------------------------------------------------------------------------------------------


def syncsafe(size: int) -> bytes:
    return bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])


def frame(name: bytes, content: bytes, version: int) -> bytes:
    if version == 2:
        return name + len(content).to_bytes(3, "big") + content
    return name + (syncsafe(len(content)) if version == 4 else struct.pack(">I", len(content))) + bytes(2) + content


def id3(frames: list[Chunk], version: int = 4, padding: int = 0) -> bytes:
    body = b"".join(frame(name, content, version) for name, content in frames) + bytes(padding)
    return b"ID3" + bytes([version, 0, 0]) + syncsafe(len(body)) + body


def read_id3(data: bytes) -> tuple[list[Chunk], int]:
    """The frames of a tag without flags, and the bytes it takes."""
    if data[:3] != b"ID3":
        return [], 0
    version, end, at = data[3], 10 + int("".join(f"{byte:07b}" for byte in data[6:10]), 2), 10
    found = []
    while at < end and data[at]:
        wide = 6 if version == 2 else 10
        name, field = (
            (data[at : at + 3], data[at + 3 : at + 6]) if version == 2 else (data[at : at + 4], data[at + 4 :])
        )
        size = (
            int("".join(f"{byte:07b}" for byte in field[:4]), 2)
            if version == 4
            else int.from_bytes(field[:3] if version == 2 else field[:4], "big")
        )
        found.append((name, data[at + wide : at + wide + size]))
        at += wide + size
    return found, end
