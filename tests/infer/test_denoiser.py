"""Denoiser with models whose output is known: identity, constant attenuation, and a straight line in dB."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr

import unhiss
from unhiss.errors import AudioError, ConfigError, UnhissError
from unhiss.infer import frame_model as module
from unhiss.infer.denoiser import Denoiser
from unhiss.media.source import read
from unhiss.media.writer import write

Make = Callable[..., Path]
SIZES = [0, 1, 2, 62, 63, 64, 252, 255, 256, 257, 8064, 8193, 32256, 36000, 70001]  # 32,256: one segment
RIPPLE = 1e-3  # of soxr's passband, twice
ROUND_OFF = 3e-6  # of float32 transforms and their inverse, for samples within -1 to 1


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def identity(frame_model: Make) -> Denoiser:
    return Denoiser(frame_model())


@pytest.fixture(scope="module")
def minus_8_db(frame_model: Make) -> Denoiser:
    return Denoiser(frame_model(offset=-0.1))


@pytest.fixture(scope="module")
def steeper(frame_model: Make) -> Denoiser:
    """Attenuates quiet bins more, so that the output depends on the scale of the frames."""
    return Denoiser(frame_model(slope=1.3, offset=-0.3))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 2])
def test_identity_returns_every_sample(size: int, channels: int, identity: Denoiser, rng: np.random.Generator) -> None:
    audio = noise(rng, size) if channels == 1 else noise(rng, channels, size)
    out = identity(audio, 22050)
    assert (out.shape, out.dtype) == (audio.shape, np.float32)
    np.testing.assert_allclose(out, audio, atol=ROUND_OFF)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("size", [1, 257, 8193, 50001])
def test_identity_returns_the_band_aligned_at_any_rate(size: int, rate: int, identity: Denoiser) -> None:
    time_s = np.arange(size) / rate
    fade = np.hanning(size + 2)[1:-1]  # a sudden start has energy at all frequencies
    audio = np.stack([fade * np.sin(2 * np.pi * hertz * time_s) for hertz in (313, 0.4 * min(rate, 22050))])
    out = identity(audio.astype(np.float32), rate)
    assert out.shape == audio.shape
    if size > 8000:
        np.testing.assert_allclose(out, audio, atol=RIPPLE)


def test_only_what_lies_above_the_band_of_the_model_is_removed(identity: Denoiser, rng: np.random.Generator) -> None:
    audio = noise(rng, 48000)
    expected = soxr.resample(soxr.resample(audio, 48000, 22050), 22050, 48000)
    inner = slice(1000, -1000)
    np.testing.assert_allclose(identity(audio, 48000)[inner], expected[: audio.size][inner], atol=1e-5)


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_the_block_size_of_a_file_changes_nothing(
    rate: int, steeper: Denoiser, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = noise(rng, 2, rate * 5 // 2 + 17)
    write(tmp_path / "in.wav", audio, rate, "FLOAT")
    expected = steeper(audio, rate)
    for seconds in (10.0, 2.0, 0.37, 0.0101):
        monkeypatch.setattr("unhiss.infer.denoiser.BLOCK_S", seconds)
        report = steeper.file(tmp_path / "in.wav", tmp_path / "out.wav", force=True)
        out, out_rate = read(tmp_path / "out.wav")
        assert (out.shape, out_rate) == (audio.shape, rate)
        assert (report.rate, report.channels, report.seconds) == (rate, 2, audio.shape[1] / rate)
        np.testing.assert_allclose(out, expected, atol=ROUND_OFF)


def test_constant_attenuation_is_constant_over_every_seam(minus_8_db: Denoiser, rng: np.random.Generator) -> None:
    audio = noise(rng, 3 * 32256 + 100)
    np.testing.assert_allclose(minus_8_db(audio, 22050), audio * 10 ** (-8 / 20), atol=ROUND_OFF)


def test_the_cross_fade_sums_to_one() -> None:
    np.testing.assert_allclose(module.FADE[: module.STRIDE] + module.FADE[module.STRIDE :], 1, atol=1e-6)


def test_a_steady_tone_stays_steady_over_every_seam(steeper: Denoiser) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(4 * 22050) / 22050).astype(np.float32)
    out = steeper(tone, 22050)[2000:-2000]
    gain = np.sqrt(np.square(out[: out.size // 441 * 441].reshape(-1, 441)).mean(axis=1) * 2)
    np.testing.assert_allclose(gain, gain.mean(), rtol=2e-3)


@pytest.mark.parametrize("gain", [2.0**-14, 0.013, 3.0, 32768.0])
def test_the_level_of_a_recording_changes_nothing(gain: float, steeper: Denoiser, rng: np.random.Generator) -> None:
    audio = noise(rng, 40000) * np.linspace(1e-4, 1, 40000, dtype=np.float32)
    expected = gain * steeper(audio, 22050)
    out = steeper(np.float32(gain) * audio, 22050)
    np.testing.assert_allclose(out, expected, atol=gain * ROUND_OFF)


def test_the_whole_recording_has_one_scale(steeper: Denoiser, rng: np.random.Generator) -> None:
    quiet, loud = 0.01 * noise(rng, 60000), noise(rng, 60000)
    alone = steeper(quiet, 22050)[1000:40000]
    beside_loud = steeper(np.concatenate([quiet, loud]), 22050)[1000:40000]
    # 40 dB below the scale, a slope of 1.3 attenuates by 12 dB more.
    change_db = 20 * np.log10(np.sqrt(np.square(beside_loud).mean() / np.square(alone).mean()))
    assert change_db == pytest.approx(-12, abs=0.5)


def test_channels_do_not_influence_each_other(steeper: Denoiser, rng: np.random.Generator) -> None:
    left, right = noise(rng, 40000), 0.003 * noise(rng, 40000)
    both = steeper(np.stack([left, right, 0 * left]), 22050)
    np.testing.assert_allclose(both[0], steeper(left, 22050), atol=ROUND_OFF)
    np.testing.assert_allclose(both[1], steeper(right, 22050), atol=ROUND_OFF)
    assert not both[2].any()


@pytest.mark.parametrize("size", [0, 1, 8193, 100000])
@pytest.mark.parametrize("rate", [22050, 48000])
def test_silence_stays_silent(size: int, rate: int, minus_8_db: Denoiser) -> None:
    out = minus_8_db(np.zeros((2, size), np.float32), rate)
    assert out.shape == (2, size)
    assert not out.any()


def test_the_callers_array_is_not_written(minus_8_db: Denoiser, rng: np.random.Generator) -> None:
    for audio in (noise(rng, 9000), noise(rng, 2, 9000).astype(np.float64), np.asfortranarray(noise(rng, 2, 9000))):
        before = audio.copy()
        audio.flags.writeable = False
        out = minus_8_db(audio, 22050)
        assert not np.shares_memory(out, audio)
        np.testing.assert_array_equal(audio, before)


def test_mix_zero_is_the_input(frame_model: Make, rng: np.random.Generator) -> None:
    audio = noise(rng, 2, 30000)
    np.testing.assert_array_equal(Denoiser(frame_model(offset=-0.5), mix=0)(audio, 48000), audio)


def test_mix_is_a_weighted_sum(frame_model: Make, rng: np.random.Generator) -> None:
    audio, path = noise(rng, 30000), frame_model(offset=-0.25)
    expected = 0.75 * Denoiser(path)(audio, 48000) + 0.25 * audio
    np.testing.assert_allclose(unhiss.denoise(audio, 48000, model=path, mix=0.75), expected, atol=ROUND_OFF)


def test_the_attenuation_is_limited(frame_model: Make, rng: np.random.Generator) -> None:
    audio, path = noise(rng, 30000), frame_model(offset=-0.5)  # 40 dB
    out = unhiss.denoise(audio, 22050, model=path, atten_limit_db=6)
    np.testing.assert_allclose(out, audio * 10 ** (-6 / 20), atol=ROUND_OFF)


@pytest.mark.parametrize(
    "options", [{"mix": 1.1}, {"mix": float("nan")}, {"atten_limit_db": -1}, {"threads": -1},
                {"end_to_end": True, "atten_limit_db": 3}],
)  # fmt: skip
def test_an_option_out_of_range_is_refused(options: dict, frame_model: Make) -> None:
    with pytest.raises(ConfigError, match=next(iter(options)).replace("end_to_end", "leave one")):
        Denoiser(frame_model(), **options)


@pytest.mark.parametrize(
    ("audio", "line"),
    [
        (np.zeros(10, np.int64), "int64; expected samples"),
        (np.zeros((1000, 2), np.float32), r"looks like \(T, C\); give \(C, T\): audio.T"),
        (np.zeros((1, 2, 3), np.float32), "3 dimensions"),
        (np.float32(0), "0 dimensions"),
        (np.array([0, np.nan]), "NaN"),
        (np.array([0, -np.inf]), "NaN, infinite"),
        (np.array([0, 1e30]), "absurd"),
        (np.array(["a"]), "an array of type "),
    ],
)
def test_an_invalid_array_is_refused(audio: np.ndarray, line: str, identity: Denoiser) -> None:
    with pytest.raises(AudioError, match=line):
        identity(audio, 22050)


@pytest.mark.parametrize("rate", [0, 48, -8000, 22050.5, float("nan"), float("inf"), 10**9, None, "48000"])
def test_an_invalid_rate_is_refused(rate: float, identity: Denoiser) -> None:
    with pytest.raises(AudioError, match="rate = "):
        identity(np.zeros(10, np.float32), rate)  # type: ignore[arg-type]


def test_an_array_without_a_channel_is_refused(identity: Denoiser) -> None:
    with pytest.raises(AudioError, match=r"shape \(0, 100\) has no channel"):
        identity(np.zeros((0, 100), np.float32), 16000)


def test_a_denoiser_has_the_rate_and_look_ahead_of_its_model(identity: Denoiser) -> None:
    assert identity.rate == 22050
    assert identity.latency_ms == pytest.approx(365.7, abs=0.05)


def test_frame_scaling_scales_each_frame_by_itself(frame_model: Make, rng: np.random.Generator) -> None:
    quiet, loud = 0.01 * noise(rng, 60000), noise(rng, 60000)
    path = frame_model(slope=1.3, offset=-0.3, scaling="frame")
    alone = unhiss.denoise(quiet, 22050, model=path)[1000:40000]
    beside_loud = unhiss.denoise(np.concatenate([quiet, loud]), 22050, model=path)[1000:40000]
    np.testing.assert_allclose(beside_loud, alone, atol=ROUND_OFF)


def test_all_errors_are_unhiss_errors() -> None:
    assert issubclass(AudioError, UnhissError) and issubclass(ConfigError, UnhissError)
