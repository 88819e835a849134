"""A loudness target: files and arrays have it, by one gain, as FFmpeg's meter measures; else a warning says why."""

from __future__ import annotations

import errno
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from ffmpeg_meter import ffmpeg_loudness

import unhiss
from unhiss.dsp.resampling import resample
from unhiss.errors import AudioError, ConfigError
from unhiss.infer import loudness as module
from unhiss.infer.denoiser import Denoiser
from unhiss.infer.files import FileReport

Make = Callable[..., Path]
RATE = 16_000
METER = 0.03  # LU: FFmpeg's bins of 0.01, and its filter at 16 kHz for sounds below 3 kHz
STEP = 2.0**-15  # of 16 bits


def speech_like(rng: np.random.Generator, channels: int = 1, seconds: int = 6, rate: int = RATE) -> np.ndarray:
    """Noise below 3 kHz that swells and pauses, at about -38 LUFS; channels differ in level."""
    noise = resample(rng.standard_normal((channels, seconds * 6000)).astype(np.float32), 6000, rate)
    swell = np.maximum(0, np.sin(2 * np.pi * np.arange(noise.shape[1]) / rate / 1.5)) + 0.01
    audio: np.ndarray = (0.02 * swell * noise * np.linspace(1, 0.5, channels)[:, None]).astype(np.float32)
    return audio


@pytest.fixture
def denoiser(frame_model: Make) -> Denoiser:
    return Denoiser(frame_model(offset=-0.1))


def denoised(denoiser: Denoiser, folder: Path, audio: np.ndarray, **options: Any) -> tuple[np.ndarray, FileReport]:
    """The output of a file of floats, `(C, T)`, and the report."""
    sf.write(folder / "noisy.wav", audio.T, RATE, "FLOAT")
    options.setdefault("target", folder / "clean.wav")
    report = denoiser.file(folder / "noisy.wav", force=True, **options)
    out, _ = sf.read(options["target"], dtype="float32", always_2d=True)
    return out.T, report


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("target", [-16, -23.0, -45.5])
def test_a_file_gets_the_loudness_by_one_gain(
    target: float, channels: int, denoiser: Denoiser, tmp_path: Path, rng: np.random.Generator
) -> None:
    audio = speech_like(rng, channels)
    plain, _ = denoised(denoiser, tmp_path, audio)
    out, report = denoised(denoiser, tmp_path, audio, loudness_lufs=target)
    lufs, peak = ffmpeg_loudness(resample(out, RATE, 48_000), 48_000)
    assert lufs == pytest.approx(target, abs=METER)
    assert report.gain_db is not None and report.output_dbtp is not None
    assert (report.output_lufs, report.warnings) == (pytest.approx(lufs, abs=METER), ())
    assert 10 ** (report.output_dbtp / 20) == pytest.approx(peak, rel=0.02, abs=6e-4)
    np.testing.assert_allclose(out, plain * 10 ** (report.gain_db / 20), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "options",
    [{"rate": 44_100}, {"start_s": 1.5, "end_s": 4.25}, {"clip_mode": "rescale"}, {"subtype": "PCM_16"}],
)
def test_the_loudness_is_that_of_the_file_as_it_is_written(
    options: dict[str, Any], denoiser: Denoiser, tmp_path: Path, rng: np.random.Generator
) -> None:
    out, report = denoised(denoiser, tmp_path, speech_like(rng, 2), loudness_lufs=-20, **options)
    assert ffmpeg_loudness(resample(out, report.rate, 48_000), 48_000)[0] == pytest.approx(-20, abs=METER)
    assert report.seconds == pytest.approx(options.get("end_s", 6) - options.get("start_s", 0), abs=1e-3)


@pytest.mark.parametrize("mix", [0.5, 0.0])
def test_what_is_measured_is_the_mixed_output(
    mix: float, frame_model: Make, tmp_path: Path, rng: np.random.Generator
) -> None:
    denoiser = Denoiser(frame_model(offset=-0.3), mix=mix)
    out, _ = denoised(denoiser, tmp_path, speech_like(rng), loudness_lufs=-20)
    assert ffmpeg_loudness(resample(out, RATE, 48_000), 48_000)[0] == pytest.approx(-20, abs=METER)


def test_peaks_hold_the_gain_back_and_a_warning_says_what_was_reached(
    denoiser: Denoiser, tmp_path: Path, rng: np.random.Generator
) -> None:
    audio = speech_like(rng, 2)
    audio[0, 20_000:20_040] += 0.9 * np.hanning(40).astype(np.float32)
    out, report = denoised(denoiser, tmp_path, audio, loudness_lufs=-16, subtype="PCM_16")
    lufs, peak = ffmpeg_loudness(resample(out, RATE, 48_000), 48_000)
    assert peak == pytest.approx(10 ** (-1 / 20), rel=0.01)
    assert report.output_lufs == pytest.approx(lufs, abs=METER) and lufs < -20
    assert report.warnings[0].startswith(f"loudness {report.output_lufs:.1f} LUFS in place of -16: its peaks reach -1")
    assert len(report.warnings) == 1  # nothing was clipped


