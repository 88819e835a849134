"""Sound beyond libsndfile: what is read is what was put in, from where a player starts, or one clear line."""

from __future__ import annotations

import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import chirp, decode, encode, probe

from unhiss.errors import MissingExtra
from unhiss.media import pyav
from unhiss.media.formats import AudioFormat
from unhiss.media.pyav.writer import PyavWriter
from unhiss.media.soundfile_writer import SoundfileWriter
from unhiss.media.source import open_source, read
from unhiss.media.writer import write

LOSSLESS = [
    ("m4a", "alac"),
    ("mka", "flac"),
    ("wv", "wavpack"),
    ("tta", "tta"),
    ("mkv", "pcm_s16le"),
    ("mov", "pcm_s24le"),
]
LOSSY = [
    ("m4a", "aac"), ("mov", "aac"), ("mp4", "ac3"), ("mp4", "libmp3lame"), ("mp4", "libopus"), ("mkv", "aac"),
    ("mkv", "ac3"), ("mkv", "libmp3lame"), ("webm", "libopus"), ("wma", "wmav2"), ("aac", "aac"), ("avi", "libmp3lame"),
    ("flv", "aac"), ("ac3", "ac3"),
]  # fmt: skip
FRAME = 2048  # samples of the longest codec frame here
LIKE_SOURCE_DB = 10  # SNR that 128 kb/s of a chirp keep at least, if nothing is shifted
SIZE = 50001


def copy(path: Path, target: Path, subtype: str | None = None) -> PyavWriter:
    source = open_source(path)
    with PyavWriter(target, source.format, subtype, copy_from=source) as out:
        for block in source.blocks(5000):
            out.write(block)
    return out


def snr_db(estimate: np.ndarray, reference: np.ndarray) -> float:
    size = min(estimate.shape[1], reference.shape[1])
    error = estimate[:, :size] - reference[:, :size]
    return float(10 * np.log10((reference[:, :size] ** 2).sum() / (error**2).sum()))


