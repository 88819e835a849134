"""Media files made by PyAV alone, and a writer's copy of them: what the tests of pyav/ share."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.writer import PyavWriter
from unhiss.media.source import open_source

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
FORMATS = {"wma": "asf", "aac": "adts", "m4a": "ipod", "mkv": "matroska", "mka": "matroska"}
RATE = 48000
TAGS = {"title": "Über uns", "artist": "A & B", "comment": "two\nlines", "date": "2026", "genre": "Talk"}
MS = Fraction(1, 1000)
CHAPTERS: list[Any] = [
    {"id": at, "start": at * 500, "end": at * 500 + 500, "time_base": MS, "metadata": {"title": f"C{at}"}}
    for at in range(3)
]  # fmt: skip


def chirp(channels: int, size: int, rate: int = 48000) -> np.ndarray:
    """Sounds like no shifted copy of itself."""
    time_s = np.arange(size) / rate
    sweep = 0.4 * np.sin(2 * np.pi * (200 + 900 * time_s) * time_s)
    return np.stack([sweep * (1 - 0.3 * channel) for channel in range(channels)]).astype(np.float32)


def encode(path: Path, encoder: str, sound: np.ndarray, rate: int = 48000, tags: dict[str, str] | None = None) -> Path:
    """A file made by PyAV alone."""
    with av.open(str(path), "w", format=FORMATS.get(path.suffix[1:])) as out:
        out.metadata.update(tags or {})
        stream: Any = out.add_stream(encoder, rate=rate, layout=LAYOUTS[len(sound)], bit_rate=64000 * len(sound))
        stream.format = {"wavpack": "s16p", "tta": "s16"}.get(encoder, stream.format)
        for at in range(0, sound.shape[1], 1000):
            part = np.ascontiguousarray(sound[:, at : at + 1000])
            frame = av.AudioFrame.from_ndarray(part, "fltp", LAYOUTS[len(sound)])
            frame.rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def probe(path: Path) -> AudioFormat:
    return open_source(path).format


def decode(path: Path, size: int = 4096, **part: int) -> np.ndarray:
    """The samples of a recording, `(C, T)`."""
    return np.concatenate(list(open_source(path).blocks(size, **part)), axis=1)


def tone(size: int, hz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz / RATE * np.arange(size))).astype(np.float32)[None]


def add_audio(out: Any, stream: Any, hz: float, seconds: float, start: int = 0) -> None:
    frame = av.AudioFrame.from_ndarray(tone(int(seconds * RATE), hz), "fltp", "mono")
    frame.rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
    out.mux([*stream.encode(frame), *stream.encode(None)])


def add_pictures(out: Any, stream: Any, count: int = 45) -> None:
    for number in range(count):
        picture = np.full((48, 64, 3), 5 * number, np.uint8)
        picture[number % 48] = 255
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 30)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def video(
    path: Path,
    video_codec: str = "mpeg4",
    sound: tuple[str, ...] = ("aac",),
    start: int = 0,
    tags: bool = True,
    movflags: str = "",
) -> Path:
    """1.5 s of pictures and sound made by PyAV alone; the sound tracks are tones of 400, 800 ... Hz."""
    with av.open(str(path), "w", container_options={"movflags": movflags} if movflags else {}) as out:
        if tags:
            out.metadata.update(TAGS)
            out.set_chapters(CHAPTERS)
        pictures = out.add_stream(video_codec, rate=30, width=64, height=48, pix_fmt="yuv420p")
        tracks = [out.add_stream(codec, rate=RATE, layout="mono", bit_rate=96000) for codec in sound]
        for number, track in enumerate(tracks):
            track.metadata["language"] = ("eng", "fra", "ita")[number]
        for number, track in enumerate(tracks):
            add_audio(out, track, 400.0 * (number + 1), 1.5, start)
        add_pictures(out, pictures)
    return path


def halve(path: Path, target: Path) -> PyavWriter:
    """Write a recording at half its level, and all else that it holds."""
    source = open_source(path)
    with PyavWriter(target, source.format, copy_from=source) as out:
        for block in source.blocks(4096):
            out.write(block * np.float32(0.5))
    return out


def jpeg() -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(held, "JPEG")
    return held.getvalue()


def with_cover(path: Path) -> Path:
    if path.suffix == ".mka":
        with av.open(str(path), "w", format="matroska") as out:
            out.metadata.update(TAGS)
            sound = out.add_stream("aac", rate=RATE, layout="mono")
            out.add_attachment("cover.jpg", "image/jpeg", jpeg())
            add_audio(out, sound, 400.0, 1.0)
        return path
    with av.open(str(path), "w", format="mp4") as out:
        out.metadata.update(TAGS)
        sound = out.add_stream("aac", rate=RATE, layout="mono")
        art = out.add_mux_stream("mjpeg", width=32, height=32)
        art.disposition = av.stream.Disposition.attached_pic
        picture = av.Packet(jpeg())
        picture.stream, picture.time_base, picture.pts, picture.dts = art, Fraction(1, 90000), 0, 0
        out.mux(picture)
        add_audio(out, sound, 400.0, 1.0)
    return path
