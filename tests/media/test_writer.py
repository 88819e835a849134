"""16-bit WAV files in memory, and the choice of a writer."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from unhiss.media.source import READABLE
from unhiss.media.writer import WRITABLE, holds_video, wav_bytes


@pytest.mark.parametrize("size", [0, 1, 255, 8193])
@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_samples_are_read_back_to_the_nearest_step(
    tmp_path: Path, rng: np.random.Generator, size: int, rate: int
) -> None:
    audio = rng.uniform(-0.999, 0.999, size).astype(np.float32)
    samples, wav_rate = soundfile.read(io.BytesIO(wav_bytes(audio, rate)))
    assert wav_rate == rate
    assert samples == pytest.approx(audio, abs=0.5001 / 32768)
    soundfile.write(tmp_path / "a.wav", audio, rate, "PCM_16")
    written, _ = soundfile.read(tmp_path / "a.wav")
    assert np.abs(samples - written).max(initial=0) <= 1 / 32768, "libsndfile rounds down"


def test_samples_beyond_full_scale_are_clipped() -> None:
    samples, _ = soundfile.read(io.BytesIO(wav_bytes(np.array([-3, -1, 1, 3], np.float32), 8000)), dtype="int16")
    assert samples.tolist() == [-32768, -32768, 32767, 32767]


def test_what_is_written_can_be_read() -> None:
    assert WRITABLE < READABLE
    assert {".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".mp4", ".mkv", ".webm"} <= WRITABLE
    assert all(name == name.lower() and name.startswith(".") for name in READABLE)


@pytest.mark.parametrize(("name", "video"), [("a.MP4", True), ("a.mkv", True), ("a.m4a", False), ("a.wav", False)])
def test_only_video_files_hold_video(name: str, video: bool) -> None:
    assert holds_video(Path(name)) is video
