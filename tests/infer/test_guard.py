"""The guard: the model acts fully in noise, hardly in clean speech, and fades in between. And the limit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unhiss
from unhiss.infer import guard as module
from unhiss.infer.engine import limit_attenuation
from unhiss.infer.guard import Guard, energy, input_weight_db

Make = Callable[..., Path]
HOP_S = 0.016
BINS = 65
MODEL_DB = -35.0  # gain of the simulated model on noise
STEP_DB = 1.0  # the most that the gain on noise may change from frame to frame


def spectra(snr_db: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (1, T, BINS) of words with pauses in steady noise, and the output of a good model."""
    frames = snr_db.size
    random = lambda: rng.standard_normal((frames, BINS)) + 1j * rng.standard_normal((frames, BINS))  # noqa: E731
    words = (np.sin(2 * np.pi * np.arange(frames) * HOP_S / 0.8) > -0.5)[:, None]  # 0.53 s, pauses of 0.27 s
    speech = random() * words * 10 ** (rng.normal(0, 6, (frames, 1)) / 20)
    noise = random() * 10 ** (-snr_db[:, None] / 20)
    # The model attenuates noise by 35 dB, and removes 1 % of the energy of the speech.
    return (speech + noise)[None], (0.9 * speech + 10 ** (MODEL_DB / 20) * noise)[None]


def follow(guard: Guard, noisy: np.ndarray, denoised: np.ndarray) -> np.ndarray:
    return guard.follow(energy(denoised), energy(noisy - denoised))


def weights(snr_db: np.ndarray, seed: int = 0, level: float = 1.0) -> np.ndarray:
    spectrum, denoised = spectra(snr_db, np.random.default_rng(seed))
    spectrum, denoised = ((level * part).astype(np.complex64) for part in (spectrum, denoised))
    return follow(Guard(1, HOP_S), spectrum, denoised)[0, :, 0]


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 5.0, 10.0])
def test_the_model_counts_in_full_in_noise(snr_db: float) -> None:
    np.testing.assert_array_equal(weights(np.full(600, snr_db)), 1)


@pytest.mark.parametrize("snr_db", [50.0, 80.0])
def test_clean_speech_is_protected_after_a_second(snr_db: float) -> None:
    out = weights(np.full(600, snr_db))
    np.testing.assert_allclose(out[80:], module.MIN_WEIGHT, atol=1e-3)


def test_the_start_counts_as_noise() -> None:
    assert weights(np.full(100, 80.0))[0] > 0.998


def test_the_weight_falls_as_the_snr_rises() -> None:
    means = [weights(np.full(600, snr_db))[200:].mean() for snr_db in (10.0, 18.0, 21.0, 24.0, 40.0)]
    assert np.all(np.diff(means) <= 0) and means[0] - means[-1] > 0.8


@pytest.mark.parametrize(("first_db", "last_db"), [(20.0, 5.0), (40.0, 0.0), (0.0, 40.0)])
@pytest.mark.parametrize("fade", [1, 300])
def test_the_gain_on_noise_never_steps(first_db: float, last_db: float, fade: int) -> None:
    snr_db = np.concatenate([np.full(400, first_db), np.linspace(first_db, last_db, fade), np.full(900, last_db)])
    weight = weights(snr_db)
    gain_db = 20 * np.log10(1 - weight + weight * 10 ** (MODEL_DB / 20))  # on the noise in X + w (Y - X)
    assert np.ptp(gain_db[300:]) > 5 or first_db == 20  # the guard acted
    assert np.abs(np.diff(gain_db)).max() < STEP_DB


@pytest.mark.parametrize("level", [2.0**-13, 0.01, 30.0, 2.0**15])
def test_the_level_changes_nothing(level: float) -> None:
    snr_db = np.linspace(45, 15, 700)
    np.testing.assert_allclose(weights(snr_db, level=level), weights(snr_db), atol=1e-4)


def test_channels_are_guarded_independently(rng: np.random.Generator) -> None:
    noisy, clean = (spectra(np.full(400, snr_db), rng) for snr_db in (5.0, 60.0))
    both = [np.concatenate(pair).astype(np.complex64) for pair in zip(noisy, clean, strict=True)]
    out = follow(Guard(2, HOP_S), *both)
    assert out.shape == (2, 400, 1)
    for one, pair in enumerate((noisy, clean)):
        alone = follow(Guard(1, HOP_S), *(part.astype(np.complex64) for part in pair))
        np.testing.assert_allclose(out[one], alone[0], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 200), max_size=8))
