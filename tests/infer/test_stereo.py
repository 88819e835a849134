"""The stereo image is kept: sound common to both channels gets one mask, sound of one channel its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import unhiss
from unhiss.infer.stereo import StereoLinker

Make = Callable[..., Path]
RATE = 16000


def noise(rng: np.random.Generator, seconds: float = 2.0) -> np.ndarray:
    return rng.uniform(-0.4, 0.4, int(seconds * RATE)).astype(np.float32)


@pytest.mark.parametrize("pan", [(0.9, 0.3), (0.2, 0.8), (0.5, -0.5)])
def test_one_voice_between_the_speakers_keeps_its_position(pan: tuple[float, float], causal_model: Make, rng) -> None:
    voice = noise(rng)
    stereo = np.stack([pan[0] * voice, pan[1] * voice])
    model = causal_model("leveller")  # depends on the level, so separate masks would differ
    out = unhiss.denoise(stereo, RATE, model=model)[:, RATE // 2 :]
    alone = np.stack([unhiss.denoise(channel, RATE, model=model) for channel in stereo])[:, RATE // 2 :]
    shifts = [np.abs(x[0] * pan[1] - x[1] * pan[0]).max() / np.abs(x).max() for x in (out, alone)]
    assert shifts[0] < 1e-4
    if abs(pan[0]) != abs(pan[1]):
        assert shifts[1] > 0.05


def test_two_speakers_with_a_microphone_each_are_denoised_separately(causal_model: Make, rng) -> None:
    stereo = np.stack([noise(rng), 0.1 * noise(rng)])
    model = causal_model("leveller")
    out = unhiss.denoise(stereo, RATE, model=model)[:, RATE // 2 :]
    alone = np.stack([unhiss.denoise(channel, RATE, model=model) for channel in stereo])[:, RATE // 2 :]
    assert (np.mean((out - alone) ** 2, axis=1) < 0.01 * np.mean(alone**2, axis=1)).all()


def test_a_silent_channel_stays_silent_and_does_not_affect_the_other(causal_model: Make, rng) -> None:
    voice = noise(rng)
    model = causal_model("leveller")
    out = unhiss.denoise(np.stack([voice, 0 * voice]), RATE, model=model)
    assert not out[1].any()
    assert np.abs(out[0] - unhiss.denoise(voice, RATE, model=model)).max() < 1e-5


@pytest.mark.parametrize("gain", [1e-6, 1.0, 2.0**31])
def test_the_level_changes_nothing(gain: float, rng: np.random.Generator) -> None:
    spectrum = (rng.standard_normal((2, 20, 9)) + 1j * rng.standard_normal((2, 20, 9))).astype(np.complex64)
    spectrum[1, :, :5] = 0.5 * spectrum[0, :, :5]
    denoised = (spectrum * rng.uniform(0, 1, spectrum.shape)).astype(np.complex64)
    expected = StereoLinker(0.016).apply(spectrum, denoised)
    out = StereoLinker(0.016).apply(spectrum * np.float32(gain), denoised * np.float32(gain))
    assert np.isfinite(out).all()
    assert np.allclose(out / np.float32(gain), expected, rtol=1e-3, atol=1e-5)
