"""Damaged, truncated, empty and impossible media files: one clear line, and no incomplete output."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from lying_files import decoded
from media_files import add_audio, add_pictures, chirp, encode, halve, probe, video, with_cover

from unhiss.errors import AudioError
from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.writer import PyavWriter
from unhiss.media.source import open_source

LIKE = AudioFormat(48000, 1, 48000)


def read_all(path: Path) -> int:
    return sum(block.shape[1] for block in open_source(path).blocks(4096))


def read_strictly(path: Path) -> int:
    return sum(block.shape[1] for block in open_source(path, strict=True).blocks(4096))


def refused(path: Path, match: str, *acts: Callable[[Path], object]) -> None:
    for act in acts or (probe, read_all):
        with pytest.raises(AudioError, match=match) as caught:
            act(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_a_file_that_is_not_a_recording_is_refused_in_one_line(tmp_path: Path, rng: np.random.Generator) -> None:
    refused(tmp_path / "none.m4a", "no such file")
    (tmp_path / "folder.mp4").mkdir()
    refused(tmp_path / "folder.mp4", "is a folder")
    for extension in ("m4a", "mkv", "wma", "aac", "avi"):
        path = tmp_path / f"a.{extension}"
        path.write_bytes(b"")
        refused(path, "0 bytes")
        path.write_text("a shopping list")
        refused(path, "not a readable recording|holds no sound")


def test_a_playlist_in_disguise_opens_no_other_file(tmp_path: Path) -> None:
    encode(tmp_path / "secret.m4a", "aac", chirp(1, 4096))
    for text in (
        f"ffconcat version 1.0\nfile {tmp_path}/secret.m4a\n",
        "#EXTM3U\n#EXTINF:1,\nsecret.m4a\n#EXT-X-ENDLIST\n",
    ):
        (tmp_path / "a.mp4").write_text(text)
        refused(tmp_path / "a.mp4", "not a readable recording")


def test_video_without_audio_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        add_pictures(out, out.add_stream("mpeg4", rate=30, width=64, height=48, pix_fmt="yuv420p"))
    refused(tmp_path / "a.mp4", "holds no sound, only video")


@pytest.mark.parametrize("extension", ["m4a", "mp4", "mkv", "webm", "wma"])
def test_a_truncated_file_is_refused_or_said_to_be_so(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{extension}"
    if extension in ("m4a", "wma"):
        encode(path, {"m4a": "aac", "wma": "wmav2"}[extension], chirp(1, 96000))
    else:
        video(path, "libvpx" if extension == "webm" else "mpeg4", ("libopus" if extension == "webm" else "aac",))
    whole, size = path.read_bytes(), read_all(path)
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.8):
        path.write_bytes(whole[: int(share * len(whole))])
        refused(path, "truncated|damaged|not a readable recording|holds no sound|0 bytes", read_strictly)
        with suppress(AudioError):
            source = open_source(path)
            assert 0 < source.read().shape[-1] < size
            assert any("truncated" in warning or "damaged" in warning for warning in source.warnings)
    path.write_bytes(whole)
    assert read_all(path) == size


def test_an_incomplete_download_with_its_index_in_front_is_refused_or_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", container_options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(chirp(1, 96000), "fltp", "mono")
        frame.rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        out.mux([*stream.encode(frame), *stream.encode(None)])
    whole = path.read_bytes()
    assert whole.find(b"moov") < whole.find(b"mdat")
    for share in (0.2, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        refused(path, "truncated|damaged", read_strictly)
        source = open_source(path)
        assert abs(source.read().size - decoded(path.read_bytes())) <= 1024
        assert len(source.warnings) == 1


@pytest.mark.parametrize("extension", ["m4a", "mkv", "wma", "aac", "avi", "flv", "wv"])
def test_damaged_bytes_give_audio_or_one_line(extension: str, tmp_path: Path, rng: np.random.Generator) -> None:
    encoder = {"wma": "wmav2", "wv": "wavpack", "avi": "libmp3lame"}.get(extension, "aac")
    whole = encode(tmp_path / f"whole.{extension}", encoder, chirp(1, 20000)).read_bytes()
    path = tmp_path / f"a.{extension}"
    for start in [0, 40, *rng.integers(0, len(whole), 20)]:
        data = bytearray(whole)
        data[start : start + 30] = rng.bytes(len(data[start : start + 30]))
        path.write_bytes(data)
        try:
            count = read_all(path)
        except AudioError as error:
            assert "\n" not in str(error)
        else:
            assert count < 100 * 20000


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.soak)])
def test_a_copy_of_damaged_media_is_complete_or_absent(count: int, tmp_path: Path, rng: np.random.Generator) -> None:
    sources = [
        video(tmp_path / "a.mp4"), video(tmp_path / "a.mkv", sound=("aac", "ac3")), with_cover(tmp_path / "a.m4a"),
        video(tmp_path / "a.avi", sound=("libmp3lame",), tags=False),
    ]  # fmt: skip
    for number in range(count):
        source = sources[number % len(sources)]
        data = bytearray(source.read_bytes())
        start = int(rng.integers(len(data) - 1500, len(data)) if number % 3 == 0 else rng.integers(0, len(data)))
        data[start : start + 4] = rng.bytes(len(data[start : start + 4]))
        bad, target = tmp_path / f"bad{source.suffix}", tmp_path / f"out{source.suffix}"
        bad.write_bytes(data)
        try:
            halve(bad, target)
        except AudioError as error:
            assert "\n" not in str(error)
            assert not target.exists()
        else:
            assert read_all(target) >= 0
            target.unlink()
        assert not list(tmp_path.glob(".unhiss-*"))


def test_pictures_in_an_unknown_coding_are_refused(tmp_path: Path) -> None:
    source = video(tmp_path / "a.mkv")
    data = source.read_bytes()
    source.write_bytes(data.replace(b"V_MPEG4/ISO/ASP", b"V_NOSUCHCODING "))
    with pytest.raises(AudioError, match="no unknown pictures"):
        halve(source, tmp_path / "b.mkv")


def test_invalid_samples_are_refused(tmp_path: Path) -> None:
    sound = chirp(1, 8000)
    sound[0, 5000] = np.nan
    path = encode(tmp_path / "a.mov", "pcm_f32le", sound)
    with pytest.raises(AudioError, match=r"sample 5,000 \(0\.10 s\) is nan, no sound"):
        read_all(path)


def test_an_exception_inside_leaves_nothing(tmp_path: Path) -> None:
    source = video(tmp_path / "a.mp4")
    for target in (tmp_path / "b.mp4", tmp_path / "b.mkv"):
        with pytest.raises(KeyboardInterrupt), PyavWriter(target, LIKE, copy_from=open_source(source)) as out:
            out.write(chirp(1, 20000))
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [source]


def test_an_unsupported_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    cases = [
        ("a.wma", AudioFormat(48000, 6, 0), None, "cannot hold 6 channels"),
        ("a.m4a", AudioFormat(48000, 1, 0), "VORBIS", "cannot hold VORBIS"),
        ("a.m4a", AudioFormat(48000, 1, 0), "nonsense", "cannot hold nonsense"),
        ("a.m4a", AudioFormat(48000, 32, 0), None, "32 channels"),
        ("a.webm", AudioFormat(48000, 1, 0), "AAC", "cannot hold AAC"),
        ("a.vob", AudioFormat(48000, 1, 0), None, r"cannot write \.vob"),
        ("none/a.m4a", AudioFormat(48000, 1, 0), None, "cannot be written"),
    ]
    for name, like, subtype, match in cases:
        with pytest.raises(AudioError, match=match) as caught:
            PyavWriter(tmp_path / name, like, subtype)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_container_that_cannot_hold_the_pictures_is_refused(tmp_path: Path) -> None:
    source = video(tmp_path / "a.mp4")
    with pytest.raises(AudioError, match=r"webm cannot hold this \(no mpeg4 pictures\); try \.mkv"):
        halve(source, tmp_path / "b.webm")
    assert list(tmp_path.iterdir()) == [source]


def test_an_odd_rate_becomes_alac_in_an_m4a(tmp_path: Path) -> None:
    """AAC has a fixed list of rates."""
    with PyavWriter(tmp_path / "a.m4a", AudioFormat(13370, 1, 5000)) as out:
        out.write(chirp(1, 5000))
    facts = probe(tmp_path / "a.m4a")
    assert (facts.rate, facts.frames, facts.subtype) == (13370, 5000, "ALAC_16")


@pytest.mark.parametrize("name", ["a.m4a", "a.mkv", "a.wma", "a.aac"])
def test_an_empty_recording_is_refused(name: str, tmp_path: Path) -> None:
    with (
        pytest.raises(AudioError, match=r"cannot hold an empty recording; try \.wav"),
        PyavWriter(tmp_path / name, LIKE),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv"])
def test_a_full_disk_is_reported_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk; it holds for a child alone."""
    source = video(tmp_path / "a.mp4")
    lines = [
        "import resource, signal, sys; from unhiss.media.pyav.writer import PyavWriter",
        "from pathlib import Path; from unhiss.media.source import open_source",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))",
        "source, target = open_source(sys.argv[1]), Path(sys.argv[2])",
        "with PyavWriter(target, source.format, copy_from=source) as out:",
        "    for block in source.blocks(4096): out.write(block)",
    ]
    child = [sys.executable, "-c", "\n".join(lines), str(source), str(tmp_path / name)]
    done = subprocess.run(child, capture_output=True, text=True, timeout=60)
    assert re.search(r"AudioError: .*cannot be written.*; is the disk full\?$", done.stderr.strip())
    assert list(tmp_path.iterdir()) == [source]


