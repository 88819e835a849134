"""The guard: noise is left to the model, clean speech is not, and in between nothing steps. And the limit."""

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
from unhiss.infer.guard import Guard, left_in_db, limited

Make = Callable[..., Path]
HOP_S = 0.016
BINS = 65
MODEL_DB = -35.0  # what the model of these tests leaves of the noise
STEP_DB = 1.0  # the most that the gain on noise may change from frame to frame


def sounds(snr_db: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (1, T, BINS) of words with pauses in steady noise, and what a good model makes of them."""
    frames = snr_db.size
    draw = lambda: rng.standard_normal((frames, BINS)) + 1j * rng.standard_normal((frames, BINS))  # noqa: E731
    words = (np.sin(2 * np.pi * np.arange(frames) * HOP_S / 0.8) > -0.5)[:, None]  # 0.53 s, pauses of 0.27 s
    speech = draw() * words * 10 ** (rng.normal(0, 6, (frames, 1)) / 20)
    noise = draw() * 10 ** (-snr_db[:, None] / 20)
    # The model takes noise 35 dB down, and 1 % of the speech's energy with it.
    return (speech + noise)[None], (0.9 * speech + 10 ** (MODEL_DB / 20) * noise)[None]


def shares(snr_db: np.ndarray, seed: int = 0, level: float = 1.0) -> np.ndarray:
    spectrum, cleaned = sounds(snr_db, np.random.default_rng(seed))
    spectrum, cleaned = ((level * part).astype(np.complex64) for part in (spectrum, cleaned))
    return Guard(1, HOP_S).share(spectrum, cleaned)[0, :, 0]


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 5.0, 10.0])
def test_the_model_has_its_way_in_noise(snr_db: float) -> None:
    np.testing.assert_array_equal(shares(np.full(600, snr_db)), 1)


@pytest.mark.parametrize("snr_db", [50.0, 80.0])
def test_clean_speech_is_left_alone_after_a_second(snr_db: float) -> None:
    found = shares(np.full(600, snr_db))
    np.testing.assert_allclose(found[80:], module.LEAST, atol=1e-3)


def test_all_is_noise_until_proved_speech() -> None:
    assert shares(np.full(100, 80.0))[0] > 0.998


def test_the_share_falls_as_the_snr_rises() -> None:
    means = [shares(np.full(600, snr_db))[200:].mean() for snr_db in (10.0, 18.0, 21.0, 24.0, 40.0)]
    assert np.all(np.diff(means) <= 0) and means[0] - means[-1] > 0.8


@pytest.mark.parametrize(("first_db", "last_db"), [(20.0, 5.0), (40.0, 0.0), (0.0, 40.0)])
@pytest.mark.parametrize("fade", [1, 300])
def test_the_gain_on_noise_never_steps(first_db: float, last_db: float, fade: int) -> None:
    snr_db = np.concatenate([np.full(400, first_db), np.linspace(first_db, last_db, fade), np.full(900, last_db)])
    share = shares(snr_db)
    gain_db = 20 * np.log10(1 - share + share * 10 ** (MODEL_DB / 20))  # on the noise in X + w (Y - X)
    assert np.ptp(gain_db[300:]) > 5 or first_db == 20  # the guard did act
    assert np.abs(np.diff(gain_db)).max() < STEP_DB


@pytest.mark.parametrize("level", [2.0**-13, 0.01, 30.0, 2.0**15])
def test_level_changes_nothing(level: float) -> None:
    snr_db = np.linspace(45, 15, 700)
    np.testing.assert_allclose(shares(snr_db, level=level), shares(snr_db), atol=1e-4)


def test_channels_have_guards_of_their_own(rng: np.random.Generator) -> None:
    noisy, clean = (sounds(np.full(400, snr_db), rng) for snr_db in (5.0, 60.0))
    both = [np.concatenate(pair).astype(np.complex64) for pair in zip(noisy, clean, strict=True)]
    found = Guard(2, HOP_S).share(*both)
    assert found.shape == (2, 400, 1)
    for one, pair in enumerate((noisy, clean)):
        alone = Guard(1, HOP_S).share(*(part.astype(np.complex64) for part in pair))
        np.testing.assert_allclose(found[one], alone[0], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 200), max_size=8))
def test_calls_of_any_length_give_the_same(counts: list[int]) -> None:
    spectrum, cleaned = (p.astype(np.complex64) for p in sounds(np.full(sum(counts), 27.0), np.random.default_rng(1)))
    guard, ends = Guard(1, HOP_S), np.cumsum([0, *counts])
    parts = [guard.share(spectrum[:, a:b], cleaned[:, a:b]) for a, b in pairwise(ends)]
    found = np.concatenate([np.zeros((1, 0, 1)), *parts], axis=1)
    np.testing.assert_allclose(found, Guard(1, HOP_S).share(spectrum, cleaned), atol=1e-6)


def test_silence_and_a_model_that_takes_all_leave_the_model_its_way() -> None:
    nothing, something = np.zeros((1, 500, BINS), np.complex64), np.ones((1, 500, BINS), np.complex64)
    np.testing.assert_array_equal(Guard(1, HOP_S).share(nothing, nothing), 1)
    np.testing.assert_array_equal(Guard(1, HOP_S).share(something, nothing), 1)


def test_the_share_of_the_input_is_a_smooth_step_of_the_snr() -> None:
    snr_db = np.arange(0, 60, 0.1)
    left = np.array([10 ** (left_in_db(10 ** (x / 10), 1.0) / 20) for x in snr_db])
    assert np.all(np.diff(left) >= 0) and np.abs(np.diff(left)).max() < 0.02
    np.testing.assert_allclose(left[snr_db < module.FULL_DB], 0.001)
    np.testing.assert_allclose(left[snr_db > module.CLEAN_DB + 0.1], 1 - module.LEAST, atol=1e-6)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_guard_reaches_files_and_can_be_turned_off(rate: int, causal_model: Make, rng: np.random.Generator) -> None:
    path = causal_model("gain", 0.9)  # takes 1 % out, as a model does of clean speech: 20 dB
    sound = rng.uniform(-1, 1, 6 * rate).astype(np.float32)
    tail = slice(4 * rate, 5 * rate)
    off = unhiss.denoise(sound, rate, model=path, guard=False)[tail]
    on = unhiss.denoise(sound, rate, model=path)[tail]
    whole = unhiss.denoise(sound, rate, model=causal_model())[tail]
    np.testing.assert_allclose(off, 0.9 * whole, atol=1e-5)
    np.testing.assert_allclose(on, (1 - 0.1 * module.LEAST) * whole, atol=1e-3)


def complexes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize("limit_db", [0.0, 6.0, 20.0, 60.0])
def test_no_bin_falls_below_the_limit_and_the_others_stay(limit_db: float, rng: np.random.Generator) -> None:
    spectrum = complexes(rng, 2, 50, 65)
    cleaned = spectrum * complexes(rng, 2, 50, 65) * 10 ** rng.uniform(-4, 0, (2, 50, 65)).astype(np.float32)
    cleaned[0, :5], spectrum[1, :5] = 0, 0
    found, least = limited(spectrum, cleaned, limit_db), 10 ** (-limit_db / 20) * np.abs(spectrum)
    below = np.abs(cleaned) < least
    np.testing.assert_allclose(np.abs(found[below]), least[below], rtol=1e-4)
    np.testing.assert_array_equal(found[~below], cleaned[~below])


def test_at_the_limit_the_phase_turns_without_a_step() -> None:
    spectrum = np.full((1, 1, 2001), 1 + 0j, np.complex64)
    cleaned = (np.linspace(0, 0.4, 2001) * np.exp(2j)).astype(np.complex64)[None, None]  # 115 degrees from X
    found = limited(spectrum, cleaned, 20 * np.log10(1 / 0.2))
    assert found[0, 0, 0] == pytest.approx(0.2)
    assert np.abs(np.diff(found)).max() < 5 * 0.4 / 2000


def test_a_model_that_turns_a_bin_around_meets_the_limit_too() -> None:
    spectrum = np.ones((1, 1, 100), np.complex64)
    cleaned = -np.linspace(0, 1, 100).astype(np.complex64)[None, None]
    assert np.abs(limited(spectrum, cleaned, 6.0)).min() == pytest.approx(10**-0.3, rel=1e-4)
