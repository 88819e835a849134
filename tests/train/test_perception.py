"""What the losses of `perception` say is what the field's own PESQ and STOI say, on speech made worse in many ways."""

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

from unhiss.train import grid
from unhiss.train.perception import Perception

RATE = 16000
SPEECH = Path(__file__).parents[2] / "examples" / "clean.wav"


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    sound, rate = soundfile.read(SPEECH, dtype="float32")
    sound = soxr.resample(sound, rate, RATE)
    return sound[: len(sound) // 256 * 256]


@pytest.fixture(scope="module")
def worse(clean: np.ndarray) -> list[np.ndarray]:
    """Hiss and hum at many levels, and what gates and lost bands leave of the speech."""
    rng = np.random.default_rng(0)
    hiss = rng.standard_normal(clean.size).astype(np.float32)
    noises = [hiss, scipy.signal.lfilter([1], [1, -0.95], hiss), hiss * (np.arange(clean.size) // 4000 % 2)]
    level = np.sqrt(np.mean(clean**2))
    made = [
        clean + noise * level / np.sqrt(np.mean(noise**2)) * 10 ** (-snr_db / 20)
        for noise in noises
        for snr_db in (-5, 0, 5, 10, 15, 20, 30)
    ]
    for noise in made[:12:3]:
        for threshold in (0.5, 1, 2):
            spectrum = scipy.signal.stft(noise, RATE, nperseg=512)[2]
            spectrum *= np.abs(spectrum) > threshold * np.median(np.abs(spectrum))
            made.append(scipy.signal.istft(spectrum, RATE, nperseg=512)[1][: clean.size])
    return [sound.astype(np.float32) for sound in made]


def distances(estimate: np.ndarray, clean: np.ndarray) -> tuple[float, float]:
    spectra = (grid.analyse(torch.from_numpy(sound)[None], RATE) for sound in (estimate, clean))
    disturbance, unlikeness = Perception()(*spectra)
    return disturbance.item(), unlikeness.item()


def test_disturbance_ranks_as_pesq_and_unlikeness_as_stoi(clean: np.ndarray, worse: list[np.ndarray]) -> None:
    found = np.array([distances(sound, clean) for sound in worse])
    mos = [pesq.pesq(RATE, clean, sound, "wb") for sound in worse]
    stoi = [pystoi.stoi(clean, sound, RATE) for sound in worse]
    assert scipy.stats.spearmanr(found[:, 0], mos).statistic < -0.95
    assert scipy.stats.spearmanr(found[:, 1], stoi).statistic < -0.95


def test_disturbance_is_pesq_in_points_of_its_raw_score(clean: np.ndarray, worse: list[np.ndarray]) -> None:
    raw = np.array([4.5 - distances(sound, clean)[0] for sound in worse])
    mapped = 0.999 + 4 / (1 + np.exp(-1.3669 * raw + 3.8224))  # P.862.2
    mos = [pesq.pesq(RATE, clean, sound, "wb") for sound in worse]
    assert np.mean(np.abs(mapped - mos)) < 0.35


def test_the_same_sound_at_another_level_is_no_distance(clean: np.ndarray) -> None:
    assert distances(clean, clean) == pytest.approx((0, 0), abs=1e-2)
    assert distances(clean * 0.1, clean) == pytest.approx((0, 0), abs=1e-2)