def test_the_number_of_frames_per_call_changes_nothing(counts: list[int]) -> None:
    spectrum, denoised = (p.astype(np.complex64) for p in spectra(np.full(sum(counts), 27.0), np.random.default_rng(1)))
    guard, ends = Guard(1, HOP_S), np.cumsum([0, *counts])
    parts = [follow(guard, spectrum[:, a:b], denoised[:, a:b]) for a, b in pairwise(ends)]
    out = np.concatenate([np.zeros((1, 0, 1)), *parts], axis=1)
    np.testing.assert_allclose(out, follow(Guard(1, HOP_S), spectrum, denoised), atol=1e-6)


def test_silence_and_a_model_that_removes_everything_get_full_weight() -> None:
    silence, ones = np.zeros((1, 500, BINS), np.complex64), np.ones((1, 500, BINS), np.complex64)
    np.testing.assert_array_equal(follow(Guard(1, HOP_S), silence, silence), 1)
    np.testing.assert_array_equal(follow(Guard(1, HOP_S), ones, silence), 1)


def test_the_weight_of_the_input_is_a_smoothstep_of_the_snr() -> None:
    snr_db = np.arange(0, 60, 0.1)
    weight = np.array([10 ** (input_weight_db(10 ** (x / 10), 1.0) / 20) for x in snr_db])
    assert np.all(np.diff(weight) >= 0) and np.abs(np.diff(weight)).max() < 0.02
    np.testing.assert_allclose(weight[snr_db < module.NOISY_SNR_DB], 0.001)
    np.testing.assert_allclose(weight[snr_db > module.CLEAN_SNR_DB + 0.1], 1 - module.MIN_WEIGHT, atol=1e-6)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_guard_can_be_disabled(rate: int, causal_model: Make, rng: np.random.Generator) -> None:
    path = causal_model("gain", 0.9)  # removes 1 % of the energy, 20 dB, as a model does of clean speech
    audio = rng.uniform(-1, 1, 6 * rate).astype(np.float32)
    tail = slice(4 * rate, 5 * rate)
    off = unhiss.denoise(audio, rate, model=path, guard=False)[tail]
    on = unhiss.denoise(audio, rate, model=path)[tail]
    identity = unhiss.denoise(audio, rate, model=causal_model())[tail]
    np.testing.assert_allclose(off, 0.9 * identity, atol=1e-5)
    np.testing.assert_allclose(on, (1 - 0.1 * module.MIN_WEIGHT) * identity, atol=1e-3)


def complexes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize("limit_db", [0.0, 6.0, 20.0, 60.0])
def test_no_bin_falls_below_the_limit_and_the_others_are_unchanged(limit_db: float, rng: np.random.Generator) -> None:
    spectrum = complexes(rng, 2, 50, 65)
    denoised = spectrum * complexes(rng, 2, 50, 65) * 10 ** rng.uniform(-4, 0, (2, 50, 65)).astype(np.float32)
    denoised[0, :5], spectrum[1, :5] = 0, 0
    out, floor = limit_attenuation(spectrum, denoised, limit_db), 10 ** (-limit_db / 20) * np.abs(spectrum)
    below = np.abs(denoised) < floor
    np.testing.assert_allclose(np.abs(out[below]), floor[below], rtol=1e-4)
    np.testing.assert_array_equal(out[~below], denoised[~below])


def test_at_the_limit_the_phase_turns_continuously() -> None:
    spectrum = np.full((1, 1, 2001), 1 + 0j, np.complex64)
    denoised = (np.linspace(0, 0.4, 2001) * np.exp(2j)).astype(np.complex64)[None, None]  # 115 degrees from X
    out = limit_attenuation(spectrum, denoised, 20 * np.log10(1 / 0.2))
    assert out[0, 0, 0] == pytest.approx(0.2)
    assert np.abs(np.diff(out)).max() < 5 * 0.4 / 2000


def test_a_model_that_inverts_a_bin_is_limited_too() -> None:
    spectrum = np.ones((1, 1, 100), np.complex64)
    denoised = -np.linspace(0, 1, 100).astype(np.complex64)[None, None]
    assert np.abs(limit_attenuation(spectrum, denoised, 6.0)).min() == pytest.approx(10**-0.3, rel=1e-4)
