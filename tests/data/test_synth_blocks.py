from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from unhiss.data.synth import acoustics, blocks

RATE = 16000
ROUNDING = 1e-9  # of float64 transforms, against values of about 1


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 8193])
@pytest.mark.parametrize("m", [1, 2, 1000])
def test_convolve_is_the_start_of_the_full_convolution(n: int, m: int, rng: np.random.Generator) -> None:
    audio, response = rng.standard_normal(n), rng.standard_normal(m)
    assert blocks.convolve(audio, response) == pytest.approx(np.convolve(audio, response)[:n], abs=ROUNDING * 100)


def test_a_tone_is_the_sum_of_its_harmonics() -> None:
    turns = 110.3 * np.arange(4000) / RATE
    expected = np.cos(2 * np.pi * turns) + 0.5 * np.cos(2 * np.pi * 7 * turns + 1)
    strengths = np.array([1, 0, 0, 0, 0, 0, 0.5 * np.exp(1j)])
    # Between points 1/4096 of a turn apart a line misses harmonic k by (2πk/4096)²/8.
    assert blocks.harmonics(turns, strengths) == pytest.approx(expected, abs=(2 * np.pi * 7 / 4096) ** 2 / 8)


def test_a_pulse_between_two_samples_is_shared_by_them() -> None:
    train = blocks.impulses(6, np.array([1.25, 4.0, -1.0, 7.0]), np.array([1.0, 2.0, 9.0, 9.0]))
    assert train.tolist() == [0, 0.75, 0.25, 0, 2, 0]


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_a_body_rings_in_its_band_for_about_q_periods(rate: int, rng: np.random.Generator) -> None:
    response = blocks.body_response(rng, rate, 1, (1000, 1001), (50, 51))
    assert np.sum(response**2) == pytest.approx(1)
    power = np.abs(np.fft.rfft(response, 1 << 16)) ** 2
    hz = np.fft.rfftfreq(1 << 16, 1 / rate)
    assert hz[power.argmax()] == pytest.approx(1000, abs=5)
    half = hz[power > power.max() / 2]
    assert half.max() - half.min() == pytest.approx(1000 / 50, rel=0.1), "the bandwidth is the frequency over Q"


def test_a_body_beyond_half_the_rate_rings_below_it(rng: np.random.Generator) -> None:
    response = blocks.body_response(rng, 8000, 8, (5000, 12000), (50, 51))
    power = np.abs(np.fft.rfft(response, 1 << 14)) ** 2
    assert 2000 < np.fft.rfftfreq(1 << 14, 1 / 8000)[power.argmax()] < 3700


def test_a_gate_is_on_and_off_for_the_times_given(rng: np.random.Generator) -> None:
    on = blocks.on_off(rng, 100 * RATE, RATE, (0.5, 1.0), (0.2, 0.3))
    edges = np.flatnonzero(np.diff(on))
    spans = np.diff(edges) / RATE
    turned_on = on[edges[:-1] + 1] == 1
    assert 0.499 < spans[turned_on].min() <= spans[turned_on].max() < 1.001
    assert 0.199 < spans[~turned_on].min() <= spans[~turned_on].max() < 0.301


def test_smooth_follows_a_step_as_an_exponential() -> None:
    step = np.repeat([2.0, 5.0], RATE)
    smoothed = blocks.smooth(step, RATE, 0.1)
    assert smoothed[:RATE] == pytest.approx(2.0)
    assert smoothed[RATE + RATE // 10] == pytest.approx(5 - 3 / np.e, abs=0.01)
    assert smoothed[-1] == pytest.approx(5, abs=0.01)


def test_sounds_are_mixed_at_the_levels_given_whatever_their_own(rng: np.random.Generator) -> None:
    quiet, loud = 0.01 * rng.standard_normal(RATE), 30 * rng.standard_normal(RATE)
    both = blocks.mix_levels([(0, quiet), (-20, loud)])
    assert blocks.active_rms(both - quiet / blocks.active_rms(quiet)) == pytest.approx(0.1)


def test_pauses_do_not_count_in_a_level(rng: np.random.Generator) -> None:
    noise = rng.standard_normal(RATE)
    assert blocks.active_rms(np.concatenate([noise, np.zeros(9 * RATE)])) == pytest.approx(blocks.active_rms(noise))


def test_acoustics_without_echo_and_noise_only_low_pass(rng: np.random.Generator) -> None:
    click = np.zeros(RATE)
    click[100] = 1
    for _ in range(10):
        recorded = acoustics.apply_acoustics(rng, RATE, click, echo=0, noise=0)
        assert np.abs(recorded[:100]).max() < ROUNDING, "nothing precedes the direct sound"
        assert np.sum(recorded[100:1000] ** 2) > 0.99 * np.sum(recorded**2)


def test_echo_decays_and_noise_has_the_level_given(rng: np.random.Generator) -> None:
    click = np.zeros(2 * RATE)
    click[100] = 1
    recorded = acoustics.apply_acoustics(rng, RATE, click, echo=1, noise=0)
    assert np.sum(recorded[200:RATE] ** 2) > 10 * np.sum(recorded[RATE:] ** 2) > 0
    # A tone is in one bin; the rest is background noise.
    tone = np.sin(2 * np.pi * 1000 * np.arange(4 * RATE) / RATE)
    hz, density = signal.welch(
        acoustics.apply_acoustics(rng, RATE, tone, echo=0, noise=1, noise_db=(-20, -20)), RATE, nperseg=8192
    )
    near = np.abs(hz - 1000) < 20
    assert 10 * np.log10(density[~near].sum() / density[near].sum()) == pytest.approx(-20, abs=1)
