"""Nothing is lost in silence: recordings that lie about themselves are read whole, or named, by every way in."""

from __future__ import annotations

import io
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from lying_files import Liar, by_pyav, decoded, whole
from lying_streams import liars

from unhiss.errors import AudioError, MissingExtra, UnhissError
from unhiss.infer.files import FileJob, FileOptions
from unhiss.media.file_objects import spool
from unhiss.media.source import open_source, read

LIARS = liars()
LIKE_INPUT = 1e-4  # of full scale: what one more pass of the same lossless coding changes, and more than it


def place(liar: Liar, folder: Path) -> Path:
    path = folder / f"a.{liar.suffix}"
    path.write_bytes(liar.data)
    return path


def check(liar: Liar, path: Path) -> None:
    """The samples are those of a full decode, and what is wrong is said. Only what FFmpeg cannot open is refused."""
    try:
        source = open_source(path)
        samples = source.read()
    except AudioError:
        assert liar.said
        assert liar.right <= 0 or liar.right < liar.slack, "samples that could be read were refused"
        return
    count = samples.shape[-1]
    assert abs(count - liar.right) <= liar.slack, (count, liar.right)
    assert count == source.frames or not source.exact_length
    if liar.exact is not None:
        np.testing.assert_array_equal(samples[: len(liar.exact)], liar.exact)
    assert bool(source.warnings) == liar.said, source.warnings


def test_there_are_hundreds_of_them() -> None:
    assert len(LIARS) >= 350
    assert len({liar.name for liar in LIARS}) == len(LIARS)


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: liar.name)
def test_no_sample_is_lost_in_silence(liar: Liar, tmp_path: Path) -> None:
    check(liar, place(liar, tmp_path))


def test_a_pipe_is_read_as_the_file_is(tmp_path: Path) -> None:
    for liar in LIARS:
        check(liar, spool(io.BytesIO(liar.data), tmp_path / "stdin.wav"))


def test_without_pyav_what_needs_it_is_named_with_the_line_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for liar in LIARS:
        path = place(liar, tmp_path)
        if not liar.media:
            check(liar, path)
            continue
        with pytest.raises(UnhissError if liar.said else MissingExtra) as refusal:
            open_source(path)
        assert "pip install 'unhiss[media]'" in str(refusal.value), liar.name


def test_strict_refuses_what_is_otherwise_said(tmp_path: Path) -> None:
    for liar in LIARS:
        path = place(liar, tmp_path)
        try:
            warnings = open_source(path).warnings
        except AudioError:
            continue
        if not warnings:
            assert open_source(path, strict=True).frames, liar.name
            continue
        with pytest.raises(AudioError, match="strict=True") as refusal:
            open_source(path, strict=True)
        assert "\n" not in str(refusal.value)


def test_in_place_never_costs_an_original(tmp_path: Path) -> None:
    for liar in LIARS:
        path = place(liar, tmp_path)
        try:
            job = FileJob(path, path, FileOptions(in_place=True))
            report = job.write(job.start_pass, "none", lambda part, seconds: None)
        except AudioError:
            assert path.read_bytes() == liar.data, liar.name
            assert liar.said or liar.suffix in ("dat", "ts"), liar.name  # which cannot be written
        else:
            assert not report.warnings or "not kept" in report.warnings[0], (liar.name, report.warnings)
            rate = open_source(path).rate
            assert report.seconds * rate >= (liar.right - 2 * liar.slack) * min(1, rate / 48000), liar.name


def test_the_warning_is_in_the_report_and_in_python(tmp_path: Path) -> None:
    data = whole("wav")
    path = tmp_path / "a.wav"
    path.write_bytes(data[:40] + bytes(4) + data[44:])
    job = FileJob(path, tmp_path / "b.wav", FileOptions())
    report = job.write(job.start_pass, "none", lambda part, seconds: None)
    said = "its header states 0 bytes of sound, and it holds 48,000; all that is there was read"
    assert report.warnings == (said,)
    with pytest.warns(UserWarning, match=said):
        samples, _ = read(path)
    assert samples.size == 24_000
    with pytest.raises(AudioError, match="header states 0 bytes"):
        read(path, strict=True)


@pytest.mark.parametrize(("kind", "order", "behind"), [("wav", "<I", 0), ("wav", "<I", 4096), ("aiff", ">I", 0)])
def test_a_size_of_32_bits_that_started_again_is_seen(kind: str, order: str, behind: int, tmp_path: Path) -> None:
    """A recorder wrote 5 GiB, and its header has that modulo 4 GiB. The file is sparse."""
    data, size = whole(kind), 5 << 30
    at = data.index({"wav": b"data", "aiff": b"SSND"}[kind])
    start = at + (8 if kind == "wav" else 16)
    extra = start - at - 8
    path = tmp_path / f"a.{kind}"
    note = b"LIST" + struct.pack("<I", behind - 8) + b"INFO" + bytes(behind - 12) if behind else b""
    with path.open("wb") as file:
        file.write(data[: at + 4] + struct.pack(order, (size + extra) % (1 << 32)) + data[at + 8 : start] + b"\1" * 99)
        file.truncate(start + size)
        file.seek(0, os.SEEK_END)
        file.write(note)
    source = open_source(path)
    assert source.frames == size // 2
    assert "5,368,709,120" in source.warnings[0]


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_file_may_hold_more_recordings_than_a_process_may_open_files(kind: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    sf.write(out, np.full(100, 0.5), 16000, format=kind)
    (tmp_path / "a.wav").write_bytes(out.getvalue() * 1100)
    assert open_source(tmp_path / "a.wav").read().shape == (110_000,)


def test_two_recordings_of_different_rates_in_one_file_are_refused(tmp_path: Path) -> None:
    data = whole("wav")
    other = data[:24] + struct.pack("<I", 8000) + data[28:]
    (tmp_path / "a.wav").write_bytes(data + other)
    with pytest.raises(AudioError, match=r"its rate or channels change at 1\.50 s; cut it there first"):
        open_source(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("form", "encoder", "rate"),
    [("ipod", "aac", 16000), ("mp4", "alac", 16000), ("tta", "tta", 16000), ("flv", "libmp3lame", 44100),
     ("wav", "adpcm_yamaha", 16000)],
)  # fmt: skip
def test_a_second_recording_that_is_not_read_is_said(form: str, encoder: str, rate: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(by_pyav(form, encoder, rate))
    alone = open_source(path)
    assert not alone.warnings
    path.write_bytes(by_pyav(form, encoder, rate) * 2)
    source = open_source(path)
    assert source.frames == alone.frames
    assert source.warnings == ["another recording stands behind it, which is not read"]
    with pytest.raises(AudioError, match="strict=True"):
        open_source(path, strict=True)


@pytest.mark.parametrize("kind", ["ogg", "flac"])
def test_a_part_of_several_recordings_is_that_part(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(whole(kind) * 3)
    everything = open_source(path).read()
    for start, stop in [(0, 100), (23_990, 24_010), (30_000, 60_000), (47_999, 48_001), (71_000, None)]:
        part = np.concatenate(list(open_source(path).blocks(997, start, stop)), axis=1)[0]
        np.testing.assert_allclose(part, everything[start:stop], atol=LIKE_INPUT)


def test_ffmpeg_finds_as_many_samples_in_a_chain(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    path.write_bytes(whole("ogg") * 3)
    assert abs(open_source(path).frames - decoded(path.read_bytes())) < 3 * 512
