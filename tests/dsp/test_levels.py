from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from unhiss.dsp.levels import (
    SILENCE_DBFS,
    active_level_dbfs,
    bandwidth_hz,
    estimate_snr_db,
    remove_silence,
    rms_dbfs,
)

RATE = 16000
FRAME = RATE // 50  # 20 ms
BIN_HZ = RATE / 1024


def tone(seconds: float, amplitude: float = 0.5, hz: float = 1000.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def test_a_full_scale_sine_is_minus_3_dbfs_and_a_square_wave_is_0() -> None:
    assert rms_dbfs(tone(1, 1.0)) == pytest.approx(-3.0103, abs=1e-3)
    assert rms_dbfs(np.array([1, -1] * 100, np.float32)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("size", [0, 1, 255, 8193])
def test_silence_of_any_length_has_a_finite_level(size: int) -> None:
    silence = np.zeros(size, np.float32)
    assert rms_dbfs(silence) == active_level_dbfs(silence, RATE) == SILENCE_DBFS


def test_the_level_of_speech_does_not_count_its_pauses() -> None:
    """0.5 s tone, 1.5 s digital silence: active level is the tone's, 6.02 dB above the mean of both."""
    audio = np.concatenate([tone(0.5), np.zeros(int(1.5 * RATE), np.float32)])
    assert active_level_dbfs(audio, RATE) == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=1e-3)
    assert rms_dbfs(audio) == pytest.approx(active_level_dbfs(audio, RATE) - 6.0206, abs=1e-3)


def test_parts_less_than_16_db_below_the_mean_are_active() -> None:
    """A second at -6 dBFS and one 10 dB lower: both count, so the level is the mean of their powers."""
    audio = np.concatenate([tone(1), tone(1, 0.5 * 10**-0.5)])
    expected = 10 * np.log10((0.125 + 0.0125) / 2)
    assert active_level_dbfs(audio, RATE) == pytest.approx(expected, abs=1e-3)
    much_lower = np.concatenate([tone(1), tone(1, 0.5 * 10**-1.0)])
    assert active_level_dbfs(much_lower, RATE) == pytest.approx(10 * np.log10(0.125), abs=1e-3)


@given(gain_db=st.floats(-40, 10), seconds=st.sampled_from([0.3, 1.0]))
def test_both_levels_change_by_the_gain(gain_db: float, seconds: float) -> None:
    audio = np.concatenate([tone(seconds), np.zeros(RATE // 2, np.float32)])
    louder = audio * np.float32(10 ** (gain_db / 20))
    assert rms_dbfs(louder) - rms_dbfs(audio) == pytest.approx(gain_db, abs=1e-3)
    assert active_level_dbfs(louder, RATE) - active_level_dbfs(audio, RATE) == pytest.approx(gain_db, abs=1e-3)


def test_silent_frames_are_removed_except_60_ms_around_speech() -> None:
    gap = np.zeros(RATE, np.float32)
    audio = np.concatenate([gap, tone(1), gap, tone(1), gap])
    left = remove_silence(audio, RATE)
    assert left.size == 2 * RATE + 4 * 3 * FRAME
    assert np.array_equal(left[3 * FRAME : 3 * FRAME + RATE], tone(1))


def test_frames_over_40_db_below_the_loudest_are_silence() -> None:
    for below_db, kept in ((38, 2 * RATE), (42, RATE + 3 * FRAME)):
        audio = np.concatenate([tone(1), tone(1, 0.5 * 10 ** (-below_db / 20))])
        assert remove_silence(audio, RATE).size == kept


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, 5 * FRAME + 1])
def test_silence_is_removed_completely(size: int) -> None:
    assert remove_silence(np.zeros(size, np.float32), RATE).size == 0


@given(st.integers(0, 20 * FRAME), st.integers(0, 2**32 - 1))
def test_removing_silence_removes_complete_frames_only(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    audio = (rng.standard_normal(size) * np.repeat(rng.integers(0, 2, size // FRAME + 1), FRAME)[:size]).astype("f4")
    left = remove_silence(audio, RATE)
    assert left.size % FRAME == 0
    assert left.size <= audio.size


@pytest.mark.parametrize("corner_hz", [2000, 4000, 6000])
def test_bandwidth_is_where_a_lowpass_ends(corner_hz: int) -> None:
    noise = np.random.default_rng(0).standard_normal(3 * RATE)
    steep = signal.firwin(1023, corner_hz, fs=RATE, window=("kaiser", 9.0))  # down by 90 dB within 130 Hz
    audio = signal.lfilter(steep, 1, noise).astype(np.float32)
    assert bandwidth_hz(audio, RATE) == pytest.approx(corner_hz, abs=150)


def test_bandwidth_of_white_noise_is_full_and_of_a_tone_small() -> None:
    white = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert bandwidth_hz(white, RATE) >= RATE / 2 - BIN_HZ
    assert bandwidth_hz(tone(2), RATE) == pytest.approx(1000, abs=300)


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025])
def test_bandwidth_of_a_few_samples_and_of_silence_is_a_number(size: int) -> None:
    assert bandwidth_hz(np.zeros(size, np.float32), RATE) == 0
    assert 0 <= bandwidth_hz(np.ones(size, np.float32), RATE) <= RATE / 2


def test_the_estimated_snr_falls_as_noise_is_added_and_is_near_the_truth() -> None:
    rng = np.random.default_rng(0)
    speech = np.concatenate([np.concatenate([tone(0.4), np.zeros(RATE // 5, np.float32)]) for _ in range(8)])
    noise = rng.standard_normal(speech.size).astype(np.float32)
    noise /= np.sqrt((noise**2).mean())
    found = []
    for snr_db in (40, 30, 20, 10, 5):
        gain = 10 ** ((rms_dbfs(tone(1)) - snr_db) / 20)
        found.append(estimate_snr_db(speech + np.float32(gain) * noise, RATE))
    assert found == sorted(found, reverse=True)
    assert found[:4] == pytest.approx([40, 30, 20, 10], abs=2)


@pytest.mark.parametrize("size", [0, 1, FRAME])
def test_the_estimate_for_a_few_samples_is_a_number(size: int) -> None:
    assert np.isfinite(estimate_snr_db(np.zeros(size, np.float32), RATE))
