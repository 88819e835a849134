"""A written file has the bit rate, the length, the alignment and the tags of its source."""

from __future__ import annotations

import base64
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import tagged

from unhiss.errors import AudioError
from unhiss.media import bitrates
from unhiss.media.formats import AudioFormat
from unhiss.media.soundfile_writer import SoundfileWriter
from unhiss.media.source import open_source, read
from unhiss.media.writer import write

MAX_ERROR = 0.10  # of the bit rate
PADDING = 1000  # bytes that libsndfile leaves free behind the tags of an Opus file
MAX_LAG = 2  # samples by which a lossy coding may shift
LOSSY: list[tuple[str, str, str, str | None, float]] = [
    ("mp3", "MP3", "MPEG_LAYER_III", mode, level)
    for mode, level in [("CONSTANT", 0.5), ("CONSTANT", 0.9), ("AVERAGE", 0.8), ("VARIABLE", 0.2), ("VARIABLE", 0.9)]
]
LOSSY += [("ogg", "OGG", "VORBIS", None, level) for level in (0.2, 0.6, 0.9)]
LOSSY += [("opus", "OGG", "OPUS", None, level) for level in (0.6, 0.9)]


def probe(path: Path) -> AudioFormat:
    return open_source(path).format


def speechlike(channels: int, size: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Coloured noise in syllables of 0.2 s over a floor of noise, `(C, T)`."""
    noise = np.cumsum(rng.standard_normal((channels, size)), axis=1)
    noise = noise - np.roll(noise, rate // 200, axis=1)
    loud = np.repeat(rng.uniform(0, 1, size // (rate // 5) + 1) ** 2, rate // 5)[:size]
    sound = 0.2 * noise / np.abs(noise).max() * loud + 0.004 * rng.standard_normal((channels, size))
    return np.ascontiguousarray(sound, np.float32)


def with_pauses(audio: np.ndarray, rate: int) -> np.ndarray:
    """Half of each second almost silent, as speech is after denoising."""
    quiet = np.arange(audio.shape[1]) % rate < rate // 2
    return np.where(quiet, np.float32(1e-3), np.float32(1)) * audio


def lag(one: np.ndarray, other: np.ndarray) -> int:
    """By how many samples the other is delayed, from the cross-correlation."""
    size = 2 * one.size
    product = np.fft.rfft(other, size) * np.conj(np.fft.rfft(one, size))
    delay = int(np.argmax(np.fft.irfft(product, size)))
    return delay if delay < one.size else delay - size


@pytest.mark.parametrize(("extension", "form", "subtype", "mode", "level"), LOSSY)
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (48000, 2)])
def test_lossy_files_keep_bit_rate_length_and_alignment(
    extension: str, form: str, subtype: str, mode: str | None, level: float, rate: int, channels: int,
    tmp_path: Path, rng: np.random.Generator,
) -> None:  # fmt: skip
    source, target = tmp_path / f"a.{extension}", tmp_path / f"b.{extension}"
    noisy = speechlike(channels, 3 * rate + 77, rate, rng)
    sf.write(source, noisy.T, rate, subtype, format=form, compression_level=level, bitrate_mode=mode)
    facts = probe(source)
    audio = np.atleast_2d(read(source)[0])
    clean = with_pauses(audio, rate)
    with SoundfileWriter(target, facts, copy_from=open_source(source)) as out:
        for first in range(0, clean.shape[1], 10_000):
            out.write(clean[:, first : first + 10_000])
    written = np.atleast_2d(read(target)[0])
    assert written.shape == clean.shape
    assert abs(lag(clean[0], written[0])) <= MAX_LAG
    assert probe(target).bit_rate == pytest.approx(facts.bit_rate, rel=MAX_ERROR)
    assert abs(target.stat().st_size - source.stat().st_size) < MAX_ERROR * source.stat().st_size + PADDING
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((source.name, target.name))


def test_a_long_recording_gets_the_bit_rate_of_its_whole(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three seconds of excerpts, of 30 buffered, are the loud ones and mislead."""
    for name, seconds in (("_TRIAL_S", 3), ("_EXCERPT_S", 1), ("_BUFFER_S", 30)):
        monkeypatch.setattr(bitrates, name, seconds)
    source, target = tmp_path / "a.ogg", tmp_path / "b.ogg"
    noisy = speechlike(1, 32 * 8000, 8000, rng)
    write(source, noisy, 8000)
    loud = np.where(np.arange(noisy.shape[1]) % 80_000 < 10_000, np.float32(1), np.float32(0.002))
    with SoundfileWriter(target, probe(source)) as out:
        for first in range(0, noisy.shape[1], 7000):
            out.write((noisy * loud)[:, first : first + 7000])
    assert probe(target).frames == noisy.shape[1]
    assert probe(target).bit_rate == pytest.approx(probe(source).bit_rate, rel=MAX_ERROR)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("rate", "channels", "bit_rate", "expected_kbps"),
    [(48000, 2, 128_000, 128), (44100, 1, 320_000, 320), (48000, 2, 64_000, 64), (16000, 1, 40_000, 40),
     (8000, 1, 64_000, 64), (48000, 1, 56_000, None), (44100, 2, 56_000, None), (16000, 1, 24_000, None),
     (48000, 2, 144_000, None), (24000, 2, 144_000, 144)],
)  # fmt: skip
def test_mp3_is_constant_where_a_rate_is_near_and_has_room_for_the_delay(
    rate: int, channels: int, bit_rate: int, expected_kbps: int | None
) -> None:
    level = bitrates.constant_level(rate, channels, 10**9, bit_rate)
    assert (level is None) == (expected_kbps is None)
    if level and level[0] is not None:
        assert level[1] == "CONSTANT"
        most, least = {48000: (320, 32), 44100: (320, 32), 8000: (64, 8)}.get(rate, (160, 8))
        assert int(most - level[0] * (most - least)) == expected_kbps  # as libsndfile makes a rate of a level


