"""Compressed recordings that lie about themselves, and those that are not what their names say."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import av
import numpy as np
import soundfile as sf
from lying_files import BEHIND, FRAME, ID3V2, RATE, SIZE, Liar, by_pyav, chunked, decoded, riff, speech, whole


def flac() -> Iterator[Liar]:
    """(a), (b) and (c) of FLAC."""
    data, right = whole("flac"), speech()
    packed = int.from_bytes(data[18:26], "big")

    def stating(samples: int) -> bytes:
        return data[:18] + (packed >> 36 << 36 | samples).to_bytes(8, "big") + data[26:]

    yield Liar("flac from a pipe", "flac", stating(0), SIZE, said=False, exact=right)
    for samples in (1, SIZE // 2, SIZE - 1, SIZE + 1, 10 * SIZE):
        yield Liar(f"flac stating {samples}", "flac", stating(samples), SIZE, exact=right)
    for part in (0.2, 0.5, 0.9, 0.999):
        cut = data[: int(part * len(data))]
        yield Liar(f"flac cut off at {part}", "flac", cut, decoded(cut), FRAME["flac"])
        cut = stating(0)[: int(part * len(data))]
        yield Liar(f"flac from a pipe cut off at {part}", "flac", cut, decoded(cut), FRAME["flac"])
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0) + bytes(8)
    for name, tag in {
        "ID3v1": b"TAG" + bytes(125),
        "zeros": bytes(700),
        "APE": ape,
        "text": b"a note of the player",
    }.items():
        yield Liar(f"flac with {name} behind", "flac", data + tag, SIZE, said=False, exact=right)
        known = name != "text"  # anything else behind a stream without a length may be the rest of a frame
        slack, exact = (0, right) if known else (FRAME["flac"], None)
        yield Liar(f"flac from a pipe with {name} behind", "flac", stating(0) + tag, SIZE, slack, not known, exact)
    yield Liar(
        "flac with ID3v2 in front", "flac", b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + data, SIZE, said=False, exact=right
    )
    yield Liar("flac twice", "flac", data + data, 2 * SIZE, exact=np.concatenate([right, right]))
    yield Liar(
        "flac twice from a pipe", "flac", stating(0) + stating(0), 2 * SIZE, exact=np.concatenate([right, right])
    )


def ogg() -> Iterator[Liar]:
    """(b) and (c) of Vorbis and Opus, and of Speex and FLAC in Ogg."""
    for kind in ("ogg", "opus"):
        data = whole(kind)
        last = data.rindex(b"OggS")
        for count in (2, 3):
            yield Liar(f"{kind} {count} times", kind, data * count, count * SIZE, count * FRAME[kind], said=False)
        unmarked = reflagged(data, last, 0)
        yield Liar(f"{kind} without an end", kind, unmarked, SIZE, FRAME[kind])
        yield Liar(f"{kind} without an end in the middle", kind, unmarked + data, 2 * SIZE, 2 * FRAME[kind])
        for part in (0.5, 0.7, 0.99):
            cut = data[: max(int(part * len(data)), 4700)]
            scale = RATE / 48000 if kind == "opus" else 1
            yield Liar(f"{kind} cut off at {part}", kind, cut, int(decoded(cut) * scale), FRAME[kind])
        yield Liar(f"{kind} cut off in the second", kind, data + data[:-300], int(1.5 * SIZE), SIZE // 2 + 2048)
        for name, tag in BEHIND.items():
            yield Liar(f"{kind} with {name} behind", kind, data + tag, SIZE, FRAME[kind], said=False)


def broken_ogg() -> Iterator[Liar]:
    """(b) and (c) of Ogg pages: lost, damaged, with something between them, and from where someone tuned in."""
    for kind, coding, rate in (("ogg", "VORBIS", RATE), ("opus", "OPUS", 48000)):
        out = io.BytesIO()
        with sf.SoundFile(out, "w", RATE, 1, coding, format="OGG") as file:
            for _ in range(3):
                file.write(speech())
        data, size = out.getvalue(), 3 * SIZE
        starts = [at for at in range(len(data)) if data.startswith(b"OggS", at)] + [len(data)]
        pages = [data[start:stop] for start, stop in pairwise(starts)]
        middle, headers = len(pages) // 2, 2
        page = pages[middle]
        for name, instead in {
            "lost": b"",
            "zeroed": bytes(len(page)),
            "damaged": page[:200] + b"#" + page[201:],
        }.items():
            hole = b"".join([*pages[:middle], instead, *pages[middle + 1 :]])
            right = decoded(b"".join([*pages[:middle], *pages[middle + 1 :]])) * RATE // rate
            yield Liar(f"{kind} with a page {name}", kind, hole, right, 2 * FRAME[kind])
        for name, junk in {"zeros": bytes(500), "junk": b"abcde" * 100}.items():
            yield Liar(
                f"{kind} with {name} between",
                kind,
                whole(kind) + junk + whole(kind),
                2 * SIZE,
                2 * FRAME[kind],
                said=False,
            )
            within = b"".join([*pages[:middle], junk, *pages[middle:]])
            yield Liar(f"{kind} with {name} within", kind, within, size, FRAME[kind], said=False)
        headless = data + b"".join(pages[headers:])  # a second stream without its first pages
        yield Liar(f"{kind} with pages behind its end", kind, headless, size, size)
        late = b"".join([*pages[:headers], *pages[middle:]])
        yield Liar(f"{kind} tuned in late", kind, late, decoded(late) * RATE // rate, 2 * FRAME[kind], said=False)
        yield Liar(f"{kind} with ID3v2 in front", kind, ID3V2 + data, size, FRAME[kind], said=False)


def reflagged(data: bytes, at: int, flags: int) -> bytes:
    """An Ogg file whose page at an offset has other flags."""
    page = bytearray(data[at:])
    page[5] = flags
    return data[:at] + checked(page)


def checked(page: bytearray) -> bytes:
    """An Ogg page with its checksum."""
    page[22:26] = bytes(4)
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = value << 1 ^ (0x04C11DB7 if value >> 31 else 0)
            value &= 0xFFFFFFFF
    page[22:26] = struct.pack("<I", value)
    return bytes(page)


@cache
def speex() -> bytes:
    """Speex in Ogg, of which no library here is an encoder: 150 frames of 20 ms of the mode without any bits."""
    shape = struct.pack("<13i", 1, 80, 8000, 0, 4, 1, -1, 160, 0, 1, 0, 0, 0)
    pages = [
        [b"Speex   " + b"1.2".ljust(20, b"\0") + shape],
        [struct.pack("<I4sI", 4, b"none", 0)],
        *[[bytes(1)] * 50] * 3,
    ]
    done = []
    for number, packets in enumerate(pages):
        flags, granule = {0: 2, 4: 4}.get(number, 0), 8000 * max(0, number - 1)
        head = b"OggS\0" + struct.pack("<BqIIIB", flags, granule, 7, number, 0, len(packets))
        done.append(checked(bytearray(head + bytes(map(len, packets)) + b"".join(packets))))
    return b"".join(done)


def mp3() -> Iterator[Liar]:
    """(b) and (c) of MP3."""
    frame = FRAME["mp3"]
    with_xing, bare = by_pyav("mp3", "libmp3lame"), by_pyav("mp3", "libmp3lame", xing=False)
    variable = vbr_without_xing()
    own = whole("mp3")
    for name, data in {"bare": bare, "variable": variable}.items():
        yield Liar(f"mp3 {name}", "mp3", data, decoded(data), frame, said=False)
        yield Liar(f"mp3 {name} twice", "mp3", data * 2, 2 * decoded(data), 2 * frame, said=False)
        for part in (0.3, 0.9):
            cut = data[: int(part * len(data))]
            yield Liar(f"mp3 {name} cut off at {part}", "mp3", cut, decoded(cut), frame)
        for what, junk in BEHIND.items():
            yield Liar(f"mp3 {name} with {what} behind", "mp3", data + junk, decoded(data), frame, said=False)
    for name, data in {"of LAME": with_xing, "of libsndfile": own}.items():
        yield Liar(f"mp3 {name} twice", "mp3", data * 2, 2 * SIZE, 6 * frame)
        yield Liar(f"mp3 {name} twice with a tag between", "mp3", data + ID3V2 + data, 2 * SIZE, 6 * frame)
        yield Liar(f"mp3 {name} and without a count", "mp3", data + variable, SIZE + decoded(variable), 6 * frame)
        for part in (0.3, 0.8):
            cut = data[: int(part * len(data))]
            yield Liar(f"mp3 {name} cut off at {part}", "mp3", cut, decoded(cut), 3 * frame)
        at = max(data.find(b"Xing"), data.find(b"Info")) + 8
        for stated in (3, 9000):
            wrong = data[:at] + struct.pack(">II", stated, 417 * stated) + data[at + 8 :]
            yield Liar(f"mp3 {name} stating {stated} frames", "mp3", wrong, SIZE, 3 * frame)
    for name, junk in {"junk": b"\x01", "zeros": b"\0"}.items():  # which may stand where frames were
        yield Liar(f"mp3 with {name} between", "mp3", bare + junk * 3000 + bare, 2 * decoded(bare), 3 * frame)
        half = len(with_xing) // 2
        hole = with_xing[:half] + junk * 3000 + with_xing[half + 3000 :]
        yield Liar(f"mp3 of LAME with {name} within", "mp3", hole, decoded(hole), 3 * frame)
        late = junk * 3000 + variable[variable.index(b"\xff") :]
        yield Liar(f"mp3 variable with {name} in front", "mp3", late, decoded(variable), frame, said=False)
    at = bare.index(b"\xff\xf3") + 58  # too late in the first frame for a count
    named = bare[:at] + b"Info" + bare[at + 4 :]
    yield Liar("mp3 with the name of a count", "mp3", named, decoded(named), frame, said=False)
    slow = by_pyav("mp3", "libmp3lame", 8000, 8000)
    yield Liar("mp3 of small frames cut off", "mp3", slow[:-100], decoded(slow[:-100]), 3 * frame)
    for stated, said in ((0, False), (5, True), (-5, True)):
        data, frames = with_vbri(variable, stated)
        yield Liar(f"mp3 with VBRI of {stated:+} frames", "mp3", data, frames * 576, frame, said)


def with_vbri(data: bytes, more: int) -> tuple[bytes, int]:
    """MPEG-2 frames behind Fraunhofer's count of them, which says `more` too many, and their true number."""
    data = data[data.index(b"\xff") :]
    with av.open(io.BytesIO(data), "r") as container:
        sizes = [packet.size for packet in container.demux() if packet.size]
    first = bytes([*data[:2], 0xA0 | data[2] & 0x0C, data[3]]).ljust(36, b"\0")  # at 96 kbit/s
    count = struct.pack(">HHHII", 1, 0, 75, len(data), len(sizes) + more)
    return (first + b"VBRI" + count).ljust(72 * 96_000 // RATE, b"\0") + data, len(sizes)


@cache
def vbr_without_xing() -> bytes:
    """Frames of several bit rates, and no count of them; a quiet start, so that the first frames are small."""
    quiet = by_pyav("mp3", "libmp3lame", bit_rate=24000, xing=False)
    loud = by_pyav("mp3", "libmp3lame", bit_rate=96000, xing=False)
    return loud + quiet


def foreign() -> Iterator[Liar]:
    """(d): what libsndfile cannot read, under its own name and others, cut off, and with padding behind."""
    files = {
        "mp3 in wav": ("wav", by_pyav("wav", "libmp3lame")),
        "yamaha adpcm in wav": ("wav", by_pyav("wav", "adpcm_yamaha")),
        "aac in wav": ("wav", by_pyav("wav", "aac")),
        "flac in ogg": ("ogg", by_pyav("ogg", "flac")),
        "speex in ogg": ("ogg", speex()),
        "aac": ("aac", by_pyav("adts", "aac")),
        "m4a": ("m4a", by_pyav("ipod", "aac")),
        "alac": ("m4a", by_pyav("ipod", "alac")),
        "mka": ("mka", by_pyav("matroska", "aac")),
        "webm": ("webm", by_pyav("webm", "libopus")),
        "wma": ("wma", by_pyav("asf", "wmav2", 44100)),
        "ac3": ("ac3", by_pyav("ac3", "ac3", 48000)),
        "wv": ("wv", by_pyav("wv", "wavpack")),
        "tta": ("tta", by_pyav("tta", "tta")),
        "alac in caf": ("caf", by_pyav("caf", "alac")),
        "ts": ("ts", by_pyav("mpegts", "aac")),
        "avi": ("avi", by_pyav("avi", "libmp3lame")),
        "flv": ("flv", by_pyav("flv", "libmp3lame", 44100)),
    }
    for name, (suffix, data) in files.items():
        slack = 4096
        own = name != "mp3 in wav"  # which libsndfile reads
        right = decoded(data)
        yield Liar(name, suffix, data, right, slack, said=False, media=own)
        for other in ("wav", "mp3", "flac", "dat", "m4a"):
            if other != suffix:
                yield Liar(f"{name} named {other}", other, data, right, slack, said=False, media=own)
        taken = name in ("wma", "ac3", "ts")  # FFmpeg takes the zeros for packets
        yield Liar(f"{name} with zeros behind", suffix, data + bytes(600), right, slack, taken, media=own)
        for part in (0.4, 0.8):
            cut = data[: int(part * len(data))]
            yield Liar(f"{name} cut off at {part}", suffix, cut, decoded(cut), slack, media=own)


def pipes() -> Iterator[Liar]:
    """(a): media written to a pipe, whose headers leave their sizes and durations open."""
    for form, suffix, encoder in (("avi", "avi", "libmp3lame"), ("asf", "wma", "wmav2")):
        data = by_pyav(form, encoder, 44100, pipe=True)
        yield Liar(f"{suffix} of a pipe", suffix, data, decoded(data), 4096, said=False, media=True)


def liars() -> list[Liar]:
    return [liar for make in (chunked, riff, flac, ogg, broken_ogg, mp3, foreign, pipes) for liar in make()]
