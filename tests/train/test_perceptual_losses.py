"""The perceptual distances agree with the packages pesq and pystoi, on speech degraded in many ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pesq
import pystoi
import pytest
import scipy.signal
import scipy.stats
import soundfile
import soxr
import torch

from unhiss.train import stft
from unhiss.train.perceptual_losses import PerceptualDistances

RATE = 16000
SPEECH = Path(__file__).parents[2] / "examples" / "clean.wav"


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    sound, rate = soundfile.read(SPEECH, dtype="float32")
    sound = soxr.resample(sound, rate, RATE)
    return sound[: len(sound) // 256 * 256]


@pytest.fixture(scope="module")
def degraded(clean: np.ndarray) -> list[np.ndarray]:
    """White, coloured and intermittent noise at many levels, and isolated noise bins."""
    rng = np.random.default_rng(0)
    hiss = rng.standard_normal(clean.size).astype(np.float32)
    noises = [hiss, scipy.signal.lfilter([1], [1, -0.95], hiss), hiss * (np.arange(clean.size) // 4000 % 2)]
    level = np.sqrt(np.mean(clean**2))
    versions = [
        clean + noise * level / np.sqrt(np.mean(noise**2)) * 10 ** (-snr_db / 20)
        for noise in noises
        for snr_db in (-5, 0, 5, 10, 15, 20, 30)
    ]
    for noise in versions[:12:3]:
        for threshold in (0.5, 1, 2):
            spectrum = scipy.signal.stft(noise, RATE, nperseg=512)[2]
            spectrum *= np.abs(spectrum) > threshold * np.median(np.abs(spectrum))
            versions.append(scipy.signal.istft(spectrum, RATE, nperseg=512)[1][: clean.size])
    return [sound.astype(np.float32) for sound in versions]


def distances(estimate: np.ndarray, clean: np.ndarray) -> tuple[float, float]:
    spectra = (stft.analyse(torch.from_numpy(sound)[None], RATE) for sound in (estimate, clean))
    pesq_distance, stoi_distance = PerceptualDistances()(*spectra)
    return pesq_distance.item(), stoi_distance.item()


@pytest.fixture(scope="module")
def values(clean: np.ndarray, degraded: list[np.ndarray]) -> np.ndarray:
    """The distances of each version: PESQ's and STOI's."""
    return np.array([distances(sound, clean) for sound in degraded])


@pytest.fixture(scope="module")
def mos(clean: np.ndarray, degraded: list[np.ndarray]) -> list[float]:
    return [pesq.pesq(RATE, clean, sound, "wb") for sound in degraded]


def test_the_distances_rank_as_pesq_and_stoi(
    clean: np.ndarray, degraded: list[np.ndarray], values: np.ndarray, mos: list[float]
) -> None:
    stoi = [pystoi.stoi(clean, sound, RATE) for sound in degraded]
    assert scipy.stats.spearmanr(values[:, 0], mos).statistic < -0.95
    assert scipy.stats.spearmanr(values[:, 1], stoi).statistic < -0.95


def test_the_pesq_distance_is_in_points_of_its_raw_score(values: np.ndarray, mos: list[float]) -> None:
    raw = 4.5 - values[:, 0]
    mapped = 0.999 + 4 / (1 + np.exp(-1.3669 * raw + 3.8224))  # P.862.2
    assert np.mean(np.abs(mapped - mos)) < 0.35


def test_the_same_audio_at_another_level_has_distance_zero(clean: np.ndarray) -> None:
    assert distances(clean, clean) == pytest.approx((0, 0), abs=1e-2)
    assert distances(clean * 0.1, clean) == pytest.approx((0, 0), abs=1e-2)