@pytest.mark.parametrize("target", [-1.0, 0.0, 0.7, 3.0])
def test_solve_finds_where_a_rising_function_has_a_value(target: float) -> None:
    tried: list[float] = []

    def measure(x: float) -> float:
        tried.append(x)
        return 1.4 * x + 0.2 * math.sin(x) - 0.5

    x, y = bitrates.solve(measure, 0.3, target)
    assert abs(y - target) < 0.02
    assert measure(x) == y
    assert len(tried) <= 7


def test_solve_ends_with_the_nearest_value_if_the_target_is_out_of_reach() -> None:
    x, y = bitrates.solve(lambda x: min(1.0, x), 0.0, 5.0)
    assert (y, x >= 1.0) == (1.0, True)


@pytest.mark.parametrize("extension", ["mp3", "ogg", "opus"])
@pytest.mark.parametrize("size", [1, 2, 255, 1153])
def test_a_few_samples_of_silence_have_a_bit_rate_too(extension: str, size: int, tmp_path: Path) -> None:
    source, target = tmp_path / f"a.{extension}", tmp_path / f"b.{extension}"
    write(source, np.zeros((1, size), np.float32), 48000)
    with SoundfileWriter(target, probe(source), copy_from=open_source(source)) as out:
        out.write(np.zeros((1, size), np.float32))
    assert probe(target).frames == size


def test_an_exception_leaves_no_buffer(tmp_path: Path, rng: np.random.Generator) -> None:
    write(tmp_path / "a.ogg", speechlike(1, 9000, 8000, rng), 8000)
    with (
        pytest.raises(KeyboardInterrupt),
        SoundfileWriter(tmp_path / "b.ogg", probe(tmp_path / "a.ogg")) as out,
    ):
        out.write(np.zeros((1, 3), np.float32))
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.ogg"]


