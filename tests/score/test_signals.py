"""Spectral distance, lag, levels and SNR against values known by hand."""

import numpy as np
import pytest
import scipy.signal

from unhiss.score.metrics import (
    UndefinedMetric,
    attenuation_db,
    lag,
    log_spectral_distance,
    loudness_change_db,
    snr,
)

ROUND_OFF_DB = 1e-3  # spectra are float32


def test_a_halved_recording_is_six_db_away_in_every_bin_above_8_khz(rng):
    noise = (0.1 * rng.standard_normal(48_000)).astype(np.float32)
    assert log_spectral_distance(noise / 2, noise, 48_000) == pytest.approx(20 * np.log10(2), abs=ROUND_OFF_DB)


def test_changes_below_8_khz_do_not_affect_the_distance_above(rng):
    noise = 0.1 * rng.standard_normal(48_000)
    low = scipy.signal.sosfiltfilt(scipy.signal.butter(10, 4000, fs=48_000, output="sos"), noise)
    assert log_spectral_distance((noise + low).astype("f"), noise.astype("f"), 48_000) < 0.2


def test_silence_counts_as_100_db_below_full_scale():
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 12_000 * time).astype(np.float32)  # 0 dB in its bin, 6 dB less in the two beside it
    bins = 1536 // 2 + 1 - int(np.ceil(8000 * 1536 / 48_000))
    expected = np.sqrt((100**2 + 2 * (100 - 20 * np.log10(2)) ** 2) / bins)
    assert log_spectral_distance(np.zeros_like(tone), tone, 48_000) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("rate", "size", "message"), [(16_000, 16_000, "nothing above"), (48_000, 1535, "under 32 ms")]
)
def test_the_distance_has_no_value_where_there_is_no_band_or_no_frame(rate, size, message):
    with pytest.raises(UndefinedMetric, match=message):
        log_spectral_distance(np.ones(size, np.float32), np.ones(size, np.float32), rate)


@pytest.mark.parametrize("shift", [-480, -1, 0, 1, 255, 4800])
def test_the_lag_is_how_many_samples_the_estimate_is_late(rng, shift):
    source = rng.standard_normal(16_001).astype(np.float32)
    shifted = np.roll(source, shift) + 0.5 * rng.standard_normal(16_001).astype(np.float32)
    assert lag(shifted, source, 16_000) == shift


def test_the_lag_of_silence_has_no_value_and_of_one_sample_is_zero():
    with pytest.raises(UndefinedMetric, match="silent estimate"):
        lag(np.zeros(100), np.ones(100), 16_000)
    assert lag(np.ones(1), np.ones(1), 16_000) == 0


def test_level_changes_are_in_db(rng):
    noise = (0.1 * rng.standard_normal(16_000)).astype(np.float32)
    assert attenuation_db(noise / 10, noise) == pytest.approx(20, abs=ROUND_OFF_DB)
    assert attenuation_db(np.zeros(100), np.full(100, 0.1)) == pytest.approx(80)  # nothing left: down to -100 dBFS
    assert loudness_change_db(2 * noise, noise, 16_000) == pytest.approx(20 * np.log10(2), abs=ROUND_OFF_DB)
    with pytest.raises(UndefinedMetric, match="holds no noise"):
        attenuation_db(noise, np.zeros(100))


def test_snr_of_hand_computed_cases():
    reference = np.array([3.0, -4.0, 0.0])  # energy 25
    assert snr(reference + np.array([0, 0, 0.5]), reference) == pytest.approx(20)
    assert snr(reference, reference) == np.inf
    with pytest.raises(UndefinedMetric, match="reference is silent"):
        snr(reference, np.zeros(3))