@pytest.mark.parametrize(
    ("audio", "why"),
    [
        (np.zeros((2, 3 * RATE)), "nothing is above -70 LUFS"),
        (np.full((1, RATE // 3), 0.1), "shorter than 400 ms"),
        (np.zeros((1, 0)), "shorter than 400 ms"),
    ],
)
def test_without_loudness_the_level_stays(audio: np.ndarray, why: str, denoiser: Denoiser, tmp_path: Path) -> None:
    plain, _ = denoised(denoiser, tmp_path, audio)
    out, report = denoised(denoiser, tmp_path, audio, loudness_lufs=-16)
    np.testing.assert_array_equal(out, plain)
    assert (report.gain_db, report.output_lufs) == (0.0, None)
    assert report.warnings == (f"no loudness to measure ({why}): the level stays as it is",)


def test_without_a_target_nothing_is_measured(denoiser: Denoiser, tmp_path: Path, rng: np.random.Generator) -> None:
    _, report = denoised(denoiser, tmp_path, speech_like(rng))
    assert (report.output_lufs, report.output_dbtp, report.gain_db) == (None, None, None)


@pytest.mark.parametrize("channels", [1, 2])
def test_an_array_gets_the_loudness_a_file_gets(
    channels: int, frame_model: Make, tmp_path: Path, rng: np.random.Generator
) -> None:
    path, audio = frame_model(offset=-0.1), speech_like(rng, channels)
    expected, _ = denoised(Denoiser(path), tmp_path, audio, loudness_lufs=-23)
    given = audio if channels > 1 else audio[0]
    out = unhiss.denoise(given, RATE, model=path, loudness_lufs=-23)
    assert (out.shape, out.dtype) == (given.shape, np.float32)
    np.testing.assert_allclose(np.atleast_2d(out), expected, atol=1e-5)
    np.testing.assert_array_equal(Denoiser(path)(given, RATE, loudness_lufs=-23), out)


def test_an_array_that_cannot_have_the_loudness_warns_at_the_line_of_the_caller(frame_model: Make) -> None:
    path, audio = frame_model(), np.zeros(RATE, np.float32)
    for call in (unhiss.denoise, Denoiser(path)):
        options: dict[str, Any] = {"model": path} if call is unhiss.denoise else {}
        with pytest.warns(UserWarning, match="no loudness to measure") as caught:
            assert not call(audio, RATE, loudness_lufs=-16, **options).any()
        assert caught[0].filename == __file__


@pytest.mark.parametrize("target", [16, -60.1, float("nan"), float("-inf"), "-16", [-16]])
def test_a_target_that_is_none_is_refused_before_the_work(target: Any, denoiser: Denoiser, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"loudness_lufs = .*; expected LUFS from -60 to 0, such as -16"):
        denoised(denoiser, tmp_path, np.zeros((1, 9)), loudness_lufs=target)
    with pytest.raises(ConfigError, match="loudness_lufs = "):
        denoiser(np.zeros(9, np.float32), RATE, loudness_lufs=target)
    assert not (tmp_path / "clean.wav").exists()


def test_a_residual_beside_a_loudness_target_is_refused(denoiser: Denoiser, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="loudness_lufs changes; leave one of the two out"):
        denoised(denoiser, tmp_path, np.zeros((1, 9)), loudness_lufs=-16, residual=tmp_path / "r.wav")


def test_in_place_replaces_the_recording_at_its_new_loudness(
    denoiser: Denoiser, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "noisy.wav"
    out, _ = denoised(denoiser, tmp_path, speech_like(rng), target=path, in_place=True, loudness_lufs=-23)
    assert ffmpeg_loudness(resample(out, RATE, 48_000), 48_000)[0] == pytest.approx(-23, abs=METER)
    assert [file.name for file in tmp_path.iterdir()] == ["noisy.wav"]


def test_the_model_runs_once(
    denoiser: Denoiser, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, original = [], Denoiser.denoise_blocks

    def counted(self: Denoiser, *arguments: Any) -> Iterator[np.ndarray]:
        passes.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(Denoiser, "denoise_blocks", counted)
    denoised(denoiser, tmp_path, speech_like(rng), loudness_lufs=-16)
    assert len(passes) == 1


def test_the_progress_rises_to_the_end(denoiser: Denoiser, tmp_path: Path, rng: np.random.Generator) -> None:
    parts: list[float] = []
    report = lambda part, seconds: parts.append(part)  # noqa: E731
    denoised(denoiser, tmp_path, speech_like(rng), loudness_lufs=-16, progress=report)
    assert parts == sorted(parts) and parts[-1] == pytest.approx(1) and min(parts) < 0.5


def test_a_full_disk_is_one_error_and_leaves_no_file(
    denoiser: Denoiser, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk:
        def __enter__(self) -> FullDisk:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "TemporaryFile", lambda dir: FullDisk())
    with pytest.raises(
        AudioError, match=r"clean.wav: cannot be written, .*No space left on device\); is the disk full"
    ):
        denoised(denoiser, tmp_path, speech_like(rng), loudness_lufs=-16)
    assert [path.name for path in tmp_path.iterdir()] == ["noisy.wav"]


def test_a_file_ten_times_as_long_takes_no_more_memory(
    denoiser: Denoiser, tmp_path: Path, rng: np.random.Generator
) -> None:
    def peak_bytes(seconds: int) -> int:
        audio = np.tile(speech_like(rng, seconds=6), seconds // 6)
        sf.write(tmp_path / "noisy.wav", audio.T, RATE)
        tracemalloc.start()
        denoiser.file(tmp_path / "noisy.wav", tmp_path / "clean.wav", force=True, loudness_lufs=-16)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(6)
    margin = 1_000_000  # blocks align differently
    assert peak_bytes(60) < peak_bytes(6) + margin
