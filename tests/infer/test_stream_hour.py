"""An hour of live sound: the last minute is the thirtieth once more, and no memory was taken meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import unhiss
from unhiss.dsp.levels import rms_dbfs
from unhiss.infer.stream import Stream

ROOT = Path(__file__).parent.parent.parent
MINUTES = 60
SETTLED = 30  # minutes: `small` remembers its start, half as much each minute
WARM = 5  # minutes, after which no pool grows
DRIFT = 1e-4
DRIFT_DB = 0.02
ROOM = 4_000_000  # bytes: of numpy's and onnxruntime's pools


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
@pytest.mark.parametrize("rate", [48000, 44100])
def test_an_hour_drifts_neither_in_level_nor_in_memory(rate: int) -> None:
    """A minute holds whole frames at both rates, so that each minute of the same sound ends alike."""
    noisy, of_file = unhiss.read(ROOT / "examples" / "noisy.wav")
    time = np.arange(60 * rate) / rate
    minute = np.interp(time % (len(noisy) / of_file), np.arange(len(noisy)) / of_file, noisy).astype(np.float32)
    found, settled = np.ones_like(minute), np.ones_like(minute)  # made before memory is weighed, and used again
    stream, sizes, levels = Stream(rate), [], []
    for number in range(1, MINUTES + 1):
        for block, out in zip(minute.reshape(-1, rate // 50), found.reshape(-1, rate // 50), strict=True):
            out[:] = stream.push(block)
        levels.append(rms_dbfs(found))
        sizes.append((resident(), len(stream.save())))
        if number == SETTLED:
            settled[:] = found
    np.testing.assert_allclose(found, settled, atol=DRIFT)
    assert np.ptp(levels[2:]) < DRIFT_DB
    then, last = sizes[WARM], sizes[-1]
    assert last[0] - then[0] < ROOM
    assert last[1] - then[1] < 100  # digits of what counts samples
