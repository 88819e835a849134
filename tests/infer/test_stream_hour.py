"""An hour of live audio: the last minute equals the thirtieth, and memory does not grow."""

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
SETTLED = 30  # minutes: the memory of the start in `small` halves every minute
WARM = 5  # minutes, after which no memory pool grows
DRIFT = 1e-4
DRIFT_DB = 0.02
MARGIN_BYTES = 4_000_000  # pools of numpy and onnxruntime


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
@pytest.mark.parametrize("rate", [48000, 44100])
def test_an_hour_drifts_neither_in_level_nor_in_memory(rate: int) -> None:
    """A minute has a whole number of frames at both rates, so all minutes of the same audio are equal."""
    noisy, of_file = unhiss.read(ROOT / "examples" / "noisy.wav")
    time = np.arange(60 * rate) / rate
    minute = np.interp(time % (len(noisy) / of_file), np.arange(len(noisy)) / of_file, noisy).astype(np.float32)
    out, settled = np.ones_like(minute), np.ones_like(minute)  # allocated before memory is measured
    stream, sizes, levels = Stream(rate), [], []
    for number in range(1, MINUTES + 1):
        for block, part in zip(minute.reshape(-1, rate // 50), out.reshape(-1, rate // 50), strict=True):
            part[:] = stream.push(block)
        levels.append(rms_dbfs(out))
        sizes.append((resident(), len(stream.save())))
        if number == SETTLED:
            settled[:] = out
    np.testing.assert_allclose(out, settled, atol=DRIFT)
    assert np.ptp(levels[2:]) < DRIFT_DB
    early, last = sizes[WARM], sizes[-1]
    assert last[0] - early[0] < MARGIN_BYTES
    assert last[1] - early[1] < 100  # digits of the sample counters
