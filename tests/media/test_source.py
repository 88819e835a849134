"""Reading and writing every format of libsndfile: exact length, alignment, and no incomplete files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from unhiss.errors import AudioError
from unhiss.media import formats
from unhiss.media.formats import FORMATS, AudioFormat
from unhiss.media.source import TooLongError, open_source, read
from unhiss.media.writer import open_writer, write

COMBINATIONS = [(form, coding) for form in sorted(FORMATS) for coding in sf.available_subtypes(form)]
LOSSLESS = {"PCM_16": 2**-15, "PCM_24": 2**-23, "PCM_32": 2**-23, "FLOAT": 0, "DOUBLE": 0, "ALAC_16": 2**-15}
EXACT = ["wav", "flac", "ogg", "opus", "mp3", "aiff", "au", "caf", "w64", "rf64"]  # the common formats


def probe(path: Path) -> AudioFormat:
    return open_source(path).format


def sound(channels: int, size: int, rng: np.random.Generator) -> np.ndarray:
    shape = (size,) if channels == 1 else (channels, size)
    return rng.uniform(-0.5, 0.5, shape).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("form", "coding"), COMBINATIONS)
def test_a_format_holds_what_was_written_or_is_refused(
    form: str, coding: str, channels: int, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / f"a.{form.lower()}"
    like = AudioFormat(8000, channels, 4097, form, coding)
    noise = sound(channels, 4097, rng)
    try:
        with open_writer(path, like) as file:
            file.write(np.atleast_2d(noise))
    except AudioError as error:
        assert "try .wav" in str(error)
        assert not list(tmp_path.iterdir())
        return
    samples, rate = read(path)
    assert (samples.shape, samples.dtype, rate) == (noise.shape, np.float32, 8000)
    assert list(tmp_path.iterdir()) == [path]
    if probe(path).subtype in LOSSLESS and coding in LOSSLESS:
        np.testing.assert_allclose(samples, noise, atol=LOSSLESS[coding])


@pytest.mark.parametrize("extension", EXACT)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("size", [1, 255, 256, 257, 8193])
def test_common_formats_keep_the_exact_length(
    extension: str, channels: int, size: int, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / f"a.{extension}"
    write(path, sound(channels, size, rng), 48000)
    assert read(path)[0].shape[-1] == probe(path).frames == size


@pytest.mark.parametrize("extension", [form for form in EXACT if form not in ("flac", "opus", "mp3")])
def test_an_empty_recording_is_valid(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{extension}"
    write(path, np.zeros((2, 0), np.float32), 44100)
    samples, rate = read(path)
    assert (samples.shape, rate) == ((2, 0), 44100)


@pytest.mark.parametrize("extension", ["flac", "opus", "mp3"])
def test_a_format_that_cannot_hold_an_empty_recording_is_refused(extension: str, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"cannot hold an empty recording; try \.wav"):
        write(tmp_path / f"a.{extension}", np.zeros(0, np.float32), 48000)
    assert not list(tmp_path.iterdir())


def test_blocks_add_up_to_the_recording(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.wav"
    write(path, sound(2, 8193, rng), 16000, "FLOAT")
    whole, _ = read(path)
    for size in (1000, 8193, 8194):
        parts = list(open_source(path).blocks(size))
        assert all(part.shape[1] == size for part in parts[:-1])
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("kind", ["wav", "flac", "aiff", "ogg", "opus", "mp3", "mp3 without a delay", "adpcm"])
def test_a_range_has_the_samples_of_a_complete_pass(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / f"a.{kind[:4].strip() if kind != 'adpcm' else 'wav'}"
    coding = {"adpcm": "IMA_ADPCM"}.get(kind)
    level, mode = (0.95, "CONSTANT") if "without" in kind else (None, None)
    form = "OGG" if kind == "opus" else path.suffix[1:].upper()
    coding = "OPUS" if kind == "opus" else coding
    sf.write(path, sound(2, 130_000, rng).T, 48000, coding, format=form, compression_level=level, bitrate_mode=mode)
    whole, _ = read(path)
    for start, stop in [(0, 7), (1, 2), (4999, 60_001), (99_999, 110_000), (100_000, None), (70_000, 10**9), (5, 5)]:
        parts = list(open_source(path).blocks(4096, start, stop))
        samples = np.concatenate([whole[:, :0], *parts], axis=1)
        np.testing.assert_allclose(samples, whole[:, start:stop], atol=1e-6)  # decoders round a little differently
    assert not list(open_source(path).blocks(4096, whole.shape[1])) + list(open_source(path).blocks(4096, 10**9))


def test_a_recording_longer_than_allowed_is_refused_with_its_length(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.wav"
    write(path, sound(1, 24_000, rng), 8000)
    assert read(path, max_seconds=3.0)[0].size == 24_000
    with pytest.raises(TooLongError, match=r"expected 2\.9 s at most") as refusal:
        read(path, max_seconds=2.9)
    assert refusal.value.seconds == 3.0


def test_loud_samples_are_clipped_and_never_wrap(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", np.array([1.5, -1.5, 1.0], np.float32), 8000, clip_mode="none")
    samples, _ = read(tmp_path / "a.wav")
    np.testing.assert_allclose(samples, [1, -1, 1], atol=2**-14)


def test_tags_coding_and_kind_of_a_recording_are_kept(tmp_path: Path) -> None:
    tags = {"title": "Õhtu", "artist": "Anna", "comment": "two\nlines", "date": "2020"}
    like = AudioFormat(48000, 2, 10, "WAVEX", "PCM_24", tags)
    for name in ("a.wav", "a.flac", "a.ogg"):
        with open_writer(tmp_path / name, like) as file:
            file.write(np.zeros((2, 10), np.float32))
        assert probe(tmp_path / name).tags == tags
    assert (probe(tmp_path / "a.wav").container, probe(tmp_path / "a.wav").subtype) == (
        "WAVEX",
        "PCM_24",
    )
    assert probe(tmp_path / "a.flac").subtype == "PCM_24"


@pytest.mark.parametrize(
    ("source", "extension", "expected"),
    [("FLOAT", ".flac", "PCM_24"), ("DOUBLE", ".wav", "DOUBLE"),
     ("PCM_32", ".mp3", "MPEG_LAYER_III"),
     ("VORBIS", ".wav", "PCM_16"), ("PCM_16", ".opus", "OPUS"), ("PCM_24", ".wav", "PCM_24"),
     ("", ".flac", "PCM_16")],
)  # fmt: skip
def test_a_coding_that_the_target_lacks_becomes_the_nearest(source: str, extension: str, expected: str) -> None:
    form = formats.container_of(Path("a" + extension))
    assert form
    assert formats.nearest_coding(form, extension, source) == expected


def test_a_coding_required_by_name_is_used_or_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", np.zeros(9, np.float32), 8000, "PCM_U8")
    assert probe(tmp_path / "a.wav").subtype == "PCM_U8"
    with pytest.raises(AudioError, match=r"b\.flac: FLAC has no coding 'FLOAT'; known: PCM_16, PCM_24, PCM_S8"):
        write(tmp_path / "b.flac", np.zeros(9, np.float32), 8000, "FLOAT")


def test_more_than_4_gb_becomes_a_64_bit_wav() -> None:
    assert formats.large_container("WAV", "PCM_16", 6 * 48000 * 3 * 3600) == "RF64"
    assert formats.large_container("WAV", "PCM_16", 2 * 48000 * 3 * 3600) == "WAV"
    assert formats.large_container("FLAC", "PCM_24", 10**10) == "FLAC"


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    write(tmp_path / "link.wav", np.zeros(5, np.float32), 8000)
    assert (tmp_path / "link.wav").is_symlink()
    assert probe(tmp_path / "real.wav").frames == 5


def test_an_exception_while_writing_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write(path, np.zeros(7, np.float32), 8000)
    with pytest.raises(KeyboardInterrupt), open_writer(path, AudioFormat(8000, 1, 9)) as file:
        file.write(np.zeros((1, 3), np.float32))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [path]
    assert probe(path).frames == 7


def test_a_pipe_is_refused_and_nothing_of_it_is_taken(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="is a pipe, which can be read only once"):
        read(tmp_path / "a.wav")