def test_pcm_has_no_bit_rate_to_keep(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", np.zeros(99, np.float32), 8000)
    assert probe(tmp_path / "a.wav").bit_rate == 0


def test_pictures_do_not_count_in_the_bit_rate(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.mp3"
    write(path, speechlike(1, 48000, 48000, rng), 48000)
    expected = probe(path).bit_rate
    assert expected == pytest.approx(8 * path.stat().st_size, abs=8)
    path.write_bytes(tagged.id3([(b"APIC", bytes(100_000))]) + path.read_bytes())
    assert probe(path).bit_rate == expected


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_tags_are_copied_once(extension: str, tmp_path: Path, rng: np.random.Generator) -> None:
    source, target = tmp_path / f"a.{extension}", tmp_path / f"b.{extension}"
    with sf.SoundFile(source, "w", 48000, 1, format=extension.upper()) as file:
        file.title, file.artist = "Only once", "Anna"
        file.write(speechlike(1, 4800, 48000, rng).T)
    with SoundfileWriter(target, probe(source), copy_from=open_source(source)) as out:
        out.write(np.zeros((1, 4800), np.float32))
    assert probe(target).tags == probe(source).tags
    assert (probe(target).tags["title"], probe(target).tags["artist"]) == (
        "Only once",
        "Anna",
    )
    assert target.read_bytes().count(b"Only once") == source.read_bytes().count(b"Only once")


def test_a_container_without_tags_holds_the_audio(tmp_path: Path) -> None:
    with SoundfileWriter(tmp_path / "a.xi", AudioFormat(44100, 1, 100, "XI", "DPCM_16", {"title": "T"})) as out:
        out.write(np.zeros((1, 100), np.float32))
    assert probe(tmp_path / "a.xi").frames == 100


@pytest.mark.parametrize("coding", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"])
def test_peaks_above_full_scale_are_clipped_in_every_integer_coding(coding: str, tmp_path: Path) -> None:
    sine = 1.9 * np.sin(np.arange(50_500) / 60).astype(np.float32)
    write(tmp_path / "a.wav", sine, 8000, coding, clip_mode="none")
    written = read(tmp_path / "a.wav")[0]
    assert written.size == sine.size
    np.testing.assert_allclose(written[200:], np.clip(sine, -1, 1)[200:], atol=0.2)  # ADPCM takes a while to follow
    assert sine[0] == 0
    assert np.abs(sine).max() > 1.8, "a caller's array is never written to"


def test_text_tags_are_copied_to_another_family(tmp_path: Path) -> None:
    source = tagged.sound(tmp_path / "a.flac", "FLAC", "PCM_16", size=100)
    source.write_bytes(tagged.with_flac_blocks(source.read_bytes(), [(4, tagged.comment_block([b"TITLE=T", b"X=Y"]))]))
    with SoundfileWriter(tmp_path / "b.wav", probe(source), copy_from=open_source(source)) as out:
        out.write(np.zeros((1, 100), np.float32))
    assert probe(tmp_path / "b.wav").tags == {"title": "T"}


def test_an_excerpt_keeps_tags_and_loses_markers(tmp_path: Path) -> None:
    source = tagged.sound(tmp_path / "a.wav", "WAV", "PCM_16", size=100)
    source.write_bytes(tagged.with_chunks(source.read_bytes(), [(b"cue ", bytes(28)), (b"iXML", b"<a/>")], []))
    with SoundfileWriter(tmp_path / "b.wav", probe(source), copy_from=open_source(source)) as out:
        out.write(np.zeros((1, 50), np.float32))
    assert [name for name, _ in tagged.read_chunks((tmp_path / "b.wav").read_bytes())] == [b"fmt ", b"data", b"iXML"]


def test_a_source_that_vanished_is_reported(tmp_path: Path) -> None:
    source = open_source(tagged.sound(tmp_path / "a.wav", "WAV", "PCM_16", size=100))
    with (
        pytest.raises(AudioError, match=r"a\.wav: cannot be read \(No such file"),
        SoundfileWriter(tmp_path / "b.wav", source.format, copy_from=source) as out,
    ):
        source.path.unlink()
        out.write(np.zeros((1, 100), np.float32))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", ["flac", "ogg", "opus", "mp3"])
def test_ffmpeg_finds_title_and_cover_in_the_copy(extension: str, tmp_path: Path, rng: np.random.Generator) -> None:
    av = pytest.importorskip("av")
    source, target = tmp_path / f"a.{extension}", tmp_path / f"b.{extension}"
    write(source, speechlike(2, 48000, 48000, rng), 48000)
    cover = b"\x89PNG\r\n\x1a\n" + bytes(90_000)
    source.write_bytes(covered(extension, source.read_bytes(), cover))
    with SoundfileWriter(target, probe(source), copy_from=open_source(source)) as out:
        out.write(speechlike(2, 48000, 48000, rng))
    with av.open(str(target)) as file:
        facts = {name.lower(): text for name, text in (file.metadata | file.streams.audio[0].metadata).items()}
        assert facts["title"] == "T"
        (picture,) = file.streams.video
        assert bytes(next(file.demux(picture))) == cover


def covered(extension: str, data: bytes, cover: bytes) -> bytes:
    picture = tagged.picture(cover)
    if extension == "flac":
        return tagged.with_flac_blocks(data, [(4, tagged.comment_block([b"TITLE=T"])), (6, picture)])
    if extension == "mp3":
        return tagged.id3([(b"TIT2", b"\3T"), (b"APIC", b"\0image/png\0\3\0" + cover)]) + data
    block = tagged.comment_block([b"TITLE=T", b"METADATA_BLOCK_PICTURE=" + base64.b64encode(picture)])
    mark, end = (b"OpusTags", b"") if extension == "opus" else (b"\x03vorbis", b"\1")
    return tagged.with_comment_packet(data, mark + block + end)