@pytest.mark.parametrize(("extension", "encoder"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_audio_is_kept_to_the_sample(extension: str, encoder: str, channels: int, tmp_path: Path) -> None:
    steps = np.rint(chirp(channels, SIZE) * 32768) / 32768
    source = encode(tmp_path / f"a.{extension}", encoder, steps.astype(np.float32))
    copy(source, tmp_path / f"b.{extension}")
    for path in (source, tmp_path / f"b.{extension}"):
        np.testing.assert_array_equal(decode(path), steps)
        assert probe(path).frames == SIZE
    assert probe(source).subtype == probe(tmp_path / f"b.{extension}").subtype


@pytest.mark.parametrize(("extension", "encoder"), LOSSY)
def test_lossy_audio_keeps_length_alignment_and_bit_rate(extension: str, encoder: str, tmp_path: Path) -> None:
    source = encode(tmp_path / f"a.{extension}", encoder, chirp(2, SIZE))
    out = copy(source, tmp_path / f"b.{extension}")
    before, after = probe(source), probe(out.path)
    assert (after.rate, after.channels, after.subtype) == (before.rate, before.channels, before.subtype)
    assert out.subtype == before.subtype
    assert abs(after.frames - before.frames) <= FRAME
    if extension not in ("avi", "ac3"):  # they cannot tell priming from sound
        assert after.frames == before.frames
        assert snr_db(decode(out.path), decode(source)) > LIKE_SOURCE_DB
    assert (before.frames, after.frames) == (decode(source).shape[1], decode(out.path).shape[1])
    assert abs(after.bit_rate / before.bit_rate - 1) < 0.1
    assert sorted(tmp_path.iterdir()) == [source, out.path]


@pytest.mark.parametrize("rate", [16000, 24000, 48000])
@pytest.mark.parametrize(
    ("extension", "encoder"),
    [("webm", "libopus"), ("mka", "libopus"), ("mp4", "libopus"), ("mka", "libmp3lame"), ("avi", "libmp3lame")],
)
def test_lossy_audio_stays_aligned(extension: str, encoder: str, rate: int, tmp_path: Path) -> None:
    hiss = np.random.default_rng(0).standard_normal((1, SIZE)).astype(np.float32) / 10
    source = encode(tmp_path / f"a.{extension}", encoder, hiss, rate)
    out = copy(source, tmp_path / f"b.{extension}")
    before, after = decode(source)[0], decode(out.path)[0]
    assert before.size == after.size
    spectra = np.fft.rfft(after, 2 * after.size) * np.fft.rfft(before, 2 * before.size).conj()
    assert np.argmax(np.fft.irfft(spectra)) == 0  # the lag at which they are most alike


@pytest.mark.parametrize(
    ("extension", "encoder"), [("m4a", "aac"), ("mov", "aac"), ("webm", "libopus"), ("mkv", "aac")]
)
def test_audio_starts_where_it_was_written(extension: str, encoder: str, tmp_path: Path) -> None:
    sound = chirp(1, SIZE)
    found = decode(encode(tmp_path / f"a.{extension}", encoder, sound))
    assert 0 <= found.shape[1] - SIZE <= FRAME
    assert snr_db(found, sound) > LIKE_SOURCE_DB


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1023, 1024, 1025, 8193])
@pytest.mark.parametrize(("extension", "encoder"), [("m4a", "aac"), ("m4a", "alac")])
def test_mp4_holds_any_number_of_samples(extension: str, encoder: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.{extension}"
    with PyavWriter(path, AudioFormat(48000, 2, size), encoder.removeprefix("lib")) as out:
        out.write(chirp(2, size))
    assert decode(path).shape == (2, size)  # both by decoding and by the packets' stated length
    assert probe(path).frames == size


@pytest.mark.parametrize("extension", ["mp4", "webm"])
@pytest.mark.parametrize("size", [1, 647, 648, 649, 8193])
def test_opus_is_never_shorter_than_the_audio_and_at_most_a_frame_longer(
    extension: str, size: int, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{extension}"
    with PyavWriter(path, AudioFormat(48000, 2, size), "OPUS") as out:
        out.write(chirp(2, size))
    assert 0 <= decode(path).shape[1] - size < 960
    assert probe(path).frames == decode(path).shape[1]


def test_repeated_copies_stay_aligned(tmp_path: Path) -> None:
    first = encode(tmp_path / "0.m4a", "aac", chirp(1, SIZE))
    for step in range(3):
        copy(tmp_path / f"{step}.m4a", tmp_path / f"{step + 1}.m4a")
    assert snr_db(decode(tmp_path / "3.m4a"), decode(first)) > LIKE_SOURCE_DB
    assert probe(tmp_path / "3.m4a").frames == probe(first).frames


def test_blocks_of_any_size_and_range_have_the_same_samples(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", "aac", chirp(2, SIZE))
    whole = decode(path)
    for size in (1, 1000, SIZE, SIZE + 1):
        parts = list(open_source(path).blocks(size, 0, 3000 if size == 1 else None))
        assert all(part.shape == (2, size) for part in parts[:-1])
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole[:, :3000] if size == 1 else whole)
    np.testing.assert_array_equal(decode(path, 700, start=1500, stop=20001), whole[:, 1500:20001])
    assert not list(open_source(path).blocks(700, start=SIZE + 5))


def test_a_gap_in_the_audio_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    sound = chirp(1, 48000)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48000, layout="mono")
        for at, place in ((0, 0), (24000, 72000)):  # nothing between 0.5 and 1.5 s
            frame = av.AudioFrame.from_ndarray(sound[:, at : at + 24000].copy(), "fltp", "mono")
            frame.rate, frame.pts, frame.time_base = 48000, place, Fraction(1, 48000)
            for packet in stream.encode(frame):
                packet.pts = packet.dts = place
                out.mux(packet)
    found = decode(path)
    assert found.shape == (1, 96000)
    assert not found[:, 24000:72000].any()
    np.testing.assert_allclose(found[:, 72000:], sound[:, 24000:], atol=2**-15)


def test_wav_becomes_m4a_and_back(tmp_path: Path) -> None:
    sound = chirp(2, SIZE, 44100)
    write(tmp_path / "a.wav", sound, 44100)
    facts = probe(tmp_path / "a.wav")
    with PyavWriter(tmp_path / "a.m4a", facts, copy_from=open_source(tmp_path / "a.wav")) as out:
        out.write(sound)
    made = probe(tmp_path / "a.m4a")
    assert (made.rate, made.channels, made.frames, made.subtype) == (44100, 2, SIZE, "AAC")
    with SoundfileWriter(tmp_path / "b.wav", made, copy_from=None) as back:
        for block in open_source(tmp_path / "a.m4a").blocks(5000):
            back.write(block)
    assert snr_db(read(tmp_path / "b.wav")[0], sound) > LIKE_SOURCE_DB


def test_depth_of_alac_is_that_of_the_wav_made_from_it(tmp_path: Path) -> None:
    for subtype, kept in (("ALAC_16", "PCM_16"), ("ALAC_24", "PCM_24")):
        with PyavWriter(tmp_path / "a.m4a", AudioFormat(48000, 1, SIZE, "", kept), "ALAC") as out:
            out.write(chirp(1, SIZE))
        facts = probe(tmp_path / "a.m4a")
        assert (out.subtype, facts.subtype) == (subtype, subtype)
        SoundfileWriter(tmp_path / "a.wav", facts).__exit__(None, None, None)
        assert probe(tmp_path / "a.wav").subtype == kept


def test_opus_at_44100_hz_becomes_48000_hz_and_no_shorter(tmp_path: Path) -> None:
    with PyavWriter(tmp_path / "a.webm", AudioFormat(44100, 1, 44100)) as out:
        for at in range(0, 44100, 441):
            out.write(chirp(1, 44100, 44100)[:, at : at + 441])
    assert (probe(tmp_path / "a.webm").rate, probe(tmp_path / "a.webm").frames) == (48000, 48000)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 8])