def test_a_damaged_picture_does_not_stop_the_audio(tmp_path: Path) -> None:
    source = video(tmp_path / "a.mkv")
    data = source.read_bytes()
    with av.open(str(source)) as container:
        pictures = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    at = data.find(pictures[20])
    source.write_bytes(data[: at + 8] + bytes(len(pictures[20]) - 8) + data[at + len(pictures[20]) :])
    made = halve(source, tmp_path / "b.mkv")
    with av.open(str(made.path)) as container:
        assert len([packet for packet in container.demux(video=0) if packet.size]) == len(pictures)


def test_a_whole_file_whose_packets_state_no_duration_is_not_called_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.mka"
    with av.open(str(path), "w", format="matroska") as out:
        stream: Any = out.add_stream("wavpack", rate=48000, layout="4.0")
        stream.format = "s16p"
        noise = np.random.default_rng(1).integers(-9000, 9000, (4, 60_000)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(noise, "s16p", "4.0")
        frame.rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        out.mux([*stream.encode(frame), *stream.encode(None)])
    source = open_source(path, strict=True)
    assert source.read().shape == (4, 60_000)


def test_a_broadcast_in_which_another_track_begins_later_is_read_to_its_end(tmp_path: Path) -> None:
    parts, path = list[bytes](), tmp_path / "a.ts"
    for pid in (256, 400):
        options = {"mpegts_start_pid": str(pid), "mpegts_pmt_start_pid": str(16 * pid)}
        with av.open(str(path), "w", container_options=options) as out:
            add_audio(out, out.add_stream("aac", rate=48000, layout="mono"), 440, 0.5)
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts))
    assert open_source(path).read().size == decoded(parts[0])
