"""The log-mel distance: its bands are librosa's, it counts decibels, what lies 50 dB below speech is free."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from unhiss.train import stft
from unhiss.train.log_mel import LogMelDistance, mel_bands


def speech_level_spectrum(gain_db: float, seed: int = 0) -> torch.Tensor:
    """White noise with a mean power of one per bin, raised by gain_db."""
    sound = torch.randn(2, 16000, generator=torch.Generator().manual_seed(seed))
    spectrum = stft.analyse(sound, 16000)
    return spectrum / spectrum.square().sum(-1).mean().sqrt() * 10 ** (gain_db / 20)


def test_bands_are_those_of_librosa_with_the_sum_one() -> None:
    reference = librosa.filters.mel(sr=16000, n_fft=512, n_mels=40, htk=True, norm=None).T
    np.testing.assert_allclose(mel_bands(), reference / reference.sum(0), atol=1e-6)


@pytest.mark.parametrize("level_db", [0.0, -20.0, -30.0])
def test_a_decibel_counts_alike_at_every_level_down_to_the_floor(level_db: float) -> None:
    clean = speech_level_spectrum(level_db)
    for change_db in (-6.0, 3.0):
        distance = LogMelDistance()(clean * 10 ** (change_db / 20), clean)
        assert distance.tolist() == pytest.approx([abs(change_db) / 8.686] * 2, rel=0.04)


def test_what_lies_far_below_the_floor_costs_nothing_and_its_gradient_is_finite() -> None:
    clean = torch.zeros(2, 20, 257, 2)
    residue = speech_level_spectrum(-80)[:, :20].requires_grad_()
    distance = LogMelDistance()(residue, clean)
    assert distance.max() < 0.01
    LogMelDistance()(clean.requires_grad_(), residue).sum().backward()
    assert torch.isfinite(clean.grad).all()  # type: ignore[arg-type]
