"""The live resampler against sines computed at the new rate, scipy, and itself with other block lengths."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from unhiss.dsp.polyphase import BETA, CUTOFF, ZEROS, Polyphase

RATIOS = [(44100, 48000), (48000, 44100), (11025, 12000), (192000, 96000), (96000, 88200), (5512, 8000)]
EXACT = 3e-5  # -90 dB: the kernel's ripple, and round-off
ROUND_OFF = 2e-6


def resample_all(sound: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """All outputs of a recording; zeros after it complete the last ones."""
    resampler = Polyphase(from_rate, to_rate, len(sound))
    size = -(-sound.shape[1] * to_rate // from_rate)
    return resampler.push(np.pad(sound, ((0, 0), (0, resampler.reach + 1))))[:, :size]


@pytest.mark.parametrize(("from_rate", "to_rate"), [*RATIOS, (44056, 48000), (44101, 48000), (1000, 8000)])
def test_a_sine_is_the_same_sine_at_the_new_rate(from_rate: int, to_rate: int) -> None:
    hertz = np.array([[0.0], [0.01], [0.2], [0.45]]) * min(from_rate, to_rate)
    sound = np.cos(2 * np.pi * hertz * np.arange(6000) / from_rate + 0.3).astype(np.float32)
    found = resample_all(sound, from_rate, to_rate)
    expected = np.cos(2 * np.pi * hertz * np.arange(found.shape[1]) / to_rate + 0.3)
    inner = slice(found.shape[1] // 10, -found.shape[1] // 10)
    np.testing.assert_allclose(found[:, inner], expected[:, inner], atol=EXACT)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(48000, 44100), (96000, 88200), (192000, 96000)])
def test_frequencies_above_the_new_band_are_removed(from_rate: int, to_rate: int) -> None:
    sound = np.cos(2 * np.pi * 0.505 * to_rate * np.arange(6000) / from_rate)[None].astype(np.float32)
    assert np.abs(resample_all(sound, from_rate, to_rate)[:, 600:-600]).max() < EXACT


@pytest.mark.parametrize(("from_rate", "to_rate"), RATIOS)
def test_noise_is_resampled_as_by_scipy(from_rate: int, to_rate: int, rng: np.random.Generator) -> None:
    sound = rng.uniform(-1, 1, (2, 3000)).astype(np.float32)
    mine = Polyphase(from_rate, to_rate, 2)
    fine = ZEROS * max(mine.up, mine.down)  # the same kernel on scipy's grid of both rates' multiple
    taps = scipy.signal.firwin(2 * fine + 1, CUTOFF / max(mine.up, mine.down), window=("kaiser", BETA))
    expected = scipy.signal.resample_poly(sound, mine.up, mine.down, axis=1, window=taps)
    np.testing.assert_allclose(resample_all(sound, from_rate, to_rate), expected, atol=EXACT)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=12), st.sampled_from([*RATIOS, (44101, 48000)]))
def test_blocks_of_any_length_add_up_to_the_whole(sizes: list[int], ratio: tuple[int, int]) -> None:
    sound = np.random.default_rng(1).uniform(-1, 1, (2, sum(sizes))).astype(np.float32)
    ends = np.cumsum([0, *sizes])
    resampler = Polyphase(*ratio, 2)
    parts = [resampler.push(sound[:, a:b]) for a, b in pairwise(ends)]
    expected = Polyphase(*ratio, 2).push(sound)
    np.testing.assert_allclose(np.concatenate([sound[:, :0], *parts], axis=1), expected, atol=ROUND_OFF)


@pytest.mark.parametrize(("from_rate", "to_rate"), RATIOS)
def test_an_output_waits_for_its_reach_and_no_longer(from_rate: int, to_rate: int) -> None:
    resampler, given_out = Polyphase(from_rate, to_rate, 1), 0
    for pushed in range(1, 3 * resampler.reach):
        given_out += resampler.push(np.zeros((1, 1), np.float32)).shape[1]
        due = [m * from_rate // to_rate + resampler.reach < pushed for m in (max(0, given_out - 1), given_out)]
        assert due == [given_out > 0, False]


def test_a_copy_is_independent(rng: np.random.Generator) -> None:
    sound = rng.uniform(-1, 1, (1, 5000)).astype(np.float32)
    one = Polyphase(44100, 48000, 1)
    start = one.push(sound[:, :1234])
    two = copy.copy(one)
    one.push(-sound[:, :777])
    rest = two.push(sound[:, 1234:])
    expected = Polyphase(44100, 48000, 1).push(sound)
    np.testing.assert_allclose(np.concatenate([start, rest], axis=1), expected, atol=ROUND_OFF)


def test_equal_rates_pass_everything_on_at_once(rng: np.random.Generator) -> None:
    sound = rng.uniform(-1, 1, (2, 100)).astype(np.float32)
    assert Polyphase(48000, 48000, 2).push(sound) is sound
