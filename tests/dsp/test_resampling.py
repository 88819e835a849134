"""soxr behind the functions of dsp/resampling: alignment, length, and streams against whole recordings."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from unhiss.dsp.resampling import Resampler, resample


@pytest.mark.parametrize(("from_rate", "to_rate"), [(8000, 22050), (48000, 22050), (44100, 22050), (22050, 96000)])
def test_resampling_keeps_alignment_and_length(from_rate: int, to_rate: int) -> None:
    time_s = np.arange(from_rate) / from_rate
    tone = np.sin(2 * np.pi * 440 * time_s).astype(np.float32)
    found = resample(tone, from_rate, to_rate)
    assert abs(found.size - to_rate) <= 1
    expected = np.sin(2 * np.pi * 440 * np.arange(found.size) / to_rate)
    inner = slice(to_rate // 20, -to_rate // 20)  # the tone starts and ends in a step, which rings
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-4)


@pytest.mark.parametrize("cuts", [[], [1], [255, 256, 257], list(range(0, 8193, 100))])
def test_a_resampled_stream_equals_the_array_for_any_block_length(cuts: list[int], rng: np.random.Generator) -> None:
    noise = rng.standard_normal((2, 8193)).astype(np.float32)
    stream = Resampler(48000, 22050, 2)
    parts = [stream.push(block) for block in np.split(noise, cuts, axis=1)]
    found = np.concatenate([*parts, stream.flush()], axis=1)
    expected = soxr.resample(noise.T, 48000, 22050).T
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_resampling_a_few_samples_is_no_error(size: int) -> None:
    assert resample(np.zeros((2, size), np.float32), 48000, 22050).shape[0] == 2
    stream = Resampler(48000, 22050, 2)
    assert stream.push(np.zeros((2, size), np.float32)).shape[0] == 2
    assert stream.flush().shape[0] == 2
