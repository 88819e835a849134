"""The shipped model on real recordings: nothing shifts, and file and array agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import unhiss
from unhiss.media.audio import read


@pytest.fixture(scope="module")
def denoiser() -> unhiss.Denoiser:
    return unhiss.Denoiser()


def test_the_result_is_aligned_with_the_recording(denoiser: unhiss.Denoiser, data: Path) -> None:
    noisy, rate = read(data / "dev" / "noisy" / "002.flac")
    clean, _ = read(data / "dev" / "clean" / "002.flac")
    found = denoiser(noisy, rate)
    cross = np.fft.irfft(np.fft.rfft(found, 2 * found.size) * np.conj(np.fft.rfft(clean, 2 * clean.size)))
    assert np.argmax(cross) in (0, 1, cross.size - 1)


@pytest.mark.parametrize("name", ["030", "055"])
def test_the_file_equals_the_array_on_real_sound(
    name: str, denoiser: unhiss.Denoiser, data: Path, tmp_path: Path
) -> None:
    source = data / "dev" / "noisy" / f"{name}.flac"
    audio, rate = read(source)
    denoiser.file(source, tmp_path / "clean.wav", subtype="FLOAT")
    found, found_rate = read(tmp_path / "clean.wav")
    assert (found.shape, found_rate) == (audio.shape, rate)
    np.testing.assert_allclose(found, denoiser(audio, rate), atol=1e-5)
