"""Where a long recording of speech is cut: in its pauses."""

import numpy as np

from unhiss.dsp.levels import frame_levels_dbfs

PAUSE_FRAMES = 11  # of 20 ms: the closure of a plosive is shorter, a pause between words longer


def cut_at_silences(audio: np.ndarray, rate: int, longest: int) -> list[tuple[int, int]]:
    """(first, end) of the pieces, of at most `longest` samples, that float `(T,)` is cut into; together they are all.

    A cut is in the middle of the quietest 0.2 s of the second half of what a piece may hold, so a pause is shared by
    the pieces on its two sides. No piece is shorter than a quarter of `longest`.

    >>> audio = np.ones(900)
    >>> audio[420:460] = 0
    >>> cut_at_silences(audio, 50, 500)
    [(0, 440), (440, 900)]
    """
    if audio.size <= longest:
        return [(0, audio.size)]
    size = max(1, rate // 50)
    power = np.convolve(10 ** (frame_levels_dbfs(audio, size) / 10), np.ones(PAUSE_FRAMES), "same")
    first, pieces = 0, []
    while audio.size - first > longest:
        last = min(first + longest, audio.size - longest // 4)
        frames = np.arange(-(-(first + longest // 2) // size), last // size)
        quietest = frames[power[frames] == power[frames].min(initial=np.inf)]
        end = int(quietest[quietest.size // 2]) * size + size // 2 if quietest.size else last
        pieces.append((first, end))
        first = end
    return [*pieces, (first, audio.size)]
