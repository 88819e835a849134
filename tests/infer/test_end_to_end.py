"""The reference's frames, compared with an independent computation by librosa."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest

from unhiss.infer.denoiser import Denoiser

SIZE, N_FFT, HOP = 8064, 255, 63


def reference(audio: np.ndarray, slope: float, offset: float) -> np.ndarray:
    """Frames of 8,064 samples, each through slope * scaled + offset, concatenated; phase of the input."""
    out = []
    for start in range(0, audio.size, SIZE):
        frame = np.zeros(SIZE, np.float32)
        frame[: audio[start : start + SIZE].size] = audio[start : start + SIZE]
        magnitude, phase = librosa.magphase(librosa.stft(frame, n_fft=N_FFT, hop_length=HOP))
        scaled = (librosa.amplitude_to_db(magnitude, ref=np.max, top_db=80) + 80) / 80
        denoised = librosa.db_to_amplitude((slope * scaled + offset) * 80 - 80, ref=magnitude.max())
        out.append(librosa.istft(denoised * phase, n_fft=N_FFT, hop_length=HOP, length=SIZE))
    return np.concatenate(out)[: audio.size]


@pytest.mark.parametrize("size", [8064, 8065, 3 * 8064 - 1])
@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (1.0, -0.1), (1.2, -0.2)])
def test_end_to_end_equals_the_reference(
    size: int, slope: float, offset: float, frame_model: Callable[..., Path], rng: np.random.Generator
) -> None:
    audio = rng.uniform(-1, 1, size).astype(np.float32) * np.linspace(0.05, 1, size, dtype=np.float32)
    out = Denoiser(frame_model(slope, offset), end_to_end=True)(audio, 22050)
    np.testing.assert_allclose(out, reference(audio, slope, offset), atol=2e-4)


@pytest.mark.parametrize("size", [0, 1, 257, 8064, 20000])
@pytest.mark.parametrize("rate", [22050, 48000])
def test_end_to_end_keeps_the_length(size: int, rate: int, frame_model: Callable[..., Path]) -> None:
    audio = np.zeros((2, size), np.float32)
    assert Denoiser(frame_model(), end_to_end=True)(audio, rate).shape == (2, size)
