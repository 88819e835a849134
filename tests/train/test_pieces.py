"""Pieces of clips: where they sound, how fast, and the same from one row of samples as from mapped shards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline

from unhiss.data.store import Store
from unhiss.train.batches import ClipPool
from unhiss.train.pieces import MappedClipPool, Piece, _play_at_once, play

RATE, LENGTH = 48000, 24000
CPU = torch.device("cpu")
FADE = 240  # 5 ms


@pytest.fixture
def clips(wide: Store) -> MappedClipPool:
    return MappedClipPool(wide, wide.part("speech", "train"), CPU)


def samples_of(clips: MappedClipPool, clip: int) -> np.ndarray:
    return np.array(clips.store.samples(clips.rows[clip]), np.float64)


def test_a_piece_lies_at_its_place_and_fades_at_both_ends(clips: MappedClipPool) -> None:
    out = play([[], [Piece(1, 1000, 9000, 500, gain=0.5)]], clips, LENGTH, RATE).numpy()
    expected = 0.5 * samples_of(clips, 1)[500:8500]
    np.testing.assert_allclose(out[1, 1000 + FADE : 9000 - FADE], expected[FADE:-FADE], rtol=1e-6)
    ramp = (np.arange(FADE) + 0.5) / FADE
    np.testing.assert_allclose(out[1, 1000 : 1000 + FADE], expected[:FADE] * ramp, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(out[1, 9000 - FADE : 9000], expected[-FADE:] * ramp[::-1], rtol=1e-4, atol=1e-2)
    assert not out[0].any() and not out[1, :1000].any() and not out[1, 9000:].any()


@pytest.mark.parametrize("speed", [0.85, 1.37])
def test_speed_is_that_of_a_cubic_through_the_samples(clips: MappedClipPool, speed: float) -> None:
    whole = samples_of(clips, 1)
    slopes = np.gradient(whole)  # Catmull and Rom: half the difference of the neighbours
    at = 700 + np.arange(6000) * speed
    expected = CubicHermiteSpline(np.arange(whole.size), whole, slopes)(at)
    out = play([[Piece(1, 0, 6000, 700, speed)]], clips, LENGTH, RATE)[0].numpy()
    np.testing.assert_allclose(out[FADE : 6000 - FADE], expected[FADE:-FADE], atol=0.02)


def test_backwards_is_the_same_turned_round(clips: MappedClipPool) -> None:
    forth, back = (Piece(1, 2000, 8000, 100, 1.1, backwards=backwards) for backwards in (False, True))
    out = play([[forth], [back]], clips, LENGTH, RATE)[:, 2000:8000]
    torch.testing.assert_close(out[0].flip(0), out[1], atol=0.02, rtol=0)


def test_a_long_row_of_samples_gives_the_same_as_mapped_shards(wide: Store, clips: MappedClipPool) -> None:
    rng = np.random.default_rng(4)
    pieces = []
    for _ in range(5):
        row = []
        for _ in range(int(rng.integers(6))):
            clip, first = int(rng.integers(2)), int(rng.integers(LENGTH - 1))
            start = int(rng.integers(clips.lengths[clip]))
            speed = float(rng.choice([1, rng.uniform(0.6, 1.7)]))
            last = min(LENGTH, first + max(1, int((clips.lengths[clip] - start) / speed)))
            row.append(Piece(clip, first, last, start, speed, rng.random(), bool(rng.random() < 0.5)))
        pieces.append(row)
    mapped = play(pieces, clips, LENGTH, RATE)
    at_once = torch.zeros(5, LENGTH)
    flat = [(row, piece) for row, of_row in enumerate(pieces) for piece in of_row]
    _play_at_once(flat, ClipPool(wide, wide.part("speech", "train"), CPU), FADE, at_once)
    torch.testing.assert_close(at_once, mapped, atol=0.05, rtol=1e-5)
    assert mapped.abs().max() > 1000
