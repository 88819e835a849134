"""`unhiss.read` and `unhiss.write`: file objects and bytes as paths, samples of every type, and what clips."""

from __future__ import annotations

import io
import os
import tempfile
import threading
import urllib.request
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pytest
import soundfile

import unhiss
from unhiss.errors import AudioError, ConfigError, UnhissError
from unhiss.media.formats import AudioFormat
from unhiss.media.source import TooLongError

FORMATS = ["wav", "flac", "ogg", "opus", "mp3", "m4a", "mka", "mp4"]


class Forward(io.RawIOBase):
    """A file object that only reads on, as a socket does."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(memoryview(buffer)[:997])  # as many bytes as it likes


def bits(values: np.ndarray, subtype: str, container: str = "WAV") -> np.ndarray:
    """What soundfile itself writes, read back as 32-bit integers."""
    buffer = io.BytesIO()
    soundfile.write(buffer, values.T, 16000, subtype, format=container)
    return soundfile.read(io.BytesIO(buffer.getvalue()), dtype="int32", always_2d=True)[0].T


@pytest.mark.parametrize("dtype", ["int16", "int32"])
@pytest.mark.parametrize(
    ("container", "subtype"),
    [*((name, f"PCM_{bits}") for name in ("WAV", "AIFF") for bits in (16, 24, 32)), ("FLAC", "PCM_16"),
     ("FLAC", "PCM_24")],
)  # fmt: skip
def test_integers_are_written_bit_by_bit_as_soundfile_writes_them(
    dtype: str, container: str, subtype: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    info = np.iinfo(dtype)
    values = rng.integers(info.min, info.max, (2, 5000), endpoint=True, dtype=np.int64).astype(dtype)
    values[:, :2] = info.min, info.max
    if container == "FLAC":  # where floats are rounded to the nearest step, and integers down
        excess = max(0, 8 * values.itemsize - int(subtype[-2:]))
        values = values >> excess << excess
    path = tmp_path / f"y.{container.lower()}"
    unhiss.write(path, values, 16000, subtype)
    written, _ = soundfile.read(path, dtype="int32", always_2d=True)
    np.testing.assert_array_equal(written.T, bits(values, subtype, container))


def test_every_16_bit_sample_survives_the_default_coding(tmp_path: Path) -> None:
    values = np.arange(-(2**15), 2**15).astype(np.int16)
    unhiss.write(tmp_path / "y.wav", values, 16000)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "y.wav", dtype="int16")[0], values)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_integers_in_a_float_file_are_within_full_scale(subtype: str, tmp_path: Path) -> None:
    unhiss.write(tmp_path / "y.wav", np.array([-(2**15), 2**14], np.int16), 16000, subtype)
    assert soundfile.read(tmp_path / "y.wav")[0].tolist() == [-1, 0.5]


@pytest.mark.parametrize("extension", ["wav", "flac", "m4a"])
def test_samples_beyond_full_scale_are_clipped_with_a_warning_that_counts_them(extension: str, tmp_path: Path) -> None:
    audio = np.concatenate([np.full(3, 2.0), np.full(2, -4.0), np.zeros(5000)])
    like = {"m4a": "ALAC_16"}.get(extension)
    with pytest.warns(UserWarning, match=r"5 samples above full scale \(peak \+12\.0 dBFS\) are clipped by") as caught:
        unhiss.write(tmp_path / f"y.{extension}", audio, 16000, like)
    assert Path(caught[0].filename).samefile(__file__), "the warning names the line of the caller"
    samples, _ = unhiss.read(tmp_path / f"y.{extension}")
    np.testing.assert_allclose(samples[:6], [1, 1, 1, -1, -1, 0], atol=2**-14)


@pytest.mark.parametrize(("mode", "first"), [("rescale", [0.5, -1, 0]), ("none", [1, -1, 0])])
def test_samples_beyond_full_scale_are_rescaled_or_clipped_by_option(
    mode: str, first: list[float], tmp_path: Path
) -> None:
    unhiss.write(tmp_path / "y.wav", [2.0, -4.0, 0.0], 16000, clip_mode=mode)
    np.testing.assert_allclose(unhiss.read(tmp_path / "y.wav")[0], first, atol=2**-14)


@pytest.mark.parametrize(("extension", "subtype"), [("wav", "FLOAT"), ("ogg", None), ("m4a", None)])
def test_a_coding_that_can_exceed_full_scale_gives_no_warning(
    extension: str, subtype: str | None, tmp_path: Path
) -> None:
    unhiss.write(tmp_path / f"y.{extension}", 1.5 * np.sin(np.arange(8000) / 9), 16000, subtype)


def test_full_scale_itself_does_not_clip(tmp_path: Path) -> None:
    unhiss.write(tmp_path / "y.wav", np.array([1.0, -1.0, 1 + 1e-12]), 16000)


@pytest.mark.parametrize("extension", FORMATS)
def test_bytes_and_file_objects_are_read_as_their_file_is(
    extension: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / f"a.{extension}"
    unhiss.write(path, rng.uniform(-0.5, 0.5, (2, 9000)), 48000)
    expected, rate = unhiss.read(path)
    data = path.read_bytes()
    after_junk = io.BytesIO(b"junk" + data)
    after_junk.seek(4)
    with path.open("rb") as file, tempfile.SpooledTemporaryFile() as upload:
        upload.write(data)
        upload.seek(0)
        sources = [data, bytearray(data), memoryview(data), io.BytesIO(data), Forward(data), after_junk, file, upload]
        for source in sources:
            audio, source_rate = unhiss.read(cast(BinaryIO, source))
            assert source_rate == rate
            np.testing.assert_array_equal(audio, expected)
        assert not file.closed, "a file object is the caller's to close"


def test_pipes_members_of_archives_and_responses_are_read(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.flac"
    unhiss.write(path, rng.uniform(-0.5, 0.5, 90_000), 16000)
    expected, _ = unhiss.read(path)
    reader, writer = os.pipe()

    def send() -> None:
        with os.fdopen(writer, "wb") as file:
            file.write(path.read_bytes())

    thread = threading.Thread(target=send)
    thread.start()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.flac")
    with (
        os.fdopen(reader, "rb") as pipe,
        zipfile.ZipFile(tmp_path / "a.zip") as archive,
        archive.open("a.flac") as member,
        urllib.request.urlopen(path.as_uri()) as response,
    ):
        for source in (pipe, member, response):
            np.testing.assert_array_equal(unhiss.read(source)[0], expected)
    thread.join()


@pytest.mark.parametrize("extension", FORMATS)
def test_a_file_object_gets_the_bytes_of_the_file(extension: str, tmp_path: Path, rng: np.random.Generator) -> None:
    audio = rng.uniform(-0.5, 0.5, (2, 9000))
    unhiss.write(tmp_path / f"a.{extension}", audio, 48000)
    expected, _ = unhiss.read(tmp_path / f"a.{extension}")
    buffer = io.BytesIO()
    unhiss.write(buffer, audio, 48000, format=extension.upper())
    np.testing.assert_array_equal(unhiss.read(buffer.getvalue())[0], expected)
    with (tmp_path / f"b.{extension}").open("wb") as file:  # its name states the format
        unhiss.write(file, audio, 48000)
    np.testing.assert_array_equal(unhiss.read(tmp_path / f"b.{extension}")[0], expected)


def test_an_existing_file_is_replaced_as_soundfile_replaces_it(tmp_path: Path) -> None:
    for value in (0.25, 0.5):
        unhiss.write(tmp_path / "a.wav", np.full(10, value), 16000)
    assert unhiss.read(tmp_path / "a.wav")[0][0] == 0.5


def test_a_file_object_is_untouched_by_a_recording_that_cannot_be_written() -> None:
    buffer = io.BytesIO(b"as it was")
    with pytest.raises(AudioError, match="no coding 'FOO'"):
        unhiss.write(buffer, np.zeros(10), 16000, "FOO", format="wav")
    assert buffer.getvalue() == b"as it was"


def test_file_objects_leave_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    buffer = io.BytesIO()
    unhiss.write(buffer, np.zeros(10), 16000, format="wav")
    unhiss.read(buffer.getvalue())
    with pytest.raises(AudioError):
        unhiss.read(b"no recording")
    assert not list(tmp_path.iterdir())


class Upload:
    """As those of Starlette and FastAPI are."""

    filename = "a.wav"

    async def read(self, size: int = -1) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (3, "source = 3; expected a path, the bytes of a file, or a file object"),
        (None, "source = None; expected a path"),
        ("", "source = ''; expected a path"),
        (b"", "the recording: 0 bytes, not a recording"),
        (b"no recording", "the recording: not a readable recording"),
        (io.BytesIO(b"no recording"), "the file object: not a readable recording"),
        (io.StringIO("text"), "the file object: no bytes can be read from it"),
        (Upload(), r"its read\(\) is asynchronous; give the file inside, such as upload.file"),
    ],
)
def test_a_source_that_cannot_be_read_is_named_and_no_temporary_file(source: Any, line: str) -> None:
    with pytest.raises(UnhissError, match=line) as error:
        unhiss.read(source)
    assert tempfile.gettempdir() not in str(error.value)


@pytest.mark.parametrize("form", [bytes, io.BytesIO])
def test_a_warning_names_the_source_that_was_given_and_no_temporary_file(form: Any) -> None:
    buffer = io.BytesIO()
    unhiss.write(buffer, np.zeros(9000), 16000, format="WAV")
    with pytest.warns(UserWarning, match="truncated") as said:
        unhiss.read(form(buffer.getvalue()[:-200]))
    name = "the recording" if form is bytes else "the file object"
    assert [str(warning.message).partition(": truncated")[0] for warning in said] == [name]


def test_a_closed_file_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO(b"RIFF")
    file.close()
    with pytest.raises(AudioError, match=r"no bytes can be read from it .*closed"):
        unhiss.read(file)
    with pytest.raises(AudioError, match=r"cannot be written .*closed"):
        unhiss.write(file, np.zeros(3), 16000, format="wav")


@pytest.mark.parametrize(
    ("target", "options", "line"),
    [
        (3, {}, "target = 3; expected a path, or a file object"),
        (None, {}, "target = None; expected a path"),
        (io.BytesIO(), {}, "format = None, .* give format='WAV'"),
        (io.StringIO(), {"format": "wav"}, "open for text; open it in binary mode"),
        (io.BytesIO(), {"format": "wva"}, "format = 'wva'; did you mean"),
        (io.BytesIO(), {"format": 3}, "format = 3; expected a name"),
        ("y.flac", {"format": "wav"}, "format = 'wav', and the extension of y.flac states another format"),
        ("y.wav", {"subtype": 3}, "subtype = 3; expected a coding"),
        ("y.wav", {"clip_mode": "loud"}, "clip_mode = 'loud'; expected one of clip, rescale, none"),
        ("y.wav", {"rate": "16k"}, "rate = '16k'; expected a whole number of Hz"),
        ("y.wav", {"rate": 16000.5}, "rate = 16000.5; expected a whole number of Hz"),
        ("y.wav", {"audio": np.zeros((100, 2))}, r"looks like \(T, C\)"),
    ],
)
def test_wrong_arguments_of_write_are_refused_by_name(
    target: Any, options: dict[str, Any], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnhissError, match=line):
        unhiss.write(target, **{"audio": np.zeros(10), "rate": 16000, **options})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", ["5", float("nan"), True])
def test_a_length_limit_is_a_number(seconds: Any) -> None:
    with pytest.raises(ConfigError, match="max_seconds = "):
        unhiss.read(b"", seconds)


def test_the_length_limit_holds_for_file_objects() -> None:
    buffer = io.BytesIO()
    unhiss.write(buffer, np.zeros(16000), 16000, format="flac")
    with pytest.raises(TooLongError, match=r"the recording: 1\.00 s long, expected 0\.5 s at most") as error:
        unhiss.read(buffer.getvalue(), 0.5)
    assert error.value.seconds == 1


def test_denoise_file_takes_file_objects(rng: np.random.Generator, tmp_path: Path) -> None:
    audio = rng.integers(-9000, 9000, (2, 9000)).astype(np.int16)
    unhiss.write(tmp_path / "noisy.flac", audio, 16000)
    unhiss.denoise_file(tmp_path / "noisy.flac", tmp_path / "clean.flac")
    noisy, clean = io.BytesIO((tmp_path / "noisy.flac").read_bytes()), io.BytesIO()
    report = unhiss.denoise_file(noisy, clean, format="flac")
    assert (report.source, report.target, report.channels) == ("the file object", "the file object", 2)
    assert clean.getvalue() == (tmp_path / "clean.flac").read_bytes()
    with (tmp_path / "named.wav").open("wb") as file:
        report = unhiss.denoise_file(noisy.getvalue(), file)
    assert report.target == str(tmp_path / "named.wav")
    assert soundfile.info(tmp_path / "named.wav").subtype == "PCM_16"
    assert AudioFormat(16000, 2, 9000).seconds == report.seconds
