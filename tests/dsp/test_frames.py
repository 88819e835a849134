"""The reference's frame, made with librosa as the reference makes it."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from unhiss.dsp import frames

ROUND_OFF = 2e-6  # of values in [0, 1]: 0.0002 dB


@pytest.mark.parametrize("level", [1.0, 1e-3, 1e-6])
def test_a_frame_equals_librosas(level: float, rng: np.random.Generator) -> None:
    audio = (level * rng.standard_normal(frames.SIZE) * np.linspace(0, 1, frames.SIZE) ** 4).astype(np.float32)
    magnitude, _ = librosa.magphase(librosa.stft(audio, n_fft=255, hop_length=63))
    expected = (librosa.amplitude_to_db(magnitude, ref=np.max, top_db=80) + 80) / 80
    scaled, spectrum, reference = frames.frame(audio)
    assert scaled.shape == spectrum.shape == (128, 128)
    assert scaled.dtype == np.float32
    assert reference.item() == pytest.approx(magnitude.max(), rel=1e-6)
    # Near the floor of 1e-5 an error of round-off in a magnitude is many dB: compare what is above it.
    heard = magnitude > 1e-4 * max(level, 1e-1)
    np.testing.assert_allclose(scaled[heard], expected[heard], atol=1e-4)
    if level == 1.0:
        loud = magnitude > 1e-2 * magnitude.max()
        np.testing.assert_allclose(scaled[loud], expected[loud], atol=ROUND_OFF)


def test_a_tone_has_the_value_computed_by_hand() -> None:
    magnitude = np.array([1.0, 0.1, 1e-2, 1e-4, 1e-5])
    np.testing.assert_allclose(frames.scale(magnitude, 1.0), [1, 0.75, 0.5, 0, 0], atol=1e-7)
    np.testing.assert_allclose(frames.scale(magnitude, 10.0), [0.75, 0.5, 0.25, 0, 0], atol=1e-7)


def test_magnitudes_above_the_reference_are_clipped() -> None:
    assert frames.scale(np.array(4.0), 1.0) == 1


def test_unscale_is_the_inverse_above_the_floor(rng: np.random.Generator) -> None:
    magnitude = rng.uniform(2e-3, 3, (2, 128, 128)).astype(np.float32)
    np.testing.assert_allclose(frames.unscale(frames.scale(magnitude, 3.0), 3.0), magnitude, rtol=1e-5)


def test_silence_is_a_frame_of_ones_and_zero_reference() -> None:
    scaled, spectrum, reference = frames.frame(np.zeros((2, frames.SIZE), np.float32))
    expected = (librosa.amplitude_to_db(np.zeros((128, 128)), ref=np.max) + 80) / 80
    np.testing.assert_array_equal(scaled[0], expected)
    assert not spectrum.any()
    assert reference.shape == (2, 1, 1)
    assert not reference.any()
