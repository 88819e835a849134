from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from unhiss.media.wav import wav_bytes


@pytest.mark.parametrize("size", [0, 1, 255, 8193])
@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_samples_are_read_back_to_the_nearest_step(tmp_path, rng, size: int, rate: int) -> None:
    audio = rng.uniform(-0.999, 0.999, size).astype(np.float32)
    found, found_rate = soundfile.read(io.BytesIO(wav_bytes(audio, rate)))
    assert found_rate == rate
    assert found == pytest.approx(audio, abs=0.5001 / 32768)
    soundfile.write(tmp_path / "a.wav", audio, rate, "PCM_16")
    written, _ = soundfile.read(tmp_path / "a.wav")
    assert np.abs(found - written).max(initial=0) <= 1 / 32768, "libsndfile rounds down"


def test_what_is_beyond_full_scale_is_clipped() -> None:
    found, _ = soundfile.read(io.BytesIO(wav_bytes(np.array([-3, -1, 1, 3], np.float32), 8000)), dtype="int16")
    assert found.tolist() == [-32768, -32768, 32767, 32767]
