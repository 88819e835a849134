"""An MP4 whose index comes before its audio, so that it plays before it is loaded, stays so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_files import TAGS, chirp, decode, encode, halve, video

from unhiss.media.tags import mp4


def atoms(path: Path) -> list[str]:
    """The names of the top-level atoms, by hand."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        names.append(data[at + 4 : at + 8].decode())
        at += size or len(data)
    return [name for name in names if name in ("ftyp", "moov", "mdat")]


def decoded(path: Path, kind: str) -> list[bytes]:
    """What FFmpeg decodes of a track; damage is an error."""
    with av.open(str(path)) as container:
        stream: Any = next(track for track in container.streams if track.type == kind)
        stream.codec_context.options = {"err_detect": "explode"}
        return [np.ascontiguousarray(frame.to_ndarray()).tobytes() for frame in container.decode(stream)]


def with_index_first(source: Path, target: Path) -> Path:
    """A copy of a file of audio by FFmpeg, which puts its index first."""
    with av.open(str(source)) as old, av.open(str(target), "w", container_options={"movflags": "+faststart"}) as new:
        new.metadata.update(old.metadata)
        track = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(audio=0):
            if packet.size:
                packet.stream = track
                new.mux(packet)
    return target


@pytest.mark.parametrize("extension", ["mp4", "m4a", "mov"])
def test_the_index_stays_where_it_is(extension: str, tmp_path: Path) -> None:
    last, first = tmp_path / f"last.{extension}", tmp_path / f"first.{extension}"
    if extension == "m4a":
        with_index_first(encode(last, "alac", chirp(1, 30000), tags=TAGS), first)
    else:
        video(last, "libx264")
        video(first, "libx264", movflags="+faststart")
    assert atoms(last) == ["ftyp", "mdat", "moov"] and atoms(first) == ["ftyp", "moov", "mdat"]
    made = {path: halve(path, tmp_path / f"half-{path.name}").path for path in (last, first)}
    for path, half in made.items():
        assert atoms(half) == atoms(path)
        with av.open(str(half)) as container:
            assert {name: container.metadata[name] for name in ("title", "artist")} == {
                name: TAGS[name] for name in ("title", "artist")
            }
    for kind in ("audio", *(["video"] if extension != "m4a" else [])):
        assert decoded(made[first], kind) == decoded(made[last], kind) != []
    assert decode(made[first]).shape == decode(first).shape
    assert not list(tmp_path.glob(".*"))


def test_tags_that_ffmpeg_does_not_know_survive_in_front_too(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.m4a", "aac", chirp(2, 30000), tags=TAGS)
    data, note = source.read_bytes(), b"\0\0\0\x14udta\0\0\0\x0cXyZ!note"
    at = data.rindex(b"moov") - 4
    size = int.from_bytes(data[at : at + 4]) + len(note)
    source.write_bytes(data[:at] + size.to_bytes(4) + data[at + 4 :] + note)
    mp4.put_index_first(source)
    assert atoms(source) == ["ftyp", "moov", "mdat"] and decoded(source, "audio")
    made = halve(source, tmp_path / "b.m4a")
    assert atoms(made.path) == ["ftyp", "moov", "mdat"]
    assert note in made.path.read_bytes()
    assert made.path.read_bytes().index(note) < made.path.read_bytes().index(b"mdat")


def test_offsets_beyond_four_gigabytes_get_64_bits(tmp_path: Path) -> None:
    """The index of a large file, without the large file: offsets near 2^32 move beyond it."""
    near = 0xFFFF_FF00
    stco = b"\0\0\0\x18stco\0\0\0\0\0\0\0\2" + (40).to_bytes(4) + near.to_bytes(4)
    index = b""
    for name in (b"stbl", b"minf", b"mdia", b"trak"):
        index = (8 + len(index or stco)).to_bytes(4) + name + (index or stco)
    moved = mp4._shifted(index, 1000, wide=True)
    co64 = b"\0\0\0\x20co64\0\0\0\0\0\0\0\2" + (1040).to_bytes(8) + (near + 1000).to_bytes(8)
    assert moved.endswith(co64) and int.from_bytes(moved[:4]) == len(moved) == len(index) + 8
    assert mp4._shifted(moved, 24, wide=False).endswith((1064).to_bytes(8) + (near + 1024).to_bytes(8))


def test_an_mp4_made_from_another_format_has_its_index_last(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mka", "flac", chirp(1, 3000))
    assert atoms(halve(source, tmp_path / "c.m4a").path) == ["ftyp", "mdat", "moov"]
