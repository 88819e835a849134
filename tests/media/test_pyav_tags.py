"""Tags, chapters and cover art of media files, as FFmpeg and players read them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from media_files import RATE, TAGS, halve, jpeg, probe, tone, video, with_cover

from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.writer import PyavWriter
from unhiss.media.soundfile_writer import SoundfileWriter
from unhiss.media.source import open_source


def chapters(container: Any) -> list[tuple[Fraction, dict[str, str]]]:
    return [(c["start"] * c["time_base"], c["metadata"]) for c in container.chapters()]


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_tags_and_chapters_are_kept(extension: str, tmp_path: Path) -> None:
    source = video(tmp_path / f"a.{extension}")
    out = halve(source, tmp_path / f"b.{extension}")
    with av.open(str(source)) as before, av.open(str(out.path)) as after:
        found = {name.lower(): text for name, text in after.metadata.items()}
        assert {name: found[name] for name in TAGS} == TAGS
        assert chapters(after) == chapters(before)
        assert len(after.chapters()) == 3
        assert len(after.streams) == len(before.streams)


@pytest.mark.parametrize("target", ["b.m4a", "b.mka"])
@pytest.mark.parametrize("source", ["a.m4a", "a.mka"])
def test_cover_art_and_tags_stay_with_the_audio(source: str, target: str, tmp_path: Path) -> None:
    out = halve(with_cover(tmp_path / source), tmp_path / target)
    assert not out.dropped
    with av.open(str(out.path)) as made:
        assert [bytes(packet) for packet in made.demux(made.streams.video[0]) if packet.size] == [jpeg()]
        assert made.streams.video[0].disposition & av.stream.Disposition.attached_pic
        found = {name.lower(): text for name, text in made.metadata.items()}
    assert {name: found[name] for name in TAGS} == TAGS


def atom(name: bytes, *content: bytes) -> bytes:
    whole = b"".join(content)
    return (8 + len(whole)).to_bytes(4, "big") + name + whole


def freeform(name: bytes, text: bytes) -> bytes:
    flags = bytes(4)
    data = atom(b"data", b"\0\0\0\1", flags, text)
    return atom(b"----", atom(b"mean", flags, b"com.apple.iTunes"), atom(b"name", flags, name), data)


@pytest.mark.parametrize("source", ["a.m4a", "a.mka"])
@pytest.mark.parametrize("target", ["b.webm", "b.aac"])
def test_a_cover_that_the_container_cannot_hold_is_reported(source: str, target: str, tmp_path: Path) -> None:
    assert halve(with_cover(tmp_path / source), tmp_path / target).dropped == ["video (mjpeg)"]


def test_cover_art_is_not_video(tmp_path: Path) -> None:
    assert not open_source(with_cover(tmp_path / "a.m4a")).has_video
    assert not open_source(with_cover(tmp_path / "a.mka")).has_video
    assert open_source(video(tmp_path / "a.mp4")).has_video


def test_tags_unknown_to_ffmpeg_are_kept_except_the_old_priming(tmp_path: Path) -> None:
    """The source's tags are made by hand, its tag list the last atom of `moov`, `moov` the last of the file."""
    source = with_cover(tmp_path / "a.m4a")
    data = source.read_bytes()
    index, udta = data.rfind(b"moov") - 4, data.rfind(b"udta") - 4
    priming = b" 00000000 00000840 000001CA 00000000003F31F6"
    tags = freeform(b"MusicBrainz Track Id", b"0383dadf"), freeform(b"iTunSMPB", priming), freeform(b"MOOD", b"calm")
    grown = data[udta + 8 :]
    assert int.from_bytes(data[udta : udta + 4], "big") == len(data) - udta
    meta = grown[8 : int.from_bytes(grown[:4], "big")]
    at = meta.find(b"ilst") - 4
    meta = atom(b"meta", meta[:at], atom(b"ilst", meta[at + 8 :], *tags))
    source.write_bytes(data[:index] + atom(b"moov", data[index + 8 : udta], atom(b"udta", meta)))
    made = halve(source, tmp_path / "b.m4a").path.read_bytes()
    assert tags[0] in made
    assert tags[2] in made
    assert tags[1] not in made
    with av.open(str(tmp_path / "b.m4a")) as out:
        assert out.metadata["MOOD"] == "calm"
        assert out.metadata["title"] == TAGS["title"]
        assert [bytes(packet) for packet in out.demux(video=0) if packet.size] == [jpeg()]
        assert "iTunSMPB" not in out.metadata
    assert probe(tmp_path / "b.m4a").frames == probe(source).frames
    assert probe(tmp_path / "b.m4a").frames == RATE


def test_tags_of_a_file_that_soundfile_reads_reach_an_m4a(tmp_path: Path) -> None:
    facts = AudioFormat(RATE, 1, RATE, tags={"title": "T", "tracknumber": "3"})
    with SoundfileWriter(tmp_path / "a.flac", facts) as out:
        out.write(tone(RATE, 400))
    with PyavWriter(tmp_path / "b.m4a", facts, copy_from=open_source(tmp_path / "a.flac")) as made:
        made.write(tone(RATE, 400))
    assert probe(made.path).tags == facts.tags
