"""The meter measures blocks as levels measures the whole recording."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unhiss.dsp.levels import SILENCE_DBFS, estimate_snr_db, rms_dbfs
from unhiss.dsp.meter import LevelMeter


@given(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_blocks_of_any_size_give_the_levels_of_the_whole(sizes: list[int], seed: int) -> None:
    audio = np.random.default_rng(seed).standard_normal(sum(sizes)).astype(np.float32) * 0.1
    meter = LevelMeter(8000)
    for part in np.split(audio, np.cumsum(sizes)[:-1]):
        meter.add(part[None])
    assert meter.level_dbfs == pytest.approx(rms_dbfs(audio), abs=1e-3)
    assert meter.peak == (np.abs(audio).max() if audio.size else 0)
    if audio.size >= 160 * 60:  # between few frames a percentile is interpolated
        assert meter.snr_db == pytest.approx(estimate_snr_db(audio, 8000), abs=0.25)


def test_peaks_beyond_full_scale_are_counted_and_channels_are_averaged() -> None:
    meter = LevelMeter(8000)
    meter.add(np.array([[0.5, 1.0, -1.5, 2.0], [0, 0, 0, 0]], np.float32))
    assert (meter.over, meter.peak) == (2, 2.0)
    assert meter.level_dbfs == pytest.approx(10 * np.log10((0.25 + 1 + 2.25 + 4) / 8))


def test_no_block_is_silence() -> None:
    assert (LevelMeter(8000).level_dbfs, LevelMeter(8000).snr_db, LevelMeter(8000).peak) == (SILENCE_DBFS, 0.0, 0.0)
