"""Long recordings are cut in their pauses, and no sample is lost or doubled."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from unhiss.dsp.cutting import cut_at_silences

RATE = 16000


def words(rng: np.random.Generator, seconds: list[float], pause_s: float, room: float) -> tuple[np.ndarray, np.ndarray]:
    """Bursts of noise with pauses between them, over the noise of a room, and where a pause is: both `(T,)`."""
    audio, pauses = [], []
    for length in seconds:
        for size, level in ((round(length * RATE), 0.2), (round(pause_s * RATE), room)):
            audio.append(level * rng.standard_normal(size))
            pauses.append(np.full(size, level == room))
    return np.concatenate(audio), np.concatenate(pauses)


@pytest.mark.parametrize("room", [0.0, 0.002, 0.02])
@pytest.mark.parametrize("pause_s", [0.2, 0.6])
def test_cuts_are_in_the_pauses(rng: np.random.Generator, pause_s: float, room: float) -> None:
    audio, pauses = words(rng, rng.uniform(0.3, 3, 30).tolist(), pause_s, room)
    cuts = [end for _, end in cut_at_silences(audio.astype(np.float32), RATE, 10 * RATE)[:-1]]
    assert len(cuts) >= audio.size // (10 * RATE) and pauses[cuts].all()
    margin = round(0.05 * RATE)  # no word is touched on either side
    assert all(pauses[cut - margin : cut + margin].all() for cut in cuts)


@pytest.mark.parametrize("longest", [1600, 4001, 16000])
@pytest.mark.parametrize("size", [0, 1, 319, 320, 321, 1600, 1601, 8193, 48000, 48001])
def test_pieces_follow_each_other_and_have_the_allowed_lengths(
    rng: np.random.Generator, size: int, longest: int
) -> None:
    pieces = cut_at_silences(rng.standard_normal(size).astype(np.float32), RATE, longest)
    assert pieces[0][0] == 0 and pieces[-1][1] == size
    assert all(end == first for (_, end), (first, _) in pairwise(pieces))
    lengths = [end - first for first, end in pieces]
    assert max(lengths) <= longest
    assert len(pieces) == 1 or min(lengths) >= longest // 4
    assert (len(pieces) == 1) == (size <= longest)
