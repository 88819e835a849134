"""Everything in a video or tagged file beside its audio is copied, packet by packet."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_files import RATE, TAGS, add_audio, add_pictures, decode, halve, probe, tone, video

from unhiss.media.soundfile_writer import SoundfileWriter
from unhiss.media.source import open_source


def halved(after: np.ndarray, before: np.ndarray) -> bool:
    middle = slice(20000, 40000)
    return bool(np.std(after[:, middle] - 0.5 * before[:, middle]) < 0.1 * np.std(before[:, middle]))


def packets(path: Path, kind: str, number: int = 0) -> list[Any]:
    """(presentation time in s, decoding time in s, key, bytes) of a track."""
    with av.open(str(path)) as container:
        track: Any = [stream for stream in container.streams if stream.type == kind][number]
        found: list[Any] = [packet for packet in container.demux(track) if packet.size]
        return [(p.pts * p.time_base, p.dts and p.dts * p.time_base, p.is_keyframe, bytes(p)) for p in found]


@pytest.mark.parametrize(
    ("extension", "video_codec", "sound"),
    [
        ("mp4", "mpeg4", "aac"), ("mp4", "libx264", "aac"), ("mov", "libx264", "alac"), ("mkv", "libx264", "libopus"),
        ("mkv", "mpeg4", "aac"), ("webm", "libvpx", "libopus"), ("avi", "mpeg4", "libmp3lame"),
        ("wmv", "wmv2", "wmav2"), ("flv", "flv", "aac"), ("m4v", "libx264", "aac"),
    ],
)  # fmt: skip
def test_pictures_are_copied_to_the_byte_and_the_tick(
    extension: str, video_codec: str, sound: str, tmp_path: Path
) -> None:
    tags = extension not in ("avi", "wmv", "flv")
    source = video(tmp_path / f"a.{extension}", video_codec, (sound,), tags=tags)
    out = halve(source, tmp_path / f"b.{extension}")
    assert packets(out.path, "video") == packets(source, "video")
    assert len(packets(source, "video")) == 45
    assert not out.dropped
    before, after = decode(source), decode(out.path)
    assert abs(before.shape[1] - after.shape[1]) <= 1
    assert probe(source).frames == before.shape[1]
    if extension != "avi":  # which cannot tell how much of an MP3 is priming
        assert halved(after, before)
    assert sorted(tmp_path.iterdir()) == [source, out.path]


@pytest.mark.parametrize("movflags", ["frag_keyframe+empty_moov", "frag_keyframe+delay_moov", "+faststart"])
def test_videos_written_in_fragments_or_for_the_web_are_read_and_copied(movflags: str, tmp_path: Path) -> None:
    source = video(tmp_path / "a.mp4", "libx264", movflags=movflags, tags=False)
    out = halve(source, tmp_path / "b.mp4")
    assert packets(out.path, "video") == packets(source, "video")
    assert decode(out.path).shape == decode(source).shape == (1, probe(source).frames)
    assert halved(decode(out.path), decode(source))


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_audio_that_starts_late_stays_late(extension: str, tmp_path: Path) -> None:
    source = video(tmp_path / f"a.{extension}", start=RATE // 2)
    out = halve(source, tmp_path / f"b.{extension}")
    assert packets(source, "audio")[1][0] == pytest.approx(0.5, abs=0.002)
    assert packets(out.path, "audio")[1][0] == pytest.approx(packets(source, "audio")[1][0], abs=1024 / RATE + 0.001)
    assert decode(out.path).shape == decode(source).shape == (1, probe(source).frames)
    assert halved(decode(out.path), decode(source))
    assert packets(out.path, "video") == packets(source, "video")


@pytest.mark.parametrize("extension", ["mp4", "mkv", "mov"])
def test_further_audio_tracks_are_copied_and_keep_their_language(extension: str, tmp_path: Path) -> None:
    source = video(tmp_path / f"a.{extension}", sound=("aac", "ac3", "aac"))
    out = halve(source, tmp_path / f"b.{extension}")
    for number in (1, 2):
        assert packets(out.path, "audio", number) == packets(source, "audio", number)
    assert packets(out.path, "audio", 0) != packets(source, "audio", 0)
    with av.open(str(out.path)) as made:
        assert [track.language for track in made.streams.audio] == ["eng", "fra", "ita"]
        assert [track.type for track in made.streams][:4] == ["video", "audio", "audio", "audio"]


def test_the_default_track_is_denoised(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as out:
        tracks = [out.add_stream("flac", rate=RATE, layout="mono") for _ in range(2)]
        tracks[0].disposition, tracks[1].disposition = av.stream.Disposition(0), av.stream.Disposition.default
        for number, track in enumerate(tracks):
            add_audio(out, track, 400.0 * (number + 1), 0.5)
    np.testing.assert_allclose(next(open_source(source).blocks(4096)), tone(4096, 800.0), atol=2**-14)
    made = halve(source, tmp_path / "b.mkv")
    assert packets(made.path, "audio", 0) == packets(source, "audio", 0)
    np.testing.assert_allclose(next(open_source(made.path).blocks(4096)), 0.5 * tone(4096, 800.0), atol=2**-14)


def test_subtitles_are_copied_or_named_as_dropped(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    video(tmp_path / "plain.mkv")
    with av.open(str(tmp_path / "plain.mkv")) as plain, av.open(str(source), "w") as out:
        copies = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in plain.streams}
        titles = out.add_mux_stream("subrip")
        out.add_attachment("font.ttf", "application/x-truetype-font", b"no font")
        titles.time_base = Fraction(1, 1000)
        for at in (100, 900):
            title = av.Packet(f"at {at} ms".encode())
            title.stream, title.time_base = titles, Fraction(1, 1000)
            title.pts = title.dts = at
            title.duration = 500
            out.mux(title)
        for packet in plain.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    made = halve(source, tmp_path / "b.mkv")
    assert [text for *_, text in packets(made.path, "subtitle")] == [b"at 100 ms", b"at 900 ms"]
    assert packets(made.path, "subtitle") == packets(source, "subtitle")
    with av.open(str(made.path)) as container:
        assert [(font.name, font.data) for font in container.streams.attachments] == [("font.ttf", b"no font")]
    other = halve(source, tmp_path / "b.mp4")
    assert other.dropped == ["subtitle (srt)", "attachment (font.ttf)"]
    assert packets(other.path, "video")


def test_a_video_becomes_an_audio_file_with_its_tags(tmp_path: Path) -> None:
    source = video(tmp_path / "a.mp4")
    facts = probe(source)
    with SoundfileWriter(tmp_path / "b.wav", facts) as out:
        for block in open_source(source).blocks(4096):
            out.write(block)
    assert (facts.tags["title"], facts.frames) == (TAGS["title"], 72000)
    made = halve(source, tmp_path / "b.m4a")
    with av.open(str(made.path)) as container:
        assert not container.streams.video
        assert container.metadata["title"] == TAGS["title"]


def test_the_rotation_of_a_phone_video_is_kept(tmp_path: Path) -> None:
    """A phone writes pictures unrotated, and a rotation matrix in the header of the track."""
    source = video(tmp_path / "a.mp4")
    one, whole = 1 << 16, 1 << 30
    upright, turned = (
        b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
        for matrix in ((one, 0, 0, 0, one, 0, 0, 0, whole), (0, one, 0, -one, 0, 0, 48 * one, 0, whole))
    )
    data = source.read_bytes()
    at = data.find(upright, data.find(b"tkhd"))
    source.write_bytes(data[:at] + turned + data[at + len(turned) :])
    made = halve(source, tmp_path / "b.mp4").path.read_bytes()
    start = made.find(b"tkhd")
    assert turned in made[start : start + 100]


def test_hevc_keeps_the_codec_tag_that_players_need(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as out:
        pictures = out.add_stream(
            "libx265",
            rate=30,
            width=64,
            height=48,
            pix_fmt="yuv420p",
            options={"x265-params": "log-level=none:pools=1"},
        )
        pictures.codec_context.codec_tag = "hvc1"
        sound = out.add_stream("aac", rate=RATE, layout="mono")
        add_audio(out, sound, 400.0, 0.5)
        add_pictures(out, pictures, 15)
    made = halve(source, tmp_path / "b.mp4")
    assert packets(made.path, "video") == packets(source, "video")
    assert (b"hvc1" in made.path.read_bytes()) and b"hev1" not in made.path.read_bytes()


@pytest.mark.parametrize("target", ["mov", "mp4"])
def test_pictures_with_a_time_code_keep_it(target: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mov"), "w") as out:
        pictures = out.add_stream("mpeg4", rate=30, width=64, height=48, pix_fmt="yuv420p")
        pictures.metadata["timecode"] = "01:02:03:04"
        track = out.add_stream("aac", rate=RATE, layout="mono", bit_rate=96000)
        add_audio(out, track, 400.0, 1.5)
        add_pictures(out, pictures)
    copy = halve(tmp_path / "a.mov", tmp_path / f"b.{target}")
    assert packets(copy.path, "video") == packets(tmp_path / "a.mov", "video")
    with av.open(str(copy.path)) as made:
        assert made.streams.video[0].metadata["timecode"] == "01:02:03:04"
        assert [track.type for track in made.streams] == ["video", "audio", "data"]
