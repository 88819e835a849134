"""Recordings that lie about themselves: kind x format x position, with what a full decode of each gives.

Made from whole files of soundfile and PyAV by changing bytes, so that the right samples are known without the code
under test: lossless ones from the array that was written, lossy ones from PyAV's decode of the whole file.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
import soundfile as sf

RATE = 16000
SIZE = 24_000  # samples: 1.5 s
CHUNKED = {
    "wav": ("WAV", "PCM_16"), "wav24": ("WAV", "PCM_24"), "wavex": ("WAVEX", "FLOAT"), "ulaw": ("WAV", "ULAW"),
    "rf64": ("RF64", "PCM_16"), "w64": ("W64", "PCM_16"), "aiff": ("AIFF", "PCM_16"), "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
}  # fmt: skip
BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4, "ULAW": 1}
FRAME = {"mp3": 1152, "ogg": 2048, "opus": 960, "flac": 4096}  # samples of a codec's frame, at most, at RATE

SIZES_OF_A_PIPE = {"w64": (1 << 63) - 1, "aiff": 0x7F000008, "caf": -1, "au": 0xFFFFFFFF}
CHUNK = {  # an unknown one, of 8 bytes
    "wav": b"abcd" + struct.pack("<I", 8) + bytes(8), "aiff": b"abcd" + struct.pack(">I", 8) + bytes(8),
    "caf": b"abcd" + struct.pack(">q", 8) + bytes(8),
    "w64": b"abcd" + bytes.fromhex("f3acd3118cd100c04f8edb8a") + struct.pack("<Q", 32) + bytes(8),
}  # fmt: skip
BEHIND = {"ID3v1": b"TAG" + bytes(125), "zeros": bytes(700), "text": b"a note of the player"}  # the last frame
ID3V2 = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)


@dataclass(frozen=True)
class Liar:
    """A file, its name, the samples that a full decode gives, and how many fewer or more may be read.

    said: whether a warning must come. exact: the samples are those of `right`. media: PyAV is needed.
    """

    name: str
    suffix: str
    data: bytes
    right: int
    slack: int = 0
    said: bool = True
    exact: np.ndarray | None = None
    media: bool = False


class _Pipe:
    """A file that can only be written."""

    def __init__(self, file: io.BytesIO) -> None:
        self.write = file.write


def speech() -> np.ndarray:
    """A chirp whose loudness moves: no part of it looks like another. float32 `(T,)` on the grid of 8 bits."""
    time_s = np.arange(SIZE) / RATE
    wave = np.sin(2 * np.pi * (150 + 800 * time_s) * time_s) * (0.5 + 0.3 * np.sin(9 * time_s))
    return np.asarray(np.rint(wave * 100) / 128, np.float32)


@cache
def whole(kind: str) -> bytes:
    """A whole file as soundfile writes it."""
    form, coding = CHUNKED.get(kind) or {
        "mp3": ("MP3", "MPEG_LAYER_III"), "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "flac": ("FLAC", "PCM_16"),
    }[kind]  # fmt: skip
    out = io.BytesIO()
    sf.write(out, speech(), RATE, coding, format=form)
    return out.getvalue()


@cache
def by_pyav(
    form: str, encoder: str, rate: int = RATE, bit_rate: int = 64000, xing: bool = True, pipe: bool = False
) -> bytes:
    """A whole file as FFmpeg writes it. xing: whether an MP3 starts with a count of its frames. pipe: no seeking."""
    options = {} if xing else {"write_xing": "0"}
    out = io.BytesIO()
    with av.open(_Pipe(out) if pipe else out, "w", format=form, container_options=options) as container:
        stream: Any = container.add_stream(encoder, rate=rate, layout="mono", bit_rate=bit_rate)
        for at in range(0, SIZE, 1000):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(speech()[None, at : at + 1000]), "fltp", "mono")
            frame.rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


@cache
def decoded(data: bytes) -> int:
    """Samples that a full decode by FFmpeg gives, at its rate, without packets that it cannot decode; -1: refused."""
    total = 0
    try:
        with av.open(io.BytesIO(data), "r") as container:
            for packet in container.demux(container.streams.audio[0]):
                with suppress(av.FFmpegError):
                    total += sum(frame.samples for frame in packet.decode())
    except av.FFmpegError:
        return total or -1
    return total


def data_at(kind: str, data: bytes) -> tuple[int, int, str]:
    """(offset of the size field of the audio, offset of the audio, format of the field)."""
    if kind == "au":
        return 8, int.from_bytes(data[4:8], "big"), ">I"
    if kind == "aiff":
        at = data.index(b"SSND")
        return at + 4, at + 16, ">I"
    at = data.index(b"data")
    if kind == "caf":
        return at + 4, at + 16, ">q"
    if kind == "w64":
        return at + 16, at + 24, "<Q"
    if kind == "rf64":
        return data.index(b"ds64") + 16, at + 8, "<Q"
    return at + 4, at + 8, "<I"


def chunked() -> Iterator[Liar]:
    """(a) and (c): sizes that are zero, too large, too small; cut off; padding, tags and half a chunk behind."""
    for kind, (_, coding) in CHUNKED.items():
        data, width, suffix = (
            whole(kind),
            BYTES[coding],
            {"wav24": "wav", "wavex": "wav", "ulaw": "wav"}.get(kind, kind),
        )
        field, start, form = data_at(kind, data)
        size, extra = SIZE * width, {"aiff": 8, "caf": 4, "w64": 24}.get(kind, 0)  # that the field counts too
        body = data[start : start + size]
        right, _ = sf.read(io.BytesIO(data), dtype="float32")

        def stating(value: int) -> bytes:
            return data[:field] + struct.pack(form, value) + data[field + struct.calcsize(form) : start]  # noqa: B023

        def liar(name: str, data: bytes, samples: int = SIZE, said: bool = True) -> Liar:
            return Liar(f"{kind} {name}", suffix, data, samples, said=said, exact=right[:samples])  # noqa: B023

        yield liar("size zero", stating(0) + body)
        yield liar("size zero but its own overhead", stating(extra) + body)
        for more in (16, size, 3 * size):
            yield liar(f"{more} bytes too many", stating(size + extra + more) + body)
        for less in (2 * width, 2000 * width, size // 2 // width * width, size - width):
            yield liar(f"{less} bytes too few", stating(size + extra - less) + body)
        for part in (0.1, 0.5, 0.97):
            samples = int(SIZE * part)
            yield liar(f"cut off at {part}", data[: start + samples * width], samples)
        yield liar("half a sample behind", stating(size + extra + 4096) + body + b"\1" * (width - 1))
        twice = Liar(f"{kind} twice", suffix, data * 2, 2 * SIZE, exact=np.concatenate([right, right]))
        yield twice
        if kind in SIZES_OF_A_PIPE:
            yield liar("sizes of a pipe", stating(SIZES_OF_A_PIPE[kind]) + body, said=False)
        if kind in CHUNK:
            yield liar("chunk behind", data + CHUNK[kind], said=False)
        if kind != "au":
            yield liar("zeros behind", data + bytes(512), said=False)
            yield liar("ID3v1 behind", data + b"TAG" + bytes(125), said=False)


def riff() -> Iterator[Liar]:
    """(a) and (c) of WAV alone: chunks padded in other ways, and sizes of the whole file."""
    data, right = whole("wav"), speech()
    fmt, body = data[12 : data.index(b"data")], data[data.index(b"data") :]
    note = b"INFOISFT" + struct.pack("<I", 9) + b"Recorder\0\0"
    odd = note[:-1]

    def listed(text: bytes, padding: int) -> bytes:
        return b"LIST" + struct.pack("<I", len(text)) + text + bytes(padding)

    def file(*chunks: bytes, size: int | None = None) -> bytes:
        inside = b"WAVE" + b"".join(chunks)
        return b"RIFF" + struct.pack("<I", len(inside) if size is None else size) + inside

    files = {
        "list padded to four": (file(fmt, listed(note, 2), body), False),
        "list padded to four twice": (file(fmt, listed(note, 2), listed(note, 2), body), False),
        "list without padding": (file(fmt, listed(odd, 0), body), False),
        "list before the format": (file(listed(odd, 0), fmt, body), False),
        "list too large": (file(fmt, b"LIST" + struct.pack("<I", 1 << 30) + note, body), False),
        "riff size zero": (file(fmt, body, size=0), False),
        "riff size too large": (file(fmt, body, size=1 << 30), False),
        "riff size too small": (file(fmt, body, size=36), False),
        "list behind cut off": (file(fmt, body, listed(note * 30, 0)[:70]), False),
        "list behind without padding": (file(fmt, body, listed(odd, 0)), False),
        "sizes of a pipe": (file(fmt, b"data\xff\xff\xff\xff", body[8:], size=0xFFFFFFFF), False),
        "junk behind": (file(fmt, body) + b"\x9a" * 3 + b"junk of an editor", True),
    }
    for name, (content, said) in files.items():
        slack = 10 if name == "junk behind" else 0
        yield Liar(f"wav {name}", "wav", content, SIZE, slack, said, right)
    twice = np.concatenate([right, right])
    yield Liar("wav twice with size zero", "wav", data + data.replace(body[:8], b"data\0\0\0\0"), 2 * SIZE, exact=twice)