def test_the_order_of_channels_is_kept(channels: int, tmp_path: Path, rng: np.random.Generator) -> None:
    levels = np.linspace(0.05, 0.8, channels, dtype=np.float32)[:, None]
    with PyavWriter(tmp_path / "a.m4a", AudioFormat(48000, channels, 48000), "ALAC") as out:
        out.write(levels * rng.uniform(-1, 1, (channels, 48000)).astype(np.float32))
    found = decode(tmp_path / "a.m4a")
    np.testing.assert_allclose(np.sqrt((found**2).mean(axis=1)) * np.sqrt(3), levels[:, 0], rtol=0.03)


def test_memory_stays_bounded_whatever_the_length(tmp_path: Path) -> None:
    path = tmp_path / "long.m4a"
    second = chirp(2, 48000)
    with PyavWriter(path, AudioFormat(48000, 2, 0), "AAC") as out:
        for _ in range(40):
            out.write(second)
    tracemalloc.start()
    count = sum(block.shape[1] for block in open_source(path).blocks(48000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40 * 48000
    assert peak < 5e6  # the whole is 15 MB


def test_pyav_reads_only_what_libsndfile_does_not() -> None:
    assert not pyav.EXTENSIONS & {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".caf"}


@pytest.mark.parametrize(("extension", "encoder"), [("m4a", "aac"), ("mka", "flac"), ("wma", "wmav2")])
def test_a_file_is_recognised_by_its_first_bytes(extension: str, encoder: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{extension}"
    encode(path, encoder, chirp(1, 9000))
    expected = decode(path)
    for name in ("a", "a.wav", "a.mp3"):
        path = path.rename(tmp_path / name)
        assert probe(path).frames == expected.shape[1]
        assert np.array_equal(decode(path), expected)


@pytest.mark.parametrize("name", ["a.m4a", "a.mp4", "a.aac"])
def test_a_wav_of_any_name_needs_no_pyav(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.wav", chirp(1, 9000), 48000)
    monkeypatch.setitem(sys.modules, "av", None)
    path = (tmp_path / "a.wav").rename(tmp_path / name)
    assert probe(path).frames == 9000


def test_without_pyav_the_install_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(tmp_path / "a.m4a", "aac", chirp(1, 9000))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match=r"unhiss\[media\]"):
        probe(tmp_path / "a.m4a")
    with pytest.raises(MissingExtra, match=r"unhiss\[media\]"):
        PyavWriter(tmp_path / "a.m4a", AudioFormat(48000, 1, 0))
