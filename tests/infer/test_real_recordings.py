"""The default model on real recordings: no time shift, and file and array give the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import unhiss
from unhiss.media.source import read


@pytest.fixture(scope="module")
def denoiser() -> unhiss.Denoiser:
    return unhiss.Denoiser()


def test_the_output_is_aligned_with_the_recording(denoiser: unhiss.Denoiser, real_pairs: Path) -> None:
    noisy, rate = read(real_pairs / "noisy" / "002.wav")
    clean, _ = read(real_pairs / "clean" / "002.wav")
    out = denoiser(noisy, rate)
    cross = np.fft.irfft(np.fft.rfft(out, 2 * out.size) * np.conj(np.fft.rfft(clean, 2 * clean.size)))
    assert np.argmax(cross) in (0, 1, cross.size - 1)


@pytest.mark.parametrize("name", ["000", "003"])
def test_the_file_equals_the_array_on_real_recordings(
    name: str, denoiser: unhiss.Denoiser, real_pairs: Path, tmp_path: Path
) -> None:
    source = real_pairs / "noisy" / f"{name}.wav"
    audio, rate = read(source)
    denoiser.file(source, tmp_path / "clean.wav", subtype="FLOAT")
    out, out_rate = read(tmp_path / "clean.wav")
    assert (out.shape, out_rate) == (audio.shape, rate)
    np.testing.assert_allclose(out, denoiser(audio, rate), atol=1e-5)
